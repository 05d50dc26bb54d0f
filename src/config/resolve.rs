use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::resolved::{
    ArchiveConfig, Choice, EtcdConfig, MonitorConfig, NodeConfig, PeerTlsConfig, ProxyConfig,
    SqlConfig, Timing,
};
use super::written;
use crate::cluster::{NodeId, Policy};
use crate::pg::scram;

/// Of a member for which none is written.
pub const PRIORITY: u32 = 100;

/// A configuration that cannot be used. Says where and why.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML, an unknown key, a missing key, a value of the wrong type.
    #[error("{}:{line}:{column}: {cause}", file.display())]
    Syntax { file: PathBuf, line: usize, column: usize, cause: String },
    /// Well written, and nonsense.
    #[error("{}: {cause}", file.display())]
    Invalid { file: PathBuf, cause: String },
}

/// Resolves a node's configuration, `text` being the content of `file`.
pub fn node(file: &Path, text: &str) -> Result<NodeConfig, ConfigError> {
    let written: written::Node = parse(file, text)?;
    let check = Check { file };
    let members = check.members(&written.members)?;
    if !members.iter().any(|(name, _, _)| *name == written.name) {
        return Err(check.invalid(format!("members does not list this node, {}", written.name)));
    }
    if let Some(follow) = &written.follow {
        let other = *follow != written.name;
        if !other || !members.iter().any(|(name, _, _)| name == follow) {
            return Err(check.invalid(format!("follow: {follow} is no other member")));
        }
    }
    let segment_bytes = written.segment_bytes.unwrap_or(16 << 20);
    if !(64 << 10..=1 << 30).contains(&segment_bytes) {
        return Err(check.invalid("segment_bytes must be from 65536 to 1073741824"));
    }
    let snapshot_rate_bytes = written.snapshot_rate_bytes.unwrap_or(128 << 20);
    if (1..64 << 10).contains(&snapshot_rate_bytes) {
        return Err(check.invalid("snapshot_rate_bytes must be 0 or at least 65536"));
    }
    let readers = written.readers.unwrap_or(4);
    check.at_least("readers", readers, 1)?;
    Ok(NodeConfig {
        cluster: check.named("cluster", written.cluster)?,
        data: check.path(&written.data),
        sql: check.sql(written.sql)?,
        peer_listen: check.address("peer_listen", written.peer_listen)?,
        tls: check.peer_tls(&written.tls),
        monitors: check.addresses("monitor", written.monitor)?,
        policy: check.policy(written.policy, &members)?,
        follow: written.follow,
        members: members.into_iter().map(|(name, peer, _)| (name, peer)).collect(),
        timing: check.timing(written.timing.unwrap_or_default())?,
        segment_bytes,
        retain_bytes: written.retain_bytes.unwrap_or(1 << 30),
        snapshot_rate_bytes,
        reserve_bytes: written.reserve_bytes.unwrap_or(128 << 20),
        archive: written.archive.map(|archive| ArchiveConfig {
            url: archive.url,
            snapshot_every: archive.snapshot_every.unwrap_or(Duration::from_secs(24 * 3600)),
            tail_every: archive.tail_every.unwrap_or(Duration::from_secs(10)),
        }),
        readers,
        wal_max_bytes: written.wal_max_bytes.unwrap_or(256 << 20),
        wal_read_max: written.wal_read_max.unwrap_or(Duration::from_secs(30)),
        name: written.name,
    })
}

/// The other half is left to the writer, the log, the kernel's side of the network and
/// whoever else lives on the machine: a thread that shares its core with those spends more
/// on being woken and put to sleep than it gains.
fn half_the_cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

