//! Tails that are fetched before anybody leads.

use super::*;
use crate::failover::Fetch;
use crate::log::LogEnd;

impl Node {
    /// Promises `term`; its log is as it is.
    fn promise(&self, term: u64) -> LogEnd {
        self.set_leadership(term, Role::Follower, None);
        self.hub.forget_leader();
        self.sync();
        lock(&self.log).end()
    }

    /// Is told to fetch, and says how that went.
    async fn fetch(&self, term: u64, from: &str, end: LogEnd) -> Result<(), String> {
        let from = from.parse().expect("a name");
        self.hub.fetched.send_replace(None);
        let fetch = Fetch { term: Term(term), incarnation: 1, from, end };
        self.hub.fetch.send_replace(Some(fetch));
        let fetched = self.until(&self.hub.fetched, Option::is_some).await;
        self.hub.fetch.send_replace(None);
        fetched.expect("waited for").1
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_is_fetched_and_counts_for_nothing_yet() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, c) = (cluster.start("a"), cluster.start("b"), cluster.start("c"));
    a.lead(1);
    b.follow(1, "a");
    c.follow(1, "a");
    let known = a.write(1, 1).await;
    b.until_bound(known).await;
    c.until_bound(known).await;
    // Only b gets these.
    c.promise(2);
    for n in 0..500 {
        a.write(1, n).await;
    }
    a.stop().await;
    let end = b.promise(2);
    let bound = c.hub.apply_bound();
    assert_eq!(c.fetch(2, "b", end).await, Ok(()));
    assert_eq!(lock(&c.log).end(), end);
    assert_eq!(lock(&c.log).durable(), end.lsn);
    assert_eq!(b.segments(), c.segments());
    // Nobody leads: nothing more is committed, and nobody was seen.
    assert_eq!(c.hub.apply_bound(), bound);
    assert_eq!((*c.hub.caught_up.borrow(), c.hub.leader_seen_ns()), (Term(1), None));
    c.lead(2);
    b.follow(2, "c");
    let end = c.write(2, 7).await;
    b.until_bound(end).await;
    assert_eq!(b.segments(), c.segments());
    b.stop().await;
    c.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_parts_from_the_fetched_log_is_saved_and_cut() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, c) = (cluster.start("a"), cluster.start("b"), cluster.start("c"));
    a.lead(1);
    b.follow(1, "a");
    c.follow(1, "a");
    let known = a.write(1, 1).await;
    b.until_bound(known).await;
    // c has led a term that nobody heard of, and wrote; a leads a later one.
    c.until_bound(known).await;
    c.lead(2);
    c.append(2, &[insert(100), insert(101)]);
    c.sync();
    a.lead(3);
    b.follow(3, "a");
    for n in 0..20 {
        a.write(3, n).await;
    }
    a.stop().await;
    c.promise(4);
    let end = b.promise(4);
    assert_eq!(c.fetch(4, "b", end).await, Ok(()));
    assert_eq!(b.segments(), c.segments());
    assert_eq!(std::fs::read_dir(c.data.join("diverged")).expect("saved").count(), 1);
    b.stop().await;
    c.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_is_fetched_only_from_who_stands_still_in_the_term() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, c) = (cluster.start("a"), cluster.start("b"), cluster.start("c"));
    a.lead(1);
    b.follow(1, "a");
    let end = a.write(1, 1).await;
    b.until_bound(end).await;
    c.promise(2);
    let end = lock(&b.log).end();
    let refused = c.fetch(2, "b", end).await.expect_err("b follows in term 1");
    assert!(refused.contains("can't send on"), "{refused}");
    assert_eq!(lock(&c.log).end(), LogEnd::default());
    let refused = c.fetch(2, "nobody", end).await.expect_err("no member");
    assert!(refused.contains("no member"), "{refused}");
    // More than there is, which would be waited for in vain.
    b.promise(2);
    let more = LogEnd { lsn: Lsn(end.lsn.0 + 1), ..end };
    let held = tokio::time::timeout(Duration::from_millis(300), c.fetch(2, "b", more)).await;
    assert!(held.is_err(), "{held:?}");
    // The term has a leader: the fetching is over.
    a.stop().await;
    c.follow(2, "b");
    b.lead(2);
    c.until(&c.hub.caught_up, |term| *term == Term(2)).await;
    b.stop().await;
    c.stop().await;
}
