//! What a node does: hears, steps its oath, obeys it, replicates, acknowledges.
use super::*;

impl World {
    pub(super) fn heartbeat(&mut self, process: usize) -> Checked {
        self.keep_monitor(process)?;
        self.report(process);
        self.ask_for_lease(process);
        self.replicate(process);
        self.ask_relay(process);
        Ok(())
    }

    /// Stays with the monitor that it hears, or dials the next.
    fn keep_monitor(&mut self, process: usize) -> Checked {
        let count = self.monitors.len();
        let node = &mut self.nodes[process];
        // A silent connection is given up and dialled again.
        if self.now - node.monitor_heard > 1500 * MS {
            self.monitors[node.monitor].connected.remove(&process);
        }
        let connected = self.monitors[node.monitor].connected.contains(&process);
        if !connected && count > 1 {
            node.monitor = (node.monitor + 1) % count;
        }
        let (which, monitor) = (self.nodes[process].monitor, self.monitor_of(process));
        let reachable = !self.cut.contains(&(process, monitor))
            && !self.cut.contains(&(monitor, process))
            && self.monitors[which].machine.is_some()
            && self.now >= self.monitors[which].paused_until
            && self.lists(which, process);
        if reachable && self.monitors[which].connected.insert(process) {
            self.monitor_hears(which, Input::Connected { node: name(process) })?;
        }
        Ok(())
    }

