//! What an operator does: start, stop, look, deploy.

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use crate::demo::{Demo, SOON, TOWLINE, assert_success, wait_for};

#[test]
fn demo_stops_cleanly_and_goes_on_with_its_data() {
    let mut demo = Demo::start(&[]);
    demo.psql("CREATE TABLE t (i int)");
    demo.psql("INSERT INTO t VALUES (42)");
    let pids: Vec<u64> = demo.processes().values().filter_map(|p| p["pid"].as_u64()).collect();
    assert_eq!(pids.len(), 5);
    demo.stop();
    for pid in pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} still runs");
    }
    assert!(demo.processes().values().all(|process| process.get("pid").is_none()));
    demo.resume();
    assert_eq!(demo.psql("SELECT i FROM t"), "42");
}

#[test]
fn status_shows_every_node_and_why_one_is_not_healthy() {
    let demo = Demo::start(&["--restart", "never"]);
    let leader = demo.leader();
    let follower = demo.followers(&leader).remove(0);
    demo.signal(&follower, nix::sys::signal::Signal::SIGKILL);
    wait_for("the follower to be missed", || {
        let view = demo.view()?;
        let node = view["nodes"].as_array()?.iter().find(|n| n["name"] == follower.as_str())?;
        (node["healthy"] == false && node["reason"] != "").then_some(())
    });
    let table = demo.towline(&["status"]);
    assert_success("towline status", &table);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    for node in demo.nodes() {
        assert!(table.contains(&node), "{table}");
    }
    assert!(table.contains("leader") && table.contains("down"), "{table}");
    let events = demo.towline(&["events", "--json"]);
    assert_success("towline events", &events);
    assert!(!events.stdout.is_empty());
}

#[test]
fn a_dead_child_comes_back() {
    let demo = Demo::start(&[]);
    let leader = demo.leader();
    let follower = demo.followers(&leader).remove(0);
    let before = demo.processes()[&follower]["pid"].as_u64();
    demo.signal(&follower, nix::sys::signal::Signal::SIGKILL);
    wait_for("another process", || {
        let pid = demo.processes()[&follower]["pid"].as_u64();
        (pid.is_some() && pid != before).then_some(())
    });
    demo.wait_until_well();
}

#[test]
fn units_pass_systemds_own_check() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut units = Vec::new();
    for role in ["node", "proxy", "monitor"] {
        let name = format!("towline-{role}@.service");
        let text = std::fs::read_to_string(format!("conf/systemd/{name}")).expect("a unit");
        assert!(text.contains(&format!("ExecStart=/usr/bin/towline {role} --config")));
        // The program is where this build put it.
        let text = text.replace("/usr/bin/towline", TOWLINE);
        let unit = dir.path().join(name);
        std::fs::write(&unit, text).expect("written");
        units.push(unit);
    }
    let check = Command::new("systemd-analyze").arg("verify").args(&units).output();
    let check = check.expect("systemd-analyze runs");
    // It checks what else the machine has, too; only these units are ours.
    let said = String::from_utf8_lossy(&check.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("towline-")).collect();
    assert!(check.status.success() && ours.is_empty(), "{ours:#?}");
}

#[test]
fn daemons_notify_readiness_watchdog_and_stopping() {
    let mut demo = Demo::start(&[]);
    demo.stop();
    for (role, name) in [("monitor", "monitor"), ("node", "node1"), ("proxy", "proxy")] {
        let socket_path = demo.dir().join(format!("notify-{name}"));
        let socket = UnixDatagram::bind(&socket_path).expect("a socket");
        socket.set_read_timeout(Some(SOON)).expect("a timeout");
        let mut daemon = Command::new(TOWLINE)
            .args([role, "--config"])
            .arg(demo.dir().join(format!("conf/{name}.toml")))
            .env("NOTIFY_SOCKET", &socket_path)
            .env("WATCHDOG_USEC", "200000")
            .stderr(Stdio::null())
            .spawn()
            .expect("the daemon starts");
        let hear = |wanted: &str| {
            let mut buffer = [0; 512];
            loop {
                let length = socket
                    .recv(&mut buffer)
                    .unwrap_or_else(|error| panic!("no {wanted} of {name}: {error}"));
                if String::from_utf8_lossy(&buffer[..length]).lines().any(|line| line == wanted) {
                    return;
                }
            }
        };
        hear("READY=1");
        for _ in 0..3 {
            hear("WATCHDOG=1");
        }
        let pid = nix::unistd::Pid::from_raw(daemon.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("signalled");
        hear("STOPPING=1");
        assert!(daemon.wait().expect("an exit status").success(), "{name}");
    }
}

#[test]
fn idle_node_stays_small() {
    let demo = Demo::start(&[]);
    demo.psql("CREATE TABLE t (i int)");
    for node in demo.nodes() {
        let pid = demo.processes()[&node]["pid"].as_u64().expect("a process");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
        let resident: u64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse().ok())
            .expect("VmRSS");
        assert!(resident <= 64 * 1024, "{node} holds {resident} KiB");
    }
}

#[test]
fn the_log_can_be_looked_at_while_its_node_runs_and_when_it_is_dead() {
    let mut demo = Demo::start(&[]);
    demo.psql("CREATE TABLE t (i int PRIMARY KEY, x text)");
    demo.psql("INSERT INTO t VALUES (7, 'it''s')");
    let data = demo.dir().join("node1");
    let log = |arguments: &[&str]| {
        let mut command = Command::new(TOWLINE);
        let output = command.arg("log").args(arguments).arg(&data).output().expect("runs");
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        (output.status.success(), String::from_utf8(text).expect("UTF-8"))
    };
    demo.wait_until_equal();
    let (ok, listed) = log(&["ls"]);
    assert!(ok && listed.contains("0000000000000000.seg") && listed.contains("term "), "{listed}");
    let (ok, dumped) = log(&["dump"]);
    assert!(ok && dumped.contains("began to lead at 20") && dumped.contains("INSERT"), "{dumped}");
    let (ok, verified) = log(&["verify"]);
    assert!(ok && verified.starts_with("sound: "), "{verified}");
    let (ok, diverged) = log(&["diverged"]);
    assert!(ok && diverged.contains("TRANSACTIONS"), "{diverged}");
    demo.stop();
    let path = data.join("log/0000000000000000.seg");
    let mut bytes = std::fs::read(&path).expect("readable");
    bytes[300] ^= 1;
    std::fs::write(&path, bytes).expect("writable");
    let (ok, verified) = log(&["verify"]);
    assert!(!ok && verified.contains("0000000000000000.seg: damaged at byte"), "{verified}");
}

#[test]
fn planned_drills_are_done_on_a_cluster_in_use_once_agreed_to() {
    let demo = Demo::start(&[]);
    demo.wait_until_well();
    let term = demo.term();
    // Nobody agrees.
    let refused = demo.towline(&["drill", "D42"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not agreed to"));
    assert_eq!(demo.term(), term);
    let done = demo.towline(&["drill", "D1", "D42", "D46", "--yes"]);
    assert_success("towline drill", &done);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.contains("2 passed, 0 failed, 1 skipped"), "{said}");
    assert!(demo.term() > term + 1, "{said}");
    // It leaves nothing, and touches nothing that is not its own.
    demo.psql("CREATE TABLE drill_load (mine int)");
    let refused = demo.towline(&["drill", "D42", "--yes"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("drop it"), "{refused:?}");
    assert_eq!(demo.psql("SELECT count(mine) FROM drill_load"), "0");
}
