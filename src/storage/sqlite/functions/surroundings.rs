//! What functions may ask of the connection that runs them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use super::determinism::Definition;
use crate::log::{Context, Value};
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::{Catalog, FIRST_DATABASE, parts_of_written};
use crate::storage::sqlite::{ConnectionKind, Environment, FailingRow};

/// The state that a connection shares with its functions, virtual tables and hooks.
/// A cheap handle: clone it into closures.
///
/// Everything is behind atomics or short locks. A connection is used by one thread
/// at a time, so no lock is ever waited for; they only make that safe to rely on.
#[derive(Clone)]
pub(in crate::storage::sqlite) struct Surroundings(Arc<Shared>);

struct Shared {
    kind: ConnectionKind,
    /// As it was set.
    context: Mutex<Context>,
    /// Microseconds since 1970; used while `frozen`.
    now_us: AtomicI64,
    clock_us: AtomicI64,
    frozen: AtomicBool,
    /// What `changes()` answers at the start of a statement.
    changes: AtomicI64,
    /// State of the SplitMix64 generator.
    random: AtomicU64,
    environment: Mutex<Arc<Environment>>,
    /// A function asked for it that is not known to.
    #[cfg(test)]
    asked_unknown: AtomicBool,
    catalog: Mutex<Arc<Catalog>>,
    /// The number of the database that `catalog` is of.
    database: AtomicU32,
    /// Moves with every change of the catalog that this connection may not have
    /// seen; functions that cache what they read compare it.
    catalog_generation: AtomicU64,
    sequences: Mutex<Sequences>,
    cancel: Mutex<Cancel>,
    /// Nothing runs on this connection any more.
    ended: AtomicBool,
    /// A [`Shipped`], as its number.
    shipped: AtomicU8,
    /// A function or relation was asked for what other nodes don't have, and may be
    /// another when it is asked again.
    read_local: AtomicBool,
    raised: Mutex<Option<Box<SqlError>>>,
    /// What `set_config` was asked to set, for the session to take over.
    settings_made: Mutex<Vec<SettingMade>>,
    /// The row that a statement which failed came to last, as far as it was noted.
    failing: Mutex<Option<FailingRow>>,
    /// What `pg_notify` was asked to send.
    notifications_made: Mutex<Vec<NotificationMade>>,
    /// The running statement notes which rows it touches.
    notes_rows: AtomicBool,
    /// Those that it put in or changed, by their table.
    touched: Mutex<HashMap<Vec<u8>, HashSet<i64>>>,
}

/// How what the statements that follow change reaches other nodes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shipped {
    /// Not at all: they change nothing, or only what is this node's.
    Not,
    /// As their texts. A function or relation that other nodes would answer otherwise
    /// fails with [`NEEDS_ROWS`].
    AsText,
    /// As their row changes, which are kept.
    AsRows,
}

/// What can't always be shipped.
pub(in crate::storage::sqlite) const WRITE_BY_LOCAL: &str =
    "a write that depends on what only this node or session knows";

/// The SQLSTATE-like code by which a statement asks to be run again, to be shipped as its
/// row changes.
pub const NEEDS_ROWS: &str = "TL002";

/// A call of `pg_notify`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NotificationMade {
    pub pid: i32,
    pub channel: String,
    pub payload: String,
}

/// A call of `set_config`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SettingMade {
    pub name: String,
    /// `None` is the default.
    pub value: Option<String>,
    /// Until the transaction ends.
    pub local: bool,
}

/// Where the values of sequences come from, and went to.
#[derive(Debug, Default)]
pub(in crate::storage::sqlite) struct Sequences {
    /// Name → (next, last) that this node may hand out.
    pub(in crate::storage::sqlite) ranges: BTreeMap<String, (i64, i64)>,
    /// What the context says that the statement draws: name → next value.
    pub(in crate::storage::sqlite) replay: BTreeMap<String, i64>,
    /// Values read by `currval` and `lastval`, as the context says.
    pub(in crate::storage::sqlite) replay_read: BTreeMap<String, i64>,
    /// Name → first value drawn by the statement.
    pub(in crate::storage::sqlite) first: BTreeMap<String, i64>,
    /// Name → value that `currval` (or under "", `lastval`) took from the session.
    pub(in crate::storage::sqlite) read: BTreeMap<String, i64>,
    /// Name → last value drawn by the statement.
    pub(in crate::storage::sqlite) last: BTreeMap<String, i64>,
    /// The sequence drawn from last.
    pub(in crate::storage::sqlite) latest: Option<String>,
    /// What the catalog says of each sequence, read when first needed.
    pub(in crate::storage::sqlite) definitions: BTreeMap<String, Definition>,
    /// The catalog generation that `definitions` were read at.
    pub(in crate::storage::sqlite) definitions_generation: u64,
}

