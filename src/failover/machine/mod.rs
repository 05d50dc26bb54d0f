//! The monitor's state machine: watches the leader, elects its successor, hands over.
mod electing;
mod fetching;
mod known;
mod maintenance;
mod members;
mod policy;
mod starting;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk;
mod watching;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use super::election::Candidate;
use super::{Choice, Event, Moment, Rule, TRANSITIONS, ToMonitor, ToNode};
use crate::cluster::{Configuration, NodeId, NodeView, Policy, Role, View};
use crate::log::{LogEnd, Lsn, Term};
use electing::{Appointing, Promising};
use fetching::Fetching;
use known::Known;
pub use members::Change;
use starting::Starting;
use watching::{Draining, Watching};

/// The failover clockwork (rule 8 holds between these).
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub heartbeat: Duration,
    pub suspicion: Duration,
    pub lease: Duration,
    /// How far two clocks may drift apart within a lease.
    pub drift: Duration,
    /// How long a planned hand-over may keep the leader from taking writes, and a preferred
    /// node that fetches a tail nobody from leading.
    pub drain: Duration,
}

/// What does not change while the monitor runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// As the file says: every member's peer address and priority (0: never leads). Once
    /// members have changed the state says who they are, and this only what priority they
    /// have, where it names them.
    pub members: BTreeMap<NodeId, (String, u32)>,
    pub policy: Policy,
    pub choose: Choice,
    pub timing: Timing,
    /// At most this many automatic failovers within the window (rule 28).
    pub failovers_max: usize,
    pub failover_window: Duration,
    /// In async, and for planned hand-overs: how far a candidate may lie behind, bytes.
    pub lag_bytes_max: u64,
    /// How long a leader whose process ended may take to come back before a successor is
    /// elected (rule 10).
    pub restart_grace: Duration,
    /// A sentence of the protocol that is switched off, so that the simulation shows
    /// what it is for.
    #[cfg(test)]
    pub without: Option<u8>,
}

/// The last appointment.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Appointed {
    pub term: Term,
    pub node: NodeId,
}

/// What the monitor must not forget; small, and rebuilt from the nodes if it is lost.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MonitorState {
    /// Raised whenever the state was lost (P24).
    pub incarnation: u64,
    /// The newest term begun.
    pub term: Term,
    /// The last appointment: of `term` if its election is over, else of an older one.
    pub appointed: Option<Appointed>,
    /// Follower acknowledgements that the leader demands at least: k.
    pub acks: usize,
    pub policy_version: u64,
    /// The leader may have acknowledged with fewer than the configured policy demands.
    pub weakened: bool,
    /// False until a monitor that lost its state has rebuilt it.
    pub rebuilt: bool,
    /// Follower acknowledgements to which an operator had the policy weakened; `None`: it is
    /// as configured.
    #[serde(default)]
    pub weakened_to: Option<usize>,
    /// Who never leads, for as long as an operator says so (rule 26).
    #[serde(default)]
    pub maintenance: BTreeSet<NodeId>,
    /// The members that the leader confirmed last; of version 0, what the file says.
    #[serde(default)]
    pub configuration: Configuration,
    /// Those that a leader was told since, oldest first: it acts under the last of them.
    #[serde(default)]
    pub unconfirmed: Vec<Configuration>,
    /// Who joins or leaves, until that is done.
    #[serde(default)]
    pub change: Option<Change>,
}

/// With what the monitor begins.
#[derive(Clone, Debug)]
pub enum Start {
    /// The recorded state (P23).
    Recorded(MonitorState),
    /// None: a new incarnation, above all earlier ones as far as is known (P24).
    Lost { incarnation: u64 },
}

/// What the monitor may learn.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// A member's connection is there, or gone. It may be replaced without an end.
    Connected {
        node: NodeId,
    },
    Disconnected {
        node: NodeId,
    },
    Message {
        node: NodeId,
        message: ToMonitor,
    },
    /// An operator's command; answered under `id`.
    Operator {
        id: u64,
        operator: Operator,
    },
}

