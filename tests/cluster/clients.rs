//! What clients feel when the leader changes, or when somebody stops answering.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::demo::{Demo, SOON, assert_success, wait_for};
use crate::load::Load;

/// "Within seconds", with room for a machine that does other things too.
const SECONDS: Duration = Duration::from_secs(10);

/// Kills the leader and waits until another one is open.
fn kill_leader(demo: &Demo) {
    let (leader, term) = (demo.leader(), demo.term());
    demo.signal(&leader, Signal::SIGKILL);
    wait_for("a new leader", || {
        let view = demo.view()?;
        (view["term"].as_u64()? > term && view["open"] == true).then_some(())
    });
}

async fn count(client: &Client, query: &str) -> i64 {
    client.query_one(query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error}")).get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_never_stop_and_writes_wait_while_a_leader_is_replaced() {
    let demo = Demo::start(&[]);
    let load = Load::start(&demo, 4).await;
    load.wait_for(20).await;
    kill_leader(&demo);
    load.wait_for(20).await;
    let since = load.since_start();
    assert!(since.reads_failed.is_empty(), "reads failed: {:?}", since.reads_failed);
    assert!(since.read_gap < SECONDS, "no read was answered for {:?}", since.read_gap);
    // Each write in flight was looked up by its token: answered, or sent again, once.
    let failed = load.stop_and_check(&demo).await;
    assert!(failed.is_empty(), "writes failed: {failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_is_told_40001_and_leaves_nothing() {
    let demo = Demo::start(&[]);
    let client = demo.connect("proxy").await;
    client.batch_execute("CREATE TABLE t (i int)").await.expect("a table");
    client.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.expect("a transaction");
    kill_leader(&demo);
    let told = client.batch_execute("INSERT INTO t VALUES (2)").await.expect_err("cut off");
    assert_eq!(told.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE), "{told:?}");
    let next = client.batch_execute("SELECT 1").await.expect_err("in a failed block");
    assert_eq!(next.code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION), "{next:?}");
    client.batch_execute("ROLLBACK").await.expect("the block ends");
    assert_eq!(count(&client, "SELECT count(*) FROM t").await, 0);
    client.batch_execute("INSERT INTO t VALUES (3)").await.expect("the session goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_in_flight_are_told_the_truth() {
    let demo = Demo::start(&[]);
    demo.psql("CREATE TABLE told (session bigint, i bigint)");
    let mut sessions = tokio::task::JoinSet::new();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    for session in 0..4_i64 {
        let client = demo.connect("proxy").await;
        let stopped = stopped.clone();
        sessions.spawn(async move {
            let mut told = Vec::new();
            for i in 0_i64.. {
                if *stopped.borrow() {
                    break;
                }
                let begin = format!("BEGIN; INSERT INTO told VALUES ({session}, {i})");
                let mut answer = client.batch_execute(&begin).await;
                if answer.is_ok() {
                    answer = client.batch_execute("COMMIT").await;
                }
                if answer.is_err() {
                    client.batch_execute("ROLLBACK").await.expect("the block ends");
                }
                told.push((session, i, answer.err().and_then(|error| error.code().cloned())));
            }
            told
        });
    }
    let client = demo.connect("proxy").await;
    while count(&client, "SELECT count(*) FROM told").await < 20 {}
    tokio::task::block_in_place(|| kill_leader(&demo));
    let before = count(&client, "SELECT count(*) FROM told").await;
    while count(&client, "SELECT count(*) FROM told").await < before + 20 {}
    stop.send_replace(true);
    let told = tokio::time::timeout(SOON, sessions.join_all()).await.expect("nobody hangs");
    for (session, i, code) in told.into_iter().flatten() {
        let query = format!("SELECT count(*) FROM told WHERE session = {session} AND i = {i}");
        let there = count(&client, &query).await;
        match code {
            None => assert_eq!(there, 1, "{session}/{i} was committed"),
            Some(code) if code.code() == "08007" => assert!(there <= 1, "{session}/{i} is twice"),
            Some(code) => assert_eq!(there, 0, "{session}/{i} was told {code:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_statements_and_settings_survive_a_change_of_leader() {
    let demo = Demo::start(&[]);
    let client = demo.connect("proxy").await;
    client.batch_execute("CREATE TABLE t (i int)").await.expect("a table");
    client
        .batch_execute("SET application_name = 'mine'; PREPARE twice (int) AS SELECT $1 * 2")
        .await
        .expect("session state");
    let insert = client.prepare("INSERT INTO t VALUES ($1)").await.expect("prepared");
    client.execute(&insert, &[&1]).await.expect("inserted");
    for change in ["kill", "switchover"] {
        tokio::task::block_in_place(|| match change {
            "kill" => kill_leader(&demo),
            _ => {
                demo.wait_until_well();
                assert_success("switchover", &demo.towline(&["switchover"]));
            }
        });
        client.execute(&insert, &[&2]).await.unwrap_or_else(|e| panic!("after {change}: {e}"));
        let doubled = client.query_one("EXECUTE twice(21)", &[]).await.expect("prepared by SQL");
        assert_eq!(doubled.get::<_, i32>(0), 42);
        let name = client.query_one("SHOW application_name", &[]).await.expect("a setting");
        assert_eq!(name.get::<_, String>(0), "mine");
    }
    assert_eq!(count(&client, "SELECT count(*) FROM t").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strong_read_at_a_deposed_leader_is_not_stale() {
    let demo = Demo::start(&[]);
    let (leader, term) = (demo.leader(), demo.term());
    demo.psql("CREATE TABLE t (i int)");
    let direct = demo.connect(&leader).await;
    direct.batch_execute("SET towline.read_level = strong").await.expect("a setting");
    assert_eq!(count(&direct, "SELECT count(*) FROM t").await, 0);
    demo.signal(&leader, Signal::SIGSTOP);
    // It waits in the socket of the leader, which does not know yet that it is none.
    let read = tokio::spawn(async move {
        direct.query_one("SELECT count(*) FROM t", &[]).await.map(|row| row.get::<_, i64>(0))
    });
    wait_for("a new leader", || {
        let view = demo.view()?;
        (view["term"].as_u64()? > term && view["open"] == true).then_some(())
    });
    demo.psql("INSERT INTO t VALUES (1)");
    demo.signal(&leader, Signal::SIGCONT);
    let answer = tokio::time::timeout(SOON, read).await.expect("an answer").expect("no panic");
    // Forwarded or refused, but never what it was before.
    assert!(!matches!(answer, Ok(0)), "a strong read missed an acknowledged write");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_answering_holds_up_no_reader_for_long() {
    let demo = Demo::start(&[]);
    let leader = demo.leader();
    demo.psql("CREATE TABLE t (i int)");
    let follower = demo.followers(&leader).remove(0);
    let clients: Vec<Client> = {
        let mut clients = Vec::new();
        for _ in 0..6 {
            let client = demo.connect("proxy").await;
            assert_eq!(count(&client, "SELECT count(*) FROM t").await, 0);
            clients.push(client);
        }
        clients
    };
    // Its connections stay open, and nothing comes.
    demo.signal(&follower, Signal::SIGSTOP);
    for client in &clients {
        let began = Instant::now();
        assert_eq!(count(client, "SELECT count(*) FROM t").await, 0);
        assert!(began.elapsed() < SECONDS, "a read took {:?}", began.elapsed());
    }
    demo.signal(&follower, Signal::SIGCONT);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_read_again_and_no_connection_is_dropped() {
    let demo = Demo::start(&[]);
    let load = Load::start(&demo, 4).await;
    load.wait_for(20).await;
    let certificates = demo.dir().join("certs");
    let mut names: Vec<String> = demo.processes().keys().cloned().collect();
    names.push("sql".to_owned());
    let renewed = std::process::Command::new(crate::demo::TOWLINE)
        .args(["certs", "--dir"])
        .arg(&certificates)
        .args(&names)
        .output()
        .expect("towline certs runs");
    assert_success("towline certs", &renewed);
    for name in demo.processes().keys() {
        demo.signal(name, Signal::SIGHUP);
    }
    for name in demo.processes().keys() {
        wait_for("the certificates to be read", || {
            let log = std::fs::read_to_string(demo.dir().join(format!("logs/{name}.log"))).ok()?;
            log.contains("certificates read again").then_some(())
        });
    }
    load.wait_for(20).await;
    // A process that starts now shows a new certificate and is let in.
    let leader = demo.leader();
    let follower = demo.followers(&leader).remove(0);
    demo.signal(&follower, Signal::SIGKILL);
    load.wait_for(20).await;
    demo.wait_until_well();
    let failed = load.stop_and_check(&demo).await;
    assert!(failed.is_empty(), "writes failed: {failed:?}");
    assert!(demo.processes().values().all(|process| process.get("pid").is_some()));
}
