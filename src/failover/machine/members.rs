//! Nodes that join and leave (P22, rule 33).
//!
//! ```text
//!  join:  operator ─► record it, not counting ─► confirmed ─► it has caught up
//!                  ─► record it, counting ─► confirmed ─► done, or leave: whom it replaces
//!  leave: operator ─► if it leads: hand over ─► record without it ─► confirmed ─► done
//! ```
//!
//! A configuration is recorded, then told to the leader, which acts under it from there on
//! and writes it into the log. *Confirmed*: a node reports that frame as committed. Until
//! then an election satisfies the configuration confirmed last and every one recorded since:
//! whichever the leader acts under, no majority of it is left to renew the lease, and one of
//! the reports holds what it acknowledged. A leader that is appointed meanwhile is told the
//! newest, and confirms it.
//!
//! Fewer acknowledgements (`quorum` of fewer members) are recorded with the configuration;
//! more of them as the policy is restored: once the leader reports that it demands them.
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Cluster, Command};
use crate::cluster::{Configuration, Member, NodeId, Roll};
use crate::failover::election::{Electorate, Promised, Shortfall};
use crate::failover::{Moment, Report, Rule, ToNode};

/// What an operator asked for and is not done yet.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    Join {
        node: NodeId,
        /// Who leaves once it counts.
        replaces: Option<NodeId>,
    },
    Leave {
        node: NodeId,
    },
}

/// Who is to join.
pub(super) struct Joining {
    pub node: NodeId,
    pub peer: String,
    pub priority: u32,
    pub replaces: Option<NodeId>,
}

impl Cluster {
    /// The configuration that a leader is told to act under.
    pub(super) fn newest(&self) -> &Configuration {
        self.state.unconfirmed.last().unwrap_or(&self.state.configuration)
    }

    fn all_lists(&self) -> impl Iterator<Item = &Configuration> {
        std::iter::once(&self.state.configuration).chain(&self.state.unconfirmed)
    }

    /// Those that an election satisfies.
    pub(super) fn lists(&self) -> impl Iterator<Item = &Configuration> {
        let only_first = self.is_without(22);
        self.all_lists().take(if only_first { 1 } else { usize::MAX })
    }

    /// Whoever counts in one of them.
    pub(super) fn electors(&self) -> BTreeSet<NodeId> {
        self.lists().flat_map(Configuration::counting).cloned().collect()
    }

    /// Everybody who is listed, as the newest configuration that lists it says.
    pub(super) fn members(&self) -> Vec<&Member> {
        let mut members: Vec<&Member> = Vec::new();
        let newest_first = self.state.unconfirmed.iter().rev().chain([&self.state.configuration]);
        for member in newest_first.flat_map(|list| &list.members) {
            if !members.iter().any(|known| known.name == member.name) {
                members.push(member);
            }
        }
        members.sort_by(|a, b| a.name.cmp(&b.name));
        members
    }

    /// Keeps account of those who are listed, and of nobody else.
    pub(super) fn know_members(&mut self) {
        let listed = self.members().into_iter().map(|member| member.name.clone());
        let leader = self.state.appointed.iter().map(|appointed| appointed.node.clone());
        let names: BTreeSet<NodeId> = listed.chain(leader).collect();
        self.nodes.retain(|node, _| names.contains(node));
        for node in names {
            self.nodes.entry(node).or_default();
        }
    }

    /// As the file says, or else as it joined.
    pub(super) fn priority(&self, node: &NodeId) -> u32 {
        let file = self.options.members.get(node).map(|(_, priority)| *priority);
        file.or_else(|| Some(self.newest().get(node)?.priority)).unwrap_or_default()
    }

    /// What counts in one configuration.
    pub(super) fn electorate(&self, list: &Configuration) -> Electorate {
        let acks_configured = self.options.policy.acks(list.size());
        let acks_recorded = self.state.acks.min(acks_configured);
        Electorate {
            members: list.size(),
            acks_configured,
            acks_recorded,
            weakened: self.state.weakened || acks_recorded < acks_configured && acks_recorded == 0,
        }
    }

    /// Follower acknowledgements that the configured policy demands of the newest members.
    pub(super) fn acks_configured(&self) -> usize {
        self.options.policy.acks(self.newest().size())
    }

