//! Row changes as statements: so a write is shipped that read what other nodes don't have.
//! The preupdate hook keeps what a statement changes; `docs/format.md`, "Row changes", has
//! the statements that are made of it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::effect::{DELETE, INSERT, RawValue, RowChange, stored};
use super::functions::WRITE_BY_LOCAL;
use super::shape::{Shape, quote};
use super::{Sqlite, SqliteError};
use crate::log::{Context, Statement, Value, ValueRef};
use crate::pg::{SqlError, SqlState};

/// Row changes of one statement, in order.
#[derive(Debug, Default)]
pub(super) struct KeptRows {
    changes: Vec<Change>,
    /// Their size, about, bytes.
    bytes: usize,
    /// Why they can't be shipped.
    refused: Option<SqlError>,
    /// What AUTOINCREMENT had given last before.
    autoincrements: BTreeMap<String, i64>,
}

#[derive(Debug)]
struct Change {
    table: Arc<str>,
    operation: i32,
    /// Old and new rowid.
    keys: (i64, i64),
    /// Values by their column's place; empty for an insert, and for a delete.
    before: BTreeMap<usize, Value>,
    after: BTreeMap<usize, Value>,
}

/// Most bytes, about, of the row changes of one statement, which are kept in memory.
const BYTES_MAX: usize = 64 << 20;
/// What a change and a value take besides their bytes, about.
const OVERHEAD: usize = 64;

impl KeptRows {
    /// Of a statement that is about to run.
    pub(super) fn begin(sqlite: &mut Sqlite) -> Result<Self, SqliteError> {
        Ok(Self { autoincrements: autoincrements(sqlite)?, ..Self::default() })
    }

    pub(super) fn add(&mut self, change: &impl RowChange) {
        if self.refused.is_some() {
            return;
        }
        if let Err(error) = self.keep(change) {
            *self = Self { refused: Some(error), ..Self::default() };
        }
    }

    fn keep(&mut self, change: &impl RowChange) -> Result<(), SqlError> {
        let (columns, operation) = (change.columns(), change.operation());
        let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
        if operation != INSERT {
            before = self.values(stored(columns, |index| change.before(index)))?;
        }
        if operation != DELETE {
            after = self.values(stored(columns, |index| change.after(index)))?;
        }
        self.grow(OVERHEAD)?;
        let name = str::from_utf8(change.table()).map_err(|_| not_utf8())?;
        let table = match self.changes.last() {
            Some(last) if &*last.table == name => Arc::clone(&last.table),
            _ => Arc::from(name),
        };
        self.changes.push(Change { table, operation, keys: change.keys(), before, after });
        Ok(())
    }

    fn values<'a>(
        &mut self,
        values: impl Iterator<Item = (i32, RawValue<'a>)>,
    ) -> Result<BTreeMap<usize, Value>, SqlError> {
        let mut owned = BTreeMap::new();
        for (place, value) in values {
            let value = match value {
                RawValue::Null => Value::Null,
                RawValue::Integer(value) => Value::Integer(value),
                RawValue::Real(value) => Value::Real(value),
                RawValue::Text(bytes) => {
                    self.grow(bytes.len())?;
                    Value::Text(str::from_utf8(bytes).map_err(|_| not_utf8())?.to_owned())
                }
                RawValue::Blob(bytes) => {
                    self.grow(bytes.len())?;
                    Value::Blob(bytes.to_vec())
                }
            };
            self.grow(OVERHEAD)?;
            owned.insert(usize::try_from(place).unwrap_or(0), value);
        }
        Ok(owned)
    }

