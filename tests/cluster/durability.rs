//! kill -9 of everything at once, and what is left.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::demo::{Demo, wait_for};
use crate::load::Load;

/// `scripts/kill-run` sets more rounds than the tests take, and names a seed.
#[tokio::test(flavor = "multi_thread")]
async fn killing_any_processes_at_random_loses_nothing_acknowledged() {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse().expect("a number"));
    let rounds = number("KILL_ROUNDS").unwrap_or(12);
    let seed = number("KILL_SEED").unwrap_or_else(rand::random);
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut demo = Demo::start(&[]);
    let load = Load::start(&demo, 8).await;
    let mut killed = allow_any_failover(&demo);
    for round in 1..=rounds {
        load.wait_for(random.random_range(1..100)).await;
        let whole = random.random_ratio(1, 4);
        println!("round {round} of {rounds}: {}", if whole { "all" } else { "some" });
        if whole {
            // Or the supervisor might start one while it is killed itself.
            demo.wait_for_restart_of(&killed);
            demo.kill_all();
            demo.resume();
            killed = allow_any_failover(&demo);
        } else {
            killed.extend(demo.kill_chosen(|_| random.random_ratio(1, 2)));
        }
    }
    load.wait_for(50).await;
    // Every row has a number of its own: one that was written twice is told as 23505.
    let failed = load.stop_and_check(&demo).await;
    let twice: Vec<_> = failed.iter().filter(|text| text.contains("23505")).collect();
    assert!(twice.is_empty(), "ran twice: {twice:?}");
    for node in demo.nodes() {
        assert_eq!(demo.sqlite(&node, "PRAGMA integrity_check").trim(), "ok");
    }
}