    /// Nobody is elected without the last leader's report, or everybody's.
    pub(super) fn is_weakened(&self) -> bool {
        self.lists().any(|list| self.electorate(list).weakened)
    }

    /// Whether the promises of these suffice, in every configuration.
    pub(super) fn count(&self, promised: &BTreeSet<NodeId>) -> Result<(), Shortfall> {
        let last = self.state.appointed.as_ref();
        let own_word = last.is_some_and(|last| promised.contains(&last.node));
        self.lists().try_for_each(|list| {
            let count = list.counting().filter(|node| promised.contains(*node)).count();
            self.electorate(list).count(Promised { count, own_word })
        })
    }

    /// Whether it has reported to this incarnation.
    pub(super) fn reported(&self, node: &NodeId) -> bool {
        self.nodes.get(node).is_some_and(|known| known.report.is_some())
    }

    /// An operator has a node join.
    pub(super) fn add(&mut self, now: Moment, id: u64, joining: Joining, out: &mut Vec<Command>) {
        if let Err(refusal) = self.may_join(&joining) {
            return self.refuse_change(id, refusal, out);
        }
        let Joining { node, peer, priority, replaces } = joining;
        self.answer_change(Err("superseded by another command".to_owned()), out);
        self.asked_change = Some(id);
        self.state.change = Some(Change::Join { node: node.clone(), replaces });
        if self.newest().get(&node).is_some() {
            // It was joining when the monitor forgot about it.
            self.persist(out);
            self.change_members(now, out);
            return;
        }
        let member = Member { name: node.clone(), peer, priority, counts: false };
        let reason = format!("an operator: {node} joins, and counts once it has caught up");
        self.propose(self.newest().with(member), reason, out);
    }

    fn may_join(&self, joining: &Joining) -> Result<(), String> {
        let Joining { node, peer, replaces, priority } = joining;
        self.may_change(None)?;
        let port = peer.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
        if !matches!(port, Some((host, Ok(_))) if !host.is_empty()) {
            return Err(format!("{peer:?} is not HOST:PORT"));
        }
        let newest = self.newest();
        if newest.counts(node) {
            return Err(format!("{node} is a member already"));
        }
        let same =
            newest.members.iter().find(|member| member.peer == *peer && member.name != *node);
        if let Some(other) = same {
            return Err(format!("{} is at {peer} already", other.name));
        }
        if let Some(old) = replaces {
            if !newest.counts(old) {
                return Err(format!("{old} is no member"));
            }
            self.is_unnamed(old)?;
            if *priority == 0 && newest.counting().all(|it| it == old || self.never_leads(it)) {
                return Err(format!("without {old} nobody may lead (rule 26)"));
            }
        }
        let member =
            Member { name: node.clone(), peer: peer.clone(), priority: *priority, counts: false };
        if newest.with(member).to_json().len() > Configuration::BYTES_MAX {
            return Err("a cluster can't have so many members".to_owned());
        }
        Ok(())
    }

    /// An operator has a node leave.
    pub(super) fn leave(&mut self, now: Moment, id: u64, node: NodeId, out: &mut Vec<Command>) {
        let refused = self.may_change(Some(&node)).and_then(|()| self.may_leave(now, &node));
        if let Err(refusal) = refused {
            return self.refuse_change(id, refusal, out);
        }
        self.answer_change(Err(format!("an operator has {node} leave")), out);
        self.asked_change = Some(id);
        self.note(Rule::Members, format!("an operator: {node} is to leave"), None, out);
        self.state.change = Some(Change::Leave { node });
        self.persist(out);
    }

    /// One at a time; but who is joining may be sent away.
    fn may_change(&self, leaving: Option<&NodeId>) -> Result<(), String> {
        let sends_away = match &self.state.change {
            None => true,
            Some(Change::Join { node, .. }) => leaving == Some(node),
            Some(Change::Leave { .. }) => false,
        };
        match self.change_under_way() {
            Some(sentence) if !sends_away || !self.state.unconfirmed.is_empty() => {
                Err(format!("members change one at a time (P22), and {sentence}"))
            }
            _ if !self.opened => Err("no leader is open".to_owned()),
            _ => Ok(()),
        }
    }

