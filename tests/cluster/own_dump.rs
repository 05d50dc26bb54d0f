//! `towline dump`: one text that SQLite, PostgreSQL and Towline load, and what they
//! then hold.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::demo::{Demo, assert_success, wait_for};
use crate::dump::{PostgreSql, load};

/// Every table's rows in order, as PostgreSQL's clients see them.
const CONTENT: &str = "SET TimeZone = 'UTC'; SELECT * FROM parent ORDER BY id;
    SELECT * FROM \"Other\".child ORDER BY id; SELECT * FROM every ORDER BY i2 NULLS LAST;
    SELECT * FROM a_view ORDER BY 1; SELECT * FROM only_postgresql ORDER BY 1; SELECT * FROM kept;
    SELECT nextval('lone') > 8, nextval('parent_id_seq') > 2, nextval('\"Other\".child_id_seq') > 12;
    SELECT conname, contype, convalidated FROM pg_constraint c JOIN pg_class r ON r.oid = conrelid
    WHERE relname IN ('parent', 'child', 'every') ORDER BY 1; SELECT col_description(
    'parent'::regclass, 3), obj_description('\"Other\".child'::regclass, 'pg_class');
    SELECT twice(21), twice(2, 5); SELECT * FROM codes(3);
    SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'every'::regclass ORDER BY 1::text";

