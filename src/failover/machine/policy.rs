//! The sync policy in force: weakened by an operator, restored, and recorded (P19, P20).
//!
//! ```text
//!  weaken:  operator ─► record (k lower, version + 1) ─► leader demands less
//!  restore: operator ─► leader demands more ─► all that it acknowledged is held by so many
//!                                          ─► it reports so with its version ─► record
//! ```
//!
//! The record is never stronger than the practice, whatever is lost or late between the two:
//! a leader adopts only a higher version, and a report counts only with the recorded one.
use super::{Cluster, Command};
use crate::cluster::Role;
use crate::failover::{Report, Rule, ToNode};

impl Cluster {
    /// Follower acknowledgements that a leader is to demand.
    pub(super) fn acks_wanted(&self) -> usize {
        let configured = self.acks_configured();
        self.state.weakened_to.map_or(configured, |acks| acks.min(configured))
    }

    /// Rule 20: recorded first, then the leader is told.
    pub(super) fn weaken(&mut self, id: u64, acks: usize, out: &mut Vec<Command>) {
        let wanted = self.acks_wanted();
        if acks >= wanted {
            let result = Err(format!(
                "the leader demands {wanted} follower acknowledgements: {acks} would not be fewer"
            ));
            out.push(Command::Answer { id, result });
            return;
        }
        self.state.weakened_to = Some(acks);
        self.state.acks = self.state.acks.min(acks);
        self.state.weakened = true;
        self.state.policy_version += 1;
        self.persist(out);
        let version = self.state.policy_version;
        let reason = format!(
            "an operator weakens the policy from {wanted} to {acks} follower acknowledgements (version {version}): \
             until it is restored nobody is elected without the last leader's report"
        );
        self.note(Rule::Weakened, reason, None, out);
        self.answer_policy(Err("superseded by another command".to_owned()), out);
        self.asked_policy = Some(id);
        self.tell_policy(false, out);
    }

    /// P19: the leader tightens first; the record follows its report.
    pub(super) fn restore(&mut self, id: u64, out: &mut Vec<Command>) {
        if self.state.weakened_to.is_none() {
            let result = Err("the policy is not weakened by an operator".to_owned());
            out.push(Command::Answer { id, result });
            return;
        }
        self.state.weakened_to = None;
        if self.is_without(19) {
            self.state.weakened = false;
            self.state.acks = self.acks_configured();
        }
        self.persist(out);
        let configured = self.acks_configured();
        let reason = format!(
            "an operator restores the policy: the leader is to demand {configured} follower acknowledgements"
        );
        self.note(Rule::Restored, reason, None, out);
        self.answer_policy(Err("superseded by another command".to_owned()), out);
        self.asked_policy = Some(id);
        self.tell_policy(true, out);
    }

    /// Tells the leader which policy to practise; `adopted`: it knows the recorded version.
    fn tell_policy(&self, adopted: bool, out: &mut Vec<Command>) {
        let Some(leader) = self.state.leader() else { return };
        let (term, acks, version) =
            (self.state.term, self.acks_wanted(), self.state.policy_version);
        let message = if adopted && self.state.weakened_to.is_none() {
            ToNode::Restore { term, acks, version }
        } else {
            ToNode::Policy { term, acks, version }
        };
        self.send(leader, message, out);
    }

    /// Compares what the leader of the recorded term practises with the record.
    pub(super) fn note_policy(&mut self, report: &Report, out: &mut Vec<Command>) {
        let (acks, wanted) = (report.acks, self.acks_wanted());
        let configured = self.acks_configured();
        let same_version = report.policy_version == self.state.policy_version;
        if acks < self.state.acks && !self.is_without(25) {
            self.state.acks = acks;
            self.state.weakened = acks < configured;
            self.persist(out);
            let reason =
                format!("the leader demands only {acks} follower acknowledgements: recorded");
            self.note(Rule::Weakened, reason, None, out);
        }
        if !same_version || acks != wanted {
            self.tell_policy(same_version, out);
            return;
        }
        // P19: all that an open leader acknowledged in its term is held by so many.
        let recorded_less = self.state.weakened || self.state.acks < configured;
        if recorded_less && acks >= configured && report.role == Role::Leader {
            self.state.weakened = false;
            self.state.acks = configured;
            self.persist(out);
            let reason = format!(
                "the leader demands {acks} follower acknowledgements, and all that it acknowledged has them: recorded"
            );
            self.note(Rule::Restored, reason, None, out);
            let done = format!("everything acknowledged is held by {acks} followers at least");
            self.answer_policy(Ok(done), out);
        } else if self.state.weakened_to.is_some() {
            let done = format!("the leader demands {acks} follower acknowledgements from here on");
            self.answer_policy(Ok(done), out);
        }
    }

    /// Answers the operator who waits for a policy, if one does.
    fn answer_policy(&mut self, result: Result<String, String>, out: &mut Vec<Command>) {
        if let Some(id) = self.asked_policy.take() {
            out.push(Command::Answer { id, result });
        }
    }
}
