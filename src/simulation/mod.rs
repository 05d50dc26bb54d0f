//! Nodes and monitor as they are, over a network, clocks, disks and clients that are not:
//! everything random comes from one seed, so a seed run twice gives the same history.
//!
//! The network loses, delays, reorders and repeats; nodes and monitor crash in the middle
//! of what they do, pause, and drift; what a node did not sync is lost with its power, or
//! torn, under the log store and the control file as they are. The checkers know
//! nothing of the machines: what was acknowledged stays, what was committed is never
//! replaced, and no two terms are able to acknowledge at overlapping times.
mod checks;
mod disk;
mod faults;
mod monitor;
mod node;
mod relay;
mod schedules;
mod seeds;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use self::disk::{Disk, End, Restarted, Stream};
use self::monitor::{Monitor, Seat};
use self::relay::Way;
use crate::cluster::{Configuration, NodeId, Policy, Role, Roll};
use crate::failover::{
    Bound, Choice, Command, Fetch, FromPeer, Input, Lease, Machine, Moment, MonitorState, Oath,
    OathCommand, OathInput, Operator, Options, Practice, PromiseMade, Report, Source, Start,
    Timing, ToMonitor, ToNode, ToPeer,
};
use crate::log::{LogEnd, Lsn, Term};
use crate::replication::{Rejoin, SnapshotReason};

const MS: i64 = 1_000_000;
/// How often every process looks at its clock.
const TICK: i64 = 20 * MS;
const HEARTBEAT: i64 = 100 * MS;

/// The cluster, the faults, and the sentence that is switched off.
#[derive(Clone, Debug)]
struct Profile {
    members: usize,
    /// Nodes that are no members in the beginning: an operator has them join, and others
    /// leave.
    spares: usize,
    policy: Policy,
    choose: Choice,
    /// Followers follow by way of the next node, where that follows the leader.
    cascade: bool,
    /// Of several one acts, by a key in etcd, which keeps the record.
    monitors: usize,
    without: Option<u8>,
    broken: Option<Broken>,
    lease_ms: u64,
    /// Mean time between faults, ms; faults end 10 s before the run does.
    fault_ms: i64,
    length_ms: i64,
}

/// What a node does not do as it should.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Broken {
    /// Its disk says that it synced, and has not.
    Sync,
    /// It takes all that it holds to be committed.
    ApplyBound,
    /// As a relay it sends whatever it holds, and says that it is committed.
    Relay,
}

/// A frame of the log; machines are told its index plus one for its LSN.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Frame {
    term: Term,
    value: u64,
    configuration: Option<Configuration>,
}

#[derive(Clone, Debug)]
enum Packet {
    ToMonitor(ToMonitor),
    ToNode(ToNode),
    ToPeer(ToPeer),
    FromPeer(FromPeer),
    /// The leader's log, whole or the beginning of it, and its commit.
    Append {
        term: Term,
        stream: Stream,
        commit: usize,
    },
    Ack {
        term: Term,
        len: usize,
    },
    /// Rule 18: asks for the log of whoever has promised the term, too; and answers.
    Fetch {
        term: Term,
    },
    Tail {
        term: Term,
        stream: Stream,
    },
    /// Asks a follower to send on what it gets, from the end of the own log; and answers.
    Follow {
        term: Term,
        stream: Stream,
    },
    Relayed {
        term: Term,
        stream: Stream,
        commit: usize,
    },
    NotRelayed {
        term: Term,
    },
}

