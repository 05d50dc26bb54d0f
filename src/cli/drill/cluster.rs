//! The cluster under drill: a demo started for it, and the means to touch it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::cli::cluster_file::{ClusterFile, Role};
use crate::cli::status::{self, Target};
use crate::cluster::View;
use crate::log::Term;

/// The demo's lease: the default.
pub(super) const LEASE: Duration = Duration::from_secs(1);

/// How often a condition is looked at again.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(super) struct Cluster {
    dir: PathBuf,
    demo: Child,
    file: ClusterFile,
    monitor: status::Monitor,
}

impl Cluster {
    /// Starts a demo in `dir`, and waits until it has an open leader.
    pub(super) async fn start(dir: &Path, port: u16) -> anyhow::Result<Self> {
        let mut demo = Command::new(std::env::current_exe()?)
            .args(["demo", "--port", &port.to_string(), "--dir"])
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the demo")?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while !status::leader_is_open(dir).await {
            if let Some(exit) = demo.try_wait()? {
                bail!("the demo did not start: {exit}");
            }
            anyhow::ensure!(Instant::now() < deadline, "the demo has no leader");
            sleep(LOOK_EVERY).await;
        }
        let file = ClusterFile::read(dir)?.context("the demo wrote no cluster.json")?;
        Ok(Self { dir: dir.to_owned(), demo, file, monitor: Target::demo(dir).resolve()? })
    }

    /// Ends the demo, and with it all its processes.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(id) = self.demo.id() {
            kill(Pid::from_raw(id.cast_signed()), Signal::SIGTERM)?;
        }
        self.demo.wait().await?;
        Ok(())
    }

    /// How a client reaches the proxy.
    pub(super) fn sql(&self) -> tokio_postgres::Config {
        let proxy = self.file.process(Role::Proxy).and_then(|process| process.sql.clone());
        self.client(&proxy.unwrap_or_default())
    }

    /// How a client reaches each node, by name.
    pub(super) fn nodes(&self) -> Vec<(String, tokio_postgres::Config)> {
        let nodes = self.file.processes.iter().filter(|process| process.role == Role::Node);
        nodes
            .map(|node| (node.name.clone(), self.client(node.sql.as_deref().unwrap_or_default())))
            .collect()
    }

    fn client(&self, address: &str) -> tokio_postgres::Config {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        let mut config = tokio_postgres::Config::new();
        config
            .host(host)
            .port(port.parse().unwrap_or_default())
            .user(&self.file.user)
            .password(&self.file.password)
            .dbname(&self.file.database)
            .connect_timeout(Duration::from_secs(5));
        config
    }

    /// Sends a signal to the process of this name, as it runs now.
    pub(super) fn signal(&mut self, name: &str, signal: Signal) -> anyhow::Result<()> {
        self.file = ClusterFile::read(&self.dir)?.context("cluster.json is gone")?;
        let process = self.file.processes.iter().find(|process| process.name == name);
        let pid = process.and_then(|process| process.pid);
        let pid = pid.with_context(|| format!("{name} does not run"))?;
        kill(Pid::from_raw(pid.cast_signed()), signal)
            .with_context(|| format!("{signal} to {name}"))
    }

    pub(super) async fn switchover(&self) -> anyhow::Result<()> {
        self.monitor.ask(json!({ "request": "switchover" })).await.map(drop)
    }

    /// Everything the monitor decided so far.
    pub(super) async fn events(&self) -> anyhow::Result<Vec<Value>> {
        let answer = self.monitor.ask(json!({ "request": "events" })).await?;
        Ok(answer.as_array().cloned().unwrap_or_default())
    }

    /// Waits until every node is healthy and the leader is open.
    pub(super) async fn wait_until_well(&self, within: Duration) -> anyhow::Result<View> {
        self.wait("every node is well", within, |view| {
            view.open
                && view.leader.is_some()
                && view.nodes.iter().all(|n| n.healthy && n.reason.is_empty())
        })
        .await
    }

    /// Waits until a leader of a later term is open.
    pub(super) async fn wait_for_term_above(
        &self,
        term: Term,
        within: Duration,
    ) -> anyhow::Result<View> {
        self.wait("a new leader is open", within, |view| view.open && view.term > term).await
    }

    /// Waits until all nodes have applied the whole log of the leader.
    pub(super) async fn wait_until_equal(&self, within: Duration) -> anyhow::Result<View> {
        self.wait("all nodes have applied the same", within, |view| {
            let mut applied = view.nodes.iter().map(|node| (node.end, node.applied));
            let first = applied.next();
            view.open && applied.all(|other| Some(other) == first)
        })
        .await
    }

    async fn wait(
        &self,
        what: &str,
        within: Duration,
        holds: impl Fn(&View) -> bool,
    ) -> anyhow::Result<View> {
        let deadline = Instant::now() + within;
        loop {
            let view = self.monitor.view().await;
            if let Ok(view) = &view
                && holds(view)
            {
                return Ok(view.clone());
            }
            if Instant::now() > deadline {
                bail!("not within {within:?}: {what}; last view: {view:?}");
            }
            sleep(LOOK_EVERY).await;
        }
    }
}
