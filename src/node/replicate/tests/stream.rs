//! The log on its way from a leader to those who follow it.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_committed_once_a_follower_holds_it() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, c) = (cluster.start("a"), cluster.start("b"), cluster.start("c"));
    a.lead(1);
    // Nobody follows: durable here, and not committed.
    let end = a.append(1, &[insert(0)]);
    a.sync();
    assert_eq!(*a.hub.commit.borrow(), Lsn(0));
    b.follow(1, "a");
    a.until(&a.hub.commit, |commit| *commit >= end).await;
    c.follow(1, "a");
    let mut last = end;
    for n in 0..300 {
        last = a.write(1, n).await;
    }
    b.until_bound(last).await;
    c.until_bound(last).await;
    assert_eq!(a.segments(), b.segments());
    assert_eq!(a.segments(), c.segments());
    b.until(&b.hub.caught_up, |term| *term == Term(1)).await;
    let progress = a.replication.followers();
    assert_eq!(progress.len(), 2);
    assert!(progress.values().any(|progress| progress.durable == last));
    for node in [a, b, c] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_tells_what_it_has_written_before_it_is_durable() {
    let mut cluster = Cluster::new(&["a", "b"]).await;
    let gate = watch::Sender::new(true);
    let (a, b) = (cluster.start("a"), cluster.start_in(Hooked::gated(&gate), "b"));
    a.lead(1);
    b.follow(1, "a");
    let before = a.write(1, 1).await;
    gate.send_replace(false);
    // Unasked it tells nothing: an ack more for every write would be paid by all.
    let unasked = a.append(1, &[insert(2)]);
    a.sync();
    b.until(&b.hub.end, |end| end.lsn >= unasked).await;
    assert_eq!((*a.hub.written.borrow(), *a.hub.commit.borrow()), (Lsn(0), before));
    gate.send_replace(true);
    a.until(&a.hub.commit, |commit| *commit >= unasked).await;
    gate.send_replace(false);
    let awaiting = a.hub.awaiting_written();
    let end = a.append(1, &[insert(3)]);
    a.sync();
    a.until(&a.hub.written, |written| *written >= end).await;
    assert_eq!(*a.hub.commit.borrow(), unasked);
    drop(awaiting);
    gate.send_replace(true);
    a.until(&a.hub.commit, |commit| *commit >= end).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_of_the_log_is_taken_while_what_came_before_is_synced() {
    let mut cluster = Cluster::new(&["a", "b"]).await;
    // The end of a segment is synced before the next begins.
    cluster.segment_bytes = 16 << 20;
    let gate = watch::Sender::new(true);
    let (a, b) = (cluster.start("a"), cluster.start_in(Hooked::gated(&gate), "b"));
    a.lead(1);
    b.follow(1, "a");
    let before = a.write(1, 1).await;
    gate.send_replace(false);
    let mut end = before;
    for _ in 0..3 {
        end = a.append(1, &[Entry::Configuration(vec![5; 2 << 20])]);
        a.sync();
        // It would not come while the stream waits for a sync.
        b.until(&b.hub.end, |held| held.lsn >= end).await;
    }
    assert_eq!((*a.hub.commit.borrow(), lock(&b.log).durable()), (before, before));
    gate.send_replace(true);
    a.until(&a.hub.commit, |commit| *commit >= end).await;
    assert_eq!(a.segments(), b.segments());
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_larger_than_a_message_arrives_whole() {
    let (_cluster, [a, b]) = Cluster::led(["a", "b"]).await;
    let large = a.append(1, &[Entry::Configuration(vec![5; 3 << 20]), insert(1)]);
    a.sync();
    a.until(&a.hub.commit, |commit| *commit >= large).await;
    b.until_bound(large).await;
    assert_eq!(a.segments(), b.segments());
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inherited_log_is_committed_with_the_term_start() {
    let (_cluster, [a, b]) = Cluster::led(["a", "b"]).await;
    let known = a.write(1, 1).await;
    b.until_bound(known).await;
    // b inherits a frame that it doesn't know to be committed.
    let inherited = a.append(1, &[insert(2)]);
    b.until(&b.hub.durable, |durable| *durable >= inherited).await;
    a.set_leadership(2, Role::Follower, None);
    b.set_leadership(2, Role::Opening, Some("b"));
    a.follow(2, "b");
    // The follower holds all of it, and has said so: not committed by that.
    b.until(&b.hub.leadership, |_| true).await;
    assert!(*b.hub.commit.borrow() <= inherited);
    b.lead(2);
    let start = b.hub.term_start.borrow().1;
    b.until(&b.hub.commit, |commit| *commit >= start).await;
    a.until_bound(start).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promise_stops_the_old_stream() {
    let (_cluster, [a, b]) = Cluster::led(["a", "b"]).await;
    let end = a.write(1, 1).await;
    b.until_bound(end).await;
    // The fence alone, before anybody is told.
    lock(&b.log).fence(Term(2));
    let held = lock(&b.log).end();
    let later = a.append(1, &[insert(2)]);
    a.sync();
    b.until(&b.hub.leadership, |_| true).await;
    let mut commit = a.hub.commit.subscribe();
    let committed = commit.wait_for(|commit| *commit >= later);
    let waited = tokio::time::timeout(Duration::from_millis(200), committed);
    assert!(waited.await.is_err(), "committed through a fence");
    assert_eq!(lock(&b.log).end(), held);
    a.stop().await;
    b.stop().await;
}
