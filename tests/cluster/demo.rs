//! A demo cluster for one test, and the means to look at it and hurt it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};
use towline::storage::control_file::ControlFile;

/// The binary under test.
pub(crate) const TOWLINE: &str = env!("CARGO_BIN_EXE_towline");

/// How long anything that should happen may take.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Demo {
    dir: TempDir,
    port: u16,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// A command that runs the demo's, if there is one.
    pub(crate) under: Vec<String>,
    child: Option<Child>,
}

impl Demo {
    /// Three nodes, policy `any 1`, and whatever `arguments` add.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, |_| {})
    }

    /// As [`Demo::start_with`], and its processes find `environment` in theirs.
    pub(crate) fn start_in(
        environment: &[(String, String)],
        arguments: &[&str],
        prepare: impl FnOnce(&Path),
    ) -> Self {
        let mut demo = Self {
            dir: tempfile::tempdir().expect("a temporary directory"),
            port: free_ports(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            environment: environment.to_vec(),
            under: Vec::new(),
            child: None,
        };
        prepare(demo.dir.path());
        demo.resume();
        demo
    }

    /// As [`Demo::start`], once `prepare` has seen to its directory.
    pub(crate) fn start_with(arguments: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        Self::start_in(&[], arguments, prepare)
    }

    /// Starts the demo (again) in its directory, and waits until it takes writes.
    pub(crate) fn resume(&mut self) {
        assert!(self.child.is_none(), "the demo runs already");
        let mut command = self.under.iter().map(String::as_str).chain([TOWLINE]);
        let mut child = Command::new(command.next().expect("the demo's own"))
            .args(command)
            .args(["demo", "--port", &self.port.to_string(), "--dir"])
            .arg(self.dir.path())
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the demo starts");
        let out = BufReader::new(child.stdout.take().expect("stdout is piped"));
        // The line comes when the cluster has an open leader, or the demo ends.
        let announced = out.lines().map_while(Result::ok).any(|line| line.contains("Ctrl-C"));
        self.child = Some(child);
        assert!(announced, "the demo did not come up");
    }

    /// Ends the demo by SIGTERM and checks that it ends cleanly.
    pub(crate) fn stop(&mut self) {
        let mut child = self.child.take().expect("the demo runs");
        send(child.id(), Signal::SIGTERM);
        let exit = child.wait().expect("the demo's exit status");
        assert!(exit.success(), "the demo ended with {exit}");
    }

    /// Kills everything at once, the supervisor first: as a power cut would.
    pub(crate) fn kill_all(&mut self) {
        let pids: Vec<u32> = self.processes().values().filter_map(pid).collect();
        let mut child = self.child.take().expect("the demo runs");
        send(child.id(), Signal::SIGKILL);
        for pid in pids {
            send(pid, Signal::SIGKILL);
        }
        child.wait().expect("the demo's exit status");
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The processes in `cluster.json`, by name.
    pub(crate) fn processes(&self) -> BTreeMap<String, Value> {
        let text = fs::read(self.dir().join("cluster.json")).expect("cluster.json is readable");
        let file: Value = serde_json::from_slice(&text).expect("cluster.json is JSON");
        let processes = file["processes"].as_array().expect("a list of processes").clone();
        processes.into_iter().map(|p| (p["name"].as_str().expect("name").to_owned(), p)).collect()
    }

    pub(crate) fn signal(&self, name: &str, signal: Signal) {
        let processes = self.processes();
        let pid = pid(&processes[name]).unwrap_or_else(|| panic!("{name} does not run"));
        send(pid, signal);
        if signal == Signal::SIGSTOP {
            // Its threads go on for a moment, and longer where the processors are busy.
            wait_for("every thread to stop", || is_stopped(pid).then_some(()));
        }
    }

    /// Kills each running process that `chosen` says; their supervisor starts them again.
    /// Returns their pids.
    pub(crate) fn kill_chosen(&self, mut chosen: impl FnMut(&str) -> bool) -> Vec<u32> {
        let mut processes = self.processes();
        processes.retain(|name, _| chosen(name));
        let pids: Vec<u32> = processes.values().filter_map(pid).collect();
        pids.iter().for_each(|pid| send(*pid, Signal::SIGKILL));
        pids
    }

    /// Waits until every process runs, under another pid than any of `killed`.
    pub(crate) fn wait_for_restart_of(&self, killed: &[u32]) {
        wait_for("every process runs", || {
            let runs = |p: &Value| pid(p).is_some_and(|pid| !killed.contains(&pid));
            self.processes().values().all(runs).then_some(())
        });
    }

    /// host:port of a process's SQL endpoint.
    pub(crate) fn sql(&self, name: &str) -> String {
        self.processes()[name]["sql"].as_str().expect("an SQL address").to_owned()
    }

    pub(crate) fn nodes(&self) -> Vec<String> {
        let processes = self.processes();
        processes
            .iter()
            .filter(|(_, p)| p["role"] == "node")
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// `towline status --json`, or `None` while the monitor does not answer.
    pub(crate) fn view(&self) -> Option<Value> {
        let output = self.towline(&["status", "--json"]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("JSON"))
    }

    /// Runs a subcommand against this demo.
    pub(crate) fn towline(&self, arguments: &[&str]) -> Output {
        Command::new(TOWLINE)
            .args(arguments)
            .arg("--dir")
            .arg(self.dir())
            .output()
            .expect("towline runs")
    }

    /// The open leader's name.
    pub(crate) fn leader(&self) -> String {
        wait_for("an open leader", || {
            let view = self.view()?;
            view["open"].as_bool()?.then(|| view["leader"].as_str().map(str::to_owned))?
        })
    }

    /// All nodes but that one.
    pub(crate) fn followers(&self, leader: &str) -> Vec<String> {
        self.nodes().into_iter().filter(|node| node != leader).collect()
    }

    pub(crate) fn term(&self) -> u64 {
        self.view().and_then(|view| view["term"].as_u64()).expect("a view with a term")
    }

    /// Waits until every node is healthy, follows or leads, and has applied it all.
    pub(crate) fn wait_until_equal(&self) {
        // A view may be older than what was just written.
        let committed = wait_for("a leader's position", || self.committed());
        wait_for("every node has applied the leader's whole log", || {
            let view = self.view()?;
            let nodes = view["nodes"].as_array()?;
            let first = nodes.first()?;
            let equal = nodes.iter().all(|node| {
                node["healthy"] == true
                    && node["reason"] == ""
                    && node["end"] == first["end"]
                    && lsn(node["applied"].as_str().unwrap_or_default()) >= Some(committed)
                    && node["applied"] == node["end"]["lsn"]
            });
            (view["open"] == true && equal).then_some(())
        });
    }

    /// Waits until every node is healthy and the leader is open.
    pub(crate) fn wait_until_well(&self) {
        wait_for("every node is well", || {
            let view = self.view()?;
            let well = |node: &Value| node["healthy"] == true && node["reason"] == "";
            (view["open"] == true && view["nodes"].as_array()?.iter().all(well)).then_some(())
        });
    }

    /// Waits as [`Demo::wait_until_equal`], then compares the nodes' files table by table.
    pub(crate) fn assert_equal_content(&self) {
        self.wait_until_equal();
        let dumps: Vec<(String, String)> =
            self.nodes().into_iter().map(|node| (node.clone(), self.dump(&node))).collect();
        for (node, dump) in &dumps[1..] {
            assert!(
                *dump == dumps[0].1,
                "{node} differs from {}: {:?}",
                dumps[0].0,
                first_difference(&dumps[0].1, dump)
            );
        }
    }

    /// The node's SQLite file as the `sqlite3` shell dumps it.
    pub(crate) fn dump(&self, node: &str) -> String {
        self.sqlite(node, ".dump")
    }

    /// What the `sqlite3` shell says of the node's file, opened for reading.
    pub(crate) fn sqlite(&self, node: &str, command: &str) -> String {
        let output = Command::new("sqlite3")
            .arg("-readonly")
            .arg(self.database(node))
            .arg(command)
            .output()
            .expect("sqlite3 runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "sqlite3 on {node}: {errors}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Has the `sqlite3` shell change the node's file.
    pub(crate) fn edit(&self, node: &str, sql: &str) {
        let mut command = Command::new("sqlite3");
        let output = command.arg(self.database(node)).arg(sql).output().expect("sqlite3 runs");
        assert_success(&format!("sqlite3 on {node}: {sql}"), &output);
    }

    /// Overwrites the middle of the node's file, as a failing disk would.
    pub(crate) fn damage(&self, node: &str) {
        let path = self.database(node);
        let file = fs::OpenOptions::new().write(true).open(&path).expect("the file");
        let length = usize::try_from(file.metadata().expect("its length").len()).expect("small");
        file.write_all_at(&vec![0xa5; length / 2], (length / 4) as u64).expect("overwritten");
    }

    /// The node's current SQLite file.
    pub(crate) fn database(&self, node: &str) -> PathBuf {
        let data = self.dir().join(node);
        let control = ControlFile::peek(&data.join("control")).expect("a control file");
        data.join(format!("gen-{}", control.generation)).join("demo.db")
    }

    /// How a client reaches the SQL endpoint of a process.
    pub(crate) fn config(&self, name: &str) -> tokio_postgres::Config {
        let address = self.sql(name);
        let (host, port) = address.rsplit_once(':').expect("host:port");
        let mut config = tokio_postgres::Config::new();
        config.host(host).port(port.parse().expect("a port"));
        config.user("demo").password("demo").dbname("demo");
        config
    }

    /// Connects to the SQL endpoint of a process.
    pub(crate) async fn connect(&self, name: &str) -> Client {
        let (client, connection) = self
            .config(name)
            .connect(NoTls)
            .await
            .unwrap_or_else(|error| panic!("connecting to {name}: {error}"));
        tokio::spawn(connection);
        client
    }

    /// A client program (psql, pgbench, python) pointed at a process.
    pub(crate) fn client_command(&self, program: &str, name: &str) -> Command {
        let address = self.sql(name);
        let (host, port) = address.rsplit_once(':').expect("host:port");
        let mut command = Command::new(program);
        command
            .env("PGHOST", host)
            .env("PGPORT", port)
            .env("PGUSER", "demo")
            .env("PGPASSWORD", "demo")
            .env("PGDATABASE", "demo")
            .env("PGCONNECT_TIMEOUT", "10");
        command
    }

    /// Up to where the log is committed, as the leader itself says, if the demo started it.
    fn committed(&self) -> Option<u64> {
        let view = self.view()?;
        let leader = view["leader"].as_str()?;
        if !self.processes().contains_key(leader) {
            return Some(0);
        }
        let output = self
            .client_command("psql", leader)
            .args(["-X", "-q", "-A", "-t", "-c", "SELECT pg_current_wal_lsn()"])
            .output()
            .expect("psql runs");
        lsn(String::from_utf8(output.stdout).expect("UTF-8").trim())
    }

    /// Runs SQL by psql through the proxy; its rows, unaligned.
    pub(crate) fn psql(&self, sql: &str) -> String {
        self.run_psql(&["-t"], sql)
    }

    /// As [`Demo::psql`], with titles, headers and footers.
    pub(crate) fn psql_whole(&self, sql: &str) -> String {
        self.run_psql(&[], sql)
    }

    fn run_psql(&self, options: &[&str], sql: &str) -> String {
        let output = self
            .client_command("psql", "proxy")
            .args(["-X", "-q", "-A", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .args(options)
            .output()
            .expect("psql runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "psql {sql:?}: {errors}");
        String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for entry in fs::read_dir(self.dir().join("logs")).into_iter().flatten().flatten() {
                let log = fs::read_to_string(entry.path()).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let tail = lines[lines.len().saturating_sub(25)..].join("\n");
                eprintln!("-- {} --\n{tail}", entry.path().display());
            }
        }
    }
}

/// Tries until there is something, within [`SOON`].
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {SOON:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(25));
    }
}

pub(crate) fn assert_success(what: &str, output: &Output) {
    assert!(
        output.status.success(),
        "{what} ended with {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn send(pid: u32, signal: Signal) {
    // A process that has ended meanwhile is as dead as was wanted.
    let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
}

/// Whether all of a process's threads are stopped, as the kernel says.
fn is_stopped(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("its threads are listed");
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // Behind the name, which may hold anything.
        stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('T'))
    })
}

/// A position, as `HIGH/LOW` in hexadecimal.
fn lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    Some(u64::from_str_radix(high, 16).ok()? << 32 | u64::from_str_radix(low, 16).ok()?)
}

fn pid(process: &Value) -> Option<u32> {
    process["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
}

/// The first of a range of ports that nobody listens on, below those that the kernel
/// gives to outgoing connections: one of these could take a port while its owner is down.
pub(crate) fn free_ports() -> u16 {
    let offsets = [0, 1, 2, 3, 11, 12, 13, 14, 15, 21, 22, 23, 24, 25];
    wait_for("free ports", || {
        let first = 20000 + rand::random::<u16>() % 12000;
        let free = |offset: &u16| TcpListener::bind(("127.0.0.1", first + offset)).is_ok();
        offsets.iter().all(free).then_some(first)
    })
}

fn first_difference(left: &str, right: &str) -> Option<(String, String)> {
    let pair = left.lines().zip(right.lines()).find(|(left, right)| left != right);
    pair.map(|(left, right)| (left.to_owned(), right.to_owned()))
}
