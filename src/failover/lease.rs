//! Until when a leader may acknowledge (P3, P5, rules 11 and 13).
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Moment;
use crate::cluster::NodeId;

/// A leader's lease in one term: from the monitor's grant, or from grants of a majority
/// of the members, itself included. Each grant runs from the *sending* of the request
/// that it echoes, on the leader's own clock.
///
/// ```text
///   asked monitor ──── granted ──────────────► asked + length
///   asked members ──── granted, granted ─────► ⌊N/2⌋+1-th latest of what was asked + length
///                                     lease:   the later of both
/// ```
///
/// Invariant: while the members are the same the end never moves backwards; a new term
/// starts a new `Lease`.
#[derive(Clone, Debug)]
pub struct Lease {
    length: Duration,
    /// The other members that count.
    others: BTreeSet<NodeId>,
    /// When the newest request that the monitor granted was sent.
    monitor: Option<Moment>,
    /// The same of each node that granted.
    peers: BTreeMap<NodeId, Moment>,
    /// When the members were asked last: the leader grants to itself then.
    own: Option<Moment>,
    /// Since when the monitor's grants are awaited.
    since: Moment,
}

impl Lease {
    /// The lease of a term that begins at `now`, not granted by anybody yet.
    pub fn new(length: Duration, others: BTreeSet<NodeId>, now: Moment) -> Self {
        Self { length, others, monitor: None, peers: BTreeMap::new(), own: None, since: now }
    }

    /// Other members count from here on: a majority of them, and of nobody else (P22).
    pub fn count(&mut self, others: BTreeSet<NodeId>) {
        self.others = others;
    }

    /// The monitor granted what was asked at `sent`.
    pub fn monitor_granted(&mut self, sent: Moment) {
        self.monitor = Some(self.monitor.map_or(sent, |held| held.max(sent)));
    }

    /// The members are being asked at `sent`, which is the leader's grant to itself.
    pub fn asked_members(&mut self, sent: Moment) {
        self.own = Some(self.own.map_or(sent, |held| held.max(sent)));
    }

    /// A member granted what was asked at `sent`.
    pub fn peer_granted(&mut self, peer: NodeId, sent: Moment) {
        let held = self.peers.entry(peer).or_insert(sent);
        *held = (*held).max(sent);
    }

    /// Whether the monitor's grants have stayed out so long that the members are to be asked.
    pub fn wants_members(&self, now: Moment) -> bool {
        now.since(self.monitor.unwrap_or(self.since)) > self.length / 3
    }

    /// When the lease ends; `None` if it was never granted.
    pub fn until(&self) -> Option<Moment> {
        let start = self.monitor.max(self.majority());
        start.map(|sent| sent.plus(self.length))
    }

    /// The sending of the oldest request in the newest majority.
    fn majority(&self) -> Option<Moment> {
        let granted = self.peers.iter().filter(|(peer, _)| self.others.contains(*peer));
        let mut sent: Vec<Moment> =
            self.own.into_iter().chain(granted.map(|(_, sent)| *sent)).collect();
        self.own?;
        sent.sort_unstable_by(|a, b| b.cmp(a));
        // The leader's own grant is part of every majority, and the newest of all.
        sent.get(self.others.len().div_ceil(2)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeId {
        name.parse().expect("a legal name")
    }

    fn others(names: &[&str]) -> BTreeSet<NodeId> {
        names.iter().map(|name| node(name)).collect()
    }

    #[test]
    fn the_monitor_alone_suffices_and_counts_from_the_request() {
        let mut lease = Lease::new(Duration::from_nanos(100), others(&["b", "c"]), Moment(0));
        assert_eq!(lease.until(), None);
        lease.monitor_granted(Moment(10));
        assert_eq!(lease.until(), Some(Moment(110)));
        lease.monitor_granted(Moment(5));
        assert_eq!(lease.until(), Some(Moment(110)), "a late answer takes nothing back");
    }

    #[test]
    fn members_suffice_as_a_majority_with_the_leader() {
        let mut lease =
            Lease::new(Duration::from_nanos(100), others(&["b", "c", "d", "e"]), Moment(0));
        lease.peer_granted(node("b"), Moment(20));
        lease.peer_granted(node("c"), Moment(30));
        let mut unasked = lease.clone();
        unasked.peer_granted(node("d"), Moment(30));
        assert_eq!(unasked.until(), None, "the leader has not asked");
        lease.asked_members(Moment(40));
        assert_eq!(lease.until(), Some(Moment(120)), "the oldest of the three counts");
        lease.peer_granted(node("d"), Moment(40));
        assert_eq!(lease.until(), Some(Moment(130)));
        lease.monitor_granted(Moment(35));
        assert_eq!(lease.until(), Some(Moment(135)));
    }

    #[test]
    fn a_leader_alone_in_its_cluster_grants_to_itself() {
        let mut lease = Lease::new(Duration::from_nanos(100), others(&[]), Moment(0));
        lease.asked_members(Moment(7));
        assert_eq!(lease.until(), Some(Moment(107)));
    }

    #[test]
    fn with_other_members_their_majority_counts_and_no_strangers_grant() {
        let mut lease = Lease::new(Duration::from_nanos(100), others(&["b", "c"]), Moment(0));
        lease.asked_members(Moment(40));
        lease.peer_granted(node("b"), Moment(30));
        lease.peer_granted(node("x"), Moment(40));
        assert_eq!(lease.until(), Some(Moment(130)));
        lease.count(others(&["b", "c", "d"]));
        assert_eq!(lease.until(), None, "two of four are no majority");
        lease.peer_granted(node("d"), Moment(35));
        assert_eq!(lease.until(), Some(Moment(130)));
        lease.count(others(&["d"]));
        assert_eq!(lease.until(), Some(Moment(135)));
    }

    #[test]
    fn members_are_asked_when_the_monitor_stays_silent() {
        let mut lease = Lease::new(Duration::from_nanos(90), others(&["b", "c"]), Moment(0));
        assert!(!lease.wants_members(Moment(30)));
        assert!(lease.wants_members(Moment(31)));
        lease.monitor_granted(Moment(50));
        assert!(!lease.wants_members(Moment(80)));
        assert!(lease.wants_members(Moment(81)));
    }
}