/// Lifts rule 28's limit, which the demo's configuration leaves at three in five minutes.
/// Returns the pid of the monitor killed to read it.
pub(crate) fn allow_any_failover(demo: &Demo) -> Vec<u32> {
    let processes = demo.processes();
    let path = processes["monitor"]["config"].as_str().expect("a configuration");
    let text = std::fs::read_to_string(path).expect("a readable configuration");
    std::fs::write(path, format!("failovers_max = 10000\n{text}")).expect("written");
    demo.kill_chosen(|name| name == "monitor")
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_every_process_at_once_loses_nothing_acknowledged() {
    let mut demo = Demo::start(&[]);
    let load = Load::start(&demo, 8).await;
    for _ in 0..3 {
        load.wait_for(50).await;
        demo.kill_all();
        demo.resume();
    }
    load.wait_for(50).await;
    load.stop_and_check(&demo).await;
    for node in demo.nodes() {
        assert_eq!(demo.sqlite(&node, "PRAGMA integrity_check").trim(), "ok");
    }
}

#[test]
fn segments_of_all_nodes_are_byte_equal() {
    let mut demo = Demo::start(&[]);
    demo.psql("CREATE TABLE t (i int PRIMARY KEY, x text)");
    for i in 0..20 {
        demo.psql(&format!(
            "INSERT INTO t SELECT {i} * 100 + g, md5(random()::text) FROM generate_series(1, 50) g"
        ));
    }
    demo.wait_until_equal();
    demo.stop();
    let nodes = demo.nodes();
    let segments = |node: &str| -> Vec<(String, Vec<u8>)> {
        let dir = demo.dir().join(node).join("log");
        let mut files: Vec<_> = std::fs::read_dir(&dir)
            .expect("a log directory")
            .map(|entry| entry.expect("an entry").path())
            .map(|path| {
                let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                (name, std::fs::read(&path).expect("a readable segment"))
            })
            .collect();
        files.sort();
        files
    };
    let first = segments(&nodes[0]);
    assert!(!first.is_empty());
    for node in &nodes[1..] {
        assert!(segments(node) == first, "{node}'s segments differ from {}'s", nodes[0]);
    }
}

/// Starts the demo again without the directory of a follower, or a part of it. Returns the
/// follower's name.
fn lose(demo: &mut Demo, part: &str) -> String {
    demo.wait_until_equal();
    let follower = demo.followers(&demo.leader()).remove(0);
    demo.stop();
    std::fs::remove_dir_all(demo.dir().join(&follower).join(part)).expect("it is removed");
    demo.resume();
    follower
}

#[test]
fn a_node_whose_directory_was_lost_comes_back_from_a_snapshot() {
    use nix::sys::signal::Signal;
    let mut demo = Demo::start(&[]);
    demo.psql("CREATE TABLE t (i int PRIMARY KEY, x text)");
    demo.psql("INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 20000) g");
    let follower = lose(&mut demo, "");
    demo.psql("INSERT INTO t VALUES (0, 'after')");
    demo.assert_equal_content();
    // And it counts again: with it and one other the cluster goes on.
    let leader = demo.leader();
    let third = demo.followers(&leader).into_iter().find(|node| *node != follower);
    let third = third.expect("a third");
    demo.signal(&third, Signal::SIGSTOP);
    demo.psql("INSERT INTO t VALUES (-1, 'with two')");
    demo.signal(&third, Signal::SIGCONT);
    demo.assert_equal_content();
}

#[test]
fn what_is_removed_of_a_node_is_made_anew() {
    let mut demo = Demo::start(&[]);
    demo.psql("CREATE TABLE t (i int PRIMARY KEY, x text)");
    demo.psql("INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 1000) g");
    for part in ["gen-0", "log"] {
        let follower = lose(&mut demo, part);
        demo.psql(&format!("INSERT INTO t SELECT min(i) - 1, '{part}' FROM t"));
        demo.wait_until_well();
        demo.assert_equal_content();
        assert_eq!(demo.sqlite(&follower, "PRAGMA integrity_check").trim(), "ok");
    }
    // And operators are told of it (rule 16a).
    wait_for("an event", || {
        let events = demo.towline(&["events"]).stdout;
        let events = String::from_utf8(events).expect("UTF-8");
        events.contains("the log is damaged, and is fetched anew: ").then_some(())
    });
}

#[test]
fn a_node_killed_while_it_receives_a_snapshot_goes_on_with_it() {
    let sets = ["snapshot_rate_bytes=2097152", "segment_bytes=65536", "retain_bytes=65536"];
    let mut demo = Demo::start(&sets.map(|set| ["--set", set]).concat());
    demo.psql("CREATE TABLE t (i int PRIMARY KEY, x text)");
    // More log than is kept.
    let long = "x".repeat(20_000);
    for i in 1..=20 {
        demo.psql(&format!("INSERT INTO t VALUES (-{i}, '{long}')"));
    }
    demo.psql("INSERT INTO t SELECT g, repeat(md5(g::text), 30) FROM generate_series(1, 10000) g");
    let follower = lose(&mut demo, "");
    // Percent of the snapshot, as `status` shows it.
    let progress = || {
        let view = demo.view()?;
        let node =
            view["nodes"].as_array()?.iter().find(|node| node["name"] == follower.as_str())?;
        let rest = node["reason"].as_str()?.strip_prefix("receives a snapshot: ")?.to_owned();
        rest.split_once(" %")?.0.parse::<u32>().ok()
    };
    wait_for("some of the snapshot", || progress().filter(|percent| *percent >= 30));
    let mut killed = demo.kill_chosen(|name| name == follower);
    demo.wait_for_restart_of(&killed);
    // It has what came before the kill: the first that it shows is beyond that.
    let shown = wait_for("the snapshot to go on", progress);
    assert!(shown >= 30, "{shown} %");
    killed = demo.kill_chosen(|name| name == follower);
    demo.wait_for_restart_of(&killed);
    demo.psql("INSERT INTO t VALUES (0, 'after')");
    demo.assert_equal_content();
    assert_eq!(demo.sqlite(&follower, "PRAGMA integrity_check").trim(), "ok");
}

/// The disk is nearly full while a large file lies on it: that file is the test's.
#[test]
fn a_nearly_full_disk_stops_writes_before_harm_and_nothing_else() {
    use nix::fcntl::{FallocateFlags, fallocate};
    let probe = tempfile::tempdir().expect("a directory");
    let told = nix::sys::statvfs::statvfs(probe.path()).expect("the disk's space");
    let left = told.blocks_available() * told.fragment_size();
    // Far from both sides: others use the same disk.
    let ballast = left / 2;
    let reserve = format!("reserve_bytes={}", left - ballast / 2);
    let demo = Demo::start(&["--set", &reserve]);
    demo.psql("CREATE TABLE t (i int PRIMARY KEY)");
    demo.psql("INSERT INTO t VALUES (1)");
    let path = demo.dir().join("ballast");
    let file = std::fs::File::create(&path).expect("created");
    fallocate(&file, FallocateFlags::empty(), 0, ballast.cast_signed()).expect("allocated");
    let write = || {
        let mut psql = demo.client_command("psql", "proxy");
        let output = psql
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose"])
            .args(["-c", "INSERT INTO t SELECT max(i) + 1 FROM t"])
            .output()
            .expect("psql runs");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    wait_for("writes to be refused", || {
        let (done, said) = write();
        assert!(done || said.contains("53100"), "{said}");
        (!done).then_some(())
    });
    let leader = demo.leader();
    let rows: u64 = demo.psql("SELECT count(*) FROM t").parse().expect("a count");
    assert!(rows > 0);
    // Told with the nodes' next report, which the refusal may be ahead of.
    wait_for("the status to say why", || {
        let view = demo.view()?;
        let mut nodes = view["nodes"].as_array()?.iter();
        nodes
            .all(|n| n["reason"].as_str().unwrap_or("").starts_with("disk nearly full"))
            .then_some(())
    });
    drop(file);
    std::fs::remove_file(&path).expect("removed");
    wait_for("writes to go on", || write().0.then_some(()));
    assert_eq!(demo.leader(), leader);
    demo.assert_equal_content();
}