fn written(demo: &Demo, arguments: &[&str]) -> String {
    let mut all = vec!["dump"];
    all.extend(arguments);
    let output = demo.towline(&all);
    assert_success("towline dump", &output);
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn psql(mut command: Command, sql: &str) -> String {
    let output = command
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-P", "null=NULL", "-c", sql])
        .output()
        .expect("psql runs");
    assert_success(sql, &output);
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What the `sqlite3` shell answers, having read `text`.
fn sqlite(text: &str, questions: &str) -> String {
    use std::io::Write as _;
    let mut shell = Command::new("sqlite3")
        .args(["-batch", "-bail", ":memory:"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sqlite3 runs");
    let input = format!("{text}\n.nullvalue NULL\n{questions}\n");
    shell.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
    let output = shell.wait_with_output().expect("sqlite3 ends");
    assert_success("sqlite3", &output);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn one_text_loads_into_sqlite_postgresql_and_towline() {
    let demo = Demo::start(&[]);
    load(demo.client_command("psql", "proxy"), Path::new("tests/data/dump.sql"));
    let text = written(&demo, &[]);
    let file = demo.dir().join("dump.sql");
    assert_eq!(written(&demo, &["--file", &file.display().to_string()]), "");
    assert_eq!(std::fs::read_to_string(&file).expect("written"), text);

    // Into Towline again: what is there then is written as the same text.
    demo.psql("CREATE DATABASE again");
    let again = || {
        let mut command = demo.client_command("psql", "proxy");
        command.env("PGDATABASE", "again");
        command
    };
    load(again(), &file);
    let second = written(&demo, &["--database", "again"]);
    let lines =
        |text: &str| -> Vec<String> { text.lines().skip(1).map(str::to_ascii_lowercase).collect() };
    assert_eq!(lines(&second), lines(&text));
    assert_eq!(psql(again(), CONTENT), psql(demo.client_command("psql", "proxy"), CONTENT));

    // Into SQLite, which checks the keys that it was given.
    let questions = "PRAGMA foreign_key_check; PRAGMA integrity_check;
        SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER BY name;
        SELECT \"Order\", price, exact, typeof(exact) FROM parent;
        SELECT * FROM \"Other.child\"; SELECT * FROM a_view;
        SELECT i8, f4, f8, n, n3, typeof(n3), v, c, quote(\"by\"), d, tz, j, m, bi, ia FROM every;
        INSERT INTO parent (code) VALUES ('new'); SELECT max(id) FROM parent;";
    assert_eq!(sqlite(&text, questions), include_str!("../data/dump.sqlite"));
    let one_reader = written(&demo, &["--for", "sqlite"]);
    assert!(!one_reader.contains("--*/"));
    assert_eq!(sqlite(&one_reader, questions), include_str!("../data/dump.sqlite"));

    let Some(server) = PostgreSql::start() else {
        eprintln!("no PostgreSQL 15 server here: its part of the test is left out");
        return;
    };
    wait_for("the server", || {
        server.client("psql").args(["-c", "SELECT 1"]).output().ok()?.status.success().then_some(())
    });
    load(server.client("psql"), &file);
    assert_eq!(psql(server.client("psql"), CONTENT), psql(again(), CONTENT));
    let for_it = written(&demo, &["--for", "postgresql"]);
    std::fs::write(&file, &for_it).expect("written");
    psql(server.client("psql"), "CREATE DATABASE other");
    let mut other = server.client("psql");
    other.env("PGDATABASE", "other");
    load(other, &file);
}

#[test]
fn a_part_of_a_database_is_asked_for() {
    let demo = Demo::start(&[]);
    load(demo.client_command("psql", "proxy"), Path::new("tests/data/dump.sql"));
    let schema = written(&demo, &["--schema-only"]);
    let data = written(&demo, &["--data-only"]);
    assert!(!schema.contains("INSERT") && !schema.contains("setval"), "{schema}");
    assert!(!data.contains("CREATE") && data.contains("setval"), "{data}");
    let questions = "SELECT count(*) FROM every; SELECT count(*) FROM a_view;";
    assert_eq!(sqlite(&(schema + &data), questions), "3\n2\n");
    let one = written(&demo, &["--table", "Other.child", "--table", "z_view"]);
    assert!(one.contains("INSERT INTO /*/**/\"Other.child\"") && one.contains("\"z_view\""));
    assert!(!one.contains("CREATE TABLE \"parent\"") && !one.contains("\"lone\""), "{one}");
    let unknown = demo.towline(&["dump", "--table", "nowhere"]);
    assert!(!unknown.status.success());
    let told = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(told, "towline: there is no table or view \"nowhere\"\n");
}

#[test]
fn what_is_written_meanwhile_is_in_it_whole_or_not_at_all() {
    let demo = Demo::start(&[]);
    demo.psql(
        "CREATE TABLE one (i int); CREATE TABLE two (i int);
         INSERT INTO one SELECT generate_series(1, 20000); INSERT INTO two SELECT i FROM one",
    );
    std::thread::scope(|scope| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        scope.spawn({
            let demo = &demo;
            move || {
                while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                    demo.psql(
                        "BEGIN; INSERT INTO one VALUES (0); INSERT INTO two VALUES (0); COMMIT",
                    );
                }
            }
        });
        for _ in 0..3 {
            let questions = "SELECT (SELECT count(*) FROM one) - (SELECT count(*) FROM two);";
            assert_eq!(sqlite(&written(&demo, &[]), questions), "0\n");
        }
        stop.send(()).expect("the writer goes on");
    });
}

#[test]
fn what_sqlite_dumps_loads_in_its_dialect() {
    let demo = Demo::start(&[]);
    let made = "CREATE TABLE person(id INTEGER PRIMARY KEY AUTOINCREMENT,
            name VARCHAR(20) COLLATE NOCASE DEFAULT 'x', born DATETIME, data BLOB);
        CREATE TABLE pet(owner INTEGER REFERENCES person(id) ON DELETE CASCADE, name TEXT,
            PRIMARY KEY(owner, name)) WITHOUT ROWID;
        INSERT INTO person VALUES (1, 'a''b' || char(10), '2024-01-01 00:00:00', X'00ff'),
            (7, 'z', NULL, NULL);
        INSERT INTO pet VALUES (1, 'cat'), (7, 'dog');
        CREATE INDEX pet_name ON pet(name COLLATE NOCASE) WHERE name > 'a';
        CREATE VIEW v AS SELECT p.name AS owner, t.name FROM person p, pet t WHERE t.owner = p.id;";
    let dumped = sqlite(made, ".dump");
    let text = dumped.replace("PRAGMA foreign_keys=OFF;", "SET towline.dialect = 'sqlite';");
    assert_ne!(text, dumped);
    let file = demo.dir().join("sqlite.sql");
    std::fs::write(&file, text).expect("written");
    load(demo.client_command("psql", "proxy"), &file);
    let found = demo.psql(
        "SELECT * FROM person ORDER BY id; SELECT * FROM v ORDER BY 2;
         INSERT INTO person (name) VALUES ('next') RETURNING id",
    );
    assert_eq!(found, "1|a'b\n|2024-01-01 00:00:00|\\x00ff\n7|z||\na'b\n|cat\nz|dog\n8");
    demo.assert_equal_content();
}
