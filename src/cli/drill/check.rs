//! The checks at the end of a drill, by their names in the catalogue.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::catalogue::Loss;
use super::cluster::Cluster;
use super::logs::Logs;
use crate::cli::cluster_file::Role;
use crate::cluster::View;
use crate::workload::history::{self, Operation};
use crate::workload::load::Written;
use crate::workload::{connect, lists};

/// How long the nodes may take to become equal once the load has ended.
const EQUAL_WITHIN: Duration = Duration::from_secs(20);

/// How often it is looked whether they are.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How far behind a bounded read may be, as its bound in bytes comes to under the
/// drills' load.
const BOUND: Duration = Duration::from_secs(10);

/// Sockets that a process may have more than before the load: links that were made
/// meanwhile between processes, pools.
const SOCKETS_MORE: usize = 24;

/// Anomalies and differences shown at most.
const SHOWN: usize = 5;

#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub name: &'static str,
    pub held: bool,
    /// What was found, in one sentence.
    pub finding: String,
}

impl Check {
    pub(super) fn new(name: &'static str, held: bool, finding: String) -> Self {
        Self { name, held, finding }
    }
}

/// What the clients saw.
pub(super) struct Seen {
    pub written: Written,
    pub history: Vec<Operation>,
}

/// Judges the data once the load has ended.
pub(super) async fn data(cluster: &Cluster, seen: &Seen, loss: Loss) -> anyhow::Result<Vec<Check>> {
    let (equal, contents) = settled(cluster).await?;
    let Content { rows: ids, lists, .. } = &contents[0];
    let different: Vec<&str> = contents
        .iter()
        .filter(|other| (&other.rows, &other.lists) != (ids, lists))
        .map(|other| other.node.as_str())
        .collect();
    let mut checks = rows(&seen.written, ids, loss);
    checks.push(Check::new(
        "C4",
        equal.is_ok() && different.is_empty(),
        match &equal {
            Ok(view) if different.is_empty() => {
                format!("one leader in term {}, all nodes equal", view.term)
            }
            Ok(_) => format!("{} differ from {}", different.join(", "), contents[0].node),
            Err(error) => format!("{error:#}"),
        },
    ));
    let bound = u64::try_from(BOUND.as_nanos()).unwrap_or(u64::MAX);
    let anomalies = match loss {
        Loss::None => history::judge(&seen.history, lists, bound),
        // What was lost with consent was seen before: only the end can be judged.
        Loss::Accepted => Vec::new(),
    };
    let shown: Vec<String> = anomalies.iter().take(SHOWN).map(ToString::to_string).collect();
    checks.push(Check::new(
        "H",
        anomalies.is_empty(),
        match (loss, anomalies.len()) {
            (Loss::Accepted, _) => "not judged: loss was accepted".to_owned(),
            (Loss::None, 0) => format!("{} operations on lists are sound", seen.history.len()),
            (Loss::None, count) => format!("{count} anomalies: {}", shown.join("; ")),
        },
    ));
    Ok(checks)
}

/// What one node holds.
struct Content {
    node: String,
    rows: Vec<i64>,
    lists: BTreeMap<history::Key, Vec<history::Value>>,
}

