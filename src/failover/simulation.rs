//! Nodes and monitor as they are, over a network, clocks, disks and clients that are not:
//! everything random comes from one seed, so a seed run twice gives the same history.
//!
//! The network loses, delays, reorders and repeats; nodes and monitor crash in the middle
//! of what they do, lose what they did not sync, pause, and drift. The checkers know
//! nothing of the machines: what was acknowledged stays, what was committed is never
//! replaced, and no two terms are able to acknowledge at overlapping times.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::machine::{Command, Input, Machine, MonitorState, Operator, Options, Start, Timing};
use super::oath::{Bound, Oath, OathCommand, OathInput, Source};
use super::{
    Choice, FromPeer, Lease, Moment, Practice, PromiseMade, Report, ToMonitor, ToNode, ToPeer,
};
use crate::cluster::{NodeId, Policy, Role};
use crate::log::{LogEnd, Lsn, Term};

const MS: i64 = 1_000_000;
/// How often every process looks at its clock.
const TICK: i64 = 20 * MS;
const HEARTBEAT: i64 = 100 * MS;

/// The cluster, the faults, and the sentence that is switched off.
#[derive(Clone, Debug)]
struct Profile {
    members: usize,
    policy: Policy,
    without: Option<u8>,
    /// Mean time between faults, ms; faults end 10 s before the run does.
    fault_ms: i64,
    length_ms: i64,
}

/// A frame of the toy log; its LSN is its index plus one.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Frame {
    term: Term,
    value: u64,
}

#[derive(Clone, Debug)]
enum Packet {
    ToMonitor(ToMonitor),
    ToNode(ToNode),
    ToPeer(ToPeer),
    FromPeer(FromPeer),
    /// The leader's log, whole, and its commit.
    Append {
        term: Term,
        log: Vec<Frame>,
        commit: usize,
    },
    Ack {
        term: Term,
        len: usize,
    },
}

#[derive(Clone, Debug)]
enum Happening {
    Tick(usize),
    /// To a node, or to the monitor (the index after the last node).
    Arrive {
        from: usize,
        to: usize,
        packet: Packet,
    },
    Start(usize),
    Hangup(usize),
    Fault,
    Heal,
    Write,
}

struct Node {
    oath: Option<Oath>,
    lease: Option<Lease>,
    /// On disk.
    bound: Bound,
    synced: usize,
    log: Vec<Frame>,
    fence: Term,
    commit: usize,
    acks: BTreeMap<usize, usize>,
    practice: Practice,
    term_start: Option<usize>,
    /// It has been able to acknowledge in this term.
    served: bool,
    replies: Vec<(usize, Term)>,
    leader_seen: Option<i64>,
    monitor_heard: i64,
    paused_until: i64,
    beat: i64,
}

struct World {
    profile: Profile,
    rng: StdRng,
    now: i64,
    sequence: u64,
    queue: BTreeMap<(i64, u64), Happening>,
    nodes: Vec<Node>,
    monitor: Option<Machine>,
    monitor_state: Option<MonitorState>,
    monitor_paused_until: i64,
    incarnation: u64,
    connected: BTreeSet<usize>,
    /// Links that carry nothing, by direction.
    cut: BTreeSet<(usize, usize)>,
    loss: f64,
    /// Rate in thousandths of a percent, and offset, of each process's clock.
    clocks: Vec<(i64, i64)>,
    values: u64,
    faults_end: i64,
    // Checkers.
    acknowledged: Vec<(Term, usize, Frame)>,
    /// What is committed, and in which term it first was.
    committed: BTreeMap<usize, (Frame, Term)>,
    /// The last moment at which the highest term could acknowledge, and that term.
    able: BTreeMap<Term, (i64, i64)>,
    trace: Vec<String>,
}

type Checked = Result<(), String>;

fn name(index: usize) -> NodeId {
    format!("n{index}").parse().expect("a legal name")
}

fn index(name: &NodeId) -> usize {
    name.as_str()[1..].parse().expect("named by its index")
}

