use std::path::PathBuf;
use std::time::Duration;

use crate::cluster::{NodeId, Policy};

/// A node's configuration, checked and with every default filled in.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    pub name: NodeId,
    pub cluster: String,
    pub data: PathBuf,
    pub sql: SqlConfig,
    pub peer_listen: String,
    pub tls: PeerTlsConfig,
    /// host:port of the monitor's peer listener, or of each of several monitors; empty for a
    /// cluster without one.
    pub monitors: Vec<String>,
    /// All members, this one included, as (name, peer address).
    pub members: Vec<(NodeId, String)>,
    pub policy: Policy,
    /// By way of which other follower it follows where it can.
    pub follow: Option<NodeId>,
    pub timing: Timing,
    /// Capacity of a log segment, bytes.
    pub segment_bytes: u64,
    /// Log kept for followers beyond the applied LSN, bytes.
    pub retain_bytes: u64,
    /// Writes stop while less of the disk is free, bytes.
    pub reserve_bytes: u64,
    /// Bytes a second at which a snapshot is sent at most; 0: as fast as it goes.
    pub snapshot_rate_bytes: u64,
    pub archive: Option<ArchiveConfig>,
    /// Read connections to SQLite.
    pub readers: usize,
    /// While SQLite's WAL is larger, bytes, …
    pub wal_max_bytes: u64,
    /// … reads that have gone on for longer than this are ended.
    pub wal_read_max: Duration,
}

/// Where the log and snapshots are archived.
#[derive(Clone, Debug)]
pub struct ArchiveConfig {
    /// As `storage::archive` takes it.
    pub url: String,
    pub snapshot_every: Duration,
    /// How often the front of the segment that goes on is sent.
    pub tail_every: Duration,
}

/// The SQL endpoint of a node or proxy.
#[derive(Clone, Debug)]
pub struct SqlConfig {
    pub listen: String,
    /// PEM certificate and key for clients' TLS; without, SSLRequest gets 'N'.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The name that clients connect to; the first database.
    pub database: String,
    /// (name, SCRAM-SHA-256 verifier as PostgreSQL stores it).
    pub users: Vec<(String, String)>,
    pub max_connections: usize,
    /// Largest message a client may send, bytes.
    pub message_max: usize,
    /// Threads that serve connections.
    pub workers: usize,
}

#[derive(Clone, Debug)]
pub struct PeerTlsConfig {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The failover clockwork, validated together (rule 8).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    pub heartbeat: Duration,
    pub suspicion: Duration,
    pub lease: Duration,
    /// How far two clocks may drift apart within a lease.
    pub drift: Duration,
}

#[derive(Clone, Debug)]
pub struct ProxyConfig {
    pub name: String,
    pub cluster: String,
    pub sql: SqlConfig,
    pub http_listen: Option<String>,
    pub tls: PeerTlsConfig,
    pub monitors: Vec<String>,
    /// All nodes as (name, peer address).
    pub nodes: Vec<(NodeId, String)>,
    /// How long a statement that needs a leader waits for one.
    pub leader_wait: Duration,
    pub timing: Timing,
}

#[derive(Clone, Debug)]
pub struct MonitorConfig {
    pub name: String,
    pub cluster: String,
    pub data: PathBuf,
    pub peer_listen: String,
    pub http_listen: Option<String>,
    pub tls: PeerTlsConfig,
    /// All members, with priority (0: never lead).
    pub members: Vec<(NodeId, String, u32)>,
    pub policy: Policy,
    pub choose: Choice,
    pub timing: Timing,
    /// At most this many automatic failovers within `failover_window` (rule 28).
    pub failovers_max: u32,
    pub failover_window: Duration,
    /// Rules 19 and 24: how far who is to lead may lie behind, bytes.
    pub lag_bytes_max: u64,
    /// How long a planned hand-over may keep the leader from taking writes.
    pub drain: Duration,
    /// How long a leader whose process ended may take to come back (rule 10).
    pub restart_grace: Duration,
    /// Where several monitors settle which one acts; `None` for the only one.
    pub etcd: Option<EtcdConfig>,
}

/// The etcd cluster of a monitor that has standbys.
#[derive(Clone, Debug)]
pub struct EtcdConfig {
    /// host:port each.
    pub endpoints: Vec<String>,
    /// Of the keys, without a slash at the end.
    pub prefix: String,
    /// How long the others wait for a monitor that is silent; whole seconds.
    pub ttl: Duration,
}

/// Which candidate is appointed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Choice {
    /// Highest last term, then LSN; ties by priority, then seniority, then name.
    Latest,
    /// Longest-serving eligible.
    Seniority,
}
