//! Virtual tables as safe traits. What SQLite calls is in `ffi`: rusqlite's own traits
//! are unsafe to implement, as the struct must begin with SQLite's.

use std::ffi::c_int;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::vtab::IndexInfo;

use crate::log::Value;

/// A table whose rows are made, not stored.
pub(in crate::storage::sqlite) trait Table: Sized + 'static {
    /// What the module was registered with.
    type Shared: Send + Sync + 'static;
    type Cursor: Cursor;

    /// The table of this name, and its columns as a CREATE TABLE statement.
    fn connect(shared: &Self::Shared, schema: &str, name: &str)
    -> rusqlite::Result<(String, Self)>;

    /// Chooses how to run a query; whether it can be run at all.
    fn plan(&self, info: &mut IndexInfo) -> rusqlite::Result<bool>;

    fn open(&self) -> Self::Cursor;
}

/// A walk over a table's rows.
pub(in crate::storage::sqlite) trait Cursor {
    /// Starts over, as planned, with the values that the plan asked for.
    fn filter(&mut self, plan: c_int, values: Vec<Value>) -> rusqlite::Result<()>;
    fn next(&mut self) -> rusqlite::Result<()>;
    fn at_end(&self) -> bool;
    fn column(&self, column: usize) -> ToSqlOutput<'_>;
    fn row_number(&self) -> i64;
}

/// A value as a column's result.
pub(super) fn result(value: &Value) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match value {
        Value::Null => ValueRef::Null,
        Value::Integer(value) => ValueRef::Integer(*value),
        Value::Real(value) => ValueRef::Real(*value),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Blob(bytes) => ValueRef::Blob(bytes),
    })
}

/// A value that SQLite hands over.
pub(in crate::storage::sqlite) fn owned(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}