/// What an operator may ask for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Operator {
    /// Hands the leadership over, to a node or to the best one.
    Switchover { to: Option<NodeId> },
    /// Elects without the reports that are missing, and accepts that what only they
    /// hold is lost (rule 17). Without `allow_data_loss` only says what may be lost.
    Failover { allow_data_loss: bool },
    /// Has the leader demand only so many follower acknowledgements (rule 20).
    Weaken { acks: usize },
    /// Has the leader demand what is configured again.
    Restore,
    /// Keeps a node from leading, or lets it again (rule 26).
    Maintenance { node: NodeId, on: bool },
    /// Has a node join, and then `replaces` leave (P22).
    Add { node: NodeId, peer: String, priority: u32, replaces: Option<NodeId> },
    /// Has a node leave.
    Drop { node: NodeId },
}

/// What the driver does, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Record durably before going on.
    Persist(MonitorState),
    Send {
        to: NodeId,
        message: ToNode,
    },
    Event(Event),
    /// Answers an operator.
    Answer {
        id: u64,
        result: Result<String, String>,
    },
}

/// The machine.
///
/// ```text
///             leader known, or       suspicion, own word,            enough
///             owed wait is over      a higher term                  promises
///  Starting ────────────────► Watching ────────────► Promising ──────────────► Appointing
///      │                        ▲   │ ▲                 ▲  ▲ ▲  a new term          │ │
///      │                        │   │ └─────────────────┼──┼─┼─────── accepted ─────┘ │
///      │             on doubt   │   ▼ switchover        │  │ └──────── silent ────────┘
///      │                       Draining ────────────────┘  │
///      └────────────── no leader, enough heard ────────────┘
/// ```
///
/// Between Promising and Appointing lies Fetching where the preferred node lacks a tail.
///
/// The table [`TRANSITIONS`] lists each change with its rule; `docs/failover-rules.md` is
/// drawn from it.
///
/// Invariants, asserted after each step:
///
/// * The recorded term and incarnation only rise, and are durable before they are sent.
/// * At most one node is appointed in a term, and only after the appointment is durable.
/// * Leases are granted only while watching or draining, only to the node appointed in
///   the recorded term.
/// * The moment up to which older leases are waited for never moves back.
/// * A configuration is durable before it is sent, and differs from the one before by one
///   member at most.
#[derive(Debug)]
pub struct Machine {
    cluster: Cluster,
    phase: Phase,
}

/// What outlives a phase.
#[derive(Debug)]
struct Cluster {
    options: Options,
    state: MonitorState,
    nodes: BTreeMap<NodeId, Known>,
    /// The highest term heard of.
    heard: Term,
    /// When a lease was last granted to the last appointed node, if ever.
    granted: Option<Moment>,
    /// Until when leases of older terms are waited for (P12).
    owed_until: Moment,
    /// Nobody is suspected before (rule 9).
    hold_off_until: Moment,
    /// When the monitor last went on after a pause of its own.
    woke: Moment,
    last_step: Moment,
    /// When the latest automatic failovers were complete.
    failovers: VecDeque<Moment>,
    /// The election under way was nobody's wish.
    automatic: bool,
    /// Since when the present leader is watched.
    watched_since: Moment,
    /// The appointed node has opened.
    opened: bool,
    /// Who is to lead instead, once it holds everything.
    then: Option<NodeId>,
    /// The operator who waits for the end of what is under way.
    asked: Option<Asked>,
    /// The operator who waits for a policy to be practised, or restored.
    asked_policy: Option<u64>,
    /// The operator who waits for a node to have joined or left.
    asked_change: Option<u64>,
    /// What blocks: the rule, and a sentence with the missing node and the command that helps.
    blocked: Option<(Rule, String)>,
    /// The name of the phase that was entered last.
    at: &'static str,
}

/// An operator's command that is not answered yet.
#[derive(Debug)]
struct Asked {
    id: u64,
    /// Who was to lead; `None` where anybody may.
    to: Option<NodeId>,
}