impl World {
    fn new(seed: u64, profile: Profile) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let node = |_| Node {
            oath: None,
            lease: None,
            bound: Bound { unproven: true, ..Bound::default() },
            synced: 0,
            log: Vec::new(),
            fence: Term(0),
            commit: 0,
            acks: BTreeMap::new(),
            practice: Practice::default(),
            term_start: None,
            served: false,
            replies: Vec::new(),
            leader_seen: None,
            monitor_heard: 0,
            paused_until: 0,
            beat: 0,
        };
        // Any two clocks drift apart by less than the margin of a tenth within a lease.
        let clocks = (0..=profile.members)
            .map(|_| (rng.random_range(-4500..=4500), rng.random_range(0..1_000_000 * MS)))
            .collect();
        let mut world = Self {
            profile: profile.clone(),
            now: 0,
            sequence: 0,
            queue: BTreeMap::new(),
            nodes: (0..profile.members).map(node).collect(),
            monitor: None,
            monitor_state: None,
            monitor_paused_until: 0,
            incarnation: 0,
            connected: BTreeSet::new(),
            cut: BTreeSet::new(),
            loss: 0.0,
            clocks,
            values: 0,
            faults_end: if profile.fault_ms == 0 { 0 } else { (profile.length_ms - 10_000) * MS },
            acknowledged: Vec::new(),
            committed: BTreeMap::new(),
            able: BTreeMap::new(),
            trace: Vec::new(),
            rng,
        };
        for process in 0..=profile.members {
            let at = world.rng.random_range(0..50 * MS);
            world.at(at, Happening::Start(process));
        }
        world.at(3000 * MS, Happening::Fault);
        world.at(1500 * MS, Happening::Write);
        world
    }

    fn run(seed: u64, profile: Profile) -> Result<Self, (String, Vec<String>)> {
        let mut world = Self::new(seed, profile.clone());
        let end = profile.length_ms * MS;
        while let Some(((at, _), happening)) = world.queue.pop_first() {
            if at > end {
                break;
            }
            world.now = at;
            if let Err(violation) = world.happen(happening) {
                return Err((format!("{} ms: {violation}", at / MS), world.trace));
            }
        }
        if let Err(violation) = world.check_end() {
            return Err((violation, world.trace));
        }
        Ok(world)
    }

    fn monitor_index(&self) -> usize {
        self.profile.members
    }

    fn at(&mut self, at: i64, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), happening);
    }

    fn local(&self, process: usize) -> Moment {
        let (rate, offset) = self.clocks[process];
        Moment(self.now + self.now / 100_000 * rate + offset)
    }

    fn note(&mut self, text: String) {
        self.trace.push(format!("{:>6} {text}", self.now / MS));
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability)
    }

    fn send(&mut self, from: usize, to: usize, packet: Packet) {
        // The first message of a connection is not lost while later ones arrive.
        let first = matches!(packet, Packet::ToNode(ToNode::Welcome { .. }));
        if !first && (self.cut.contains(&(from, to)) || self.chance(self.loss)) {
            return;
        }
        let faulty = self.now < self.faults_end;
        let again = if matches!(packet, Packet::ToNode(ToNode::Appoint(_))) { 0.5 } else { 0.03 };
        let copies = if faulty && self.chance(again) { 2 } else { 1 };
        for copy in 0..copies {
            let slow = faulty && self.chance(if copy > 0 { 0.5 } else { 0.02 });
            let delay = self.rng.random_range(MS / 2..if slow { 1500 * MS } else { 8 * MS });
            self.at(self.now + delay, Happening::Arrive { from, to, packet: packet.clone() });
        }
    }

    fn happen(&mut self, happening: Happening) -> Checked {
        match happening {
            Happening::Start(process) => self.start(process),
            Happening::Tick(process) => self.tick(process),
            Happening::Hangup(node) => {
                if self.nodes[node].oath.is_none() {
                    self.hang_up(node)?;
                }
                Ok(())
            }
            Happening::Arrive { from, to, packet } => self.arrive(from, to, packet),
            Happening::Fault => self.fault(),
            Happening::Heal => {
                self.cut.clear();
                self.loss = 0.0;
                self.note("the network heals".into());
                Ok(())
            }
            Happening::Write => {
                let next = self.rng.random_range(20..200) * MS;
                self.at(self.now + next, Happening::Write);
                self.write();
                Ok(())
            }
        }
    }

    fn start(&mut self, process: usize) -> Checked {
        let now = self.local(process);
        if process == self.monitor_index() {
            if self.monitor.is_some() {
                return Ok(());
            }
            self.incarnation += 1000;
            let start = match self.monitor_state.clone() {
                Some(state) => Start::Recorded(state),
                None => Start::Lost { incarnation: self.incarnation },
            };
            self.note(format!("monitor starts: {start:?}"));
            let options = Options {
                members: (0..self.profile.members)
                    .map(|node| (name(node), (String::new(), 1)))
                    .collect(),
                policy: self.profile.policy.clone(),
                choose: Choice::Latest,
                timing: Timing {
                    heartbeat: ms(100),
                    suspicion: ms(500),
                    lease: ms(1000),
                    drift: ms(100),
                    drain: ms(500),
                },
                failovers_max: 1000,
                failover_window: ms(300_000),
                lag_bytes_max: 1 << 20,
                restart_grace: Duration::ZERO,
                without: self.profile.without,
            };
            let mut out = Vec::new();
            self.monitor = Some(Machine::new(options, start, now, &mut out));
            self.connected.clear();
            self.execute_monitor(out)?;
        } else {
            if self.nodes[process].oath.is_some() {
                return Ok(());
            }
            let node = &mut self.nodes[process];
            node.log.truncate(node.synced);
            let mut oath = Oath::new(name(process), node.bound, now);
            oath.without = self.profile.without;
            node.fence = node.bound.term;
            node.oath = Some(oath);
            node.lease = None;
            node.term_start = None;
            node.leader_seen = None;
            node.replies.clear();
            node.paused_until = 0;
            self.connected.remove(&process);
            self.note(format!("n{process} starts"));
        }
        self.at(self.now + TICK, Happening::Tick(process));
        Ok(())
    }

    fn crash(&mut self, process: usize) {
        if process == self.monitor_index() {
            self.monitor = None;
            self.connected.clear();
            self.note("monitor crashes".into());
        } else {
            self.nodes[process].oath = None;
            self.note(format!("n{process} crashes"));
            // Its sockets close, unless its host is gone with it.
            if self.chance(0.7) {
                self.at(self.now + 2 * MS, Happening::Hangup(process));
            }
        }
        let away = if self.chance(0.5) { 300 } else { 3000 };
        let back = self.rng.random_range(20..away) * MS;
        self.at(self.now + back, Happening::Start(process));
    }

    fn hang_up(&mut self, node: usize) -> Checked {
        for other in &mut self.nodes {
            if let Some(oath) = &other.oath
                && oath.leader() == Some(&name(node))
            {
                other.leader_seen = None;
            }
        }
        if self.connected.remove(&node) {
            self.monitor_hears(Input::Disconnected { node: name(node) })?;
        }
        Ok(())
    }

    fn paused_until(&self, process: usize) -> i64 {
        if process == self.monitor_index() {
            self.monitor_paused_until
        } else {
            self.nodes[process].paused_until
        }
    }

    fn is_alive(&self, process: usize) -> bool {
        if process == self.monitor_index() {
            self.monitor.is_some()
        } else {
            self.nodes[process].oath.is_some()
        }
    }

    fn tick(&mut self, process: usize) -> Checked {
        if !self.is_alive(process) {
            return Ok(());
        }
        let wakes = self.paused_until(process);
        if self.now < wakes {
            self.at(wakes, Happening::Tick(process));
            return Ok(());
        }
        self.at(self.now + TICK, Happening::Tick(process));
        if process == self.monitor_index() {
            self.push_views();
            return self.monitor_hears(Input::Tick);
        }
        self.node_steps(process, OathInput::Tick)?;
        if !self.is_alive(process) {
            return Ok(());
        }
        if self.chance(0.5) {
            let node = &mut self.nodes[process];
            node.synced = node.log.len();
        }
        self.advance_commit(process)?;
        self.reply(process)?;
        if self.now - self.nodes[process].beat >= HEARTBEAT {
            self.nodes[process].beat = self.now;
            self.heartbeat(process)?;
        }
        Ok(())
    }

    fn heartbeat(&mut self, process: usize) -> Checked {
        let monitor = self.monitor_index();
        let reachable = !self.cut.contains(&(process, monitor))
            && !self.cut.contains(&(monitor, process))
            && self.monitor.is_some()
            && self.now >= self.monitor_paused_until;
        // A silent connection is given up and dialled again.
        if self.now - self.nodes[process].monitor_heard > 1500 * MS {
            self.connected.remove(&process);
        }
        if reachable && self.connected.insert(process) {
            self.monitor_hears(Input::Connected { node: name(process) })?;
        }
        self.report(process);
        self.ask_for_lease(process);
        self.replicate(process);
        Ok(())
    }

    fn report(&mut self, process: usize) {
        let now = self.now;
        let node = &self.nodes[process];
        let Some(oath) = &node.oath else { return };
        let end = log_end(&node.log);
        let report = Report {
            incarnation: oath.obeyed(),
            term: oath.bound().term,
            role: oath.role(),
            leader: oath.leader().cloned(),
            led: oath.bound().led,
            end,
            durable: Lsn(node.synced as u64),
            commit: Lsn(node.commit as u64),
            applied: Lsn(node.commit as u64),
            acks: if oath.role() == Role::Follower {
                self.profile.policy.acks(self.profile.members)
            } else {
                node.practice.vouched()
            },
            policy_version: node.practice.version(),
            leader_seen_ms: node.leader_seen.map(|seen| ((now - seen) / MS) as u64),
            unproven: oath.bound().unproven,
            sql: None,
            reason: String::new(),
        };
        self.send(process, self.monitor_index(), Packet::ToMonitor(ToMonitor::Report(report)));
    }

    fn ask_for_lease(&mut self, process: usize) {
        let sent = self.local(process);
        let node = &mut self.nodes[process];
        let (Some(oath), Some(lease)) = (&mut node.oath, &mut node.lease) else { return };
        let term = oath.bound().term;
        let members = lease.wants_members(sent);
        if members {
            oath.granted_to_self(sent);
            lease.asked_members(sent);
            for other in (0..self.profile.members).filter(|other| *other != process) {
                let request = ToPeer::LeaseRequest { term, sent };
                self.send(process, other, Packet::ToPeer(request));
            }
        }
        let request = ToMonitor::LeaseRequest { term, sent };
        self.send(process, self.monitor_index(), Packet::ToMonitor(request));
    }

    fn replicate(&mut self, process: usize) {
        let node = &self.nodes[process];
        let Some(oath) = &node.oath else { return };
        if oath.role() == Role::Follower {
            return;
        }
        let (term, commit, log) = (oath.bound().term, node.commit, node.log.clone());
        for other in (0..self.profile.members).filter(|other| *other != process) {
            // Sometimes only a part arrives before the stream breaks.
            let whole = self.now >= self.faults_end || self.chance(0.7);
            let len = if whole { log.len() } else { self.rng.random_range(0..=log.len()) };
            let log = log[..len].to_vec();
            self.send(process, other, Packet::Append { term, log, commit });
        }
    }

    /// A client writes on every node that takes it.
    fn write(&mut self) {
        for process in 0..self.profile.members {
            let now = self.now;
            let node = &mut self.nodes[process];
            let Some(oath) = &node.oath else { continue };
            let term = oath.bound().term;
            if oath.role() != Role::Leader || now < node.paused_until || node.fence > term {
                continue;
            }
            self.values += 1;
            node.log.push(Frame { term, value: self.values });
            node.replies.push((node.log.len(), term));
            self.replicate(process);
        }
    }

    fn arrive(&mut self, from: usize, to: usize, packet: Packet) -> Checked {
        if !self.is_alive(to) {
            return Ok(());
        }
        let wakes = self.paused_until(to);
        if self.now < wakes {
            self.at(wakes, Happening::Arrive { from, to, packet });
            return Ok(());
        }
        match packet {
            Packet::ToMonitor(message) => {
                self.monitor_hears(Input::Message { node: name(from), message })
            }
            Packet::ToNode(message) => self.node_hears(to, message),
            Packet::ToPeer(ToPeer::LeaseRequest { term, sent }) => {
                self.node_steps(to, OathInput::PeerLease { from: name(from), term, sent })
            }
            Packet::FromPeer(FromPeer::Grant { term, sent }) => {
                let node = &mut self.nodes[to];
                let own = node.oath.as_ref().is_some_and(|oath| oath.bound().term == term);
                if let Some(lease) = node.lease.as_mut().filter(|_| own) {
                    lease.peer_granted(name(from), sent);
                }
                Ok(())
            }
            Packet::FromPeer(FromPeer::Refused { held, leader }) => match leader {
                Some(leader) => {
                    let source = Source::Peer;
                    self.node_steps(to, OathInput::LeaderKnown { term: held, leader, source })
                }
                None => Ok(()),
            },
            Packet::Append { term, log, commit } => self.append(from, to, term, log, commit),
            Packet::Ack { term, len } => {
                let node = &mut self.nodes[to];
                let own = node
                    .oath
                    .as_ref()
                    .is_some_and(|oath| oath.bound().term == term && oath.role() != Role::Follower);
                if own {
                    let acked = node.acks.entry(from).or_default();
                    *acked = (*acked).max(len);
                    self.advance_commit(to)?;
                }
                Ok(())
            }
        }
    }

    fn node_hears(&mut self, to: usize, message: ToNode) -> Checked {
        self.nodes[to].monitor_heard = self.now;
        match message {
            ToNode::Welcome { incarnation } => {
                self.node_steps(to, OathInput::Welcome { incarnation })?;
                self.report(to);
                Ok(())
            }
            ToNode::View(view) => match view.leader {
                Some(leader) => {
                    let source = Source::Monitor;
                    self.node_steps(to, OathInput::LeaderKnown { term: view.term, leader, source })
                }
                None => Ok(()),
            },
            ToNode::Grant { term, incarnation, sent } => {
                let node = &mut self.nodes[to];
                let own = node
                    .oath
                    .as_ref()
                    .is_some_and(|oath| oath.bound().term == term && oath.obeyed() == incarnation);
                if let Some(lease) = node.lease.as_mut().filter(|_| own) {
                    lease.monitor_granted(sent);
                }
                Ok(())
            }
            ToNode::PromiseRequest { term, incarnation } => {
                self.node_steps(to, OathInput::PromiseRequest { term, incarnation })
            }
            ToNode::Appoint(appointment) => {
                let node = &mut self.nodes[to];
                if node.oath.as_ref().is_some_and(|oath| oath.role() == Role::Follower) {
                    node.practice = Practice::new(&appointment);
                }
                self.node_steps(to, OathInput::Appoint(appointment))
            }
            ToNode::Freeze { term, .. } => {
                let node = &self.nodes[to];
                if node.oath.as_ref().is_some_and(|oath| oath.bound().term == term) {
                    let frozen = ToMonitor::Frozen { term, end: log_end(&node.log) };
                    self.send(to, self.monitor_index(), Packet::ToMonitor(frozen));
                }
                Ok(())
            }
            ToNode::Poll => {
                self.report(to);
                Ok(())
            }
            ToNode::Thaw { .. } => Ok(()),
            ToNode::Policy { term, acks, version } => {
                if self.nodes[to].practice.weaken(term, acks, version) {
                    self.note(format!("n{to} demands {acks}, version {version}"));
                    self.advance_commit(to)?;
                    self.report(to);
                }
                Ok(())
            }
            ToNode::Restore { term, acks, version } => {
                self.advance_commit(to)?;
                let node = &mut self.nodes[to];
                if node.practice.restore(term, acks, version) {
                    node.practice.tightened(Lsn(node.commit as u64));
                    self.note(format!("n{to} demands {acks} again"));
                }
                Ok(())
            }
        }
    }

    fn node_steps(&mut self, process: usize, input: OathInput) -> Checked {
        let now = self.local(process);
        let Some(oath) = &mut self.nodes[process].oath else { return Ok(()) };
        let mut out = Vec::new();
        oath.step(now, input, &mut out);
        let crash_at = self.crash_within(&out);
        for (done, command) in out.into_iter().enumerate() {
            if Some(done) == crash_at {
                self.crash(process);
                return Ok(());
            }
            self.execute_node(process, command)?;
        }
        Ok(())
    }

    /// Sometimes a process ends in the middle of what it does.
    fn crash_within<T>(&mut self, commands: &[T]) -> Option<usize> {
        let faulty = self.now > 3000 * MS && self.now < self.faults_end;
        (faulty && !commands.is_empty() && self.chance(0.004))
            .then(|| self.rng.random_range(0..commands.len()))
    }

    fn execute_node(&mut self, process: usize, command: OathCommand) -> Checked {
        let monitor = self.monitor_index();
        match command {
            OathCommand::EndLease => {
                let node = &mut self.nodes[process];
                node.lease = None;
                // What was not acknowledged is not from here on.
                node.replies.clear();
            }
            OathCommand::Fence(term) => self.nodes[process].fence = term,
            OathCommand::SyncLog => {
                let node = &mut self.nodes[process];
                node.synced = node.log.len();
            }
            OathCommand::Persist(bound) => self.nodes[process].bound = bound,
            OathCommand::Publish { term, role, leader } => {
                self.publish(process, term, role, leader)?
            }
            OathCommand::Promised { term, incarnation, grant_age } => {
                let node = &self.nodes[process];
                let promise = PromiseMade {
                    term,
                    incarnation,
                    end: log_end(&node.log),
                    grant_age_ns: grant_age.as_nanos() as u64,
                    unproven: node.bound.unproven,
                };
                self.note(format!(
                    "n{process} promises {term}, holds {}, age {grant_age:?}",
                    promise.end
                ));
                self.send(process, monitor, Packet::ToMonitor(ToMonitor::Promised(promise)));
            }
            OathCommand::Refused { term, held, obeyed } => {
                let refused = ToMonitor::Refused { term, held, obeyed };
                self.send(process, monitor, Packet::ToMonitor(refused));
            }
            OathCommand::Accepted { term } => {
                self.send(process, monitor, Packet::ToMonitor(ToMonitor::Accepted { term }));
            }
            OathCommand::GrantPeer { to, term, sent } => {
                let grant = FromPeer::Grant { term, sent };
                self.send(process, index(&to), Packet::FromPeer(grant));
            }
            OathCommand::RefusePeer { to, held, leader } => {
                let refused = FromPeer::Refused { held, leader };
                self.send(process, index(&to), Packet::FromPeer(refused));
            }
            OathCommand::SteppedDown { term } => {
                let message = ToMonitor::SteppedDown { term, reason: String::new() };
                self.send(process, monitor, Packet::ToMonitor(message));
            }
        }
        Ok(())
    }

    fn publish(
        &mut self,
        process: usize,
        term: Term,
        role: Role,
        leader: Option<NodeId>,
    ) -> Checked {
        self.note(format!("n{process} is {role:?} in {term}, leader {leader:?}"));
        let now = self.local(process);
        let members = self.profile.members;
        let node = &mut self.nodes[process];
        match role {
            Role::Follower => {
                node.lease = None;
                node.term_start = None;
                node.leader_seen = None;
                node.replies.clear();
            }
            Role::Opening => {
                node.lease = Some(Lease::new(ms(1000), members, now));
                node.acks.clear();
                node.served = false;
                self.values += 1;
                node.log.push(Frame { term, value: self.values });
                node.term_start = Some(node.log.len());
                self.replicate(process);
                self.ask_for_lease(process);
            }
            Role::Leader => {}
        }
        self.report(process);
        Ok(())
    }

    fn append(
        &mut self,
        from: usize,
        to: usize,
        term: Term,
        log: Vec<Frame>,
        commit: usize,
    ) -> Checked {
        let source = Source::Peer;
        self.node_steps(to, OathInput::LeaderKnown { term, leader: name(from), source })?;
        let now = self.now;
        let node = &mut self.nodes[to];
        let Some(oath) = &node.oath else { return Ok(()) };
        if oath.bound().term != term || oath.leader() != Some(&name(from)) || node.fence > term {
            return Ok(());
        }
        node.leader_seen = Some(now);
        // As logs do: what has the same term at the same place is taken to be the same.
        let same =
            node.log.iter().zip(&log).take_while(|(own, sent)| own.term == sent.term).count();
        if same < node.log.len() && same < log.len() {
            if same < node.commit && self.profile.policy != Policy::Async {
                return Err(format!(
                    "n{to} cuts at {same} what it knew committed up to {}",
                    node.commit
                ));
            }
            node.log.truncate(same);
            // In async that much is lost, and the node re-seeds.
            node.commit = node.commit.min(same);
        }
        if log.len() > node.log.len() {
            node.log.extend_from_slice(&log[node.log.len()..]);
        }
        node.synced = node.log.len();
        node.commit = node.commit.max(commit.min(log.len()));
        self.check_follower(to)?;
        let caught_up = log.len() >= commit && log.last().is_some_and(|frame| frame.term == term);
        let ack = Packet::Ack { term, len: log.len() };
        self.send(to, from, ack);
        if caught_up {
            self.node_steps(to, OathInput::CaughtUp { term })?;
        }
        Ok(())
    }

    fn check_follower(&self, process: usize) -> Checked {
        let node = &self.nodes[process];
        for (at, frame) in node.log.iter().enumerate().take(node.commit) {
            if let Some((held, _)) = self.committed.get(&at)
                && held != frame
            {
                return Err(format!(
                    "n{process} holds {frame:?} at {at}, where {held:?} was committed"
                ));
            }
        }
        Ok(())
    }

    /// P4.
    fn advance_commit(&mut self, process: usize) -> Checked {
        let without = self.profile.without == Some(4);
        let node = &mut self.nodes[process];
        let (Some(oath), Some(term_start)) = (&node.oath, node.term_start) else { return Ok(()) };
        let term = oath.bound().term;
        let mut acked: Vec<usize> = node.acks.values().copied().collect();
        acked.sort_unstable_by(|a, b| b.cmp(a));
        let k = node.practice.demanded();
        let held = if k == 0 { node.synced } else { acked.get(k - 1).copied().unwrap_or(0) };
        node.practice.held(Lsn(held as u64));
        let commit = held.min(node.synced);
        if commit <= node.commit || (commit < term_start && !without) {
            return Ok(());
        }
        node.commit = commit;
        if self.profile.policy != Policy::Async {
            for at in 0..commit {
                let frame = self.nodes[process].log[at].clone();
                match self.committed.get(&at) {
                    Some((held, _)) if *held != frame => {
                        return Err(format!(
                            "n{process} commits {frame:?} at {at}, where {held:?} was committed"
                        ));
                    }
                    Some(_) => {}
                    None => {
                        self.committed.insert(at, (frame, term));
                    }
                }
            }
        }
        if commit >= term_start {
            self.node_steps(process, OathInput::TermStartCommitted { term })?;
        }
        Ok(())
    }

    /// P5, and the checks on it.
    fn reply(&mut self, process: usize) -> Checked {
        let now = self.local(process);
        let node = &mut self.nodes[process];
        let (Some(oath), Some(lease)) = (&node.oath, &node.lease) else { return Ok(()) };
        let term = oath.bound().term;
        if oath.role() != Role::Leader || lease.until().is_none_or(|until| now >= until) {
            return Ok(());
        }
        if !std::mem::replace(&mut node.served, true) {
            self.check_opened(process)?;
        }
        let node = &mut self.nodes[process];
        let due = node.replies.extract_if(.., |(len, _)| *len <= node.commit);
        let due: Vec<(usize, Frame)> =
            due.map(|(len, _)| (len, node.log[len - 1].clone())).collect();
        for (len, frame) in due {
            self.acknowledged.push((term, len - 1, frame));
        }
        let able = self.able.entry(term).or_insert((self.now, self.now));
        able.1 = self.now;
        if let Some((later, (since, _))) = self.able.range(term.next()..).next() {
            return Err(format!(
                "n{process} can acknowledge in term {term}, though term {later} could since {} ms",
                since / MS
            ));
        }
        Ok(())
    }

    fn check_opened(&mut self, process: usize) -> Checked {
        let log = &self.nodes[process].log;
        let term = self.nodes[process].bound.term;
        for (at, (frame, _)) in self.committed.iter().filter(|(_, (_, by))| *by < term) {
            if log.get(*at) != Some(frame) {
                return Err(format!("n{process} serves without the committed {frame:?} at {at}"));
            }
        }
        Ok(())
    }

    fn monitor_hears(&mut self, input: Input) -> Checked {
        let now = self.local(self.monitor_index());
        let Some(machine) = self.monitor.take() else { return Ok(()) };
        let before = machine.phase();
        let mut out = Vec::new();
        let connected = match &input {
            Input::Connected { node } => Some(node.clone()),
            _ => None,
        };
        let machine = machine.step(now, input, &mut out);
        let view = machine.view(now);
        if before != machine.phase() {
            let named = out.iter().filter_map(|command| match command {
                Command::Event(event) => Some(format!("{} {}", event.rule, event.reason)),
                _ => None,
            });
            let named: Vec<_> = named.collect();
            self.note(format!("monitor {before} → {}: {named:?}", machine.phase()));
            for node in 0..self.profile.members {
                out.push(Command::Send { to: name(node), message: ToNode::View(view.clone()) });
            }
        } else if let Some(to) = connected {
            out.push(Command::Send { to, message: ToNode::View(view) });
        }
        self.monitor = Some(machine);
        self.execute_monitor(out)
    }

    fn execute_monitor(&mut self, out: Vec<Command>) -> Checked {
        let crash_at = self.crash_within(&out);
        for (done, command) in out.into_iter().enumerate() {
            if Some(done) == crash_at {
                self.crash(self.monitor_index());
                return Ok(());
            }
            match command {
                Command::Persist(state) => self.monitor_state = Some(state),
                Command::Send { to, message } => {
                    self.send(self.monitor_index(), index(&to), Packet::ToNode(message));
                }
                Command::Event(_) | Command::Answer { .. } => {}
            }
        }
        Ok(())
    }

    /// Who holds an office, in the highest term that has one.
    fn office(&self, role: Role) -> Option<usize> {
        let holds =
            |node: &usize| self.nodes[*node].oath.as_ref().is_some_and(|oath| oath.role() == role);
        (0..self.profile.members).filter(holds).max_by_key(|node| self.nodes[*node].bound.term)
    }

    /// Runs until `condition` gives something, for at most ten seconds.
    fn run_until<T>(
        &mut self,
        what: &str,
        condition: impl Fn(&Self) -> Option<T>,
    ) -> Result<T, String> {
        let limit = self.now + 10_000 * MS;
        loop {
            if let Some(found) = condition(self) {
                return Ok(found);
            }
            let ((at, _), happening) = self.queue.pop_first().expect("processes tick");
            assert!(at < limit, "waited in vain for {what}:\n{}", self.trace.join("\n"));
            self.now = at;
            self.happen(happening)?;
        }
    }

    /// Cuts links, both ways.
    fn isolate(&mut self, links: &[(usize, usize)]) {
        for (one, other) in links {
            self.cut.extend([(*one, *other), (*other, *one)]);
        }
    }

    /// Ends a node, which stays away until it is started.
    fn stop(&mut self, node: usize) -> Checked {
        self.nodes[node].oath = None;
        self.note(format!("n{node} stops"));
        self.hang_up(node)
    }

    /// Everybody hears from the monitor now and then.
    fn push_views(&mut self) {
        let now = self.local(self.monitor_index());
        let Some(machine) = self.monitor.as_ref().filter(|_| self.now % (25 * TICK) < TICK) else {
            return;
        };
        let view = machine.view(now);
        for node in self.connected.clone() {
            self.send(self.monitor_index(), node, Packet::ToNode(ToNode::View(view.clone())));
        }
    }

    fn fault(&mut self) -> Checked {
        let pause = self.rng.random_range(1..=2 * self.profile.fault_ms) * MS;
        if self.now + pause >= self.faults_end {
            self.cut.clear();
            self.loss = 0.0;
            return Ok(());
        }
        self.at(self.now + pause, Happening::Fault);
        let members = self.profile.members;
        let leader = (0..members).find(|node| {
            self.nodes[*node].oath.as_ref().is_some_and(|oath| oath.role() != Role::Follower)
        });
        let any = self.rng.random_range(0..members);
        let victim = if self.chance(0.5) { leader.unwrap_or(any) } else { any };
        match self.rng.random_range(0..10) {
            0..=2 => self.crash(victim),
            3 => {
                let pause = self.rng.random_range(100..2500) * MS;
                self.note(format!("n{victim} pauses for {} ms", pause / MS));
                self.nodes[victim].paused_until = self.now + pause;
            }
            4 => {
                self.monitor_paused_until = self.now + self.rng.random_range(100..2500) * MS;
                self.note("monitor pauses".into());
            }
            5 => {
                self.crash(self.monitor_index());
                // State lost while a node is new waits for an operator.
                let proven = self.nodes.iter().all(|node| !node.bound.unproven);
                if proven && self.chance(0.3) {
                    self.monitor_state = None;
                }
            }
            6..=7 => {
                let all: Vec<usize> = (0..=members).collect();
                let size = self.rng.random_range(1..=members / 2 + 1);
                let side: BTreeSet<usize> =
                    all.choose_multiple(&mut self.rng, size).copied().collect();
                let both = self.chance(0.7);
                for inside in &side {
                    for outside in all.iter().filter(|process| !side.contains(process)) {
                        self.cut.insert((*inside, *outside));
                        if both {
                            self.cut.insert((*outside, *inside));
                        }
                    }
                }
                self.note(format!("{side:?} are cut off, both ways: {both}"));
                let heal = self.rng.random_range(200..4000) * MS;
                self.at(self.now + heal, Happening::Heal);
            }
            8 => {
                self.loss = 0.2;
                let heal = self.rng.random_range(200..3000) * MS;
                self.at(self.now + heal, Happening::Heal);
            }
            9 if self.chance(0.5) => {
                let operator = match self.chance(0.5) {
                    true => Operator::Weaken { acks: 0 },
                    false => Operator::Restore,
                };
                self.note(format!("an operator asks: {operator:?}"));
                return self.monitor_hears(Input::Operator { id: 1, operator });
            }
            _ => {
                let to = self.chance(0.5).then(|| name(victim));
                let operator = Operator::Switchover { to };
                return self.monitor_hears(Input::Operator { id: 1, operator });
            }
        }
        Ok(())
    }

    /// After ten quiet seconds one leader is open, everybody holds what it holds, and
    /// what was acknowledged is there.
    fn check_end(&self) -> Checked {
        let leaders = (0..self.profile.members).filter(|node| {
            self.nodes[*node].oath.as_ref().is_some_and(|oath| oath.role() == Role::Leader)
        });
        let leaders: Vec<usize> = leaders.collect();
        let Some(&leader) = leaders.iter().max_by_key(|node| self.nodes[**node].bound.term) else {
            let monitor = self.monitor.as_ref().map(|machine| {
                (machine.phase(), machine.view(self.local(self.monitor_index())).blocked)
            });
            return Err(format!("nobody leads in the end: {monitor:?}"));
        };
        if self.profile.policy != Policy::Async {
            for (term, at, frame) in &self.acknowledged {
                if self.nodes[leader].log.get(*at) != Some(frame) {
                    return Err(format!("lost: {frame:?} at {at}, acknowledged in term {term}"));
                }
            }
        }
        if leaders.len() > 1 {
            return Err(format!("{leaders:?} lead in the end"));
        }
        let late = self.able.last_key_value().map(|(_, (_, until))| *until);
        if late.is_none_or(|late| late < self.now - 1000 * MS) {
            return Err("the leader can't acknowledge in the end".to_owned());
        }
        Ok(())
    }
}

