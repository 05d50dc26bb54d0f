//! From the end of one leadership to the beginning of the next (P7 to P14).
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::fetching::Fetching;
use super::known::NOT_YET;
use super::watching::Watching;
use super::{Appointed, Asked, Candidate, Cluster, Command, Input, Operator, Phase};
use crate::cluster::{NodeId, Role};
use crate::failover::election::{Chosen, Shortfall, choose, leases_end, missing};
use crate::failover::{Appointment, Moment, PromiseMade, Rule, ToMonitor, ToNode};
use crate::log::LogEnd;

/// Why there is an election, and what is special about it.
#[derive(Debug)]
pub(super) struct Cause {
    rule: Rule,
    reason: String,
    automatic: bool,
    /// Missing reports are accepted as lost.
    forced: bool,
    /// Who is to lead if it holds everything.
    preferred: Option<NodeId>,
}

impl Cause {
    /// Nobody's wish: counts for rule 28.
    pub(super) fn automatic(rule: Rule, reason: String) -> Self {
        Self { rule, reason, automatic: true, forced: false, preferred: None }
    }

    /// The same, with a wish who is to lead.
    pub(super) fn preferring(self, preferred: Option<NodeId>) -> Self {
        Self { preferred, ..self }
    }

    pub(super) fn planned(rule: Rule, reason: String, preferred: Option<NodeId>) -> Self {
        Self { rule, reason, automatic: false, forced: false, preferred }
    }

    /// The election under way, in a new term.
    pub(super) fn again(rule: Rule, reason: String, cluster: &Cluster) -> Self {
        Self { rule, reason, automatic: cluster.automatic, forced: false, preferred: None }
    }

    pub(super) fn forced(reason: String) -> Self {
        Self { rule: Rule::AcceptedLoss, reason, automatic: false, forced: true, preferred: None }
    }
}

/// Collects promises.
#[derive(Debug)]
pub(super) struct Promising {
    promises: BTreeMap<NodeId, (Moment, PromiseMade)>,
    since: Moment,
    forced: bool,
    preferred: Option<NodeId>,
}

/// Waits for the chosen node to accept.
#[derive(Debug)]
pub(super) struct Appointing {
    node: NodeId,
    since: Moment,
}

impl Promising {
    /// P7: a new durable term above every term heard, and promises for it.
    pub(super) fn begin(
        now: Moment,
        cause: Cause,
        cluster: &mut Cluster,
        out: &mut Vec<Command>,
    ) -> Phase {
        let term = cluster.state.term.max(cluster.heard).next();
        cluster.state.term = term;
        cluster.heard = term;
        cluster.state.rebuilt = true;
        cluster.opened = false;
        cluster.then = None;
        cluster.automatic = cause.automatic;
        cluster.persist(out);
        cluster.enter("promising", cause.rule, cause.reason, out);
        cluster.unblock();
        let phase = Self {
            promises: BTreeMap::new(),
            since: now,
            forced: cause.forced,
            preferred: cause.preferred,
        };
        phase.ask_missing(cluster, out);
        Phase::Promising(phase)
    }

    fn ask_missing(&self, cluster: &Cluster, out: &mut Vec<Command>) {
        for node in cluster.electors() {
            if !self.promises.contains_key(&node) {
                Self::ask(&node, cluster, out);
            }
        }
    }

    fn ask(node: &NodeId, cluster: &Cluster, out: &mut Vec<Command>) {
        let (term, incarnation) = (cluster.state.term, cluster.state.incarnation);
        cluster.send(node, ToNode::PromiseRequest { term, incarnation }, out);
    }

    pub(super) fn step(
        mut self,
        now: Moment,
        input: Input,
        cluster: &mut Cluster,
        out: &mut Vec<Command>,
    ) -> Phase {
        if cluster.heard > cluster.state.term {
            let reason = format!("term {} was heard: above it", cluster.heard);
            let cause = Cause {
                rule: Rule::Terms,
                reason,
                automatic: cluster.automatic,
                forced: self.forced,
                preferred: self.preferred,
            };
            return Self::begin(now, cause, cluster, out);
        }
        match input {
            Input::Message { node, message: ToMonitor::Promised(promise) } => {
                // A promise to another incarnation, or of an older term, does not count.
                if promise.term != cluster.state.term
                    || promise.incarnation != cluster.state.incarnation
                    || !cluster.electors().contains(&node)
                {
                    return Phase::Promising(self);
                }
                self.promises.insert(node, (now, promise));
            }
            Input::Message { node, message: ToMonitor::Report(_) } => {
                if !self.promises.contains_key(&node)
                    && cluster.nodes.get(&node).is_some_and(|known| known.report.is_some())
                {
                    Self::ask(&node, cluster, out);
                }
            }
            Input::Operator { id, operator } => self.operator(now, id, &operator, cluster, out),
            Input::Tick
            | Input::Connected { .. }
            | Input::Disconnected { .. }
            | Input::Message { .. } => {}
        }
        self.maybe_choose(now, cluster, out)
    }