    fn grow(&mut self, bytes: usize) -> Result<(), SqlError> {
        self.bytes += bytes;
        if self.bytes <= BYTES_MAX {
            return Ok(());
        }
        Err(SqlError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            "the statement changes too many rows at once by what only this node or session knows",
        )
        .with_detail(format!("Such rows are shipped one by one, up to {BYTES_MAX} bytes.")))
    }

    /// AUTOINCREMENT counts rows too that were not inserted in the end: other nodes would
    /// not come to the same.
    fn check_autoincrement(&self, sqlite: &mut Sqlite) -> Result<(), SqliteError> {
        let mut told = self.autoincrements.clone();
        for change in self.changes.iter().filter(|change| change.operation == INSERT) {
            let last = told.entry(change.table.to_string()).or_default();
            *last = change.keys.1.max(*last);
        }
        let same = |(table, last): (&String, &i64)| told.get(table) == Some(last);
        if autoincrements(sqlite)?.iter().all(same) {
            return Ok(());
        }
        Err(refused("It used up numbers of an AUTOINCREMENT column without a row."))
    }

    /// Statements that repeat the changes, in `context`.
    pub(super) fn into_statements(
        self,
        sqlite: &mut Sqlite,
        context: &Context,
    ) -> Result<Vec<Statement>, SqliteError> {
        if let Some(error) = self.refused {
            return Err(SqliteError::refused(error));
        }
        self.check_autoincrement(sqlite)?;
        let context = Context { sequences: Vec::new(), ..context.clone() };
        let mut kinds = BTreeMap::<(Arc<str>, i32), (Arc<str>, Shape)>::new();
        let mut statements: Vec<Statement> = Vec::new();
        for change in self.changes {
            let kind = match kinds.entry((Arc::clone(&change.table), change.operation)) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let shape = addressable(sqlite, &change.table)?;
                    let text = text_of(&shape, &change.table, change.operation);
                    new.insert((text.into(), shape))
                }
            };
            let (text, shape) = &*kind;
            let params = params_of(shape, change);
            match statements.last_mut() {
                Some(last) if last.text == *text => last.params.extend(params),
                _ => statements.push(Statement {
                    text: Arc::clone(text),
                    params,
                    context: context.clone(),
                    is_rows: true,
                }),
            }
        }
        Ok(statements)
    }
}

/// What AUTOINCREMENT gave last, by table.
fn autoincrements(sqlite: &mut Sqlite) -> Result<BTreeMap<String, i64>, SqliteError> {
    let mut given = BTreeMap::new();
    let exists = "SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_sequence'";
    if !sqlite.prepare(exists)?.step()? {
        return Ok(given);
    }
    let mut statement = sqlite.prepare("SELECT name, seq FROM main.sqlite_sequence")?;
    while statement.step()? {
        if let (ValueRef::Text(name), ValueRef::Integer(last)) =
            (statement.column(0), statement.column(1))
        {
            given.insert(name.to_owned(), last);
        }
    }
    Ok(given)
}

/// The shape of a table of which each row can be told from the others.
fn addressable(sqlite: &mut Sqlite, table: &str) -> Result<Shape, SqliteError> {
    match Shape::of(sqlite, table)? {
        Some(shape) if shape.rowid.is_some() || shape.without_rowid => Ok(shape),
        _ => Err(refused("Its table has columns of all the names that a row number has.")),
    }
}

fn text_of(shape: &Shape, table: &str, operation: i32) -> String {
    let table = quote(table);
    let given = shape.columns.iter().filter(|column| !column.generated);
    let names: Vec<&str> =
        shape.rowid.into_iter().chain(given.map(|column| column.name.as_str())).collect();
    let mut places = 1..;
    let mut place = || places.next().unwrap_or(0);
    if operation == INSERT {
        let values: Vec<String> = names.iter().map(|_| format!("?{}", place())).collect();
        return format!(
            "INSERT INTO main.{table} ({}) VALUES ({})",
            names.join(", "),
            values.join(", ")
        );
    }
    let mut equal =
        |names: &[&str]| names.iter().map(|name| format!("{name} = ?{}", place())).collect();
    let key = shape.order();
    if operation == DELETE {
        let key: Vec<String> = equal(&key);
        return format!("DELETE FROM main.{table} WHERE {}", key.join(" AND "));
    }
    let (values, key): (Vec<String>, Vec<String>) = (equal(&names), equal(&key));
    format!("UPDATE main.{table} SET {} WHERE {}", values.join(", "), key.join(" AND "))
}

fn params_of(shape: &Shape, change: Change) -> Vec<Value> {
    let Change { operation, keys, before, mut after, .. } = change;
    let mut params = Vec::new();
    if operation != DELETE {
        params.extend(shape.rowid.map(|_| Value::Integer(keys.1)));
        for (place, _) in shape.columns.iter().enumerate().filter(|(_, c)| !c.generated) {
            params.push(after.remove(&place).unwrap_or(Value::Null));
        }
    }
    if operation != INSERT {
        match shape.rowid {
            Some(_) => params.push(Value::Integer(keys.0)),
            None => params.extend(
                shape.key.iter().map(|place| before.get(place).cloned().unwrap_or(Value::Null)),
            ),
        }
    }
    params
}

fn refused(detail: &str) -> SqliteError {
    SqliteError::refused(SqlError::unsupported(WRITE_BY_LOCAL).with_detail(detail))
}

fn not_utf8() -> SqlError {
    SqlError::unsupported(WRITE_BY_LOCAL).with_detail("A text in it is not UTF-8.")
}
