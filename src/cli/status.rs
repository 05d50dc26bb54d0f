//! `towline status`, `events` and `switchover`: what an operator asks of the monitor.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::cluster_file::{ClusterFile, Role};
use crate::cluster::{Role as NodeRole, View};
use crate::config::PeerTlsConfig;
use crate::net::{self, Hello, PeerTls, Purpose};

/// How long an answer may take. A switchover is answered when it is over.
const ANSWER_WITHIN: Duration = Duration::from_secs(35);

/// How long it may take to be reached at all: one that is stopped still has its socket.
const REACHED_WITHIN: Duration = Duration::from_secs(10);

/// Which cluster is meant, and with which certificate it is asked.
#[derive(clap::Args)]
pub(super) struct Target {
    /// The directory of a demo.
    #[arg(long, value_name = "DIR", conflicts_with = "monitor")]
    dir: Option<PathBuf>,
    /// The monitor's peer address.
    #[arg(long, value_name = "HOST:PORT", requires_all = ["cluster", "certs"])]
    monitor: Option<String>,
    /// The cluster's id.
    #[arg(long, value_name = "ID")]
    cluster: Option<String>,
    /// A directory with `ca.crt` and this tool's `admin.crt` and `admin.key`.
    #[arg(long, value_name = "DIR")]
    certs: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// The whole view as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct EventsArguments {
    #[command(flatten)]
    target: Target,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct SwitchoverArguments {
    #[command(flatten)]
    target: Target,
    /// The next leader; without it the monitor chooses.
    #[arg(long, value_name = "NODE")]
    to: Option<String>,
}

#[derive(clap::Args)]
pub(super) struct FailoverArguments {
    #[command(flatten)]
    target: Target,
    /// Elect without the reports that are missing: what only those nodes hold is lost.
    /// Without this flag the monitor says what that is.
    #[arg(long)]
    allow_data_loss: bool,
}

#[derive(clap::Args)]
pub(super) struct PolicyArguments {
    #[command(subcommand)]
    action: PolicyAction,
}

#[derive(clap::Subcommand)]
enum PolicyAction {
    /// Demand fewer follower acknowledgements than configured, so that writes go on without
    /// followers. Until the policy is restored nobody takes over from a lost leader.
    Weaken {
        #[command(flatten)]
        target: Target,
        /// Follower acknowledgements to demand.
        #[arg(long, default_value_t = 0)]
        acks: usize,
    },
    /// Demand what is configured again.
    Restore {
        #[command(flatten)]
        target: Target,
    },
}

#[derive(clap::Args)]
pub(super) struct MaintenanceArguments {
    state: OnOff,
    /// Which node.
    node: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Clone, Copy, Eq, PartialEq, clap::ValueEnum)]
enum OnOff {
    /// It never leads from here on; if it does, it hands over first.
    On,
    /// It may lead again.
    Off,
}

pub(super) fn policy(arguments: &PolicyArguments) -> anyhow::Result<()> {
    let (target, request) = match &arguments.action {
        PolicyAction::Weaken { target, acks } => {
            (target, json!({ "request": "weaken", "acks": acks }))
        }
        PolicyAction::Restore { target } => (target, json!({ "request": "restore" })),
    };
    ask(target, request)
}

pub(super) fn maintenance(arguments: &MaintenanceArguments) -> anyhow::Result<()> {
    let on = arguments.state == OnOff::On;
    let request = json!({ "request": "maintenance", "node": arguments.node, "on": on });
    ask(&arguments.target, request)
}

/// Asks, and prints the answer.
pub(super) fn ask(target: &Target, request: Value) -> anyhow::Result<()> {
    print_answer(&block_on(async { target.resolve()?.ask(request).await })?);
    Ok(())
}

pub(super) fn print_answer(answer: &Value) {
    println!("{}", one_line(answer));
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let view = block_on(async { arguments.target.resolve()?.view().await })?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&view)?);
    } else {
        print(&view);
    }
    Ok(())
}

pub(super) fn events(arguments: &EventsArguments) -> anyhow::Result<()> {
    let answer =
        block_on(async { arguments.target.resolve()?.ask(json!({ "request": "events" })).await })?;
    let events = answer.as_array().context("the monitor's answer is no list of events")?;
    for event in events {
        if arguments.json {
            println!("{event}");
        } else {
            println!("{}", event_line(event));
        }
    }
    Ok(())
}

