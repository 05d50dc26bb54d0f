//! Before the first decision: hear the nodes (rules 9, 32, P23 to P25).
use super::electing::{Cause, Promising};
use super::watching::Watching;
use super::{Appointed, Asked, Cluster, Command, Input, Operator, Phase};
use crate::cluster::{Configuration, Role};
use crate::failover::{Moment, Report, Rule};
use crate::log::Term;

#[derive(Debug)]
pub(super) struct Starting;

impl Starting {
    pub(super) fn step(
        self,
        now: Moment,
        input: Input,
        cluster: &mut Cluster,
        out: &mut Vec<Command>,
    ) -> Phase {
        if let Input::Operator { id, operator } = input {
            return self.operator(now, id, operator, cluster, out);
        }
        if cluster.state.rebuilt {
            resume(self, now, cluster, out)
        } else {
            rebuild(self, now, cluster, out)
        }
    }

    fn operator(
        self,
        now: Moment,
        id: u64,
        operator: Operator,
        cluster: &mut Cluster,
        out: &mut Vec<Command>,
    ) -> Phase {
        let result = match operator {
            Operator::Failover { allow_data_loss: true } => {
                cluster.asked = Some(Asked { id, to: None });
                let cause = Cause::forced(format!(
                    "an operator accepts the loss of {}",
                    cluster.absentees(now)
                ));
                return Promising::begin(now, cause, cluster, out);
            }
            Operator::Failover { allow_data_loss: false } => Err(format!(
                "the monitor is starting; {}: repeat with --allow-data-loss to accept that",
                cluster.at_stake(now)
            )),
            Operator::Switchover { .. }
            | Operator::Weaken { .. }
            | Operator::Restore
            | Operator::Maintenance { .. }
            | Operator::Add { .. }
            | Operator::Drop { .. } => {
                Err("the monitor is starting: no leader is known".to_owned())
            }
        };
        out.push(Command::Answer { id, result });
        Phase::Starting(self)
    }
}

/// P23: with its state, as soon as the recorded leader speaks, or it has waited for it.
fn resume(phase: Starting, now: Moment, cluster: &mut Cluster, out: &mut Vec<Command>) -> Phase {
    let spoke = cluster
        .leader_report()
        .is_some_and(|report| report.role != Role::Follower && report.term == cluster.state.term);
    if spoke {
        let reason = format!("the leader of term {} is heard", cluster.state.term);
        return Watching::enter(now, Rule::Resumed, reason, cluster, out);
    }
    let all = cluster.electors().iter().all(|node| cluster.reported(node));
    if now < cluster.hold_off_until && !(all && cluster.state.leader().is_none()) {
        return Phase::Starting(phase);
    }
    // An appointment that was recorded and never sent, or a leader that restarted.
    if let Some(leader) = cluster.state.leader()
        && cluster.leader_report().is_some()
    {
        let reason = format!("{leader}, appointed in term {}, does not lead", cluster.state.term);
        return Promising::begin(now, Cause::automatic(Rule::Resumed, reason), cluster, out);
    }
    if cluster.state.leader().is_some() {
        let reason =
            format!("held off; the leader of term {} is still unheard", cluster.state.term);
        return Watching::enter(now, Rule::Resumed, reason, cluster, out);
    }
    let reason = format!("term {} was begun without a leader", cluster.state.term);
    Promising::begin(now, Cause::automatic(Rule::Resumed, reason), cluster, out)
}

/// P24, P25: without state. A majority must have answered; the leader of the highest
/// term is adopted, or else every member must report.
fn rebuild(phase: Starting, now: Moment, cluster: &mut Cluster, out: &mut Vec<Command>) -> Phase {
    let reports =
        || cluster.nodes.iter().filter_map(|(node, it)| Some((node, it.report.as_ref()?)));
    let answered =
        |list: &Configuration| list.counting().filter(|node| cluster.reported(node)).count();
    let majority =
        cluster.lists().all(|list| answered(list) > list.size() / 2) || cluster.is_without(24);
    let everybody = cluster.electors().iter().all(|node| cluster.reported(node));
    let leads = |report: &Report| report.role != Role::Follower && report.term == cluster.heard;
    let leader = reports().find(|(_, report)| leads(report));
    if majority
        && now >= cluster.owed_until
        && let Some((node, report)) = leader
    {
        let (node, acks, version) = (node.clone(), report.acks, report.policy_version);
        // Of the members before and after a change: the leader may be on its way.
        let sizes = cluster.lists().map(Configuration::size);
        let configured = sizes.map(|size| cluster.options.policy.acks(size)).min().unwrap_or(0);
        let restored = report.role == Role::Leader && acks >= configured || cluster.is_without(25);
        cluster.state.term = cluster.heard;
        cluster.state.appointed = Some(Appointed { term: cluster.heard, node: node.clone() });
        cluster.state.acks = if restored { configured } else { 0 };
        cluster.state.policy_version = version;
        cluster.state.weakened = !restored;
        // Whoever demands less was told to, by an operator.
        cluster.state.weakened_to = (acks < configured).then_some(acks);
        cluster.state.rebuilt = true;
        cluster.persist(out);
        let reason = format!("{node} leads the highest term heard, {}: adopted", cluster.heard);
        return Watching::enter(now, Rule::Adopted, reason, cluster, out);
    }
    if everybody && leader.is_none() {
        let reason = if cluster.heard == Term(0) {
            "every member has answered: the cluster's first term".to_owned()
        } else {
            format!("every member has answered, none leads term {}", cluster.heard)
        };
        return Promising::begin(now, Cause::planned(Rule::Adopted, reason, None), cluster, out);
    }
    if now >= cluster.hold_off_until && leader.is_none() {
        let silent = cluster.electors().into_iter().filter(|node| !cluster.reported(node));
        let missing = silent.map(|node| node.to_string()).collect::<Vec<_>>().join(", ");
        let sentence = format!(
            "the monitor has no state, and no leader has answered: every member must report (P25, rule 32); \
             missing {missing}; start it, or accept the loss of what only it holds with `towline failover --allow-data-loss`",
        );
        cluster.block(Rule::Adopted, sentence, out);
    }
    Phase::Starting(phase)
}