    fn operator(
        &mut self,
        now: Moment,
        id: u64,
        operator: &Operator,
        cluster: &mut Cluster,
        out: &mut Vec<Command>,
    ) {
        let result = match operator {
            Operator::Failover { allow_data_loss: true } => {
                self.forced = true;
                cluster.answer(Err("superseded by another command".to_owned()), out);
                cluster.asked = Some(Asked { id, to: None });
                let reason = format!("an operator accepts loss: {}", cluster.at_stake(now));
                cluster.note(Rule::AcceptedLoss, reason, None, out);
                return;
            }
            Operator::Failover { allow_data_loss: false } => {
                Err(cluster.blocked.as_ref().map_or_else(
                    || "an election is under way".to_owned(),
                    |(_, sentence)| format!("{sentence}; {}", cluster.at_stake(now)),
                ))
            }
            Operator::Switchover { .. }
            | Operator::Weaken { .. }
            | Operator::Restore
            | Operator::Maintenance { .. }
            | Operator::Add { .. }
            | Operator::Drop { .. } => {
                Err("an election is under way: there is no leader".to_owned())
            }
        };
        out.push(Command::Answer { id, result });
    }

    /// The promises that count. New and re-seeded nodes count for nothing, unless all
    /// members are that and all have answered: then nobody knows more than they do.
    fn counted(&self, cluster: &Cluster) -> BTreeSet<NodeId> {
        let all_new = self.promises.len() == cluster.electors().len()
            && self.promises.values().all(|(_, promise)| promise.unproven);
        let anybody = all_new || self.forced || cluster.is_without(21);
        let electors = cluster.electors();
        let counts = |promise: &PromiseMade| anybody || !promise.unproven;
        let counted = self.promises.iter();
        // Who is no member any more may have promised before.
        let counted =
            counted.filter(|(node, (_, promise))| counts(promise) && electors.contains(*node));
        counted.map(|(node, _)| node.clone()).collect()
    }

    /// What the election still needs, and what an operator can do.
    fn shortage(
        &self,
        shortfall: &Shortfall,
        last: Option<&NodeId>,
        counted: &BTreeSet<NodeId>,
        cluster: &Cluster,
    ) -> String {
        let needed = match (shortfall.needed, last) {
            (Some(needed), _) => format!("{needed} promises"),
            (None, Some(last)) => {
                format!("the report of the last leader {last}, or of every member")
            }
            (None, None) => "the report of every member".to_owned(),
        };
        let missing = missing(cluster.electors().iter(), counted).into_iter();
        let missing = missing.map(|node| match self.promises.contains_key(&node) {
            true => format!("{node} ({NOT_YET})"),
            false => node.to_string(),
        });
        format!(
            "the election of term {} needs {needed} (rule {}), {} count: missing {}; start what \
             is down, or accept the loss of what only they hold with `towline failover \
             --allow-data-loss`",
            cluster.state.term,
            shortfall.rule,
            counted.len(),
            missing.collect::<Vec<_>>().join(", "),
        )
    }