    /// Whether the others can do without it.
    fn may_leave(&self, now: Moment, node: &NodeId) -> Result<(), String> {
        let newest = self.newest();
        let member = newest.get(node).ok_or_else(|| format!("{node} is no member"))?;
        if !member.counts {
            return Ok(());
        }
        self.is_unnamed(node)?;
        let rest = newest.without(node);
        if rest.size() == 0 {
            return Err(format!("{node} is the only member"));
        }
        if rest.counting().all(|other| self.never_leads(other)) {
            return Err(format!("without {node} nobody may lead (rule 26)"));
        }
        let wanted = self.options.policy.acks(rest.size());
        // One of those who are left leads, the rest follow.
        let followers = rest.counting().filter(|other| self.follows(now, other)).count();
        let followers = followers.saturating_sub(1);
        if followers < wanted {
            return Err(format!(
                "without {node} only {followers} followers are left, and the policy demands {wanted}: start the others, or \
                 add a node first"
            ));
        }
        if self.state.leader() == Some(node) {
            self.successor(now, None)?;
        }
        Ok(())
    }

    fn is_unnamed(&self, node: &NodeId) -> Result<(), String> {
        let policy = &self.options.policy;
        let named = policy.names().is_some_and(|names| names.contains(node));
        if named { Err(format!("policy \"{policy}\" names {node}")) } else { Ok(()) }
    }

    /// Whether it is heard, counts, and is in the recorded term.
    pub(super) fn follows(&self, now: Moment, node: &NodeId) -> bool {
        let Some(known) = self.nodes.get(node) else { return false };
        let term = self.state.term;
        known.is_heard(now, self.options.timing.suspicion)
            && known.report.as_ref().is_some_and(|it| it.term == term && !it.unproven)
    }

    /// How far behind a node is that follows the present leader, bytes.
    fn behind(&self, now: Moment, node: &NodeId) -> Option<u64> {
        let end = self.leader_report()?.end.lsn.0;
        let report = self.nodes.get(node)?.report.as_ref()?;
        let follows = self.follows(now, node) && report.leader.as_ref() == self.state.leader();
        follows.then(|| end.saturating_sub(report.durable.0))
    }

    /// Takes the next step of what is under way, if it can be taken. Answers who leads and
    /// is to leave, and who could take over.
    pub(super) fn change_members(
        &mut self,
        now: Moment,
        out: &mut Vec<Command>,
    ) -> Option<(NodeId, NodeId)> {
        if !self.state.unconfirmed.is_empty() {
            return None;
        }
        match self.state.change.clone()? {
            Change::Join { node, replaces } => match self.newest().get(&node).cloned() {
                None => self.end_change(Err(format!("{node} is listed no more")), out),
                Some(member) if !member.counts => {
                    let behind = self.behind(now, &node)?;
                    if behind <= self.options.lag_bytes_max {
                        let reason = format!("{node} has caught up, and counts");
                        self.propose(
                            self.newest().with(Member { counts: true, ..member }),
                            reason,
                            out,
                        );
                    }
                }
                Some(_) => match replaces.filter(|old| self.newest().get(old).is_some()) {
                    Some(old) => {
                        let reason = format!("{old}, which {node} replaces, is to leave");
                        self.note(Rule::Members, reason, None, out);
                        self.state.change = Some(Change::Leave { node: old });
                        self.persist(out);
                    }
                    None => self.end_change(Ok(format!("{node} is a member")), out),
                },
            },
            Change::Leave { node } => {
                if self.newest().get(&node).is_none() {
                    self.end_change(Ok(format!("{node} is a member no more")), out);
                } else if self.may_leave(now, &node).is_err() {
                    // It may be able to later.
                } else if self.state.leader() == Some(&node) {
                    return Some((node, self.successor(now, None).ok()?));
                } else {
                    let reason = format!("{node} leaves");
                    self.propose(self.newest().without(&node), reason, out);
                }
            }
        }
        None
    }

    /// Records a configuration, then tells the leader.
    fn propose(&mut self, next: Configuration, reason: String, out: &mut Vec<Command>) {
        let configured = self.options.policy.acks(next.size());
        let reason = format!("{reason}: configuration {}", next.version);
        self.state.unconfirmed.push(next);
        self.know_members();
        if configured < self.state.acks {
            self.state.acks = configured;
            self.state.policy_version += 1;
        }
        self.persist(out);
        self.note(Rule::Members, reason, None, out);
        self.tell_members(out);
    }