pub(super) fn switchover(arguments: &SwitchoverArguments) -> anyhow::Result<()> {
    let request = json!({ "request": "switchover", "to": arguments.to });
    ask(&arguments.target, request)
}

pub(super) fn failover(arguments: &FailoverArguments) -> anyhow::Result<()> {
    let request = json!({ "request": "failover", "allow_data_loss": arguments.allow_data_loss });
    ask(&arguments.target, request)
}

/// Whether the demo in `dir` has an open leader.
pub(super) async fn leader_is_open(dir: &Path) -> bool {
    match Target::demo(dir).resolve() {
        Ok(monitor) => monitor.view().await.is_ok_and(|view| view.open),
        Err(_) => false,
    }
}

impl Target {
    /// The demo in `dir`.
    pub(super) fn demo(dir: &Path) -> Self {
        Self { dir: Some(dir.to_owned()), monitor: None, cluster: None, certs: None }
    }

    /// Whether any cluster was named.
    pub(super) fn is_given(&self) -> bool {
        self.dir.is_some() || self.monitor.is_some()
    }

    /// Where the clients of a demo connect; `None` if it is none.
    pub(super) fn demo_sql(&self) -> anyhow::Result<Option<tokio_postgres::Config>> {
        let Some(dir) = &self.dir else { return Ok(None) };
        let Some(file) = ClusterFile::read(dir)? else { return Ok(None) };
        let Some(address) = file.process(Role::Proxy).and_then(|it| it.sql.clone()) else {
            return Ok(None);
        };
        let (host, port) = address.rsplit_once(':').context("a proxy's address")?;
        let mut config = tokio_postgres::Config::new();
        config.host(host).port(port.parse().context("a proxy's port")?);
        config.dbname(&file.database).user(&file.user).password(&file.password);
        Ok(Some(config))
    }

    pub(super) fn resolve(&self) -> anyhow::Result<Monitor> {
        let (address, cluster, certs) = match (&self.dir, &self.monitor) {
            (Some(dir), _) => {
                let file = ClusterFile::read(dir)?
                    .with_context(|| format!("{} holds no demo", dir.display()))?;
                let peer = file.process(Role::Monitor).and_then(|process| process.peer.clone());
                let address = peer.context("cluster.json names no monitor")?;
                (address, file.cluster_id(), dir.join("certs"))
            }
            (None, Some(monitor)) => {
                let cluster = self.cluster.clone().context("--cluster is missing")?;
                (monitor.clone(), cluster, self.certs.clone().context("--certs is missing")?)
            }
            (None, None) => bail!("which cluster? give --dir DIR (a demo) or --monitor HOST:PORT"),
        };
        let tls = PeerTlsConfig {
            ca: certs.join("ca.crt"),
            certificate: certs.join("admin.crt"),
            key: certs.join("admin.key"),
        };
        let tls = PeerTls::load(&tls.ca, &tls.certificate, &tls.key)?;
        Ok(Monitor { address, cluster, tls })
    }
}

/// A monitor that can be asked.
pub(super) struct Monitor {
    address: String,
    cluster: String,
    tls: PeerTls,
}

impl Monitor {
    /// The view as the monitor has it now.
    pub(super) async fn view(&self) -> anyhow::Result<View> {
        Ok(serde_json::from_slice(&self.exchange(Purpose::View, None, ANSWER_WITHIN).await?)?)
    }

    /// A stream of views, one a frame, the newest first.
    pub(super) async fn views(&self) -> anyhow::Result<net::FrameStream> {
        let (stream, _) =
            net::dial(&self.address, &self.tls, None, &self.hello(Purpose::View), REACHED_WITHIN)
                .await?;
        Ok(stream)
    }

    fn hello(&self, purpose: Purpose) -> Hello {
        Hello {
            version: 1,
            cluster: self.cluster.clone(),
            name: "admin".into(),
            purpose,
            instance: 0,
        }
    }

    /// One request, one answer. An answer with an `error` is an error.
    pub(super) async fn ask(&self, request: Value) -> anyhow::Result<Value> {
        self.ask_within(ANSWER_WITHIN, request).await
    }

