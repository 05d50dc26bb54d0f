//! What the archive holds, and databases that come out of it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

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

/// A server that speaks S3's protocol, with a bucket named `archive`.
struct S3 {
    server: Child,
    port: u16,
}

impl S3 {
    fn start() -> Self {
        let python = std::env::var("TOWLINE_TEST_PYTHON")
            .expect("TOWLINE_TEST_PYTHON names the Python that scripts/test made");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let server = Command::new(python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto starts");
        let started = Self { server, port };
        wait_for("the bucket", || started.make_bucket());
        started
    }

    fn make_bucket(&self) -> Option<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let request = "PUT /archive HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.lines().next()?.contains(" 200").then_some(())
    }

    fn environment(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        [
            ("AWS_ENDPOINT", endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn an_s3_store_is_an_archive_too() {
    let s3 = S3::start();
    let environment = s3.environment();
    let url = "s3://archive/some/where";
    let sets = ["archive.url=\"s3://archive/some/where\"", "archive.tail_every=\"100ms\""];
    let sets = [sets[0], sets[1], "segment_bytes=65536"].map(|set| ["--set", set]).concat();
    let mut demo = Demo::start_in(&environment, &sets, |_| {});
    demo.psql("CREATE TABLE t (i int PRIMARY KEY, x text)");
    let fill = |demo: &Demo, from: u32| {
        for i in from..from + 20 {
            demo.psql(&format!("INSERT INTO t VALUES ({i}, '{}')", i.to_string().repeat(5000)));
        }
    };
    fill(&demo, 10);
    assert_success("backup", &demo.towline(&["backup"]));
    fill(&demo, 30);
    demo.wait_until_equal();
    let lsn =
        demo.view().expect("a view")["nodes"][0]["applied"].as_str().expect("text").to_owned();
    fill(&demo, 50);
    demo.wait_until_equal();
    let end = demo.view().expect("a view")["nodes"][0]["applied"].clone();
    let with_keys = |arguments: &[&str]| {
        let mut command = Command::new(TOWLINE);
        command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
        command.output().expect("towline runs")
    };
    wait_for("all of it to be archived", || {
        let output = with_keys(&["backup", "list", "--json", "--from", url, "--of", "demo"]);
        assert_success("backup list", &output);
        let windows: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
        windows.iter().any(|window| window["to"] == end).then_some(())
    });
    let all = demo.psql("SELECT count(*), md5(string_agg(x, '' ORDER BY i)) FROM t");
    demo.stop();
    for (to, expected) in [("latest", all.as_str()), (&lsn, "40|")] {
        let restored = Demo::start_with(&["--nodes", "1"], |dir| {
            let data = dir.join("node1").display().to_string();
            let from = ["restore", "--from", url, "--of", "demo", "--cluster", "demo"];
            let output =
                with_keys(&[&from[..], &["--database", "demo", "--to", to, &data]].concat());
            assert_success(&format!("restore to {to}"), &output);
        });
        let rows = restored.psql("SELECT count(*), md5(string_agg(x, '' ORDER BY i)) FROM t");
        assert!(rows.starts_with(expected), "{rows} at {to}, not {expected}");
    }
}
