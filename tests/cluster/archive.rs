//! What the archive holds, and databases that come out of it.

use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::demo::{Demo, TOWLINE, assert_success, wait_for};

fn towline(arguments: &[&str]) -> std::process::Output {
    Command::new(TOWLINE).args(arguments).output().expect("towline runs")
}

/// Restores these nodes of a new cluster, and starts that.
fn restored(url: &str, to: &str, cluster: &[&str], nodes: &[&str]) -> Demo {
    Demo::start_with(cluster, |dir| {
        for node in nodes {
            let data = dir.join(node).display().to_string();
            let output = towline(&[
                "restore",
                "--from",
                url,
                "--of",
                "demo",
                "--cluster",
                "demo",
                "--database",
                "demo",
                "--to",
                to,
                &data,
            ]);
            assert_success(&format!("restore to {to}"), &output);
        }
    })
}

fn restorable(url: &str) -> Vec<Value> {
    let output = towline(&["backup", "list", "--json", "--from", url, "--of", "demo"]);
    assert_success("backup list", &output);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn what_is_archived_is_restored_as_it_was_at_any_moment() {
    let archive = tempfile::tempdir().expect("a directory");
    let url = format!("file://{}", archive.path().display());
    let set = format!("archive.url={url:?}");
    let mut demo = Demo::start(&[
        "--set",
        &set,
        "--set",
        "archive.tail_every=\"100ms\"",
        "--set",
        "segment_bytes=65536",
    ]);
    let fill = |demo: &Demo, from: u32| {
        for i in from..from + 20 {
            let row = |g: u32| format!("({}, '{}')", i * 10 + g, format!("{i}.{g} ").repeat(80));
            let rows: Vec<_> = (0..10).map(row).collect();
            demo.psql(&format!("INSERT INTO t VALUES {}", rows.join(", ")));
        }
    };
    demo.psql("CREATE TABLE t (i int PRIMARY KEY, x text)");
    fill(&demo, 0);
    assert_success("backup", &demo.towline(&["backup"]));
    fill(&demo, 20);
    demo.wait_until_equal();
    let lsn =
        demo.view().expect("a view")["nodes"][0]["applied"].as_str().expect("text").to_owned();
    let time = demo.psql("SELECT to_char(clock_timestamp(), 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
    // Another leader goes on where the archive ends.
    let leader = demo.leader();
    demo.signal(&leader, Signal::SIGKILL);
    wait_for("another leader", || (demo.leader() != leader).then_some(()));
    fill(&demo, 40);
    demo.wait_until_well();
    demo.wait_until_equal();
    let end = demo.view().expect("a view")["nodes"][0]["applied"].clone();
    wait_for("all of it to be archived", || {
        restorable(&url).iter().any(|window| window["to"] == end).then_some(())
    });
    let rows = demo.psql("SELECT count(*), md5(string_agg(x, '' ORDER BY i)) FROM t");
    demo.stop();
    // Two nodes from the archive, the third from them.
    let latest = restored(&url, "latest", &[], &["node1", "node3"]);
    latest.assert_equal_content();
    assert_eq!(latest.psql("SELECT count(*), md5(string_agg(x, '' ORDER BY i)) FROM t"), rows);
    drop(latest);
    for moment in [&lsn, &time] {
        let earlier = restored(&url, moment, &["--nodes", "1"], &["node1"]);
        assert_eq!(earlier.psql("SELECT count(*), max(i) FROM t"), "400|399", "at {moment}");
        earlier.psql("INSERT INTO t VALUES (-1, 'goes on')");
    }
    // A gap is named, and nothing is made up.
    let segments = archive.path().join("demo/segments");
    let mut names: Vec<_> = std::fs::read_dir(&segments)
        .expect("segments")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    names.sort();
    assert!(names.len() > 2, "{names:?}");
    std::fs::remove_file(&names[names.len() - 2]).expect("removed");
    let directory = archive.path().join("none").display().to_string();
    let end = end.as_str().expect("text");
    let output = towline(&[
        "restore",
        "--from",
        &url,
        "--of",
        "demo",
        "--database",
        "demo",
        "--to",
        end,
        &directory,
    ]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("the archive has a gap"), "{said}");
}
