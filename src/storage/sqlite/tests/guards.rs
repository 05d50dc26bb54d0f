//! What is refused, bounded, or stopped, and how it ends.

use super::*;

fn refusal(sqlite: &mut Sqlite, sql: &str) -> String {
    let error = match sqlite.execute_batch(sql) {
        Ok(()) => panic!("{sql} ran"),
        Err(error) => error,
    };
    let raised = error.raised.unwrap_or_else(|| panic!("{sql}: {}", error.message));
    format!("{raised}")
}

#[test]
fn what_reaches_beyond_the_database_is_refused_on_writers_and_readers() {
    let (directory, mut sqlite) = writer();
    let mut reader = open(&directory, ConnectionKind::Reader);
    for sql in [
        "ATTACH 'other.db' AS other",
        "DETACH pg_catalog",
        "VACUUM",
        "VACUUM INTO 'copy.db'",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA query_only = OFF",
        "PRAGMA optimize",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA writable_schema = 1",
        "PRAGMA user_version = 7",
        "SELECT load_extension('x')",
        "SELECT total_changes()",
    ] {
        assert!(refusal(&mut sqlite, sql).starts_with("0A000: "), "{sql}");
        assert!(refusal(&mut reader, sql).starts_with("0A000: "), "{sql}");
    }
    let clause = "CREATE TABLE t (a UNIQUE ON CONFLICT ROLLBACK)";
    assert_eq!(
        refusal(&mut sqlite, clause),
        "0A000: conflict resolution ROLLBACK is not supported"
    );
    assert!(fails(&mut sqlite, "UPDATE sqlite_schema SET sql = ''").message.contains("sqlite_"));
}

#[test]
fn a_file_whose_schema_could_undo_others_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("demo.db");
    let made = rusqlite::Connection::open(&path).expect("opens");
    made.execute_batch("CREATE TABLE t (a UNIQUE ON CONFLICT ROLLBACK)").expect("makes");
    drop(made);
    let error = Sqlite::open(&path, ConnectionKind::Writer).err().expect("refused");
    assert_eq!(error.raised.expect("raised").state.0, "0A000");
}

/// What SQLite calls read-only, where that is not the whole truth.
#[test]
fn the_exceptions_of_stmt_readonly_are_known() {
    let (_directory, mut sqlite) = writer();
    run(&mut sqlite, "CREATE TABLE t (a)");
    for (sql, readonly) in [
        ("SELECT * FROM t", true),
        ("INSERT INTO t VALUES (1)", false),
        ("WITH c AS (SELECT 1) DELETE FROM t", false),
        // They open, close or mark a transaction: statements of the session.
        ("BEGIN", true),
        ("COMMIT", true),
        ("ROLLBACK", true),
        ("SAVEPOINT s", true),
        ("RELEASE s", true),
        // It takes the write lock.
        ("BEGIN IMMEDIATE", false),
        ("BEGIN EXCLUSIVE", false),
        // Run nothing of what they explain; SQLite says false.
        ("EXPLAIN INSERT INTO t VALUES (1)", true),
        ("EXPLAIN QUERY PLAN DELETE FROM t", true),
        ("ANALYZE", false),
        ("REINDEX", false),
        // Functions that write are not seen through.
        ("SELECT setval('s', 1)", true),
    ] {
        let statement = sqlite.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(statement.readonly(), readonly, "{sql}");
    }
    // Called read-only although they change something: refused before they run.
    for sql in ["ATTACH ':memory:' AS x", "PRAGMA optimize", "PRAGMA journal_mode = OFF"] {
        assert!(sqlite.prepare(sql).is_err(), "{sql}");
    }
}

#[test]
fn a_reader_changes_nothing() {
    let (directory, mut sqlite) = writer();
    run(&mut sqlite, "CREATE TABLE t (a)");
    run(&mut sqlite, "INSERT INTO towline_sequence (oid, name) VALUES (20000, 's')");
    let mut reader = open(&directory, ConnectionKind::Reader);
    for sql in [
        "INSERT INTO t VALUES (1)",
        "CREATE TABLE u (a)",
        "DROP TABLE t",
        "ANALYZE",
        "SELECT nextval('s')",
        "SELECT setval('s', 1)",
    ] {
        assert_eq!(fails(&mut reader, sql).kind, SqliteErrorKind::ReadOnly, "{sql}");
    }
}