/// What the monitor is doing, with the state that exists only meanwhile.
#[derive(Debug)]
enum Phase {
    /// Hears the nodes before it does anything (rules 9, 32).
    Starting(Starting),
    /// A leader is appointed and has accepted; grants its leases.
    Watching(Watching),
    /// The leader is asked to bring its writes to an end, for a planned hand-over.
    Draining(Draining),
    /// Collects promises for a term that has no leader yet.
    Promising(Promising),
    /// The one who should lead gets the tail that it lacks, from the one who holds it.
    Fetching(Fetching),
    /// The appointment is recorded; the chosen node has not accepted yet.
    Appointing(Appointing),
}

impl Phase {
    fn name(&self) -> &'static str {
        match self {
            Self::Starting(_) => "starting",
            Self::Watching(_) => "watching",
            Self::Draining(_) => "draining",
            Self::Promising(_) => "promising",
            Self::Fetching(_) => "fetching",
            Self::Appointing(_) => "appointing",
        }
    }
}

impl Machine {
    /// Starts at `now`. Persists a new incarnation before anybody hears of it.
    pub fn new(options: Options, start: Start, now: Moment, out: &mut Vec<Command>) -> Self {
        assert!(!options.members.is_empty(), "a cluster has members");
        let mut state = match start {
            Start::Recorded(state) => state,
            Start::Lost { incarnation } => MonitorState::lost(incarnation, 0),
        };
        if state.configuration.version == 0 {
            let members = options.members.iter();
            let members =
                members.map(|(name, (peer, priority))| (name.clone(), peer.clone(), *priority));
            state.configuration = Configuration::initial(members);
        }
        let lease_and_drift = options.timing.lease + options.timing.drift;
        let hold_off = options.timing.suspicion * 2;
        let mut cluster = Cluster {
            heard: state.term,
            state,
            nodes: BTreeMap::new(),
            granted: None,
            owed_until: now.plus(lease_and_drift),
            hold_off_until: now.plus(hold_off),
            woke: now,
            last_step: now,
            failovers: VecDeque::new(),
            automatic: false,
            watched_since: now,
            opened: false,
            then: None,
            asked: None,
            asked_policy: None,
            asked_change: None,
            blocked: None,
            at: "starting",
            options,
        };
        if cluster.state.rebuilt && cluster.is_without(23) {
            cluster.owed_until = now;
        }
        cluster.know_members();
        out.push(Command::Persist(cluster.state.clone()));
        let (rule, reason) = if cluster.state.rebuilt {
            (Rule::Resumed, format!("started with the state of term {}", cluster.state.term))
        } else {
            (Rule::StateLost, "started without state: hears the nodes first".to_owned())
        };
        cluster.note(rule, reason, None, out);
        Self { cluster, phase: Phase::Starting(Starting) }
    }

    /// Consumes one input and appends the commands it calls for.
    pub fn step(mut self, now: Moment, input: Input, out: &mut Vec<Command>) -> Self {
        let before = self.cluster.state.clone();
        let owed = self.cluster.owed_until;
        let from = out.len();
        let cluster = &mut self.cluster;
        cluster.wake(now, out);
        if cluster.hear(now, &input, out) {
            cluster.enter("starting", Rule::OneMonitor, "nodes obey a newer monitor".into(), out);
            self.phase = Phase::Starting(Starting);
        }
        self.phase = match self.phase {
            Phase::Starting(phase) => phase.step(now, input, cluster, out),
            Phase::Watching(phase) => phase.step(now, input, cluster, out),
            Phase::Draining(phase) => phase.step(now, input, cluster, out),
            Phase::Promising(phase) => phase.step(now, input, cluster, out),
            Phase::Fetching(phase) => phase.step(now, input, cluster, out),
            Phase::Appointing(phase) => phase.step(now, input, cluster, out),
        };
        assert_eq!(self.cluster.at, self.phase.name(), "a transition outside the table");
        assert!(self.cluster.owed_until >= owed, "an owed wait was forgotten");
        self.check(&before, &out[from..]);
        self
    }

