//! What goes wrong: crashes, pauses, partitions, losses, and operators.
use super::*;

impl World {
    pub(super) fn fault(&mut self) -> Checked {
        let pause = self.rng.random_range(1..=2 * self.profile.fault_ms) * MS;
        if self.now + pause >= self.faults_end {
            self.cut.clear();
            self.loss = 0.0;
            return Ok(());
        }
        self.at(self.now + pause, Happening::Fault);
        let members = self.nodes.len();
        let leader = (0..members).find(|node| {
            self.nodes[*node].oath.as_ref().is_some_and(|oath| oath.role() != Role::Follower)
        });
        let any = self.rng.random_range(0..members);
        let victim = if self.chance(0.5) { leader.unwrap_or(any) } else { any };
        let kinds = if self.profile.spares > 0 { 13 } else { 11 };
        match self.rng.random_range(0..kinds) {
            0..=2 => self.crash(victim),
            3 => {
                let pause = self.rng.random_range(100..2500) * MS;
                self.note(format!("n{victim} pauses for {} ms", pause / MS));
                self.nodes[victim].paused_until = self.now + pause;
            }
            4 => {
                let longest = if self.monitors.len() > 1 { 5000 } else { 2500 };
                let pause = self.rng.random_range(100..longest) * MS;
                let acting = self.acting();
                self.monitors[acting].paused_until = self.now + pause;
                self.note(format!("monitor {acting} pauses for {} ms", pause / MS));
            }
            5 => {
                self.crash(self.nodes.len() + self.acting());
                // State lost while a node is new waits for an operator; etcd loses none.
                if self.monitors.len() == 1 && self.all_proven() && self.chance(0.3) {
                    self.monitor_state = None;
                }
            }
            6..=7 => {
                let all: Vec<usize> = (0..members + self.monitors.len()).collect();
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
            9 => self.maybe_wipe(victim),
            10 if self.chance(0.5) => {
                // While a node is new, a weakened policy would need an operator again.
                let proven = self.all_proven();
                let operator = match self.chance(0.5) && proven {
                    true => Operator::Weaken { acks: 0 },
                    false => Operator::Restore,
                };
                self.note(format!("an operator asks: {operator:?}"));
                return self.monitor_hears(self.acting(), Input::Operator { id: 1, operator });
            }
            11..=12 => return self.change_members(any),
            _ => {
                let to = self.chance(0.5).then(|| name(victim));
                let operator = Operator::Switchover { to };
                return self.monitor_hears(self.acting(), Input::Operator { id: 1, operator });
            }
        }
        Ok(())
    }

    /// An operator has a node join, or leave.
    fn change_members(&mut self, node: usize) -> Checked {
        let Some(state) = &self.monitor_state else { return Ok(()) };
        let newest = state.unconfirmed.last().unwrap_or(&state.configuration);
        let operator = if newest.get(&name(node)).is_some() {
            Operator::Drop { node: name(node) }
        } else {
            let members: Vec<NodeId> = newest.counting().cloned().collect();
            let replaces = members.choose(&mut self.rng).filter(|_| self.now % 3 == 0).cloned();
            let peer = format!("{}:1", name(node));
            Operator::Add { node: name(node), peer, priority: 1, replaces }
        };
        self.note(format!("an operator asks: {operator:?}"));
        self.monitor_hears(self.acting(), Input::Operator { id: 2, operator })
    }

    /// A node comes back with nothing, where the others are known to hold everything.
    fn maybe_wipe(&mut self, victim: usize) {
        let proven = self.all_proven();
        let settled = self.monitor_state.as_ref().is_some_and(|it| {
            it.rebuilt && !it.weakened && it.unconfirmed.is_empty() && it.change.is_none()
        });
        let members = self.monitor_state.as_ref().map_or(0, |it| it.configuration.size());
        if members < 3 || self.profile.policy == Policy::Async || !proven || !settled {
            return;
        }
        self.crash(victim);
        self.note(format!("n{victim} has lost its disk"));
        // A late report of fewer acknowledgements, as members change, would have the monitor
        // wait for what is lost: of an earlier connection it is not heard.
        let of_the_dead = |happening: &Happening| matches!(happening, Happening::Arrive { from, packet: Packet::ToMonitor(_), .. } if *from == victim);
        if self.profile.spares > 0 {
            self.queue.retain(|_, happening| !of_the_dead(happening));
        }
        self.lose_disk(victim);
    }

    pub(super) fn crash(&mut self, process: usize) {
        if let Some(which) = self.monitor_number(process) {
            let monitor = &mut self.monitors[which];
            (monitor.up, monitor.machine) = (false, None);
            monitor.connected.clear();
            self.note(format!("monitor {which} crashes"));
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

    /// Sometimes a process ends in the middle of what it does.
    pub(super) fn crash_within<T>(&mut self, commands: &[T]) -> Option<usize> {
        let faulty = self.now > 3000 * MS && self.now < self.faults_end;
        (faulty && !commands.is_empty() && self.chance(0.004))
            .then(|| self.rng.random_range(0..commands.len()))
    }
}
