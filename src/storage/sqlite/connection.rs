//! STUB: signatures fixed for the other parts; bodies to come.
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::log::{Context, Lsn, Term, Value, ValueRef};
use crate::sql::catalog::Catalog;

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
    pub user: String,
    pub database: String,
    pub in_recovery: bool,
    pub backend_pid: i32,
    pub commit_lsn: Lsn,
    pub applied_lsn: Lsn,
    pub search_path: String,
    /// Settings by name, for `current_setting`.
    pub settings: Arc<std::collections::BTreeMap<String, String>>,
}

/// An error of SQLite's, sorted by what it means for the transaction.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SqliteError {
    pub kind: SqliteErrorKind,
    /// Extended result code.
    pub code: i32,
    pub message: String,
    /// Byte offset in the SQL text, if SQLite knows it.
    pub offset: Option<usize>,
    /// SQLSTATE and fields, where a function of ours raised the error.
    pub raised: Option<Box<crate::pg::SqlError>>,
}

/// Why a statement failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SqliteErrorKind {
    /// UNIQUE or PRIMARY KEY.
    Unique,
    NotNull,
    Check,
    ForeignKey,
    /// Stopped by the cancel flag or the deadline.
    Interrupted,
    /// Tried to write on a `query_only` connection.
    ReadOnly,
    /// The schema changed under a prepared statement.
    Schema,
    /// No space left.
    Full,
    /// The disk failed.
    Io,
    /// The file is damaged.
    Corrupt,
    /// The SQL does not compile, or anything else that is the statement's fault.
    Statement,
}

/// One connection, its cached statements, and its frozen surroundings.
/// Used by one thread at a time; may move between threads.
pub struct Sqlite {}

/// A prepared statement, checked out of its connection's cache; goes back when
/// dropped. Keeps the connection alive.
pub struct Statement {}

/// Marks a point in the effect hash to which an undone statement sets it back.
#[derive(Clone, Copy, Debug)]
pub struct UndoMark(#[allow(dead_code)] u64);

#[allow(unused_variables, clippy::todo)]
impl Sqlite {
    /// Opens (a writer also creates) the database file, with functions,
    /// collations, virtual catalog tables, the clock shim and, for a writer, the
    /// preupdate hook installed.
    pub fn open(path: &Path, kind: ConnectionKind) -> Result<Self, SqliteError> {
        todo!()
    }

    /// Prepares, or takes from the cache. `sql` is exactly one statement.
    pub fn prepare(&mut self, sql: &str) -> Result<Statement, SqliteError> {
        todo!()
    }

    /// Runs statements without parameters or results (BEGIN, SAVEPOINT, DDL).
    pub fn execute_batch(&mut self, sql: &str) -> Result<(), SqliteError> {
        todo!()
    }

    /// Freezes clock, randomness, `last_insert_rowid`, `changes` and sequence
    /// starts for the statements that follow.
    pub fn set_context(&mut self, context: &Context) {
        todo!()
    }

    /// What the statement drew: the context to log (sequence starts filled in).
    pub fn drawn_context(&self) -> Context {
        todo!()
    }

    /// The session's surroundings for system functions.
    pub fn set_environment(&mut self, environment: Environment) {
        todo!()
    }

    /// Ranges of sequences that this node may draw from: name → (next, last).
    /// `nextval` beyond it fails with [`SqliteError`] whose `raised` has SQLSTATE
    /// `TL001` and the sequence's name: reserve, then run the statement again.
    pub fn sequence_ranges(&mut self) -> &mut std::collections::BTreeMap<String, (i64, i64)> {
        todo!()
    }

    /// The effect hash so far in this transaction.
    pub fn effect(&self) -> u64 {
        todo!()
    }
    pub fn effect_mark(&self) -> UndoMark {
        todo!()
    }
    pub fn effect_undo(&mut self, mark: UndoMark) {
        todo!()
    }
    pub fn effect_reset(&mut self) {
        todo!()
    }

    /// Stops a running statement with `Interrupted` soon after `flag` is set or
    /// the deadline (nanoseconds on the monotonic clock) has passed.
    pub fn set_cancel(
        &mut self,
        flag: Option<Arc<AtomicBool>>,
        deadline: Option<std::time::Instant>,
    ) {
        todo!()
    }

    /// Deferred foreign keys violated in the open transaction or savepoint.
    pub fn deferred_foreign_key_violations(&self) -> Result<u64, SqliteError> {
        todo!()
    }

    /// Switches foreign key enforcement, also inside a transaction.
    pub fn set_foreign_keys(&mut self, on: bool) -> Result<(), SqliteError> {
        todo!()
    }

    /// Whether a transaction is open; false where SQLite undid it by itself.
    pub fn in_transaction(&self) -> bool {
        todo!()
    }

    pub fn changes(&self) -> i64 {
        todo!()
    }
    pub fn last_insert_rowid(&self) -> i64 {
        todo!()
    }

    /// The types, relations and sequences of the database, cached by schema version.
    pub fn catalog(&mut self) -> Result<Arc<Catalog>, SqliteError> {
        todo!()
    }

    /// The log position that the file's content corresponds to (in the current snapshot).
    pub fn applied(&mut self) -> Result<(Term, Lsn), SqliteError> {
        todo!()
    }
    /// Records it, inside the open transaction.
    pub fn set_applied(&mut self, term: Term, lsn: Lsn) -> Result<(), SqliteError> {
        todo!()
    }

    /// A passive checkpoint of the WAL; returns pages still in it.
    pub fn checkpoint(&mut self) -> Result<u64, SqliteError> {
        todo!()
    }
}

#[allow(unused_variables, clippy::todo)]
impl Statement {
    /// Binds parameter `index` (from 1); indices beyond the statement's are ignored.
    pub fn bind(&mut self, index: usize, value: ValueRef<'_>) -> Result<(), SqliteError> {
        todo!()
    }
    pub fn bind_all(&mut self, values: &[Value]) -> Result<(), SqliteError> {
        todo!()
    }
    /// Advances; whether there is a row.
    pub fn step(&mut self) -> Result<bool, SqliteError> {
        todo!()
    }
    /// Column `index` (from 0) of the current row.
    pub fn column(&self, index: usize) -> ValueRef<'_> {
        todo!()
    }
    pub fn column_count(&self) -> usize {
        todo!()
    }
    pub fn column_name(&self, index: usize) -> String {
        todo!()
    }
    /// SQLite's own opinion; see the table of exceptions in `sql::classify`.
    pub fn readonly(&self) -> bool {
        todo!()
    }
    /// Whether every table is reached by a unique key's equality: at most a few
    /// rows are visited, so the statement may run on an async worker.
    pub fn is_point(&self) -> bool {
        todo!()
    }
    /// Ends the run and clears bindings; the statement can be bound and stepped again.
    pub fn reset(&mut self) {
        todo!()
    }
}