    pub(super) fn report(&mut self, process: usize) {
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
                self.profile.policy.acks(node.roll.newest().size())
            } else {
                node.practice.vouched()
            },
            policy_version: node.practice.version(),
            leader_seen_ms: node.leader_seen.map(|seen| ((now - seen) / MS) as u64),
            unproven: oath.bound().unproven,
            through: None,
            roll: node.roll.clone(),
            sql: None,
            reason: String::new(),
        };
        self.send(process, self.monitor_of(process), Packet::ToMonitor(ToMonitor::Report(report)));
    }

    pub(super) fn ask_for_lease(&mut self, process: usize) {
        let sent = self.local(process);
        let node = &mut self.nodes[process];
        let (Some(oath), Some(lease)) = (&mut node.oath, &mut node.lease) else { return };
        let term = oath.bound().term;
        let members = lease.wants_members(sent);
        if members {
            oath.granted_to_self(sent);
            lease.asked_members(sent);
            let others: Vec<NodeId> = others(process, &node.roll).into_iter().collect();
            for other in others.iter().map(index) {
                let request = ToPeer::LeaseRequest { term, sent };
                self.send(process, other, Packet::ToPeer(request));
            }
        }
        let request = ToMonitor::LeaseRequest { term, sent };
        self.send(process, self.monitor_of(process), Packet::ToMonitor(request));
    }

    pub(super) fn replicate(&mut self, process: usize) {
        let node = &self.nodes[process];
        let Some(oath) = &node.oath else { return };
        if oath.role() == Role::Follower {
            return;
        }
        let (term, commit, held) = (oath.bound().term, node.commit, node.log.len());
        let listed =
            |other: &usize| *other != process && self.nodes[process].roll.lists(&name(*other));
        let listed: Vec<usize> = (0..self.nodes.len()).filter(listed).collect();
        let stream = self.nodes[process].stream();
        for other in listed {
            // Sometimes only a part arrives before the stream breaks.
            let whole = self.now >= self.faults_end || self.chance(0.7);
            let len = if whole { held } else { self.rng.random_range(0..=held) };
            let stream = stream.first(len);
            self.send(process, other, Packet::Append { term, stream, commit });
        }
    }

    /// A client writes on every node that takes it.
    pub(super) fn write(&mut self) -> Checked {
        for process in 0..self.nodes.len() {
            let now = self.now;
            let node = &mut self.nodes[process];
            let Some(oath) = &node.oath else { continue };
            let term = oath.bound().term;
            if oath.role() != Role::Leader || now < node.paused_until || node.fence > term {
                continue;
            }
            self.values += 1;
            node.append(term, self.values, None)?;
            node.replies.push((node.log.len(), term));
            self.replicate(process);
        }
        Ok(())
    }

    pub(super) fn arrive(&mut self, from: usize, to: usize, packet: Packet) -> Checked {
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
                let which = self.monitor_number(to).expect("sent to a monitor");
                self.monitor_hears(which, Input::Message { node: name(from), message })
            }
            // Of a connection that the node has given up it reads nothing.
            Packet::ToNode(_) if from != self.monitor_of(to) => Ok(()),
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
            Packet::Append { term, stream, commit } => self.append(from, to, term, stream, commit),
            Packet::Fetch { term } => {
                if self.nodes[to].stands_still(term) {
                    let stream = self.nodes[to].stream();
                    let whole = self.now >= self.faults_end || self.chance(0.8);
                    let held = self.nodes[to].log.len();
                    let len = if whole { held } else { self.rng.random_range(0..=held) };
                    self.send(to, from, Packet::Tail { term, stream: stream.first(len) });
                }
                Ok(())
            }
            Packet::Tail { term, stream } => self.take_tail(from, to, term, &stream),
            Packet::Follow { term, stream } => {
                self.relay(from, to, term, &stream);
                Ok(())
            }
            Packet::Relayed { term, stream, commit } => {
                self.take_relayed(from, to, term, &stream, commit)
            }
            Packet::NotRelayed { term } => {
                if self.nodes[to].bound.term == term {
                    self.leave_relay(to);
                }
                Ok(())
            }
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

    pub(super) fn node_hears(&mut self, to: usize, message: ToNode) -> Checked {
        self.nodes[to].monitor_heard = self.now;
        match message {
            ToNode::Welcome { incarnation } => {
                self.node_steps(to, OathInput::Welcome { incarnation })?;
                self.report(to);
                Ok(())
            }
            ToNode::View(view) => {
                self.settle(to, view.configuration.as_ref());
                match view.leader {
                    Some(leader) => {
                        let (term, source) = (view.term, Source::Monitor);
                        self.node_steps(to, OathInput::LeaderKnown { term, leader, source })
                    }
                    None => Ok(()),
                }
            }
            ToNode::Members { term, configuration, acks, version } => {
                let node = &mut self.nodes[to];
                let leads = node
                    .oath
                    .as_ref()
                    .is_some_and(|oath| oath.bound().term == term && oath.role() != Role::Follower);
                if leads {
                    if node.roll.tell(configuration) {
                        self.act_upon_members(to);
                    }
                    self.nodes[to].practice.weaken(term, acks, version);
                    self.maybe_note_members(to)?;
                    self.advance_commit(to)?;
                    self.report(to);
                }
                Ok(())
            }
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
            ToNode::Fetch(fetch) => self.node_steps(to, OathInput::Fetch(fetch)),
            ToNode::Appoint(appointment) => {
                let node = &mut self.nodes[to];
                if node.oath.as_ref().is_some_and(|oath| oath.role() == Role::Follower) {
                    node.practice = Practice::new(&appointment);
                    if node.roll.tell(appointment.configuration.clone()) {
                        node.disk.persist_roll(&node.roll);
                    }
                }
                self.node_steps(to, OathInput::Appoint(appointment))
            }
            ToNode::Freeze { term, .. } => {
                let node = &self.nodes[to];
                if node.oath.as_ref().is_some_and(|oath| oath.bound().term == term) {
                    let frozen = ToMonitor::Frozen { term, end: log_end(&node.log) };
                    self.send(to, self.monitor_of(to), Packet::ToMonitor(frozen));
                }
                Ok(())
            }
            ToNode::Poll => {
                self.report(to);
                Ok(())
            }
            ToNode::Thaw { .. } => Ok(()),
            ToNode::Policy { term, acks, version } => {
                if self.profile.without == Some(20) {
                    self.nodes[to].practice.forget_version();
                }
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

    /// A process comes up from what its disk has kept.
    pub(super) fn restart(&mut self, process: usize) -> Checked {
        let lies = self.profile.broken == Some(Broken::Sync);
        let end = match self.rng.random_range(0..10) {
            0 if !lies => End::Killed,
            1..=4 => End::Torn,
            _ => End::Lost,
        };
        self.restart_after(process, end)
    }

    pub(super) fn restart_after(&mut self, process: usize, end: End) -> Checked {
        let lies = self.profile.broken == Some(Broken::Sync);
        let node = &mut self.nodes[process];
        let committed = node.commit.min(node.synced);
        let restarted = node.disk.restart(end, &node.log, committed);
        match restarted.map_err(|cause| format!("n{process} {cause}"))? {
            Restarted::Holds { frames, doubtful, bound, roll } => {
                if frames < node.synced && !lies {
                    let synced = node.synced;
                    return Err(format!("n{process} holds {frames} frames of {synced} synced"));
                }
                (node.bound, node.roll) = (bound, roll);
                node.log.truncate(frames);
                node.synced = frames;
                node.commit = node.commit.min(frames);
                // Rule 16a.
                if doubtful {
                    let unproven = Bound { unproven: true, ..node.bound };
                    node.disk.persist(unproven);
                    node.bound = unproven;
                }
            }
            Restarted::Reseeds if lies => self.lose_disk(process),
            Restarted::Reseeds => {
                return Err(format!("n{process} holds less than the {committed} committed"));
            }
        }
        Ok(())
    }

    /// It begins with nothing.
    pub(super) fn lose_disk(&mut self, process: usize) {
        let (seed, lies) = (self.rng.random(), self.profile.broken == Some(Broken::Sync));
        let roll = Roll::new(self.file.clone());
        let node = &mut self.nodes[process];
        node.disk = Disk::new(seed, &roll);
        if lies {
            node.disk.lie();
        }
        node.bound = Bound { unproven: true, ..Bound::default() };
        node.log.clear();
        (node.synced, node.commit) = (0, 0);
        node.roll = roll;
    }

    pub(super) fn node_steps(&mut self, process: usize, input: OathInput) -> Checked {
        let now = self.local(process);
        let Some(oath) = &mut self.nodes[process].oath else { return Ok(()) };
        let mut out = Vec::new();
        oath.step(now, input, &mut out);
        let crash_at = self.crash_within(&out);
        for (done, command) in out.into_iter().enumerate() {
            if Some(done) == crash_at {
                if let OathCommand::Persist(bound) = command {
                    let writes = self.rng.random_range(0..4);
                    self.nodes[process].disk.persist_in_part(bound, writes);
                }
                self.crash(process);
                return Ok(());
            }
            self.execute_node(process, command)?;
        }
        Ok(())
    }

    pub(super) fn execute_node(&mut self, process: usize, command: OathCommand) -> Checked {
        let monitor = self.monitor_of(process);
        match command {
            OathCommand::EndLease => {
                let node = &mut self.nodes[process];
                node.lease = None;
                // What was not acknowledged is not from here on.
                node.replies.clear();
            }
            OathCommand::Fence(term) => {
                let node = &mut self.nodes[process];
                node.fence = term;
                node.disk.fence(term);
            }
            OathCommand::SyncLog if self.profile.without == Some(8) => {}
            OathCommand::SyncLog => self.nodes[process].sync(),
            OathCommand::Persist(bound) => {
                let node = &mut self.nodes[process];
                node.disk.persist(bound);
                node.bound = bound;
            }
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
            OathCommand::Fetch(fetch) => {
                let (from, term) = (index(&fetch.from), fetch.term);
                self.nodes[process].fetch = Some(fetch);
                self.send(process, from, Packet::Fetch { term });
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

    pub(super) fn publish(
        &mut self,
        process: usize,
        term: Term,
        role: Role,
        leader: Option<NodeId>,
    ) -> Checked {
        self.note(format!("n{process} is {role:?} in {term}, leader {leader:?}"));
        let now = self.local(process);
        let node = &mut self.nodes[process];
        match role {
            Role::Follower => {
                node.lease = None;
                node.term_start = None;
                node.leader_seen = None;
                node.replies.clear();
            }
            Role::Opening => {
                node.lease =
                    Some(Lease::new(ms(self.profile.lease_ms), others(process, &node.roll), now));
                node.acks.clear();
                node.served = false;
                self.values += 1;
                node.append(term, self.values, None)?;
                node.term_start = Some(node.log.len());
                self.replicate(process);
                self.ask_for_lease(process);
            }
            Role::Leader => self.maybe_note_members(process)?,
        }
        self.report(process);
        Ok(())
    }

    pub(super) fn append(
        &mut self,
        from: usize,
        to: usize,
        term: Term,
        stream: Stream,
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
        if self.is_relayed(to, term) {
            return Ok(());
        }
        self.nodes[to].leader_seen = Some(now);
        self.copy(from, to, term, &stream)?;
        self.verify(to, term, stream.log().len());
        let (node, log) = (&mut self.nodes[to], stream.log());
        let told = if self.profile.broken == Some(Broken::ApplyBound) { log.len() } else { commit };
        node.commit = node.commit.max(told.min(log.len()));
        self.check_follower(to)?;
        self.settle_committed(to);
        if self.now < self.faults_end && self.chance(0.1) {
            // Not synced yet, so not acknowledged either.
            return Ok(());
        }
        self.nodes[to].sync();
        let caught_up = log.len() >= commit && log.last().is_some_and(|frame| frame.term == term);
        let ack = Packet::Ack { term, len: log.len() };
        self.send(to, from, ack);
        if caught_up {
            self.node_steps(to, OathInput::CaughtUp { term })?;
        }
        Ok(())
    }

    /// Makes the log of `to` what is sent, as far as that is news.
    pub(super) fn copy(&mut self, from: usize, to: usize, term: Term, stream: &Stream) -> Checked {
        let (node, log) = (&mut self.nodes[to], stream.log());
        let same = node.log.iter().zip(log).take_while(|(own, sent)| own.term == sent.term).count();
        // What a stream that broke early sends is no news.
        if same < log.len() {
            let kept = match node.disk.rejoin(stream, node.commit) {
                Rejoin::Stream { from } => node.disk.cut(from)?,
                Rejoin::CutAndStream { at } => node.disk.cut(at.lsn)?,
                // In async that much is lost, and the node re-seeds.
                Rejoin::Snapshot { why: SnapshotReason::AppliedBeyond { at, .. } }
                    if self.profile.policy == Policy::Async =>
                {
                    node.disk.cut(at)?
                }
                Rejoin::Snapshot { why } => {
                    return Err(format!("n{to} can't follow n{from}: {why}"));
                }
            };
            node.log.truncate(kept);
            node.synced = node.synced.min(kept);
            node.commit = node.commit.min(kept);
            node.disk.copy(term, stream)?;
            node.log.extend_from_slice(&log[kept..]);
        }
        Ok(())
    }

    /// Rule 18: the tail that it lacks, before it leads; or a part of it.
    fn take_tail(&mut self, from: usize, to: usize, term: Term, stream: &Stream) -> Checked {
        let node = &mut self.nodes[to];
        let Some(fetch) = node.fetch.clone().filter(|_| node.stands_still(term)) else {
            return Ok(());
        };
        self.copy(from, to, term, stream)?;
        self.check_follower(to)?;
        let node = &mut self.nodes[to];
        node.sync();
        if log_end(&node.log) < fetch.end {
            return Ok(());
        }
        node.fetch = None;
        self.fetched += 1;
        self.note(format!("n{to} has fetched what n{from} held up to {}", fetch.end));
        self.node_steps(to, OathInput::Fetched { term })
    }

    /// P4.
    pub(super) fn advance_commit(&mut self, process: usize) -> Checked {
        let without = self.profile.without == Some(4);
        let node = &mut self.nodes[process];
        let (Some(oath), Some(term_start)) = (&node.oath, node.term_start) else { return Ok(()) };
        let term = oath.bound().term;
        let counted = others(process, &node.roll);
        let acked = node.acks.iter().filter(|(from, _)| counted.contains(&name(**from)));
        let mut acked: Vec<usize> = acked.map(|(_, len)| *len).collect();
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
        self.settle_committed(process);
        if commit >= term_start {
            self.node_steps(process, OathInput::TermStartCommitted { term })?;
        }
        Ok(())
    }

    /// P22: a leader puts the members that it acts upon into its log, once a term.
    pub(super) fn maybe_note_members(&mut self, process: usize) -> Checked {
        let node = &mut self.nodes[process];
        let Some(oath) = &node.oath else { return Ok(()) };
        let (term, newest) = (oath.bound().term, node.roll.newest().clone());
        let noted = (term, newest.version);
        let may = oath.role() == Role::Leader && node.fence <= term;
        if !may || newest.version == 0 || node.noted == noted {
            return Ok(());
        }
        node.noted = noted;
        self.values += 1;
        node.append(term, self.values, Some(newest))?;
        self.replicate(process);
        Ok(())
    }

    /// The members that committed frames name.
    pub(super) fn settle_committed(&mut self, process: usize) {
        let node = &self.nodes[process];
        let frames = node.log.iter().take(node.commit);
        let newest = frames.rev().find_map(|frame| frame.configuration.clone());
        self.settle(process, newest.as_ref());
    }

    pub(super) fn settle(&mut self, process: usize, configuration: Option<&Configuration>) {
        let roll = &mut self.nodes[process].roll;
        if configuration.is_some_and(|configuration| roll.settle(configuration)) {
            self.act_upon_members(process);
            self.report(process);
        }
    }

    pub(super) fn act_upon_members(&mut self, process: usize) {
        let node = &mut self.nodes[process];
        node.disk.persist_roll(&node.roll);
        let others = others(process, &node.roll);
        if let Some(lease) = &mut node.lease {
            lease.count(others);
        }
        let roll = node.roll.newest();
        let text = format!(
            "n{process} acts upon {}: {:?}",
            roll.version,
            roll.counting().collect::<Vec<_>>()
        );
        self.note(text);
    }

    /// P5, and the checks on it.
    pub(super) fn reply(&mut self, process: usize) -> Checked {
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
}

/// The other members that count, as the node knows them.
fn others(process: usize, roll: &Roll) -> BTreeSet<NodeId> {
    roll.newest().counting().filter(|node| **node != name(process)).cloned().collect()
}
