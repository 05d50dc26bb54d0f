//! What the monitor knows of each node, and what follows for suspicion (rules 6 and 7).
use std::time::Duration;

use super::{Cluster, Command, Input, MonitorState};
use crate::cluster::{Configuration, NodeId, Role};
use crate::failover::{Moment, Report, Rule, ToMonitor, ToNode};
use crate::log::Term;

/// One node, as heard.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub connected: bool,
    /// Since when it has been connected without a break.
    pub since: Moment,
    /// The last message.
    pub heard: Option<Moment>,
    /// The last report under this monitor's incarnation.
    pub report: Option<Report>,
    /// When it last heard from the leader of that term.
    pub saw_leader: Option<(Term, Moment)>,
}

impl Known {
    /// Whether it was heard within `suspicion`.
    pub(super) fn is_heard(&self, now: Moment, suspicion: Duration) -> bool {
        self.connected && self.heard.is_some_and(|heard| now.since(heard) <= suspicion)
    }

    /// Why it is not heard.
    pub(super) fn absence(&self, now: Moment) -> String {
        match (self.heard, self.connected) {
            (None, _) => "has not been heard yet".to_owned(),
            (Some(_), false) => "its connection is gone".to_owned(),
            (Some(heard), true) => format!("silent for {} ms", now.since(heard).as_millis()),
        }
    }
}

/// What is to be thought of the leader.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Suspicion {
    /// It is there, or somebody saw it, or it is too early to tell.
    None,
    /// It is gone, and a successor can be elected.
    Confirmed(String),
    /// It is gone, but an election could not succeed.
    Blocked(Rule, String),
}

/// What is said of a node that answers and is unproven.
pub(super) const NOT_YET: &str = "counts for no election yet, rule 16a";

impl Cluster {
    /// Takes in who is there and what was heard. True if the nodes obey a newer monitor
    /// than this one has been: it has become a new incarnation.
    pub(super) fn hear(&mut self, now: Moment, input: &Input, out: &mut Vec<Command>) -> bool {
        match input {
            Input::Tick | Input::Operator { .. } => false,
            Input::Connected { node } => {
                let Some(known) = self.nodes.get_mut(node) else { return false };
                known.connected = true;
                known.since = now;
                known.heard = Some(now);
                let incarnation = self.state.incarnation;
                self.send(node, ToNode::Welcome { incarnation }, out);
                false
            }
            Input::Disconnected { node } => {
                if let Some(known) = self.nodes.get_mut(node) {
                    known.connected = false;
                }
                false
            }
            Input::Message { node, message } => self.hear_message(now, node, message, out),
        }
    }

    fn hear_message(
        &mut self,
        now: Moment,
        node: &NodeId,
        message: &ToMonitor,
        out: &mut Vec<Command>,
    ) -> bool {
        let Some(known) = self.nodes.get_mut(node) else { return false };
        known.heard = Some(known.heard.map_or(now, |heard| heard.max(now)));
        let (heard, obeyed) = match message {
            ToMonitor::Report(report) => {
                if report.incarnation == self.state.incarnation {
                    let age = report.leader_seen_ms.map(Duration::from_millis);
                    known.saw_leader = age.map(|age| (report.term, now.minus(age)));
                    known.report = Some(report.clone());
                }
                (report.term.max(report.led), report.incarnation)
            }
            ToMonitor::Refused { held, obeyed, .. } => (*held, *obeyed),
            ToMonitor::LeaseRequest { term, .. }
            | ToMonitor::Accepted { term }
            | ToMonitor::NotFetched { term, .. }
            | ToMonitor::Frozen { term, .. }
            | ToMonitor::Handover { term }
            | ToMonitor::SteppedDown { term, .. } => (*term, 0),
            ToMonitor::Promised(promise) => (promise.term, promise.incarnation),
            ToMonitor::Noticed(_) => (Term(0), 0),
        };
        self.heard = self.heard.max(heard);
        if let ToMonitor::Report(report) = message
            && obeyed == self.state.incarnation
        {
            self.hear_members(&report.roll, out);
        }
        if obeyed <= self.state.incarnation {
            return false;
        }
        let before = std::mem::replace(&mut self.state, MonitorState::lost(0, obeyed));
        self.state.term = before.term;
        // Who belongs to the cluster is no matter of who watches it.
        self.state.configuration = before.configuration;
        self.state.unconfirmed = before.unconfirmed;
        self.persist(out);
        self.answer(Err("the monitor became a new incarnation".to_owned()), out);
        self.answer_change(Err("the monitor became a new incarnation".to_owned()), out);
        self.opened = false;
        let lease_and_drift = self.options.timing.lease + self.options.timing.drift;
        self.owed_until = self.owed_until.max(now.plus(lease_and_drift));
        for known in self.nodes.values_mut() {
            known.report = None;
        }
        let incarnation = self.state.incarnation;
        for node in self.nodes.keys() {
            self.send(node, ToNode::Welcome { incarnation }, out);
        }
        true
    }