    fn check(&self, before: &MonitorState, out: &[Command]) {
        let state = &self.cluster.state;
        assert!(state.term >= before.term, "term regressed: {before:?} → {state:?}");
        assert!(state.incarnation >= before.incarnation, "{before:?} → {state:?}");
        let mut durable = before;
        let mut appointed_in = before.appointed.as_ref().map(|appointed| appointed.term);
        for command in out {
            match command {
                Command::Persist(state) => {
                    let now_in = state.appointed.as_ref().map(|appointed| appointed.term);
                    if state.appointed != durable.appointed
                        && state.incarnation == durable.incarnation
                    {
                        assert!(now_in > appointed_in, "{durable:?} → {state:?}");
                    }
                    appointed_in = now_in;
                    durable = state;
                }
                Command::Send { to, message: ToNode::Appoint(appointment) } => {
                    let recorded = Appointed { term: appointment.term, node: to.clone() };
                    let is_recorded = durable.appointed.as_ref() == Some(&recorded);
                    assert!(is_recorded || self.cluster.is_without(13), "sent before recorded");
                }
                Command::Send { message: ToNode::PromiseRequest { term, .. }, .. } => {
                    assert!(*term <= durable.term, "spoken before it was durable");
                }
                Command::Send { to, message: ToNode::Grant { term, .. } } => {
                    let leader = durable.leader();
                    assert!(leader == Some(to) && *term == durable.term, "a grant to {to}");
                }
                Command::Send { message: ToNode::Members { configuration, .. }, .. } => {
                    let recorded = durable.unconfirmed.last() == Some(configuration)
                        || durable.configuration == *configuration;
                    assert!(recorded, "members sent before they were recorded");
                }
                Command::Send { .. } | Command::Event(_) | Command::Answer { .. } => {}
            }
        }
        let versions = state.unconfirmed.iter().map(|it| it.version);
        let versions = std::iter::once(state.configuration.version).chain(versions);
        assert!(versions.is_sorted_by(|one, next| one < next), "{state:?}");
    }

    /// What is recorded.
    pub fn state(&self) -> &MonitorState {
        &self.cluster.state
    }

    /// The name of the phase.
    pub fn phase(&self) -> &'static str {
        self.phase.name()
    }

    /// The cluster as it is to be shown at `now`.
    pub fn view(&self, now: Moment) -> View {
        let Cluster { options, state, nodes, .. } = &self.cluster;
        let unknown = Known::default();
        let end = self.cluster.leader_report().map_or(Lsn(0), |report| report.end.lsn);
        let nodes = self.cluster.members().into_iter().map(|member| {
            let name = &member.name;
            let joining = !self.cluster.lists().any(|list| list.counts(name));
            let known = nodes.get(name).unwrap_or(&unknown);
            let report = known.report.as_ref();
            let healthy = known.is_heard(now, options.timing.suspicion) && report.is_some();
            let applied = report.map_or(Lsn(0), |report| report.applied);
            let reason = match report {
                _ if !healthy => known.absence(now),
                Some(report) if report.reason.is_empty() && joining => {
                    "is joining, and counts for nothing before it has caught up (P22)".to_owned()
                }
                Some(report) if report.reason.is_empty() && report.unproven => {
                    "is new or re-seeded and counts for no election yet (rule 16a)".to_owned()
                }
                Some(report) if report.reason.is_empty() && state.maintenance.contains(name) => {
                    "in maintenance: never leads (rule 26)".to_owned()
                }
                Some(report) => report.reason.clone(),
                None => String::new(),
            };
            NodeView {
                name: name.clone(),
                maintenance: state.maintenance.contains(name),
                joining,
                peer: member.peer.clone(),
                sql: report.and_then(|report| report.sql.clone()),
                healthy,
                role: report.map_or(Role::Follower, |report| report.role),
                term: report.map_or(Term(0), |report| report.term),
                end: report.map_or(LogEnd::default(), |report| report.end),
                durable: report.map_or(Lsn(0), |report| report.durable),
                commit: report.map_or(Lsn(0), |report| report.commit),
                applied,
                lag_bytes: end.0.saturating_sub(applied.0),
                through: report.and_then(|report| report.through.clone()),
                reason,
            }
        });
        View {
            term: state.term,
            leader: state.leader().cloned(),
            open: self.cluster.opened && !self.cluster.leader_is_gone(now),
            policy: Some(options.policy.clone()),
            acks: state.acks,
            policy_version: state.policy_version,
            weakened: self.cluster.is_weakened(),
            nodes: nodes.collect(),
            configuration: Some(state.configuration.clone()),
            change: self.cluster.change_under_way(),
            blocked: self.cluster.blocked.as_ref().map(|(_, sentence)| sentence.clone()),
        }
    }
}