    fn maybe_choose(self, now: Moment, cluster: &mut Cluster, out: &mut Vec<Command>) -> Phase {
        let counted = self.counted(cluster);
        let last = cluster.state.appointed.as_ref().map(|appointed| appointed.node.clone());
        let own_word = last.as_ref().is_some_and(|node| counted.contains(node));
        let enough = match cluster.count(&counted) {
            Err(shortfall) if shortfall.rule == Rule::Fence && cluster.is_without(9) => {
                !counted.is_empty()
            }
            Err(shortfall) if shortfall.rule == Rule::Data && cluster.is_without(10) => true,
            Err(_) if self.forced => !counted.is_empty(),
            Err(shortfall) => {
                if now.since(self.since) >= cluster.options.timing.heartbeat * 2 {
                    let sentence = self.shortage(&shortfall, last.as_ref(), &counted, cluster);
                    cluster.block(shortfall.rule, sentence, out);
                }
                false
            }
            Ok(()) => true,
        };
        if !enough || self.waits_for_preferred(now, own_word, cluster) {
            return Phase::Promising(self);
        }
        let candidates = self.candidates(now, &counted, cluster);
        // P11: while weakened, whoever is not behind the last leader holds all.
        let suffices = last.as_ref().filter(|_| cluster.is_weakened() && own_word);
        let suffices = suffices.and_then(|last| Some(candidates.get(last)?.end));
        let preferred = self.preferred.as_ref();
        let Some(chosen) = choose(&candidates, cluster.options.choose, preferred, suffices) else {
            let sentence = "every node that answered has priority 0 or is in maintenance (rule 26): start another, \
                            raise a priority, or end a maintenance";
            cluster.block(Rule::Choose, sentence.to_owned(), out);
            return Phase::Promising(self);
        };
        let end = candidates[&chosen.node].end;
        if let Some(sentence) = self.too_far_behind(own_word, &chosen, end.lsn.0, cluster) {
            cluster.block(Rule::LagGuard, sentence, out);
            return Phase::Promising(self);
        }
        self.owe_leases(now, own_word, cluster);
        let chosen = match chosen.then {
            // Rule 18; P18 is of nodes.
            Some(node) if cluster.is_without(18) => Chosen { node, then: None },
            then => Chosen { then, ..chosen },
        };
        if let Some(to) = &chosen.then
            && cluster.is_connected(to)
            && cluster.is_connected(&chosen.node)
        {
            return Fetching::begin(now, to.clone(), chosen.node, end, cluster, out);
        }
        let rule = if self.forced { Rule::AcceptedLoss } else { Rule::Choose };
        Appointing::begin(
            now,
            chosen,
            rule,
            match suffices {
                Some(suffices) if end >= suffices => {
                    format!("it is not behind the last leader, and holds all up to {end}")
                }
                _ => format!("of {} it holds the latest log, up to {end}", list(&counted)),
            },
            cluster,
            out,
        )
    }

    fn candidates(
        &self,
        now: Moment,
        counted: &BTreeSet<NodeId>,
        cluster: &Cluster,
    ) -> BTreeMap<NodeId, Candidate> {
        let candidate = |node: &NodeId| Candidate {
            end: if cluster.is_without(11) { LogEnd::default() } else { self.promises[node].1.end },
            // Who is leaving leads only as long as nobody else holds what it holds.
            priority: if cluster.never_leads(node) || !cluster.newest().counts(node) {
                0
            } else {
                cluster.priority(node)
            },
            serving_since: cluster.nodes.get(node).map_or(now, |known| known.since),
        };
        counted.iter().map(|node| (node.clone(), candidate(node))).collect()
    }

    /// P12. Own word cancels its own lease's part only; what is owed for older terms stays.
    fn owe_leases(&self, now: Moment, own_word: bool, cluster: &mut Cluster) {
        let timing = cluster.options.timing;
        let lease_and_drift = timing.lease + timing.drift;
        let promises = self.promises.values();
        let ages = promises
            .map(|(receipt, promise)| (*receipt, Duration::from_nanos(promise.grant_age_ns)));
        let part = if self.forced {
            Some(now.plus(lease_and_drift))
        } else if own_word {
            None
        } else {
            leases_end(cluster.granted, ages, lease_and_drift)
        };
        if let Some(part) = part {
            cluster.owed_until = cluster.owed_until.max(part);
        }
    }

    /// A planned hand-over waits a little for the two that it is about.
    fn waits_for_preferred(&self, now: Moment, own_word: bool, cluster: &Cluster) -> bool {
        let Some(preferred) = &self.preferred else { return false };
        let there = own_word && self.promises.contains_key(preferred);
        !there && now.since(self.since) < cluster.options.timing.suspicion
    }

    /// Rule 19: in async what the leader held last, as far as heard, must not be far ahead.
    fn too_far_behind(
        &self,
        own_word: bool,
        chosen: &Chosen,
        end: u64,
        cluster: &Cluster,
    ) -> Option<String> {
        let last = cluster.state.appointed.as_ref()?;
        let known = cluster.nodes.get(&last.node)?.report.as_ref()?.end.lsn.0;
        let lag = known.saturating_sub(end);
        let guarded = cluster.acks_configured() == 0 && !own_word && !self.forced;
        (guarded && lag > cluster.options.lag_bytes_max).then(|| {
            format!(
                "{} is the best candidate and lies {lag} bytes behind what {} held (rule 19): start {}, or accept the loss \
                 with `towline failover --allow-data-loss`",
                chosen.node, last.node, last.node
            )
        })
    }
}

