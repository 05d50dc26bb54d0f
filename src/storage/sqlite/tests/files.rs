//! Copies, checkpoints, free pages.

use super::*;
use crate::storage::sqlite::ffi::Checkpoint;

/// Fills `t` with rows that take some pages.
const FILL: &str = "INSERT INTO t WITH RECURSIVE n(i) AS
    (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT hex(randomblob(200)) FROM n";

#[test]
fn a_copy_is_of_one_snapshot_and_keeps_rowids() {
    let (directory, mut sqlite) = writer();
    run(&mut sqlite, "CREATE TABLE t (a)");
    run(&mut sqlite, FILL);
    run(&mut sqlite, "DELETE FROM t WHERE rowid % 2 = 0");
    sqlite.set_applied(Term(2), Lsn(77)).expect("records");
    let mut reader = open(&directory, ConnectionKind::Reader);
    reader.execute_batch("BEGIN").expect("begins");
    let expected = content_digest(&mut reader).expect("digests");
    run(&mut sqlite, "DELETE FROM t");
    sqlite.set_applied(Term(2), Lsn(99)).expect("records");

    let path = directory.path().join("copy.db");
    assert_eq!(reader.copy_to(&path).expect("copies"), (Term(2), Lsn(77)));
    assert!(reader.in_transaction());
    let mut copy = Sqlite::open(&path, ConnectionKind::Writer).expect("opens");
    assert_eq!(content_digest(&mut copy).expect("digests"), expected);
    assert_eq!(copy.applied().expect("recorded"), (Term(2), Lsn(77)));
    assert_eq!(one(&mut copy, "PRAGMA integrity_check"), text("ok"));
    assert_eq!(one(&mut copy, "PRAGMA auto_vacuum"), Value::Integer(2));

    reader.execute_batch("COMMIT").expect("ends");
    let later = directory.path().join("later.db");
    assert_eq!(reader.copy_to(&later).expect("copies"), (Term(2), Lsn(99)));
    assert!(!reader.in_transaction());
    let missing = directory.path().join("missing").join("copy.db");
    assert!(reader.copy_to(&missing).is_err());
}

#[test]
fn free_pages_go_back_and_rowids_stay() {
    let (directory, mut sqlite) = writer();
    run(&mut sqlite, "CREATE TABLE t (a)");
    run(&mut sqlite, FILL);
    run(&mut sqlite, "DELETE FROM t WHERE rowid < 1990");
    let before = content_digest(&mut sqlite).expect("digests");
    let free = sqlite.free_pages().expect("tells");
    assert!(free > 50, "{free}");
    sqlite.incremental_vacuum(20).expect("gives back");
    assert_eq!(sqlite.free_pages().expect("tells"), free - 20);
    sqlite.incremental_vacuum(u32::MAX >> 1).expect("gives back");
    assert_eq!(sqlite.free_pages().expect("tells"), 0);
    assert_eq!(content_digest(&mut sqlite).expect("digests"), before);
    let mut other = open(&directory, ConnectionKind::Reader);
    assert_eq!(content_digest(&mut other).expect("digests"), before);
}

fn met(sqlite: &mut Sqlite) -> Checkpoint {
    sqlite.checkpoint().expect("runs").expect("no other runs")
}

#[test]
fn a_reader_s_checkpoint_empties_the_wal_as_far_as_snapshots_allow() {
    let (directory, mut sqlite) = writer();
    let mut checkpointer = open(&directory, ConnectionKind::Reader);
    run(&mut sqlite, "CREATE TABLE t (a)");
    assert_eq!(met(&mut checkpointer).left, 0);
    let mut reader = open(&directory, ConnectionKind::Reader);
    reader.execute_batch("BEGIN").expect("begins");
    run(&mut reader, "SELECT * FROM t");
    run(&mut sqlite, FILL);
    assert!(met(&mut checkpointer).left > 0);
    reader.execute_batch("COMMIT").expect("ends");
    assert_eq!(met(&mut checkpointer).left, 0);
}

#[test]
fn a_wal_whose_pages_are_all_in_the_file_starts_over() {
    let (directory, mut sqlite) = writer();
    let mut checkpointer = open(&directory, ConnectionKind::Reader);
    run(&mut sqlite, "CREATE TABLE t (a)");
    run(&mut sqlite, FILL);
    let long = met(&mut checkpointer);
    assert!(long.pages > 50 && long.left == 0, "{long:?}");
    run(&mut sqlite, "INSERT INTO t VALUES (1)");
    let short = met(&mut checkpointer);
    assert!((1..10).contains(&short.pages), "{short:?}");
}

#[test]
fn the_writer_does_not_checkpoint_by_itself() {
    let (directory, mut sqlite) = writer();
    run(&mut sqlite, "CREATE TABLE t (a)");
    for _ in 0..5 {
        run(&mut sqlite, FILL);
    }
    let wal = directory.path().join("demo.db-wal");
    let size = std::fs::metadata(wal).expect("exists").len();
    assert!(size > 4 * 1024 * 1024, "{size}");
}

#[test]
fn digests_differ_where_content_does() {
    let digest = |script: &str| {
        let (_directory, mut sqlite) = writer();
        sqlite.execute_batch(script).expect("runs");
        content_digest(&mut sqlite).expect("digests")
    };
    let base = digest("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)");
    assert_eq!(
        base,
        digest(
            "CREATE TABLE t (a); INSERT INTO t VALUES (2); UPDATE t SET a = 1; INSERT INTO t VALUES (2)"
        )
    );
    assert_ne!(base["t"], digest("CREATE TABLE t (a); INSERT INTO t VALUES (2), (1)")["t"]);
    assert_ne!(
        base["t"],
        digest("CREATE TABLE t (a); INSERT INTO t (rowid, a) VALUES (1, 1), (3, 2)")["t"]
    );
    assert_ne!(
        base["sqlite_schema"],
        digest("CREATE TABLE t (a, b); INSERT INTO t (a) VALUES (1), (2)")["sqlite_schema"]
    );
    let odd = digest(
        "CREATE TABLE \"o\"\"dd\" (rowid, _rowid_, \"a b\", g AS (rowid + 1));
         INSERT INTO \"o\"\"dd\" VALUES (1, 2, 3);
         CREATE TABLE w (a, b, PRIMARY KEY (b, a)) WITHOUT ROWID;
         CREATE VIRTUAL TABLE f USING fts5(body);
         INSERT INTO f VALUES ('x')",
    );
    assert!(odd.contains_key("o\"dd") && odd.contains_key("w") && odd.contains_key("f_data"));
}
