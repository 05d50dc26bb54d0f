//! The rows of `pg_catalog` and `information_schema`, made from a [`Catalog`] and
//! the few facts about node and session that they show.
//!
//! A producer names only the cells that say something. What it leaves out is NULL,
//! or, in a column that may not be NULL, the type's zero: most of PostgreSQL's
//! columns tell of features that are absent here.

use std::collections::BTreeMap;

use super::system::SystemRelation;
use super::{Catalog, information_schema, pg_catalog};
use crate::log::Value;
use crate::pg::Oid;
use crate::pg::types::array::Array;

/// A row whose values are named by their columns.
pub type NamedRow = Vec<(String, Value)>;

/// What system relations show besides the catalog.
pub struct Facts<'a> {
    pub catalog: &'a Catalog,
    /// The name of the session's database, and that of the first.
    pub database: &'a str,
    pub first_database: &'a str,
    pub user: &'a str,
    /// How the users of the configuration are called, who are one role.
    pub owner: &'a str,
    pub settings: &'a BTreeMap<String, String>,
    pub backend_pid: i32,
    /// The statement's clock, in microseconds since 2000-01-01 UTC.
    pub now: i64,
    /// Rows of relations about the running node (`pg_stat_activity`), by name;
    /// `None` where the node has nothing to tell of that relation.
    pub live: &'a dyn Fn(&str) -> Option<Vec<NamedRow>>,
}

/// Makes all rows of a relation, a value for each of its columns.
pub fn system_rows(relation: &'static SystemRelation, facts: &Facts<'_>) -> Vec<Vec<Value>> {
    let mut rows = Rows::new(relation);
    if let Some(live) = (facts.live)(relation.name) {
        for row in live {
            rows.add_named(row);
        }
    } else if relation.schema == "pg_catalog" {
        pg_catalog::add_rows(&mut rows, facts);
    } else {
        information_schema::add_rows(&mut rows, facts);
    }
    rows.rows
}

/// Rows of one relation, as they are collected.
pub(super) struct Rows {
    pub(super) relation: &'static SystemRelation,
    empty: Vec<Value>,
    rows: Vec<Vec<Value>>,
}

impl Rows {
    fn new(relation: &'static SystemRelation) -> Self {
        let empty = relation.columns.iter().map(|column| match column.oid {
            _ if !column.not_null => Value::Null,
            Oid::BOOL | Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::OID => Value::Integer(0),
            Oid::FLOAT4 | Oid::FLOAT8 => Value::Real(0.0),
            Oid::REGPROC => Value::Text("-".to_owned()),
            // Transaction numbers.
            Oid(28) => Value::Text("0".to_owned()),
            _ => Value::Text(String::new()),
        });
        Self { relation, empty: empty.collect(), rows: Vec::new() }
    }

    /// Adds a row of named cells.
    ///
    /// # Panics
    /// If the relation has no column of a given name.
    pub(super) fn add(&mut self, cells: impl IntoIterator<Item = (&'static str, Cell)>) {
        let mut row = self.empty.clone();
        for (name, cell) in cells {
            let at = self.relation.position(name);
            row[at.unwrap_or_else(|| panic!("{} has no column {name}", self.relation.name))] =
                cell.0;
        }
        self.rows.push(row);
    }

    /// Sets a cell of the last row.
    pub(super) fn amend(&mut self, column: &str, cell: impl Into<Cell>) {
        if let (Some(row), Some(at)) = (self.rows.last_mut(), self.relation.position(column)) {
            row[at] = cell.into().0;
        }
    }

    /// Adds a row whose names come from elsewhere; unknown ones are left out.
    fn add_named(&mut self, cells: NamedRow) {
        let mut row = self.empty.clone();
        for (name, value) in cells {
            if let Some(at) = self.relation.position(&name) {
                row[at] = value;
            }
        }
        self.rows.push(row);
    }
}

/// A value on its way into a row.
pub(super) struct Cell(Value);

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self(Value::Integer(i64::from(value)))
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self(Value::Integer(value))
    }
}

impl From<i32> for Cell {
    fn from(value: i32) -> Self {
        Self(Value::Integer(i64::from(value)))
    }
}

impl From<usize> for Cell {
    fn from(value: usize) -> Self {
        Self(Value::Integer(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self(Value::Real(value))
    }
}

impl From<Oid> for Cell {
    fn from(value: Oid) -> Self {
        Self(Value::Integer(i64::from(value.0)))
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self(Value::Text(value.to_owned()))
    }
}

impl From<&String> for Cell {
    fn from(value: &String) -> Self {
        Self(Value::Text(value.clone()))
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self(Value::Text(value))
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self(Value::Null), Into::into)
    }
}

/// Adds a row: `row!(rows, "oid" => oid, "relname" => &name)`.
macro_rules! row {
    ($rows:expr, $($name:literal => $value:expr),+ $(,)?) => {
        $rows.add([$(($name, $crate::sql::catalog::rows::Cell::from($value))),+])
    };
}
pub(super) use row;

/// An array literal of numbers.
pub(super) fn number_array(numbers: impl IntoIterator<Item = i64>) -> String {
    let numbers: Vec<_> = numbers.into_iter().map(|number| number.to_string()).collect();
    format!("{{{}}}", numbers.join(","))
}

/// An array literal of texts.
pub(super) fn text_array(texts: &[String]) -> String {
    let mut printed = String::new();
    Array::new(texts.iter().cloned().map(Some).collect()).print(&mut printed);
    printed
}

/// An `int2vector` or `oidvector`.
pub(super) fn vector(numbers: impl IntoIterator<Item = i64>) -> String {
    let numbers: Vec<_> = numbers.into_iter().map(|number| number.to_string()).collect();
    numbers.join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::system::system_relations;
    use super::*;

    #[test]
    fn every_relation_has_rows_of_its_width_or_none() {
        let facts = Facts {
            catalog: &Catalog::default(),
            database: "main",
            first_database: "main",
            user: "ann",
            owner: "ann",
            settings: &BTreeMap::new(),
            backend_pid: 1,
            now: 0,
            live: &|_| None,
        };
        for relation in system_relations() {
            for row in system_rows(relation, &facts) {
                assert_eq!(row.len(), relation.columns.len(), "{}", relation.name);
                for (value, column) in row.iter().zip(&relation.columns) {
                    let wrong = column.not_null && *value == Value::Null;
                    assert!(!wrong, "{}.{} is NULL", relation.name, column.name);
                }
            }
        }
    }
}
