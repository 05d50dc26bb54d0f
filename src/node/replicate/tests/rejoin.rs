//! Logs that part, and come together again.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_leader_saves_and_cuts_what_diverged() {
    let (_cluster, [a, b, c]) = Cluster::led(["a", "b", "c"]).await;
    let common = a.write(1, 1).await;
    b.until_bound(common).await;
    c.until_bound(common).await;
    // Cut off: what it writes now reaches nobody.
    b.set_leadership(2, Role::Follower, None);
    c.set_leadership(2, Role::Follower, None);
    let lost = a.append(1, &[insert(666)]);
    a.sync();
    b.lead(2);
    c.follow(2, "b");
    let end = b.write(2, 2).await;
    a.follow(2, "b");
    a.until_bound(end).await;
    c.until_bound(end).await;
    assert_eq!(a.segments(), b.segments());
    assert_eq!(a.segments(), c.segments());
    let name = format!("term-1-{:016x}-{:016x}.sql", common.0, lost.0);
    let saved = std::fs::read_to_string(a.data.join("diverged").join(name)).expect("saved");
    assert!(saved.contains("insert into t (a) values (?1);\n--   ?1 = 666"), "{saved}");
    for node in [a, b, c] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_applied_and_diverged_is_replaced() {
    let (_cluster, [a, b]) = Cluster::led(["a", "b"]).await;
    let common = a.write(1, 1).await;
    b.until_bound(common).await;
    b.set_leadership(2, Role::Follower, None);
    // As under async: applied here, and lost.
    let lost = a.append(1, &[insert(666)]);
    a.sync();
    a.apply(1, lost);
    b.lead(2);
    a.set_leadership(2, Role::Follower, None);
    let start = b.hub.term_start.borrow().1;
    b.apply(2, start);
    a.follow(2, "b");
    a.until(&a.hub.applied, |applied| *applied == start).await;
    let last = b.write(2, 2).await;
    a.until_bound(last).await;
    assert_eq!(a.segments(), b.segments());
    let saved = std::fs::read_dir(a.data.join("diverged")).expect("saved").count();
    assert_eq!(saved, 1);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_is_not_cut_whoever_says_so() {
    let (_cluster, [a, b]) = Cluster::led(["a", "b"]).await;
    let known = a.write(1, 1).await;
    let end = a.write(1, 2).await;
    b.until_bound(end).await;
    // Not applied yet, but it may be at any moment.
    let request = b.replication.request(Term(1)).expect("durable");
    assert_eq!(request.applied, end);
    b.replication.join(&request, known, end).expect_err("below what is committed");
    assert_eq!(lock(&b.log).end().lsn, end);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_as_committed_reaches_no_further_than_the_log() {
    let mut cluster = Cluster::new(&["a", "b"]).await;
    let a = cluster.start("a");
    a.lead(1);
    let kept = a.append(1, &[insert(1)]);
    a.append(1, &[insert(2)]);
    a.sync();
    a.set_leadership(2, Role::Follower, None);
    let beyond = Lsn(1 << 40);
    a.hub.commit.send_replace(beyond);
    let request = a.replication.request(Term(2)).expect("durable");
    a.replication.join(&request, kept, Lsn(0)).expect("cut");
    assert_eq!((lock(&a.log).end().lsn, a.hub.apply_bound()), (kept, kept));
    assert_eq!(*a.hub.commit.borrow(), kept);
    a.replication.raise_commit(beyond, kept);
    assert_eq!(*a.hub.commit.borrow(), kept);
    a.stop().await;
}
