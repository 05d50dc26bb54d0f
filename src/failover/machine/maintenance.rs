//! Nodes that an operator keeps from leading (rule 26).
use super::{Asked, Cluster, Command};
use crate::cluster::NodeId;
use crate::failover::{Moment, Rule};

impl Cluster {
    /// Begins or ends a node's maintenance. Answers whom the leader is to hand over to,
    /// where the node leads.
    pub(super) fn maintain(
        &mut self,
        now: Moment,
        id: u64,
        node: &NodeId,
        on: bool,
        out: &mut Vec<Command>,
    ) -> Option<NodeId> {
        let decided = if on { self.may_maintain(now, node) } else { self.known_member(node) };
        let successor = match decided {
            Ok(successor) => successor,
            Err(refusal) => {
                self.note(Rule::Maintenance, format!("refused: {refusal}"), None, out);
                out.push(Command::Answer { id, result: Err(refusal) });
                return None;
            }
        };
        let changes = if on {
            self.state.maintenance.insert(node.clone())
        } else {
            self.state.maintenance.remove(node)
        };
        let what = if on { "is in maintenance" } else { "may lead again" };
        if changes {
            self.persist(out);
            self.note(Rule::Maintenance, format!("an operator: {node} {what}"), None, out);
        }
        if let Some(to) = successor {
            self.asked = Some(Asked { id, to: Some(to.clone()) });
            return Some(to);
        }
        out.push(Command::Answer { id, result: Ok(format!("{node} {what}")) });
        None
    }

    fn known_member(&self, node: &NodeId) -> Result<Option<NodeId>, String> {
        let known = self.newest().get(node).is_some();
        if known { Ok(None) } else { Err(format!("{node} is no member")) }
    }

    /// Whether the cluster can do without the node: enough others follow for the policy,
    /// and one of them may lead. Who takes over, if it leads.
    fn may_maintain(&self, now: Moment, node: &NodeId) -> Result<Option<NodeId>, String> {
        self.known_member(node)?;
        let leader = self.state.leader().ok_or("there is no leader")?;
        let leads = node == leader;
        let follows =
            |other: &NodeId| self.follows(now, other) && !self.state.maintenance.contains(other);
        let others = || self.newest().counting().filter(|other| *other != node);
        // One of those who are left leads, the rest follow.
        let followers = others().filter(|other| follows(other)).count().saturating_sub(1);
        let wanted = self.acks_wanted();
        if followers < wanted {
            return Err(format!(
                "without {node} only {followers} followers are left, and the policy demands {wanted} (rule 26): start the \
                 others, or weaken the policy first with `towline policy weaken`"
            ));
        }
        if others().all(|other| self.never_leads(other)) {
            return Err(format!("without {node} nobody may lead (rule 26)"));
        }
        if leads { self.successor(now, None).map(Some) } else { Ok(None) }
    }
}
