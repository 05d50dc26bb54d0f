//! The arithmetic of an election: which promises suffice (P9, P10), who is chosen (P11),
//! and how long older leases may still run (P12). Small and without state, so that tests
//! can walk it exhaustively.
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Moment, Rule};
use crate::cluster::NodeId;
use crate::log::LogEnd;

/// Which candidate is preferred.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Choice {
    /// The latest log; ties by priority, then seniority, then name.
    Latest,
    /// The longest-serving eligible node; it takes over once it has the latest log.
    Seniority,
}

/// What the counts depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Electorate {
    /// Members: N.
    pub members: usize,
    /// Follower acknowledgements that the configured policy demands.
    pub acks_configured: usize,
    /// Those that the recorded policy demands: k. Never more than is practised.
    pub acks_recorded: usize,
    /// The policy in force is, or must be taken to be, weaker than configured.
    pub weakened: bool,
}

/// Who has promised the new term.
#[derive(Clone, Copy, Debug)]
pub(super) struct Promised {
    /// Members whose promise counts.
    pub count: usize,
    /// The last appointed leader is one of them: its own word.
    pub own_word: bool,
}

/// Too few promises: the rule, and how many are needed in all (`None`: the last
/// appointed leader's, or everybody's).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Shortfall {
    pub rule: Rule,
    pub needed: Option<usize>,
}

impl Electorate {
    fn majority(&self) -> usize {
        self.members / 2 + 1
    }

    /// Promises after which no majority of the members can renew the old lease.
    pub(super) fn fence(&self) -> usize {
        self.members - self.majority() + 1
    }

    /// Reports of which one holds every acknowledged write.
    pub(super) fn reports(&self) -> usize {
        self.members.saturating_sub(self.acks_recorded).max(1)
    }

    /// Promises without the old leader that let an election succeed.
    pub(super) fn needed_without_leader(&self) -> usize {
        if self.weakened {
            self.members
        } else if self.acks_configured == 0 {
            self.fence()
        } else {
            self.fence().max(self.reports())
        }
    }

    /// Whether the promises suffice.
    pub(super) fn count(&self, promised: Promised) -> Result<(), Shortfall> {
        // P9. In configured async nothing but the fence keeps a term from being used twice.
        let fenced =
            promised.count >= self.fence() || (self.acks_configured > 0 && promised.own_word);
        if !fenced {
            return Err(Shortfall { rule: Rule::Fence, needed: Some(self.fence()) });
        }
        // P10. While weakened only the last leader, or everybody, knows all.
        if self.weakened {
            if promised.own_word || promised.count >= self.members {
                return Ok(());
            }
            return Err(Shortfall { rule: Rule::Data, needed: None });
        }
        if self.acks_recorded > 0 && promised.count < self.reports() {
            return Err(Shortfall { rule: Rule::Data, needed: Some(self.reports()) });
        }
        Ok(())
    }
}

/// A member that promised, as a candidate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Candidate {
    pub end: LogEnd,
    /// 0: never leads.
    pub priority: u32,
    /// Since when it serves without a break.
    pub serving_since: Moment,
}

/// Who leads next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Chosen {
    pub node: NodeId,
    /// Who is to lead as soon as it holds what `node` holds, if that is somebody else.
    pub then: Option<NodeId>,
}

/// P11, rule 18: the latest log leads; among equals `preferred`, then priority, then
/// seniority, then name. Where the one who should lead lacks a tail, the one who has it
/// leads until it has handed it over.
pub(super) fn choose(
    candidates: &BTreeMap<NodeId, Candidate>,
    choice: Choice,
    preferred: Option<&NodeId>,
) -> Option<Chosen> {
    let latest = candidates.values().map(|candidate| candidate.end).max()?;
    let eligible = || candidates.iter().filter(|(_, candidate)| candidate.priority > 0);
    let by_rank = |&(node, candidate): &(&NodeId, &Candidate)| {
        let rank = match choice {
            Choice::Latest => (Reverse(candidate.priority), candidate.serving_since),
            Choice::Seniority => (Reverse(0), candidate.serving_since),
        };
        (Some(node) != preferred, rank, Reverse(candidate.priority), node.clone())
    };
    let first = eligible().min_by_key(by_rank).map(|(node, _)| node)?;
    let holder = eligible().filter(|(_, candidate)| candidate.end == latest).min_by_key(by_rank);
    let node = match holder {
        Some((node, _)) => node,
        None => candidates.iter().find(|(_, candidate)| candidate.end == latest)?.0,
    };
    let wishes_first = choice == Choice::Seniority || holder.is_none();
    let then = (wishes_first && node != first).then(|| first.clone());
    Some(Chosen { node: node.clone(), then })
}

/// Promises that are missing for certain, for a sentence to the operator.
pub(super) fn missing<'a>(
    members: impl Iterator<Item = &'a NodeId>,
    promised: &BTreeSet<NodeId>,
) -> Vec<NodeId> {
    members.filter(|member| !promised.contains(*member)).cloned().collect()
}

/// P12: until when a lease of the last appointed leader may run, on the monitor's clock.
/// `granted`: the monitor's own last grant; `promises`: receipt and age of the promiser's
/// last grant. A lease of a majority had a grant of one who promised, and that was made
/// no later than receipt minus age; a lease of the monitor is as old as its last grant.
pub(super) fn leases_end(
    granted: Option<Moment>,
    promises: impl Iterator<Item = (Moment, Duration)>,
    lease_and_drift: Duration,
) -> Option<Moment> {
    let youngest = promises.map(|(receipt, age)| receipt.minus(age)).max();
    granted.max(youngest).map(|moment| moment.plus(lease_and_drift))
}
