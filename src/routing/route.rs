//! Which node runs a part of a unit, and what becomes of it after a refusal.
//!
//! Every decision that a router takes about a client's work is here, as two pure
//! functions: [`route`] before it is sent, [`after_refusal`] when a node has sent it
//! back. A wrong class or a stale view costs a detour and never an answer.

use super::session::Level;
use super::unit::Need;
use crate::cluster::Position;
use crate::log::{Lsn, Term};
use crate::pg::{SqlError, SqlState};

/// A node as a router sees it at this moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Candidate {
    /// What the router calls it.
    pub number: usize,
    /// There is a way to it now.
    pub connected: bool,
    /// Nobody says that it can't serve.
    pub healthy: bool,
    /// In the router's own process.
    pub local: bool,
    /// It is known to lead, and to be open.
    pub leads: bool,
    /// It is known to have applied this far.
    pub applied: Lsn,
    /// Bytes that it has yet to apply.
    pub lag_bytes: u64,
    /// Parts that this router has sent it and that are not answered.
    pub outstanding: usize,
    /// It has just refused this part.
    pub refused: bool,
}

/// What a part asks for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ask {
    pub need: Need,
    pub level: Level,
    /// What the session has seen.
    pub position: Position,
    /// The node that served the session last.
    pub last: Option<usize>,
}

/// Where a part goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Route {
    /// To this node; its reads must see `see`.
    Node { node: usize, see: Position },
    /// It waits until a leader is known and reachable.
    WaitForLeader,
    /// It waits until any node is reachable.
    WaitForNode,
}

/// How far behind the leader a `bounded` read may be served, bytes of log.
pub const BOUNDED_LAG_MAX: u64 = 1 << 20;

/// A node that served the session before is kept while it has at most this many
/// more unanswered parts than the least loaded: what is prepared there is worth it.
const KEEP_WITHIN: usize = 4;

/// Chooses among `nodes`, by their numbers.
pub fn route(ask: &Ask, nodes: &[Candidate]) -> Route {
    let leader = nodes.iter().find(|node| node.leads && node.connected && !node.refused);
    let level = if ask.need == Need::Leader { Level::Strong } else { ask.level };
    let see = match level {
        Level::Strong | Level::Session => ask.position,
        Level::Bounded | Level::Eventual => Position::default(),
    };
    let to = |node: &Candidate| Route::Node { node: node.number, see };
    if level == Level::Strong && ask.need != Need::Any {
        return leader.map_or(Route::WaitForLeader, to);
    }
    // A node answers its own clients' reads, even if it must catch up first.
    let local = nodes.iter().find(|node| node.local && node.healthy && !node.refused);
    if let Some(local) = local {
        return to(local);
    }
    let is_fit = |node: &Candidate| {
        node.connected
            && node.healthy
            && !node.refused
            && match level {
                Level::Strong | Level::Session => node.applied >= see.lsn || node.leads,
                Level::Bounded => node.lag_bytes <= BOUNDED_LAG_MAX || node.leads,
                Level::Eventual => true,
            }
    };
    let fit = || nodes.iter().filter(|node| is_fit(node));
    if let Some(least) = fit().min_by_key(|node| (node.outstanding, node.number)) {
        let bound = least.outstanding + KEEP_WITHIN;
        let kept = fit().find(|node| ask.last == Some(node.number) && node.outstanding <= bound);
        return to(kept.unwrap_or(least));
    }
    // Nobody is known to be fit: whoever is there may catch up in time.
    let anybody = nodes
        .iter()
        .filter(|node| node.connected && !node.refused)
        .min_by_key(|node| (!node.healthy, node.lag_bytes, node.number));
    anybody.map_or(Route::WaitForNode, to)
}

/// How a node sent a part back; [`crate::routing`]'s names for the gateway's refusals.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refused {
    NotLeader,
    Behind,
    Lost,
    Unavailable,
    Unknown,
    NeverRan,
    Failed,
}

/// What the part was that came back.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sent {
    /// A transaction was open when it was sent.
    pub in_transaction: bool,
    /// That transaction was begun read-only, or on a node that does not lead.
    pub read_only: bool,
    /// It may have changed data.
    pub writes: bool,
    /// It has a token, by which its outcome can be looked up.
    pub token: bool,
    /// It has COMMIT in it.
    pub commits: bool,
    /// A newer term has begun since it was sent.
    pub superseded: bool,
    /// Reply bytes of its unit have gone to the client, or earlier parts of its
    /// unit have run something.
    pub answered: bool,
    /// How many times its node was lost while it ran it.
    pub losses: usize,
}

