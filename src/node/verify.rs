//! A look at the databases as they are at one marker of the log, to compare nodes.
//!
//! Whoever applies the marker opens a read transaction right there, before the next
//! frame, and goes on: what is compared is the same LSN on every node, and no writer
//! waits. The view's digests are made by a thread of its own. A view is given up when
//! nobody has asked for it for a while, or when another takes its place, since it
//! keeps the WAL from starting over.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::Hub;
use super::readers::Readers;
use crate::log::LogEnd;
use crate::sql::catalog::MAINTENANCE_DATABASE;
use crate::storage::sqlite::{
    ConnectionKind, RowDigest, Sqlite, SqliteError, content_digest, row_digests,
};

/// A view that nobody asks for is given up after so long.
const KEPT: Duration = Duration::from_secs(60);

/// Rows told at once, at most.
const ROWS_MAX: u64 = 4096;

/// What the databases hold.
pub(super) struct Digests {
    /// A digest a table, by its name in the file.
    pub(super) tables: BTreeMap<String, u64>,
    /// The databases that such names tell of by number.
    pub(super) databases: BTreeMap<u32, String>,
}

/// The databases at a marker.
pub(super) struct Look {
    /// The marker's.
    pub(super) id: u64,
    pub(super) at: LogEnd,
    /// In a read transaction.
    sqlite: Mutex<Sqlite>,
    digests: OnceLock<Result<Digests, String>>,
    asked: Mutex<Instant>,
}

impl Look {
    /// Opens the view: what is committed now.
    pub(super) fn take(path: &Path, id: u64, at: LogEnd) -> Result<Self, SqliteError> {
        let mut sqlite = Sqlite::open(path, ConnectionKind::Reader)?;
        sqlite.execute_batch("BEGIN")?;
        // The first read takes the snapshot.
        sqlite.applied()?;
        let (sqlite, asked) = (Mutex::new(sqlite), Mutex::new(Instant::now()));
        Ok(Self { id, at, sqlite, digests: OnceLock::new(), asked })
    }

    /// Shows it, digests it, and holds it for as long as somebody asks.
    /// Where it comes upon damage, `readers` are told.
    pub(super) fn keep(self, hub: Arc<Hub>, readers: Readers) {
        let (look, file) = (Arc::new(self), readers.file());
        hub.look.send_replace(Some(Arc::clone(&look)));
        let work = move || {
            let digests = Digests::of(&mut lock(&look.sqlite));
            if lock(&look.sqlite).found_damage() {
                readers.note_damage(file);
            }
            let _ = look.digests.set(digests.map_err(|error| error.to_string()));
            *lock(&look.asked) = Instant::now();
            let is_this = |held: &Option<Arc<Self>>| {
                held.as_ref().is_some_and(|held| Arc::ptr_eq(held, &look))
            };
            loop {
                let idle = lock(&look.asked).elapsed();
                if idle >= KEPT || !is_this(&hub.look.borrow()) {
                    break;
                }
                std::thread::sleep((KEPT - idle).min(Duration::from_secs(1)));
            }
            hub.look.send_if_modified(|held| is_this(held) && held.take().is_some());
        };
        // Without the thread the view is never digested, and whoever waits gives up.
        if let Err(error) = std::thread::Builder::new().name("verify".to_owned()).spawn(work) {
            tracing::warn!(%error, "no thread to digest the databases");
        }
    }

    /// Ends the view, unless it is being read: a file that nobody reads can be closed whole.
    pub(super) fn give_up(&self) {
        let Ok(mut sqlite) = self.sqlite.try_lock() else { return };
        if let Err(error) = sqlite.execute_batch("ROLLBACK") {
            tracing::warn!(%error, "the view of the databases does not end");
        }
    }

    /// `None` while they are being made.
    pub(super) fn digests(&self) -> Option<&Result<Digests, String>> {
        *lock(&self.asked) = Instant::now();
        self.digests.get()
    }

    /// Rows of a table in order, from the `skip`th on, each with its digest.
    pub(super) fn rows(&self, table: &str, skip: u64) -> Result<Vec<RowDigest>, SqliteError> {
        *lock(&self.asked) = Instant::now();
        row_digests(&mut lock(&self.sqlite), table, skip, ROWS_MAX)
    }
}

impl Digests {
    fn of(sqlite: &mut Sqlite) -> Result<Self, SqliteError> {
        let tables = content_digest(sqlite)?;
        let databases = &sqlite.catalog()?.databases;
        let databases = databases.iter().map(|(name, number)| (*number, name.clone()));
        let (maintenance, number) = MAINTENANCE_DATABASE;
        let databases = databases.chain([(number, maintenance.to_owned())]).collect();
        Ok(Self { tables, databases })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
