//! Followers of followers.

use super::*;

impl Node {
    async fn until_upstream(&self, of: &str) {
        let of = Some((Term(1), of.parse().expect("a name")));
        self.until(&self.hub.upstream, |upstream| *upstream == of).await;
    }

    /// Counts for elections, as `control` says of whoever has caught up.
    fn prove(&self) {
        lock(&self.control).update(|control| control.unproven = false).expect("updated");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_is_sent_the_log_by_another_and_by_the_leader_when_that_is_gone() {
    let mut cluster = Cluster::new(&["a", "b", "d"]).await;
    let (a, b, d) = (cluster.start("a"), cluster.start("b"), cluster.start("d"));
    a.lead(1);
    b.follow(1, "a");
    b.until_upstream("a").await;
    // What it may have acknowledged only the leader knows.
    lock(&d.control).update(|control| control.unproven = true).expect("updated");
    d.follow(1, "a");
    d.until_upstream("a").await;
    d.until(&d.hub.caught_up, |term| *term == Term(1)).await;
    d.prove();
    d.follow(1, "nobody");
    d.until(&d.hub.upstream, Option::is_none).await;
    d.follow(1, "a");
    d.until_upstream("b").await;
    // The leader itself may have been followed meanwhile, for a moment.
    d.hub.caught_up.send_replace(Term(0));
    let mut last = Lsn(0);
    for n in 0..300 {
        last = a.write(1, n).await;
    }
    d.until_bound(last).await;
    assert_eq!(a.segments(), d.segments());
    let followers = |node: &Node| node.replication.followers().into_keys().collect::<Vec<_>>();
    let name = |name: &str| name.parse::<NodeId>().expect("a name");
    assert_eq!((followers(&a), followers(&b)), (vec![name("b")], vec![name("d")]));
    // It has not heard the leader, nor does it know what the leader has told others.
    assert_eq!((d.hub.leader_seen_ns(), *d.hub.caught_up.borrow()), (None, Term(0)));

    b.stop().await;
    d.until_upstream("a").await;
    let last = a.write(1, 300).await;
    d.until_bound(last).await;
    assert_eq!(a.segments(), d.segments());
    for node in [a, d] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_leader_has_as_well_is_not_cut_by_another_follower() {
    let mut cluster = Cluster::new(&["a", "b", "d"]).await;
    let gate = watch::Sender::new(true);
    let (a, b) = (cluster.start("a"), cluster.start_in(Hooked::gated(&gate), "b"));
    let d = cluster.start("d");
    a.lead(1);
    d.prove();
    // Nobody is followed by way of who follows nobody.
    d.follow(1, "a");
    d.until_upstream("a").await;
    b.follow(1, "a");
    b.until_upstream("a").await;
    gate.send_replace(false);
    let acknowledged = a.write(1, 1).await;
    d.stop().await;
    let d = cluster.start("d");
    d.follow(1, "a");
    d.until_upstream("a").await;
    assert!(*b.hub.verified.borrow() < acknowledged && d.hub.end.borrow().lsn >= acknowledged);
    assert!(!d.data.join("diverged").exists());
    gate.send_replace(true);
    for node in [a, b, d] {
        node.stop().await;
    }
}
