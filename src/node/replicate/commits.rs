use super::{Replication, lock, publish};
use crate::cluster::{NodeId, Policy, Role};
use crate::failover::Rule;
use crate::log::{Lsn, Term};
use crate::node::Hub;
use crate::replication::message::Ack;
use crate::replication::{CommitTracker, Demand};

/// The commit accounting of the current leadership; made anew for each.
#[derive(Default)]
pub struct Commits {
    term: Term,
    tracker: Option<CommitTracker>,
    /// Of the members that the tracker counts.
    configuration: u64,
}

/// News of a follower, of the term that it was said in.
pub enum FollowerNews<'a> {
    /// It acknowledged what it has.
    Acked(&'a NodeId, Ack),
    /// It connected, and its durable log equals the leader's up to this LSN.
    Rejoined(Term, &'a NodeId, Lsn),
    /// Its connection ended.
    Left(Term, &'a NodeId),
}

impl Hub {
    /// Counts anew, after a follower's news or a move of what the hub holds, and
    /// publishes the commit LSN. The only writer of it while this node leads. Whoever
    /// has the news calls it: no task stands between an ack, or the leader's own
    /// sync, and the write that waits for it.
    pub fn count(&self, news: Option<FollowerNews<'_>>) {
        let mut commits = lock(&self.commits);
        // Looked at under the lock, so that nobody counts for a term that a later
        // caller has seen ended.
        let (term, role) = {
            let leadership = self.leadership.borrow();
            (leadership.term, leadership.role)
        };
        if role == Role::Follower {
            commits.tracker = None;
            return;
        }
        if commits.term != term {
            commits.tracker = None;
            commits.term = term;
        }
        if commits.tracker.is_none() {
            // Of an earlier term, whose log may have been cut since.
            publish(&self.written, Lsn(0));
        }
        let (durable, acks) = (*self.durable.borrow(), self.acks());
        let configuration = self.roll.borrow().newest().version;
        let listed = |node: &NodeId| self.roll.borrow().newest().get(node).is_some();
        let commits = &mut *commits;
        let tracker = commits.tracker.get_or_insert_with(|| {
            let demand = match self.policy {
                Policy::First(..) => Demand::First(acks),
                Policy::Async | Policy::Any(_) | Policy::AnyOf(..) | Policy::Quorum => {
                    Demand::Any(acks)
                }
            };
            commits.configuration = configuration;
            let followers = self.followers_counted();
            CommitTracker::new(demand, followers, durable, *self.commit.borrow())
        });
        if commits.configuration != configuration {
            commits.configuration = configuration;
            tracker.follow(self.followers_counted());
            tracker.forget_others(listed);
        }
        tracker.demand(acks);
        let (started, term_start) = *self.term_start.borrow();
        if started == term {
            tracker.term_started(term_start);
        }
        tracker.leader_durable(durable);
        match news {
            // Who was dropped goes on until it hears of that.
            Some(FollowerNews::Acked(follower, ack)) if ack.term == term && listed(follower) => {
                tracker.follower_durable(follower, ack.durable);
                tracker.follower_written(follower, ack.written);
            }
            Some(FollowerNews::Rejoined(said_in, follower, lsn)) if said_in == term => {
                if let Some(lost) = tracker.follower_rejoined(follower, lsn) {
                    let reason = format!(
                        "a follower came back with less than it had acknowledged: {follower} \
                         holds the log up to {lsn}, and had it up to {lost}"
                    );
                    self.notice(Rule::Unproven, Some(lsn), reason);
                }
            }
            Some(FollowerNews::Left(said_in, follower)) if said_in == term => {
                tracker.follower_left(follower);
            }
            Some(_) | None => {}
        }
        let commit = tracker.commit();
        if commit > *self.commit.borrow() {
            publish(&self.commit, commit);
        }
        if self.is_written_awaited() {
            publish(&self.written, tracker.written());
        }
    }
}

impl Hub {
    /// Up to where as many followers as are demanded hold this leader's log; `None` while
    /// it does not lead.
    pub fn held(&self) -> Option<Lsn> {
        lock(&self.commits).tracker.as_ref().map(CommitTracker::held)
    }
}

impl Replication {
    /// Counts when a leadership begins or ends.
    pub(super) async fn count_commits(&self) {
        let mut leadership = self.hub.leadership.subscribe();
        let mut term_start = self.hub.term_start.subscribe();
        loop {
            self.hub.count(None);
            tokio::select! {
                _ = leadership.changed() => {}
                _ = term_start.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Configuration, Member, Roll};
    use crate::log::LogEnd;
    use crate::node::Leadership;

    fn node(name: &str) -> NodeId {
        name.parse().expect("a name")
    }

    fn member(name: &str) -> Member {
        Member { name: node(name), peer: String::new(), priority: 1, counts: true }
    }

    /// It leads n2 and n3 in term 2, which began at 60, and holds the log up to 100.
    fn leading(policy: &str) -> Hub {
        let members = ["n1", "n2", "n3"].map(|name| (node(name), String::new(), 1));
        let roll = Roll::new(Configuration::initial(members));
        let end = LogEnd { term: Term(2), lsn: Lsn(100) };
        let hub = Hub::new(node("n1"), roll, policy.parse().expect("a policy"), end, Lsn(50));
        let leader = Some(node("n1"));
        hub.leadership.send_replace(Leadership { term: Term(2), role: Role::Leader, leader });
        hub.term_start.send_replace((Term(2), Lsn(60)));
        hub.count(None);
        hub
    }

    fn ack(hub: &Hub, term: u64, from: &str, lsn: u64) {
        let (term, durable) = (Term(term), Lsn(lsn));
        let ack = Ack { term, durable, applied: Lsn(0), written: durable };
        hub.count(Some(FollowerNews::Acked(&node(from), ack)));
    }

    #[test]
    fn news_of_another_term_counts_for_nothing() {
        let hub = leading("any 1");
        ack(&hub, 1, "n2", 90);
        assert_eq!(*hub.commit.borrow(), Lsn(50));
        ack(&hub, 2, "n2", 80);
        assert_eq!(*hub.commit.borrow(), Lsn(80));
        hub.count(Some(FollowerNews::Rejoined(Term(1), &node("n2"), Lsn(10))));
        assert_eq!((hub.held(), hub.take_notices().len()), (Some(Lsn(80)), 0));
        // Of the first named it is waited for until it leaves.
        let hub = leading("first 1 (n2, n3)");
        for name in ["n2", "n3"] {
            hub.count(Some(FollowerNews::Rejoined(Term(2), &node(name), Lsn(0))));
        }
        ack(&hub, 2, "n3", 90);
        hub.count(Some(FollowerNews::Left(Term(1), &node("n2"))));
        assert_eq!(*hub.commit.borrow(), Lsn(50));
        hub.count(Some(FollowerNews::Left(Term(2), &node("n2"))));
        assert_eq!(*hub.commit.borrow(), Lsn(90));
    }

    #[test]
    fn what_a_node_acknowledged_before_it_joined_counts_for_nothing() {
        let hub = leading("any 1");
        ack(&hub, 2, "n4", 90);
        hub.roll.send_if_modified(|roll| roll.tell(roll.newest().with(member("n4"))));
        hub.count(None);
        assert_eq!(*hub.commit.borrow(), Lsn(50));
        ack(&hub, 2, "n4", 90);
        assert_eq!(*hub.commit.borrow(), Lsn(90));
    }
}
