//! What a drill acts on: the cluster, the load, and a journal of what was done.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_postgres::Client;

use super::cluster::{Cluster, LEASE};
use crate::cli::cluster_file::Role;
use crate::cluster::View;
use crate::log::Term;
use crate::workload::{self, load::Load};

/// How long anything that should happen may take.
pub(super) const SOON: Duration = Duration::from_secs(60);

/// How long a client that gets no answer is waited for.
pub(super) const ANSWER: Duration = Duration::from_secs(45);

/// Writes that must be acknowledged before it is said that writes go on.
const PROGRESS: usize = 50;

pub(super) struct Stage<'a> {
    pub cluster: &'a mut Cluster,
    pub load: &'a Load,
    /// Counted from 1.
    pub round: u32,
    /// Who led, and in which term, when the round began.
    pub leader: String,
    pub term: Term,
    /// How long drills without an end of their own go on.
    pub soak: Duration,
    pub(super) journal: &'a mut Vec<(Instant, String)>,
    /// What was not as it should be; the drill goes on.
    pub(super) complaints: Vec<String>,
    /// Writes that were not acknowledged since here count to the gap.
    pub(super) struck: Option<workload::load::Mark>,
}

impl Stage<'_> {
    /// Notes what is done, for the timeline.
    pub(super) fn say(&mut self, what: impl Into<String>) {
        self.journal.push((Instant::now(), what.into()));
    }

    /// Notes that something must be so and is not.
    pub(super) fn check(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            let what = what.into();
            self.say(format!("NOT SO: {what}"));
            self.complaints.push(what);
        }
    }

    /// From here on the write gap is measured: the blow falls now.
    pub(super) fn strike(&mut self, what: impl Into<String>) {
        self.say(what);
        self.struck.get_or_insert_with(|| self.load.mark());
    }

    pub(super) fn nodes(&self) -> Vec<String> {
        self.cluster.names(Role::Node)
    }

    /// The nodes that did not lead when the round began.
    pub(super) fn followers(&self) -> Vec<String> {
        self.nodes().into_iter().filter(|node| *node != self.leader).collect()
    }

    /// Kills the process as `kill -9` does.
    pub(super) async fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        self.strike(format!("SIGKILL to {name}"));
        self.cluster.kill(name).await
    }

    pub(super) fn start(&mut self, name: &str) -> anyhow::Result<()> {
        self.say(format!("{name} is started"));
        self.cluster.spawn(name)
    }

    /// Starts a process again if it has ended by itself.
    pub(super) async fn revive(&mut self, name: &str) -> anyhow::Result<()> {
        if self.cluster.has_ended(name)? {
            let exit = self.cluster.reap(name).await?;
            self.say(format!("{name} had ended with {exit}"));
            self.start(name)?;
        }
        Ok(())
    }

    pub(super) fn pause(&mut self, name: &str) -> anyhow::Result<()> {
        self.strike(format!("SIGSTOP to {name}"));
        self.cluster.signal(name, Signal::SIGSTOP)
    }

    pub(super) fn resume(&mut self, name: &str) -> anyhow::Result<()> {
        self.say(format!("SIGCONT to {name}"));
        self.cluster.signal(name, Signal::SIGCONT)
    }

    /// Loses all packets between the two sides, both ways.
    pub(super) fn cut(&mut self, one: &[String], other: &[String]) -> anyhow::Result<()> {
        self.strike(format!("{} cut off from {}", one.join(", "), other.join(", ")));
        self.lose(one, other)?;
        self.lose(other, one)
    }

    /// Loses all packets from one side to the other, and not back.
    pub(super) fn cut_one_way(&mut self, from: &[String], to: &[String]) -> anyhow::Result<()> {
        self.strike(format!("{} not heard by {}", from.join(", "), to.join(", ")));
        self.lose(from, to)
    }

    fn lose(&self, from: &[String], to: &[String]) -> anyhow::Result<()> {
        let network = self.cluster.network()?;
        for from in from {
            for to in to.iter().filter(|to| *to != from) {
                network.lose(from, to)?;
            }
        }
        Ok(())
    }

    pub(super) fn heal(&mut self) -> anyhow::Result<()> {
        self.say("the network is whole again");
        self.cluster.network()?.heal()
    }

    /// Everybody but `names`.
    pub(super) fn rest(&self, names: &[String]) -> Vec<String> {
        self.cluster.everybody().into_iter().filter(|name| !names.contains(name)).collect()
    }

    /// Waits until a leader of a later term than the round began with is open.
    pub(super) async fn new_leader(&mut self) -> anyhow::Result<String> {
        let term = self.term;
        let view = self
            .cluster
            .wait("a new leader is open", SOON, |view| view.open && view.term > term)
            .await?;
        let leader = view.leader.context("an open leader has a name")?.to_string();
        self.say(format!("{leader} leads in term {}", view.term));
        Ok(leader)
    }

    /// Waits until every node is healthy, follows or leads, and the leader is open.
    pub(super) async fn well(&mut self) -> anyhow::Result<View> {
        well(self.cluster, SOON).await
    }

    /// Waits until all nodes have applied the whole log, or until as good as.
    pub(super) async fn wait(
        &mut self,
        what: &str,
        holds: impl FnMut(&View) -> bool,
    ) -> anyhow::Result<View> {
        self.cluster.wait(what, SOON, holds).await
    }

    /// Waits until the monitor says what blocks, and gives its sentence.
    pub(super) async fn blocked(&mut self) -> anyhow::Result<String> {
        let view = self.wait("the monitor says what blocks", |v| v.blocked.is_some()).await?;
        let sentence = view.blocked.unwrap_or_default();
        self.say(format!("blocked: {sentence}"));
        Ok(sentence)
    }

    /// Accepts the loss of what only missing nodes hold. It is over when a leader is open,
    /// which may take nodes that are yet to be started.
    pub(super) fn accept_loss(&mut self) -> tokio::task::JoinHandle<anyhow::Result<Value>> {
        self.say("failover --allow-data-loss");
        let monitor = self.cluster.monitor();
        let request = json!({ "request": "failover", "allow_data_loss": true });
        tokio::spawn(async move { monitor.ask(request).await })
    }

    /// Waits until writes are acknowledged.
    pub(super) async fn writes_go_on(&mut self) -> anyhow::Result<()> {
        self.load.progress(PROGRESS, SOON).await.map_err(|error| anyhow!(error))?;
        self.say("writes are acknowledged");
        Ok(())
    }

    /// Waits `time`, in which some writes must be acknowledged.
    pub(super) async fn writes_all_the_while(&mut self, time: Duration) {
        let before = self.load.acknowledged();
        sleep(time).await;
        let more = self.load.acknowledged() - before;
        self.check(more > 0, format!("no write was acknowledged within {time:?}"));
    }

    /// Waits `time`, in which no write may be acknowledged, save what was on its way.
    pub(super) async fn no_writes(&mut self, time: Duration) {
        sleep(LEASE / 2).await;
        let before = self.load.acknowledged();
        sleep(time).await;
        let more = self.load.acknowledged() - before;
        self.check(more == 0, format!("{more} writes were acknowledged that could not be safe"));
    }

    /// Checks that the leadership is what it was.
    pub(super) fn same_leader(&mut self) {
        let view = self.cluster.view();
        let same = view.as_ref().is_some_and(|view| {
            view.term == self.term
                && view.leader.as_ref().is_some_and(|l| l.as_str() == self.leader)
        });
        let found = view.map(|view| (view.term, view.leader));
        let (leader, term) = (self.leader.clone(), self.term);
        self.check(same, format!("{leader} should still lead in term {term}: {found:?}"));
    }

    /// A client of a process.
    pub(super) async fn client(&self, name: &str) -> anyhow::Result<Client> {
        let config = self.cluster.sql(name)?;
        workload::connect(&config).await.with_context(|| format!("connecting to {name}"))
    }

    /// A row's count, asked through the proxy.
    pub(super) async fn count(&self, query: &str) -> anyhow::Result<i64> {
        let client = self.client("proxy").await?;
        Ok(client.query_one(query, &[]).await?.get(0))
    }
}

/// Waits until every node is healthy, follows or leads, and the leader is open.
pub(super) async fn well(cluster: &Cluster, within: Duration) -> anyhow::Result<View> {
    cluster
        .wait("every node is well", within, |view| {
            view.open
                && view.leader.is_some()
                && view.nodes.iter().all(|node| {
                    // A frame of this term in its log: it follows this leader.
                    node.healthy && node.reason.is_empty() && node.end.term == view.term
                })
        })
        .await
}
