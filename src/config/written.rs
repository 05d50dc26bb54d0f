//! The files as they are written: one struct a table, one field a key.
//!
//! A key without a default is a plain field; a key with one is an `Option`, filled
//! in by `resolve`. Unknown keys are errors, so that a misspelt one is noticed.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::cluster::{NodeId, Policy};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    pub name: NodeId,
    pub cluster: String,
    pub data: PathBuf,
    pub peer_listen: String,
    #[serde(default, deserialize_with = "one_or_more")]
    pub monitor: Vec<String>,
    pub policy: Option<Policy>,
    pub follow: Option<NodeId>,
    pub segment_bytes: Option<u64>,
    pub retain_bytes: Option<u64>,
    pub reserve_bytes: Option<u64>,
    pub snapshot_rate_bytes: Option<u64>,
    pub archive: Option<Archive>,
    pub readers: Option<usize>,
    pub wal_max_bytes: Option<u64>,
    #[serde(default, deserialize_with = "duration")]
    pub wal_read_max: Option<Duration>,
    pub sql: Sql,
    pub tls: PeerTls,
    pub members: Vec<Member>,
    pub timing: Option<Timing>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proxy {
    pub name: String,
    pub cluster: String,
    #[serde(default, deserialize_with = "one_or_more")]
    pub monitor: Vec<String>,
    pub http_listen: Option<String>,
    #[serde(default, deserialize_with = "duration")]
    pub leader_wait: Option<Duration>,
    pub sql: Sql,
    pub tls: PeerTls,
    pub members: Vec<Member>,
    pub timing: Option<Timing>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Monitor {
    pub name: String,
    pub cluster: String,
    pub data: PathBuf,
    pub peer_listen: String,
    pub http_listen: Option<String>,
    pub policy: Option<Policy>,
    pub choose: Option<Choose>,
    pub failovers_max: Option<u32>,
    #[serde(default, deserialize_with = "duration")]
    pub failover_window: Option<Duration>,
    pub lag_bytes_max: Option<u64>,
    #[serde(default, deserialize_with = "duration")]
    pub drain: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    pub restart_grace: Option<Duration>,
    pub etcd: Option<Etcd>,
    pub tls: PeerTls,
    pub members: Vec<Member>,
    pub timing: Option<Timing>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Etcd {
    pub endpoints: Vec<String>,
    pub prefix: Option<String>,
    #[serde(default, deserialize_with = "duration")]
    pub ttl: Option<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Archive {
    pub url: String,
    #[serde(default, deserialize_with = "duration")]
    pub snapshot_every: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    pub tail_every: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Choose {
    Latest,
    Seniority,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sql {
    pub listen: String,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub database: String,
    pub max_connections: Option<usize>,
    pub message_max_bytes: Option<usize>,
    pub workers: Option<usize>,
    pub users: Vec<User>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct User {
    pub name: String,
    pub verifier: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeerTls {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Member {
    pub name: NodeId,
    pub peer: String,
    pub priority: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Timing {
    #[serde(default, deserialize_with = "duration")]
    pub heartbeat: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    pub suspicion: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    pub lease: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    pub drift: Option<Duration>,
}

/// Reads one text, or a list of them.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(text) => vec![text],
        OneOrMore::More(texts) => texts,
    })
}

/// Reads a duration as people write it: `100ms`, `1s`, `5 minutes`.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let signed: jiff::SignedDuration = text.parse().map_err(|_| {
        serde::de::Error::custom(format!("{text:?} is no duration such as \"100ms\""))
    })?;
    Duration::try_from(signed)
        .map(Some)
        .map_err(|_| serde::de::Error::custom(format!("{text:?} is negative")))
}
