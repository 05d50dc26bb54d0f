//! SQL through the proxy by clients that people use.

use std::process::Command;

use crate::demo::{Demo, assert_success};

#[test]
fn psql_describes_tables() {
    let demo = Demo::start(&[]);
    demo.psql(
        "CREATE TABLE author (id serial PRIMARY KEY, name varchar(40) NOT NULL UNIQUE);
         CREATE TABLE book (id bigint PRIMARY KEY, author int REFERENCES author (id),
             title text NOT NULL DEFAULT 'none', price numeric(8,2) CHECK (price >= 0));
         CREATE INDEX book_title ON book (title)",
    );
    let tables = demo.psql_whole("\\dt");
    assert!(tables.contains("author") && tables.contains("book"), "{tables}");
    let book = demo.psql_whole("\\d book");
    for part in [
        "title|text",
        "not null",
        "'none'",
        "numeric(8,2)",
        "\"book_pkey\" PRIMARY KEY, btree (id)",
        "\"book_title\" btree (title)",
        "FOREIGN KEY (author) REFERENCES author(id)",
        "CHECK",
    ] {
        assert!(book.contains(part), "no {part:?} in {book}");
    }
    let author = demo.psql_whole("\\d author");
    assert!(author.contains("nextval('author_id_seq'::regclass)"), "{author}");
    assert!(author.contains("character varying(40)"), "{author}");
    for command in ["\\l", "\\du", "\\dn", "\\di", "\\ds", "\\dv", "\\df", "\\d+ book", "\\dT"] {
        demo.psql(command);
    }
}

#[test]
fn copy_goes_both_ways() {
    let demo = Demo::start(&[]);
    demo.psql("CREATE TABLE c (i int PRIMARY KEY, x text, n numeric)");
    let file = demo.dir().join("rows.csv");
    std::fs::write(&file, "i,x,n\n1,\"a, \"\"quoted\"\"\",1.50\n2,,2\n3,\"\",-0.001\n")
        .expect("written");
    demo.psql(&format!("\\copy c FROM '{}' WITH (FORMAT csv, HEADER)", file.display()));
    assert_eq!(demo.psql("SELECT count(*) FROM c WHERE x IS NULL"), "1");
    assert_eq!(demo.psql("COPY c TO STDOUT"), "1\ta, \"quoted\"\t1.50\n2\t\\N\t2\n3\t\t-0.001");
    let out = demo.dir().join("out.csv");
    demo.psql(&format!("\\copy (SELECT i, x FROM c ORDER BY i) TO '{}' CSV", out.display()));
    let text = std::fs::read_to_string(out).expect("readable");
    assert_eq!(text, "1,\"a, \"\"quoted\"\"\"\n2,\n3,\"\"\n");
}

#[test]
fn prepared_statements_are_listed_where_the_session_is() {
    let demo = Demo::start(&[]);
    let statements = [
        "PREPARE q (int, text) AS SELECT $1, $2",
        "PREPARE r AS SELECT 2",
        "EXECUTE q (1, 'a')",
        "DEALLOCATE r",
        "SELECT name, statement, parameter_types, from_sql FROM pg_prepared_statements",
    ];
    let listed = "q|PREPARE q (int, text) AS SELECT $1, $2|{integer,text}|t";
    for server in ["proxy", "node1", "node2"] {
        let mut psql = demo.client_command("psql", server);
        psql.arg("-XAt").args(statements.iter().flat_map(|statement| ["-c", statement]));
        let output = psql.output().expect("psql runs");
        assert_success("psql", &output);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(told.lines().last(), Some(listed), "{server}: {told}");
    }
}

