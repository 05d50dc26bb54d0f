//! What an operator changes while the cluster runs: the sync policy, and who may lead.
use std::thread;

use nix::sys::signal::Signal;

use crate::demo::{Demo, assert_success, wait_for};

fn refused(demo: &Demo, arguments: &[&str], because: &str) {
    let output = demo.towline(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(because), "{arguments:?}: {said}");
}

#[test]
fn writes_go_on_without_followers_once_the_policy_is_weakened() {
    let demo = Demo::start(&["--restart", "never"]);
    demo.psql("CREATE TABLE t (i int)");
    let leader = demo.leader();
    let followers = demo.followers(&leader);
    followers.iter().for_each(|node| demo.signal(node, Signal::SIGSTOP));
    thread::scope(|scope| {
        let write = scope.spawn(|| demo.psql("INSERT INTO t VALUES (1)"));
        wait_for("the followers to be missed", || {
            let view = demo.view()?;
            let nodes = view["nodes"].as_array()?;
            (nodes.iter().filter(|node| node["healthy"] == false).count() == 2).then_some(())
        });
        assert!(!write.is_finished(), "acknowledged without a follower");
        refused(&demo, &["maintenance", "on", &leader], "rule 26");
        assert_success("weaken", &demo.towline(&["policy", "weaken"]));
        write.join().expect("acknowledged");
    });
    let view = demo.view().expect("a view");
    assert!(view["weakened"] == true && view["acks"] == 0, "{view:#}");
    let status = demo.towline(&["status"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("rule 20"), "{status:?}");

    followers.iter().for_each(|node| demo.signal(node, Signal::SIGCONT));
    demo.wait_until_well();
    assert_success("restore", &demo.towline(&["policy", "restore"]));
    let view = demo.view().expect("a view");
    assert!(view["weakened"] == false && view["acks"] == 1, "{view:#}");
    refused(&demo, &["policy", "restore"], "not weakened");
    demo.psql("INSERT INTO t VALUES (2)");
    demo.signal(&leader, Signal::SIGKILL);
    assert_eq!(demo.psql("SELECT count(*) FROM t"), "2");
    let events = demo.towline(&["events", "--json"]);
    let events = String::from_utf8_lossy(&events.stdout).into_owned();
    assert!(events.contains(r#""rule":"20""#) && events.contains(r#""rule":"P19""#), "{events}");
}

#[test]
fn a_leader_hands_over_before_its_maintenance_and_does_not_lead_until_it_ends() {
    let demo = Demo::start(&[]);
    demo.psql("CREATE TABLE t (i int)");
    let first = demo.leader();
    assert_success("maintenance on", &demo.towline(&["maintenance", "on", &first]));
    let second = demo.leader();
    assert_ne!(first, second);
    refused(&demo, &["switchover", "--to", &first], "in maintenance");
    demo.psql("INSERT INTO t VALUES (1)");
    assert_success("maintenance off", &demo.towline(&["maintenance", "off", &first]));
    wait_for("a hand-over back", || {
        demo.towline(&["switchover", "--to", &first]).status.success().then_some(())
    });
    assert_eq!(demo.leader(), first);
}
