//! The task that owns the failover machine.
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::MonitorError;
use super::events::EventLog;
use super::record::Record;
use crate::cluster::{NodeId, NodeView, View};
use crate::config::{Choice as Configured, MonitorConfig};
use crate::failover::{
    Choice, Command, Event, Input, Machine, Moment, Notice, Operator, Options, Start, Timing,
    ToMonitor, ToNode, encode,
};
use crate::log::Lsn;
use crate::net::Outbox;
use crate::supervisor::Supervisor;

/// Operators' commands under way at most.
const OPERATORS_MAX: usize = 64;

/// What the driver is told.
pub(super) enum Happening {
    Up { node: NodeId, generation: u64, outbox: Outbox },
    Message { node: NodeId, generation: u64, message: ToMonitor },
    Down { node: NodeId, generation: u64 },
    Operator(Operator, oneshot::Sender<Result<String, String>>),
}

/// What the other tasks may see of the driver's.
#[derive(Clone, Debug)]
pub(super) struct Outlook {
    pub view: View,
    pub phase: &'static str,
    pub incarnation: u64,
}

pub(super) struct Driver {
    machine: Option<Machine>,
    pending: VecDeque<Command>,
    record: Record,
    events: Arc<EventLog>,
    outlook: watch::Sender<Outlook>,
    /// The view that nodes were told last.
    told: View,
    nodes: BTreeMap<NodeId, (u64, Outbox)>,
    operators: BTreeMap<u64, oneshot::Sender<Result<String, String>>>,
    operator: u64,
    heartbeat: Duration,
    pushed: Moment,
}

impl Driver {
    /// Loads or begins the state; durable when this returns.
    pub(super) async fn new(
        config: &MonitorConfig,
        mut record: Record,
        events: Arc<EventLog>,
    ) -> Result<(Self, watch::Receiver<Outlook>), MonitorError> {
        let start = match record.load().await? {
            Some(state) => Start::Recorded(state),
            None => Start::Lost { incarnation: wall_clock_us() },
        };
        let mut commands = Vec::new();
        let machine = Machine::new(options(config), start, now(), &mut commands);
        let view = machine.view(now());
        let (phase, incarnation) = (machine.phase(), machine.state().incarnation);
        let outlook = Outlook { view: view.clone(), phase, incarnation };
        let (outlook, seen) = watch::channel(outlook);
        let mut driver = Self {
            machine: Some(machine),
            pending: commands.into(),
            record,
            events,
            outlook,
            told: view,
            nodes: BTreeMap::new(),
            operators: BTreeMap::new(),
            operator: 0,
            heartbeat: config.timing.heartbeat,
            pushed: now(),
        };
        driver.execute().await?;
        Ok((driver, seen))
    }

    pub(super) async fn run(
        mut self,
        mut happenings: mpsc::Receiver<Happening>,
        supervisor: &Supervisor,
        shutdown: CancellationToken,
    ) -> Result<(), MonitorError> {
        let mut tick = interval((self.heartbeat / 5).max(Duration::from_millis(1)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            supervisor.beat();
            let input = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                happening = happenings.recv() => match happening {
                    Some(happening) => self.input(happening),
                    None => return Ok(()),
                },
                _ = tick.tick() => Some(Input::Tick),
            };
            if let Some(input) = input {
                self.step(input);
                self.execute().await?;
                self.push();
            }
        }
    }

    fn input(&mut self, happening: Happening) -> Option<Input> {
        match happening {
            Happening::Up { node, generation, outbox } => {
                self.nodes.insert(node.clone(), (generation, outbox));
                Some(Input::Connected { node })
            }
            Happening::Message { node, generation, message } => {
                let current = self.nodes.get(&node).is_some_and(|(held, _)| *held == generation);
                if let ToMonitor::Noticed(notice) = message {
                    self.note(&node, notice);
                    return None;
                }
                current.then_some(Input::Message { node, message })
            }
            Happening::Down { node, generation } => {
                let current = self.nodes.get(&node).is_some_and(|(held, _)| *held == generation);
                if !current {
                    return None;
                }
                self.nodes.remove(&node);
                Some(Input::Disconnected { node })
            }
            Happening::Operator(operator, answer) => {
                self.operators.retain(|_, waiting| !waiting.is_closed());
                if self.operators.len() >= OPERATORS_MAX {
                    let _ = answer.send(Err("too many commands are under way".to_owned()));
                    return None;
                }
                self.operator += 1;
                self.operators.insert(self.operator, answer);
                Some(Input::Operator { id: self.operator, operator })
            }
        }
    }

    /// What a node saw by itself: no decision of the machine, an event all the same.
    fn note(&mut self, node: &NodeId, notice: Notice) {
        let phase = self.outlook.borrow().phase.to_owned();
        let Notice { rule, term, lsn, reason } = notice;
        let reason = format!("{node}: {reason}");
        self.events.add(Event { rule, reason, term, lsn, before: phase.clone(), after: phase });
    }