#[test]
fn hostile_statements_end_in_an_error() {
    let (_directory, mut sqlite) = writer();
    run(&mut sqlite, "CREATE TABLE t (a)");
    let deep = |open: &str, core: &str, close: &str| {
        format!("SELECT {}{core}{}", open.repeat(50_000), close.repeat(50_000))
    };
    for sql in [
        deep("(", "1", ")"),
        deep("- ", "1", ""),
        deep("NOT ", "1", ""),
        deep("abs(", "1", ")"),
        deep("(SELECT ", "1", ")"),
        deep("CASE WHEN 1 THEN ", "1", " END"),
        format!("SELECT 1{}", " + 1".repeat(50_000)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(50_000)),
        format!("SELECT * FROM t{}", " JOIN t".repeat(5_000)),
        format!("SELECT {}", "x".repeat(40 * 1024 * 1024)),
        "SELECT randomblob(1000000000)".to_owned(),
        "SELECT zeroblob(1000000000)".to_owned(),
    ] {
        assert_eq!(fails(&mut sqlite, &sql).kind, SqliteErrorKind::Statement);
    }
    run(&mut sqlite, "CREATE TRIGGER again AFTER INSERT ON t BEGIN SELECT 1; END");
    assert_eq!(one(&mut sqlite, "SELECT 1"), Value::Integer(1));
}

#[test]
fn the_last_rowid_is_refused_since_after_it_sqlite_draws_at_random() {
    let (_directory, mut sqlite) = writer();
    run(&mut sqlite, "CREATE TABLE t (a)");
    sqlite.execute_batch("BEGIN; SAVEPOINT s").expect("begins");
    let error = fails(&mut sqlite, "INSERT INTO t (rowid, a) VALUES (9223372036854775807, 1)");
    assert_eq!(error.raised.expect("raised").state.0, "54000");
    sqlite.execute_batch("ROLLBACK TO s; COMMIT").expect("undoes");
    run(&mut sqlite, "INSERT INTO t (rowid, a) VALUES (9223372036854775806, 1)");
    let error = fails(&mut sqlite, "INSERT INTO t (a) VALUES (1)");
    assert_eq!(error.raised.expect("raised").state.0, "54000");
}