#[derive(Clone, Debug)]
enum Happening {
    Tick(usize),
    /// To a node, or to a monitor (the indices after the last node's).
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
    disk: Disk,
    /// As the disk has it.
    bound: Bound,
    /// Frames of the log that were synced.
    synced: usize,
    /// What the disk's log holds.
    log: Vec<Frame>,
    fence: Term,
    commit: usize,
    acks: BTreeMap<usize, usize>,
    practice: Practice,
    term_start: Option<usize>,
    /// It has been able to acknowledge in this term.
    served: bool,
    replies: Vec<(usize, Term)>,
    /// As the disk has it.
    roll: Roll,
    /// The members that it has put into its log, as leader of a term.
    noted: (Term, u64),
    leader_seen: Option<i64>,
    /// The tail that it is to get.
    fetch: Option<Fetch>,
    way: Way,
    /// The monitor that it dialled last, by its number, and when it heard from it.
    monitor: usize,
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
    monitors: Vec<Monitor>,
    seat: Seat,
    /// The monitor's record, in its file or in etcd.
    monitor_state: Option<MonitorState>,
    /// The members as the files say: an operator keeps them as they were confirmed.
    file: Configuration,
    incarnation: u64,
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
    /// Tails that were fetched whole.
    fetched: usize,
    /// Answers of relays that were of use.
    relayed: usize,
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
        let member = |node| (name(node), format!("{}:1", name(node)), 1);
        let file = Configuration::initial((0..profile.members).map(member));
        let processes = profile.members + profile.spares;
        let roll = Roll::new(file.clone());
        let node = |number: usize| Node {
            oath: None,
            disk: Disk::new(seed << 8 | number as u64, &roll),
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
            roll: roll.clone(),
            noted: (Term(0), 0),
            leader_seen: None,
            fetch: None,
            way: Way::default(),
            monitor: 0,
            monitor_heard: 0,
            paused_until: 0,
            beat: 0,
        };
        // Any two clocks drift apart by less than the margin of a tenth within a lease.
        let clocks = (0..processes + profile.monitors)
            .map(|_| (rng.random_range(-4500..=4500), rng.random_range(0..1_000_000 * MS)))
            .collect();
        let mut world = Self {
            profile: profile.clone(),
            now: 0,
            sequence: 0,
            queue: BTreeMap::new(),
            nodes: (0..processes).map(node).collect(),
            monitors: (0..profile.monitors).map(|_| Monitor::default()).collect(),
            seat: Seat::default(),
            monitor_state: None,
            file,
            incarnation: 0,
            cut: BTreeSet::new(),
            loss: 0.0,
            clocks,
            values: 0,
            faults_end: if profile.fault_ms == 0 { 0 } else { (profile.length_ms - 10_000) * MS },
            acknowledged: Vec::new(),
            committed: BTreeMap::new(),
            able: BTreeMap::new(),
            fetched: 0,
            relayed: 0,
            trace: Vec::new(),
            rng,
        };
        if profile.broken == Some(Broken::Sync) {
            world.nodes.iter().for_each(|node| node.disk.lie());
        }
        for process in 0..processes + profile.monitors {
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

    /// Whether every member that counts has its log.
    fn all_proven(&self) -> bool {
        let Some(state) = &self.monitor_state else { return false };
        let mut counting = state.configuration.counting();
        counting.all(|node| !self.nodes[index(node)].bound.unproven)
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
                self.write()
            }
        }
    }

    fn start(&mut self, process: usize) -> Checked {
        if let Some(which) = self.monitor_number(process) {
            if std::mem::replace(&mut self.monitors[which].up, true) {
                return Ok(());
            }
            self.take_seat(which)?;
        } else {
            if self.nodes[process].oath.is_some() {
                return Ok(());
            }
            self.restart(process)?;
            return self.begin(process);
        }
        self.at(self.now + TICK, Happening::Tick(process));
        Ok(())
    }

    /// A node's process begins, with what its disk holds.
    fn begin(&mut self, process: usize) -> Checked {
        let now = self.local(process);
        let node = &mut self.nodes[process];
        let mut oath = Oath::new(name(process), node.bound, now);
        oath.without = self.profile.without;
        node.fence = node.bound.term;
        node.disk.fence(node.bound.term);
        node.oath = Some(oath);
        node.lease = None;
        node.term_start = None;
        node.leader_seen = None;
        (node.fetch, node.way) = (None, Way::default());
        node.replies.clear();
        node.paused_until = 0;
        for monitor in &mut self.monitors {
            monitor.connected.remove(&process);
        }
        self.note(format!("n{process} starts"));
        self.at(self.now + TICK, Happening::Tick(process));
        Ok(())
    }

    fn hang_up(&mut self, node: usize) -> Checked {
        for other in &mut self.nodes {
            if let Some(oath) = &other.oath
                && oath.leader() == Some(&name(node))
            {
                other.leader_seen = None;
            }
        }
        for which in 0..self.monitors.len() {
            if self.monitors[which].connected.remove(&node) {
                self.monitor_hears(which, Input::Disconnected { node: name(node) })?;
            }
        }
        Ok(())
    }

    fn paused_until(&self, process: usize) -> i64 {
        match self.monitor_number(process) {
            Some(which) => self.monitors[which].paused_until,
            None => self.nodes[process].paused_until,
        }
    }

    fn is_alive(&self, process: usize) -> bool {
        match self.monitor_number(process) {
            Some(which) => self.monitors[which].up,
            None => self.nodes[process].oath.is_some(),
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
        if let Some(which) = self.monitor_number(process) {
            self.take_seat(which)?;
            self.push_views(which);
            return self.monitor_hears(which, Input::Tick);
        }
        self.node_steps(process, OathInput::Tick)?;
        if !self.is_alive(process) {
            return Ok(());
        }
        // Leaders sync beside sending; a disk that lies writes in the end, too.
        let lies = self.profile.broken == Some(Broken::Sync);
        let leads =
            self.nodes[process].oath.as_ref().is_some_and(|oath| oath.role() != Role::Follower);
        if (lies || leads) && self.chance(if lies { 0.02 } else { 0.5 }) {
            let node = &mut self.nodes[process];
            if lies {
                node.disk.settle();
            }
            node.sync();
        }
        self.maybe_note_members(process)?;
        self.advance_commit(process)?;
        self.reply(process)?;
        if self.now - self.nodes[process].beat >= HEARTBEAT {
            self.nodes[process].beat = self.now;
            self.heartbeat(process)?;
        }
        Ok(())
    }
}

impl Node {
    /// Appends a frame of its own, as a leader.
    fn append(&mut self, term: Term, value: u64, configuration: Option<Configuration>) -> Checked {
        let frame = Frame { term, value, configuration };
        let first = self.log.last().is_none_or(|last| last.term != term);
        self.disk.append(&frame, first)?;
        self.log.push(frame);
        Ok(())
    }

    /// Makes the log durable, on a disk that does what it says.
    fn sync(&mut self) {
        self.disk.sync();
        self.synced = self.log.len();
    }

    /// Whether it has promised `term`, and knows no leader in it.
    fn stands_still(&self, term: Term) -> bool {
        let stands = |oath: &Oath| {
            oath.bound().term == term && oath.role() == Role::Follower && oath.leader().is_none()
        };
        self.oath.as_ref().is_some_and(stands) && self.fence <= term
    }

    /// Its log, as it is sent.
    fn stream(&self) -> Stream {
        self.disk.stream(&self.log)
    }
}

fn log_end(log: &[Frame]) -> LogEnd {
    LogEnd { term: log.last().map_or(Term(0), |frame| frame.term), lsn: Lsn(log.len() as u64) }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Everything that can go wrong does, all the time.
fn harsh(members: usize, policy: Policy) -> Profile {
    Profile {
        members,
        spares: 0,
        policy,
        choose: Choice::Latest,
        cascade: false,
        monitors: 1,
        without: None,
        broken: None,
        lease_ms: 1000,
        fault_ms: 500,
        length_ms: 40_000,
    }
}
