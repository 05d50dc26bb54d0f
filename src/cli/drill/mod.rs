//! `towline drill`: does to a cluster what the world will do, under load, and checks
//! what it cost.
//!
//! Every drill stands in one table ([`catalogue`]), with its number, what it needs of the
//! machine, what it may complain about in its logs, and the function that does it; the
//! functions lie by family in files of their own. Each drill gets a cluster of its own
//! ([`cluster`]), of the shipped binary, with addresses of its own where packets are to be
//! lost ([`network`]). Meanwhile clients write numbered rows, read, and append to lists
//! ([`crate::workload`]); at the end [`check`] judges, and [`logs`] what the processes
//! wrote. What the machine lacks makes a drill skipped, never passed.

mod catalogue;
mod check;
mod cluster;
mod disk;
mod kill;
mod lag;
mod logs;
mod network;
mod own;
mod partition;
mod pause;
mod planned;
mod proxy;
mod rejoin;
mod report;
mod run;
mod stage;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use comfy_table::{Table, presets};

use self::catalogue::{CATALOGUE, Drill};
use self::report::{Drilled, Report, Verdict};
use super::status::{Target, block_on};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Which drills: numbers (D1), names (leader-killed), families (kill), or `all`.
    /// Without any they are listed.
    #[arg(value_name = "DRILL")]
    drills: Vec<String>,
    /// How often each is done.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Sessions that write meanwhile.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    clients: u32,
    /// Where drill.json and drill.html go.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Where the clusters are made; a fresh temporary directory, removed when everything
    /// held, if not given.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// How long drills without an end of their own go on, seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    soak: u64,
    /// A write gap above its target is a failure.
    #[arg(long)]
    targets: bool,
    /// An operator's own cluster, on which only planned drills are done, by switchovers and
    /// maintenance.
    #[command(flatten)]
    target: Target,
    /// Where that cluster's clients connect, as libpq spells it; a demo's proxy if not given.
    #[arg(long, value_name = "CONNECTION")]
    proxy: Option<String>,
    /// Do not ask before touching that cluster.
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.drills.is_empty() {
        list();
        return Ok(());
    }
    let drills = choose(&arguments.drills)?;
    let begun = jiff::Timestamp::now();
    let started = Instant::now();
    let scratch = std::env::temp_dir().join(format!("towline-drill-{}", std::process::id()));
    let dir = arguments.scratch.clone().unwrap_or(scratch);
    let options = run::Options {
        dir: &dir,
        rounds: arguments.rounds,
        clients: arguments.clients,
        soak: Duration::from_secs(arguments.soak),
        targets: arguments.targets,
    };
    let mut drilled = Vec::new();
    let target = &arguments.target;
    let own = arguments.proxy.is_some() || target.is_given();
    if own {
        let monitor = target.resolve()?;
        let sql = match &arguments.proxy {
            Some(proxy) => proxy.parse().context("--proxy")?,
            None => target.demo_sql()?.context("--proxy says where its clients connect")?,
        };
        ensure!(arguments.yes || agreed()?, "nothing was done: the drills were not agreed to");
        for drill in drills {
            drilled.push(block_on(own::drill(drill, &options, &monitor, &sql))?);
            say(drilled.last());
        }
    } else {
        std::fs::create_dir_all(&dir).with_context(|| format!("{}", dir.display()))?;
        for drill in drills {
            drilled.push(block_on(run::drill(drill, &options))?);
            say(drilled.last());
        }
    }
    let count = |verdict| drilled.iter().filter(|drill| drill.verdict == verdict).count();
    let report = Report {
        begun,
        took_s: started.elapsed().as_secs(),
        rounds: arguments.rounds,
        passed: count(Verdict::Passed),
        failed: count(Verdict::Failed),
        skipped: count(Verdict::Skipped),
        drills: drilled,
    };
    if let Some(directory) = &arguments.report {
        report.write(directory)?;
    }
    print(&report);
    if report.failed > 0 && own {
        bail!("{} drills failed", report.failed);
    }
    if report.failed > 0 {
        bail!("{} drills failed; their clusters are in {}", report.failed, dir.display());
    }
    if arguments.scratch.is_none() && !own {
        std::fs::remove_dir_all(&dir).with_context(|| format!("{}", dir.display()))?;
    }
    Ok(())
}

/// The drills that are meant by numbers, names and families, in the catalogue's order.
fn choose(words: &[String]) -> anyhow::Result<Vec<&'static Drill>> {
    let meant = |word: &str, drill: &Drill| {
        word == "all"
            || word.eq_ignore_ascii_case(drill.number)
            || word == drill.name
            || word == drill.family
    };
    for word in words {
        ensure!(
            CATALOGUE.iter().any(|drill| meant(word, drill)),
            "there is no drill {word:?}; without arguments they are listed"
        );
    }
    let chosen = CATALOGUE.iter().filter(|drill| words.iter().any(|word| meant(word, drill)));
    Ok(chosen.collect())
}

fn agreed() -> anyhow::Result<bool> {
    println!(
        "This makes table `{}` in that cluster, writes to it, drops it, and changes the cluster's\n\
         leader. Only planned drills are done. Go on? (yes/no)",
        own::TABLE
    );
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

fn list() {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["DRILL", "NAME", "FAMILY", "NEEDS", "WHAT"]);
    for drill in CATALOGUE {
        let needs: Vec<&str> = drill.needs.iter().map(|need| need.name()).collect();
        table.add_row([drill.number, drill.name, drill.family, &needs.join(", "), drill.what]);
    }
    println!("{table}");
}

/// One line as soon as a drill is over.
fn say(drilled: Option<&Drilled>) {
    let Some(drilled) = drilled else { return };
    let Drilled { number, what, verdict, .. } = drilled;
    let gap = drilled.write_gap.map_or(String::new(), |gap| {
        format!(", write gap p50 {} ms, p95 {} ms, max {} ms", gap.p50_ms, gap.p95_ms, gap.max_ms)
    });
    println!("{number} {what}: {}{gap}", format!("{verdict:?}").to_lowercase());
    for why in &drilled.why {
        println!("    {why}");
    }
}

fn print(report: &Report) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "DRILL",
        "NAME",
        "VERDICT",
        "ROUNDS",
        "GAP P50",
        "P95",
        "MAX",
        "TARGET",
        "ACKNOWLEDGED",
        "FAILED",
    ]);
    for drill in &report.drills {
        let gap = |of: fn(&report::Figures) -> u64| {
            drill.write_gap.as_ref().map_or(String::new(), |figures| format!("{} ms", of(figures)))
        };
        let failed: usize = drill.rounds.iter().map(|round| round.failed).sum();
        table.add_row([
            drill.number.to_owned(),
            drill.name.to_owned(),
            format!("{:?}", drill.verdict).to_lowercase(),
            drill.rounds.len().to_string(),
            gap(|figures| figures.p50_ms),
            gap(|figures| figures.p95_ms),
            gap(|figures| figures.max_ms),
            drill.target_p95_ms.map_or(String::new(), |target| format!("{target} ms")),
            drill.acknowledged.to_string(),
            failed.to_string(),
        ]);
    }
    println!("\n{table}\n");
    println!(
        "{} passed, {} failed, {} skipped, in {} s",
        report.passed, report.failed, report.skipped, report.took_s
    );
}
