//! SQLite as the node uses it: connections, statements, and the surroundings that
//! make a statement give the same result on every node. Only this module names SQLite.
//!
//! ```text
//!   Sqlite ── prepare ──▶ Statement ── step ──▶ rows
//!     │ set_context: clock, seed, sequences          │
//!     ▼                                              ▼
//!   Surroundings ◀── functions, virtual tables    Hooks: authorizer, row hash, cancel
//! ```
//!
//! A writer is opened before its readers. All of the `unsafe` is in `ffi`.

mod catalog;
mod clock;
mod connection;
mod digest;
mod effect;
mod error;
mod failing;
mod ffi;
mod file;
mod functions;
mod hooks;
mod import;
mod keys;
mod plain;
mod point;
mod refusals;
mod rows;
mod shape;
mod statement;
#[cfg(test)]
mod tests;
mod vtab;
mod wal;

pub use connection::{ConnectionKind, Ender, Environment, SequenceRanges, Sqlite, UndoMark, query};
pub use digest::{RowDigest, content_digest, row_digests};
pub use error::{SqliteError, SqliteErrorKind};
pub use failing::FailingRow;
pub use functions::{
    AdvisoryCall, AdvisoryKey, AdvisoryLocks, CANCEL, CANCEL_REQUEST, NEEDS_LOCK, NEEDS_ROWS,
    NotificationMade, Orders, SettingMade, Shipped, TERMINATE, bare_channel, scoped_channel,
};
pub use import::{ImportError, Imported, import};
pub use keys::{BrokenKey, KeyColumn, KeyRole, WatchedKey};
pub use plain::PlainSqlite;
pub use statement::Statement;
pub use vtab::LiveRelations;
pub use wal::sync_wal;
