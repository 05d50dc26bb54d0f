//! Nodes join, take another's place, and leave, under load.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::demo::{Demo, TOWLINE, assert_success, wait_for};
use crate::load::Load;

/// A node beside those of the demo.
struct Joining {
    name: String,
    peer: String,
    child: Child,
}

impl Joining {
    /// Starts one whose configuration lists the demo's members and itself.
    fn start(demo: &Demo, number: u16) -> Self {
        let name = format!("node{number}");
        let certs = demo.dir().join("certs");
        let made = Command::new(TOWLINE).args(["certs", "--dir"]).arg(&certs).arg(&name).output();
        assert_success("towline certs", &made.expect("towline runs"));
        let conf = demo.dir().join("conf");
        let text = fs::read_to_string(conf.join("node3.toml")).expect("a configuration");
        let (own, members) = text.split_once("\n[[members]]").expect("members");
        // The demo's ports are so many apart.
        let port = |address: &str| {
            let (host, port) = address.rsplit_once(':').expect("host:port");
            let port: u16 = port.parse().expect("a port");
            format!("{host}:{}", port - 3 + number)
        };
        let processes = demo.processes();
        let at = |key: &str| processes["node3"][key].as_str().expect("an address").to_owned();
        let own = own.replace("node3", &name).replace(&at("sql"), &port(&at("sql")));
        let (from, peer) = (at("peer"), port(&at("peer")));
        let own = own.replace(&from, &peer);
        let file = conf.join(format!("{name}.toml"));
        let text =
            format!("{own}\n[[members]]{members}\n[[members]]\nname = {name:?}\npeer = {peer:?}\n");
        fs::write(&file, text).expect("written");
        Self { child: spawn(demo, &name), name, peer }
    }
}

/// Starts a node beside those that the demo minds.
fn spawn(demo: &Demo, name: &str) -> Child {
    let log = fs::File::create(demo.dir().join(format!("logs/{name}.log"))).expect("a log");
    Command::new(TOWLINE)
        .args(["node", "--with-parent", "--config"])
        .arg(demo.dir().join(format!("conf/{name}.toml")))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the node starts")
}

