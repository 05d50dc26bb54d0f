//! The table of drills.

use std::path::Path;
use std::pin::Pin;

use super::cluster::Shape;
use super::network::Network;
use super::stage::Stage;
use super::{disk, kill, lag, partition, pause, planned, proxy, rejoin};

/// What a drill may need that a machine may lack.
#[derive(Clone, Copy)]
pub(super) enum Need {
    /// Root, iproute2 and a kernel with network namespaces.
    Namespaces,
    /// Delay and loss by the kernel.
    Netem,
    /// A small file system: root.
    Tmpfs,
    Strace,
    Faketime,
    Sqlite3,
}

impl Need {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "netns",
            Self::Netem => "netem",
            Self::Tmpfs => "tmpfs",
            Self::Strace => "strace",
            Self::Faketime => "faketime",
            Self::Sqlite3 => "sqlite3",
        }
    }

    /// Why this machine can't; `None` if it can.
    pub(super) fn missing(self) -> Option<String> {
        match self {
            Self::Namespaces => Network::missing(),
            Self::Netem => Network::netem_missing(),
            Self::Tmpfs => (!nix::unistd::geteuid().is_root())
                .then(|| "mounting a file system needs root".to_owned()),
            Self::Strace => program_missing("strace"),
            Self::Sqlite3 => program_missing("sqlite3"),
            Self::Faketime => {
                disk::faketime_library().is_none().then(|| "faketime is not installed".to_owned())
            }
        }
    }
}

fn program_missing(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(name).exists());
    (!found && !Path::new("/usr/bin").join(name).exists())
        .then(|| format!("{name} is not installed"))
}

/// Whether acknowledged writes may be gone at the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Loss {
    None,
    /// An operator accepted it in the drill, or the policy is async.
    Accepted,
}

/// What a monitor is asked for in a drill on an operator's own cluster.
#[derive(Clone, Copy)]
pub(super) enum Own {
    /// So many, one after the other.
    Switchovers(u32),
    /// Of a follower, then of the leader.
    Maintenance,
}

type Doing<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

