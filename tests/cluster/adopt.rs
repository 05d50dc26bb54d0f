//! A cluster that begins with a SQLite file which another program made.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::demo::{Demo, TOWLINE, assert_success, wait_for};

/// What an application might have made: types that SQLite does not know, rows without a
/// declared key, an index over an expression, triggers, a view, foreign keys.
const GIVEN: &str = "
    CREATE TABLE customer (id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(40) NOT NULL,
        vip BOOLEAN DEFAULT 0, since DATETIME DEFAULT CURRENT_TIMESTAMP, balance DECIMAL(10,2));
    CREATE TABLE item (customer INTEGER NOT NULL REFERENCES customer (id) ON DELETE CASCADE,
        place INTEGER, what TEXT, picture BLOB, PRIMARY KEY (customer, place)) WITHOUT ROWID;
    CREATE TABLE note (text TEXT);
    CREATE INDEX customer_name ON customer (lower(name));
    CREATE VIEW spent AS SELECT c.name, count(*) AS items FROM customer c
        JOIN item i ON i.customer = c.id GROUP BY c.name;
    CREATE TRIGGER noted AFTER INSERT ON item BEGIN
        INSERT INTO note VALUES (new.customer || '/' || new.place || ' ' || hex(randomblob(4)));
    END;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
        INSERT INTO customer (name, vip, balance) SELECT 'c' || i, i % 2, i * 1.25 FROM n;
    INSERT INTO item SELECT id, 1, 'thing ' || id, randomblob(300) FROM customer WHERE id % 3 = 0;
    DELETE FROM note WHERE rowid % 2 = 0";

#[test]
fn an_existing_file_becomes_the_database_of_a_cluster() {
    let files = tempfile::tempdir().expect("a directory");
    let given = files.path().join("shop.db");
    let sqlite = |command: &str| {
        let output = Command::new("sqlite3").arg(&given).arg(command).output().expect("runs");
        assert_success(&format!("sqlite3 {command}"), &output);
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    sqlite(GIVEN);
    let rowids = "SELECT rowid, * FROM note; SELECT customer, place, what, hex(picture) FROM item; SELECT * FROM spent;
                  SELECT * FROM customer; SELECT * FROM sqlite_sequence";
    let schema = "SELECT type, name, sql FROM sqlite_schema
                  WHERE name NOT LIKE 'towline%' AND tbl_name NOT LIKE 'towline%'";
    let expected = (sqlite(rowids), sqlite(schema));
    let demo = Demo::start_with(&[], |dir| {
        let init = ["init", "--database", "demo", "--cluster", "demo", "--from"];
        let mut command = Command::new(TOWLINE);
        command.args(init).arg(&given).arg(dir.join("node2"));
        assert_success("init", &command.output().expect("towline runs"));
        // Not twice into one directory.
        assert!(!command.output().expect("towline runs").status.success());
    });
    demo.wait_until_well();
    for node in demo.nodes() {
        assert!(demo.sqlite(&node, rowids) == expected.0, "{node} holds other rows");
        assert_eq!(demo.sqlite(&node, schema), expected.1, "{node}");
    }
    assert_eq!(demo.psql("SELECT count(*), sum(balance) FROM customer"), "3000|5626875.00");
    let types = "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
                 WHERE attrelid = 'customer'::regclass AND attnum > 0 ORDER BY attnum";
    assert_eq!(
        demo.psql(types),
        "id|bigint\nname|character varying(40)\nvip|boolean\n\
         since|timestamp without time zone\nbalance|numeric(10,2)"
    );
    // It is used as any other, and has another leader.
    demo.psql("INSERT INTO customer (name) VALUES ('new'); DELETE FROM customer WHERE id % 6 = 0");
    let leader = demo.leader();
    demo.signal(&leader, Signal::SIGKILL);
    wait_for("another leader", || (demo.leader() != leader).then_some(()));
    demo.psql("INSERT INTO item VALUES (3001, 1, 'x', NULL), (3001, 2, 'y', NULL)");
    assert_eq!(demo.psql("SELECT * FROM spent WHERE name = 'new'"), "new|2");
    demo.assert_equal_content();
}
