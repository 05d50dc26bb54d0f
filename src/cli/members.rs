//! `towline node`: runs one, or has one join the cluster, leave it, or take another's place.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::daemon;
use super::status::{Monitor, Target, block_on, print_answer};
use crate::cluster::View;

/// How often it is looked how far a change is.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a node that does not come is sent away, if the monitor can't do it at once.
const ATTEMPTS: u32 = 5;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(super) struct NodeArguments {
    #[command(flatten)]
    daemon: Option<daemon::Arguments>,
    #[command(subcommand)]
    change: Option<Change>,
}

#[derive(clap::Subcommand)]
enum Change {
    /// Has a node join: start it with an empty directory and a configuration that lists it.
    /// It gets a copy of the databases, and counts once it has caught up.
    Add {
        node: String,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        target: Target,
    },
    /// Has a node leave; if it leads it hands over first. Its process ends.
    Drop {
        node: String,
        #[command(flatten)]
        target: Target,
    },
    /// Has a node join, and another one leave as soon as it counts.
    Replace {
        /// Who leaves.
        old: String,
        /// Who joins.
        new: String,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(clap::Args)]
struct Place {
    /// Where other processes reach the node.
    #[arg(long, value_name = "HOST:PORT")]
    peer: String,
    /// Who is preferred as leader; 0: never leads.
    #[arg(long, value_name = "N", default_value_t = crate::config::PRIORITY)]
    priority: u32,
    /// For how long nothing may be heard of the node before it is given up.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

pub(super) fn run(arguments: &NodeArguments) -> anyhow::Result<()> {
    match (&arguments.change, &arguments.daemon) {
        (Some(Change::Add { node, place, target }), _) => add(target, node, place, None),
        (Some(Change::Replace { old, new, place, target }), _) => {
            add(target, new, place, Some(old))
        }
        (Some(Change::Drop { node, target }), _) => block_on(async {
            let monitor = target.resolve()?;
            watch(&monitor, drop_request(node), |_| true).await?;
            Ok(())
        }),
        (None, Some(daemon)) => daemon::node(daemon),
        (None, None) => unreachable!("clap shows the help then"),
    }
}

fn drop_request(node: &str) -> Value {
    json!({ "request": "drop", "node": node })
}

/// Has a node join. If it is not heard of, or the operator has enough of waiting, it is sent
/// away again.
fn add(target: &Target, node: &str, place: &Place, replaces: Option<&str>) -> anyhow::Result<()> {
    let Place { peer, priority, timeout } = place;
    let request = json!({
        "request": "add", "node": node, "peer": peer, "priority": priority, "replaces": replaces,
    });
    let patience = Duration::from_secs(*timeout);
    block_on(async {
        let monitor = target.resolve()?;
        let mut heard = Instant::now();
        let comes = |view: &View| {
            if view.nodes.iter().any(|it| it.name.as_str() == node && it.healthy) {
                heard = Instant::now();
            }
            heard.elapsed() < patience
        };
        let why = tokio::select! {
            biased;
            came = watch(&monitor, request, comes) => match came? {
                true => return Ok(()),
                false => format!("nothing was heard of {node} at {peer} for {timeout} s"),
            },
            _ = tokio::signal::ctrl_c() => "interrupted".to_owned(),
        };
        send_away(&monitor, node).await.with_context(|| {
            format!("{why}, but {node} can't be sent away: see `towline status`")
        })?;
        bail!("{why}: {node} does not join, the members are as they were");
    })
}

/// Asks for a change of members, says on stderr how far it is as it goes on, and prints the
/// answer. `false` as soon as `goes_on` says so of what the monitor shows.
async fn watch(
    monitor: &Monitor,
    request: Value,
    mut goes_on: impl FnMut(&View) -> bool,
) -> anyhow::Result<bool> {
    let answer = monitor.ask_within(Duration::MAX, request);
    tokio::pin!(answer);
    let mut said = None;
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => {
                print_answer(&answer?);
                return Ok(true);
            }
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        // The answer says if the monitor is gone.
        let Ok(view) = monitor.view().await else { continue };
        if view.change.is_some() && view.change != said {
            eprintln!("{}", view.change.as_deref().unwrap_or_default());
        }
        if !goes_on(&view) {
            return Ok(false);
        }
        said = view.change;
    }
}

async fn send_away(monitor: &Monitor, node: &str) -> anyhow::Result<()> {
    let mut attempts = 1;
    loop {
        match monitor.ask(drop_request(node)).await {
            Ok(_) => return Ok(()),
            Err(error) if attempts == ATTEMPTS => return Err(error),
            // The leader may have to confirm that it is listed first.
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
        attempts += 1;
    }
}
