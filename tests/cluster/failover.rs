//! The leader dies, pauses, or hands over, under load.

use nix::sys::signal::Signal;

use crate::demo::{Demo, SOON, assert_success, wait_for};
use crate::load::Load;

#[tokio::test(flavor = "multi_thread")]
async fn killed_leader_is_replaced_and_nothing_acknowledged_is_lost() {
    let demo = Demo::start(&[]);
    let load = Load::start(&demo, 4).await;
    for _ in 0..2 {
        let (leader, term) = (demo.leader(), demo.term());
        load.wait_for(20).await;
        demo.signal(&leader, Signal::SIGKILL);
        wait_for("a new leader", || (demo.view()?["term"].as_u64()? > term).then_some(()));
        assert_ne!(demo.leader(), leader);
        load.wait_for(20).await;
        // The dead one comes back and follows before the next is killed.
        demo.wait_until_well();
    }
    load.stop_and_check(&demo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_leader_acknowledges_nothing_in_its_old_term() {
    let demo = Demo::start(&[]);
    let (leader, term) = (demo.leader(), demo.term());
    let direct = demo.connect(&leader).await;
    direct.batch_execute("CREATE TABLE t (i int PRIMARY KEY)").await.expect("a table");
    demo.signal(&leader, Signal::SIGSTOP);
    // Waiting in the paused leader's socket, to be found when it wakes up.
    let insert = tokio::spawn(async move { direct.execute("INSERT INTO t VALUES (1)", &[]).await });
    wait_for("a new leader", || {
        let view = demo.view()?;
        (view["term"].as_u64()? > term && view["open"] == true).then_some(())
    });
    demo.psql("INSERT INTO t VALUES (2)");
    demo.signal(&leader, Signal::SIGCONT);
    let answer = tokio::time::timeout(SOON, insert).await.expect("an answer").expect("no panic");
    demo.assert_equal_content();
    let present = demo.psql("SELECT count(*) FROM t WHERE i = 1");
    match answer {
        // Forwarded to the new leader, it is there on every node.
        Ok(_) => assert_eq!(present, "1"),
        // Refused or unknown: it may be there or not, once at most.
        Err(_) => assert!(present == "0" || present == "1", "{present}"),
    }
    assert_eq!(demo.psql("SELECT count(*) FROM t WHERE i = 2"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn switchover_costs_no_error_outside_transactions() {
    let demo = Demo::start(&[]);
    let load = Load::start(&demo, 4).await;
    load.wait_for(20).await;
    let (leader, term) = (demo.leader(), demo.term());
    assert_success("towline switchover", &demo.towline(&["switchover"]));
    wait_for("a new leader", || (demo.view()?["term"].as_u64()? > term).then_some(()));
    assert_ne!(demo.leader(), leader);
    load.wait_for(20).await;
    let failed = load.stop_and_check(&demo).await;
    assert!(failed.is_empty(), "writes failed: {failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_that_gets_sigterm_hands_over_first() {
    let demo = Demo::start(&[]);
    let load = Load::start(&demo, 4).await;
    load.wait_for(20).await;
    let (leader, term) = (demo.leader(), demo.term());
    demo.signal(&leader, Signal::SIGTERM);
    wait_for("a new leader", || (demo.view()?["term"].as_u64()? > term).then_some(()));
    assert_ne!(demo.leader(), leader);
    load.wait_for(20).await;
    let failed = load.stop_and_check(&demo).await;
    assert!(failed.is_empty(), "writes failed: {failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_goes_on_without_the_monitor_and_a_new_monitor_finds_it() {
    let demo = Demo::start(&["--restart", "never"]);
    let (leader, term) = (demo.leader(), demo.term());
    demo.psql("CREATE TABLE t (i int PRIMARY KEY)");
    demo.signal("monitor", Signal::SIGKILL);
    // Longer than a lease: the nodes' grants carry the leader on.
    let started = std::time::Instant::now();
    let mut i = 0;
    while started.elapsed() < 3 * std::time::Duration::from_secs(1) {
        demo.psql(&format!("INSERT INTO t VALUES ({i})"));
        i += 1;
    }
    let processes = demo.processes();
    let config = processes["monitor"]["config"].as_str().expect("a configuration");
    let mut monitor = std::process::Command::new(crate::demo::TOWLINE)
        .args(["monitor", "--config", config])
        .spawn()
        .expect("the monitor starts");
    assert_eq!(demo.leader(), leader);
    assert_eq!(demo.term(), term);
    demo.psql("INSERT INTO t VALUES (-1)");
    monitor.kill().expect("the monitor is killed");
    monitor.wait().expect("the monitor's exit status");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_enough_promises_nobody_is_promoted() {
    let demo = Demo::start(&["--restart", "never"]);
    demo.psql("CREATE TABLE t (i int PRIMARY KEY)");
    let (leader, term) = (demo.leader(), demo.term());
    let follower = demo.followers(&leader).remove(0);
    demo.signal(&follower, Signal::SIGKILL);
    demo.signal(&leader, Signal::SIGKILL);
    // One of three nodes can't tell whether it holds everything: status says who is missing.
    let blocked = wait_for("a reason", || demo.view()?["blocked"].as_str().map(str::to_owned));
    assert!(blocked.contains(&leader) || blocked.contains(&follower), "{blocked}");
    let view = demo.view().expect("a view");
    assert_eq!(view["leader"], leader.as_str(), "{view}");
    assert_eq!(view["term"].as_u64(), Some(term), "{view}");
}
