//! The cluster under drill: processes of the shipped binary, started, hurt and looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::network::Network;
use crate::cli::cluster_file::{ClusterFile, Process, Role};
use crate::cli::layout::{Choices, Layout, Place};
use crate::cli::status::{self, Target};
use crate::cluster::View;

/// The lease of the configurations that are written: the default.
pub(super) const LEASE: Duration = Duration::from_secs(1);

/// How long the cluster may take from the first process to an open leader.
const START_WITHIN: Duration = Duration::from_secs(60);

/// How long a process may take to end by itself after SIGTERM.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// How long before a monitor that can't be reached is dialled again.
const DIAL_AGAIN: Duration = Duration::from_millis(50);

/// Database, user and password.
const LOGIN: &str = "drill";

/// What is built for a drill.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub nodes: u8,
    /// Further nodes, which are no members and don't run until the drill starts them.
    pub spares: u8,
    pub proxies: u8,
    pub policy: &'static str,
    /// Each process in a network namespace of its own.
    pub network: bool,
    /// Each process's data on a file system of its own, of so many megabytes.
    pub disk_mb: Option<u32>,
    /// Lines for the configuration of each node, and of the monitor.
    pub node_lines: &'static str,
    pub monitor_lines: &'static str,
}

impl Shape {
    pub(super) const PLAIN: Self = Self {
        nodes: 3,
        spares: 0,
        proxies: 1,
        policy: "any 1",
        network: false,
        disk_mb: None,
        node_lines: "",
        monitor_lines: "",
    };
}

pub(super) struct Cluster {
    layout: Layout,
    network: Option<Network>,
    mounts: Vec<PathBuf>,
    running: BTreeMap<String, Child>,
    /// What stands before the program of a process, by its name.
    wrappers: BTreeMap<String, Vec<String>>,
    monitor: Arc<status::Monitor>,
    view: watch::Receiver<Option<View>>,
    _following: AbortOnDropHandle<()>,
    /// Processes that did not end as they should.
    pub(super) bad_ends: Vec<String>,
}

