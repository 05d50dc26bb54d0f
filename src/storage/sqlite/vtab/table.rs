//! Virtual tables as safe traits. rusqlite's own traits are unsafe to implement, as
//! the struct must begin with SQLite's; here that is done once for all tables.
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_int};

use rusqlite::vtab::{
    Context, CreateVTab, Filters, IndexInfo, VTab, VTabConfig, VTabConnection, VTabCursor,
    VTabKind, sqlite3_vtab, sqlite3_vtab_cursor,
};

use crate::log::Value;

/// A table whose rows are made, not stored.
pub(super) trait Table: Sized + 'static {
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
pub(super) trait Cursor {
    /// Starts over, as planned, with the values that the plan asked for.
    fn filter(&mut self, plan: c_int, values: Vec<Value>) -> rusqlite::Result<()>;
    fn next(&mut self) -> rusqlite::Result<()>;
    fn at_end(&self) -> bool;
    fn column(&self, column: usize) -> rusqlite::types::ToSqlOutput<'_>;
    fn row_number(&self) -> i64;
}

#[repr(C)]
pub(super) struct TableOf<T> {
    base: sqlite3_vtab,
    table: T,
}

#[repr(C)]
pub(super) struct CursorOf<C> {
    base: sqlite3_vtab_cursor,
    cursor: C,
}

// SAFETY: the struct is `repr(C)` and begins with `sqlite3_vtab`.
unsafe impl<'vtab, T: Table> VTab<'vtab> for TableOf<T> {
    type Aux = T::Shared;
    type Cursor = CursorOf<T::Cursor>;

    fn connect(
        db: &mut VTabConnection,
        aux: Option<&T::Shared>,
        module: &[u8],
        schema: &[u8],
        name: &[u8],
        _arguments: &[&[u8]],
    ) -> rusqlite::Result<(Cow<'static, CStr>, Self)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let Some(shared) = aux else {
            return Err(rusqlite::Error::ModuleError(format!("{} lacks its state", text(module))));
        };
        db.config(VTabConfig::Innocuous)?;
        let (declaration, table) = T::connect(shared, &text(schema), &text(name))?;
        let declaration = CString::new(declaration)?;
        Ok((Cow::Owned(declaration), Self { base: sqlite3_vtab::default(), table }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> rusqlite::Result<bool> {
        self.table.plan(info)
    }

    fn open(&'vtab mut self) -> rusqlite::Result<Self::Cursor> {
        Ok(CursorOf { base: sqlite3_vtab_cursor::default(), cursor: self.table.open() })
    }
}

impl<'vtab, T: Table> CreateVTab<'vtab> for TableOf<T> {
    const KIND: VTabKind = VTabKind::Default;
}

// SAFETY: the struct is `repr(C)` and begins with `sqlite3_vtab_cursor`.
unsafe impl<C: Cursor> VTabCursor for CursorOf<C> {
    fn filter(
        &mut self,
        plan: c_int,
        _text: Option<&str>,
        values: &Filters<'_>,
    ) -> rusqlite::Result<()> {
        self.cursor.filter(plan, values.iter().map(owned).collect())
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        self.cursor.next()
    }

    fn eof(&self) -> bool {
        self.cursor.at_end()
    }

    fn column(&self, context: &mut Context, column: c_int) -> rusqlite::Result<()> {
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        context.set_result(self.cursor.column(column))
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        Ok(self.cursor.row_number())
    }
}

fn owned(value: rusqlite::types::ValueRef<'_>) -> Value {
    use rusqlite::types::ValueRef;
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

/// A value as a column's result.
pub(super) fn result(value: &Value) -> rusqlite::types::ToSqlOutput<'_> {
    use rusqlite::types::{ToSqlOutput, ValueRef};
    ToSqlOutput::Borrowed(match value {
        Value::Null => ValueRef::Null,
        Value::Integer(value) => ValueRef::Integer(*value),
        Value::Real(value) => ValueRef::Real(*value),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Blob(bytes) => ValueRef::Blob(bytes),
    })
}
