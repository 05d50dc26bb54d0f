//! Snapshots.

use std::sync::atomic::AtomicUsize;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_far_behind_gets_a_snapshot() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, c) = (cluster.start("a"), cluster.start("b"), cluster.start("c"));
    a.lead(1);
    b.follow(1, "a");
    let mut end = Lsn(0);
    for n in 0..500 {
        end = a.write(1, n).await;
    }
    a.apply(1, end);
    let first = tokio::time::timeout(PATIENCE, async {
        while a.replication.reader.first() == Lsn(0) {
            tokio::task::yield_now().await;
        }
        a.replication.reader.first()
    });
    assert!(first.await.expect("segments are released") > Lsn(0));
    assert_eq!(lock(&a.control).get().commit, end);
    c.follow(1, "a");
    c.until(&c.hub.applied, |applied| *applied == end).await;
    let last = a.write(1, 7).await;
    c.until_bound(last).await;
    assert_eq!(a.segments().last_key_value(), c.segments().last_key_value());
    let control = lock(&c.control).get().clone();
    assert_eq!((control.generation, control.unproven, control.commit), (1, true, end));
    c.until(&c.hub.caught_up, |term| *term == Term(1)).await;
    let told = c.hub.take_notices().into_iter().map(|notice| notice.reason);
    let told = told.filter(|reason| reason.starts_with("is seeded anew, with a snapshot"));
    assert_eq!(told.count(), 1);
    assert!(!c.data.join("gen-0").exists() && !c.data.join("gen-1/log").exists());
    // It starts again from there.
    c.stop().await;
    let c = cluster.start("c");
    assert_eq!(*c.hub.applied.borrow(), end);
    c.follow(1, "a");
    let last = a.write(1, 8).await;
    c.until_bound(last).await;
    for node in [a, b, c] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarantined_follower_gets_new_databases_and_keeps_its_log() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, c) = (cluster.start("a"), cluster.start("b"), cluster.start("c"));
    a.lead(1);
    b.follow(1, "a");
    let early = a.write(1, 1).await;
    a.apply(1, early);
    let end = a.write(1, 2).await;
    b.until_bound(end).await;
    b.hub.quarantine.send_replace(Some(Quarantine::Differs(early)));
    b.until(&b.hub.quarantine, Option::is_none).await;
    assert_eq!(*b.hub.applied.borrow(), early);
    assert_eq!(b.hub.end.borrow().lsn, end);
    let last = a.write(1, 3).await;
    b.until_bound(last).await;
    for node in [a, b, c] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_most_followers_disagree_nobody_is_re_seeded_and_all_go_on() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, c) = (cluster.start("a"), cluster.start("b"), cluster.start("c"));
    a.lead(1);
    let early = a.append(1, &[insert(1)]);
    a.sync();
    for node in [&b, &c] {
        node.hub.quarantine.send_replace(Some(Quarantine::Differs(early)));
        node.follow(1, "a");
    }
    let patience = async {
        while lock(&a.replication.differing).len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, patience).await.expect("both say that they differ");
    for n in 0..20 {
        a.write(1, n).await;
    }
    for node in [&b, &c] {
        assert_eq!(*node.hub.quarantine.borrow(), Some(Quarantine::Differs(early)));
        assert_eq!(lock(&node.control).get().generation, 0);
    }
    for node in [a, b, c] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_log_beside_full_databases_is_re_seeded() {
    let (mut cluster, [a, b]) = Cluster::led(["a", "b"]).await;
    let end = a.write(1, 1).await;
    a.apply(1, end);
    b.until_bound(end).await;
    b.apply(1, end);
    let (data, control) = (b.data.clone(), b.control.clone());
    b.stop().await;
    assert_eq!(lock(&control).get().commit, end);
    drop(control);
    std::fs::remove_dir_all(data.join("log")).expect("lost");
    let options = LogOptions { segment_bytes: 8192, floor: end };
    let refused = LogStore::open(&data.join("log"), options);
    assert!(matches!(refused.err(), Some(LogError::TooShort { .. })));
    // What the node does then: go on without a log, as one whose word counts for nothing.
    ControlFile::open(&data.join("control"))
        .expect("opens")
        .update(|control| (control.commit, control.unproven) = (Lsn(0), true))
        .expect("updated");
    let b = cluster.start("b");
    assert_eq!(*b.hub.applied.borrow(), end);
    b.follow(1, "a");
    b.until(&b.hub.end, |held| held.lsn == end).await;
    let last = a.write(1, 2).await;
    b.until_bound(last).await;
    a.stop().await;
    b.stop().await;
}

