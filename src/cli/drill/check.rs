//! The checks at the end of a drill, by their names in the catalogue.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::cluster::Cluster;
use super::load::{Written, connect};

/// How long the nodes may take to become equal once the load has ended.
const EQUAL_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub name: &'static str,
    pub held: bool,
    /// What was found, in one sentence.
    pub finding: String,
}

/// Judges the cluster after the load.
pub(super) async fn all(cluster: &Cluster, written: &Written) -> anyhow::Result<Vec<Check>> {
    let view = cluster.wait_until_equal(EQUAL_WITHIN).await;
    let mut contents = Vec::new();
    for (name, config) in cluster.nodes() {
        let client = connect(&config).await?;
        let rows = client.query("SELECT id FROM drill ORDER BY id", &[]).await?;
        let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        contents.push((name, ids));
    }
    let (_, ids) = &contents[0];
    let present: BTreeSet<i64> = ids.iter().copied().collect();
    let lost = written.acknowledged.iter().filter(|(id, _)| !present.contains(id)).count();
    let strange = present.iter().filter(|id| !written.attempted.contains(id)).count();
    let twice = ids.len() - present.len();
    let different: Vec<&str> =
        contents.iter().filter(|(_, other)| other != ids).map(|(name, _)| name.as_str()).collect();
    let acknowledged = written.acknowledged.len();
    Ok(vec![
        Check {
            name: "C1",
            held: lost == 0,
            finding: format!("{lost} of {acknowledged} acknowledged writes are lost"),
        },
        Check {
            name: "C2",
            held: strange == 0 && twice == 0,
            finding: format!("{strange} rows were never attempted, {twice} are there twice"),
        },
        Check {
            name: "C4",
            held: view.is_ok() && different.is_empty(),
            finding: match &view {
                Ok(view) if different.is_empty() => {
                    format!("one leader in term {}, all nodes equal", view.term)
                }
                Ok(_) => format!("{} differ from {}", different.join(", "), contents[0].0),
                Err(error) => format!("{error:#}"),
            },
        },
        Check {
            name: "C6",
            held: written.unseen.is_empty(),
            finding: format!("{} rows were not seen by their own session", written.unseen.len()),
        },
    ])
}