    fn step(&mut self, input: Input) {
        let machine = self.machine.take().expect("put back after each step");
        let welcomed = match &input {
            Input::Connected { node } => Some(node.clone()),
            _ => None,
        };
        let mut commands = Vec::new();
        self.machine = Some(machine.step(now(), input, &mut commands));
        self.pending.extend(commands);
        if let Some(node) = welcomed {
            // Behind the welcome: what the others were told already.
            let message = ToNode::View(self.told.clone());
            self.pending.push_back(Command::Send { to: node, message });
        }
    }

    /// Executes in order: what is persisted is durable before what follows.
    async fn execute(&mut self) -> Result<(), MonitorError> {
        while let Some(command) = self.pending.pop_front() {
            match command {
                Command::Persist(state) => {
                    let mut record = self.record.clone();
                    let save = async {
                        let saved = record.save(state).await;
                        (record, saved)
                    };
                    tokio::pin!(save);
                    let (record, saved) = loop {
                        match tokio::time::timeout(self.heartbeat, &mut save).await {
                            Ok(saved) => break saved,
                            // A slow disk is no silence: what was told stays true.
                            Err(_) if self.record.holds() => self.repeat(),
                            Err(_) => {}
                        }
                    };
                    self.record = record;
                    saved?;
                }
                // Looked at right before: whoever may be superseded says nothing more.
                Command::Send { .. } if !self.record.holds() => {
                    return Err(MonitorError::Superseded);
                }
                Command::Send { to, message } => self.send(&to, &message),
                Command::Event(event) => self.events.add(event),
                Command::Answer { id, result } => {
                    if let Some(answer) = self.operators.remove(&id) {
                        let _ = answer.send(result);
                    }
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, to: &NodeId, message: &ToNode) {
        if let Some((_, outbox)) = self.nodes.get(to)
            && !outbox.post(encode(message))
        {
            tracing::warn!(node = %to, "its connection is stuck and is closed");
            self.nodes.remove(to);
            self.step(Input::Disconnected { node: to.clone() });
        }
    }

    /// Tells everybody: what matters at once, positions each heartbeat.
    fn push(&mut self) {
        let machine = self.machine.as_ref().expect("put back after each step");
        let view = machine.view(now());
        let urgent = essence(&view) != essence(&self.told);
        // Also without news now and then, so that a dead connection shows as silence.
        let age = now().since(self.pushed);
        let due = age >= self.heartbeat && view != self.told || age >= self.heartbeat * 4;
        if !urgent && !due {
            return;
        }
        let (phase, incarnation) = (machine.phase(), machine.state().incarnation);
        self.pushed = now();
        self.told = view.clone();
        self.outlook.send_replace(Outlook { view, phase, incarnation });
        self.repeat();
        // Who was dropped has been told so, and is heard no more.
        let listed = |name: &NodeId| self.told.nodes.iter().any(|node| node.name == *name);
        self.nodes.retain(|name, _| listed(name));
    }

    /// Sends everybody what was told last.
    fn repeat(&self) {
        let message = encode(&ToNode::View(self.told.clone()));
        // A stuck connection shows at its next message of weight.
        for (_, outbox) in self.nodes.values() {
            let _ = outbox.post(message.clone());
        }
    }
}

/// A view without what moves all the time.
fn essence(view: &View) -> View {
    let still = |node: &NodeView| NodeView {
        end: Default::default(),
        durable: Lsn(0),
        commit: Lsn(0),
        applied: Lsn(0),
        lag_bytes: 0,
        reason: String::new(),
        ..node.clone()
    };
    View {
        nodes: view.nodes.iter().map(still).collect(),
        blocked: view.blocked.as_ref().map(|_| String::new()),
        change: view.change.as_ref().map(|_| String::new()),
        ..view.clone()
    }
}

fn options(config: &MonitorConfig) -> Options {
    let member =
        |(name, peer, priority): &(NodeId, String, u32)| (name.clone(), (peer.clone(), *priority));
    Options {
        members: config.members.iter().map(member).collect(),
        policy: config.policy.clone(),
        choose: match config.choose {
            Configured::Latest => Choice::Latest,
            Configured::Seniority => Choice::Seniority,
        },
        timing: Timing {
            heartbeat: config.timing.heartbeat,
            suspicion: config.timing.suspicion,
            lease: config.timing.lease,
            drift: config.timing.drift,
            drain: config.drain,
        },
        failovers_max: config.failovers_max as usize,
        failover_window: config.failover_window,
        lag_bytes_max: config.lag_bytes_max,
        restart_grace: config.restart_grace,
        #[cfg(test)]
        without: None,
    }
}

/// CLOCK_BOOTTIME, which runs during suspend (rule 11).
pub(super) fn now() -> Moment {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .expect("CLOCK_BOOTTIME exists on Linux");
    Moment(now.tv_sec() * 1_000_000_000 + now.tv_nsec())
}

/// A new incarnation is above earlier ones as far as the wall clock goes; if a node knows
/// a higher one, the machine goes above that.
fn wall_clock_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(1)
}