#[test]
fn pgbench_runs_its_scripts_in_every_mode() {
    let demo = Demo::start(&[]);
    let init = demo.client_command("pgbench", "proxy").args(["-i", "-s", "1", "-q"]).output();
    assert_success("pgbench -i", &init.expect("pgbench runs"));
    for script in ["tpcb-like", "simple-update", "select-only"] {
        for mode in ["simple", "extended", "prepared"] {
            let run = demo
                .client_command("pgbench", "proxy")
                .args(["-n", "-c", "4", "-j", "1", "-t", "20", "-M", mode, "-b", script])
                .output()
                .expect("pgbench runs");
            assert_success(&format!("pgbench {script} {mode}"), &run);
            let report = String::from_utf8_lossy(&run.stdout).into_owned();
            assert!(report.contains("actually processed: 80/80"), "{script} {mode}: {report}");
        }
    }
    demo.assert_equal_content();
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_forward_writes_and_sessions_read_their_own() {
    let demo = Demo::start(&[]);
    let leader = demo.leader();
    demo.psql("CREATE TABLE t (i int PRIMARY KEY)");
    for (i, node) in (0_i32..).zip(demo.nodes()) {
        let client = demo.connect(&node).await;
        let recovery = client.query_one("SELECT pg_is_in_recovery()", &[]).await.expect("a row");
        assert_eq!(recovery.get::<_, bool>(0), node != leader, "{node}");
        client.execute("INSERT INTO t VALUES ($1)", &[&i]).await.expect("forwarded");
        let seen = client.query_one("SELECT count(*) FROM t WHERE i = $1", &[&i]).await;
        assert_eq!(seen.expect("a row").get::<_, i64>(0), 1, "{node} does not see its own");
    }
    let proxy = demo.connect("proxy").await;
    for i in 100_i32..300 {
        proxy.execute("INSERT INTO t VALUES ($1)", &[&i]).await.expect("inserted");
        let seen = proxy.query_one("SELECT count(*) FROM t WHERE i = $1", &[&i]).await;
        assert_eq!(seen.expect("a row").get::<_, i64>(0), 1, "the proxy's session lost {i}");
    }
}

#[test]
fn drivers_pass_their_scripts() {
    let demo = Demo::start(&[]);
    let python = std::env::var("TOWLINE_TEST_PYTHON")
        .expect("TOWLINE_TEST_PYTHON names the Python that scripts/test made");
    let address = demo.sql("proxy");
    let (host, port) = address.rsplit_once(':').expect("host:port");
    let dsn = format!("postgresql://demo:demo@{host}:{port}/demo");
    for script in std::fs::read_dir("tests/clients/python").expect("client scripts") {
        let script = script.expect("an entry").path();
        if script.file_name().is_some_and(|name| name.to_string_lossy().starts_with("test_")) {
            let run = Command::new(&python).arg(&script).env("TOWLINE_TEST_DSN", &dsn).output();
            assert_success(&script.display().to_string(), &run.expect("python runs"));
        }
    }
    let modules = std::env::var("TOWLINE_TEST_NODE_MODULES")
        .expect("TOWLINE_TEST_NODE_MODULES names the packages that scripts/test installed");
    let script = "tests/clients/node/test_pg.js";
    let mut node = Command::new("node");
    node.arg(script).env("NODE_PATH", modules).env("TOWLINE_TEST_DSN", &dsn);
    assert_success(script, &node.output().expect("node runs"));
}

#[test]
fn what_pg_dump_writes_loads_and_goes_on() {
    let demo = Demo::start(&[]);
    let load = demo
        .client_command("psql", "proxy")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "tests/data/pg_dump.sql"])
        .output();
    assert_success("psql -f", &load.expect("psql runs"));
    assert_eq!(
        demo.psql("SELECT name, m, n, p, arr, j, b, u, d, iv FROM a WHERE id = 1"),
        "n1|sad|1.50|3|{1,2,NULL}|{\"k\": [1, 2.5, null]}|\\x00ff|\
         a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|2024-02-29|1 day 02:03:04"
    );
    assert_eq!(
        demo.psql("SELECT * FROM other.t ORDER BY x"),
        "ab   |c|1.5|NaN\ncd   |d|-Infinity|1e+300"
    );
    assert_eq!(demo.psql("SELECT * FROM v WHERE name = 'n1'"), "n1|1");
    assert_eq!(demo.psql("SELECT count(*) FROM mv"), "2");
    // Sequences go on behind the rows.
    assert_eq!(demo.psql("INSERT INTO b (t) VALUES ('four') RETURNING id"), "4");
    assert_eq!(demo.psql("INSERT INTO a (name, m) VALUES ('n3', 'ok') RETURNING id"), "3");
    assert_eq!(demo.psql("SELECT nextval('s1')"), "7");
    let bench = demo.client_command("pgbench", "proxy").args(["-n", "-t", "5", "-S"]).output();
    assert_success("pgbench", &bench.expect("pgbench runs"));
    demo.assert_equal_content();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_shows_what_its_followers_acknowledged() {
    let demo = Demo::start(&[]);
    let client = demo.connect(&demo.leader()).await;
    client.batch_execute("CREATE TABLE t (i int); INSERT INTO t VALUES (1)").await.expect("rows");
    let at_the_end = "SELECT application_name, sync_state FROM pg_stat_replication
        WHERE state = 'streaming' AND flush_lsn::text = pg_current_wal_lsn()::text ORDER BY 1";
    // Without waiting: the INSERT was answered because one of them has it.
    let told = client.query(at_the_end, &[]).await.expect("rows");
    assert!(!told.is_empty(), "nobody has what was acknowledged");
    assert!(told.iter().all(|row| row.get::<_, &str>(1) == "quorum"));
    let all = "SELECT count(*) FROM pg_stat_replication
        WHERE write_lsn::text = pg_current_wal_lsn()::text
          AND replay_lsn::text = pg_current_wal_lsn()::text";
    let deadline = std::time::Instant::now() + crate::demo::SOON;
    while client.query_one(all, &[]).await.expect("a row").get::<_, i64>(0) < 2 {
        assert!(std::time::Instant::now() < deadline, "a follower does not catch up");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_of_megabytes_keeps_no_link_waiting() {
    let demo = Demo::start(&[]);
    let client = demo.connect("proxy").await;
    let text = "x".repeat(8 << 20);
    let row = client.query_one(&format!("SELECT length('{text}')"), &[]).await.expect("answered");
    assert_eq!(row.get::<_, i32>(0), 8 << 20);
    let log = std::fs::read_to_string(demo.dir().join("logs/proxy.log")).expect("the log");
    assert!(!log.contains("link is down"), "{log}");
}
