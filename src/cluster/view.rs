use serde::{Deserialize, Serialize};

use super::{Configuration, NodeId, Policy};
use crate::log::{LogEnd, Lsn, Term};

/// A place in the history of the cluster that a session has seen: the term in
/// which a write was acknowledged or a read was answered, and up to where.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Position {
    pub term: Term,
    pub lsn: Lsn,
}

/// What a node does in its term.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Appends and applies what the leader sends.
    Follower,
    /// Appointed, not open yet: its term-start frame is not committed, or older
    /// leases may still run.
    Opening,
    /// Takes writes.
    Leader,
}

/// The cluster as the monitor sees it, pushed to nodes and routers, shown by
/// `towline status`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The newest recorded term.
    pub term: Term,
    /// The node appointed in it; `None` while there is none.
    pub leader: Option<NodeId>,
    /// Whether that leader has opened.
    pub open: bool,
    pub policy: Option<Policy>,
    /// Follower acknowledgements that everything acknowledged has, as recorded.
    pub acks: usize,
    /// Counts the records of a weaker policy.
    pub policy_version: u64,
    /// Less may have been demanded than the policy says: nobody is elected without the last
    /// leader's report, or everybody's (rule 20).
    pub weakened: bool,
    /// The newest members that the leader confirmed (P22).
    pub configuration: Option<Configuration>,
    /// One sentence while a node joins or leaves: how far that is.
    pub change: Option<String>,
    pub nodes: Vec<NodeView>,
    /// One sentence where something blocks: the rule, the missing node, the
    /// command that helps.
    pub blocked: Option<String>,
}

/// One node, as last heard.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct NodeView {
    pub name: NodeId,
    /// An operator keeps it from leading.
    pub maintenance: bool,
    /// It counts for nothing yet: it has to catch up first.
    #[serde(default)]
    pub joining: bool,
    /// host:port of its peer listener.
    pub peer: String,
    /// host:port of its SQL listener, once it has said so.
    pub sql: Option<String>,
    /// Heard from within the suspicion time.
    pub healthy: bool,
    pub role: Role,
    pub term: Term,
    /// End of its log.
    pub end: LogEnd,
    pub durable: Lsn,
    pub commit: Lsn,
    pub applied: Lsn,
    /// Bytes of log that it has yet to apply, against the leader's end.
    pub lag_bytes: u64,
    /// The follower by way of which it follows; `None`: it follows the leader itself.
    #[serde(default)]
    pub through: Option<NodeId>,
    /// Why it is not healthy or not following; empty when all is well.
    pub reason: String,
}