    fn tell_members(&self, out: &mut Vec<Command>) {
        let Some(leader) = self.state.leader() else { return };
        let message = ToNode::Members {
            term: self.state.term,
            configuration: self.newest().clone(),
            acks: self.acks_wanted(),
            version: self.state.policy_version,
        };
        self.send(leader, message, out);
    }

    /// Tells the leader again what it does not know yet.
    pub(super) fn note_members(&self, report: &Report, out: &mut Vec<Command>) {
        if report.roll.newest().version < self.newest().version {
            self.tell_members(out);
        }
    }

    /// What a node knows of the members: that a configuration is committed, or one that this
    /// monitor has forgotten.
    pub(super) fn hear_members(&mut self, roll: &Roll, out: &mut Vec<Command>) {
        if roll.committed.version > self.state.configuration.version && roll.committed.size() > 0 {
            let version = roll.committed.version;
            self.state.configuration = roll.committed.clone();
            self.state.unconfirmed.retain(|it| it.version > version);
            let listed: BTreeSet<NodeId> =
                self.members().into_iter().map(|member| member.name.clone()).collect();
            self.state.maintenance.retain(|node| listed.contains(node));
            self.know_members();
            self.persist(out);
            let names: Vec<&str> = self.newest().counting().map(NodeId::as_str).collect();
            let reason =
                format!("configuration {version} is confirmed: {} count", names.join(", "));
            self.note(Rule::Members, reason, None, out);
        }
        if let Some(pending) = &roll.pending
            && pending.version > self.newest().version
            && pending.size() > 0
        {
            self.state.unconfirmed.push(pending.clone());
            self.know_members();
            self.persist(out);
            let reason = format!("configuration {} is heard of, unconfirmed", pending.version);
            self.note(Rule::Members, reason, None, out);
        }
    }

    /// Who is chosen belongs to the members that it is told, even if it was to leave. The
    /// record is the appointment's.
    pub(super) fn keep_member(&mut self, node: &NodeId, out: &mut Vec<Command>) {
        if self.newest().counts(node) {
            return;
        }
        let Some(member) = self.members().into_iter().find(|member| member.name == *node).cloned()
        else {
            return;
        };
        let next = self.newest().with(Member { counts: true, ..member });
        let reason = format!("{node} is to lead, and stays: configuration {}", next.version);
        self.note(Rule::Members, reason.clone(), None, out);
        self.state.unconfirmed.push(next);
        self.state.change = None;
        self.answer_change(Err(reason), out);
    }

    /// Says how far what is under way is.
    pub(super) fn change_under_way(&self) -> Option<String> {
        let now = self.last_step;
        if let Some(next) = self.state.unconfirmed.last() {
            return Some(format!(
                "configuration {} waits for the leader to confirm it",
                next.version
            ));
        }
        Some(match self.state.change.as_ref()? {
            Change::Join { node, .. } => match self.behind(now, node) {
                Some(bytes) => format!("{node} is joining, {bytes} bytes behind"),
                None => format!("{node} is joining, and does not follow yet"),
            },
            Change::Leave { node } => match self.may_leave(now, node) {
                Err(refusal) => format!("{node} is to leave, but {refusal}"),
                Ok(()) => format!("{node} is to leave"),
            },
        })
    }

    /// Gives up what is under way, or notes that it is done.
    pub(super) fn end_change(&mut self, result: Result<String, String>, out: &mut Vec<Command>) {
        self.state.change = None;
        self.persist(out);
        let (Ok(sentence) | Err(sentence)) = &result;
        self.note(Rule::Members, sentence.clone(), None, out);
        self.answer_change(result, out);
    }

    fn refuse_change(&self, id: u64, refusal: String, out: &mut Vec<Command>) {
        self.note(Rule::Members, format!("refused: {refusal}"), None, out);
        out.push(Command::Answer { id, result: Err(refusal) });
    }

    /// Answers the operator who waits for a change of members, if one does.
    pub(super) fn answer_change(&mut self, result: Result<String, String>, out: &mut Vec<Command>) {
        if let Some(id) = self.asked_change.take() {
            out.push(Command::Answer { id, result });
        }
    }
}
