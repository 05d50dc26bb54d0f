//! Connections: how they are opened, what they cache, and what they tell each other
//! about changes of the schema.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use lru::LruCache;
use rusqlite::ffi as codes;

use super::effect::RawValue;
use super::error::SqliteError;
use super::ffi::{Database, Prepared, Step, Switch};
use super::functions::{self, Sequences, Shipped, Surroundings};
use super::hooks::{Hooks, Traits};
use super::rows::KeptRows;
use super::statement::{Cached, Statement};
use super::vtab::LiveRelations;
use super::{catalog, clock, digest, refusals, vtab};
use crate::log::{self, Context, Lsn, Value, ValueRef};
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::{BOOTSTRAP, Catalog};

/// What a connection may do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConnectionKind {
    /// The one connection that changes the database.
    Writer,
    /// `query_only`.
    Reader,
}

/// What functions ask of their node and session (system functions such as
/// `pg_is_in_recovery()`, `current_user`, `pg_current_wal_lsn()`,
/// `current_setting(name)`); set before each statement by its session.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// CURRENT_USER and SESSION_USER.
    pub user: String,
    pub session_user: String,
    /// How the users of the configuration are called, who are one role.
    pub owner: String,
    pub database: String,
    /// What the first database is called.
    pub first_database: String,
    pub in_recovery: bool,
    pub backend_pid: i32,
    /// Where the session's client connected from.
    pub client: Option<SocketAddr>,
    pub commit_lsn: Lsn,
    pub applied_lsn: Lsn,
    pub search_path: String,
    /// Settings by name, for `current_setting`.
    pub settings: Arc<BTreeMap<String, String>>,
    /// What the session's earlier statements drew, for `currval`: the union, later
    /// ones winning, of [`Sqlite::drawn_sequences`].
    pub sequence_values: Arc<BTreeMap<String, i64>>,
    /// The sequence of which `lastval()` is the value.
    pub last_sequence: Option<String>,
    /// Rows of `pg_stat_replication` and the like.
    pub live: LiveRelations,
    /// The session's advisory locks.
    pub advisory: super::AdvisoryLocks,
    /// What the session may tell others to do.
    pub orders: super::Orders,
}

/// One connection, its cached statements, and its frozen surroundings.
/// Used by one thread at a time; may move between threads.
pub struct Sqlite {
    pub(super) handle: Arc<Handle>,
}

/// Marks a point in the effect hash to which an undone statement sets it back.
#[derive(Clone, Copy, Debug)]
pub struct UndoMark(u64);

/// What the statements of a connection share with it.
pub(super) struct Handle {
    kind: ConnectionKind,
    cache: Mutex<Cache>,
    /// Moved by every connection to the same file in this process.
    generations: Arc<Generations>,
    /// The open transaction changed the schema or catalog: others learn at its end.
    changed: AtomicBool,
    catalog: Mutex<CachedCatalogs>,
    /// SQLite's count of other connections' changes, as seen last.
    pub(super) data_version: AtomicI64,
    usage: Mutex<Usage>,
    pub(super) database: Arc<Database>,
}

/// Who has a connection of a pool.
#[derive(Debug, Default)]
struct Usage {
    /// Since when somebody has it.
    lent: Option<Instant>,
    /// Its holder does nothing with it until it says so.
    resting: bool,
}

/// Ends a connection that is in somebody else's hands. Does not keep it open.
pub struct Ender(Weak<Handle>);

impl Ender {
    /// Whether the connection is closed, or about to be.
    pub fn is_done(&self) -> bool {
        self.0.upgrade().is_none_or(|handle| handle.is_ended())
    }

    /// Ends it if it has been lent for longer than this; whether it did. What runs on it
    /// stops soon, and gives its snapshot up then; whoever rests loses it now, and hears of
    /// it at the next use.
    pub fn end_if_lent_for(&self, longer_than: Duration) -> bool {
        let Some(handle) = self.0.upgrade() else { return false };
        let usage = handle.usage();
        if usage.lent.is_none_or(|lent| lent.elapsed() <= longer_than) {
            return false;
        }
        handle.surroundings().end();
        if usage.resting
            && let Err(error) = handle.database.end_reads()
        {
            tracing::warn!(%error, "a read transaction could not be ended");
        }
        true
    }
}

