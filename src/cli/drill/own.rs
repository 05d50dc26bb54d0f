//! Planned drills on an operator's own cluster: what its monitor may be asked for, while a
//! load of its own writes through its SQL endpoint.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Context, anyhow, ensure};
use serde_json::{Value, json};
use tokio_postgres::Config;

use super::catalogue::{Drill, Own};
use super::check::Check;
use super::report::{Drilled, Origin, Round, Timeline, Verdict, millis};
use super::run::{Course, Options, READERS, judged, outcome};
use super::stage::SOON;
use crate::cli::status::Monitor;
use crate::cluster::{NodeId, View};
use crate::workload::connect;
use crate::workload::load::{Load, Written};

/// The drill's table, which it makes and drops.
pub(super) const TABLE: &str = "drill_load";

/// Does one drill.
///
/// # Errors
/// When it can't begin: the table is there, or the SQL endpoint is not.
pub(super) async fn drill(
    drill: &Drill,
    options: &Options<'_>,
    monitor: &Monitor,
    sql: &Config,
) -> anyhow::Result<Drilled> {
    let Some(own) = drill.own else {
        let why = "not done to a cluster that is in use".to_owned();
        return Ok(outcome(drill, Verdict::Skipped, vec![why]));
    };
    let origin = Origin::now();
    let client = connect(sql).await.context("connecting")?;
    let make = format!("CREATE TABLE {TABLE} (id bigint PRIMARY KEY, client int)");
    client.batch_execute(&make).await.with_context(|| {
        format!("making table {TABLE}; if a drill that was broken off has left it there, drop it")
    })?;
    let mut course = Course::default();
    let done = under_load(own, options, monitor, sql, &mut course).await;
    let written = done.unwrap_or_else(|error| {
        course.why.push(format!("{error:#}"));
        Written::default()
    });
    // Who wrote were other sessions, of which this one has seen nothing.
    client.batch_execute("SET towline.read_level = 'strong'").await.context("reading the table")?;
    let rows = client.query(&format!("SELECT id FROM {TABLE}"), &[]).await;
    client.batch_execute(&format!("DROP TABLE {TABLE}")).await.context("dropping the table")?;
    let rows = rows.context("reading the table")?;
    let present: BTreeSet<i64> = rows.iter().map(|row| row.get(0)).collect();
    let total = written.acknowledged.len();
    let lost = written.acknowledged.iter().filter(|(id, _)| !present.contains(id)).count();
    let finding = format!("{lost} of {total} acknowledged writes are lost");
    let checks = vec![Check::new("C1", lost == 0, finding)];
    let events = monitor.ask(json!({ "request": "events" })).await?;
    let events: Vec<Value> = events.as_array().cloned().unwrap_or_default();
    let acknowledged = written.acknowledged.iter().map(|(_, at)| *at);
    let timeline = Timeline::new(&origin, acknowledged, &course.journal, events);
    Ok(judged(drill, options, course, checks, total, timeline))
}

async fn under_load(
    own: Own,
    options: &Options<'_>,
    monitor: &Monitor,
    sql: &Config,
    course: &mut Course,
) -> anyhow::Result<Written> {
    let load = Load::start(sql.clone(), TABLE, options.clients, READERS).await?;
    for number in 1..=options.rounds {
        if let Err(error) = round(number, own, monitor, &load, course).await {
            course.why.push(format!("round {number}: {error:#}"));
            break;
        }
    }
    Ok(load.stop().await)
}

async fn round(
    round: u32,
    own: Own,
    monitor: &Monitor,
    load: &Load,
    course: &mut Course,
) -> anyhow::Result<()> {
    let before = open_view(monitor).await?;
    load.progress(50, SOON).await.map_err(|error| anyhow!(error))?;
    let mark = load.mark();
    match own {
        Own::Switchovers(count) => {
            for _ in 0..count {
                say(course, "switchover".to_owned());
                monitor.ask(json!({ "request": "switchover" })).await?;
            }
        }
        Own::Maintenance => {
            let leader = before.leader.clone();
            let nodes = before.nodes.iter().map(|node| &node.name);
            let follower = nodes.clone().find(|node| Some(*node) != leader.as_ref());
            for node in [follower, leader.as_ref()].into_iter().flatten() {
                set_maintenance(node, true, monitor, course).await?;
                let kept = load.progress(50, SOON).await;
                set_maintenance(node, false, monitor, course).await?;
                kept.map_err(|error| anyhow!(error))?;
            }
        }
    }
    load.progress(50, SOON).await.map_err(|error| anyhow!(error))?;
    let after = open_view(monitor).await?;
    let since = load.since(mark);
    for (what, failed) in [("writes", &since.failed), ("reads", &since.reads_failed)] {
        if let Some(first) = failed.first() {
            course.why.push(format!("round {round}: {} {what} failed: {first}", failed.len()));
        }
    }
    let name = |leader: Option<NodeId>| leader.map(|it| it.to_string()).unwrap_or_default();
    course.rounds.push(Round {
        round,
        leader_before: name(before.leader),
        leader_after: name(after.leader),
        term_after: after.term.0,
        write_gap_ms: millis(since.write_gap),
        read_gap_ms: millis(since.read_gap),
        acknowledged: since.acknowledged,
        failed: since.failed.len(),
        reads_failed: since.reads_failed.len(),
    });
    Ok(())
}

async fn set_maintenance(
    node: &NodeId,
    on: bool,
    monitor: &Monitor,
    course: &mut Course,
) -> anyhow::Result<()> {
    let request = json!({ "request": "maintenance", "node": node, "on": on });
    let answer = monitor.ask(request).await?;
    say(course, format!("maintenance of {node}: {answer}"));
    Ok(())
}

fn say(course: &mut Course, what: String) {
    course.journal.push((Instant::now(), what));
}

async fn open_view(monitor: &Monitor) -> anyhow::Result<View> {
    let view = monitor.view().await?;
    ensure!(view.open, "the cluster has no open leader");
    ensure!(
        view.nodes.iter().all(|node| node.healthy && node.reason.is_empty()),
        "not every node is well: see `towline status`"
    );
    Ok(view)
}
