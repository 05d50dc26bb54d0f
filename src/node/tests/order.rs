//! The order that makes a write safe: when it is applied, shown and told.

use std::sync::Arc;
use std::time::Duration;

use super::TestNode;
use crate::gateway::Mode;
use crate::log::{ClientToken, Entry, FrameSpan, Lsn, Term, Transaction};
use crate::storage::fs::Op;
use crate::storage::fs::simulated::SimulatedFs;
use crate::storage::sqlite::{ConnectionKind, Sqlite};

/// In this time whoever may go on has done so.
const SOON: Duration = Duration::from_millis(100);

/// Has a frame without statements committed, which no leader would log.
fn feed(leader: &TestNode, follower: &TestNode, id: u64, functions: u16) -> FrameSpan {
    let (token, outcome, statements) = (None, None, Vec::new());
    let transaction =
        Transaction { id, database: 0, functions, token, outcome, statements, effect: 0 };
    let frame = {
        let mut log = crate::node::writer::lock(&leader.running().log);
        log.append(Term(1), &[Entry::Transaction(transaction)]).expect("appended")[0]
    };
    follower.receive_log(leader);
    follower.hub().commit.send_replace(frame.end);
    frame
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_applies_what_is_committed_durable_and_verified_and_no_more() {
    let leader = TestNode::leading().await;
    let mut client = leader.client();
    client.query("create table t (id int primary key)").await;
    client.query("insert into t values (1)").await;
    let bound = client.last.position.lsn;
    client.query("insert into t values (2)").await;
    let end = client.last.position.lsn;
    for bounding in 0..3 {
        let follower = TestNode::new();
        follower.receive_log(&leader);
        let hub = follower.hub();
        [&hub.commit, &hub.durable, &hub.verified][bounding].send_replace(bound);
        hub.commit.send_if_modified(|commit| bounding > 0 && std::mem::replace(commit, end) != end);
        follower.applied(bound).await;
        assert_eq!(*hub.applied.borrow(), bound, "{bounding}");
        assert_eq!(follower.client().value("select count(*) from t").await, "1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_answered_by_the_next_leader_as_it_was_by_the_last() {
    let (leader, follower) = (TestNode::leading().await, TestNode::new());
    let mut client = leader.client();
    client.query("create table t (id int primary key)").await;
    client.token = Some(ClientToken { session: 7, sequence: 1 });
    let said = client.query("insert into t values (1) returning id").await;
    follower.receive(&leader);
    follower.applied(client.last.position.lsn).await;
    follower.lead(2).await;
    for mode in [Mode::Lookup, Mode::Client] {
        let mut other = follower.client();
        (other.token, other.mode) = (client.token, mode);
        assert_eq!(other.query("insert into t values (1) returning id").await, said);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_of_newer_functions_waits_for_an_upgrade_and_status_says_so() {
    let (leader, follower) = (TestNode::leading().await, TestNode::new());
    let frame = feed(&leader, &follower, 0, u16::MAX);
    let mut reason = follower.hub().reason.subscribe();
    let told = reason.wait_for(|reason| reason.ends_with("of a newer version; upgrade this node"));
    tokio::time::timeout(super::PATIENCE, told).await.expect("in time").expect("told");
    assert!(*follower.hub().applied.borrow() <= frame.start);
    assert_eq!(*follower.hub().quarantine.borrow(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_transaction_whose_parts_are_missing_is_not_applied() {
    let (leader, follower) = (TestNode::leading().await, TestNode::new());
    let frame = feed(&leader, &follower, 7, 1);
    let mut quarantine = follower.hub().quarantine.subscribe();
    let told = tokio::time::timeout(super::PATIENCE, quarantine.wait_for(Option::is_some));
    let told = *told.await.expect("in time").expect("told");
    assert_eq!(told, Some(crate::node::Quarantine::Differs(frame.start)));
    assert_eq!(*follower.hub().applied.borrow(), frame.start);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_leader_inherits_is_applied_once_its_own_frame_is_committed() {
    let mut node = TestNode::leading().await;
    node.client().query("create table t (id int primary key)").await;
    let before = *node.hub().applied.borrow();
    node.commit(false);
    let mut durable = node.hub().durable.subscribe();
    let mut writing = node.client();
    let write = tokio::spawn(async move { writing.query("insert into t values (1)").await });
    let synced = durable.wait_for(|durable| *durable > before);
    let tail =
        *tokio::time::timeout(super::PATIENCE, synced).await.expect("in time").expect("lives");
    node.follow(2);
    assert_eq!(write.await.expect("no panic"), "refused: the outcome is unknown\n");
    node.begin_leading(3);
    let started = durable.wait_for(|durable| *durable > tail);
    tokio::time::timeout(super::PATIENCE, started).await.expect("in time").expect("lives");
    // Its writer goes through what it has begun.
    node.stop();
    let sqlite = Sqlite::open(&node.database(), ConnectionKind::Reader);
    assert_eq!(sqlite.and_then(|mut it| it.applied()).expect("read").1, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_have_left_the_node_is_never_told_as_failed() {
    // Appended in part, or not synced: a unit of its own, and a transaction on loan.
    for op in [Op::Append, Op::SyncLog] {
        for unit in ["insert into t values (1)", "begin; insert into t values (1); commit"] {
            let fs = SimulatedFs::new(1);
            let mut node = TestNode::new();
            node.stop();
            node.start_in(Arc::new(fs.clone()), Lsn(0));
            node.lead(1).await;
            let mut client = node.client();
            client.query("create table t (id int primary key)").await;
            fs.fail_after(op, 0);
            let said = client.query(unit).await;
            assert!(said.ends_with("refused: the outcome is unknown\n"), "{op} {unit}: {said}");
            let failed = node.hub().failed.borrow().clone();
            assert!(matches!(&failed, Some((Term(1), _))), "{op} {unit}: {failed:?}");
            assert_eq!(node.client().value("select count(*) from t").await, "0");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reply_leaves_without_a_lease() {
    let node = TestNode::leading().await;
    node.client().query("create table t (id serial primary key)").await;
    // A unit of its own, and a transaction that has the writer to itself.
    let units = ["insert into t default values", "begin; insert into t default values; commit"];
    for (unit, term) in units.into_iter().zip([1, 5]) {
        for renewed in [true, false] {
            node.hub().set_lease_until(i64::MIN);
            let mut writing = node.client();
            let mut applied = node.hub().applied.subscribe();
            let before = *applied.borrow_and_update();
            let mut write = tokio::spawn(async move { writing.query(unit).await });
            let committed = applied.wait_for(|applied| *applied > before);
            tokio::time::timeout(super::PATIENCE, committed)
                .await
                .expect("in time")
                .expect("lives");
            let told = tokio::time::timeout(SOON, &mut write).await;
            assert!(told.is_err(), "{unit}: {told:?}");
            if renewed {
                node.hub().set_lease_until(i64::MAX);
            } else {
                // Whoever leads by now knows what became of it; this node does not.
                node.follow(term + 1);
            }
            let said = write.await.expect("no panic");
            let told = if renewed { "ready, idle\n" } else { "refused: the outcome is unknown\n" };
            assert!(said.ends_with(told), "{unit}, {renewed}: {said}");
        }
        node.lead(term + 4).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_early_waits_for_nothing_that_is_not_safe() {
    for unit in ["insert into t values (1)", "begin; insert into t values (1); commit"] {
        let node = TestNode::leading().await;
        node.client().query("create table t (id int primary key)").await;
        node.commit(false);
        let mut client = node.client();
        client.query("set synchronous_commit = local").await;
        assert!(client.query(unit).await.ends_with("ready, idle\n"));
        assert!(client.last.position.lsn <= *node.hub().applied.borrow(), "{unit}");
        assert_eq!(client.value("select count(*) from t").await, "0");
        node.commit(true);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_comes_twice_at_once_is_carried_out_once() {
    let node = TestNode::leading().await;
    node.client().query("create table t (v int)").await;
    let mut resting = node.hub().resting.subscribe();
    node.hub().frozen.send_replace(true);
    let rests = resting.wait_for(|resting| *resting);
    tokio::time::timeout(super::PATIENCE, rests).await.expect("in time").expect("lives");
    let writes = [(); 2].map(|()| {
        let mut client = node.client();
        client.token = Some(ClientToken { session: 9, sequence: 1 });
        tokio::spawn(async move { client.query("insert into t values (1)").await })
    });
    // Both come to wait for the writer, which takes them together.
    let [mut first, second] = writes;
    tokio::time::timeout(SOON, &mut first).await.expect_err("it waits");
    node.hub().frozen.send_replace(false);
    for write in [first, second] {
        assert_eq!(write.await.expect("no panic"), "done INSERT 0 1\nready, idle\n");
    }
    assert_eq!(node.client().value("select count(*) from t").await, "1");
}