/// Resolves a proxy's configuration, `text` being the content of `file`.
pub fn proxy(file: &Path, text: &str) -> Result<ProxyConfig, ConfigError> {
    let written: written::Proxy = parse(file, text)?;
    let check = Check { file };
    let nodes = check.members(&written.members)?;
    Ok(ProxyConfig {
        name: check.named("name", written.name)?,
        cluster: check.named("cluster", written.cluster)?,
        sql: check.sql(written.sql)?,
        http_listen: check.optional_address("http_listen", written.http_listen)?,
        tls: check.peer_tls(&written.tls),
        monitors: check.addresses("monitor", written.monitor)?,
        nodes: nodes.into_iter().map(|(name, peer, _)| (name, peer)).collect(),
        leader_wait: written.leader_wait.unwrap_or(Duration::from_secs(30)),
        timing: check.timing(written.timing.unwrap_or_default())?,
    })
}

/// Resolves a monitor's configuration, `text` being the content of `file`.
pub fn monitor(file: &Path, text: &str) -> Result<MonitorConfig, ConfigError> {
    let written: written::Monitor = parse(file, text)?;
    let check = Check { file };
    let members = check.members(&written.members)?;
    if members.iter().all(|(_, _, priority)| *priority == 0) {
        return Err(check.invalid("every member has priority 0: nobody may ever lead"));
    }
    let failovers_max = written.failovers_max.unwrap_or(3);
    check.at_least("failovers_max", failovers_max as usize, 1)?;
    Ok(MonitorConfig {
        name: check.named("name", written.name)?,
        etcd: check.etcd(written.etcd, &written.cluster)?,
        cluster: check.named("cluster", written.cluster)?,
        data: check.path(&written.data),
        peer_listen: check.address("peer_listen", written.peer_listen)?,
        http_listen: check.optional_address("http_listen", written.http_listen)?,
        tls: check.peer_tls(&written.tls),
        policy: check.policy(written.policy, &members)?,
        members,
        choose: match written.choose.unwrap_or(written::Choose::Latest) {
            written::Choose::Latest => Choice::Latest,
            written::Choose::Seniority => Choice::Seniority,
        },
        timing: check.timing(written.timing.unwrap_or_default())?,
        failovers_max,
        failover_window: written.failover_window.unwrap_or(Duration::from_secs(300)),
        lag_bytes_max: written.lag_bytes_max.unwrap_or(1 << 20),
        drain: written.drain.unwrap_or(Duration::from_secs(1)),
        restart_grace: written.restart_grace.unwrap_or_default(),
    })
}

fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(text.len(), |span| span.start.min(text.len()));
        let before = &text.as_bytes()[..offset];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
        let cause = error.message().trim().to_owned();
        ConfigError::Syntax { file: file.to_owned(), line, column, cause }
    })
}

/// The checks that go beyond syntax, with the file for their messages.
struct Check<'a> {
    file: &'a Path,
}