impl Appointing {
    /// P13: recorded, then sent.
    pub(super) fn begin(
        now: Moment,
        chosen: Chosen,
        rule: Rule,
        reason: String,
        cluster: &mut Cluster,
        out: &mut Vec<Command>,
    ) -> Phase {
        let Chosen { node, then } = chosen;
        cluster.keep_member(&node, out);
        if !cluster.is_without(13) {
            cluster.state.appointed =
                Some(Appointed { term: cluster.state.term, node: node.clone() });
            cluster.persist(out);
        }
        cluster.then = then;
        cluster.enter("appointing", rule, format!("{node} is chosen: {reason}"), out);
        cluster.unblock();
        let phase = Self { node, since: now };
        phase.appoint(now, cluster, out);
        if cluster.is_without(13) {
            cluster.state.appointed =
                Some(Appointed { term: cluster.state.term, node: phase.node.clone() });
        }
        Phase::Appointing(phase)
    }

    fn appoint(&self, now: Moment, cluster: &Cluster, out: &mut Vec<Command>) {
        let mut wait = cluster.owed_until.since(now);
        if cluster.is_without(12) {
            wait = Duration::ZERO;
        }
        let appointment = Appointment {
            term: cluster.state.term,
            incarnation: cluster.state.incarnation,
            wait_ns: u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX),
            acks: cluster.acks_wanted(),
            policy_version: cluster.state.policy_version,
            configuration: cluster.newest().clone(),
        };
        cluster.send(&self.node, ToNode::Appoint(appointment), out);
    }

    pub(super) fn step(
        self,
        now: Moment,
        input: Input,
        cluster: &mut Cluster,
        out: &mut Vec<Command>,
    ) -> Phase {
        let timing = cluster.options.timing;
        if cluster.heard > cluster.state.term {
            let reason = format!(
                "term {} was heard, above the recorded {}",
                cluster.heard, cluster.state.term
            );
            let cause = Cause::again(Rule::Trigger, reason, cluster);
            return Promising::begin(now, cause, cluster, out);
        }
        let term = cluster.state.term;
        match &input {
            Input::Message { node, message } if *node == self.node => {
                let accepted = match message {
                    ToMonitor::Accepted { term: accepted }
                    | ToMonitor::LeaseRequest { term: accepted, .. } => *accepted == term,
                    ToMonitor::Report(report) => {
                        report.term == term && report.role != Role::Follower
                    }
                    _ => false,
                };
                if accepted {
                    let reason = format!("{node} accepted term {term}");
                    return Watching::enter(now, Rule::Recorded, reason, cluster, out);
                }
                let gave_up = match message {
                    ToMonitor::Report(report) => {
                        report.led == term && report.role == Role::Follower
                    }
                    ToMonitor::SteppedDown { term: ended, .. } => *ended == term,
                    _ => false,
                };
                if gave_up {
                    let reason = format!("{node} gave term {term} up");
                    let cause = Cause::again(Rule::Silent, reason, cluster);
                    return Promising::begin(now, cause, cluster, out);
                }
            }
            Input::Tick => self.appoint(now, cluster, out),
            Input::Operator { id, operator: Operator::Failover { allow_data_loss } } => {
                if *allow_data_loss {
                    cluster.answer(Err("superseded by another command".to_owned()), out);
                    cluster.asked = Some(Asked { id: *id, to: None });
                    return Promising::begin(
                        now,
                        Cause::forced("an operator accepts loss".into()),
                        cluster,
                        out,
                    );
                }
                let result = Err("an election is under way".to_owned());
                out.push(Command::Answer { id: *id, result });
            }
            Input::Operator { id, .. } => {
                let result = Err("an election is under way".to_owned());
                out.push(Command::Answer { id: *id, result });
            }
            _ => {}
        }
        let connected = cluster.is_connected(&self.node);
        // Rule 9: what the monitor slept through, or spent on its own disk, is no silence.
        let silent = now.since(self.since.max(cluster.woke)) > timing.suspicion;
        if !connected || silent {
            // P14: its report is required where the policy is weakened, as it was appointed.
            let reason = format!("{} does not answer its appointment", self.node);
            let cause = Cause::again(Rule::Silent, reason, cluster);
            return Promising::begin(now, cause, cluster, out);
        }
        Phase::Appointing(self)
    }
}

/// Names, for a sentence.
fn list<'a>(nodes: impl IntoIterator<Item = &'a NodeId>) -> String {
    nodes.into_iter().map(NodeId::as_str).collect::<Vec<_>>().join(", ")
}