#[test]
fn violations_of_deferred_keys_show_before_the_commit() {
    let (_directory, mut sqlite) = writer();
    sqlite
        .execute_batch(
            "CREATE TABLE parent (id INTEGER PRIMARY KEY);
             CREATE TABLE child (parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
             CREATE TABLE strict_child (parent REFERENCES parent);",
        )
        .expect("makes");
    sqlite.execute_batch("BEGIN IMMEDIATE; SAVEPOINT m").expect("begins");
    assert_eq!(sqlite.deferred_foreign_key_violations().expect("tells"), 0);
    run(&mut sqlite, "INSERT INTO child VALUES (1)");
    assert_ne!(sqlite.deferred_foreign_key_violations().expect("tells"), 0);
    sqlite.execute_batch("ROLLBACK TO m").expect("undoes");
    assert_eq!(sqlite.deferred_foreign_key_violations().expect("tells"), 0);
    run(&mut sqlite, "INSERT INTO child VALUES (1)");
    run(&mut sqlite, "INSERT INTO parent VALUES (1)");
    assert_eq!(sqlite.deferred_foreign_key_violations().expect("tells"), 0);

    let error = fails(&mut sqlite, "INSERT INTO strict_child VALUES (2)");
    assert_eq!(error.kind, SqliteErrorKind::ForeignKey);
    sqlite.set_defer_foreign_keys(true).expect("defers");
    run(&mut sqlite, "INSERT INTO strict_child VALUES (2)");
    assert_ne!(sqlite.deferred_foreign_key_violations().expect("tells"), 0);
    run(&mut sqlite, "DELETE FROM strict_child");
    sqlite.set_defer_foreign_keys(false).expect("ends");

    // A rebuild inside the transaction.
    sqlite.set_foreign_keys(false).expect("off");
    run(&mut sqlite, "DROP TABLE parent");
    assert_eq!(one(&mut sqlite, "SELECT count(*) FROM child"), Value::Integer(1));
    let violation = sqlite.foreign_key_check(None);
    assert!(violation.is_err() || violation.is_ok_and(|found| found.is_some()));
    run(&mut sqlite, "CREATE TABLE parent (id INTEGER PRIMARY KEY)");
    assert_eq!(
        sqlite.foreign_key_check(None).expect("checks"),
        Some(("child".to_owned(), "parent".to_owned()))
    );
    run(&mut sqlite, "INSERT INTO parent VALUES (1)");
    assert_eq!(sqlite.foreign_key_check(None).expect("checks"), None);
    sqlite.set_foreign_keys(true).expect("on");
    sqlite.execute_batch("RELEASE m; COMMIT").expect("commits");
}

#[test]
fn an_interrupted_write_shows_that_the_transaction_is_gone() {
    let (_directory, mut sqlite) = writer();
    run(&mut sqlite, "CREATE TABLE t (a)");
    let fill = "INSERT INTO t WITH RECURSIVE n(i) AS
                (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) SELECT i FROM n";
    run(&mut sqlite, fill);
    sqlite.execute_batch("BEGIN IMMEDIATE; SAVEPOINT m").expect("begins");
    sqlite.set_cancel(Some(Arc::new(AtomicBool::new(true))), None);
    let error = fails(&mut sqlite, "UPDATE t SET a = a + 1");
    assert_eq!(error.kind, SqliteErrorKind::Interrupted);
    sqlite.set_cancel(None, None);
    assert!(!sqlite.in_transaction());
    assert_eq!(one(&mut sqlite, "SELECT min(a) FROM t"), Value::Integer(1));
}

#[test]
fn an_error_of_a_function_reaches_the_caller_whole() {
    let (_directory, mut sqlite) = writer();
    let error = fails(&mut sqlite, "SELECT nextval('nowhere')");
    let raised = error.raised.expect("raised");
    assert_eq!(raised.message, "relation \"nowhere\" does not exist");
    run(&mut sqlite, "CREATE TABLE t (a DEFAULT (nextval('nowhere')))");
    let error = fails(&mut sqlite, "INSERT INTO t DEFAULT VALUES");
    assert_eq!(error.raised.expect("raised").state.0, "42P01");
}

#[test]
fn only_equality_on_unique_keys_is_a_point() {
    let (_directory, mut sqlite) = writer();
    sqlite
        .execute_batch(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, c UNIQUE, UNIQUE (a, b));
             CREATE INDEX t_b ON t (b);
             CREATE TABLE w (k, l, v, PRIMARY KEY (k, l)) WITHOUT ROWID;",
        )
        .expect("makes");
    for (sql, point) in [
        ("SELECT * FROM t WHERE id = ?1", true),
        ("SELECT a FROM t AS x WHERE x.id = ?1", true),
        ("SELECT * FROM t WHERE id IN (1, 2)", true),
        ("SELECT * FROM t WHERE c = ?1", true),
        ("SELECT * FROM t WHERE a = ?1 AND b = ?2", true),
        ("SELECT c FROM t WHERE c = ?1", true),
        ("SELECT * FROM w WHERE k = 1 AND l = 2", true),
        ("SELECT 1", true),
        ("VALUES (1), (2)", true),
        ("SELECT (SELECT a FROM t WHERE id = 1)", true),
        ("SELECT x.a FROM t AS x JOIN t AS y ON y.id = x.b WHERE x.id = ?1", true),
        ("SELECT x.a FROM t AS x LEFT JOIN t AS y ON y.id = x.b WHERE x.id = ?1", true),
        ("UPDATE t SET a = 1 WHERE id = ?1", true),
        ("INSERT INTO t VALUES (1, 2, 3, 4)", true),
        ("SELECT * FROM t", false),
        ("SELECT count(*) FROM t", false),
        ("SELECT * FROM t WHERE id > ?1", false),
        ("SELECT * FROM t WHERE b = ?1", false),
        ("SELECT * FROM t WHERE a = ?1", false),
        ("SELECT * FROM w WHERE k = 1", false),
        ("SELECT * FROM t WHERE c IS NULL", false),
        ("SELECT * FROM t WHERE id IN (SELECT b FROM t)", false),
        ("SELECT * FROM json_each('[1]')", false),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i FROM n", false),
        ("SELECT zeroblob(5)", false),
        ("SELECT * FROM t WHERE id = 1 OR a = 2", false),
    ] {
        let statement = sqlite.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let plan = |sqlite: &mut Sqlite| run(sqlite, &format!("EXPLAIN QUERY PLAN {sql}"));
        assert_eq!(statement.is_point(), point, "{sql}: {:?}", plan(&mut sqlite));
        let plan = |sqlite: &mut Sqlite| run(sqlite, &format!("EXPLAIN QUERY PLAN {sql}"));
        assert_eq!(statement.is_point(), point, "{sql}: {:?}", plan(&mut sqlite));
    }
}