fn log_end(log: &[Frame]) -> LogEnd {
    LogEnd { term: log.last().map_or(Term(0), |frame| frame.term), lsn: Lsn(log.len() as u64) }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const CLUSTERS: &[(usize, Policy)] = &[
    (3, Policy::Any(1)),
    (5, Policy::Quorum),
    (2, Policy::Any(1)),
    (5, Policy::Any(3)),
    (3, Policy::Async),
    (4, Policy::Any(1)),
    (1, Policy::Async),
];

fn profile(cluster: usize) -> Profile {
    let (members, policy) = CLUSTERS[cluster % CLUSTERS.len()].clone();
    Profile { members, policy, without: None, fault_ms: 1500, length_ms: 40_000 }
}

#[test]
fn nothing_is_violated_whatever_happens() {
    let seeds: u64 =
        std::env::var("SIMULATION_SEEDS").map_or(150, |text| text.parse().expect("a number"));
    let from: u64 =
        std::env::var("SIMULATION_FROM").map_or(0, |text| text.parse().expect("a number"));
    let mut acknowledged = 0;
    for seed in from..from + seeds {
        match World::run(seed, profile(seed as usize)) {
            Ok(world) => acknowledged += world.acknowledged.len(),
            Err((violation, trace)) => {
                panic!(
                    "seed {seed}, {:?}: {violation}\n{}",
                    profile(seed as usize),
                    trace.join("\n")
                )
            }
        }
    }
    assert!(acknowledged > 50 * seeds as usize, "hardly anything was acknowledged: {acknowledged}");
}

/// A sentence that is switched off must be missed: some seed finds the violation.
fn is_missed(sentence: u8, members: usize, policy: Policy, seeds: std::ops::Range<u64>) {
    let profile =
        Profile { members, policy, without: Some(sentence), fault_ms: 500, length_ms: 40_000 };
    let found =
        seeds.clone().find_map(|seed| Some((seed, World::run(seed, profile.clone()).err()?.0)));
    let (seed, violation) = found.unwrap_or_else(|| panic!("none of {seeds:?} misses P{sentence}"));
    println!("without P{sentence}, seed {seed}: {violation}");
}

/// The schedule behind P4: A writes e1 alone in term 1. B leads 2 and writes e2 alone. A
/// leads 3, and e1 reaches C. B leads 4, and e1 is replaced by e2.
fn old_terms_write_reaches_a_majority_late(without: Option<u8>) -> Checked {
    let (members, policy) = (3, Policy::Any(1));
    let profile = Profile { members, policy, without, fault_ms: 0, length_ms: 10_000 };
    let mut world = World::new(1, profile);
    world.queue.retain(|_, happening| !matches!(happening, Happening::Fault | Happening::Write));
    let opened = |world: &World| world.office(Role::Leader);
    let opening = |world: &World| world.office(Role::Opening);
    let a = world.run_until("a first leader", opened)?;
    world.run_until("everybody to catch up", |world| {
        world.nodes.iter().all(|node| !node.bound.unproven && node.log.len() == 1).then_some(())
    })?;
    let others: Vec<usize> = (0..members).filter(|node| *node != a).collect();
    world.isolate(&[(a, others[0]), (a, others[1]), (others[0], others[1])]);
    world.write();
    world.nodes[a].synced = 2;
    world.stop(a)?;
    let b = world.run_until("a second leader", opening)?;
    let c = others[usize::from(others[0] == b)];
    world.nodes[b].synced = world.nodes[b].log.len();
    world.stop(b)?;
    world.start(a)?;
    let again = world.run_until("the first to lead again", opening)?;
    assert_eq!(again, a, "its log is the latest");
    // All that reaches C is e1.
    world.cut.clear();
    let (term, log) = (world.nodes[a].bound.term, world.nodes[a].log[..2].to_vec());
    world.append(a, c, term, log, 1)?;
    world.isolate(&[(a, c)]);
    world.arrive(c, a, Packet::Ack { term, len: 2 })?;
    world.stop(a)?;
    world.start(b)?;
    let again = world.run_until("the second to lead again", opened)?;
    assert_eq!(again, b, "its log is the latest");
    Ok(())
}

#[test]
fn without_the_term_start_frame_a_committed_write_is_replaced() {
    assert_eq!(old_terms_write_reaches_a_majority_late(None), Ok(()));
    let violation = old_terms_write_reaches_a_majority_late(Some(4)).expect_err("a violation");
    assert!(violation.contains("committed"), "{violation}");
}

#[test]
fn without_the_count_two_terms_acknowledge() {
    is_missed(9, 5, Policy::Quorum, 0..20);
}

#[test]
fn without_the_wait_two_terms_acknowledge() {
    is_missed(12, 3, Policy::Any(1), 0..30);
}

#[test]
fn without_the_record_a_leader_is_forgotten() {
    is_missed(13, 5, Policy::Any(3), 80..200);
}

#[test]
fn without_the_check_of_led_terms_a_term_is_led_twice() {
    is_missed(15, 3, Policy::Any(1), 20..100);
}

#[test]
fn a_seed_run_twice_gives_the_same_history() {
    for seed in 0..7 {
        let [first, second] = [(); 2].map(|()| match World::run(seed, profile(seed as usize)) {
            Ok(world) => world.trace,
            Err((_, trace)) => trace,
        });
        assert_eq!(first, second);
    }
}