/// Waits until all nodes hold the same, by the monitor's view and in truth. A view may be
/// older than the last write, so it alone proves nothing.
async fn settled(cluster: &Cluster) -> anyhow::Result<(anyhow::Result<View>, Vec<Content>)> {
    let deadline = Instant::now() + EQUAL_WITHIN;
    loop {
        let equal = cluster.wait("all nodes have applied the same", EQUAL_WITHIN, is_equal).await;
        let mut contents = Vec::new();
        let view = cluster.view();
        // Who was dropped, or has not joined, holds what it will.
        let listed = |node: &String| {
            view.as_ref().is_none_or(|view| view.nodes.iter().any(|it| it.name.as_str() == node))
        };
        for node in cluster.names(Role::Node).into_iter().filter(listed) {
            contents.push(content(cluster, node).await?);
        }
        let same = contents
            .windows(2)
            .all(|pair| (&pair[0].rows, &pair[0].lists) == (&pair[1].rows, &pair[1].lists));
        if (same && equal.is_ok()) || Instant::now() > deadline {
            return Ok((equal, contents));
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn content(cluster: &Cluster, node: String) -> anyhow::Result<Content> {
    let client = connect(&cluster.sql(&node)?).await?;
    // Each node answers for itself.
    client.batch_execute("SET towline.read_level = eventual").await?;
    let rows = client.query("SELECT id FROM load ORDER BY id", &[]).await?;
    let rows = rows.iter().map(|row| row.get(0)).collect();
    Ok(Content { node, rows, lists: lists::read_all(&client).await? })
}

fn is_equal(view: &View) -> bool {
    let mut applied = view.nodes.iter().map(|node| (node.end, node.applied));
    let first = applied.next();
    view.open
        && view.nodes.iter().all(|node| node.healthy && node.reason.is_empty())
        && applied.all(|other| Some(other) == first)
        && first.is_some_and(|(end, applied)| end.lsn == applied)
}

/// C1, C2 and C6: the numbered rows.
fn rows(written: &Written, ids: &[i64], loss: Loss) -> Vec<Check> {
    let present: BTreeSet<i64> = ids.iter().copied().collect();
    let lost = written.acknowledged.iter().filter(|(id, _)| !present.contains(id)).count();
    let strange = present.iter().filter(|id| !written.attempted.contains(id)).count();
    let twice = ids.len() - present.len();
    let acknowledged = written.acknowledged.len();
    let accepted = if loss == Loss::Accepted { ", which was accepted" } else { "" };
    let unseen = written.unseen.len();
    vec![
        Check::new(
            "C1",
            lost == 0 || loss == Loss::Accepted,
            format!("{lost} of {acknowledged} acknowledged writes are lost{accepted}"),
        ),
        Check::new(
            "C2",
            strange == 0 && twice == 0,
            format!("{strange} rows were never attempted, {twice} are there twice"),
        ),
        Check::new(
            "C6",
            unseen == 0 || loss == Loss::Accepted,
            format!("{unseen} rows were not seen by their own session"),
        ),
    ]
}

/// C3: by the nodes' own lease checks.
pub(super) fn leases(logs: &Logs) -> Check {
    let overlaps = logs.overlaps();
    let replies: u64 = logs.acknowledged.values().map(|(_, _, count)| count).sum();
    Check::new(
        "C3",
        overlaps.is_empty() && replies > 0,
        if overlaps.is_empty() {
            format!("{} terms, none acknowledged in another's time", logs.acknowledged.len())
        } else {
            overlaps.join("; ")
        },
    )
}

/// C7: every term that acknowledged has its appointment among the events, and every
/// event has a reason.
pub(super) fn events(logs: &Logs, events: &[Value], first: u64) -> Check {
    let mute = events.iter().filter(|event| {
        let text = |key: &str| event[key].as_str().is_some_and(|text| !text.is_empty());
        !text("rule") || !text("reason")
    });
    let mute = mute.count();
    let told: BTreeSet<u64> = events.iter().filter_map(|event| event["term"].as_u64()).collect();
    let silent: Vec<String> = logs
        .acknowledged
        .keys()
        .filter(|term| **term >= first && !told.contains(term))
        .map(ToString::to_string)
        .collect();
    Check::new(
        "C7",
        mute == 0 && silent.is_empty(),
        if silent.is_empty() {
            format!("{} events, {mute} without a rule or reason", events.len())
        } else {
            format!("terms {} are in no event", silent.join(", "))
        },
    )
}

/// C8: what is left behind, while the processes still run.
pub(super) fn sockets(
    before: &BTreeMap<String, usize>,
    after: &BTreeMap<String, usize>,
) -> Option<String> {
    let more = after.iter().filter_map(|(name, after)| {
        let before = before.get(name).copied().unwrap_or_default();
        (*after > before + SOCKETS_MORE)
            .then(|| format!("{name} has {after} sockets open, {before} before the load"))
    });
    let more: Vec<String> = more.collect();
    (!more.is_empty()).then(|| more.join("; "))
}

/// Files that are only there for a moment, in a cluster that has ended.
pub(super) fn leftovers(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                directories.push(path);
            } else if [".partial", ".tmp", ".new"].iter().any(|end| name.ends_with(end)) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}