struct Cache {
    statements: LruCache<Arc<str>, Cached>,
    /// The schema generation that SQLite's own copy of the schema was checked for.
    generation: u64,
}

/// The catalogs of the databases that the connection served last.
struct CachedCatalogs {
    by_database: LruCache<u32, CachedCatalog>,
    loading: bool,
}

struct CachedCatalog {
    /// The catalog generation that it was loaded at; `None` if it is to be loaded.
    generation: Option<u64>,
    catalog: Arc<Catalog>,
}

/// Catalogs that a connection keeps.
const CACHE_CATALOGS: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");

/// Counts the changes that connections to one file must notice. SQLite notices a
/// changed schema only when a statement is stepped, which is too late for whoever
/// asked for its columns; and asking the file each time costs as much as a read.
#[derive(Debug, Default)]
struct Generations {
    /// Changes of tables, views, indexes, triggers.
    schema: AtomicU64,
    /// Those, and changes of Towline's own catalog tables.
    catalog: AtomicU64,
}

/// Statements cached by a connection, each of which holds some KiB.
const CACHE_STATEMENTS: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
/// A longer text is hardly sent twice, and its program is large.
const CACHED_TEXT_BYTES_MAX: usize = 16 * 1024;

/// Page caches, in KiB. Filled as pages are used; what a query sorts in memory is bound by
/// the same.
const WRITER_CACHE_KIB: u32 = 64 * 1024;
const READER_CACHE_KIB: u32 = 32 * 1024;
/// To what the WAL is truncated once it could be restarted.
const WAL_BYTES_KEPT: u32 = 64 * 1024 * 1024;

/// What a statement or value may be, so that hostile ones end in an error long
/// before memory or the stack does.
const LIMITS: &[(i32, i32)] = &[
    (codes::SQLITE_LIMIT_LENGTH, 256 * 1024 * 1024),
    (codes::SQLITE_LIMIT_SQL_LENGTH, 32 * 1024 * 1024),
    (codes::SQLITE_LIMIT_EXPR_DEPTH, 1000),
    (codes::SQLITE_LIMIT_COMPOUND_SELECT, 500),
    (codes::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50_000),
    (codes::SQLITE_LIMIT_TRIGGER_DEPTH, 100),
    (codes::SQLITE_LIMIT_WORKER_THREADS, 0),
];

impl Sqlite {
    /// Opens (a writer also creates) the database file, with functions,
    /// collations, virtual catalog tables, the clock shim and, for a writer, the
    /// preupdate hook installed. `:memory:` is a database without a file, for tests.
    pub fn open(path: &Path, kind: ConnectionKind) -> Result<Self, SqliteError> {
        let writer = kind == ConnectionKind::Writer;
        let surroundings = Surroundings::new(kind);
        let hooks = Hooks::new(surroundings.clone());
        let database = Arc::new(Database::open(path, writer, writer, hooks)?);
        for (limit, value) in LIMITS {
            database.set_limit(*limit, *value);
        }
        database.set_switch(Switch::TrustedSchema, false)?;
        database.set_switch(Switch::Defensive, true)?;
        database.set_switch(Switch::ForeignKeys, true)?;
        database.set_switch(Switch::NoCheckpointOnClose, !writer)?;
        let handle = Handle {
            kind,
            cache: Mutex::new(Cache { statements: LruCache::new(CACHE_STATEMENTS), generation: 0 }),
            generations: generations(path),
            changed: AtomicBool::new(false),
            catalog: Mutex::new(CachedCatalogs {
                by_database: LruCache::new(CACHE_CATALOGS),
                loading: false,
            }),
            data_version: AtomicI64::new(0),
            usage: Mutex::default(),
            database,
        };
        let mut sqlite = Self { handle: Arc::new(handle) };
        sqlite.configure(path)?;
        sqlite.handle.database.with_rusqlite(|connection| {
            functions::register_all(connection, &surroundings)?;
            vtab::register(connection, &surroundings)
        })?;
        if writer {
            sqlite.adopt()?;
            sqlite.changed_from_outside()?;
        } else {
            sqlite.execute_batch("PRAGMA query_only = ON")?;
        }
        sqlite.handle.hooks().set_trusted(false);
        sqlite.effect_reset();
        Ok(sqlite)
    }

