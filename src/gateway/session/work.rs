//! A part of what a client asks for on its way, and the unit that it belongs to.

use bytes::Bytes;
use tokio::time::Instant;

use super::Client;
use crate::gateway::LocalNode;
use crate::gateway::link::Patience;
use crate::log::{ClientToken, Term};
use crate::pg::backend::TransactionStatus;
use crate::routing::unit::{Need, Summary};

/// What ends the wait for a node's reply, apart from its link's end.
#[derive(Clone, Copy)]
pub(super) struct Minding {
    /// That another node leads.
    pub(super) leader: bool,
    pub(super) patience: Patience,
}

/// A unit in the middle.
#[derive(Clone, Debug, Default)]
pub(super) struct Unit {
    pub(super) node: usize,
    pub(super) need: Need,
    pub(super) writes: bool,
    /// Something has been run, or rows have gone out.
    pub(super) executed: bool,
    /// It began with a Query message, and ends without a Sync.
    pub(super) simple: bool,
    /// COPY data are awaited.
    pub(super) copying: bool,
    pub(super) copies: bool,
    /// Its parts so far, as long as nothing was executed.
    pub(super) earlier: Vec<Bytes>,
}

/// A part on its way.
pub(super) struct Work {
    pub(super) need: Need,
    pub(super) writes: bool,
    pub(super) commits: bool,
    /// A client looks at how it ends.
    pub(super) executes: bool,
    pub(super) complete: bool,
    pub(super) in_transaction: bool,
    /// Where it must go, as long as that is possible.
    pub(super) stays_at: Option<usize>,
    pub(super) token: Option<ClientToken>,
    /// Its outcome is asked for.
    pub(super) looks_up: bool,
    /// The newest term that was known when it was last sent to be run.
    pub(super) sent_in: Term,
    /// How many times its node was lost while it ran it.
    pub(super) losses: usize,
    /// Those that have refused it.
    pub(super) refused: Vec<usize>,
    /// When the client has waited enough; set when it begins to wait.
    pub(super) deadline: Option<Instant>,
}

impl Work {
    pub(super) fn new<N: LocalNode>(client: &Client<N>, summary: &Summary, complete: bool) -> Self {
        let unit = client.unit.as_ref();
        let in_transaction = client.session.status != TransactionStatus::Idle;
        let need = summary.need.max(unit.map_or(Need::Any, |unit| unit.need));
        // What was left somewhere is there; but writes are the leader's.
        let settled_at = client
            .session
            .settled_at
            .filter(|node| need != Need::Leader || client.shared.nodes.leader() == Some(*node));
        Self {
            need,
            writes: summary.writes || unit.is_some_and(|unit| unit.writes),
            commits: summary.commits,
            executes: summary.executes,
            complete,
            in_transaction,
            stays_at: unit.map(|unit| unit.node).or(client.session.home).or(settled_at),
            token: None,
            looks_up: false,
            sent_in: Term(0),
            losses: 0,
            refused: Vec::new(),
            deadline: None,
        }
    }

    /// What ends the wait for a node's reply before the link does.
    pub(super) fn minding(&self) -> Minding {
        let anywhere = self.need != Need::Leader
            && !self.writes
            && !self.in_transaction
            && self.stays_at.is_none();
        Minding {
            leader: self.need == Need::Leader,
            patience: if anywhere { Patience::Short } else { Patience::Long },
        }
    }

    /// It is neither part of a transaction nor of a unit that has begun.
    pub(super) fn is_movable(&self, unit: Option<&Unit>) -> bool {
        !self.in_transaction && unit.is_none()
    }

    /// A COMMIT, or a unit that commits by itself, gets a token; not the end of a unit
    /// of which parts have been answered, for its look-up would have to answer them.
    pub(super) fn wants_token(&self, unit: Option<&Unit>) -> bool {
        self.complete
            && !unit.is_some_and(|unit| unit.executed)
            && (self.commits || (self.writes && !self.in_transaction))
    }
}