    /// As [`Monitor::ask`], of what may take longer.
    pub(super) async fn ask_within(
        &self,
        limit: Duration,
        request: Value,
    ) -> anyhow::Result<Value> {
        let answer = self.exchange(Purpose::Admin, Some(request), limit).await?;
        let mut answer: Value = serde_json::from_slice(&answer)?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => bail!("{error}"),
            None => Ok(answer["ok"].take()),
        }
    }

    /// A node of the same cluster, asked in the same way.
    pub(super) fn node(&self, address: &str) -> Self {
        let (cluster, tls) = (self.cluster.clone(), self.tls.clone());
        Self { address: address.to_owned(), cluster, tls }
    }

    async fn exchange(
        &self,
        purpose: Purpose,
        request: Option<Value>,
        limit: Duration,
    ) -> anyhow::Result<bytes::Bytes> {
        let hello = self.hello(purpose);
        let exchange = async {
            let (mut stream, _) =
                net::dial(&self.address, &self.tls, None, &hello, REACHED_WITHIN).await?;
            if let Some(request) = request {
                stream.send(request.to_string().as_bytes()).await?;
            }
            stream.recv().await?.context("the connection was closed without an answer")
        };
        tokio::time::timeout(limit, exchange)
            .await
            .with_context(|| format!("no answer from {} within {limit:?}", self.address))?
    }
}

/// Runs one request on a runtime of its own.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

fn print(view: &View) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "NAME", "PEER", "SQL", "ROLE", "STATE", "TERM", "DURABLE", "COMMIT", "APPLIED", "LAG",
        "REASON",
    ]);
    for node in &view.nodes {
        let role = match node.role {
            NodeRole::Follower => "follower",
            NodeRole::Opening => "opening",
            NodeRole::Leader => "leader",
        };
        table.add_row([
            node.name.to_string(),
            node.peer.clone(),
            node.sql.clone().unwrap_or_else(|| "-".into()),
            role.into(),
            match (node.healthy, node.joining, &node.through) {
                (false, ..) => "down".into(),
                (true, true, _) => "joining".into(),
                (true, false, Some(other)) => format!("ok, through {other}"),
                (true, false, None) => "ok".into(),
            },
            node.term.to_string(),
            node.durable.to_string(),
            node.commit.to_string(),
            node.applied.to_string(),
            node.lag_bytes.to_string(),
            node.reason.clone(),
        ]);
    }
    println!("{table}");
    let leader = view.leader.as_ref().map_or("none".to_owned(), ToString::to_string);
    let policy = view.policy.as_ref().map_or("unknown".to_owned(), |policy| policy.to_string());
    let open = if view.open { "open" } else { "not open" };
    let weakened = if view.weakened {
        format!(", weakened: {} follower acknowledgements are sure (rule 20)", view.acks)
    } else {
        String::new()
    };
    println!("term {}, leader {leader} ({open}), policy {policy}{weakened}", view.term);
    if let Some(change) = &view.change {
        println!("members: {change}");
    }
    if let Some(blocked) = &view.blocked {
        println!("blocked: {blocked}");
    }
}

/// An event for reading: when, in which term, by which rule, what changed, and why.
fn event_line(event: &Value) -> String {
    let text = |key: &str| event[key].as_str().unwrap_or("-");
    let (before, after) = (text("before"), text("after"));
    let change = if before == after { before.to_owned() } else { format!("{before} → {after}") };
    let lsn = event["lsn"].as_str().map_or(String::new(), |lsn| format!(" [{lsn}]"));
    // Nanoseconds say nothing to a reader.
    let time = text("time").get(..23).map_or("-".to_owned(), |time| format!("{time}Z"));
    let (term, rule, reason) = (&event["term"], text("rule"), text("reason"));
    format!("{time}  term {term}  rule {rule:<3}  {change}: {reason}{lsn}")
}

/// A flat JSON object as `key=value` words; a string as it is.
fn one_line(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| match value {
                Value::String(text) => format!("{key}={text:?}"),
                other => format!("{key}={other}"),
            })
            .collect::<Vec<_>>()
            .join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_from_when_to_why() {
        let event = json!({
            "time": "2026-11-24T17:39:28.869976672Z", "term": 2, "rule": "6", "lsn": null,
            "before": "watching", "after": "promising", "reason": "leader n1: gone",
        });
        assert_eq!(
            event_line(&event),
            "2026-11-24T17:39:28.869Z  term 2  rule 6    watching → promising: leader n1: gone"
        );
    }
}
