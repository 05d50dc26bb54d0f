//! With a leader: grant its leases, notice its end, hand over in peace.
use std::time::Duration;

use super::electing::{Cause, Promising};
use super::known::Suspicion;
use super::members::Joining;
use super::{Asked, Cluster, Command, Input, Operator, Phase};
use crate::cluster::{NodeId, Role};
use crate::failover::{Moment, Report, Rule, ToMonitor, ToNode};
use crate::log::{LogEnd, Term};

#[derive(Debug)]
pub(super) struct Watching;

/// A planned hand-over before its point of no return: the leader was told to freeze.
#[derive(Debug)]
pub(super) struct Draining {
    to: NodeId,
    rule: Rule,
    until: Moment,
    /// Where the frozen log ends.
    end: Option<LogEnd>,
}

impl Watching {
    pub(super) fn enter(
        now: Moment,
        rule: Rule,
        reason: String,
        cluster: &mut Cluster,
        out: &mut Vec<Command>,
    ) -> Phase {
        cluster.enter("watching", rule, reason, out);
        cluster.unblock();
        cluster.watched_since = now;
        let leader = cluster.state.leader().expect("watching means that a leader is recorded");
        // A leader that has just been appointed or found gets the suspicion time anew.
        let leader = leader.clone();
        let known = cluster.nodes.get_mut(&leader).expect("leaders are members");
        known.heard = known.heard.map(|heard| if known.connected { heard.max(now) } else { heard });
        if let Some(report) = cluster.leader_report().cloned() {
            cluster.note_leader(now, &report, out);
        }
        Phase::Watching(Self)
    }

    pub(super) fn step(
        self,
        now: Moment,
        input: Input,
        cluster: &mut Cluster,
        out: &mut Vec<Command>,
    ) -> Phase {
        if let Some(cause) = cluster.trigger(now, &input, out) {
            return Promising::begin(now, cause, cluster, out);
        }
        cluster.serve_leader(now, &input, out);
        match input {
            Input::Operator { id, operator: Operator::Switchover { to } } => {
                match cluster.successor(now, to.as_ref()) {
                    Ok(to) => {
                        cluster.asked = Some(Asked { id, to: Some(to.clone()) });
                        let reason = format!("an operator asks for {to}");
                        return Draining::begin(now, to, Rule::Switchover, reason, cluster, out);
                    }
                    Err(refusal) => {
                        cluster.note(Rule::Switchover, format!("refused: {refusal}"), None, out);
                        out.push(Command::Answer { id, result: Err(refusal) });
                    }
                }
            }
            Input::Operator { id, operator: Operator::Weaken { acks } } => {
                cluster.weaken(id, acks, out);
            }
            Input::Operator { id, operator: Operator::Restore } => cluster.restore(id, out),
            Input::Operator { id, operator: Operator::Maintenance { node, on } } => {
                if let Some(to) = cluster.maintain(now, id, &node, on, out) {
                    let reason = format!("leader {node} goes into maintenance");
                    return Draining::begin(now, to, Rule::Maintenance, reason, cluster, out);
                }
            }
            Input::Operator { id, operator: Operator::Add { node, peer, priority, replaces } } => {
                cluster.add(now, id, Joining { node, peer, priority, replaces }, out);
            }
            Input::Operator { id, operator: Operator::Drop { node } } => {
                cluster.leave(now, id, node, out);
            }
            Input::Message { node, message: ToMonitor::Handover { term } }
                if cluster.is_leader(&node, term) =>
            {
                match cluster.successor(now, None) {
                    Ok(to) => {
                        let reason = format!("leader {node} is being stopped");
                        return Draining::begin(now, to, Rule::Handover, reason, cluster, out);
                    }
                    Err(refusal) => {
                        cluster.note(Rule::Handover, format!("no hand-over: {refusal}"), None, out);
                        cluster.send(&node, ToNode::Thaw { term }, out);
                    }
                }
            }
            Input::Tick if cluster.opened => {
                if let Some(to) = cluster.then.clone()
                    && cluster.successor(now, Some(&to)).is_ok()
                {
                    cluster.then = None;
                    let reason = format!("{to} is preferred and has caught up");
                    return Draining::begin(now, to, Rule::Switchover, reason, cluster, out);
                }
                if let Some((leader, to)) = cluster.change_members(now, out) {
                    let reason = format!("leader {leader} is to leave");
                    return Draining::begin(now, to, Rule::Members, reason, cluster, out);
                }
            }
            _ => {}
        }
        Phase::Watching(self)
    }
}