impl Cluster {
    /// Starts everything in `dir`, and waits until a leader is open.
    pub(super) async fn start(dir: &Path, shape: &Shape) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("{}", dir.display()))?;
        let nodes: Vec<String> =
            (1..=shape.nodes + shape.spares).map(|i| format!("node{i}")).collect();
        let spares = &nodes[usize::from(shape.nodes)..];
        let proxies: Vec<String> = (1..=shape.proxies).map(proxy_name).collect();
        let mut names = nodes.clone();
        names.extend(proxies.iter().cloned());
        names.push("monitor".to_owned());
        let network = if shape.network { Some(Network::make(&names)?) } else { None };
        let ports = free_ports(names.len() * 2)?;
        let place = |name: &str, role: Role| {
            let index = names.iter().position(|other| other == name).unwrap_or_default();
            let at = |which: usize| {
                Some(match &network {
                    Some(network) => format!("{}:{}", network.address(name), 7000 + which),
                    None => format!("127.0.0.1:{}", ports[2 * index + which]),
                })
            };
            match role {
                Role::Node => Place { sql: at(0), peer: at(1), http: None },
                Role::Monitor => Place { sql: None, peer: at(0), http: at(1) },
                Role::Proxy => Place { sql: at(0), peer: None, http: at(1) },
            }
        };
        let layout = Layout::new(dir, LOGIN, &nodes, &proxies, &place);
        let hosts = network.as_ref().map(Network::addresses).unwrap_or_default();
        layout.write_certificates(&hosts)?;
        layout.write_configurations(&Choices {
            policy: shape.policy,
            lines: &|process: &Process| match process.role {
                Role::Node => shape.node_lines.to_owned(),
                Role::Monitor if shape.monitor_lines.contains("failovers_max") => {
                    shape.monitor_lines.to_owned()
                }
                // A drill is done many times in a row.
                Role::Monitor => format!("failovers_max = 10000\n{}", shape.monitor_lines),
                Role::Proxy => String::new(),
            },
            priority: &|_| None,
            spares,
        })?;
        layout.file.write(dir)?;
        fs::create_dir_all(layout.logs())?;
        let mounts = match shape.disk_mb {
            Some(size) => mount_disks(&layout.file, size)?,
            None => Vec::new(),
        };
        let monitor = Arc::new(Target::demo(dir).resolve()?);
        let (tell, view) = watch::channel(None);
        let following = tokio::spawn(follow(Arc::clone(&monitor), tell));
        let mut cluster = Self {
            layout,
            network,
            mounts,
            running: BTreeMap::new(),
            wrappers: BTreeMap::new(),
            monitor,
            view,
            _following: AbortOnDropHandle::new(following),
            bad_ends: Vec::new(),
        };
        for name in names.iter().filter(|name| !spares.contains(name)) {
            cluster.spawn(name)?;
        }
        cluster.wait("a leader is open", START_WITHIN, |view| view.open).await?;
        Ok(cluster)
    }

    pub(super) fn network(&self) -> anyhow::Result<&Network> {
        self.network.as_ref().context("this drill has no network of its own")
    }

    pub(super) fn dir(&self) -> &Path {
        &self.layout.dir
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.layout.logs()
    }

    pub(super) fn process(&self, name: &str) -> anyhow::Result<&Process> {
        let mut processes = self.layout.file.processes.iter();
        processes.find(|process| process.name == name).with_context(|| format!("no {name}"))
    }

    /// The names of all processes in a role.
    pub(super) fn names(&self, role: Role) -> Vec<String> {
        let processes = self.layout.file.processes.iter().filter(|process| process.role == role);
        processes.map(|process| process.name.clone()).collect()
    }

    pub(super) fn everybody(&self) -> Vec<String> {
        self.layout.file.processes.iter().map(|process| process.name.clone()).collect()
    }

    /// What stands before the program when the process is started the next time.
    pub(super) fn wrap(&mut self, name: &str, words: &[&str]) {
        self.wrappers.insert(name.to_owned(), words.iter().map(ToString::to_string).collect());
    }

    /// Changes a process's configuration for its next start.
    pub(super) fn configure(
        &self,
        name: &str,
        change: impl FnOnce(&str) -> String,
    ) -> anyhow::Result<()> {
        let path = &self.process(name)?.config;
        let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        fs::write(path, change(&text)).with_context(|| format!("{}", path.display()))
    }

    /// Whether the process has ended by itself.
    pub(super) fn has_ended(&mut self, name: &str) -> anyhow::Result<bool> {
        match self.running.get_mut(name) {
            Some(child) => Ok(child.try_wait()?.is_some()),
            None => Ok(true),
        }
    }

    /// Starts a process.
    pub(super) fn spawn(&mut self, name: &str) -> anyhow::Result<()> {
        ensure!(!self.running.contains_key(name), "{name} runs already");
        let config = self.process(name)?.config.clone();
        let child = self.launch(name, &config)?;
        self.running.insert(name.to_owned(), child);
        Ok(())
    }

    /// Starts the program in the place of `name` with another configuration.
    pub(super) fn launch(&self, name: &str, config: &Path) -> anyhow::Result<Child> {
        let process = self.process(name)?;
        let log = self.layout.logs().join(format!("{name}.log"));
        let log = OpenOptions::new().create(true).append(true).open(&log);
        let log = log.with_context(|| format!("the log of {name}"))?;
        let mut words = self.network.as_ref().map(|n| n.enter(name)).unwrap_or_default();
        words.extend(self.wrappers.get(name).into_iter().flatten().cloned());
        let binary = std::env::current_exe().context("finding this program's file")?;
        words.push(binary.display().to_string());
        words.push(format!("{:?}", process.role).to_lowercase());
        Command::new(&words[0])
            .args(&words[1..])
            .arg("--config")
            .arg(config)
            .arg("--with-parent")
            .env("TOWLINE_LOG", "info,towline::lease=trace")
            .env("TOWLINE_LOG_FORMAT", "json")
            .env_remove("NOTIFY_SOCKET")
            // Ctrl-C at the terminal is for the drill alone.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {name}"))
    }

    pub(super) fn pid(&self, name: &str) -> anyhow::Result<u32> {
        let child = self.running.get(name).with_context(|| format!("{name} does not run"))?;
        child.id().with_context(|| format!("{name} has ended"))
    }

    pub(super) fn runs(&self, name: &str) -> bool {
        self.running.contains_key(name)
    }

    pub(super) fn signal(&self, name: &str, signal: Signal) -> anyhow::Result<()> {
        kill(Pid::from_raw(self.pid(name)?.cast_signed()), signal)
            .with_context(|| format!("{signal} to {name}"))
    }

    /// Kills a process and waits until the kernel has taken it apart.
    pub(super) async fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        self.signal(name, Signal::SIGKILL)?;
        self.reap(name).await.map(drop)
    }

    /// Asks a process to end and waits for it.
    pub(super) async fn terminate(&mut self, name: &str) -> anyhow::Result<()> {
        self.signal(name, Signal::SIGTERM)?;
        let exit = self.reap(name).await?;
        ensure!(exit.success(), "{name} ended with {exit} after SIGTERM");
        Ok(())
    }

    /// Waits until a process has ended.
    pub(super) async fn reap(&mut self, name: &str) -> anyhow::Result<std::process::ExitStatus> {
        let mut child =
            self.running.remove(name).with_context(|| format!("{name} does not run"))?;
        match timeout(STOP_WITHIN, child.wait()).await {
            Ok(exit) => Ok(exit?),
            Err(_) => {
                child.kill().await?;
                bail!("{name} did not end within {STOP_WITHIN:?}")
            }
        }
    }

    /// Ends everything: first who takes statements, then who appoints, then the nodes.
    pub(super) async fn stop(&mut self) {
        for role in [Role::Proxy, Role::Monitor, Role::Node] {
            let names: Vec<String> =
                self.names(role).into_iter().filter(|name| self.runs(name)).collect();
            for name in &names {
                if let Err(error) = self.signal(name, Signal::SIGTERM) {
                    self.bad_ends.push(format!("{error:#}"));
                }
            }
            for name in names {
                match self.reap(&name).await {
                    Ok(exit) if exit.success() => {}
                    Ok(exit) => self.bad_ends.push(format!("{name} ended with {exit}")),
                    Err(error) => self.bad_ends.push(format!("{error:#}")),
                }
            }
        }
    }

    /// How a client reaches the SQL endpoint of a process.
    pub(super) fn sql(&self, name: &str) -> anyhow::Result<tokio_postgres::Config> {
        let ClusterFile { database, user, password, .. } = &self.layout.file;
        let address = self.process(name)?.sql.clone().unwrap_or_default();
        let (host, port) = address.rsplit_once(':').context("an SQL address")?;
        let mut config = tokio_postgres::Config::new();
        config
            .host(host)
            .port(port.parse()?)
            .user(user)
            .password(password)
            .dbname(database)
            .connect_timeout(Duration::from_secs(5));
        Ok(config)
    }

    /// After a drill that ended half-way: everybody runs, and packets pass. What can't be
    /// mended shows in the checks.
    pub(super) fn restore(&mut self) {
        if let Some(network) = &self.network {
            let _ = network.heal();
        }
        for name in self.everybody() {
            if self.runs(&name) {
                let _ = self.signal(&name, Signal::SIGCONT);
            } else {
                let _ = self.spawn(&name);
            }
        }
    }

    /// The monitor, to be asked while the drill goes on.
    pub(super) fn monitor(&self) -> Arc<status::Monitor> {
        Arc::clone(&self.monitor)
    }

    /// One request to the monitor.
    pub(super) async fn ask(&self, request: Value) -> anyhow::Result<Value> {
        self.monitor.ask(request).await
    }

    pub(super) async fn switchover(&self, to: Option<&str>) -> anyhow::Result<()> {
        self.ask(json!({ "request": "switchover", "to": to })).await.map(drop)
    }

    /// Everything the monitor decided so far.
    pub(super) async fn events(&self) -> anyhow::Result<Vec<Value>> {
        let answer = self.ask(json!({ "request": "events" })).await?;
        Ok(answer.as_array().cloned().unwrap_or_default())
    }

    /// The newest view; `None` while the monitor is away.
    pub(super) fn view(&self) -> Option<View> {
        self.view.borrow().clone()
    }

    /// Waits until the monitor shows a view of which `holds` is true.
    pub(super) async fn wait(
        &self,
        what: &str,
        within: Duration,
        mut holds: impl FnMut(&View) -> bool,
    ) -> anyhow::Result<View> {
        let mut view = self.view.clone();
        let deadline = Instant::now() + within;
        let found = view.wait_for(|view| view.as_ref().is_some_and(&mut holds));
        let found =
            timeout_at(deadline, found).await.map(|found| found.ok().and_then(|v| v.clone()));
        match found {
            Ok(Some(view)) => Ok(view),
            _ => bail!("not within {within:?}: {what}; last view: {:?}", self.view()),
        }
    }

    /// How many sockets each process has open.
    pub(super) fn sockets(&self) -> BTreeMap<String, usize> {
        let count = |name: &String| {
            let directory = format!("/proc/{}/fd", self.pid(name).ok()?);
            let links = fs::read_dir(directory).ok()?.filter_map(Result::ok);
            let targets = links.filter_map(|link| fs::read_link(link.path()).ok());
            Some(targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count())
        };
        let names = self.running.keys();
        names.filter_map(|name| Some((name.clone(), count(name)?))).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for mut child in std::mem::take(&mut self.running).into_values() {
            let _ = child.start_kill();
            // A file system is not let go of before its users are gone.
            while let Ok(None) = child.try_wait() {
                std::thread::yield_now();
            }
        }
        for mount in &self.mounts {
            let _ = std::process::Command::new("umount").arg(mount).status();
        }
    }
}

