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
    /// The longest-serving eligible node; it fetches the tail that it lacks first.
    Seniority,
}

/// What the counts depend on, in one configuration of the members. While a change of them
/// is not confirmed there are two, and an election satisfies both (P22).
#[derive(Clone, Copy, Debug)]
pub(super) struct Electorate {
    /// Members that count: N.
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
    /// Who is to lead once it holds what `node` holds, if that is somebody else.
    pub then: Option<NodeId>,
}

/// P11, rule 18: the latest log leads; among equals `preferred`, then priority, then
/// seniority, then name. The one who should lead may lack a tail: then that is said, too.
/// `suffices`: an end beyond which nothing was
/// acknowledged, where one is known; else only the latest is known to be enough.
pub(super) fn choose(
    candidates: &BTreeMap<NodeId, Candidate>,
    choice: Choice,
    preferred: Option<&NodeId>,
    suffices: Option<LogEnd>,
) -> Option<Chosen> {
    let latest = candidates.values().map(|candidate| candidate.end).max()?;
    let latest = suffices.map_or(latest, |end| end.min(latest));
    let eligible = || candidates.iter().filter(|(_, candidate)| candidate.priority > 0);
    let by_rank = |&(node, candidate): &(&NodeId, &Candidate)| {
        let rank = match choice {
            Choice::Latest => (Reverse(candidate.priority), candidate.serving_since),
            Choice::Seniority => (Reverse(0), candidate.serving_since),
        };
        (Some(node) != preferred, rank, Reverse(candidate.priority), node.clone())
    };
    let first = eligible().min_by_key(by_rank).map(|(node, _)| node)?;
    let holder = eligible().filter(|(_, candidate)| candidate.end >= latest).min_by_key(by_rank);
    let node = match holder {
        Some((node, _)) => node,
        None => candidates.iter().find(|(_, candidate)| candidate.end >= latest)?.0,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Lsn, Term};

    /// All subsets of `n` members, as bit sets.
    fn subsets(n: usize) -> std::ops::Range<u32> {
        0..1 << n
    }

    /// Whatever satisfies the counts has a member in common with every majority that
    /// could renew the old lease (or the old leader itself), and one with every set that
    /// could have committed a write: the leader, member 0, and k followers.
    #[test]
    fn sufficient_promises_meet_every_lease_and_every_commit() {
        for members in 1..=6 {
            for k in 0..members {
                let electorate =
                    Electorate { members, acks_configured: k, acks_recorded: k, weakened: false };
                for promised in subsets(members) {
                    let own_word = promised & 1 == 1;
                    let count = promised.count_ones() as usize;
                    if electorate.count(Promised { count, own_word }).is_err() {
                        continue;
                    }
                    for other in subsets(members) {
                        let size = other.count_ones() as usize;
                        let renews = other & 1 == 1 && size > members / 2;
                        assert!(!renews || other & promised != 0, "{electorate:?} {promised:b}");
                        let commits = k > 0 && other & 1 == 1 && size > k;
                        assert!(!commits || other & promised != 0, "{electorate:?} {promised:b}");
                    }
                }
            }
        }
    }

    /// One promise fewer would not do, where the old leader's is not among them.
    #[test]
    fn no_promise_is_demanded_in_vain() {
        for members in 2..=6 {
            for k in 1..members {
                let electorate =
                    Electorate { members, acks_configured: k, acks_recorded: k, weakened: false };
                let needed = electorate.needed_without_leader();
                let enough = |count| electorate.count(Promised { count, own_word: false }).is_ok();
                assert!(enough(needed) && !enough(needed - 1), "{electorate:?}");
                let free = members - (needed - 1);
                assert!(free > members / 2 || free > k, "{electorate:?}: {needed} are not needed");
            }
        }
    }

    #[test]
    fn while_weakened_only_the_last_leader_or_everybody_counts() {
        let electorate =
            Electorate { members: 3, acks_configured: 1, acks_recorded: 0, weakened: true };
        let enough = |count, own_word| electorate.count(Promised { count, own_word }).is_ok();
        assert!(!enough(2, false) && enough(1, true) && enough(3, true) && enough(3, false));
        // In configured async own word fences nobody.
        let electorate =
            Electorate { members: 3, acks_configured: 0, acks_recorded: 0, weakened: true };
        let enough = |count, own_word| electorate.count(Promised { count, own_word }).is_ok();
        assert!(!enough(1, true) && enough(2, true) && !enough(2, false));
    }

    fn candidates(of: &[(&str, u64, u64, u32, i64)]) -> BTreeMap<NodeId, Candidate> {
        let candidate = |&(name, term, lsn, priority, since): &(&str, u64, u64, u32, i64)| {
            let end = LogEnd { term: Term(term), lsn: Lsn(lsn) };
            let serving_since = Moment(since);
            (name.parse().expect("legal"), Candidate { end, priority, serving_since })
        };
        of.iter().map(candidate).collect()
    }

    #[test]
    fn the_latest_log_leads_and_ties_are_broken_in_order() {
        let chosen = |of: &[_], choice, preferred: Option<&str>| {
            let preferred = preferred.map(|name| name.parse().expect("legal"));
            choose(&candidates(of), choice, preferred.as_ref(), None)
                .map(|chosen| (chosen.node.to_string(), chosen.then.map(|node| node.to_string())))
        };
        let latest = |of: &[_]| chosen(of, Choice::Latest, None);
        let is = |node: &str| Some((node.to_owned(), None));
        let then = |node: &str, then: &str| Some((node.to_owned(), Some(then.to_owned())));
        assert_eq!(latest(&[("a", 1, 99, 9, 0), ("b", 2, 10, 1, 5)]), is("b"), "term first");
        assert_eq!(latest(&[("a", 2, 10, 9, 0), ("b", 2, 11, 1, 5)]), is("b"), "then LSN");
        assert_eq!(latest(&[("a", 2, 10, 1, 0), ("b", 2, 10, 2, 5)]), is("b"), "then priority");
        assert_eq!(latest(&[("a", 2, 10, 1, 5), ("b", 2, 10, 1, 0)]), is("b"), "then seniority");
        assert_eq!(latest(&[("b", 2, 10, 1, 0), ("a", 2, 10, 1, 0)]), is("a"), "then name");
        assert_eq!(
            latest(&[("a", 2, 11, 0, 0), ("b", 2, 10, 1, 0)]),
            then("a", "b"),
            "never leads"
        );
        assert_eq!(latest(&[("a", 2, 10, 0, 0), ("b", 2, 10, 1, 0)]), is("b"));
        assert_eq!(latest(&[("a", 2, 10, 0, 0)]), None);
        assert_eq!(latest(&[]), None);
        let lsn = LogEnd { term: Term(2), lsn: Lsn(10) };
        let of = candidates(&[("a", 2, 10, 2, 0), ("b", 2, 11, 1, 0), ("c", 2, 9, 3, 0)]);
        let known = choose(&of, Choice::Latest, None, Some(lsn)).map(|chosen| chosen.node);
        assert_eq!(known, "a".parse().ok(), "whoever is not behind what suffices");
        let senior = |of: &[_]| chosen(of, Choice::Seniority, None);
        assert_eq!(senior(&[("a", 2, 10, 1, 0), ("b", 2, 11, 9, 5)]), then("b", "a"));
        assert_eq!(senior(&[("a", 2, 11, 1, 0), ("b", 2, 11, 9, 5)]), is("a"));
        let two = [("a", 2, 11, 1, 0), ("b", 2, 11, 9, 5), ("c", 2, 10, 1, 0)];
        assert_eq!(chosen(&two, Choice::Latest, Some("a")), is("a"), "preferred among equals");
        assert_eq!(chosen(&two, Choice::Latest, Some("c")), is("b"), "but not behind others");
    }

    #[test]
    fn the_youngest_grant_is_waited_for() {
        let (second, ms) = (Duration::from_secs(1), |ms: i64| Moment(ms * 1_000_000));
        let end = |granted, ages: &[(i64, u64)]| {
            let ages = ages.iter().map(|(at, age)| (ms(*at), Duration::from_millis(*age)));
            leases_end(granted, ages, second)
        };
        assert_eq!(end(None, &[]), None);
        assert_eq!(end(Some(ms(300)), &[]), Some(ms(1300)));
        assert_eq!(end(Some(ms(300)), &[(500, 400), (600, 500)]), Some(ms(1300)));
        assert_eq!(end(Some(ms(300)), &[(500, 100), (600, 500)]), Some(ms(1400)));
    }
}
