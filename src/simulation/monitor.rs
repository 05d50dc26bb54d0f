//! What a monitor does: hears, steps its machine, obeys it; and of several, who acts.
use super::*;

/// How long etcd keeps the key of who acts, and how long that one relies on it.
const SEAT: i64 = 2000 * MS;
const SEAT_RELIED_UPON: i64 = 1500 * MS;

/// A monitor's process.
#[derive(Default)]
pub(super) struct Monitor {
    /// It runs, acting or not.
    pub up: bool,
    /// While it acts.
    pub machine: Option<Machine>,
    pub paused_until: i64,
    pub connected: BTreeSet<usize>,
    /// Until when it relies on its key.
    relies_until: i64,
}

/// The key in etcd.
#[derive(Default)]
pub(super) struct Seat {
    holder: usize,
    until: i64,
}

impl World {
    /// The number of the monitor that a process is, if it is one.
    pub(super) fn monitor_number(&self, process: usize) -> Option<usize> {
        process.checked_sub(self.nodes.len())
    }

    /// The process that a node takes for the monitor.
    pub(super) fn monitor_of(&self, node: usize) -> usize {
        self.nodes.len() + self.nodes[node].monitor
    }

    /// Who acts, or was the last to.
    pub(super) fn acting(&self) -> usize {
        self.seat.holder
    }

    /// Whether a monitor knows the node, and so lets it in.
    pub(super) fn lists(&self, which: usize, node: usize) -> bool {
        self.monitors[which].machine.as_ref().is_some_and(|machine| {
            let state = machine.state();
            let lists = std::iter::once(&state.configuration).chain(&state.unconfirmed);
            lists.into_iter().any(|list| list.get(&name(node)).is_some())
        })
    }

    /// Begins to act, goes on, or ceases to, as the key in etcd says (P26).
    pub(super) fn take_seat(&mut self, which: usize) -> Checked {
        if self.now >= self.seat.until {
            self.seat.holder = which;
        }
        if self.seat.holder == which {
            self.seat.until = self.now + if self.monitors.len() > 1 { SEAT } else { 0 };
            self.monitors[which].relies_until = self.now + SEAT_RELIED_UPON;
        } else if !self.may_act(which) {
            self.stand_by(which);
            return Ok(());
        }
        if self.seat.holder == which && self.monitors[which].machine.is_none() {
            self.act(which)?;
        }
        Ok(())
    }

    fn may_act(&self, which: usize) -> bool {
        let holds = self.seat.holder == which && self.now < self.monitors[which].relies_until;
        holds || self.monitors.len() == 1 || self.profile.without == Some(26)
    }

    fn stand_by(&mut self, which: usize) {
        if self.monitors[which].machine.take().is_some() {
            self.monitors[which].connected.clear();
            self.note(format!("monitor {which} stands by"));
        }
    }

    fn act(&mut self, which: usize) -> Checked {
        let now = self.local(self.nodes.len() + which);
        self.incarnation += 1000;
        let start = match self.monitor_state.clone() {
            Some(state) => Start::Recorded(state),
            None => Start::Lost { incarnation: self.incarnation },
        };
        self.note(format!("monitor {which} acts: {start:?}"));
        let members = self.file.members.iter();
        let options = Options {
            members: members
                .map(|member| (member.name.clone(), (member.peer.clone(), 1)))
                .collect(),
            policy: self.profile.policy.clone(),
            choose: self.profile.choose,
            timing: Timing {
                heartbeat: ms(100),
                suspicion: ms(500),
                lease: ms(self.profile.lease_ms),
                drift: ms(self.profile.lease_ms / 10),
                drain: ms(500),
            },
            failovers_max: 1000,
            failover_window: ms(300_000),
            lag_bytes_max: 1 << 20,
            restart_grace: Duration::ZERO,
            without: self.profile.without,
        };
        let mut out = Vec::new();
        let monitor = &mut self.monitors[which];
        monitor.machine = Some(Machine::new(options, start, now, &mut out));
        monitor.connected.clear();
        self.execute_monitor(which, out)
    }

    pub(super) fn monitor_hears(&mut self, which: usize, input: Input) -> Checked {
        let now = self.local(self.nodes.len() + which);
        let Some(machine) = self.monitors[which].machine.take() else { return Ok(()) };
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
            for node in &view.nodes {
                let message = ToNode::View(view.clone());
                out.push(Command::Send { to: node.name.clone(), message });
            }
        } else if let Some(to) = connected {
            out.push(Command::Send { to, message: ToNode::View(view) });
        }
        self.monitors[which].machine = Some(machine);
        self.execute_monitor(which, out)
    }

    pub(super) fn execute_monitor(&mut self, which: usize, out: Vec<Command>) -> Checked {
        let process = self.nodes.len() + which;
        let crash_at = self.crash_within(&out);
        for (done, command) in out.into_iter().enumerate() {
            if Some(done) == crash_at {
                self.crash(process);
                return Ok(());
            }
            // Whoever may be superseded records and says nothing more.
            if !self.may_act(which) {
                self.stand_by(which);
                return Ok(());
            }
            match command {
                Command::Persist(state) => {
                    if state.unconfirmed.is_empty() {
                        self.file = Configuration { version: 0, ..state.configuration.clone() };
                    }
                    self.monitor_state = Some(state);
                }
                Command::Send { to, message } => {
                    self.send(process, index(&to), Packet::ToNode(message));
                }
                Command::Event(_) | Command::Answer { .. } => {}
            }
        }
        Ok(())
    }

    /// Everybody hears from the monitor now and then.
    pub(super) fn push_views(&mut self, which: usize) {
        let process = self.nodes.len() + which;
        let now = self.local(process);
        let monitor = &self.monitors[which];
        let Some(machine) = monitor.machine.as_ref().filter(|_| self.now % (25 * TICK) < TICK)
        else {
            return;
        };
        let view = machine.view(now);
        for node in monitor.connected.clone() {
            self.send(process, node, Packet::ToNode(ToNode::View(view.clone())));
        }
    }
}
