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
    let (_cluster, [a, b, c]) = Cluster::led(["a", "b", "c"]).await;
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
    let (_cluster, [a, b, c]) = Cluster::led(["a", "b", "c"]).await;
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

/// Every label of an operation that changes the log.
const STEPS: [Op; 7] = [
    Op::CutSegment,
    Op::RemoveSegment,
    Op::SyncDir,
    Op::CreateSegment,
    Op::Append,
    Op::SyncLog,
    Op::NoteDurable,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_step_of_a_fetch_loses_nothing_and_it_is_fetched_again() {
    let (mut cluster, [a, b, c]) = Cluster::led(["a", "b", "c"]).await;
    let known = a.write(1, 1).await;
    b.until_bound(known).await;
    c.until_bound(known).await;
    // A tail of its own to cut, and one to fetch, of several segments each.
    c.lead(2);
    for n in 0..80 {
        c.append(2, &[insert(n)]);
    }
    c.sync();
    a.lead(3);
    b.follow(3, "a");
    for n in 0..80 {
        a.write(3, n).await;
    }
    a.stop().await;
    let end = b.promise(4);
    let (data, before) = (c.data.clone(), cluster.directory.path().join("before"));
    c.stop().await;
    std::fs::rename(&data, &before).expect("set aside");
    let mut deaths = 0;
    for label in STEPS {
        // Each time it is met; of many alike some.
        let mut count = 0;
        loop {
            RealFs.remove_dir_all(Op::RemoveGeneration, &data).expect("removed");
            copy(&before, &data);
            let (fs, death) = Hooked::dying(label, count);
            let c = cluster.start_in(fs, "c");
            c.promise(4);
            death.armed.store(true, Ordering::SeqCst);
            let fetched = c.fetch(4, "b", end).await;
            c.kill().await;
            let died = *death.dead.borrow();
            assert_eq!(fetched.is_err(), died, "{label} {count}: {fetched:?}");
            let c = cluster.start("c");
            let held = c.promise(4);
            assert!(held.lsn >= known && held <= end, "{label} {count}: {held}");
            assert_eq!(c.fetch(4, "b", end).await, Ok(()), "{label} {count}");
            assert_eq!(b.segments(), c.segments(), "{label} {count}");
            c.stop().await;
            if !died {
                break;
            }
            deaths += 1;
            count += 1 + count / 4;
        }
    }
    assert!(deaths > 10, "{deaths} steps");
    b.stop().await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("listed") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_whose_source_dies_is_told_and_leaves_a_log_to_go_on_with() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, c) = (cluster.start("a"), cluster.start("b"), cluster.start("c"));
    a.lead(1);
    b.follow(1, "a");
    let end = a.write(1, 1).await;
    b.until_bound(end).await;
    let end = b.promise(2);
    c.promise(2);
    // Killed while it waits for more than it gets.
    let more = LogEnd { lsn: Lsn(end.lsn.0 + 1), ..end };
    let (fetched, ()) = tokio::join!(c.fetch(2, "b", more), async {
        c.until(&c.hub.durable, |durable| *durable == end.lsn).await;
        b.kill().await;
    });
    fetched.expect_err("its source is gone");
    assert_eq!(lock(&c.log).end(), end);
    c.follow(3, "a");
    a.lead(3);
    let last = a.write(3, 2).await;
    c.until_bound(last).await;
    assert_eq!(a.segments(), c.segments());
    a.stop().await;
    c.stop().await;
}