impl Draining {
    fn begin(
        now: Moment,
        to: NodeId,
        rule: Rule,
        reason: String,
        cluster: &mut Cluster,
        out: &mut Vec<Command>,
    ) -> Phase {
        let drain = cluster.options.timing.drain;
        cluster.enter("draining", rule, format!("{reason}: the leader freezes"), out);
        let (leader, term) = (cluster.state.leader().cloned(), cluster.state.term);
        let limit_ms = u64::try_from(drain.as_millis()).unwrap_or(u64::MAX);
        if let Some(leader) = leader {
            cluster.send(&leader, ToNode::Freeze { term, limit_ms }, out);
        }
        Phase::Draining(Self { to, rule, until: now.plus(drain), end: None })
    }

    pub(super) fn step(
        mut self,
        now: Moment,
        input: Input,
        cluster: &mut Cluster,
        out: &mut Vec<Command>,
    ) -> Phase {
        if let Some(cause) = cluster.trigger(now, &input, out) {
            return Promising::begin(now, cause, cluster, out);
        }
        cluster.serve_leader(now, &input, out);
        match &input {
            Input::Message { node, message: ToMonitor::Frozen { term, end } }
                if cluster.is_leader(node, *term) =>
            {
                self.end = Some(*end);
                cluster.send(&self.to, ToNode::Poll, out);
            }
            Input::Message { node, message: ToMonitor::Report(_) } if *node == self.to => {}
            Input::Operator { id, .. } => {
                let result = Err("a hand-over is under way".to_owned());
                out.push(Command::Answer { id: *id, result });
            }
            Input::Disconnected { node } if *node == self.to => {
                return self.go_back(
                    format!("the connection to {node} is gone"),
                    now,
                    cluster,
                    out,
                );
            }
            Input::Tick => {
                if now >= self.until {
                    let reason = match self.end {
                        None => "the leader did not come to rest in time".to_owned(),
                        Some(end) => format!("{} did not reach {end} in time", self.to),
                    };
                    return self.go_back(reason, now, cluster, out);
                }
                if self.end.is_some() {
                    cluster.send(&self.to, ToNode::Poll, out);
                }
            }
            _ => {}
        }
        let report = cluster.nodes.get(&self.to).and_then(|known| known.report.as_ref());
        let reached = report.is_some_and(|report| {
            report.term == cluster.state.term
                && self.end.is_some_and(|end| report.durable >= end.lsn && report.end >= end)
        });
        if reached {
            let reason = format!("{} holds all of the frozen log", self.to);
            let cause = Cause::planned(self.rule, reason, Some(self.to));
            return Promising::begin(now, cause, cluster, out);
        }
        Phase::Draining(self)
    }

    /// Rule 24: on any doubt the leader goes on.
    fn go_back(
        self,
        doubt: String,
        now: Moment,
        cluster: &mut Cluster,
        out: &mut Vec<Command>,
    ) -> Phase {
        let term = cluster.state.term;
        if let Some(leader) = cluster.state.leader().cloned() {
            cluster.send(&leader, ToNode::Thaw { term }, out);
            if self.rule == Rule::Members {
                cluster.end_change(Err(format!("{leader} stays: {doubt}")), out);
            }
            if self.rule == Rule::Maintenance && cluster.state.maintenance.remove(&leader) {
                cluster.persist(out);
            }
        }
        cluster.answer(Err(format!("{doubt}; the leader goes on")), out);
        Watching::enter(now, Rule::Switchover, format!("{doubt}: goes back"), cluster, out)
    }
}

