//! `towline drill`: does to a cluster what the world will do, under load, and checks
//! what it cost.
//!
//! A drill is a name, a number in the catalogue, and what it does to the leader
//! ([`Drill`]); `cluster` starts and touches the processes, `load` writes numbered rows
//! and remembers every acknowledgement, `check` judges at the end. A new drill is a
//! new variant and its arm in `strike`.

mod check;
mod cluster;
mod load;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use comfy_table::{Table, presets};
use serde::Serialize;

use self::cluster::Cluster;
use self::load::Load;
use super::status::block_on;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Which drills; all of them without a name.
    #[arg(value_enum, value_name = "DRILL")]
    drills: Vec<Drill>,
    /// How often each is done.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Sessions that write meanwhile.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    clients: u32,
    /// Where the cluster is made; a fresh temporary directory, removed when every
    /// check held, if not given.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The first of the ports that the cluster listens on.
    #[arg(long, value_name = "P", default_value_t = 16432)]
    port: u16,
    /// Also write the report as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// The drills, with their numbers in the catalogue.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Drill {
    /// D1: the leader is killed with SIGKILL and comes back.
    Kill,
    /// D13: the leader is stopped with SIGSTOP for two leases and goes on.
    Pause,
    /// D42: the leadership is handed over under load.
    Switchover,
    /// D52: the leader gets SIGTERM and hands over before it ends.
    Terminate,
}

const ALL: [Drill; 4] = [Drill::Kill, Drill::Pause, Drill::Switchover, Drill::Terminate];

/// How long a round may take until writes go on and every node is well again.
const RECOVER_WITHIN: Duration = Duration::from_secs(60);

/// What one round showed.
#[derive(Debug, Serialize)]
struct Round {
    drill: Drill,
    round: u32,
    leader_before: String,
    leader_after: String,
    term_after: u64,
    /// The longest time without an acknowledged write, milliseconds.
    write_gap_ms: u64,
    /// Writes acknowledged in the round.
    acknowledged: usize,
    /// Writes whose client got an error, or no answer.
    failed: usize,
    /// What the monitor decided meanwhile.
    events: Vec<serde_json::Value>,
}

/// All rounds, and the verdict.
#[derive(Debug, Serialize)]
struct Report {
    rounds: Vec<Round>,
    checks: Vec<check::Check>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let scratch = tempfile_dir(arguments)?;
    let dir = arguments.dir.clone().unwrap_or_else(|| scratch.clone());
    let report = block_on(async {
        let mut cluster = Cluster::start(&dir, arguments.port).await?;
        let result = drill(arguments, &mut cluster).await;
        cluster.stop().await?;
        result
    });
    let report =
        report.with_context(|| format!("the logs are in {}", dir.join("logs").display()))?;
    if let Some(file) = &arguments.report {
        std::fs::write(file, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("{}", file.display()))?;
    }
    print(&report);
    let failed: Vec<&str> =
        report.checks.iter().filter(|check| !check.held).map(|check| check.name).collect();
    ensure!(
        failed.is_empty(),
        "checks that did not hold: {}; everything is in {}",
        failed.join(", "),
        dir.display()
    );
    if arguments.dir.is_none() {
        std::fs::remove_dir_all(&scratch).with_context(|| format!("{}", scratch.display()))?;
    }
    Ok(())
}

fn tempfile_dir(arguments: &Arguments) -> anyhow::Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!("towline-drill-{}", std::process::id()));
    if arguments.dir.is_none() {
        std::fs::create_dir(&dir).with_context(|| format!("{}", dir.display()))?;
    }
    Ok(dir)
}

async fn drill(arguments: &Arguments, cluster: &mut Cluster) -> anyhow::Result<Report> {
    let drills = if arguments.drills.is_empty() { &ALL[..] } else { &arguments.drills };
    let mut load = Load::start(cluster.sql(), arguments.clients).await?;
    let mut rounds = Vec::new();
    for &drill in drills {
        for round in 1..=arguments.rounds {
            rounds.push(one_round(drill, round, cluster, &mut load).await?);
        }
    }
    let written = load.stop().await;
    let checks = check::all(cluster, &written).await?;
    Ok(Report { rounds, checks })
}

async fn one_round(
    drill: Drill,
    round: u32,
    cluster: &mut Cluster,
    load: &mut Load,
) -> anyhow::Result<Round> {
    let before = cluster.wait_until_well(RECOVER_WITHIN).await?;
    let leader = before.leader.clone().context("a healthy cluster has a leader")?;
    let events_before = cluster.events().await?.len();
    load.wait_for_progress(RECOVER_WITHIN).await?;
    let mark = load.mark();
    let start = Instant::now();
    strike(drill, cluster, leader.as_str()).await?;
    cluster.wait_for_term_above(before.term, RECOVER_WITHIN).await?;
    load.wait_for_progress(RECOVER_WITHIN).await?;
    let after = cluster.wait_until_well(RECOVER_WITHIN).await?;
    let (acknowledged, failed, gap) = load.since(mark, start);
    Ok(Round {
        drill,
        round,
        leader_before: leader.to_string(),
        leader_after: after.leader.map(|leader| leader.to_string()).unwrap_or_default(),
        term_after: after.term.0,
        write_gap_ms: u64::try_from(gap.as_millis()).unwrap_or(u64::MAX),
        acknowledged,
        failed,
        events: cluster.events().await?.split_off(events_before),
    })
}

/// Does to the leader what the drill says.
async fn strike(drill: Drill, cluster: &mut Cluster, leader: &str) -> anyhow::Result<()> {
    use nix::sys::signal::Signal;
    match drill {
        Drill::Kill => cluster.signal(leader, Signal::SIGKILL),
        Drill::Terminate => cluster.signal(leader, Signal::SIGTERM),
        Drill::Switchover => cluster.switchover().await,
        Drill::Pause => {
            cluster.signal(leader, Signal::SIGSTOP)?;
            tokio::time::sleep(2 * cluster::LEASE).await;
            cluster.signal(leader, Signal::SIGCONT)
        }
    }
}

fn print(report: &Report) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["DRILL", "ROUND", "LEADER", "TERM", "WRITE GAP", "ACKNOWLEDGED", "FAILED"]);
    for round in &report.rounds {
        table.add_row([
            format!("{:?}", round.drill).to_lowercase(),
            round.round.to_string(),
            format!("{} → {}", round.leader_before, round.leader_after),
            round.term_after.to_string(),
            format!("{} ms", round.write_gap_ms),
            round.acknowledged.to_string(),
            round.failed.to_string(),
        ]);
        for event in &round.events {
            let text = |key: &str| event.get(key).map(ToString::to_string).unwrap_or_default();
            table.add_row([String::new(), format!("  {} {}", text("rule"), text("reason"))]);
        }
    }
    println!("{table}\n");
    for drill in ALL {
        let mut gaps: Vec<u64> = report
            .rounds
            .iter()
            .filter(|round| round.drill == drill)
            .map(|round| round.write_gap_ms)
            .collect();
        gaps.sort_unstable();
        if let (Some(&max), Some(&p50)) = (gaps.last(), gaps.get(gaps.len() / 2)) {
            let p95 = gaps[(gaps.len() * 95).div_ceil(100) - 1];
            println!("{drill:?}: write gap p50 {p50} ms, p95 {p95} ms, max {max} ms");
        }
    }
    for check in &report.checks {
        let verdict = if check.held { "held" } else { "FAILED" };
        println!("{} {verdict}: {}", check.name, check.finding);
    }
}