/// Cuts the last frame, which begins at `at`, from a stopped node's only segment, and has
/// its control file say that the log is committed up to `commit`.
fn cut_last_frame(data: &Path, at: Lsn, commit: Lsn) {
    let segment = data.join("log").join(format!("{:016x}.seg", 0));
    let segment = std::fs::File::options().write(true).open(segment).expect("opens");
    segment.set_len(at.0).expect("cut");
    ControlFile::open(&data.join("control"))
        .expect("opens")
        .update(|control| (control.commit, control.unproven) = (commit, false))
        .expect("updated");
}

fn told(hub: &Hub) -> Vec<String> {
    hub.take_notices().into_iter().map(|notice| notice.reason).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_lost_what_it_had_acknowledged_is_an_event() {
    let (mut cluster, [a, b]) = Cluster::led(["a", "b"]).await;
    let kept = a.write(1, 1).await;
    let end = a.write(1, 2).await;
    let data = b.data.clone();
    b.stop().await;
    cut_last_frame(&data, kept, kept);
    let b = cluster.start("b");
    assert_eq!(b.hub.end.borrow().lsn, kept);
    a.hub.take_notices();
    b.follow(1, "a");
    b.until_bound(end).await;
    let lost = format!(
        "a follower came back with less than it had acknowledged: b holds the log up to {kept}, \
         and had it up to {end}"
    );
    assert_eq!(told(&a.hub), [lost]);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_knows_what_it_lost_of_its_log() {
    let (cluster, [a, b]) = Cluster::led(["a", "b"]).await;
    let kept = a.write(1, 1).await;
    let end = a.write(1, 2).await;
    b.until_bound(end).await;
    let (name, data) = (b.name.clone(), b.data.clone());
    b.stop().await;
    for (commit, what) in [
        (kept, "the end of the log may have been durable and is lost"),
        (end, "the log is damaged, and is fetched anew: "),
    ] {
        cut_last_frame(&data, kept, commit);
        let opened = run::open(&cluster.config(&name)).expect("opens");
        let lost = opened.lost.expect("it lost something");
        assert!(lost.starts_with(what), "{lost}");
        assert!(lock(&opened.control).get().unproven);
    }
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_follower_acknowledged_and_lost_counts_no_more_while_it_is_seeded() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, end) = filled(&mut cluster, 1).await;
    // Its leader has not synced it yet.
    let more = a.append(1, &[insert(1)]);
    let heard = async {
        while a.hub.held() < Some(more) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.expect("it is acknowledged");
    let data = b.data.clone();
    b.kill().await;
    std::fs::remove_dir_all(data).expect("lost");
    cluster.start("b").stop().await;
    let (fs, death) = Hooked::dying(Op::PrepareSnapshot, 0);
    let b = cluster.start_in(fs, "b");
    a.hub.take_notices();
    death.armed.store(true, Ordering::SeqCst);
    b.follow(1, "a");
    let mut dead = death.dead.subscribe();
    let died = tokio::time::timeout(PATIENCE, dead.wait_for(|dead| *dead)).await;
    died.expect("a snapshot comes").expect("death");
    b.kill().await;
    a.sync();
    assert_eq!(*a.hub.commit.borrow(), end);
    let told = told(&a.hub);
    assert!(told[0].contains("b holds the log up to 0/0, and had it up to"), "{told:?}");
    let b = cluster.start("b");
    b.follow(1, "a");
    b.until_bound(more).await;
    a.stop().await;
    b.stop().await;
}

/// A leader with so many megabytes of content, and a follower that makes it commit.
async fn filled(cluster: &mut Cluster, megabytes: usize) -> (Node, Node, Lsn) {
    let (a, b) = (cluster.start("a"), cluster.start("b"));
    a.lead(1);
    b.follow(1, "a");
    a.run(&format!(
        "CREATE TABLE filler (id INTEGER PRIMARY KEY, b BLOB);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {megabytes}000)
         INSERT INTO filler SELECT i, randomblob(1000) FROM n"
    ));
    let end = a.write(1, 1).await;
    a.apply(1, end);
    // Nothing is left of the log's first segments: who comes later needs a snapshot.
    let mut end = end;
    for n in 0..300 {
        end = a.write(1, n).await;
    }
    a.apply(1, end);
    let released = async {
        while a.replication.reader.first() == Lsn(0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, released).await.expect("segments are released");
    (a, b, end)
}

/// Starts `c` on a file system that dies, has it follow, and waits for its death; `None`
/// if it lived and was seeded.
async fn die(cluster: &mut Cluster, label: Op, count: usize, end: Lsn) -> Option<()> {
    let (fs, death) = Hooked::dying(label, count);
    let c = cluster.start_in(fs, "c");
    if *c.hub.applied.borrow() == end {
        c.hub.quarantine.send_replace(Some(Quarantine::Edited(end)));
        c.hub.applied.send_replace(Lsn(1));
    }
    death.armed.store(true, Ordering::SeqCst);
    c.follow(1, "a");
    let (mut dead, mut caught_up) = (death.dead.subscribe(), c.hub.caught_up.subscribe());
    let ended = async {
        tokio::select! {
            _ = dead.wait_for(|dead| *dead) => Some(()),
            _ = caught_up.wait_for(|term| term.0 == 1) => None,
        }
    };
    let ended = tokio::time::timeout(PATIENCE, ended).await.expect("dies or is seeded");
    c.kill().await;
    ended
}

/// Every label of an operation that installs a snapshot.
const STEPS: [Op; 9] = [
    Op::PrepareSnapshot,
    Op::ReceiveSnapshot,
    Op::VerifySnapshot,
    Op::SyncDir,
    Op::WriteControl,
    Op::CreateSegment,
    Op::RemoveSegment,
    Op::RemoveGeneration,
    Op::NoteDurable,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_step_of_a_snapshot_leaves_a_node_that_finishes_by_itself() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, end) = filled(&mut cluster, 1).await;
    let content = a.digest();
    let mut deaths = 0;
    // A node without anything; one whose databases alone are bad.
    for wiped in [true, false] {
        for label in STEPS {
            // Each time it is met; of many alike, as reading a file is, some.
            let mut count = 0;
            loop {
                if wiped {
                    let config = cluster.config(&"c".parse().expect("a name"));
                    RealFs.remove_dir_all(Op::RemoveGeneration, &config.data).expect("wiped");
                    // Made before it follows: its first files are not what is tried here.
                    cluster.start("c").stop().await;
                }
                let died = die(&mut cluster, label, count, end).await;
                let c = cluster.start("c");
                c.follow(1, "a");
                c.until(&c.hub.applied, |applied| *applied == end).await;
                c.until(&c.hub.caught_up, |term| *term == Term(1)).await;
                assert_eq!(c.digest(), content, "{label} {count}");
                assert_eq!(a.segments().last_key_value(), c.segments().last_key_value());
                assert_eq!(c.generations(), 1, "{label} {count}");
                assert!(!c.database().with_file_name("log").exists());
                c.stop().await;
                if died.is_none() {
                    break;
                }
                deaths += 1;
                count += 1 + count / 4;
            }
        }
    }
    assert!(deaths > 40, "{deaths} steps");
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_goes_on_where_it_was_cut_and_sends_what_differs() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, end) = filled(&mut cluster, 6).await;
    // Cut off before the fourth piece, of one megabyte each.
    assert_eq!(die(&mut cluster, Op::ReceiveSnapshot, 3, end).await, Some(()));
    let pieces = Arc::new(AtomicUsize::new(0));
    let counter = pieces.clone();
    let counted = Hooked::new(move |op| {
        counter.fetch_add(usize::from(op == Op::ReceiveSnapshot), Ordering::SeqCst);
        Ok(())
    });
    let c = cluster.start_in(counted, "c");
    c.follow(1, "a");
    c.until(&c.hub.applied, |applied| *applied == end).await;
    let came = pieces.swap(0, Ordering::SeqCst);
    assert!((3..8).contains(&came), "{came} pieces after the cut");
    // Another value here, which only this node's file has: one page, perhaps two.
    c.run("UPDATE filler SET b = zeroblob(1000) WHERE id = 3000");
    assert_ne!(c.digest(), a.digest());
    c.hub.quarantine.send_replace(Some(Quarantine::Edited(end)));
    c.until(&c.hub.quarantine, Option::is_none).await;
    assert_eq!(c.digest(), a.digest());
    let came = pieces.load(Ordering::SeqCst);
    assert!((1..4).contains(&came), "{came} pieces of what differed");
    for node in [a, b, c] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_there_and_is_wrong_is_not_believed() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, end) = filled(&mut cluster, 6).await;
    cluster.start("c").stop().await;
    let next = cluster.config(&"c".parse().expect("a name")).data.join("gen-1");
    std::fs::create_dir_all(next.join("log")).expect("made");
    for name in ["main.db", "main.db-wal", "main.db-journal", "log/0000000000000001.seg"] {
        std::fs::write(next.join(name), vec![7; 3 << 20]).expect("written");
    }
    let c = cluster.start("c");
    c.follow(1, "a");
    c.until(&c.hub.applied, |applied| *applied == end).await;
    assert_eq!(c.digest(), a.digest());
    assert_eq!(a.segments().last_key_value(), c.segments().last_key_value());
    for node in [a, b, c] {
        node.stop().await;
    }
}