    fn configure(&mut self, path: &Path) -> Result<(), SqliteError> {
        if self.handle.kind == ConnectionKind::Writer {
            // Before the first table: it cannot be changed later.
            self.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
            let mode = self.query_text("PRAGMA journal_mode = WAL")?;
            if mode != "wal" && path != Path::new(":memory:") {
                let message = format!("the database cannot be kept in WAL mode, only in {mode}");
                return Err(SqliteError::new(codes::SQLITE_CANTOPEN, message, None, None));
            }
            self.execute_batch(&format!(
                "PRAGMA synchronous = NORMAL;
                 PRAGMA journal_size_limit = {WAL_BYTES_KEPT};
                 PRAGMA cache_size = -{WRITER_CACHE_KIB}"
            ))?;
        } else {
            self.execute_batch(&format!("PRAGMA cache_size = -{READER_CACHE_KIB}"))?;
        }
        self.execute_batch(
            "ATTACH ':memory:' AS pg_catalog; ATTACH ':memory:' AS information_schema",
        )
    }

    /// Makes Towline's own tables in a file that lacks them, and refuses a file whose
    /// schema could undo other sessions' transactions.
    fn adopt(&mut self) -> Result<(), SqliteError> {
        let mut schema = self.prepare("SELECT name, sql FROM main.sqlite_schema")?;
        let (mut made, mut whole) = (false, false);
        while schema.step()? {
            made |= schema.column(0) == ValueRef::Text("towline_applied");
            whole |= schema.column(0) == ValueRef::Text("towline_database");
            if let ValueRef::Text(sql) = schema.column(1) {
                refusals::refuse_rollback_clauses(sql).map_err(SqliteError::refused)?;
            }
        }
        drop(schema);
        if made && !whole {
            return Err(SqliteError::refused(SqlError::unsupported(
                "a database file whose own tables were made by another version",
            )));
        }
        if made {
            return Ok(());
        }
        self.execute_batch("BEGIN IMMEDIATE")?;
        self.execute_batch(BOOTSTRAP)?;
        self.execute_batch("COMMIT")
    }

    pub(super) fn of(handle: Arc<Handle>) -> Self {
        Self { handle }
    }

    /// Prepares, or takes from the cache. `sql` is exactly one statement.
    pub fn prepare(&mut self, sql: &str) -> Result<Statement, SqliteError> {
        self.handle.check_not_ended()?;
        self.handle.check_schema()?;
        if let Some(statement) = self.check_out_cached(sql) {
            return Ok(statement);
        }
        self.prepare_new(sql, sql.len() <= CACHED_TEXT_BYTES_MAX)
    }

    /// Prepares a statement which is not to be kept.
    pub(super) fn prepare_once(&mut self, sql: &str) -> Result<Statement, SqliteError> {
        self.handle.check_schema()?;
        self.prepare_new(sql, false)
    }

