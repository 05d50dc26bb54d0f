//! What a connection does when SQLite calls back: authorize while compiling, hash and
//! keep row changes, stop a statement.

use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::effect::{EffectHash, RawValue, RowChange};
use super::functions::Surroundings;
use super::keys::Keys;
use super::refusals::{self, Action};
use super::rows::KeptRows;
use crate::pg::{SqlError, SqlState};

/// What the compilation of a statement showed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traits {
    /// It changes the schema.
    pub(super) schema: bool,
    /// ROLLBACK TO: what was read of the schema since may be gone.
    pub(super) rollback: bool,
    /// It asks for `changes()`.
    pub(super) changes: bool,
    /// It reads the system catalogs, or calls a function that does.
    pub(super) catalog: bool,
    /// It asks which rows it has touched.
    pub(super) upserts: bool,
    /// It calls a function that may take long whatever it reads.
    pub(super) slow: bool,
}

/// The state of a connection's hooks.
pub(super) struct Hooks {
    surroundings: Surroundings,
    effect: Mutex<EffectHash>,
    kept_rows: Mutex<KeptRows>,
    keys: Mutex<Keys>,
    traits: Mutex<Traits>,
    /// Set while the connection runs statements of its own, which may be what a
    /// client's may not.
    trusted: AtomicBool,
    /// A row of Towline's catalog tables was changed.
    catalog_touched: AtomicBool,
    /// The rowid limit was reached: SQLite would draw the next one at random.
    rowid_exhausted: AtomicBool,
    /// SQLite found the file to be damaged.
    damaged: AtomicBool,
}

/// Tables of Towline's that a [`crate::sql::catalog::Catalog`] is read from.
const CATALOG_TABLES: [&[u8]; 5] = [
    b"towline_relation",
    b"towline_attribute",
    b"towline_constraint",
    b"towline_index",
    b"towline_sequence",
];

/// Records the applied LSN, which moves by group on the leader and by batch on a
/// follower: no part of any transaction's effect.
const APPLIED_TABLE: &[u8] = b"towline_applied";
const SEQUENCE_TABLE: &[u8] = b"towline_sequence";
/// Its column `reserved`.
const RESERVED: i32 = 7;

impl Hooks {
    pub(super) fn note_damage(&self) {
        self.damaged.store(true, Ordering::Relaxed);
    }

    pub(super) fn found_damage(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    pub(super) fn new(surroundings: Surroundings) -> Self {
        Self {
            surroundings,
            effect: Mutex::default(),
            kept_rows: Mutex::default(),
            keys: Mutex::default(),
            traits: Mutex::default(),
            trusted: AtomicBool::new(true),
            catalog_touched: AtomicBool::new(false),
            rowid_exhausted: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
        }
    }

    pub(super) fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    pub(super) fn effect(&self) -> MutexGuard<'_, EffectHash> {
        self.effect.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row changes of a statement that is shipped as these.
    pub(super) fn kept_rows(&self) -> MutexGuard<'_, KeptRows> {
        self.kept_rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys that a transaction is held against.
    pub(super) fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn traits(&self) -> MutexGuard<'_, Traits> {
        self.traits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what earlier compilations showed.
    pub(super) fn begin_compilation(&self) {
        *self.traits() = Traits::default();
    }

    pub(super) fn end_compilation(&self) -> Traits {
        *self.traits()
    }

    /// Switches trust; returns what it was.
    pub(super) fn set_trusted(&self, trusted: bool) -> bool {
        self.trusted.swap(trusted, Ordering::Relaxed)
    }

    pub(super) fn take_catalog_touched(&self) -> bool {
        self.catalog_touched.load(Ordering::Relaxed)
            && self.catalog_touched.swap(false, Ordering::Relaxed)
    }

    pub(super) fn take_rowid_exhausted(&self) -> bool {
        self.rowid_exhausted.load(Ordering::Relaxed)
            && self.rowid_exhausted.swap(false, Ordering::Relaxed)
    }

    /// The authorizer: whether a statement may contain `action`.
    pub(super) fn authorize(&self, action: Action<'_>) -> bool {
        {
            let mut traits = self.traits();
            match action {
                Action::Schema => traits.schema = true,
                // Those that look at rows come and go unseen.
                Action::TempTrigger => traits.schema |= !self.trusted.load(Ordering::Relaxed),
                Action::Savepoint { rollback: true } => traits.rollback = true,
                Action::Function(name) => {
                    traits.changes |= name.eq_ignore_ascii_case("changes");
                    traits.catalog |= refusals::needs_catalog(name);
                    traits.slow |= refusals::is_slow(name);
                    traits.upserts |= name.eq_ignore_ascii_case("towline_untouched");
                }
                Action::Read { schema, .. } => {
                    traits.catalog |= matches!(schema, "pg_catalog" | "information_schema");
                }
                _ => {}
            }
        }
        if self.trusted.load(Ordering::Relaxed) {
            return true;
        }
        match refusals::judge(action) {
            Ok(()) => true,
            Err(error) => {
                self.surroundings.set_raised(error);
                false
            }
        }
    }

    /// The preupdate hook, for the main database.
    pub(super) fn row_changed(&self, change: &impl RowChange) {
        let table = change.table();
        if table.starts_with(b"towline_") {
            if table == APPLIED_TABLE {
                return;
            }
            if CATALOG_TABLES.contains(&table) {
                self.catalog_touched.store(true, Ordering::Relaxed);
                self.surroundings.bump_catalog_generation();
            }
        }
        let (_, new_key) = change.keys();
        self.surroundings.touch(table, new_key);
        if new_key == i64::MAX {
            self.rowid_exhausted.store(true, Ordering::Relaxed);
        }
        self.keys().note(change);
        if self.surroundings.keeps_rows() {
            self.kept_rows().add(change);
        }
        if table == SEQUENCE_TABLE {
            self.effect().add_change(&WithoutReserved(change));
        } else {
            self.effect().add_change(change);
        }
    }

    /// The progress handler: whether the running statement should stop.
    pub(super) fn interrupted(&self) -> bool {
        self.surroundings.interrupted()
    }
}

/// A change of a sequence but for what is reserved of it: that comes by frames of its own
/// too, before the transaction that draws.
struct WithoutReserved<'a, C>(&'a C);

impl<C: RowChange> RowChange for WithoutReserved<'_, C> {
    fn operation(&self) -> i32 {
        self.0.operation()
    }

    fn table(&self) -> &[u8] {
        self.0.table()
    }

    fn keys(&self) -> (i64, i64) {
        self.0.keys()
    }

    fn columns(&self) -> i32 {
        self.0.columns()
    }

    fn before(&self, index: i32) -> Option<RawValue<'_>> {
        if index == RESERVED { Some(RawValue::Null) } else { self.0.before(index) }
    }

    fn after(&self, index: i32) -> Option<RawValue<'_>> {
        if index == RESERVED { Some(RawValue::Null) } else { self.0.after(index) }
    }
}

/// The error of a statement that used up a table's rowids.
pub(super) fn rowids_exhausted() -> SqlError {
    SqlError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        "a table without further row numbers cannot take this row",
    )
    .with_detail("Row number 9223372036854775807 is reserved: after it, SQLite draws at random.")
}

/// A C string of SQLite's as text; names that are not UTF-8 become empty.
pub(super) fn name(text: Option<&CStr>) -> &str {
    text.and_then(|text| text.to_str().ok()).unwrap_or_default()
}