impl Cluster {
    pub(super) fn is_leader(&self, node: &NodeId, term: Term) -> bool {
        term == self.state.term && self.state.leader() == Some(node)
    }

    /// What ends the current leadership: P6, rules 6, 7, 10, or an operator.
    fn trigger(&mut self, now: Moment, input: &Input, out: &mut Vec<Command>) -> Option<Cause> {
        let term = self.state.term;
        if self.heard > term {
            let reason = format!("term {} was heard, above the recorded {term}", self.heard);
            return Some(Cause::automatic(Rule::Trigger, reason));
        }
        match input {
            Input::Message { node, message: ToMonitor::SteppedDown { term, reason } }
                if self.is_leader(node, *term) =>
            {
                let reason = format!("leader {node} ended its term: {reason}");
                self.unless_flapping(now, Cause::automatic(Rule::Trigger, reason), out)
            }
            Input::Operator { id, operator: Operator::Failover { allow_data_loss } } => {
                self.failover(now, *id, *allow_data_loss, out)
            }
            _ => self.absent_leader(now, out),
        }
    }

    /// The leader is gone, or came back as a follower.
    fn absent_leader(&mut self, now: Moment, out: &mut Vec<Command>) -> Option<Cause> {
        // A node that was wiped, or never heard of its appointment, does not know that it
        // leads; it has connected anew since it is watched.
        let leader = self.state.leader();
        let came_back = leader.is_some_and(|leader| self.nodes[leader].since > self.watched_since);
        let gave_up = self.leader_report().is_some_and(|report| {
            report.role == Role::Follower
                && (report.led == self.state.term && report.term == report.led || came_back)
        });
        if gave_up {
            let leader = self.state.leader()?;
            let reason = format!("leader {leader} came back as a follower");
            // Rule 10: it was waited for, so that it leads on if it holds everything.
            let waited = self.options.restart_grace > Duration::ZERO;
            let preferred = waited.then(|| leader.clone());
            let cause = Cause::automatic(Rule::Restarted, reason).preferring(preferred);
            return self.unless_flapping(now, cause, out);
        }
        match self.suspect(now) {
            Suspicion::Confirmed(reason) => Some(Cause::automatic(Rule::Suspicion, reason)),
            Suspicion::Blocked(rule, sentence) => {
                self.block(rule, sentence, out);
                None
            }
            Suspicion::None => {
                self.unblock();
                None
            }
        }
    }

    /// Rule 28: an election that nobody wished for, unless there were too many lately.
    fn unless_flapping(
        &mut self,
        now: Moment,
        cause: Cause,
        out: &mut Vec<Command>,
    ) -> Option<Cause> {
        let Some(sentence) = self.flapping(now) else { return Some(cause) };
        self.block(Rule::AntiFlap, sentence, out);
        None
    }

    fn failover(
        &mut self,
        now: Moment,
        id: u64,
        allow_data_loss: bool,
        out: &mut Vec<Command>,
    ) -> Option<Cause> {
        let leader = self.state.leader()?.clone();
        let can_elect = self.can_elect(now, &leader, Moment(i64::MIN)).is_ok();
        let there = self.nodes[&leader].is_heard(now, self.options.timing.suspicion);
        if can_elect || there {
            self.asked = Some(Asked { id, to: None });
            return Some(Cause::planned(
                Rule::AcceptedLoss,
                "an operator asks for an election".into(),
                None,
            ));
        }
        let stake = self.at_stake(now);
        if !allow_data_loss {
            let result = Err(format!("{stake}: repeat with --allow-data-loss to accept that"));
            out.push(Command::Answer { id, result });
            return None;
        }
        self.asked = Some(Asked { id, to: None });
        Some(Cause::forced(format!("an operator accepts loss: {stake}")))
    }

