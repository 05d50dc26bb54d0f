//! The one who should lead gets the tail that only another holds, before anybody leads
//! (rule 18).
//!
//! Nobody is appointed in the term yet: both have promised it, so neither log changes but
//! by this, and the record of the last leader stays that of whoever had all. The fetching
//! node promises anew when it is done, with what it then holds; that is what it is
//! appointed for. It mostly costs nothing, since older leases run meanwhile. If it takes
//! longer, or can't be done, whoever holds the tail leads, and hands over later; if that
//! one is gone, what is left is a matter of a new election.
use super::electing::{Appointing, Cause, Promising};
use super::{Asked, Cluster, Command, Input, Operator, Phase};
use crate::cluster::NodeId;
use crate::failover::election::Chosen;
use crate::failover::{Fetch, Moment, Rule, ToMonitor, ToNode};
use crate::log::LogEnd;

/// Waits for the one who should lead to hold what another holds.
#[derive(Debug)]
pub(super) struct Fetching {
    node: NodeId,
    from: NodeId,
    /// Where the log of `from` ends.
    end: LogEnd,
    until: Moment,
}

impl Fetching {
    /// `node` is to hold what `from` holds.
    pub(super) fn begin(
        now: Moment,
        node: NodeId,
        from: NodeId,
        end: LogEnd,
        cluster: &mut Cluster,
        out: &mut Vec<Command>,
    ) -> Phase {
        let reason = format!("{node} is preferred, and fetches what {from} holds up to {end}");
        cluster.enter("fetching", Rule::Fetch, reason, out);
        cluster.unblock();
        let (term, incarnation) = (cluster.state.term, cluster.state.incarnation);
        let fetch = Fetch { term, incarnation, from: from.clone(), end };
        cluster.send(&node, ToNode::Fetch(fetch), out);
        // Nobody opens before older leases are over; a wish may take as long as a drain.
        let until = now.max(cluster.owed_until).plus(cluster.options.timing.drain);
        Phase::Fetching(Self { node, from, end, until })
    }

    pub(super) fn step(
        self,
        now: Moment,
        input: Input,
        cluster: &mut Cluster,
        out: &mut Vec<Command>,
    ) -> Phase {
        let term = cluster.state.term;
        if cluster.heard > term {
            let reason = format!("term {} was heard, above the recorded {term}", cluster.heard);
            let cause = Cause::again(Rule::Trigger, reason, cluster);
            return Promising::begin(now, cause, cluster, out);
        }
        match &input {
            Input::Message { node, message } if *node == self.node => match message {
                ToMonitor::Promised(promise)
                    if promise.term == term
                        && promise.incarnation == cluster.state.incarnation
                        && promise.end >= self.end =>
                {
                    let reason =
                        format!("it has fetched what {} holds up to {}", self.from, self.end);
                    let chosen = Chosen { node: self.node, then: None };
                    return Appointing::begin(now, chosen, Rule::Fetch, reason, cluster, out);
                }
                ToMonitor::NotFetched { term: of, reason } if *of == term => {
                    let doubt = reason.clone();
                    return self.give_up(now, &doubt, cluster, out);
                }
                _ => {}
            },
            Input::Operator { id, operator } => {
                if *operator == (Operator::Failover { allow_data_loss: true }) {
                    cluster.answer(Err("superseded by another command".to_owned()), out);
                    cluster.asked = Some(Asked { id: *id, to: None });
                    let cause = Cause::forced("an operator accepts loss".into());
                    return Promising::begin(now, cause, cluster, out);
                }
                let result = Err("an election is under way".to_owned());
                out.push(Command::Answer { id: *id, result });
            }
            _ => {}
        }
        if !cluster.is_connected(&self.from) {
            let reason = format!("{} is gone, whose tail was being fetched", self.from);
            let cause = Cause::again(Rule::Silent, reason, cluster);
            return Promising::begin(now, cause, cluster, out);
        }
        if !cluster.is_connected(&self.node) {
            return self.give_up(now, "it is gone", cluster, out);
        }
        if now >= self.until {
            return self.give_up(now, "it takes too long", cluster, out);
        }
        Phase::Fetching(self)
    }

    /// Whoever holds the tail leads, until it has handed it over.
    fn give_up(
        self,
        now: Moment,
        doubt: &str,
        cluster: &mut Cluster,
        out: &mut Vec<Command>,
    ) -> Phase {
        let Self { node, from, end, .. } = self;
        let reason = format!("it holds all up to {end}, which {node} did not fetch: {doubt}");
        let chosen = Chosen { node: from, then: Some(node) };
        Appointing::begin(now, chosen, Rule::Choose, reason, cluster, out)
    }
}
