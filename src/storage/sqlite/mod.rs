//! SQLite as the node uses it: connections, statements, and the surroundings that
//! make a statement give the same result on every node. Only this module names SQLite.

mod catalog;
mod connection;
mod functions;
mod vtab;

pub use connection::{
    ConnectionKind, Environment, Sqlite, SqliteError, SqliteErrorKind, Statement, UndoMark,
};
