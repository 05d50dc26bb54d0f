//! Interactive transactions that hold nothing while their clients think.

use super::TestNode;
use super::client::Client;

const OK_COMMIT: &str = "done COMMIT\nready, idle\n";

/// A node with one table, and two clients of it.
async fn two_clients() -> (TestNode, Client, Client) {
    let node = TestNode::leading().await;
    let mut first = node.client();
    first.query("create table t (id int primary key, v int not null)").await;
    first.query("insert into t select g, 0 from generate_series(1, 10) g").await;
    let second = node.client();
    (node, first, second)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_thinks_holds_up_nobody() {
    let (_node, mut slow, mut other) = two_clients().await;
    slow.query("begin").await;
    assert!(slow.query("update t set v = v + 1 where id = 1").await.contains("UPDATE 1"));
    // Parked, or never lent: either way the others go first.
    for _ in 0..3 {
        assert!(other.query("update t set v = v + 10 where id = 2").await.contains("UPDATE 1"));
        assert!(slow.query("update t set v = v + 1 where id = 1").await.contains("UPDATE 1"));
    }
    assert_eq!(slow.value("select v from t where id = 1").await, "4");
    assert_eq!(other.value("select v from t where id = 1").await, "0");
    assert_eq!(slow.query("commit").await, OK_COMMIT);
    assert_eq!(other.value("select sum(v) from t").await, "34");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_was_told_is_what_commits() {
    let (_node, mut one, mut two) = two_clients().await;
    one.query("begin").await;
    one.query("update t set v = v + 1 where id = 1").await;
    assert_eq!(one.value("select v from t where id = 1").await, "1");
    // Only the count was seen of this row: it may change in between.
    one.query("update t set v = v + 1 where id = 2").await;
    two.query("update t set v = v + 1 where id = 2").await;
    assert_eq!(one.value("select v from t where id = 1").await, "1");
    two.query("update t set v = v + 1 where id = 1").await;
    let said = one.query("commit").await;
    assert!(said.contains("error 40001"), "{said}");
    assert!(said.ends_with("ready, idle\n"), "{said}");
    assert_eq!(two.value("select sum(v) from t").await, "2");
    // The next one takes the writer, so that a client that tries again gets through.
    one.query("begin").await;
    one.query("update t set v = v + 1 where id = 1").await;
    assert_eq!(one.value("select v from t where id = 1").await, "2");
    assert_eq!(one.query("commit").await, OK_COMMIT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_count_that_would_be_another_fails_the_next_statement_too() {
    let (_node, mut one, mut two) = two_clients().await;
    one.query("begin").await;
    assert_eq!(one.query("delete from t where id = 3").await.lines().next(), Some("done DELETE 1"));
    two.query("delete from t where id = 3").await;
    let said = one.query("update t set v = 1 where id = 4").await;
    assert!(said.contains("error 40001"), "{said}");
    one.query("rollback").await;
    assert_eq!(two.value("select sum(v) from t").await, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_drawn_stays_drawn_at_the_commit() {
    let (node, mut one, mut two) = two_clients().await;
    one.query(
        "create table s (id serial primary key, at timestamptz default now(), r float default random())",
    )
    .await;
    two.query("insert into s default values").await;
    one.query("begin").await;
    let id = one.value("insert into s default values returning id").await;
    // Others draw and write in between.
    for _ in 0..3 {
        two.query("insert into s default values").await;
    }
    let text = format!("select id || ' ' || at || ' ' || r from s where id = {id}");
    let seen = one.value(&text).await;
    two.query("insert into s default values").await;
    assert_eq!(one.value(&text).await, seen);
    assert_eq!(one.query("commit").await, OK_COMMIT);
    assert_eq!(two.value(&text).await, seen);
    assert_eq!(two.value("select count(*) || ' ' || count(distinct id) from s").await, "6 6");
    // A follower that runs the log has it, too.
    let follower = TestNode::new();
    follower.receive(&node);
    follower.applied(*node.hub().applied.borrow()).await;
    assert_eq!(super::digest(&follower.database()), super::digest(&node.database()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_repeated_takes_the_writer_and_keeps_what_was_done() {
    let (_node, mut one, mut two) = two_clients().await;
    for then in [
        "select count(*) from t",
        "savepoint s",
        "lock table t",
        "update t set v = v",
        "create table made (id int)",
        "select v from t where id = 1 for update",
    ] {
        let before: i64 =
            two.value("select v from t where id = 1").await.parse().expect("a number");
        one.query("begin").await;
        one.query("update t set v = v + 1 where id = 1").await;
        two.query("update t set v = v + 1 where id = 2").await;
        let said = one.query(then).await;
        assert!(!said.contains("error"), "{then}: {said}");
        one.query("update t set v = v + 1 where id = 1").await;
        assert_eq!(one.query("commit").await, OK_COMMIT, "{then}");
        let after: i64 = two.value("select v from t where id = 1").await.parse().expect("a number");
        assert_eq!(after, before + 2, "{then}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_update_is_lost_between_clients_that_read_and_write() {
    const CLIENTS: usize = 6;
    const ROUNDS: usize = 25;
    let (node, mut first, _) = two_clients().await;
    let work = (0..CLIENTS).map(|number| {
        let mut client = node.client();
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                loop {
                    client.query("begin").await;
                    // What is read back decides what is written next.
                    let id = (number + round) % 2 + 1;
                    let said =
                        client.query(&format!("update t set v = v + 1 where id = {id}")).await;
                    if said.contains("error 40001") {
                        client.query("rollback").await;
                        continue;
                    }
                    let said = client.query(&format!("select v from t where id = {id}")).await;
                    let seen = said.lines().find_map(|line| line.strip_prefix("row "));
                    let Some(seen) = seen else {
                        assert!(said.contains("error 40001"), "{said}");
                        client.query("rollback").await;
                        continue;
                    };
                    let copy = format!("update t set v = {seen} where id = {}", id + 2);
                    let said = client.query(&copy).await;
                    let ended = client
                        .query(if said.contains("error") { "rollback" } else { "commit" })
                        .await;
                    match ended.as_str() {
                        OK_COMMIT => break,
                        other => assert!(
                            other.contains("ROLLBACK") || other.contains("error 40001"),
                            "{said}{other}"
                        ),
                    }
                }
            }
        })
    });
    for client in work.collect::<Vec<_>>() {
        client.await.expect("no panic");
    }
    let total = (CLIENTS * ROUNDS).to_string();
    assert_eq!(first.value("select sum(v) from t where id <= 2").await, total);
    // The copies were made of what was committed with them.
    assert_eq!(first.value("select sum(v) from t where id in (3, 4)").await, total);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_may_ask_for_locks_instead() {
    let (_node, mut one, mut two) = two_clients().await;
    one.query("set towline.transactions = 'locking'").await;
    one.query("begin").await;
    one.query("update t set v = v + 1 where id = 1").await;
    two.query("set lock_timeout = 20").await;
    let said = two.query("update t set v = v + 1 where id = 1").await;
    assert!(said.contains("error 55P03"), "{said}");
    assert_eq!(one.query("commit").await, OK_COMMIT);
}