impl MonitorState {
    /// Nothing is known, above `heard`.
    fn lost(incarnation: u64, heard: u64) -> Self {
        Self {
            incarnation: incarnation.max(heard + 1),
            term: Term(0),
            appointed: None,
            acks: 0,
            policy_version: 0,
            weakened: true,
            rebuilt: false,
            weakened_to: None,
            maintenance: BTreeSet::new(),
            configuration: Configuration::default(),
            unconfirmed: Vec::new(),
            change: None,
        }
    }

    /// The leader of the recorded term.
    pub fn leader(&self) -> Option<&NodeId> {
        self.appointed.as_ref().filter(|appointed| appointed.term == self.term).map(|it| &it.node)
    }
}

impl Cluster {
    fn is_without(&self, sentence: u8) -> bool {
        #[cfg(test)]
        return self.options.without == Some(sentence);
        #[cfg(not(test))]
        {
            let _ = sentence;
            false
        }
    }

    fn persist(&self, out: &mut Vec<Command>) {
        out.push(Command::Persist(self.state.clone()));
    }

    fn is_connected(&self, node: &NodeId) -> bool {
        self.nodes.get(node).is_some_and(|known| known.connected)
    }

    fn send(&self, to: &NodeId, message: ToNode, out: &mut Vec<Command>) {
        if self.is_connected(to) {
            out.push(Command::Send { to: to.clone(), message });
        }
    }

    /// Notes a change of phase.
    fn enter(&mut self, to: &'static str, rule: Rule, reason: String, out: &mut Vec<Command>) {
        let from = self.at;
        let listed = TRANSITIONS.iter().any(|it| it.from == from && it.to == to && it.rule == rule);
        assert!(listed, "{from} → {to} by rule {rule} is not in the table");
        self.at = to;
        self.event(rule, reason, None, from, out);
    }

    /// Notes a decision that changes no phase.
    fn note(&self, rule: Rule, reason: String, lsn: Option<Lsn>, out: &mut Vec<Command>) {
        self.event(rule, reason, lsn, self.at, out);
    }

    fn event(
        &self,
        rule: Rule,
        reason: String,
        lsn: Option<Lsn>,
        before: &str,
        out: &mut Vec<Command>,
    ) {
        let (before, after) = (before.to_owned(), self.at.to_owned());
        let lsn = lsn.or_else(|| self.leader_report().map(|report| report.end.lsn));
        out.push(Command::Event(Event { rule, reason, term: self.state.term, lsn, before, after }));
    }

    /// Says what blocks; an event unless the same rule blocked already.
    fn block(&mut self, rule: Rule, sentence: String, out: &mut Vec<Command>) {
        if self.blocked.as_ref().map(|(rule, _)| *rule) != Some(rule) {
            self.note(rule, sentence.clone(), None, out);
        }
        self.blocked = Some((rule, sentence));
    }

    /// Nothing blocks.
    fn unblock(&mut self) {
        self.blocked = None;
    }

    /// Whether it may never be chosen: priority 0, or in maintenance.
    fn never_leads(&self, node: &NodeId) -> bool {
        self.priority(node) == 0 || self.state.maintenance.contains(node)
    }

    /// Answers the operator who waits, if one does.
    fn answer(&mut self, result: Result<String, String>, out: &mut Vec<Command>) {
        if let Some(asked) = self.asked.take() {
            out.push(Command::Answer { id: asked.id, result });
        }
    }

    /// Rule 9: after a pause of the monitor itself nobody is suspected at once.
    fn wake(&mut self, now: Moment, out: &mut Vec<Command>) {
        let gap = now.since(self.last_step);
        self.last_step = self.last_step.max(now);
        if gap > self.options.timing.suspicion {
            self.hold_off_until = now.plus(self.options.timing.suspicion);
            self.woke = now;
            let reason =
                format!("woke after a pause of {} ms: hears the nodes first", gap.as_millis());
            self.note(Rule::HoldOff, reason, None, out);
        }
    }
}
