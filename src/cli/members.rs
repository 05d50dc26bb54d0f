//! `towline node`: runs one, or has one join the cluster, leave it, or take another's place.

use serde_json::json;

use super::daemon;
use super::status::{Target, ask};

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
}

pub(super) fn run(arguments: &NodeArguments) -> anyhow::Result<()> {
    let add = |node: &str, Place { peer, priority }: &Place, replaces: Option<&str>| {
        json!({
            "request": "add", "node": node, "peer": peer, "priority": priority, "replaces": replaces,
        })
    };
    match (&arguments.change, &arguments.daemon) {
        (Some(Change::Add { node, place, target }), _) => ask(target, add(node, place, None)),
        (Some(Change::Replace { old, new, place, target }), _) => {
            ask(target, add(new, place, Some(old)))
        }
        (Some(Change::Drop { node, target }), _) => {
            ask(target, json!({ "request": "drop", "node": node }))
        }
        (None, Some(daemon)) => daemon::node(daemon),
        (None, None) => unreachable!("clap shows the help then"),
    }
}
