//! Does one drill, from the making of its cluster to the verdict.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::catalogue::Drill;
use super::check::{self, Check, Seen};
use super::cluster::Cluster;
use super::logs::Logs;
use super::report::{Drilled, Figures, Origin, Round, Timeline, Verdict, millis};
use super::stage::{SOON, Stage, well};
use crate::workload::lists::Lists;
use crate::workload::load::{Load, Since};

/// The table of the numbered rows.
const TABLE: &str = "load";

/// Sessions beside those that write: readers, and those that append to lists.
pub(super) const READERS: u32 = 2;
const LISTERS: u32 = 3;

/// How long the processes may take to let go of what the load used.
const SETTLE_WITHIN: Duration = Duration::from_secs(10);

/// Different failures shown at most.
const SHOWN: usize = 5;

pub(super) struct Options<'a> {
    pub dir: &'a Path,
    pub rounds: u32,
    pub clients: u32,
    pub soak: Duration,
    pub targets: bool,
}

/// What came of a drill's rounds.
#[derive(Default)]
pub(super) struct Course {
    pub rounds: Vec<Round>,
    /// What was not as it should be.
    pub why: Vec<String>,
    pub journal: Vec<(Instant, String)>,
    failed: BTreeMap<String, usize>,
}

/// Does a drill on a cluster of its own.
///
/// # Errors
/// Only when the drills as a whole are to end: by SIGINT or SIGTERM.
pub(super) async fn drill(drill: &Drill, options: &Options<'_>) -> anyhow::Result<Drilled> {
    let lacks: Vec<String> = drill.needs.iter().filter_map(|need| need.missing()).collect();
    if !lacks.is_empty() {
        return Ok(outcome(drill, Verdict::Skipped, lacks));
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let result = tokio::select! {
        result = on_fresh_cluster(drill, options) => result,
        _ = interrupt.recv() => return Err(anyhow!("interrupted in {}", drill.number)),
        _ = terminate.recv() => return Err(anyhow!("interrupted in {}", drill.number)),
    };
    Ok(result.unwrap_or_else(|error| outcome(drill, Verdict::Failed, vec![format!("{error:#}")])))
}

async fn on_fresh_cluster(drill: &Drill, options: &Options<'_>) -> anyhow::Result<Drilled> {
    let dir = options.dir.join(drill.number);
    let mut cluster = Cluster::start(&dir, &drill.shape).await?;
    well(&cluster, SOON).await?;
    let before = cluster.sockets();
    let first = cluster.view().map_or(0, |view| view.term.0);
    let sql = cluster.sql("proxy")?;
    let origin = Origin::now();
    let load = Load::start(sql.clone(), TABLE, options.clients, READERS).await?;
    let lists = Lists::start(sql, LISTERS).await?;
    let mut course = Course::default();
    for round in 1..=options.rounds {
        if let Err(error) = one_round(drill, round, options, &mut cluster, &load, &mut course).await
        {
            course.journal.push((Instant::now(), format!("NOT SO: {error:#}")));
            course.why.push(format!("round {round}: {error:#}"));
            break;
        }
    }
    if !course.why.is_empty() {
        cluster.restore();
    }
    let history = lists.stop().await;
    let seen = Seen { written: load.stop().await, history };
    let mut checks = match check::data(&cluster, &seen, drill.loss).await {
        Ok(checks) => checks,
        Err(error) => vec![Check::new("C4", false, format!("{error:#}"))],
    };
    let events = cluster.events().await.unwrap_or_default();
    let sockets = settled(&cluster, &before).await;
    // What they say while they are stopped, the monitor first, is no part of the drill.
    let logs = Logs::read(&cluster.logs())?;
    cluster.stop().await;
    checks.push(check::leases(&logs));
    checks.push(check::events(&logs, &events, first));
    let mut left: Vec<String> = sockets.into_iter().collect();
    left.append(&mut cluster.bad_ends);
    left.extend(check::leftovers(cluster.dir()));
    let finding = if left.is_empty() { "nothing".to_owned() } else { left.join("; ") };
    checks.push(Check::new("C8", left.is_empty(), format!("left behind: {finding}")));
    checks.sort_by_key(|check| check.name);
    let unexpected = logs.unexpected(drill.expects);
    course.why.extend(unexpected.iter().map(|text| format!("unexpected in the logs: {text}")));
    let acknowledged = seen.written.acknowledged.iter().map(|(_, at)| *at);
    let timeline = Timeline::new(&origin, acknowledged, &course.journal, events);
    Ok(judged(drill, options, course, checks, seen.written.acknowledged.len(), timeline))
}

async fn one_round(
    drill: &Drill,
    round: u32,
    options: &Options<'_>,
    cluster: &mut Cluster,
    load: &Load,
    course: &mut Course,
) -> anyhow::Result<()> {
    let view = well(cluster, SOON).await?;
    let leader = view.leader.context("a healthy cluster has a leader")?.to_string();
    load.progress(50, SOON).await.map_err(|error| anyhow!(error))?;
    course
        .journal
        .push((Instant::now(), format!("round {round}: {leader} leads in term {}", view.term)));
    let mut stage = Stage {
        cluster,
        load,
        round,
        leader: leader.clone(),
        term: view.term,
        soak: options.soak,
        journal: &mut course.journal,
        complaints: Vec::new(),
        struck: None,
    };
    let done = (drill.run)(&mut stage).await;
    let (complaints, struck) = (std::mem::take(&mut stage.complaints), stage.struck);
    course.why.extend(complaints.into_iter().map(|text| format!("round {round}: {text}")));
    done?;
    load.progress(50, SOON).await.map_err(|error| anyhow!(error))?;
    let after = well(cluster, SOON).await?;
    let since = load.since(struck.unwrap_or_else(|| load.mark()));
    let Since { acknowledged, failed, write_gap, reads_failed, read_gap } = since;
    if drill.clean && !failed.is_empty() {
        let count = failed.len();
        course.why.push(format!("round {round}: {count} writes failed: {}", failed[0]));
    }
    if drill.clean && !reads_failed.is_empty() {
        let count = reads_failed.len();
        course.why.push(format!("round {round}: {count} reads failed: {}", reads_failed[0]));
    }
    course.rounds.push(Round {
        round,
        leader_before: leader,
        leader_after: after.leader.map(|leader| leader.to_string()).unwrap_or_default(),
        term_after: after.term.0,
        write_gap_ms: millis(write_gap),
        read_gap_ms: millis(read_gap),
        acknowledged,
        failed: failed.len(),
        reads_failed: reads_failed.len(),
    });
    for text in failed.into_iter().chain(reads_failed) {
        *course.failed.entry(text).or_default() += 1;
    }
    Ok(())
}

/// Waits until the processes have let go of the load's sockets; what they keep.
async fn settled(cluster: &Cluster, before: &BTreeMap<String, usize>) -> Option<String> {
    let deadline = Instant::now() + SETTLE_WITHIN;
    loop {
        let kept = check::sockets(before, &cluster.sockets());
        if kept.is_none() || Instant::now() > deadline {
            return kept;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

pub(super) fn judged(
    drill: &Drill,
    options: &Options<'_>,
    mut course: Course,
    mut checks: Vec<Check>,
    acknowledged: usize,
    timeline: Timeline,
) -> Drilled {
    let figures = Figures::of(&course.rounds);
    if let Some(figures) = figures {
        let missed = drill.target_p95_ms.filter(|target| figures.p95_ms > *target);
        let target = drill.target_p95_ms.map(|target| format!(", {target} ms wanted"));
        checks.push(Check::new(
            "C5",
            missed.is_none() || !options.targets,
            format!("write gap p95 {} ms{}", figures.p95_ms, target.unwrap_or_default()),
        ));
        checks.sort_by_key(|check| check.name);
    }
    for check in checks.iter().filter(|check| !check.held) {
        course.why.push(format!("{} is broken: {}", check.name, check.finding));
    }
    let mut failed: Vec<(usize, String)> =
        course.failed.into_iter().map(|(text, count)| (count, text)).collect();
    failed.sort_by(|a, b| b.cmp(a));
    failed.truncate(SHOWN);
    let verdict = if course.why.is_empty() { Verdict::Passed } else { Verdict::Failed };
    Drilled {
        rounds: course.rounds,
        write_gap: figures,
        checks,
        acknowledged,
        failed_writes: failed,
        timeline,
        ..outcome(drill, verdict, course.why)
    }
}

pub(super) fn outcome(drill: &Drill, verdict: Verdict, why: Vec<String>) -> Drilled {
    Drilled {
        number: drill.number,
        name: drill.name,
        family: drill.family,
        what: drill.what,
        verdict,
        why,
        rounds: Vec::new(),
        write_gap: None,
        target_p95_ms: drill.target_p95_ms,
        checks: Vec::new(),
        acknowledged: 0,
        failed_writes: Vec::new(),
        timeline: Timeline::default(),
    }
}
