//! The command line: one file per subcommand. Only here do errors lose their types
//! (anyhow) and become one sentence on standard error.

mod backup;
mod certs;
mod cluster_file;
mod daemon;
mod demo;
mod drill;
mod dump;
mod init;
mod layout;
mod log;
mod members;
mod password;
mod status;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Single-leader replication for SQLite, spoken to through PostgreSQL clients.
#[derive(Parser)]
#[command(name = "towline", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node: a SQLite database, its log, and the SQL endpoint in front; or have one
    /// join the cluster, or leave it.
    Node(members::NodeArguments),
    /// Run a proxy: one SQL endpoint for the whole cluster.
    Proxy(daemon::Arguments),
    /// Run the monitor: it notices a dead leader and appoints another.
    Monitor(daemon::Arguments),
    /// Start three nodes, a monitor and a proxy in one directory.
    Demo(demo::Arguments),
    /// Show every node's role, state, positions and lag.
    Status(status::Arguments),
    /// Show what the monitor decided, and why.
    Events(status::EventsArguments),
    /// Hand the leadership over without losing a write.
    Switchover(status::SwitchoverArguments),
    /// Elect a leader now; with `--allow-data-loss` also where reports are missing.
    Failover(status::FailoverArguments),
    /// Weaken the sync policy so that writes go on without followers, or restore it.
    Policy(status::PolicyArguments),
    /// Keep a node from leading, or let it again.
    Maintenance(status::MaintenanceArguments),
    /// Kill, pause or hand over the leader under load and check what it cost.
    Drill(drill::Arguments),
    /// Look at a node's log, running or not.
    Log(log::Arguments),
    /// Compare all nodes' content at one LSN, while they work.
    Verify(verify::Arguments),
    /// Put a snapshot into the archive, or list what it holds.
    Backup(backup::Arguments),
    /// Make a node's directory as the databases were at some moment, from the archive.
    Restore(backup::RestoreArguments),
    /// Make the first node's directory of a new cluster from an existing SQLite file.
    Init(init::Arguments),
    /// Write a database as SQL that PostgreSQL and SQLite both load.
    Dump(dump::Arguments),
    /// Make a certificate authority, and certificates for the cluster's processes.
    Certs(certs::Arguments),
    /// Read a password and print the verifier that goes into a configuration.
    Password,
}

/// Runs the command line; the program's whole life.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Node(arguments) => members::run(&arguments),
        Command::Proxy(arguments) => daemon::proxy(&arguments),
        Command::Monitor(arguments) => daemon::monitor(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Events(arguments) => status::events(&arguments),
        Command::Switchover(arguments) => status::switchover(&arguments),
        Command::Failover(arguments) => status::failover(&arguments),
        Command::Policy(arguments) => status::policy(&arguments),
        Command::Maintenance(arguments) => status::maintenance(&arguments),
        Command::Drill(arguments) => drill::run(&arguments),
        Command::Log(arguments) => log::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Restore(arguments) => backup::restore(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Dump(arguments) => dump::run(&arguments),
        Command::Certs(arguments) => certs::run(&arguments),
        Command::Password => password::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("towline: {}", sentence(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes as one line. Many errors tell their cause in their own text:
/// it is not said twice.
fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if sentence.is_empty() {
            sentence = cause;
        } else if !sentence.ends_with(&cause) {
            sentence = format!("{sentence}: {cause}");
        }
    }
    sentence
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::sentence;

    #[test]
    fn an_error_is_one_sentence_and_says_nothing_twice() {
        let refused = anyhow!("refused").context("127.0.0.1:1: refused").context("asking");
        assert_eq!(sentence(&refused), "asking: 127.0.0.1:1: refused");
    }
}