    fn prepare_new(&mut self, sql: &str, keep: bool) -> Result<Statement, SqliteError> {
        let (prepared, tail) = self.compile(sql)?;
        if !tail.is_empty() && !refusals::is_blank(tail) {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(SqliteError::refused(SqlError::new(SqlState::SYNTAX_ERROR, message)));
        }
        let Some(prepared) = prepared else {
            return Err(SqliteError::refused(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "the statement is empty",
            )));
        };
        Ok(self.check_out(sql, prepared, keep))
    }

    fn check_out_cached(&self, sql: &str) -> Option<Statement> {
        let (text, cached) = self.handle.cache().statements.pop_entry(sql)?;
        Some(Statement::new(Arc::clone(&self.handle), text, cached, true))
    }

    fn check_out(&self, sql: &str, prepared: Prepared, keep: bool) -> Statement {
        let cached = Cached::new(prepared, self.handle.cache().generation);
        Statement::new(Arc::clone(&self.handle), Arc::from(sql), cached, keep)
    }

    /// Compiles the first statement; returns it and the text after it.
    fn compile<'a>(&self, sql: &'a str) -> Result<(Option<Prepared>, &'a str), SqliteError> {
        // SQLite would take the text to end there.
        if sql.as_bytes().contains(&0) {
            return Err(SqliteError::refused(SqlError::new(
                SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                "invalid byte sequence for encoding \"UTF8\": 0x00",
            )));
        }
        if self.handle.kind == ConnectionKind::Writer {
            refusals::refuse_rollback_clauses(sql).map_err(SqliteError::refused)?;
        }
        let persistent = sql.len() <= CACHED_TEXT_BYTES_MAX;
        // The schema's expressions may be evaluated while compiling.
        let frozen = self.handle.surroundings().frozen_clock_us();
        let compiled = clock::with(frozen, || self.handle.database.prepare(sql, persistent));
        let (prepared, taken) = compiled?;
        Ok((prepared, sql.get(taken..).unwrap_or_default()))
    }

    /// Runs statements without parameters or results (BEGIN, SAVEPOINT, DDL).
    pub fn execute_batch(&mut self, sql: &str) -> Result<(), SqliteError> {
        self.handle.check_schema()?;
        if let Some(statement) = self.check_out_cached(sql) {
            return run(statement);
        }
        let mut rest = sql;
        while !rest.is_empty() {
            let (prepared, tail) = self.compile(rest)?;
            if let Some(prepared) = prepared {
                let taken = &rest[..rest.len() - tail.len()];
                // Of several, none is likely to come again alone.
                let keep = taken.len() == sql.len() && sql.len() <= CACHED_TEXT_BYTES_MAX;
                run(self.check_out(taken, prepared, keep))?;
            }
            if tail.len() == rest.len() {
                break;
            }
            rest = tail;
        }
        Ok(())
    }

    /// The first column of the first row, as text.
    fn query_text(&mut self, sql: &str) -> Result<String, SqliteError> {
        let mut statement = self.prepare(sql)?;
        statement.step()?;
        Ok(match statement.column(0) {
            ValueRef::Text(text) => text.to_owned(),
            ValueRef::Integer(value) => value.to_string(),
            _ => String::new(),
        })
    }

    /// The first column of the first row, as a number; 0 without one.
    pub(super) fn query_integer(&mut self, sql: &str) -> Result<i64, SqliteError> {
        let mut statement = self.prepare(sql)?;
        statement.step()?;
        Ok(match statement.column(0) {
            ValueRef::Integer(value) => value,
            _ => 0,
        })
    }

    /// Runs work of the connection's own, which may do what clients may not.
    pub(super) fn trusted<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        let before = self.handle.hooks().set_trusted(true);
        let result = work(self);
        self.handle.hooks().set_trusted(before);
        result
    }

    /// Freezes clock, randomness, `last_insert_rowid`, `changes` and sequence
    /// starts for the statements that follow.
    pub fn set_context(&mut self, context: &Context) {
        self.handle.surroundings().set_context(context);
        self.handle.database.set_last_insert_rowid(context.last_insert_rowid);
    }

    /// What the statement drew: the `sequences` of the context to log with it.
    /// The rest of the context is as it was set.
    pub fn drawn_context(&self) -> Context {
        self.handle.surroundings().drawn_context()
    }

    /// What the statement drew last from each sequence (or set it to), and from which
    /// sequence it drew last of all: the session keeps it for its [`Environment`].
    pub fn drawn_sequences(&self) -> (BTreeMap<String, i64>, Option<String>) {
        let sequences = self.handle.surroundings().sequences();
        (sequences.last.clone(), sequences.latest.clone())
    }

    /// The session's surroundings for system functions.
    pub fn set_environment(&mut self, environment: impl Into<Arc<Environment>>) {
        self.handle.surroundings().set_environment(environment.into());
    }

    /// What `set_config` was asked to set since the context was set: the session takes
    /// it over.
    pub fn take_settings(&self) -> Vec<super::SettingMade> {
        self.handle.surroundings().take_settings()
    }

    /// What `pg_notify` was asked to send since the context was set.
    pub fn take_notifications(&self) -> Vec<super::NotificationMade> {
        self.handle.surroundings().take_notifications()
    }

    /// Ranges of sequences that this node may draw from: name → (next, last).
    /// `nextval` beyond it fails with [`SqliteError`] whose `raised` has SQLSTATE
    /// `TL001` and as its message the sequence's name: reserve, then run the
    /// statement again. The draws of the statement that failed so are given back.
    pub fn sequence_ranges(&mut self) -> SequenceRanges<'_> {
        SequenceRanges(self.handle.surroundings().sequences())
    }

    /// The effect hash so far in this transaction.
    pub fn effect(&self) -> u64 {
        self.handle.hooks().effect().hash()
    }

    pub fn effect_mark(&self) -> UndoMark {
        UndoMark(self.effect())
    }

    pub fn effect_undo(&mut self, mark: UndoMark) {
        self.handle.hooks().effect().set(mark.0);
    }

    /// A transaction begins, or one was undone: without effect so far, or broken keys.
    pub fn effect_reset(&mut self) {
        self.handle.hooks().effect().set(0);
        self.handle.hooks().keys().reset();
    }

    /// Adds the schema, and the rows of `tables`, to the effect hash: for a
    /// transaction with DDL, of which the row changes do not tell enough. Tables that
    /// do not exist (any more) add their absence.
    pub fn effect_add_schema(&mut self, tables: &[&str]) -> Result<(), SqliteError> {
        let schema = digest::schema(self)?;
        self.add_effect(&[RawValue::Integer(schema.cast_signed())]);
        for table in tables {
            let rows = digest::table(self, table)?;
            let rows = rows.map_or(RawValue::Null, |rows| RawValue::Integer(rows.cast_signed()));
            self.add_effect(&[RawValue::Text(table.as_bytes()), rows]);
        }
        Ok(())
    }

    fn add_effect(&self, values: &[RawValue<'_>]) {
        self.handle.hooks().effect().add_row(values.iter().copied());
    }

    /// What ends it while somebody has it.
    pub fn ender(&self) -> Ender {
        Ender(Arc::downgrade(&self.handle))
    }

    /// It goes from a pool into somebody's hands (`true`), or comes back.
    pub fn set_lent(&self, lent: bool) {
        *self.handle.usage() = Usage { lent: lent.then(Instant::now), resting: false };
    }

    /// Gives up the pages that it keeps in memory.
    pub fn release_memory(&self) {
        self.handle.database.release_memory();
    }

    /// Says whether its holder leaves it alone for now, statements and rows included, or
    /// goes on with it. While it rests it can be ended at once.
    pub fn set_resting(&self, resting: bool) {
        self.handle.set_resting(resting);
    }

    /// Whether it was ended while somebody had it: good for nothing any more.
    pub fn is_ended(&self) -> bool {
        self.handle.is_ended()
    }

    /// Stops a running statement with `Interrupted` soon after `flag` is set or
    /// the deadline has passed.
    pub fn set_cancel(&mut self, flag: Option<Arc<AtomicBool>>, deadline: Option<Instant>) {
        self.handle.surroundings().set_cancel(flag, deadline);
    }

    /// Whether foreign keys are violated in the open transaction: 0, or more. SQLite
    /// does not tell how many, nor by which savepoint: of members that run one after
    /// the other, the first after which it is not 0 is the one.
    pub fn deferred_foreign_key_violations(&self) -> Result<u64, SqliteError> {
        Ok(u64::from(self.handle.database.has_deferred_violations()?))
    }

    /// Says how what the statements that follow change reaches other nodes.
    pub fn set_shipped(&mut self, shipped: Shipped) -> Result<(), SqliteError> {
        self.handle.surroundings().set_shipped(shipped);
        if shipped == Shipped::AsRows {
            let kept = self.trusted(KeptRows::begin)?;
            *self.handle.hooks().kept_rows() = kept;
        }
        Ok(())
    }

    /// Whether what other nodes don't have was read since the context was set.
    pub fn read_local(&self) -> bool {
        self.handle.surroundings().read_local()
    }

    /// What was changed since it was said to be shipped as rows: statements that do the
    /// same on any node, in this context.
    pub fn take_rows(&mut self, context: &Context) -> Result<Vec<log::Statement>, SqliteError> {
        let kept = std::mem::take(&mut *self.handle.hooks().kept_rows());
        self.trusted(|sqlite| kept.into_statements(sqlite, context))
    }

    /// Does something without triggers and foreign keys: of row changes, what these did is
    /// a part already.
    pub fn without_consequences<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        let foreign_keys = self.handle.database.switch(Switch::ForeignKeys)?;
        self.set_foreign_keys(false)?;
        self.handle.database.set_switch(Switch::Triggers, false)?;
        let result = work(self);
        self.handle.database.set_switch(Switch::Triggers, true)?;
        self.set_foreign_keys(foreign_keys)?;
        result
    }

    /// Switches foreign key enforcement, also inside a transaction.
    pub fn set_foreign_keys(&mut self, on: bool) -> Result<(), SqliteError> {
        self.handle.database.set_switch(Switch::ForeignKeys, on)
    }

    /// Defers all foreign keys until the end of the SQLite transaction (or not any
    /// more): `SET CONSTRAINTS ALL DEFERRED`. Belongs to the member of a group that
    /// asked for it, so switch it off after. A follower may leave it on: what it
    /// applies has passed the checks.
    pub fn set_defer_foreign_keys(&mut self, on: bool) -> Result<(), SqliteError> {
        let text =
            if on { "PRAGMA defer_foreign_keys = 1" } else { "PRAGMA defer_foreign_keys = 0" };
        self.trusted(|sqlite| sqlite.execute_batch(text))
    }

    /// The first row found, of a table or of any, that violates a foreign key, as (table,
    /// referenced table).
    pub fn foreign_key_check(
        &mut self,
        table: Option<&str>,
    ) -> Result<Option<(String, String)>, SqliteError> {
        let text = match table {
            None => "PRAGMA main.foreign_key_check".to_owned(),
            // None that is gone.
            Some(name) => format!(
                "SELECT held.* FROM main.sqlite_schema AS known, \
                 pragma_foreign_key_check(known.name, 'main') AS held \
                 WHERE known.type = 'table' AND known.name = '{}'",
                name.replace('\'', "''")
            ),
        };
        let mut check = self.prepare(&text)?;
        if !check.step()? {
            return Ok(None);
        }
        let text = |value: ValueRef<'_>| match value {
            ValueRef::Text(text) => text.to_owned(),
            _ => String::new(),
        };
        Ok(Some((text(check.column(0)), text(check.column(2)))))
    }

    /// Whether a transaction is open; false where SQLite undid it by itself.
    pub fn in_transaction(&self) -> bool {
        !self.handle.database.autocommit()
    }

    pub fn changes(&self) -> i64 {
        self.handle.database.changes()
    }

    pub fn last_insert_rowid(&self) -> i64 {
        self.handle.database.last_insert_rowid()
    }

    /// Whose catalog functions and system relations see from here on: the database of
    /// the statements that follow. A new connection's is the first.
    pub fn set_database(&mut self, database: u32) {
        let surroundings = self.handle.surroundings();
        if surroundings.database() == database {
            return;
        }
        let mut cached = self.handle.cached_catalogs();
        let catalog = match cached.by_database.get(&database) {
            Some(known) => Arc::clone(&known.catalog),
            None => Arc::new(Catalog::empty(database)),
        };
        surroundings.set_database(catalog);
    }

    /// The types, relations and sequences of the connection's database, cached by schema
    /// version.
    pub fn catalog(&mut self) -> Result<Arc<Catalog>, SqliteError> {
        self.refresh_catalog()?;
        Ok(self.handle.surroundings().catalog())
    }

    /// As [`Self::catalog`], of the database with this number.
    pub fn catalog_of(&mut self, database: u32) -> Result<Arc<Catalog>, SqliteError> {
        self.set_database(database);
        self.catalog()
    }

    /// Loads the catalog if it may have changed, and shows it to the functions.
    pub(super) fn refresh_catalog(&mut self) -> Result<(), SqliteError> {
        let current = self.handle.generations.catalog.load(Ordering::Acquire);
        let database = self.handle.surroundings().database();
        {
            let mut cached = self.handle.cached_catalogs();
            let known = cached.by_database.get(&database);
            // While loading, functions called by the loader see the one before.
            if known.is_some_and(|known| known.generation == Some(current)) || cached.loading {
                return Ok(());
            }
            cached.loading = true;
        }
        let loaded = self.trusted(|sqlite| catalog::load(sqlite, database));
        // An old snapshot's catalog is not the current one.
        let settled = self.handle.kind == ConnectionKind::Writer || !self.in_transaction();
        let mut cached = self.handle.cached_catalogs();
        cached.loading = false;
        let mut catalog = loaded?;
        catalog.version = digest::catalog_version(&catalog);
        let catalog = Arc::new(catalog);
        let generation = settled.then_some(current);
        let loaded = CachedCatalog { generation, catalog: Arc::clone(&catalog) };
        cached.by_database.put(database, loaded);
        self.handle.surroundings().set_catalog(catalog);
        Ok(())
    }
}