pub(super) struct Drill {
    /// In the catalogue of the design.
    pub number: &'static str,
    pub name: &'static str,
    pub family: &'static str,
    pub what: &'static str,
    pub needs: &'static [Need],
    pub shape: Shape,
    pub loss: Loss,
    /// No write outside a transaction and no read may fail.
    pub clean: bool,
    /// Of the write gap's 95th percentile.
    pub target_p95_ms: Option<u64>,
    /// What it is on an operator's own cluster, if it may be done there.
    pub own: Option<Own>,
    /// Parts of the WARN and ERROR lines that may be in the logs.
    pub expects: &'static [&'static [&'static str]],
    pub run: for<'a> fn(&'a mut Stage<'_>) -> Doing<'a>,
}

const PLAIN: Shape = Shape::PLAIN;
const NETWORK: Shape = Shape { network: true, ..PLAIN };

/// Every drill begins from this one.
const DRILL: Drill = Drill {
    number: "",
    name: "",
    family: "",
    what: "",
    needs: &[],
    shape: PLAIN,
    loss: Loss::None,
    clean: false,
    target_p95_ms: None,
    own: None,
    expects: &[],
    run: |_| Box::pin(async { Ok(()) }),
};

const KILL: Drill = Drill { family: "kill", expects: &[GONE, CUT], ..DRILL };
const PAUSE: Drill = Drill { family: "pause", expects: &[GONE, ENDED], ..DRILL };
const PARTITION: Drill = Drill {
    family: "partition",
    needs: &[Need::Namespaces],
    shape: NETWORK,
    expects: &[GONE, ENDED, LOST],
    ..DRILL
};
const LAG: Drill = Drill { family: "lag", expects: &[GONE, ENDED], ..DRILL };
const DISK: Drill = Drill { family: "disk", expects: &[GONE, ENDED], ..DRILL };
const REJOIN: Drill = Drill { family: "rejoin", expects: &[GONE, ENDED], ..DRILL };
const PLANNED: Drill = Drill { family: "planned", expects: &[GONE, SUPERSEDED], ..DRILL };
const PROXY: Drill = Drill { family: "proxy", expects: &[GONE, CUT], ..DRILL };

/// Somebody is not there, or does not answer.
const GONE: &[&str] = &[
    "silent; dialling again",
    "a control connection is stuck and is closed",
    "its connection is stuck and is closed",
    "refused; trying again",
    "not following",
    "replication ended",
    // Its caller was gone before it was heard.
    "Connection reset by peer",
];

/// Packets are lost while somebody calls.
const LOST: &[&str] = &["a peer's connection was refused error="];

/// What a dead leader had not shipped is saved and cut when it comes back.
const CUT: &[&str] = &["saved in diverged/"];

/// Who was appointed and too slow to say so had at most begun its term.
const SUPERSEDED: &[&str] = &["(0 transactions), then cut"];

/// A leader was replaced while it lived; what it had not shipped was cut.
const ENDED: &[&str] =
    &["this leader ends its term", "saved in diverged/", "the leadership can't go on"];

/// A leadership that was to be handed over was not, within its time.
const LATE: &[&str] = &["could not be handed over", "hand-over was not finished in time"];

/// A node got a copy of another's databases.
const SEEDED: &[&str] = &["seeded", "snapshot"];

/// A node was dropped, and ends.
const DROPPED: &[&str] =
    &["was dropped from the cluster", "is no member", "is no other member", "refused"];

/// A disk without space, and one that has some again.
const FULL: &[&str] =
    &["no space left", "No space left", "disk is full", "disk nearly full", "bytes left again"];

pub(super) const CATALOGUE: &[Drill] = &[
    Drill {
        number: "D1",
        name: "leader-killed",
        what: "the leader is killed and comes back",
        target_p95_ms: Some(1500),
        run: |stage| Box::pin(kill::leader(stage)),
        ..KILL
    },
    Drill {
        number: "D2",
        name: "leader-restarted",
        what: "the leader's process dies and its supervisor starts it at once",
        run: |stage| Box::pin(kill::restarted(stage)),
        ..KILL
    },
    Drill {
        number: "D3",
        name: "leader-cannot-start",
        what: "the leader's process dies and can't be started",
        run: |stage| Box::pin(kill::cannot_start(stage)),
        expects: &[GONE, CUT, &["no-such-key", "TOML", "unknown field", "towline:"]],
        ..KILL
    },
    Drill {
        number: "D4",
        name: "leader-host-gone",
        what: "the leader's host is gone, without a FIN",
        needs: &[Need::Namespaces],
        shape: NETWORK,
        target_p95_ms: Some(2000),
        run: |stage| Box::pin(kill::host_gone(stage)),
        ..KILL
    },
    Drill {
        number: "D5",
        name: "follower-killed",
        what: "a follower is killed and comes back",
        clean: true,
        run: |stage| Box::pin(kill::follower(stage)),
        ..KILL
    },
    Drill {
        number: "D6",
        name: "monitor-killed",
        what: "the monitor is killed and comes back",
        clean: true,
        run: |stage| Box::pin(kill::monitor(stage)),
        ..KILL
    },
    Drill {
        number: "D7",
        name: "proxy-killed",
        what: "the proxy dies in the middle of a transaction",
        run: |stage| Box::pin(kill::proxy(stage)),
        ..KILL
    },
    Drill {
        number: "D8",
        name: "two-leaders-killed",
        what: "the leader is killed, then the new leader; both orders of return",
        run: |stage| Box::pin(kill::two_leaders(stage)),
        expects: &[GONE, ENDED],
        ..KILL
    },
    Drill {
        number: "D9",
        name: "leader-and-follower-killed",
        what: "leader and sync follower die: it stops; an operator accepts the loss",
        loss: Loss::Accepted,
        run: |stage| Box::pin(kill::leader_and_follower(stage)),
        expects: &[GONE, ENDED, SEEDED],
        ..KILL
    },
    Drill {
        number: "D10",
        name: "promoted-killed",
        what: "the new leader dies while it is being promoted",
        shape: Shape { nodes: 5, policy: "any 2", ..PLAIN },
        run: |stage| Box::pin(kill::promoted(stage)),
        expects: &[GONE, ENDED],
        ..KILL
    },
    Drill {
        number: "D11",
        name: "source-killed",
        what: "the leader dies while a follower catches up from it",
        run: |stage| Box::pin(kill::source(stage)),
        expects: &[GONE, ENDED, SEEDED],
        ..KILL
    },
    Drill {
        number: "D12",
        name: "all-killed",
        what: "all processes are killed at once; each order of restart",
        run: |stage| Box::pin(kill::all(stage)),
        expects: &[GONE, ENDED],
        ..KILL
    },
    Drill {
        number: "D13",
        name: "leader-paused",
        what: "the leader is stopped for two leases and goes on, writes in its sockets",
        target_p95_ms: Some(2000),
        run: |stage| Box::pin(pause::leader(stage)),
        ..PAUSE
    },
    Drill {
        number: "D15",
        name: "monitor-paused",
        what: "the monitor is stopped for longer than a lease",
        clean: true,
        run: |stage| Box::pin(pause::monitor(stage)),
        ..PAUSE
    },
    Drill {
        number: "D16",
        name: "followers-paused",
        what: "the sync follower is stopped, then the other one too",
        clean: true,
        run: |stage| Box::pin(pause::followers(stage)),
        ..PAUSE
    },
    Drill {
        number: "D17",
        name: "proxy-paused",
        what: "the proxy is stopped while the leader changes, a write in its sockets",
        run: |stage| Box::pin(pause::proxy(stage)),
        ..PAUSE
    },
    Drill {
        number: "D18",
        name: "short-stall",
        what: "the leader stalls for less than a lease: nothing happens",
        clean: true,
        run: |stage| Box::pin(pause::stall(stage)),
        ..PAUSE
    },
    Drill {
        number: "D19",
        name: "leader-cut-off",
        what: "the leader is cut off from the rest",
        target_p95_ms: Some(2000),
        run: |stage| Box::pin(partition::leader(stage)),
        ..PARTITION
    },
    Drill {
        number: "D20",
        name: "leader-and-proxy-cut-off",
        what: "the leader and one proxy are cut off from the rest",
        shape: Shape { proxies: 2, ..NETWORK },
        run: |stage| Box::pin(partition::leader_and_proxy(stage)),
        ..PARTITION
    },
    Drill {
        number: "D21",
        name: "monitor-cut-off-from-leader",
        what: "monitor and leader don't hear each other",
        clean: true,
        run: |stage| Box::pin(partition::monitor_from_leader(stage)),
        ..PARTITION
    },
    Drill {
        number: "D22",
        name: "monitor-cut-off",
        what: "the monitor is cut off from everybody",
        clean: true,
        run: |stage| Box::pin(partition::monitor(stage)),
        ..PARTITION
    },
    Drill {
        number: "D23",
        name: "leader-cut-off-from-followers",
        what: "leader and followers don't hear each other; the monitor hears all",
        run: |stage| Box::pin(partition::leader_from_followers(stage)),
        ..PARTITION
    },
    Drill {
        number: "D24",
        name: "one-way-loss",
        what: "what the leader sends is lost, or what it is sent, in turns",
        run: |stage| Box::pin(partition::one_way(stage)),
        ..PARTITION
    },
    Drill {
        number: "D25",
        name: "ring",
        what: "five nodes in a ring, each hearing only its neighbours",
        shape: Shape { nodes: 5, policy: "any 2", ..NETWORK },
        run: |stage| Box::pin(partition::ring(stage)),
        expects: &[GONE, ENDED, LOST, SEEDED],
        ..PARTITION
    },
    Drill {
        number: "D26",
        name: "random-faults",
        what: "random halves, kills and switchovers, for --soak seconds",
        run: |stage| Box::pin(partition::random(stage)),
        expects: &[GONE, ENDED, LOST, SEEDED, LATE],
        ..PARTITION
    },
    Drill {
        number: "D27",
        name: "flapping-link",
        what: "the leader's link comes and goes",
        run: |stage| Box::pin(partition::flapping(stage)),
        ..PARTITION
    },
    Drill {
        number: "D28",
        name: "slow-network",
        what: "500 ms of latency and some loss everywhere",
        needs: &[Need::Namespaces, Need::Netem],
        run: |stage| Box::pin(partition::slow(stage)),
        ..PARTITION
    },
    Drill {
        number: "D29",
        name: "candidates-behind",
        what: "async: the only candidates are too far behind: refused until accepted",
        shape: Shape { policy: "async", ..PLAIN },
        loss: Loss::Accepted,
        run: |stage| Box::pin(lag::candidates_behind(stage)),
        expects: &[GONE, ENDED, SEEDED],
        ..LAG
    },
    Drill {
        number: "D30",
        name: "preferred-behind",
        what: "the longest-serving candidate lags and fetches what it lacks before it opens",
        needs: &[Need::Namespaces],
        shape: Shape { monitor_lines: "choose = \"seniority\"\n", ..NETWORK },
        run: |stage| Box::pin(lag::preferred_behind(stage)),
        expects: &[GONE, ENDED, LOST],
        ..LAG
    },
    Drill {
        number: "D31",
        name: "apply-stopped",
        what: "a follower can't apply: bounded reads leave it, and it returns by itself",
        needs: &[Need::Sqlite3],
        clean: true,
        run: |stage| Box::pin(lag::apply_stopped(stage)),
        expects: &[GONE, &["cannot apply the log: SQLite: database is locked"]],
        ..LAG
    },
    Drill {
        number: "D32",
        name: "slow-fsync-leader",
        what: "every fsync of the leader takes two seconds",
        needs: &[Need::Strace],
        run: |stage| Box::pin(disk::slow_leader(stage)),
        ..DISK
    },
    Drill {
        number: "D33",
        name: "slow-fsync-monitor",
        what: "every fsync of the monitor takes two seconds while the leader dies",
        needs: &[Need::Strace],
        run: |stage| Box::pin(disk::slow_monitor(stage)),
        ..DISK
    },
    Drill {
        number: "D34",
        name: "disk-full",
        what: "the disk is full: on a follower, on the monitor, on the leader",
        needs: &[Need::Tmpfs],
        // Of which the log takes a quarter at most, however much is written.
        shape: Shape {
            disk_mb: Some(512),
            node_lines: "segment_bytes = 4194304\nretain_bytes = 33554432\n",
            ..PLAIN
        },
        run: |stage| Box::pin(disk::full(stage)),
        expects: &[GONE, ENDED, SEEDED, FULL],
        ..DISK
    },
    Drill {
        number: "D35",
        name: "wrong-clock",
        what: "a node's and the monitor's wall clocks are an hour off",
        needs: &[Need::Faketime],
        run: |stage| Box::pin(disk::wrong_clock(stage)),
        ..DISK
    },
    Drill {
        number: "D36",
        name: "damaged-log",
        what: "a follower's log has a torn tail, then a flipped bit",
        run: |stage| Box::pin(disk::damaged_log(stage)),
        expects: &[
            GONE,
            ENDED,
            SEEDED,
            &["the end of the log may have been durable", "the log is damaged", "towline:"],
        ],
        ..DISK
    },
    Drill {
        number: "D37",
        name: "unshipped-rows",
        what: "the leader dies with 1,000 unshipped rows: saved, cut, follows",
        run: |stage| Box::pin(rejoin::unshipped(stage)),
        ..REJOIN
    },
    Drill {
        number: "D38",
        name: "fork-before-retained",
        what: "the old leader's fork is older than what is kept of the log: re-seeded",
        shape: Shape { node_lines: "segment_bytes = 65536\nretain_bytes = 65536\n", ..PLAIN },
        run: |stage| Box::pin(rejoin::fork_before_retained(stage)),
        expects: &[GONE, ENDED, SEEDED],
        ..REJOIN
    },
    Drill {
        number: "D40",
        name: "strangers",
        what: "a foreign cluster's node and a second one of the same name are refused",
        run: |stage| Box::pin(rejoin::strangers(stage)),
        expects: &[
            GONE,
            ENDED,
            SEEDED,
            &["refused", "towline:", "a follower came back with less than it had acknowledged"],
        ],
        ..REJOIN
    },
    Drill {
        number: "D41",
        name: "killed-while-rejoining",
        what: "a node is killed again and again while it rewinds or is seeded",
        shape: Shape { node_lines: "segment_bytes = 65536\nretain_bytes = 65536\n", ..PLAIN },
        run: |stage| Box::pin(rejoin::killed_meanwhile(stage)),
        expects: &[GONE, ENDED, SEEDED],
        ..REJOIN
    },
    Drill {
        number: "D42",
        name: "switchover",
        what: "the leadership is handed over under load",
        clean: true,
        target_p95_ms: Some(100),
        own: Some(Own::Switchovers(1)),
        run: |stage| Box::pin(planned::switchover(stage)),
        ..PLANNED
    },
    Drill {
        number: "D43",
        name: "switchover-with-transaction",
        what: "the leadership is handed over while a transaction is open",
        run: |stage| Box::pin(planned::with_transaction(stage)),
        expects: &[GONE, SUPERSEDED, LATE],
        ..PLANNED
    },
    Drill {
        number: "D44",
        name: "switchover-to-lagging",
        what: "handing over to a node that is behind is refused",
        clean: true,
        run: |stage| Box::pin(planned::to_lagging(stage)),
        ..PLANNED
    },
    Drill {
        number: "D45",
        name: "twenty-switchovers",
        what: "twenty switchovers in a row",
        clean: true,
        own: Some(Own::Switchovers(20)),
        run: |stage| Box::pin(planned::twenty(stage)),
        ..PLANNED
    },
    Drill {
        number: "D46",
        name: "maintenance",
        what: "maintenance of a follower, then of the leader",
        clean: true,
        own: Some(Own::Maintenance),
        run: |stage| Box::pin(planned::maintenance(stage)),
        ..PLANNED
    },
    Drill {
        number: "D47",
        name: "members",
        what: "a node joins, one replaces a follower, the leader leaves",
        shape: Shape { spares: 2, ..PLAIN },
        clean: true,
        expects: &[GONE, SUPERSEDED, SEEDED, DROPPED],
        run: |stage| Box::pin(planned::members(stage)),
        ..PLANNED
    },
    Drill {
        number: "D48",
        name: "monitor-replaced",
        what: "the monitor is replaced by one without state",
        clean: true,
        run: |stage| Box::pin(planned::new_monitor(stage)),
        ..PLANNED
    },
    Drill {
        number: "D49",
        name: "rolling-restart",
        what: "every process is restarted in turn",
        run: |stage| Box::pin(planned::rolling(stage)),
        ..PLANNED
    },
    Drill {
        number: "D50",
        name: "certificates",
        what: "certificates are renewed and read again; a foreign authority's is refused",
        clean: true,
        run: |stage| Box::pin(planned::certificates(stage)),
        expects: &[GONE, SUPERSEDED, &["a peer's connection was refused"]],
        ..PLANNED
    },
    Drill {
        number: "D51",
        name: "priorities",
        what: "a monitor that may appoint nobody does not start; then one node may lead",
        run: |stage| Box::pin(planned::priorities(stage)),
        expects: &[GONE, CUT, &["priority 0", "towline:"]],
        ..PLANNED
    },
    Drill {
        number: "D52",
        name: "leader-stopped",
        what: "the leader's service is stopped: it hands over first",
        clean: true,
        run: |stage| Box::pin(planned::leader_stopped(stage)),
        ..PLANNED
    },
    Drill {
        number: "D53",
        name: "power-cut",
        what: "everything is killed and started at once",
        run: |stage| Box::pin(planned::power_cut(stage)),
        expects: &[GONE, ENDED],
        ..PLANNED
    },
    Drill {
        number: "D54",
        name: "followers-down",
        what: "all followers are down: reads go on, at the leader",
        run: |stage| Box::pin(proxy::followers_down(stage)),
        ..PROXY
    },
    Drill {
        number: "D55",
        name: "prepared-statements",
        what: "prepared statements and settings live on across a failover",
        run: |stage| Box::pin(proxy::prepared(stage)),
        ..PROXY
    },
    Drill {
        number: "D57",
        name: "cancel",
        what: "a cancel with a wrong secret, and cancels that race with completion",
        clean: true,
        run: |stage| Box::pin(proxy::cancel(stage)),
        ..PROXY
    },
    Drill {
        number: "D58",
        name: "copy-cut",
        what: "a COPY is cut in the middle by the leader's death",
        run: |stage| Box::pin(proxy::copy(stage)),
        ..PROXY
    },
    Drill {
        number: "D59",
        name: "commit-reply-lost",
        what: "replies to COMMIT are lost: looked up, never repeated",
        run: |stage| Box::pin(proxy::commits(stage)),
        ..PROXY
    },
    Drill {
        number: "D60",
        name: "no-leaks",
        what: "no session state leaks to another client",
        clean: true,
        run: |stage| Box::pin(proxy::leaks(stage)),
        ..PROXY
    },
    Drill {
        number: "D61",
        name: "reload",
        what: "processes read their certificates again under load: nobody is cut off",
        clean: true,
        run: |stage| Box::pin(proxy::reload(stage)),
        ..PROXY
    },
    Drill {
        number: "D62",
        name: "half-open-clients",
        what: "a proxy's clients are gone without a word: it lets go of them within seconds",
        needs: &[Need::Namespaces],
        shape: Shape { proxies: 2, ..NETWORK },
        clean: true,
        run: |stage| Box::pin(proxy::half_open(stage)),
        ..PROXY
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_and_names_are_unique() {
        let numbers: BTreeSet<&str> = CATALOGUE.iter().map(|drill| drill.number).collect();
        let names: BTreeSet<&str> = CATALOGUE.iter().map(|drill| drill.name).collect();
        assert_eq!((numbers.len(), names.len()), (CATALOGUE.len(), CATALOGUE.len()));
        for drill in CATALOGUE {
            assert!(!drill.what.is_empty() && !drill.family.is_empty(), "{}", drill.number);
            assert!(drill.own.is_none() || drill.family == "planned", "{}", drill.number);
            let namespaces = drill.needs.iter().any(|need| matches!(need, Need::Namespaces));
            assert_eq!(drill.shape.network, namespaces, "{}", drill.number);
        }
    }
}
