//! Databases, made, used and dropped as tools and test runners do it.

use nix::sys::signal::Signal;
use tokio_postgres::{Client, NoTls};

use crate::demo::{Demo, assert_success, wait_for};

async fn connect(demo: &Demo, process: &str, database: &str) -> Client {
    let mut config = demo.config(process);
    let (client, connection) = config.dbname(database).connect(NoTls).await.expect("it connects");
    tokio::spawn(connection);
    client
}

async fn value(client: &Client, sql: &str) -> String {
    let messages = client.simple_query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    let row = messages.into_iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    row.unwrap_or_default()
}

async fn state_of(client: &Client, sql: &str) -> String {
    let error = client.batch_execute(sql).await.expect_err(sql);
    error.code().map(|code| code.code().to_owned()).unwrap_or_default()
}

/// Runs a program of PostgreSQL's against the proxy; what it prints.
fn tool(demo: &Demo, program: &str, arguments: &[&str]) -> String {
    let output = demo.client_command(program, "proxy").args(arguments).output().expect("it runs");
    assert_success(&format!("{program} {arguments:?}"), &output);
    String::from_utf8(output.stdout).expect("UTF-8")
}

const SAME: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TABLE t (id serial PRIMARY KEY, m mood, v text);
    CREATE INDEX t_v ON t (v);";

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_its_own_lives_through_a_failover_until_it_is_dropped() {
    let demo = Demo::start(&[]);
    let (leader, term) = (demo.leader(), demo.term());
    let first = demo.connect("proxy").await;
    first.batch_execute(SAME).await.expect("a table");
    first.batch_execute("INSERT INTO t (m, v) VALUES ('ok', 'first')").await.expect("a row");
    // As Django and Rails do it: from `postgres`, made and then connected to.
    let maintenance = connect(&demo, "proxy", "postgres").await;
    maintenance.batch_execute("CREATE DATABASE test_x ENCODING 'unicode'").await.expect("made");
    let other = connect(&demo, "proxy", "test_x").await;
    assert_eq!(value(&other, "SELECT current_database()").await, "test_x");
    assert_eq!(state_of(&other, "SELECT * FROM t").await, "42P01");
    other.batch_execute(SAME).await.expect("a table of the same name");
    other
        .batch_execute("INSERT INTO t (m, v) SELECT 'sad', g::text FROM generate_series(1, 100) g")
        .await
        .expect("rows");
    // A transaction that is held, and one that is tried.
    other.batch_execute("BEGIN; INSERT INTO t (v) VALUES ('a'); COMMIT").await.expect("a row");
    other.batch_execute("BEGIN").await.expect("begun");
    other.execute("INSERT INTO t (v) VALUES ($1)", &[&"b"]).await.expect("a row");
    other.batch_execute("COMMIT").await.expect("committed");
    assert_eq!(value(&first, "SELECT count(*) FROM t").await, "1");
    assert_eq!(value(&other, "SELECT count(*) || ' ' || max(id) FROM t").await, "102 102");
    demo.assert_equal_content();
    for node in demo.nodes() {
        let there = connect(&demo, &node, "test_x").await;
        assert_eq!(value(&there, "SELECT count(*) FROM t").await, "102", "{node}");
    }

    demo.signal(&leader, Signal::SIGKILL);
    wait_for("a new leader", || (demo.view()?["term"].as_u64()? > term).then_some(()));
    other.batch_execute("INSERT INTO t (v) VALUES ('after')").await.expect("a row");
    assert_eq!(value(&other, "SELECT count(*) FROM t WHERE m = 'sad'").await, "100");
    let again = connect(&demo, "proxy", "test_x").await;
    assert_eq!(value(&again, "SELECT count(*) FROM t").await, "103");
    demo.wait_until_well();
    demo.assert_equal_content();
    assert_success("towline verify", &demo.towline(&["verify"]));

    assert_eq!(state_of(&maintenance, "DROP DATABASE test_x").await, "55006");
    drop((other, again));
    maintenance.batch_execute("DROP DATABASE test_x").await.expect("dropped");
    let gone = demo.config("proxy").dbname("test_x").connect(NoTls).await.err().expect("refused");
    assert_eq!(gone.code().map(|code| code.code()), Some("3D000"), "{gone:?}");
    assert_eq!(value(&first, "SELECT string_agg(v, ',') FROM t").await, "first");
    demo.assert_equal_content();
    let left = "SELECT count(*) FROM sqlite_schema WHERE name GLOB '@*'";
    assert_eq!(demo.sqlite(&demo.leader(), left).trim(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_are_connected_are_sent_away_where_the_client_says_so() {
    let demo = Demo::start(&[]);
    let first = demo.connect("proxy").await;
    first.batch_execute("CREATE DATABASE shop").await.expect("made");
    let follower = demo.nodes().into_iter().find(|node| *node != demo.leader()).expect("three");
    let mut connected = Vec::new();
    for process in ["proxy", follower.as_str()] {
        let (client, connection) =
            demo.config(process).dbname("shop").connect(NoTls).await.expect("it connects");
        let ended = tokio::spawn(connection);
        assert_eq!(value(&client, "SELECT 1").await, "1");
        connected.push((client, ended));
    }
    first.batch_execute("DROP DATABASE shop WITH (FORCE)").await.expect("dropped");
    for (_client, ended) in connected {
        let said = tokio::time::timeout(crate::demo::SOON, ended).await.expect("in time");
        let error = said.expect("no panic").expect_err("told why");
        assert_eq!(error.code().map(|code| code.code()), Some("57P01"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresqls_own_tools_make_list_enter_and_drop_databases() {
    let demo = Demo::start(&[]);
    tool(&demo, "createdb", &["shop"]);
    tool(&demo, "createdb", &["--maintenance-db=demo", "-T", "template0", "-E", "UTF8", "mall"]);
    let listed = tool(&demo, "psql", &["-X", "-A", "-t", "-c", "\\l"]);
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split('|').next()).collect();
    assert_eq!(names, ["demo", "mall", "postgres", "shop", "template0", "template1"]);
    let script = "CREATE TABLE t (a int); \\c shop\nCREATE TABLE t (a int);\nINSERT INTO t VALUES (1);\n\\d t\n\\c demo\nSELECT count(*) FROM t;\n";
    let script_file = demo.dir().join("script.sql");
    std::fs::write(&script_file, script).expect("written");
    let file = script_file.to_str().expect("UTF-8");
    let said = tool(&demo, "psql", &["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", file]);
    assert!(said.contains("You are now connected to database \"shop\""), "{said}");
    assert!(said.contains("a|integer|||"), "{said}");
    assert!(said.trim_end().ends_with("\n0"), "{said}");
    tool(&demo, "dropdb", &["mall"]);
    tool(&demo, "dropdb", &["--if-exists", "mall"]);
    tool(&demo, "dropdb", &["--force", "shop"]);
    demo.assert_equal_content();
}
