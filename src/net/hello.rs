use serde::{Deserialize, Serialize};

use crate::cluster::NodeId;
use crate::log::Term;

/// The first frame on every connection between processes, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// Protocol version; 1.
    pub version: u32,
    /// The cluster's id; a foreign one is refused.
    pub cluster: String,
    /// Who calls: a node's or monitor's or proxy's name.
    pub name: String,
    pub purpose: Purpose,
    /// A node's running process, drawn at its start: a name that comes twice with one
    /// number is one process that dialled again. 0: nobody looks at it.
    #[serde(default)]
    pub instance: u64,
}

/// What the connection is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Follower to leader: the log's stream. Frames: `replication::message`.
    Replication,
    /// Node to monitor: heartbeats, grants, promises. Frames: `failover::message`.
    Control,
    /// Router to node: sessions. Frames: `routing::link`.
    Link,
    /// Router or tool to monitor or node: one JSON [`crate::cluster::View`] a change.
    View,
    /// Tool to monitor or node: one JSON request, one JSON answer.
    Admin,
}

/// The answer to a [`Hello`], as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum HelloReply {
    /// Welcome; what the listener knows of terms, so that a caller without a view
    /// finds the leader.
    Welcome { name: String, term: Term, leader: Option<NodeId> },
    /// Refused, in one sentence (foreign cluster, version).
    Refused(String),
    /// To a node: the newest confirmed configuration, of this version, does not list it.
    NotMember { version: u64 },
}