impl Drop for Joining {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The names of those who count.
fn members(demo: &Demo) -> Option<Vec<String>> {
    let view = demo.view()?;
    let counts = view["nodes"].as_array()?.iter().filter(|node| node["joining"] == false);
    Some(counts.filter_map(|node| node["name"].as_str().map(str::to_owned)).collect())
}

fn is_gone(demo: &Demo, name: &str) -> bool {
    demo.processes()[name].get("pid").is_none()
}

/// A number that the proxy shows among its metrics.
fn metric(demo: &Demo, name: &str) -> Option<u64> {
    let address = demo.processes()["proxy"]["http"].as_str().expect("an address").to_owned();
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: proxy\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_join_and_leave_under_load() {
    let demo = Demo::start(&["--restart", "never"]);
    let load = Load::start(&demo, 4).await;
    load.wait_for(20).await;

    // One joins, and leads: the proxy finds it.
    let fourth = Joining::start(&demo, 4);
    let added = demo.towline(&["node", "add", &fourth.name, "--peer", &fourth.peer]);
    assert_success("towline node add", &added);
    assert_eq!(String::from_utf8_lossy(&added.stdout).trim(), "node4 is a member");
    assert_eq!(members(&demo).expect("a view").len(), 4);
    wait_for("the proxy to reach it", || {
        (metric(&demo, "towline_proxy_nodes_up")? == 4).then_some(())
    });
    demo.wait_until_well();
    assert_success("towline switchover", &demo.towline(&["switchover", "--to", "node4"]));
    load.wait_for(20).await;

    // One takes a follower's place: that one's process ends.
    let fifth = Joining::start(&demo, 5);
    let replaced = demo.towline(&["node", "replace", "node1", "node5", "--peer", &fifth.peer]);
    assert_success("towline node replace", &replaced);
    wait_for("node1 to end", || is_gone(&demo, "node1").then_some(()));
    let now = members(&demo).expect("a view");
    assert_eq!(now, ["node2", "node3", "node4", "node5"]);

    // The leader hands over before it leaves.
    demo.wait_until_well();
    assert_success("switchover", &demo.towline(&["switchover", "--to", "node2"]));
    demo.wait_until_well();
    assert_success("towline node drop", &demo.towline(&["node", "drop", "node2"]));
    wait_for("node2 to end", || is_gone(&demo, "node2").then_some(()));
    load.wait_for(20).await;
    assert_eq!(members(&demo).expect("a view"), ["node3", "node4", "node5"]);
    wait_for("the proxy to forget two", || {
        (metric(&demo, "towline_proxy_nodes")? == 3).then_some(())
    });
    let refused = demo.towline(&["node", "drop", "node2"]);
    assert!(!refused.status.success());
    let events = demo.towline(&["events", "--json"]);
    let events = String::from_utf8(events.stdout).expect("UTF-8");
    let p22 = |line: &&str| serde_json::from_str::<Value>(line).expect("JSON")["rule"] == "P22";
    assert!(events.lines().filter(p22).count() > 8, "{events}");

    // What they hold is what was acknowledged.
    let since = load.since_start();
    assert!(since.failed.is_empty(), "{:?}", since.failed);
    let written = load.stop().await;
    demo.wait_until_equal();
    let count: usize = demo.psql("SELECT count(*) FROM load").parse().expect("a number");
    assert!(count >= written, "{written} were acknowledged, {count} are there");
    let dumps = ["node3", "node4", "node5"].map(|node| demo.dump(node));
    assert!(dumps[1..].iter().all(|dump| *dump == dumps[0]), "their content differs");
}

#[test]
fn a_node_that_never_comes_leaves_the_members_as_they_were() {
    let demo = Demo::start(&["--restart", "never"]);
    let before = members(&demo).expect("a view");
    let add = ["node", "add", "node9", "--peer", "127.0.0.1:1", "--timeout"];
    let waits = "node9 is joining, and does not follow yet\n";
    let given_up = demo.towline(&[&add[..], &["2"]].concat());
    let said = String::from_utf8_lossy(&given_up.stderr).into_owned();
    assert!(!given_up.status.success() && said.contains(waits), "{said}");
    let why = "nothing was heard of node9 at 127.0.0.1:1 for 2 s: node9 does not join, the members \
               are as they were";
    assert!(said.contains(why), "{said}");
    assert_eq!(members(&demo).expect("a view"), before);

    let mut tool = Command::new(TOWLINE)
        .args(add)
        .args(["60", "--dir"])
        .arg(demo.dir())
        .stderr(Stdio::piped())
        .spawn()
        .expect("towline runs");
    let mut errors = BufReader::new(tool.stderr.take().expect("a pipe"));
    let mut line = String::new();
    errors.read_line(&mut line).expect("read");
    assert_eq!(line, waits);
    let pid = Pid::from_raw(i32::try_from(tool.id()).expect("a process"));
    kill(pid, Signal::SIGINT).expect("signalled");
    let mut said = String::new();
    errors.read_to_string(&mut said).expect("read");
    assert!(said.contains("interrupted: node9 does not join"), "{said}");
    assert!(!tool.wait().expect("it ends").success());
    let view = demo.view().expect("a view");
    assert!(view["change"].is_null() && members(&demo).expect("a view") == before, "{view}");
}

#[test]
fn who_was_dropped_while_it_was_away_ends_when_it_is_back() {
    let demo = Demo::start(&["--restart", "never"]);
    demo.psql("CREATE TABLE t (id int PRIMARY KEY)");
    demo.wait_until_equal();
    let leader = demo.leader();
    let away = demo.followers(&leader).remove(0);
    demo.signal(&away, Signal::SIGKILL);
    wait_for("it to be gone", || is_gone(&demo, &away).then_some(()));
    assert_success("towline node drop", &demo.towline(&["node", "drop", &away]));
    let mut back = spawn(&demo, &away);
    let exit = wait_for("it to end", || back.try_wait().expect("a child"));
    assert!(exit.success(), "{exit}");
    let log = fs::read_to_string(demo.dir().join(format!("logs/{away}.log"))).expect("a log");
    assert!(log.contains("was dropped from the cluster, and ends"), "{log}");
}