    /// The last report of the leader of the recorded term.
    pub(super) fn leader_report(&self) -> Option<&Report> {
        self.nodes.get(self.state.leader()?)?.report.as_ref()
    }

    /// Whether an election without `except` could succeed among those who were heard at
    /// `since` or later; else how many it needs, and how many there are.
    pub(super) fn can_elect(
        &self,
        now: Moment,
        except: &NodeId,
        since: Moment,
    ) -> Result<(), (usize, usize)> {
        let suspicion = self.options.timing.suspicion;
        let counts = |node: &NodeId| {
            let Some(known) = self.nodes.get(node).filter(|_| node != except) else { return false };
            known.is_heard(now, suspicion)
                && known.heard.is_some_and(|heard| heard >= since)
                && known.report.as_ref().is_some_and(|report| !report.unproven)
        };
        for list in self.lists() {
            let needed = self.electorate(list).needed_without_leader();
            let heard = list.counting().filter(|node| counts(node)).count();
            if heard < needed {
                return Err((needed, heard));
            }
        }
        Ok(())
    }

    /// Members that are not heard, or count for nothing, as a list for a sentence.
    pub(super) fn absentees(&self, now: Moment) -> String {
        let suspicion = self.options.timing.suspicion;
        let absent = self.nodes.iter().filter_map(|(node, known)| {
            if !known.is_heard(now, suspicion) {
                return Some(format!("{node} ({})", known.absence(now)));
            }
            let unproven = known.report.as_ref().is_some_and(|report| report.unproven);
            unproven.then(|| format!("{node} ({NOT_YET})"))
        });
        absent.collect::<Vec<_>>().join(", ")
    }

    /// Rules 6 and 7: own probe failing, and nobody saw the leader; and rule 28.
    pub(super) fn suspect(&self, now: Moment) -> Suspicion {
        let Some(leader) = self.state.leader() else { return Suspicion::None };
        let suspicion = self.options.timing.suspicion;
        let known = &self.nodes[leader];
        if known.is_heard(now, suspicion) || now < self.hold_off_until {
            return Suspicion::None;
        }
        // Rule 10: its process ended, and whoever supervises it may start it again.
        let ended = known.heard.filter(|_| !known.connected);
        if ended.is_some_and(|at| now.since(at) < self.options.restart_grace) {
            return Suspicion::None;
        }
        if self.nodes.iter().any(|(node, known)| node != leader && self.vetoes(now, known)) {
            return Suspicion::None;
        }
        let absence = known.absence(now);
        let can_elect = self.can_elect(now, leader, Moment(i64::MIN));
        if self.is_weakened() && can_elect.is_err() {
            return Suspicion::Blocked(
                Rule::Data,
                format!(
                    "leader {leader}: {absence}; the sync policy is weakened, so only its own report or that of every \
                     member shows what was acknowledged (P10): start {leader}, or accept the loss of what only it holds \
                     with `towline failover --allow-data-loss`"
                ),
            );
        }
        if let Err((needed, heard)) = can_elect {
            return Suspicion::Blocked(
                Rule::Data,
                format!(
                    "leader {leader}: {absence}; an election needs {needed} other members (P9, P10), {heard} are \
                     heard: missing {}; start one of them, or accept the loss of what only they hold with \
                     `towline failover --allow-data-loss`",
                    self.absentees(now)
                ),
            );
        }
        // Whoever fell silent with the leader may be as well as it is: then nobody hears this
        // monitor, and a term begun now would end a leadership that nothing is wrong with.
        let silent = known.heard.filter(|_| known.connected);
        let after = silent.map(|heard| heard.plus(self.options.timing.heartbeat * 2));
        if after.is_some_and(|after| self.can_elect(now, leader, after).is_err()) {
            return Suspicion::None;
        }
        if let Some(sentence) = self.flapping(now) {
            return Suspicion::Blocked(Rule::AntiFlap, sentence);
        }
        Suspicion::Confirmed(format!(
            "leader {leader}: {absence}; no follower saw it within {} ms",
            suspicion.as_millis()
        ))
    }

