//! What sessions tell each other: notifications and advisory locks, across all nodes
//! and through a change of leader.

use std::future::poll_fn;

use nix::sys::signal::Signal;
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::demo::{Demo, SOON, wait_for};

/// A client whose notifications, as `channel payload`, arrive by themselves.
async fn listener(demo: &Demo, process: &str) -> (Client, mpsc::UnboundedReceiver<String>) {
    let (client, mut connection) = demo.config(process).connect(NoTls).await.expect("it connects");
    let (told, mut heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                let text = format!("{} {}", notification.channel(), notification.payload());
                let _ = told.send(text);
            }
        }
    });
    // It hears what it sends in the transaction that begins to listen.
    let own = format!("of_{process}");
    let batch = format!("LISTEN news; LISTEN {own}; NOTIFY {own}, 'mine'");
    client.batch_execute(&batch).await.expect("it listens");
    // Before the client is told that it is done.
    assert_eq!(heard.try_recv(), Ok(format!("{own} mine")));
    (client, heard)
}

async fn hear(heard: &mut mpsc::UnboundedReceiver<String>) -> String {
    tokio::time::timeout(SOON, heard.recv()).await.expect("in time").expect("still connected")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_reaches_idle_listeners_everywhere_through_a_failover() {
    let demo = Demo::start(&[]);
    let leader = demo.leader();
    let term = demo.term();
    let survivors = ["node1", "node2", "node3"].into_iter().filter(|name| **name != *leader);
    let mut listeners = Vec::new();
    for process in survivors.chain(["proxy"]) {
        listeners.push((process, listener(&demo, process).await));
    }
    // Rolled back, or undone to a savepoint, nothing is told; equal ones are told once.
    demo.psql("BEGIN; NOTIFY news, 'never'; ROLLBACK");
    demo.psql(
        "BEGIN; NOTIFY news, 'one'; NOTIFY news, 'one'; SAVEPOINT s; NOTIFY news, 'undone';
         ROLLBACK TO s; SELECT pg_notify('news', 'two'); COMMIT",
    );
    demo.signal(&leader, Signal::SIGKILL);
    wait_for("a new leader", || (demo.view()?["term"].as_u64()? > term).then_some(()));
    demo.psql("NOTIFY news, 'three'");
    for (process, (_client, heard)) in &mut listeners {
        for payload in ["one", "two", "three"] {
            assert_eq!(hear(heard).await, format!("news {payload}"), "{process}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_advisory_lock_is_one_sessions_on_whichever_node_it_asks() {
    let demo = Demo::start(&[]);
    let holder = demo.connect("proxy").await;
    let other = demo.connect("node1").await;
    let another = demo.connect("node2").await;
    let attempt = "SELECT pg_try_advisory_lock(7)";
    holder.batch_execute("SELECT pg_advisory_lock(7)").await.expect("it is free");
    assert!(!other.query_one(attempt, &[]).await.expect("an answer").get::<_, bool>(0));
    let waits = tokio::spawn(async move {
        another.batch_execute("SELECT pg_advisory_lock(7)").await.expect("in the end");
        another
    });
    drop(holder);
    let holder = tokio::time::timeout(SOON, waits).await.expect("in time").expect("no panic");
    assert!(!other.query_one(attempt, &[]).await.expect("an answer").get::<_, bool>(0));
    let unlock = "SELECT pg_advisory_unlock(7)";
    assert!(holder.query_one(unlock, &[]).await.expect("an answer").get::<_, bool>(0));
    assert!(other.query_one(attempt, &[]).await.expect("an answer").get::<_, bool>(0));

    // The leader knows of locks; with it they are gone, and their holder is told so.
    let (leader, term) = (demo.leader(), demo.term());
    let holder = demo.connect("proxy").await;
    holder.batch_execute("SELECT pg_advisory_lock(8)").await.expect("it is free");
    demo.signal(&leader, Signal::SIGKILL);
    wait_for("a new leader", || {
        let view = demo.view()?;
        (view["term"].as_u64()? > term && view["open"] == true).then_some(())
    });
    let error = holder.batch_execute("SELECT 1").await.expect_err("the lock is gone");
    assert_eq!(error.code().map(|code| code.code()), Some("40001"), "{error}");
    holder.batch_execute("SELECT 1").await.expect("told once");
}
