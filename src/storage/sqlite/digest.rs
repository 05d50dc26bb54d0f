//! Digests of a database's content: to compare nodes, and for what the preupdate hook
//! does not see.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use xxhash_rust::xxh3::Xxh3;

use super::effect::EffectHash;
use super::shape::{Shape, quote};
use super::{Sqlite, SqliteError};
use crate::log::ValueRef;
use crate::log::describe::literal;
use crate::sql::catalog::Catalog;

/// The key under which [`content_digest`] gives the schema's digest.
const SCHEMA_KEY: &str = "sqlite_schema";

/// A digest a table, rowids included, and one of the schema (under `sqlite_schema`):
/// equal on nodes that hold equal databases. How far the log is applied is left out.
/// Taken in one snapshot if a transaction is open.
pub fn content_digest(sqlite: &mut Sqlite) -> Result<BTreeMap<String, u64>, SqliteError> {
    let mut names = Vec::new();
    let mut statement = sqlite.prepare(
        "SELECT name FROM main.sqlite_schema
         WHERE type = 'table' AND name <> 'towline_applied'
           AND sql NOT LIKE 'create virtual table%' ORDER BY name",
    )?;
    while statement.step()? {
        if let ValueRef::Text(name) = statement.column(0) {
            names.push(name.to_owned());
        }
    }
    drop(statement);
    let mut digests = BTreeMap::from([(SCHEMA_KEY.to_owned(), schema(sqlite)?)]);
    for name in names {
        if let Some(digest) = table(sqlite, &name)? {
            digests.insert(name, digest);
        }
    }
    Ok(digests)
}

/// The digest of the schema. Where in the file its parts lie does not count.
pub(super) fn schema(sqlite: &mut Sqlite) -> Result<u64, SqliteError> {
    rows(sqlite, "SELECT type, name, tbl_name, sql FROM main.sqlite_schema ORDER BY type, name")
}

/// A row's key, as people read it, and a hash of the row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RowDigest {
    pub key: String,
    pub hash: u64,
}

/// At most `limit` rows of a table, in the order of its key, from the `skip`th on.
pub fn row_digests(
    sqlite: &mut Sqlite,
    name: &str,
    skip: u64,
    limit: u64,
) -> Result<Vec<RowDigest>, SqliteError> {
    let Some(shape) = Shape::of(sqlite, name)? else { return Ok(Vec::new()) };
    let sql = format!("{} LIMIT {limit} OFFSET {skip}", query(&shape, name));
    let (keys, wanted) = (shape.order(), wanted(&shape));
    let mut rows = Vec::new();
    let mut statement = sqlite.prepare_once(&sql)?;
    while statement.step()? {
        let mut digest = EffectHash::default();
        digest.add_row((0..statement.column_count()).map(|index| statement.raw_column(index)));
        let parts = keys.iter().map(|key| {
            let place = wanted.iter().position(|column| column == key);
            let value = place.map_or(ValueRef::Null, |place| statement.column(place));
            format!("{key} = {}", literal(&value.to_owned()))
        });
        let key = parts.collect::<Vec<_>>().join(", ");
        rows.push(RowDigest { key, hash: digest.hash() });
    }
    Ok(rows)
}

/// The digest of a table's rows, `None` where there is no such table.
pub(super) fn table(sqlite: &mut Sqlite, name: &str) -> Result<Option<u64>, SqliteError> {
    match Shape::of(sqlite, name)? {
        Some(shape) => rows(sqlite, &query(&shape, name)).map(Some),
        None => Ok(None),
    }
}

/// What is read of a table's rows.
fn wanted(shape: &Shape) -> Vec<&str> {
    shape.rowid.into_iter().chain(shape.columns.iter().map(|column| column.name.as_str())).collect()
}

fn query(shape: &Shape, name: &str) -> String {
    let mut sql = format!("SELECT {} FROM main.{}", wanted(shape).join(", "), quote(name));
    let order = shape.order();
    if !order.is_empty() {
        let _ = write!(sql, " ORDER BY {}", order.join(", "));
    }
    sql
}

/// The digest of a query's rows, in order.
fn rows(sqlite: &mut Sqlite, sql: &str) -> Result<u64, SqliteError> {
    let mut digest = EffectHash::default();
    let mut statement = sqlite.prepare_once(sql)?;
    while statement.step()? {
        digest.add_row((0..statement.column_count()).map(|index| statement.raw_column(index)));
    }
    Ok(digest.hash())
}

/// A version of the catalog that is equal wherever its content is: on all nodes, in
/// all connections. SQLite's own schema version does not do: a sequence, or a
/// column's PostgreSQL type, changes without it, and it is the same for every database of
/// the file. What is reserved of a sequence does not count: it moves all the time, and no translation depends on it.
pub(super) fn catalog_version(catalog: &Catalog) -> u64 {
    struct Sink(Xxh3);
    impl std::fmt::Write for Sink {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.update(text.as_bytes());
            Ok(())
        }
    }
    let mut sink = Sink(Xxh3::new());
    // Writing to the sink does not fail.
    let _ = write!(sink, "{}@{}{:?}", catalog.version, catalog.database, catalog.relations);
    let _ = write!(sink, "{:?}{:?}", catalog.access, catalog.column_access);
    let _ = write!(sink, "{:?}{:?}", catalog.schemas, catalog.types);
    for sequence in catalog.sequences.values() {
        let mut sequence = sequence.clone();
        sequence.reserved = None;
        let _ = write!(sink, "{sequence:?}");
    }
    sink.0.digest()
}
