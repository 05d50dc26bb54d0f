//! What a node does over time: crashes, replays, ends of leadership.

use super::TestNode;
use crate::log::Lsn;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let mut node = TestNode::new();
    node.lead(1).await;
    let mut client = node.client();
    client.query("create table t (id int primary key, v text)").await;
    for id in 0..20 {
        let said = client.query(&format!("insert into t values ({id}, 'x')")).await;
        assert_eq!(said, "done INSERT 0 1\nready, idle\n");
    }
    drop(client);
    node.stop();
    node.start();
    node.lead(2).await;
    assert_eq!(node.client().value("select count(*) from t").await, "20");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_can_be_made_again_from_the_log() {
    let mut node = TestNode::new();
    node.lead(1).await;
    let mut client = node.client();
    for statement in [
        "create table t (id serial primary key, v text default 'd', at timestamptz default now())",
        "insert into t (v) select md5(gen_random_uuid()) from generate_series(1, 100)",
        "create index on t (v)",
        "update t set v = v || '!' where id % 2 = 0",
        "begin; insert into t (v) values ('a'); savepoint s; insert into t (v) values ('b'); \
         rollback to s; insert into t (v) values ('c'); commit",
        "create table u as select id, v from t where id < 10",
        "delete from t where id < 5",
    ] {
        let said = client.query(statement).await;
        assert!(!said.contains("error"), "{statement}: {said}");
    }
    drop(client);
    let commit = *node.hub().commit.borrow();
    node.stop();
    let before = super::digest(&node.database());
    for suffix in ["", "-wal", "-shm"] {
        let path = node.dir.path().join(format!("db{suffix}"));
        if path.exists() {
            std::fs::remove_file(path).expect("removed");
        }
    }
    node.start_from(commit);
    node.applied(commit).await;
    assert_eq!(super::digest(&node.database()), before);
    assert!(commit > Lsn(0));
}