/// So many nodes are risked for one part: what brings nodes down may be in its text.
const LOSSES_MAX: usize = 3;

/// What to do with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Next {
    /// Send it again, elsewhere, unseen by the client.
    Retry(Need),
    /// Ask the leader what became of it.
    LookUp,
    /// Tell the client.
    Fail(Box<SqlError>),
}

/// Decides on a part that was refused.
///
/// | refused     | outside a transaction, nothing answered | else                    |
/// |-------------|-----------------------------------------|-------------------------|
/// | NotLeader   | again, at the leader                    | 40001, or 25006 in a read-only transaction |
/// | Behind      | again, elsewhere                        | 40001                   |
/// | Lost        | 40001 that says so                      | the same                |
/// | Unavailable | again, elsewhere                        | 40001                   |
/// | Unknown     | look-up with a token; a read again; else 08007 | for COMMIT look-up, or 08007 if answered; 40001 |
/// | NeverRan    | again, at the leader                    | 40001 in a newer term, else 08007 |
/// | Failed      | XX000                                   | the same                |
///
/// What would be sent again after three nodes were lost with it is answered 58000 instead.
pub fn after_refusal(refused: Refused, sent: &Sent) -> Next {
    let movable = !sent.in_transaction && !sent.answered;
    let again = |need| if sent.losses < LOSSES_MAX { Next::Retry(need) } else { fail(harmful()) };
    let conflict = |message: &str| {
        fail(
            SqlError::new(SqlState::SERIALIZATION_FAILURE, message)
                .with_hint("The transaction might succeed if retried."),
        )
    };
    match refused {
        Refused::NotLeader if sent.in_transaction && sent.read_only => fail(SqlError::new(
            SqlState::READ_ONLY_SQL_TRANSACTION,
            "cannot write in a read-only transaction",
        )),
        Refused::NotLeader | Refused::NeverRan if movable => again(Need::Leader),
        Refused::Behind | Refused::Unavailable if movable => {
            again(if sent.writes { Need::Leader } else { Need::Any })
        }
        Refused::Lost => conflict("a write that this session saw was lost in a failover"),
        // A look-up answers the whole unit, so nothing of it may have been answered.
        Refused::Unknown
            if sent.token && !sent.answered && (sent.commits || !sent.in_transaction) =>
        {
            Next::LookUp
        }
        Refused::Unknown if sent.commits => fail(unknown_outcome()),
        // In the term that it was sent in it may still be on its way to the writer.
        Refused::NeverRan if sent.in_transaction && !sent.superseded => fail(unknown_outcome()),
        Refused::Unknown if movable && !sent.writes => again(Need::Any),
        Refused::Unknown if !sent.in_transaction && sent.writes => fail(unknown_outcome()),
        Refused::Failed => {
            fail(SqlError::new(SqlState::INTERNAL_ERROR, "the session could not go on at its node"))
        }
        Refused::NotLeader
        | Refused::Behind
        | Refused::Unavailable
        | Refused::Unknown
        | Refused::NeverRan => {
            conflict("the transaction was cut off by a change of leader or the loss of a node")
        }
    }
}

fn fail(error: SqlError) -> Next {
    Next::Fail(Box::new(error))
}

/// A statement that nodes do not survive.
fn harmful() -> SqlError {
    SqlError::new(
        SqlState::SYSTEM_ERROR,
        format!("{LOSSES_MAX} nodes were lost while they ran this statement: it is not run again"),
    )
    .with_hint("See the log of the nodes for why they ended.")
}

/// Nobody can tell whether a write took place.
pub fn unknown_outcome() -> SqlError {
    SqlError::new(
        SqlState::TRANSACTION_RESOLUTION_UNKNOWN,
        "the outcome of the transaction is unknown: it may have been committed or not",
    )
}

/// No leader was found within the time that a client is made to wait.
pub fn no_leader(term: Term) -> SqlError {
    SqlError::new(SqlState::CANNOT_CONNECT_NOW, "no leader is available to run this statement")
        .with_detail(format!("The newest known term is {term}."))
}

/// No node was found within the time that a client is made to wait.
pub fn no_node() -> SqlError {
    SqlError::new(SqlState::CANNOT_CONNECT_NOW, "no node is available to run this statement")
}