impl Check<'_> {
    fn invalid(&self, cause: impl Into<String>) -> ConfigError {
        ConfigError::Invalid { file: self.file.to_owned(), cause: cause.into() }
    }

    /// Paths are relative to the directory of the file that names them.
    fn path(&self, path: &Path) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }

    fn named(&self, key: &str, name: String) -> Result<String, ConfigError> {
        if name.trim().is_empty() {
            return Err(self.invalid(format!("{key} must not be empty")));
        }
        Ok(name)
    }

    fn address(&self, key: &str, address: String) -> Result<String, ConfigError> {
        let port = address.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
        match port {
            Some((host, Ok(_))) if !host.is_empty() => Ok(address),
            _ => Err(self.invalid(format!("{key} = {address:?} is not HOST:PORT"))),
        }
    }

    fn optional_address(
        &self,
        key: &str,
        address: Option<String>,
    ) -> Result<Option<String>, ConfigError> {
        address.map(|address| self.address(key, address)).transpose()
    }

    fn addresses(&self, key: &str, addresses: Vec<String>) -> Result<Vec<String>, ConfigError> {
        addresses.into_iter().map(|address| self.address(key, address)).collect()
    }

    fn etcd(
        &self,
        written: Option<written::Etcd>,
        cluster: &str,
    ) -> Result<Option<EtcdConfig>, ConfigError> {
        let Some(written) = written else { return Ok(None) };
        let endpoints = self.addresses("etcd.endpoints", written.endpoints)?;
        self.at_least("the number of etcd.endpoints", endpoints.len(), 1)?;
        let ttl = written.ttl.unwrap_or(Duration::from_secs(2));
        if ttl < Duration::from_secs(2) || ttl.subsec_nanos() > 0 {
            return Err(self.invalid("etcd.ttl must be whole seconds, two at least"));
        }
        let prefix = written.prefix.unwrap_or_else(|| format!("/towline/{cluster}"));
        let prefix = prefix.trim_end_matches('/').to_owned();
        Ok(Some(EtcdConfig { endpoints, prefix, ttl }))
    }

    fn at_least(&self, key: &str, value: usize, least: usize) -> Result<(), ConfigError> {
        if value < least {
            return Err(self.invalid(format!("{key} must be at least {least}")));
        }
        Ok(())
    }

    fn members(
        &self,
        written: &[written::Member],
    ) -> Result<Vec<(NodeId, String, u32)>, ConfigError> {
        let mut members: Vec<(NodeId, String, u32)> = Vec::new();
        for member in written {
            if members.iter().any(|(name, _, _)| *name == member.name) {
                return Err(self.invalid(format!("members lists {} twice", member.name)));
            }
            let peer = self.address("members.peer", member.peer.clone())?;
            members.push((member.name.clone(), peer, member.priority.unwrap_or(PRIORITY)));
        }
        if members.is_empty() {
            return Err(self.invalid("members is empty"));
        }
        Ok(members)
    }

    fn policy(
        &self,
        policy: Option<Policy>,
        members: &[(NodeId, String, u32)],
    ) -> Result<Policy, ConfigError> {
        let policy = policy.unwrap_or(Policy::Quorum);
        let names = || members.iter().map(|(name, _, _)| name);
        if let Some(stranger) = policy
            .names()
            .unwrap_or_default()
            .iter()
            .find(|named| !names().any(|name| name == *named))
        {
            return Err(self.invalid(format!("policy \"{policy}\" names {stranger}, no member")));
        }
        let acks = policy.acks(members.len());
        // Whoever may lead must find enough others.
        for (leader, _, _) in members.iter().filter(|(_, _, priority)| *priority > 0) {
            let followers = policy.followers(names(), leader).len();
            if acks > followers {
                let whose = if policy.names().is_some() { " named" } else { "" };
                return Err(self.invalid(format!(
                    "policy \"{policy}\" wants {acks} followers' acknowledgements and there are \
                     {followers}{whose} while {leader} leads"
                )));
            }
        }
        Ok(policy)
    }

    fn peer_tls(&self, written: &written::PeerTls) -> PeerTlsConfig {
        PeerTlsConfig {
            ca: self.path(&written.ca),
            certificate: self.path(&written.certificate),
            key: self.path(&written.key),
        }
    }

    fn sql(&self, written: written::Sql) -> Result<SqlConfig, ConfigError> {
        let certificate = match (&written.certificate, &written.key) {
            (Some(certificate), Some(key)) => Some((self.path(certificate), self.path(key))),
            (None, None) => None,
            _ => return Err(self.invalid("sql.certificate and sql.key go together")),
        };
        let max_connections = written.max_connections.unwrap_or(1000);
        self.at_least("sql.max_connections", max_connections, 1)?;
        let message_max = written.message_max_bytes.unwrap_or(64 << 20);
        self.at_least("sql.message_max_bytes", message_max, 64 << 10)?;
        let workers = match written.workers {
            None | Some(0) => half_the_cores(),
            Some(workers) => workers,
        };
        let mut users: Vec<(String, String)> = Vec::new();
        for user in written.users {
            if let Err(error) = user.verifier.parse::<scram::Verifier>() {
                let name = &user.name;
                return Err(self.invalid(format!(
                    "sql.users: the verifier of {name:?} is {error}; \
                     make one with `towline password`"
                )));
            }
            if users.iter().any(|(name, _)| *name == user.name) {
                return Err(self.invalid(format!("sql.users lists {:?} twice", user.name)));
            }
            users.push((self.named("sql.users.name", user.name)?, user.verifier));
        }
        Ok(SqlConfig {
            listen: self.address("sql.listen", written.listen)?,
            certificate,
            database: self.named("sql.database", written.database)?,
            users,
            max_connections,
            message_max,
            workers,
        })
    }

    /// Rule 8: the clockwork must fit together, or a healthy leader loses its lease.
    fn timing(&self, written: written::Timing) -> Result<Timing, ConfigError> {
        let ms = Duration::from_millis;
        let timing = Timing {
            heartbeat: written.heartbeat.unwrap_or(ms(100)),
            suspicion: written.suspicion.unwrap_or(ms(500)),
            lease: written.lease.unwrap_or(ms(1000)),
            drift: written.drift.unwrap_or(ms(100)),
        };
        if timing.heartbeat < ms(10) {
            return Err(self.invalid("timing.heartbeat must be at least 10ms"));
        }
        // A heartbeat and two retries of it must fit into each of the two.
        for (key, bound) in [("lease", timing.lease), ("suspicion", timing.suspicion)] {
            if timing.heartbeat * 3 > bound {
                return Err(self.invalid(format!(
                    "timing.{key} = {bound:?} is shorter than three heartbeats of {:?} (rule 8)",
                    timing.heartbeat
                )));
            }
        }
        if timing.drift * 50 < timing.lease {
            return Err(self.invalid(format!(
                "timing.drift = {:?} is less than 2 % of the lease of {:?} (rule 8)",
                timing.drift, timing.lease
            )));
        }
        Ok(timing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = include_str!("../../conf/node.toml");
    const PROXY: &str = include_str!("../../conf/proxy.toml");
    const MONITOR: &str = include_str!("../../conf/monitor.toml");
    const STANDBY: &str = include_str!("../../conf/monitor-standby.toml");

    /// What an operator must write; everything else in `conf/` is a default.
    const REQUIRED: &[&str] = &[
        "name",
        "cluster",
        "data",
        "peer_listen",
        "members",
        "peer",
        "tls",
        "ca",
        "certificate",
        "key",
        "sql",
        "listen",
        "database",
        "users",
        "verifier",
    ];

    /// The document without any key that has a default.
    fn without_defaults(text: &str) -> String {
        fn strip(table: toml::Table) -> toml::Table {
            table
                .into_iter()
                .filter(|(key, _)| REQUIRED.contains(&key.as_str()))
                .map(|(key, value)| {
                    let value = match value {
                        toml::Value::Table(table) => strip(table).into(),
                        toml::Value::Array(items) => items
                            .into_iter()
                            .map(|item| match item {
                                toml::Value::Table(table) => strip(table).into(),
                                other => other,
                            })
                            .collect::<Vec<_>>()
                            .into(),
                        other => other,
                    };
                    (key, value)
                })
                .collect()
        }
        strip(text.parse().expect("conf is TOML")).to_string()
    }

    #[test]
    fn conf_shows_every_key() {
        let keys = include_str!("written.rs").lines().filter_map(|line| {
            line.strip_prefix("    pub ").and_then(|rest| rest.split_once(':')).map(|(key, _)| key)
        });
        for key in keys {
            let shown = |text: &str| {
                text.lines().any(|line| {
                    line.starts_with(&format!("{key} = "))
                        || line.trim_matches(['[', ']']).split('.').next_back() == Some(key)
                })
            };
            let files = [NODE, PROXY, MONITOR, STANDBY];
            assert!(files.into_iter().any(shown), "conf/ does not show {key}");
        }
    }

    #[test]
    fn conf_shows_defaults_as_the_code_has_them() {
        let file = Path::new("/etc/towline/x.toml");
        let full = node(file, NODE).expect("conf/node.toml is valid");
        let mut bare = node(file, &without_defaults(NODE)).expect("defaults suffice");
        bare.monitors.clone_from(&full.monitors);
        bare.archive.clone_from(&full.archive);
        bare.follow.clone_from(&full.follow);
        assert_eq!(format!("{full:#?}"), format!("{bare:#?}"));
        let full = proxy(file, PROXY).expect("conf/proxy.toml is valid");
        let mut bare = proxy(file, &without_defaults(PROXY)).expect("defaults suffice");
        bare.monitors.clone_from(&full.monitors);
        bare.http_listen.clone_from(&full.http_listen);
        assert_eq!(format!("{full:#?}"), format!("{bare:#?}"));
        let full = monitor(file, MONITOR).expect("conf/monitor.toml is valid");
        let mut bare = monitor(file, &without_defaults(MONITOR)).expect("defaults suffice");
        bare.http_listen.clone_from(&full.http_listen);
        assert_eq!(format!("{full:#?}"), format!("{bare:#?}"));
    }

    #[test]
    fn a_standby_needs_only_to_know_etcd() {
        let file = Path::new("/etc/towline/x.toml");
        let full = monitor(file, STANDBY).expect("conf/monitor-standby.toml is valid");
        let bare = STANDBY.replace("prefix = \"/towline/example\"\nttl = \"2s\"\n", "");
        assert_ne!(bare, STANDBY);
        let bare = monitor(file, &bare).expect("defaults suffice");
        assert_eq!(format!("{full:#?}"), format!("{bare:#?}"));
        let error = monitor(file, &STANDBY.replace("\"2s\"", "\"1s\"")).expect_err("too short");
        assert!(error.to_string().contains("etcd.ttl"), "{error}");
    }

    #[test]
    fn errors_name_file_line_and_column() {
        let file = Path::new("n.toml");
        let error = node(file, "name = \"a\"\nclutser = 1\n").expect_err("misspelt");
        assert!(error.to_string().starts_with("n.toml:2:1: "), "{error}");
        assert!(error.to_string().contains("clutser"), "{error}");
        let error = node(file, "name = \"a").expect_err("half-written");
        assert!(error.to_string().starts_with("n.toml:1:"), "{error}");
        let error = node(file, "name = \"A B\"").expect_err("no name");
        assert!(error.to_string().contains("invalid node name"), "{error}");
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        let file = Path::new("n.toml");
        for (from, to, reason) in [
            ("lease = \"1s\"", "lease = \"200ms\"", "three heartbeats"),
            ("suspicion = \"500ms\"", "suspicion = \"150ms\"", "three heartbeats"),
            ("drift = \"100ms\"", "drift = \"1ms\"", "2 %"),
            ("heartbeat = \"100ms\"", "heartbeat = \"soon\"", "is no duration"),
            ("policy = \"quorum\"", "policy = \"any 3\"", "there are 2"),
            ("policy = \"quorum\"", "policy = \"any 1 (node9)\"", "node9, no member"),
            ("policy = \"quorum\"", "policy = \"first 1 (node1)\"", "while node1 leads"),
            ("policy = \"quorum\"", "policy = \"most\"", "invalid policy"),
            ("name = \"node1\"", "name = \"node9\"", "does not list this node"),
            ("name = \"node3\"", "name = \"node1\"", "lists node1 twice"),
            ("readers = 4", "readers = 0", "readers must be at least 1"),
            ("segment_bytes = 16777216", "segment_bytes = 1", "segment_bytes must be"),
            ("peer_listen = \"127.0.0.1:7001\"", "peer_listen = \"7001\"", "is not HOST:PORT"),
            ("key = \"sql.key\"", "", "go together"),
            ("verifier = \"SCRAM-SHA-256$", "verifier = \"secret$", "towline password"),
        ] {
            assert!(NODE.contains(from), "conf/node.toml has {from:?}");
            let error = node(file, &NODE.replacen(from, to, 1)).expect_err(to);
            assert!(error.to_string().contains(reason), "{to}: {error}");
        }
        let nobody =
            MONITOR.replace("priority = 100\n", "").replace("\npeer =", "\npriority = 0\npeer =");
        let error = monitor(file, &nobody).expect_err("nobody leads");
        assert!(error.to_string().contains("nobody may ever lead"), "{error}");
    }
}