    /// Rule 7: a member that is heard and has seen the leader.
    fn vetoes(&self, now: Moment, known: &Known) -> bool {
        let suspicion = self.options.timing.suspicion;
        let saw = known.saw_leader;
        known.is_heard(now, suspicion)
            && saw.is_some_and(|(term, at)| term == self.state.term && now.since(at) <= suspicion)
    }

    /// Whether the leader, which was open, says itself that it follows; or is silent, its lease
    /// is over, and those who don't see it are so many that no majority can renew it: it
    /// acknowledges nothing, wherever it is.
    pub(super) fn leader_is_gone(&self, now: Moment) -> bool {
        let Some(leader) = self.state.leader() else { return true };
        let timing = self.options.timing;
        let silent = !self.nodes[leader].is_heard(now, timing.suspicion);
        let lease = timing.lease + timing.drift;
        let over =
            now >= self.owed_until && self.granted.is_none_or(|granted| now.since(granted) > lease);
        let is_blind = |node: &NodeId| {
            let Some(known) = self.nodes.get(node).filter(|_| node != leader) else { return false };
            known.is_heard(now, timing.suspicion)
                && !self.vetoes(now, known)
                && known.saw_leader.is_none_or(|(_, at)| now.since(at) > lease)
        };
        let blind = |list: &Configuration| list.counting().filter(|node| is_blind(node)).count();
        let follows = self.leader_report().is_some_and(|report| report.role == Role::Follower);
        follows
            || silent
                && over
                && self.lists().all(|list| blind(list) >= self.electorate(list).fence())
    }

    /// What would be lost without the members that are absent, as far as it is known.
    pub(super) fn at_stake(&self, now: Moment) -> String {
        let heard = |known: &Known| known.is_heard(now, self.options.timing.suspicion);
        let reports = |there: bool| {
            let those = self.nodes.iter().filter(move |(_, known)| heard(known) == there);
            those.filter_map(|(node, known)| Some((node, known.report.as_ref()?.end)))
        };
        let best = reports(true).max_by_key(|(_, end)| *end);
        let beyond = reports(false).filter(|(_, end)| best.is_none_or(|(_, best)| *end > best));
        let known: Vec<String> = beyond
            .map(|(node, end)| match best {
                Some((holder, held)) => format!(
                    "the log of {node} was last heard to end at {end}, that of {holder}, the latest here, ends at {held}: {} bytes",
                    end.lsn.0.saturating_sub(held.lsn.0)
                ),
                None => format!("the log of {node} was last heard to end at {end}"),
            })
            .collect();
        let what = format!("what only {} hold would be lost", self.absentees(now));
        if known.is_empty() { what } else { format!("{what}; {}", known.join("; ")) }
    }

    /// Rule 28: too many automatic failovers lately.
    pub(super) fn flapping(&self, now: Moment) -> Option<String> {
        let window = self.options.failover_window;
        let recent = self.failovers.iter().filter(|at| now.since(**at) < window).count();
        (recent >= self.options.failovers_max).then(|| {
            format!(
                "{recent} automatic failovers within {} s: the next waits until the oldest is older (rule 28); \
                 `towline failover` overrides",
                window.as_secs()
            )
        })
    }
}
