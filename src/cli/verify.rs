//! `towline verify`: do all nodes hold the same content?
//!
//! The leader puts a marker into its log; each node, when it applies the marker, keeps
//! a view of its databases as they are there, and digests it. So all are compared at
//! one LSN, whatever is written meanwhile, and no writer waits.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::status::{Monitor, Target, block_on};
use crate::sql::catalog::split_database;

/// How often a node is asked whether it is done.
const ASK_EVERY: Duration = Duration::from_millis(50);

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// How long a node may take to apply the marker and digest its content.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    block_on(verify(arguments))
}

/// A node's content at the marker.
struct Content {
    name: String,
    node: Monitor,
    tables: BTreeMap<String, String>,
    databases: BTreeMap<u32, String>,
}

async fn verify(arguments: &Arguments) -> anyhow::Result<()> {
    let monitor = arguments.target.resolve()?;
    let view = monitor.view().await?;
    let leader = view.leader.filter(|_| view.open).context("no leader is open")?;
    let peer = view.nodes.iter().find(|node| node.name == leader).context("a foreign leader")?;
    let marked = monitor.node(&peer.peer).ask(json!({ "request": "mark" })).await?;
    let lsn = marked["lsn"].as_str().context("the leader told no LSN")?;
    let deadline = Instant::now() + Duration::from_secs(arguments.timeout);
    let mut contents = Vec::new();
    let mut silent = Vec::new();
    for node in &view.nodes {
        let name = node.name.to_string();
        let asked = monitor.node(&node.peer);
        match tables(&asked, &marked["id"], deadline).await {
            Ok((tables, databases)) => {
                contents.push(Content { name, node: asked, tables, databases });
            }
            Err(error) => silent.push(format!("{name}: {error:#}")),
        }
    }
    let mut differing = Vec::new();
    if let Some(right) = majority(&contents, leader.as_str()) {
        for other in contents.iter().filter(|other| other.tables != right.tables) {
            differing.push(difference(right, other, &marked["id"]).await?);
        }
    }
    report(arguments.json, lsn, &contents, &differing, &silent)
}

/// The node's digests, once it has them, and its databases by number.
async fn tables(
    node: &Monitor,
    id: &Value,
    deadline: Instant,
) -> anyhow::Result<(BTreeMap<String, String>, BTreeMap<u32, String>)> {
    loop {
        let answer = node.ask(json!({ "request": "digests", "id": id })).await?;
        if let Some(tables) = answer.get("tables") {
            let databases = serde_json::from_value(answer["databases"].clone())?;
            return Ok((serde_json::from_value(tables.clone())?, databases));
        }
        if Instant::now() >= deadline {
            match answer["reason"].as_str() {
                Some("") | None => bail!("not done in time, applied up to {}", answer["applied"]),
                Some(reason) => bail!("{reason}"),
            }
        }
        // One that applies nothing will not come to it.
        if let Some(reason) = answer["reason"].as_str().filter(|r| r.starts_with("quarantined")) {
            bail!("{reason}");
        }
        sleep(ASK_EVERY).await;
    }
}

/// The content that most nodes hold; of several, the leader's.
fn majority<'a>(contents: &'a [Content], leader: &str) -> Option<&'a Content> {
    contents.iter().max_by_key(|content| {
        let alike = contents.iter().filter(|other| other.tables == content.tables).count();
        (alike, content.name == leader)
    })
}

/// Where two nodes' content differs first.
struct Difference {
    node: String,
    table: String,
    /// The row's key, or what else is to say.
    row: String,
    tables: usize,
}

async fn difference(right: &Content, other: &Content, id: &Value) -> anyhow::Result<Difference> {
    let names = right.tables.keys().chain(other.tables.keys());
    let differs = |name: &&String| right.tables.get(*name) != other.tables.get(*name);
    let names: std::collections::BTreeSet<&String> = names.filter(differs).collect();
    // A difference of the schema is told by the table that it shows in, if there is one.
    let schema = "sqlite_schema";
    let first = names.iter().find(|name| **name != schema).or(names.first());
    let table = first.context("equal content differs")?.to_string();
    let row = match (right.tables.contains_key(&table), other.tables.contains_key(&table)) {
        (true, false) => "the table is missing".to_owned(),
        (false, true) => "the table should not be there".to_owned(),
        _ if table == schema => "the definitions differ".to_owned(),
        _ => first_row(right, other, &table, id).await?,
    };
    let table = shown(&table, &right.databases);
    Ok(Difference { node: other.name.clone(), table, row, tables: names.len() })
}

/// A table's name with that of its database, where that is not the first.
fn shown(table: &str, databases: &BTreeMap<u32, String>) -> String {
    let (number, name) = split_database(table);
    match databases.get(&number) {
        Some(database) => format!("{name} of database {database}"),
        None => table.to_owned(),
    }
}

/// Goes over the table on both until a row differs.
async fn first_row(
    right: &Content,
    other: &Content,
    table: &str,
    id: &Value,
) -> anyhow::Result<String> {
    let mut skip = 0;
    loop {
        let request = json!({ "request": "rows", "id": id, "table": table, "skip": skip });
        let rows: Vec<(String, String)> =
            serde_json::from_value(right.node.ask(request.clone()).await?)?;
        let others: Vec<(String, String)> = serde_json::from_value(other.node.ask(request).await?)?;
        let length = rows.len().max(others.len());
        for place in 0..length {
            let pair = (rows.get(place), others.get(place));
            return Ok(match pair {
                (Some(row), Some(other)) if row == other => continue,
                (Some(row), Some(other)) if row.0 == other.0 => {
                    format!("{} has other values", row.0)
                }
                (Some(row), Some(other)) => {
                    format!("{} on {}, {} here", row.0, right.name, other.0)
                }
                (Some(row), None) => format!("{} is missing", row.0),
                (None, Some(other)) => format!("{} should not be there", other.0),
                (None, None) => continue,
            });
        }
        if length == 0 {
            return Ok("the rows are equal, their definitions are not".to_owned());
        }
        skip += length;
    }
}

fn report(
    as_json: bool,
    lsn: &str,
    contents: &[Content],
    differing: &[Difference],
    silent: &[String],
) -> anyhow::Result<()> {
    if as_json {
        let difference = |d: &Difference| json!({ "node": d.node, "table": d.table, "row": d.row, "tables": d.tables });
        let compared: Vec<_> = contents.iter().map(|content| &content.name).collect();
        let differing: Vec<_> = differing.iter().map(difference).collect();
        let found =
            json!({ "lsn": lsn, "compared": compared, "differing": differing, "silent": silent });
        println!("{found:#}");
    } else {
        for Difference { node, table, row, tables } in differing {
            println!("{node} differs in {tables} tables, first in {table}: {row}");
        }
        for node in silent {
            println!("not compared: {node}");
        }
        if differing.is_empty() && silent.is_empty() {
            let tables = contents.first().map_or(0, |content| content.tables.len());
            println!("{} nodes hold equal content at {lsn}: {tables} tables", contents.len());
        }
    }
    match (differing.len(), silent.len()) {
        (0, 0) => Ok(()),
        (0, silent) => bail!("{silent} nodes could not be compared at {lsn}"),
        (differing, _) => bail!("{differing} nodes differ at {lsn}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_called_with_their_database() {
        let databases = BTreeMap::from([(16_390, "shop".to_owned())]);
        assert_eq!(shown("t", &databases), "t");
        assert_eq!(shown("@16390:s.t", &databases), "s.t of database shop");
        assert_eq!(shown("@7:t", &databases), "@7:t");
    }
}