    /// P1: grants to the leader in its term; and notes what it says of itself.
    fn serve_leader(&mut self, now: Moment, input: &Input, out: &mut Vec<Command>) {
        let Input::Message { node, message } = input else { return };
        match message {
            ToMonitor::LeaseRequest { term, sent } if self.is_leader(node, *term) => {
                self.granted = Some(self.granted.map_or(now, |granted| granted.max(now)));
                let incarnation = self.state.incarnation;
                let grant = ToNode::Grant { term: *term, incarnation, sent: *sent };
                self.send(node, grant, out);
            }
            ToMonitor::Report(report) if self.is_leader(node, report.term) => {
                self.note_leader(now, report, out);
            }
            _ => {}
        }
    }

    /// The leader has opened, and what it demands of its followers.
    fn note_leader(&mut self, now: Moment, report: &Report, out: &mut Vec<Command>) {
        let (role, term) = (report.role, report.term);
        if role == Role::Follower || term != self.state.term {
            return;
        }
        self.note_policy(report, out);
        self.note_members(report, out);
        if role != Role::Leader {
            return;
        }
        if self.opened {
            return;
        }
        self.opened = true;
        if self.automatic {
            self.automatic = false;
            self.failovers.push_back(now);
            if self.failovers.len() > self.options.failovers_max {
                self.failovers.pop_front();
            }
        }
        let leader = self.state.leader().cloned();
        let name = leader.map_or_else(String::new, |leader| leader.to_string());
        self.note(Rule::Opened, format!("{name} is open in term {term}"), None, out);
        let now_leads = format!("{name} leads in term {term}");
        let as_asked = match &self.asked {
            Some(Asked { to: Some(to), .. }) => Some(to) == self.state.leader(),
            _ => true,
        };
        self.answer(if as_asked { Ok(now_leads) } else { Err(now_leads) }, out);
    }

    /// Who may take over in peace, or why not.
    pub(super) fn successor(&self, now: Moment, to: Option<&NodeId>) -> Result<NodeId, String> {
        let term = self.state.term;
        let leader = self.state.leader().ok_or("there is no leader")?;
        if !self.opened {
            return Err(format!("leader {leader} is not open in term {term}"));
        }
        let end = self.leader_report().ok_or("the leader has not reported")?.end;
        let fit = |node: &NodeId| -> Result<(), String> {
            if !self.newest().counts(node) {
                return Err(format!("{node} is no member"));
            }
            let known = &self.nodes[node];
            let Some(report) = &known.report else {
                return Err(format!("{node} has not reported"));
            };
            let lag = end.lsn.0.saturating_sub(report.durable.0);
            if node == leader {
                Err(format!("{node} leads already"))
            } else if self.state.maintenance.contains(node) {
                Err(format!("{node} is in maintenance (rule 26)"))
            } else if self.never_leads(node) {
                Err(format!("{node} has priority 0 and never leads"))
            } else if !known.is_heard(now, self.options.timing.suspicion) {
                Err(format!("{node}: {}", known.absence(now)))
            } else if report.term != term || report.leader.as_ref() != Some(leader) {
                Err(format!("{node} does not follow {leader} in term {term}"))
            } else if report.unproven {
                Err(format!("{node} is new or re-seeded (rule 16a)"))
            } else if lag > self.options.lag_bytes_max {
                Err(format!("{node} lags by {lag} bytes"))
            } else {
                Ok(())
            }
        };
        if let Some(to) = to {
            return fit(to).map(|()| to.clone());
        }
        let rank = |node: &&NodeId| {
            let durable = self.nodes[*node].report.as_ref().map(|report| report.durable);
            (self.priority(node), durable, std::cmp::Reverse(self.nodes[*node].since))
        };
        let others = || self.newest().counting().filter(|node| *node != leader);
        let refusals =
            || others().filter_map(|node| fit(node).err()).collect::<Vec<_>>().join("; ");
        others().filter(|node| fit(node).is_ok()).max_by_key(rank).cloned().ok_or_else(refusals)
    }
}
