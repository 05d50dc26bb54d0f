//! What the storage of a node promises of SQLite, tried on real files.

mod files;
mod guards;
mod shipping;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tempfile::TempDir;

use super::*;
use crate::log::{Context, Lsn, Term, Value};

/// A directory, and a writer of a database in it.
fn writer() -> (TempDir, Sqlite) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let sqlite = open(&directory, ConnectionKind::Writer);
    (directory, sqlite)
}

fn open(directory: &TempDir, kind: ConnectionKind) -> Sqlite {
    Sqlite::open(&directory.path().join("demo.db"), kind).expect("opens")
}

fn run(sqlite: &mut Sqlite, sql: &str) -> Vec<Vec<Value>> {
    query(sqlite, sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn fails(sqlite: &mut Sqlite, sql: &str) -> SqliteError {
    match query(sqlite, sql, &[]) {
        Ok(rows) => panic!("{sql} gave {rows:?}"),
        Err(error) => error,
    }
}

fn one(sqlite: &mut Sqlite, sql: &str) -> Value {
    run(sqlite, sql).swap_remove(0).swap_remove(0)
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

#[test]
fn a_new_file_is_set_up_for_replication() {
    let (directory, mut sqlite) = writer();
    assert_eq!(one(&mut sqlite, "PRAGMA journal_mode"), text("wal"));
    assert_eq!(one(&mut sqlite, "PRAGMA auto_vacuum"), Value::Integer(2));
    assert_eq!(one(&mut sqlite, "PRAGMA synchronous"), Value::Integer(1));
    assert_eq!(one(&mut sqlite, "PRAGMA foreign_keys"), Value::Integer(1));
    assert_eq!(one(&mut sqlite, "PRAGMA trusted_schema"), Value::Integer(0));
    assert_eq!(sqlite.applied().expect("recorded"), (Term(0), Lsn(0)));
    let mut reader = open(&directory, ConnectionKind::Reader);
    assert_eq!(one(&mut reader, "SELECT next FROM towline_oid"), Value::Integer(16384));
    let error = fails(&mut reader, "INSERT INTO towline_oid VALUES (1, 1)");
    assert_eq!(error.kind, SqliteErrorKind::ReadOnly);
}

#[test]
fn values_go_in_and_out_as_they_are() {
    let (_directory, mut sqlite) = writer();
    run(&mut sqlite, "CREATE TABLE t (a)");
    let values = [
        Value::Null,
        Value::Integer(i64::MIN),
        Value::Real(0.1),
        text(""),
        text("grüße"),
        Value::Blob(vec![]),
        Value::Blob(vec![0, 255]),
    ];
    for value in &values {
        query(&mut sqlite, "INSERT INTO t VALUES (?1)", std::slice::from_ref(value)).expect("in");
    }
    let out: Vec<_> = run(&mut sqlite, "SELECT a FROM t ORDER BY rowid").concat();
    assert_eq!(out, values);
    assert_eq!(one(&mut sqlite, "SELECT CAST(x'ff' AS TEXT)"), Value::Blob(vec![255]));
}

#[test]
fn a_prepared_statement_is_one_statement() {
    let (_directory, mut sqlite) = writer();
    assert!(sqlite.prepare("SELECT 1; SELECT 2").is_err());
    assert!(sqlite.prepare("SELECT 1; -- that is all").is_ok());
    assert!(sqlite.prepare("").is_err());
    assert!(sqlite.prepare("SELECT 1\0; DROP TABLE t").is_err());
    let error = fails(&mut sqlite, "SELECT nothing");
    assert_eq!((error.kind, error.offset), (SqliteErrorKind::Statement, Some(7)));
}

#[test]
fn a_statement_takes_as_many_parameters_as_a_client_can_bind() {
    let (_directory, mut sqlite) = writer();
    let values = vec![Value::Integer(1); usize::from(u16::MAX)];
    let marks: Vec<String> = (1..=values.len()).map(|at| format!("(?{at})")).collect();
    run(&mut sqlite, "CREATE TABLE t (a)");
    let insert = format!("INSERT INTO t VALUES {}", marks.join(", "));
    query(&mut sqlite, &insert, &values).expect("in");
    assert_eq!(one(&mut sqlite, "SELECT sum(a) FROM t"), Value::Integer(65_535));
}

#[test]
fn columns_of_a_cached_statement_follow_a_schema_changed_elsewhere() {
    let (directory, mut sqlite) = writer();
    run(&mut sqlite, "CREATE TABLE t (a)");
    let mut reader = open(&directory, ConnectionKind::Reader);
    assert_eq!(reader.prepare("SELECT * FROM t").expect("prepares").column_count(), 1);
    run(&mut sqlite, "ALTER TABLE t ADD COLUMN b");
    let mut statement = reader.prepare("SELECT * FROM t").expect("prepares");
    assert_eq!(statement.column_count(), 2);
    assert_eq!(statement.column_name(1), "b");
    assert!(!statement.step().expect("no rows"));
}

#[test]
fn the_catalog_is_loaded_anew_after_any_change_of_it() {
    let (directory, mut sqlite) = writer();
    let mut reader = open(&directory, ConnectionKind::Reader);
    let before = reader.catalog().expect("loads");
    assert!(Arc::ptr_eq(&before, &reader.catalog().expect("cached")));
    run(&mut sqlite, "INSERT INTO towline_sequence (oid, name) VALUES (20000, 's')");
    let after = reader.catalog().expect("loads");
    assert!(!Arc::ptr_eq(&before, &after));
    sqlite.execute_batch("BEGIN; SAVEPOINT s; CREATE TABLE t (a)").expect("runs");
    let inside = sqlite.catalog().expect("loads");
    sqlite.execute_batch("ROLLBACK TO s").expect("runs");
    assert!(!Arc::ptr_eq(&inside, &sqlite.catalog().expect("loads")));
}

#[test]
fn a_set_flag_stops_a_statement() {
    let (_directory, mut sqlite) = writer();
    let flag = Arc::new(AtomicBool::new(true));
    sqlite.set_cancel(Some(flag), None);
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT count(*) FROM n";
    assert_eq!(fails(&mut sqlite, endless).kind, SqliteErrorKind::Interrupted);
    sqlite.set_cancel(None, Some(std::time::Instant::now()));
    assert_eq!(fails(&mut sqlite, endless).kind, SqliteErrorKind::Interrupted);
    sqlite.set_cancel(None, None);
    run(&mut sqlite, "SELECT 1");
}

#[test]
fn applied_position_is_part_of_the_transaction() {
    let (_directory, mut sqlite) = writer();
    sqlite.execute_batch("BEGIN IMMEDIATE").expect("begins");
    sqlite.set_applied(Term(3), Lsn(u64::MAX)).expect("records");
    assert!(sqlite.in_transaction());
    sqlite.execute_batch("ROLLBACK").expect("ends");
    assert_eq!(sqlite.applied().expect("recorded"), (Term(0), Lsn(0)));
    sqlite.set_applied(Term(3), Lsn(u64::MAX)).expect("records");
    assert_eq!(sqlite.applied().expect("recorded"), (Term(3), Lsn(u64::MAX)));
}

#[test]
fn connections_and_statements_move_between_threads() {
    fn moves<T: Send>() {}
    moves::<Sqlite>();
    moves::<Statement>();
}