#[derive(Default)]
struct Cancel {
    flag: Option<Arc<AtomicBool>>,
    deadline: Option<Instant>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic inside a function is caught by rusqlite; the state stays usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Surroundings {
    pub(in crate::storage::sqlite) fn new(kind: ConnectionKind) -> Self {
        Self(Arc::new(Shared {
            kind,
            context: Mutex::default(),
            now_us: AtomicI64::new(0),
            clock_us: AtomicI64::new(0),
            frozen: AtomicBool::new(false),
            changes: AtomicI64::new(0),
            random: AtomicU64::new(rand::random()),
            environment: Mutex::default(),
            #[cfg(test)]
            asked_unknown: AtomicBool::new(false),
            catalog: Mutex::default(),
            database: AtomicU32::new(FIRST_DATABASE),
            catalog_generation: AtomicU64::new(0),
            sequences: Mutex::default(),
            cancel: Mutex::default(),
            ended: AtomicBool::new(false),
            shipped: AtomicU8::new(Shipped::Not as u8),
            read_local: AtomicBool::new(false),
            raised: Mutex::default(),
            settings_made: Mutex::default(),
            failing: Mutex::default(),
            notifications_made: Mutex::default(),
            notes_rows: AtomicBool::new(false),
            touched: Mutex::default(),
        }))
    }

    /// Whether this connection may change the database.
    pub(in crate::storage::sqlite) fn is_writer(&self) -> bool {
        self.0.kind == ConnectionKind::Writer
    }

    /// `now()`: start of the transaction, microseconds since 1970-01-01 UTC.
    pub(in crate::storage::sqlite) fn now_us(&self) -> i64 {
        if self.0.frozen.load(Ordering::Relaxed) {
            self.0.now_us.load(Ordering::Relaxed)
        } else {
            wall_clock_us()
        }
    }

    /// Start of the statement, microseconds since 1970-01-01 UTC; also what SQLite
    /// takes for `'now'`.
    pub(in crate::storage::sqlite) fn statement_us(&self) -> i64 {
        if self.0.frozen.load(Ordering::Relaxed) {
            self.0.clock_us.load(Ordering::Relaxed)
        } else {
            wall_clock_us()
        }
    }

    /// `clock_timestamp()`: on a writer the statement's start, which followers can
    /// repeat; elsewhere the wall clock.
    pub(in crate::storage::sqlite) fn clock_us(&self) -> i64 {
        if self.is_writer() { self.statement_us() } else { wall_clock_us() }
    }

    /// The clock that SQLite's own date functions are to see, if it is frozen.
    pub(in crate::storage::sqlite) fn frozen_clock_us(&self) -> Option<i64> {
        let frozen = self.0.frozen.load(Ordering::Relaxed);
        frozen.then(|| self.0.clock_us.load(Ordering::Relaxed))
    }

    /// The next draw of the seeded generator (SplitMix64).
    pub(in crate::storage::sqlite) fn random(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let state = self.0.random.load(Ordering::Relaxed).wrapping_add(STEP);
        self.0.random.store(state, Ordering::Relaxed);
        let mut draw = state;
        draw = (draw ^ (draw >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        draw = (draw ^ (draw >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        draw ^ (draw >> 31)
    }

    /// Fills `bytes` from the seeded generator.
    pub(in crate::storage::sqlite) fn fill_random(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.random().to_le_bytes()[..chunk.len()]);
        }
    }

    /// What `changes()` answers until the statement changes something.
    pub(in crate::storage::sqlite) fn changes(&self) -> i64 {
        self.0.changes.load(Ordering::Relaxed)
    }

    /// The session's surroundings, as set before the statement.
    pub(in crate::storage::sqlite) fn environment(&self) -> Arc<Environment> {
        lock(&self.0.environment).clone()
    }

    /// What a function finds that is not known to ask.
    pub(super) fn unasked(&self) -> Arc<Environment> {
        tracing::error!("a function asks for surroundings that nobody set");
        #[cfg(test)]
        self.0.asked_unknown.store(true, Ordering::Relaxed);
        Arc::default()
    }

    #[cfg(test)]
    pub(in crate::storage::sqlite) fn take_asked_unknown(&self) -> bool {
        self.0.asked_unknown.swap(false, Ordering::Relaxed)
    }

    pub(in crate::storage::sqlite) fn set_environment(&self, environment: Arc<Environment>) {
        *lock(&self.0.environment) = environment;
    }

    /// The database's catalog. Fresh in a statement that reads a table of
    /// `pg_catalog` or `information_schema`, or calls a function for which
    /// `refusals::needs_catalog` holds; else possibly of an earlier schema.
    pub(in crate::storage::sqlite) fn catalog(&self) -> Arc<Catalog> {
        lock(&self.0.catalog).clone()
    }

    pub(in crate::storage::sqlite) fn set_catalog(&self, catalog: Arc<Catalog>) {
        *lock(&self.0.catalog) = catalog;
    }

    /// The number of the database whose catalog it is.
    pub(in crate::storage::sqlite) fn database(&self) -> u32 {
        self.0.database.load(Ordering::Relaxed)
    }

    /// Shows another database, of which `catalog` is what is known so far.
    pub(in crate::storage::sqlite) fn set_database(&self, catalog: Arc<Catalog>) {
        self.0.database.store(catalog.database, Ordering::Relaxed);
        self.set_catalog(catalog);
    }

    pub(in crate::storage::sqlite) fn catalog_generation(&self) -> u64 {
        self.0.catalog_generation.load(Ordering::Relaxed)
    }

    pub(in crate::storage::sqlite) fn bump_catalog_generation(&self) {
        self.0.catalog_generation.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::storage::sqlite) fn sequences(&self) -> MutexGuard<'_, Sequences> {
        lock(&self.0.sequences)
    }

    pub(in crate::storage::sqlite) fn set_cancel(
        &self,
        flag: Option<Arc<AtomicBool>>,
        deadline: Option<Instant>,
    ) {
        *lock(&self.0.cancel) = Cancel { flag, deadline };
    }

    /// Whether the running statement should stop. A function that runs long or
    /// sleeps asks now and then, and returns an error of SQLite's `INTERRUPT`.
    pub(in crate::storage::sqlite) fn interrupted(&self) -> bool {
        let cancel = lock(&self.0.cancel);
        self.is_ended()
            || cancel.flag.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
            || cancel.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Has whatever runs stop, and nothing run after it.
    pub(in crate::storage::sqlite) fn end(&self) {
        self.0.ended.store(true, Ordering::SeqCst);
    }

    pub(in crate::storage::sqlite) fn is_ended(&self) -> bool {
        self.0.ended.load(Ordering::SeqCst)
    }

    pub(in crate::storage::sqlite) fn set_shipped(&self, shipped: Shipped) {
        self.0.shipped.store(shipped as u8, Ordering::Relaxed);
    }

    pub(in crate::storage::sqlite) fn keeps_rows(&self) -> bool {
        self.0.shipped.load(Ordering::Relaxed) == Shipped::AsRows as u8
    }

    /// Notes a row that is about to be written, from its first value on or a later one.
    pub(super) fn note_failing(&self, table: &str, first: bool, values: Vec<Value>) {
        let mut failing = lock(&self.0.failing);
        match failing.as_mut().filter(|_| !first) {
            Some((_, row)) => row.extend(values),
            None => *failing = Some((table.to_owned(), values)),
        }
    }

    /// The row that was noted last.
    pub(in crate::storage::sqlite) fn take_failing(&self) -> Option<FailingRow> {
        lock(&self.0.failing).take()
    }

    /// A statement begins, which notes the rows that it touches or does not.
    pub(in crate::storage::sqlite) fn note_rows(&self, notes: bool) {
        if self.0.notes_rows.swap(notes, Ordering::Relaxed) {
            lock(&self.0.touched).clear();
        }
    }

    pub(in crate::storage::sqlite) fn touch(&self, table: &[u8], row: i64) {
        if !self.0.notes_rows.load(Ordering::Relaxed) {
            return;
        }
        let mut touched = lock(&self.0.touched);
        match touched.get_mut(table) {
            Some(rows) => rows.insert(row),
            None => touched.entry(table.to_vec()).or_default().insert(row),
        };
    }

    /// Whether the running statement has put in or changed this row.
    pub(in crate::storage::sqlite) fn has_touched(&self, table: &str, row: i64) -> bool {
        lock(&self.0.touched).get(table.as_bytes()).is_some_and(|rows| rows.contains(&row))
    }

    /// Whether what other nodes don't have, and may change, was read since the context was
    /// set.
    pub(in crate::storage::sqlite) fn read_local(&self) -> bool {
        self.0.read_local.load(Ordering::Relaxed)
    }

    /// Something is read that other nodes don't have: fails where they would have to.
    /// With `repeats`, who runs the statement again in its session reads the same.
    pub(in crate::storage::sqlite) fn note_local(&self, repeats: bool) -> rusqlite::Result<()> {
        if !repeats {
            self.0.read_local.store(true, Ordering::Relaxed);
        }
        if self.0.shipped.load(Ordering::Relaxed) != Shipped::AsText as u8 {
            return Ok(());
        }
        self.sequences().give_back();
        let error = SqlError::unsupported(WRITE_BY_LOCAL);
        Err(self.raise(SqlError { state: SqlState(NEEDS_ROWS), ..error }))
    }

    /// Makes the error that a function returns to raise `error` at the client.
    pub(in crate::storage::sqlite) fn raise(&self, error: SqlError) -> rusqlite::Error {
        *lock(&self.0.raised) = Some(Box::new(error.clone()));
        rusqlite::Error::UserFunctionError(Box::new(error))
    }

    /// Puts `error` aside for the connection, whatever text SQLite then reports.
    pub(in crate::storage::sqlite) fn set_raised(&self, error: SqlError) {
        *lock(&self.0.raised) = Some(Box::new(error));
    }

    pub(in crate::storage::sqlite) fn take_raised(&self) -> Option<Box<SqlError>> {
        lock(&self.0.raised).take()
    }

    pub(in crate::storage::sqlite) fn make_setting(&self, made: SettingMade) {
        lock(&self.0.settings_made).push(made);
    }

    pub(in crate::storage::sqlite) fn take_settings(&self) -> Vec<SettingMade> {
        std::mem::take(&mut *lock(&self.0.settings_made))
    }

    pub(in crate::storage::sqlite) fn make_notification(&self, made: NotificationMade) {
        lock(&self.0.notifications_made).push(made);
    }

    pub(in crate::storage::sqlite) fn take_notifications(&self) -> Vec<NotificationMade> {
        std::mem::take(&mut *lock(&self.0.notifications_made))
    }

    /// Freezes the surroundings for the statements that follow.
    pub(in crate::storage::sqlite) fn set_context(&self, context: &Context) {
        let shared = &self.0;
        shared.now_us.store(context.now_us, Ordering::Relaxed);
        shared.clock_us.store(context.clock_us, Ordering::Relaxed);
        shared.changes.store(context.changes, Ordering::Relaxed);
        shared.random.store(context.seed, Ordering::Relaxed);
        shared.frozen.store(true, Ordering::Relaxed);
        shared.read_local.store(false, Ordering::Relaxed);
        lock(&shared.settings_made).clear();
        lock(&shared.notifications_made).clear();
        lock(&shared.context).clone_from(context);
        self.sequences().begin(&context.sequences);
    }

    /// The context that repeats what has run since it was set.
    pub(in crate::storage::sqlite) fn drawn_context(&self) -> Context {
        let sequences = self.sequences().drawn();
        Context { sequences, ..lock(&self.0.context).clone() }
    }
}

impl Sequences {
    /// Starts a statement which, if `starts` has any, repeats what was drawn before.
    fn begin(&mut self, starts: &[(String, i64)]) {
        for map in [
            &mut self.replay,
            &mut self.replay_read,
            &mut self.first,
            &mut self.read,
            &mut self.last,
        ] {
            if !map.is_empty() {
                map.clear();
            }
        }
        self.latest = None;
        for (name, value) in starts {
            match name.strip_prefix(READ_MARK) {
                Some(name) => self.replay_read.insert(name.to_owned(), *value),
                None => self.replay.insert(name.clone(), *value),
            };
        }
    }

    /// The `sequences` of the context to log.
    pub(in crate::storage::sqlite) fn drawn(&self) -> Vec<(String, i64)> {
        let read = self.read.iter().map(|(name, value)| (format!("{READ_MARK}{name}"), *value));
        let first = self.first.iter().map(|(name, value)| (name.clone(), *value));
        let mut drawn: Vec<_> = first.chain(read).collect();
        drawn.sort();
        drawn
    }
}

/// Marks, in a context's `sequences`, a value that `currval` read from the session
/// instead of a start to draw from. No folded sequence name starts with it.
const READ_MARK: char = '\u{1}';

/// The name in what a client wrote as a (qualified, perhaps quoted) name:
/// `public."S"` is `S`, `S` is `s`.
pub(in crate::storage::sqlite) fn fold_name(written: &str) -> String {
    parts_of_written(written).pop().unwrap_or_default()
}

fn wall_clock_us() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
