//! Power cuts of a whole cluster: each process's file operations are recorded, and every
//! directory is made to what a disk would hold of it if the power had gone at some point.

mod disk;
mod trace;

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use towline::workload::load::{Load, Written};

use self::disk::{Change, Disk};
use self::trace::Tracing;
use crate::demo::{Demo, SOON};
use crate::durability::allow_any_failover;

#[tokio::test(flavor = "multi_thread")]
async fn power_lost_at_any_moment_loses_nothing_acknowledged() {
    cut_power(&[]).await;
}

/// Nobody else has what it loses.
#[tokio::test(flavor = "multi_thread")]
async fn power_lost_at_any_moment_loses_nothing_of_a_lone_node() {
    cut_power(&["--nodes", "1"]).await;
}

/// `scripts/power-run` sets more cuts than the tests take, and names a seed, or files
/// whose syncs are taken to do nothing, which must be found out.
async fn cut_power(arguments: &[&str]) {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse().expect("a number"));
    let cuts = number("POWER_CUTS").unwrap_or(4);
    let seed = number("POWER_SEED").unwrap_or_else(rand::random);
    println!("seed {seed}");
    let forgotten = std::env::var("POWER_FORGET").ok();
    let is_forgotten = |change: &&Change| match (change, &forgotten) {
        (Change::Sync(path), Some(end)) => path.to_string_lossy().ends_with(end.as_str()),
        _ => false,
    };
    let mut random = StdRng::seed_from_u64(seed);
    // Segments, and snapshots of them, come and go all the time.
    let sets = ["--set", "segment_bytes=65536", "--set", "retain_bytes=0"];
    let mut demo = Demo::start(&[&sets, arguments].concat());
    allow_any_failover(&demo);
    demo.stop();
    let (mut rows, mut well) = (Rows::default(), true);
    for cut in 1..=cuts {
        if well && demo.nodes().len() > 1 && random.random_ratio(1, 3) {
            lose_a_part(&demo, &mut random);
        }
        let mut disk = Disk::read(demo.dir());
        let (under, tracing) = Tracing::start(&demo.dir().join("trace"));
        demo.under = under;
        let started = Moment::now();
        demo.resume();
        rows.check(&demo);
        let checked = Moment::now();
        let written = write(&mut demo, &mut random).await;
        let trace = tracing.end();
        let end = random.random_range(0..=trace.len());
        let (changes, until) = trace.before(end);
        let done = changes.into_iter().filter(|change| !is_forgotten(change));
        done.for_each(|change| disk.apply(change));
        let kept = [0, 20, 50, 90, 100][random.random_range(0..5)];
        disk.lose_power(kept, &mut random);
        for name in demo.nodes().iter().map(String::as_str).chain(["monitor"]) {
            disk.write(name);
        }
        rows.add(&written, |at| started.since_1970(at) < until);
        well = checked.since_1970 < until;
        let (of, rows) = (trace.len(), rows.acknowledged.len());
        println!("cut {cut} of {cuts}: at change {end} of {of}, {kept} % kept, {rows} rows");
    }
    demo.under.clear();
    demo.resume();
    rows.check(&demo);
}

/// Writes for a while, under more than one leader, until the power goes.
async fn write(demo: &mut Demo, random: &mut StdRng) -> Written {
    let load = Load::start(demo.config("proxy"), "load", 8, 1).await.expect("the load starts");
    for _ in 0..random.random_range(1..4) {
        let progress = load.progress(random.random_range(1..150), SOON).await;
        progress.unwrap_or_else(|error| panic!("{error}"));
        demo.towline(&["switchover"]);
    }
    demo.kill_all();
    load.stop().await
}

/// Removes the directory of a node, or a part of it: it is seeded while the power goes.
fn lose_a_part(demo: &Demo, random: &mut StdRng) {
    let nodes = demo.nodes();
    let node = &nodes[random.random_range(0..nodes.len())];
    let (dir, database) = (demo.dir().join(node), demo.database(node));
    let part = match random.random_range(0..3) {
        0 => dir,
        1 => dir.join("log"),
        _ => database.parent().expect("a generation").to_owned(),
    };
    println!("{} is lost", part.display());
    std::fs::remove_dir_all(part).expect("removed");
}

/// A moment by both clocks.
struct Moment {
    at: Instant,
    since_1970: Duration,
}

impl Moment {
    fn now() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        Self { at: Instant::now(), since_1970 }
    }

    /// That of a later one.
    fn since_1970(&self, later: Instant) -> Duration {
        self.since_1970 + (later - self.at)
    }
}

/// What must be there, and what may.
#[derive(Default)]
struct Rows {
    acknowledged: BTreeSet<i64>,
    attempted: BTreeSet<i64>,
}

impl Rows {
    /// What a load has written that was acknowledged in time.
    fn add(&mut self, written: &Written, in_time: impl Fn(Instant) -> bool) {
        self.attempted.extend(&written.attempted);
        let acknowledged = written.acknowledged.iter().filter(|(_, at)| in_time(*at));
        self.acknowledged.extend(acknowledged.map(|(id, _)| id));
    }

    /// Waits until the nodes are equal, and compares.
    fn check(&self, demo: &Demo) {
        demo.wait_until_equal();
        if self.attempted.is_empty() {
            return;
        }
        demo.assert_equal_content();
        for node in demo.nodes() {
            assert_eq!(demo.sqlite(&node, "PRAGMA integrity_check").trim(), "ok");
        }
        demo.psql("CREATE TABLE IF NOT EXISTS load (id bigint PRIMARY KEY, client int)");
        let text = demo.psql("SELECT id FROM load");
        let present: BTreeSet<i64> = text.lines().map(|id| id.parse().expect("a number")).collect();
        let lost: Vec<_> = self.acknowledged.difference(&present).collect();
        assert!(lost.is_empty(), "lost {lost:?}");
        let strange: Vec<_> = present.difference(&self.attempted).collect();
        assert!(strange.is_empty(), "made up {strange:?}");
    }
}
