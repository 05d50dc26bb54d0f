//! Whether a statement visits a few rows at most, told from SQLite's own query plan.
//!
//! Anything not recognised is not a point: the answer only decides on which thread
//! the statement runs.

use super::{Sqlite, SqliteError};
use crate::log::ValueRef;

/// Rows of a VALUES list that still count as a few.
const CONSTANT_ROWS_MAX: u64 = 100;

/// Whether every table that `sql` reads is reached by a unique key's equality.
pub(super) fn is_point(sqlite: &mut Sqlite, sql: &str) -> Result<bool, SqliteError> {
    // A unique index may hold any number of NULLs, and the plan does not tell.
    let words =
        |text: &str| text.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("is"));
    if words(sql) {
        return Ok(false);
    }
    let mut steps = Vec::new();
    let mut plan = sqlite.prepare_once(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    while plan.step()? {
        if let ValueRef::Text(detail) = plan.column(3) {
            steps.push(detail.to_owned());
        }
    }
    drop(plan);
    for step in &steps {
        let few = match judge(step) {
            Judgement::Few => true,
            Judgement::Many => false,
            Judgement::Index { name, columns } => is_unique(sqlite, name, columns)?,
            Judgement::PrimaryKey { table, columns } => is_primary_key(sqlite, table, columns)?,
        };
        if !few {
            return Ok(false);
        }
    }
    Ok(true)
}

#[derive(Debug, Eq, PartialEq)]
enum Judgement<'a> {
    Few,
    Many,
    /// If the index is unique and has so many columns.
    Index {
        name: &'a str,
        columns: usize,
    },
    /// If the table (without rowids) has a key of so many columns.
    PrimaryKey {
        table: &'a str,
        columns: usize,
    },
}

/// Judges a line of the plan.
fn judge(step: &str) -> Judgement<'_> {
    if let Some(search) = step.strip_prefix("SEARCH ") {
        return judge_search(search);
    }
    if let Some(scan) = step.strip_prefix("SCAN ") {
        let rows = scan
            .strip_suffix(" CONSTANT ROWS")
            .or_else(|| scan.strip_suffix("-ROW VALUES CLAUSE"))
            .and_then(|rows| rows.parse().ok());
        let few = scan == "CONSTANT ROW" || rows.is_some_and(|rows: u64| rows <= CONSTANT_ROWS_MAX);
        return if few { Judgement::Few } else { Judgement::Many };
    }
    let scalar = step.strip_prefix("CORRELATED ").unwrap_or(step).starts_with("SCALAR SUBQUERY ");
    let sort = step.starts_with("USE TEMP B-TREE FOR ");
    if scalar || sort { Judgement::Few } else { Judgement::Many }
}

/// Judges `t USING INDEX i (a=? AND b=?)` and its kin.
fn judge_search(search: &str) -> Judgement<'_> {
    let Some((table, access)) = search.split_once(" USING ") else { return Judgement::Many };
    let access = access.strip_suffix(" LEFT-JOIN").unwrap_or(access);
    let Some((path, terms)) = access.rsplit_once(" (") else { return Judgement::Many };
    let Some(terms) = terms.strip_suffix(')') else { return Judgement::Many };
    let columns = terms.split(" AND ").count();
    if !terms.split(" AND ").all(|term| term.ends_with("=?")) {
        return Judgement::Many;
    }
    if path == "INTEGER PRIMARY KEY" {
        return Judgement::Few;
    }
    if path == "PRIMARY KEY" {
        return Judgement::PrimaryKey { table, columns };
    }
    match path.strip_prefix("COVERING INDEX ").or_else(|| path.strip_prefix("INDEX ")) {
        Some(name) => Judgement::Index { name, columns },
        None => Judgement::Many,
    }
}

fn is_unique(sqlite: &mut Sqlite, index: &str, columns: usize) -> Result<bool, SqliteError> {
    has_rows(
        sqlite,
        "SELECT 1 FROM main.sqlite_schema AS s, pragma_index_list(s.tbl_name, 'main') AS l
         WHERE s.type = 'index' AND s.name = ?1 AND l.name = s.name AND l.\"unique\"
           AND (SELECT count(*) FROM pragma_index_info(s.name, 'main')) = ?2",
        index,
        columns,
    )
}

fn is_primary_key(sqlite: &mut Sqlite, table: &str, columns: usize) -> Result<bool, SqliteError> {
    // An alias names no table, and then counts as many.
    has_rows(
        sqlite,
        "SELECT 1 WHERE ?2 =
             (SELECT count(*) FROM pragma_table_info(?1, 'main') WHERE pk > 0)",
        table,
        columns,
    )
}

fn has_rows(
    sqlite: &mut Sqlite,
    sql: &str,
    name: &str,
    columns: usize,
) -> Result<bool, SqliteError> {
    let mut statement = sqlite.prepare(sql)?;
    statement.bind(1, ValueRef::Text(name))?;
    statement.bind(2, ValueRef::Integer(i64::try_from(columns).unwrap_or(i64::MAX)))?;
    statement.step()
}
