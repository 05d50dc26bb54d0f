//! What the monitor does: hears, steps its machine, obeys it.
use super::*;

impl World {
    pub(super) fn monitor_hears(&mut self, input: Input) -> Checked {
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
            for node in &view.nodes {
                let message = ToNode::View(view.clone());
                out.push(Command::Send { to: node.name.clone(), message });
            }
        } else if let Some(to) = connected {
            out.push(Command::Send { to, message: ToNode::View(view) });
        }
        self.monitor = Some(machine);
        self.execute_monitor(out)
    }

    pub(super) fn execute_monitor(&mut self, out: Vec<Command>) -> Checked {
        let crash_at = self.crash_within(&out);
        for (done, command) in out.into_iter().enumerate() {
            if Some(done) == crash_at {
                self.crash(self.monitor_index());
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
                    self.send(self.monitor_index(), index(&to), Packet::ToNode(message));
                }
                Command::Event(_) | Command::Answer { .. } => {}
            }
        }
        Ok(())
    }

    /// Everybody hears from the monitor now and then.
    pub(super) fn push_views(&mut self) {
        let now = self.local(self.monitor_index());
        let Some(machine) = self.monitor.as_ref().filter(|_| self.now % (25 * TICK) < TICK) else {
            return;
        };
        let view = machine.view(now);
        for node in self.connected.clone() {
            self.send(self.monitor_index(), node, Packet::ToNode(ToNode::View(view.clone())));
        }
    }
}
