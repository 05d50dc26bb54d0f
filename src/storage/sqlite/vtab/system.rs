//! The relations of `pg_catalog` and `information_schema` as tables.
//!
//! Rows are made when a cursor starts, and shared by the cursors of one statement:
//! a join reads them as often as it likes, and looks one up by the value of a column
//! in a map made for it.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use rusqlite::types::ToSqlOutput;
use rusqlite::vtab::{IndexConstraintOp, IndexInfo};

use super::super::Environment;
use super::super::functions::Surroundings;
use super::table::{Cursor, Table, result};
use crate::log::Value;
use crate::pg::Oid;
use crate::pg::types::datetime::UNIX_EPOCH;
use crate::sql::catalog::{
    Catalog, Facts, HIDDEN_COLUMNS, NamedRow, SystemRelation, system_relation, system_rows,
};
use crate::sql::relation_is_live;

/// The rows of relations about the running node, such as `pg_stat_replication`: made
/// when a statement reads them, by whoever knows.
#[derive(Clone, Default)]
pub struct LiveRelations(Option<Arc<LiveSource>>);

/// By a relation's name its rows, each as named values; `None` where there is nothing
/// to tell of that relation.
type LiveSource = dyn Fn(&str) -> Option<Vec<NamedRow>> + Send + Sync;

impl LiveRelations {
    pub fn new(source: impl Fn(&str) -> Option<Vec<NamedRow>> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(source)))
    }

    fn rows(&self, relation: &str) -> Option<Vec<NamedRow>> {
        self.0.as_ref().and_then(|source| source(relation))
    }
}

impl std::fmt::Debug for LiveRelations {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("LiveRelations").field(&self.0.is_some()).finish()
    }
}

/// Plan: all rows. Other plans are the column looked up, from 1.
const SCAN: c_int = 0;

/// Cost of making the rows, against that of finding one.
const SCAN_COST: f64 = 1000.0;
const LOOKUP_COST: f64 = 5.0;

pub(in crate::storage::sqlite) struct SystemTable {
    relation: &'static SystemRelation,
    surroundings: Surroundings,
    /// The rows that cursors now use, to be shared by further ones.
    current: Mutex<Weak<Rows>>,
}

/// A relation's rows as of one statement.
struct Rows {
    rows: Vec<Vec<Value>>,
    catalog: Arc<Catalog>,
    environment: Arc<Environment>,
    /// Positions of rows by the value of a column.
    by_column: Vec<OnceLock<BTreeMap<Key, Vec<usize>>>>,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Key {
    Integer(i64),
    Text(String),
}

impl Table for SystemTable {
    type Shared = Surroundings;
    type Cursor = SystemCursor;

    fn connect(
        shared: &Surroundings,
        schema: &str,
        name: &str,
    ) -> rusqlite::Result<(String, Self)> {
        let Some(relation) = system_relation(schema, name) else {
            return Err(rusqlite::Error::ModuleError(format!("no relation {schema}.{name}")));
        };
        let table =
            Self { relation, surroundings: shared.clone(), current: Mutex::new(Weak::new()) };
        Ok((declaration(relation), table))
    }

    fn plan(&self, info: &mut IndexInfo) -> rusqlite::Result<bool> {
        let mut chosen = None;
        for (at, constraint) in info.constraints().enumerate() {
            let equality = matches!(
                constraint.operator(),
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ
                    | IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_IS
            );
            let column = usize::try_from(constraint.column()).ok();
            let Some(column) = column.filter(|column| *column < self.relation.columns.len()) else {
                continue;
            };
            let binary = info.collation(at).is_ok_and(|name| name.eq_ignore_ascii_case("BINARY"));
            if !equality || !constraint.is_usable() || !binary || !is_indexed(self.relation, column)
            {
                continue;
            }
            // The leftmost column tells most rows apart.
            if chosen.is_none_or(|(_, other)| column < other) {
                chosen = Some((at, column));
            }
        }
        match chosen {
            Some((at, column)) => {
                info.constraint_usage(at).set_argv_index(1);
                info.set_idx_num(c_int::try_from(column + 1).unwrap_or(SCAN));
                info.set_estimated_cost(LOOKUP_COST);
                info.set_estimated_rows(5);
            }
            None => {
                info.set_idx_num(SCAN);
                info.set_estimated_cost(SCAN_COST);
                info.set_estimated_rows(300);
            }
        }
        Ok(true)
    }

    fn open(&self) -> SystemCursor {
        SystemCursor {
            relation: self.relation,
            rows: self.rows(),
            walk: Walk::All,
            at: 0,
            surroundings: self.surroundings.clone(),
        }
    }
}

impl SystemTable {
    fn rows(&self) -> Arc<Rows> {
        let catalog = self.surroundings.catalog();
        let environment = self.surroundings.environment();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rows) = current.upgrade()
            && Arc::ptr_eq(&rows.catalog, &catalog)
            && Arc::ptr_eq(&rows.environment, &environment)
        {
            return rows;
        }
        let facts = Facts {
            catalog: &catalog,
            database: &environment.database,
            first_database: &environment.first_database,
            user: &environment.user,
            owner: &environment.owner,
            settings: &environment.settings,
            backend_pid: environment.backend_pid,
            now: self.surroundings.statement_us() + UNIX_EPOCH,
            live: &|name| environment.live.rows(name),
        };
        let rows = Arc::new(Rows {
            rows: system_rows(self.relation, &facts),
            by_column: self.relation.columns.iter().map(|_| OnceLock::new()).collect(),
            catalog,
            environment,
        });
        *current = Arc::downgrade(&rows);
        rows
    }
}