/// The sequence ranges of a connection, while they are looked at or changed.
pub struct SequenceRanges<'a>(MutexGuard<'a, Sequences>);

impl std::ops::Deref for SequenceRanges<'_> {
    type Target = BTreeMap<String, (i64, i64)>;

    fn deref(&self) -> &Self::Target {
        &self.0.ranges
    }
}

impl std::ops::DerefMut for SequenceRanges<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0.ranges
    }
}

/// Runs a statement to its end.
fn run(mut statement: Statement) -> Result<(), SqliteError> {
    while statement.step()? {}
    Ok(())
}

impl Handle {
    pub(super) fn hooks(&self) -> &Hooks {
        self.database.hooks()
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_resting(&self, resting: bool) {
        self.usage().resting = resting;
    }

    pub(super) fn is_ended(&self) -> bool {
        self.surroundings().is_ended()
    }

    /// What is told of whatever is done with a connection that was ended.
    pub(super) fn check_not_ended(&self) -> Result<(), SqliteError> {
        if !self.is_ended() {
            return Ok(());
        }
        let error = SqlError::new(
            SqlState::SERIALIZATION_FAILURE,
            "canceling statement due to conflict with recovery",
        );
        let detail = "The read kept the write-ahead log of this node's database from starting \
                      over for too long.";
        Err(SqliteError::refused(error.with_detail(detail)))
    }

    /// Moves with every change of tables and indexes.
    pub(super) fn schema_generation(&self) -> u64 {
        self.generations.schema.load(Ordering::Acquire)
    }

    pub(super) fn surroundings(&self) -> &Surroundings {
        self.hooks().surroundings()
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cached_catalogs(&self) -> MutexGuard<'_, CachedCatalogs> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops cached statements, and has SQLite look at the schema anew, if another
    /// connection changed it.
    fn check_schema(&self) -> Result<(), SqliteError> {
        let current = self.generations.schema.load(Ordering::Acquire);
        if self.cache().generation == current {
            return Ok(());
        }
        // Any statement that reads a table makes SQLite compare the schema's cookie.
        let (prepared, _) =
            self.database.prepare("SELECT 1 FROM main.sqlite_schema LIMIT 1", false)?;
        if let Some(mut prepared) = prepared {
            prepared.step()?;
        }
        let mut cache = self.cache();
        cache.statements.clear();
        // In an old snapshot the schema is the old one: look again after.
        if self.kind == ConnectionKind::Writer || self.database.autocommit() {
            cache.generation = current;
        }
        Ok(())
    }

    /// Takes a statement into the cache.
    pub(super) fn give_back(&self, text: Arc<str>, cached: Cached) {
        let mut cache = self.cache();
        if cached.generation == cache.generation {
            cache.statements.put(text, cached);
        }
    }

    /// Notices, when a statement has ended, what it did to the schema and catalog.
    pub(super) fn after_run(&self, traits: Traits) {
        if self.kind != ConnectionKind::Writer {
            return;
        }
        let touched = self.hooks().take_catalog_touched();
        let changed = self.changed.load(Ordering::Relaxed);
        if !(touched || changed || traits.schema) {
            return;
        }
        let ended = self.database.autocommit();
        if traits.schema || changed && (traits.rollback || ended) {
            self.generations.schema.fetch_add(1, Ordering::AcqRel);
        }
        if traits.schema || touched || changed && (traits.rollback || ended) {
            self.generations.catalog.fetch_add(1, Ordering::AcqRel);
            self.surroundings().bump_catalog_generation();
        }
        self.changed.store(!ended, Ordering::Relaxed);
    }

    /// Makes SQLite's own `changes()`, which cannot be set, answer what the context
    /// says, by a statement that changes as many rows of a temporary table. More
    /// rows than that table has come from the function that overrides `changes()`.
    pub(super) fn restore_changes(&self) -> Result<(), SqliteError> {
        let wanted = self.surroundings().changes().clamp(0, functions::CHANGES_NATIVE_MAX);
        if self.kind != ConnectionKind::Writer || self.database.changes() == wanted {
            return Ok(());
        }
        let before = self.hooks().set_trusted(true);
        let result = self.change_temporary_rows(wanted);
        self.hooks().set_trusted(before);
        result
    }

    fn change_temporary_rows(&self, count: i64) -> Result<(), SqliteError> {
        let rows = functions::CHANGES_NATIVE_MAX;
        let database = &self.database;
        let exists = database.prepare("SELECT 1 FROM temp.towline_changes LIMIT 0", false).is_ok();
        if !exists {
            let make = format!(
                "CREATE TABLE temp.towline_changes AS
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
                 SELECT i FROM n"
            );
            step_to_end(database.prepare(&make, false)?.0)?;
        }
        let change = "UPDATE temp.towline_changes SET i = i WHERE i <= ?1";
        let (mut prepared, _) = database.prepare(change, false)?;
        if let Some(prepared) = &mut prepared {
            prepared.bind(1, RawValue::Integer(count))?;
        }
        step_to_end(prepared)
    }
}

fn step_to_end(prepared: Option<Prepared>) -> Result<(), SqliteError> {
    let Some(mut prepared) = prepared else { return Ok(()) };
    while prepared.step()? == Step::Row {}
    Ok(())
}

/// The generations of a file, shared by its connections in this process.
fn generations(path: &Path) -> Arc<Generations> {
    static BY_PATH: Mutex<BTreeMap<PathBuf, Weak<Generations>>> = Mutex::new(BTreeMap::new());
    if path == Path::new(":memory:") {
        return Arc::default();
    }
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut by_path = BY_PATH.lock().unwrap_or_else(PoisonError::into_inner);
    by_path.retain(|_, generations| generations.strong_count() > 0);
    if let Some(generations) = by_path.get(&path).and_then(Weak::upgrade) {
        return generations;
    }
    let generations = Arc::<Generations>::default();
    by_path.insert(path, Arc::downgrade(&generations));
    generations
}

/// Binds and runs one statement; returns its rows. For tools and tests: sessions
/// step through their statements.
pub fn query(
    sqlite: &mut Sqlite,
    sql: &str,
    parameters: &[Value],
) -> Result<Vec<Vec<Value>>, SqliteError> {
    let mut statement = sqlite.prepare(sql)?;
    statement.bind_all(parameters)?;
    let mut rows = Vec::new();
    while statement.step()? {
        let columns = 0..statement.column_count();
        rows.push(columns.map(|index| statement.column(index).to_owned()).collect());
    }
    Ok(rows)
}
