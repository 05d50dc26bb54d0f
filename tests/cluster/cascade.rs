//! A follower that follows by way of another.

use nix::sys::signal::Signal;

use crate::demo::{Demo, assert_success, wait_for};

/// Waits until a node follows by way of `other`, or of nobody.
fn until_through(demo: &Demo, node: &str, other: Option<&str>) {
    wait_for(&format!("{node} to follow through {other:?}"), || {
        let view = demo.view()?;
        let told = view["nodes"].as_array()?.iter().find(|told| told["name"] == node)?;
        (told["through"].as_str() == other && told["healthy"] == true).then_some(())
    });
}

#[test]
fn a_follower_follows_another_and_the_leader_while_that_is_gone() {
    let demo = Demo::start(&[]);
    demo.psql("CREATE TABLE t (i bigserial PRIMARY KEY, x text)");
    let leader = demo.leader();
    let mut followers = demo.followers(&leader);
    let (last, middle) = (followers.remove(1), followers.remove(0));
    let path = demo.processes()[&last]["config"].as_str().expect("a configuration").to_owned();
    let text = std::fs::read_to_string(&path).expect("a readable configuration");
    std::fs::write(&path, format!("follow = \"{middle}\"\n{text}")).expect("written");
    let killed = demo.kill_chosen(|name| name == last);
    demo.wait_for_restart_of(&killed);
    until_through(&demo, &last, Some(&middle));
    let status = demo.towline(&["status"]);
    let shown = format!("ok, through {middle}");
    assert!(String::from_utf8_lossy(&status.stdout).contains(&shown), "{status:?}");
    demo.psql("INSERT INTO t (x) SELECT md5(g::text) FROM generate_series(1, 1000) g");
    demo.assert_equal_content();
    let followers_of = |node: &str| {
        let mut psql = demo.client_command("psql", node);
        let asked = "SELECT string_agg(application_name, ' ') FROM pg_stat_replication";
        let output = psql.args(["-AtXc", asked]).output().expect("psql runs");
        assert_success("psql", &output);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!((followers_of(&leader), followers_of(&middle)), (middle.clone(), last.clone()));

    // The leader needs an acknowledgement: from now on only the last can give it.
    let path = demo.processes()[&middle]["config"].as_str().expect("a configuration").to_owned();
    let text = std::fs::read_to_string(&path).expect("a readable configuration");
    std::fs::write(&path, format!("no-such-key = 1\n{text}")).expect("written");
    demo.signal(&middle, Signal::SIGKILL);
    demo.psql("INSERT INTO t (x) VALUES ('without the middle')");
    until_through(&demo, &last, None);
    std::fs::write(&path, text).expect("written");
    until_through(&demo, &last, Some(&middle));
    demo.psql("INSERT INTO t (x) VALUES ('by way of it')");

    demo.signal(&leader, Signal::SIGKILL);
    demo.psql("INSERT INTO t (x) VALUES ('under another leader')");
    demo.assert_equal_content();
    assert_eq!(demo.psql("SELECT count(*) FROM t"), "1003");
    assert_success("towline verify", &demo.towline(&["verify"]));
}