fn proxy_name(i: u8) -> String {
    if i == 1 { "proxy".to_owned() } else { format!("proxy{i}") }
}

/// Keeps the newest view, through every loss of the monitor.
async fn follow(monitor: Arc<status::Monitor>, tell: watch::Sender<Option<View>>) {
    loop {
        if let Ok(mut stream) = monitor.views().await {
            // Views come at every change, and at least with every heartbeat.
            while let Ok(Ok(Some(frame))) = timeout(LEASE, stream.recv()).await {
                tell.send_replace(serde_json::from_slice(&frame).ok());
            }
        }
        tell.send_replace(None);
        sleep(DIAL_AGAIN).await;
    }
}

/// A small file system for each data directory.
fn mount_disks(file: &ClusterFile, size_mb: u32) -> anyhow::Result<Vec<PathBuf>> {
    let mut mounts = Vec::new();
    for data in file.processes.iter().filter_map(|process| process.data.clone()) {
        fs::create_dir_all(&data)?;
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size_mb}m"), "tmpfs"])
            .arg(&data)
            .status()
            .context("mount")?;
        ensure!(mount.success(), "no file system on {}", data.display());
        mounts.push(data);
    }
    Ok(mounts)
}

/// Ports that nobody listens on, below those that the kernel gives to outgoing
/// connections: one of these could take a port while its owner is down.
fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let mut ports = BTreeSet::new();
    for _ in 0..10_000 {
        let port = 20000 + rand::random::<u16>() % 12000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            ports.insert(port);
        }
        if ports.len() == count {
            return Ok(ports.into_iter().collect());
        }
    }
    bail!("there are no {count} free ports")
}
