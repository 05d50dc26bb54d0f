//! `towline init`: an existing SQLite file becomes the database of a new cluster.
//!
//! The node's directory that it makes holds the file's content as of the first frame of
//! a log that begins beyond LSN 0. The other members start empty: their logs and this one
//! have no term in common, so each of them gets a snapshot. The first leader is chosen
//! once all members have answered, and is the one with the longest log: this one.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use super::backup::{check_new, make_control};
use crate::log::{Entry, Lsn, Term, TermStart};
use crate::storage::log_store::LogStore;
use crate::storage::sqlite::import;

/// Where the log begins.
const FOUNDED_AT: Lsn = Lsn(16 << 20);
/// Capacity of its first segment, bytes; those after it are as configured.
const SEGMENT_BYTES: u64 = 16 << 20;
/// Of the frame that the database's content belongs to.
const TERM: Term = Term(1);

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The SQLite file. It is copied, and may be read meanwhile.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The database's name, as the nodes' configurations have it.
    #[arg(long, value_name = "NAME")]
    database: String,
    /// The new cluster's id.
    #[arg(long, value_name = "ID")]
    cluster: String,
    /// The data directory to make. The other nodes start without one.
    data: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let data = &arguments.data;
    check_new(data)?;
    let generation = data.join("gen-0");
    fs::create_dir_all(&generation).with_context(|| format!("{}", generation.display()))?;
    let mut log = LogStore::found(&data.join("log"), SEGMENT_BYTES, FOUNDED_AT)?;
    let time_us = jiff::Timestamp::now().as_microsecond();
    let start = TermStart { leader: "init".to_owned(), time_us };
    let spans = log.append(TERM, &[Entry::TermStart(start)])?;
    log.syncer().sync()?;
    let at = (TERM, spans[0].end);
    let database = generation.join(format!("{}.db", arguments.database));
    let imported = import(&arguments.from, &database, at)?;
    for path in [&database, &generation, data] {
        fs::File::open(path)?.sync_all().with_context(|| format!("{}", path.display()))?;
    }
    make_control(data, &arguments.cluster, at)?;
    let (tables, views) = (imported.tables, imported.views);
    println!("{tables} tables and {views} views are in {}, at {}", data.display(), at.1);
    if let Some((table, referenced)) = imported.violated {
        println!(
            "a row of {table} refers to none of {referenced}: it stays, but no other can be added"
        );
    }
    if !imported.shrinks {
        println!("space that is freed in this file will be used again, but not given back");
    }
    Ok(())
}