/// Whether rows can be looked up by a column: integers and texts, whose equality in
/// SQLite under BINARY is that of [`Key`].
fn is_indexed(relation: &SystemRelation, column: usize) -> bool {
    matches!(affinity(relation.columns[column].oid), "INTEGER" | "TEXT")
}

fn affinity(oid: Oid) -> &'static str {
    match oid {
        Oid::BOOL | Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::OID => "INTEGER",
        Oid::FLOAT4 | Oid::FLOAT8 => "REAL",
        Oid::BYTEA => "BLOB",
        _ => "TEXT",
    }
}

fn declaration(relation: &SystemRelation) -> String {
    let shown = relation
        .columns
        .iter()
        .map(|column| format!("\"{}\" {}", column.name, affinity(column.oid)));
    let hidden = HIDDEN_COLUMNS
        .iter()
        .filter(|column| relation.position(column.name).is_none())
        .map(|column| format!("{} {} HIDDEN", column.name, affinity(column.oid)));
    format!("CREATE TABLE x({})", shown.chain(hidden).collect::<Vec<_>>().join(", "))
}

/// A value as the column's affinity makes it, if the column can hold an equal one.
fn key(value: &Value, affinity: &str) -> Option<Key> {
    match (affinity, value) {
        ("INTEGER", Value::Integer(value)) => Some(Key::Integer(*value)),
        ("INTEGER", Value::Text(text)) => text.trim().parse().ok().map(Key::Integer),
        #[allow(clippy::cast_possible_truncation)]
        ("INTEGER", Value::Real(value)) if value.fract() == 0.0 && value.abs() < 9e15 => {
            Some(Key::Integer(*value as i64))
        }
        ("TEXT", Value::Text(text)) => Some(Key::Text(text.clone())),
        ("TEXT", Value::Integer(value)) => Some(Key::Text(value.to_string())),
        _ => None,
    }
}

pub(in crate::storage::sqlite) struct SystemCursor {
    relation: &'static SystemRelation,
    rows: Arc<Rows>,
    walk: Walk,
    at: usize,
    surroundings: Surroundings,
}

enum Walk {
    All,
    /// The rows with this key in this column.
    Found {
        column: usize,
        key: Option<Key>,
    },
}

impl SystemCursor {
    fn found(&self) -> Option<&[usize]> {
        match &self.walk {
            Walk::All => None,
            Walk::Found { column, key } => {
                let map = self.rows.by_column[*column].get();
                let found = key.as_ref().and_then(|key| map?.get(key));
                Some(found.map_or(&[], Vec::as_slice))
            }
        }
    }

    fn row(&self) -> Option<usize> {
        match self.found() {
            None => (self.at < self.rows.rows.len()).then_some(self.at),
            Some(found) => found.get(self.at).copied(),
        }
    }
}

impl Cursor for SystemCursor {
    fn filter(&mut self, plan: c_int, values: Vec<Value>) -> rusqlite::Result<()> {
        // The rows are the session's: they have its database's name, and its user's.
        self.surroundings.note_local(!relation_is_live(self.relation.name))?;
        self.at = 0;
        self.walk = Walk::All;
        let column = usize::try_from(plan).ok().and_then(|plan| plan.checked_sub(1));
        let Some(column) = column else { return Ok(()) };
        self.rows.by_column[column].get_or_init(|| {
            let mut map = BTreeMap::<_, Vec<_>>::new();
            for (at, row) in self.rows.rows.iter().enumerate() {
                match &row[column] {
                    Value::Integer(value) => map.entry(Key::Integer(*value)).or_default().push(at),
                    Value::Text(text) => map.entry(Key::Text(text.clone())).or_default().push(at),
                    _ => {}
                }
            }
            map
        });
        // The rows hold what their columns' affinity makes of values already.
        let sample = self.rows.by_column[column].get().and_then(|map| map.keys().next());
        let kind = if matches!(sample, Some(Key::Integer(_))) { "INTEGER" } else { "TEXT" };
        let key = values.first().and_then(|value| key(value, kind));
        self.walk = Walk::Found { column, key };
        Ok(())
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        self.at += 1;
        Ok(())
    }

    fn at_end(&self) -> bool {
        self.row().is_none()
    }

    fn column(&self, column: usize) -> ToSqlOutput<'_> {
        let row = self.row().and_then(|row| self.rows.rows.get(row));
        let value = row.and_then(|row| row.get(column));
        // Hidden columns are the same for every row.
        value.map_or(ToSqlOutput::Owned(rusqlite::types::Value::Integer(0)), result)
    }

    fn row_number(&self) -> i64 {
        self.row().and_then(|row| i64::try_from(row).ok()).unwrap_or(0)
    }
}
