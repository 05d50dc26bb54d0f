//! `towline backup` and `towline restore`: snapshots into the archive, and the way back.
//!
//! Restoring makes a node's directory: the newest snapshot at or before the target, and
//! the log from its segment on, cut behind the target. The node that starts on it
//! applies the log, checking each transaction's effect.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use comfy_table::{Table, presets};
use serde_json::json;

use super::status::{Target, block_on};
use crate::log::describe::time;
use crate::log::{Entry, Lsn, Term};
use crate::storage::archive::{Archive, Manifest, Piece, way_on};
use crate::storage::control_file::ControlFile;
use crate::storage::log_store::{LogOptions, LogStore};
use crate::storage::sqlite::{ConnectionKind, Sqlite};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show what can be restored.
    List(List),
}

/// Which archive, and whose log in it.
#[derive(clap::Args)]
struct Source {
    /// The archive: file:///DIRECTORY or s3://BUCKET/PREFIX.
    #[arg(long, value_name = "URL")]
    from: String,
    /// The id of the cluster that it was made by.
    #[arg(long, value_name = "ID")]
    of: String,
}

#[derive(clap::Args)]
struct List {
    #[command(flatten)]
    source: Source,
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct RestoreArguments {
    #[command(flatten)]
    source: Source,
    /// Up to where: an LSN, a time such as 2026-01-31T12:00:00Z, or "latest".
    #[arg(long, value_name = "LSN|TIME|latest")]
    to: Moment,
    /// The database's name, as the node's configuration has it.
    #[arg(long, value_name = "NAME")]
    database: String,
    /// The id of the new cluster that the node belongs to: the first leader is chosen
    /// once all its members have answered. Without it the node belongs to the old cluster,
    /// and counts for nothing there until it has caught up.
    #[arg(long, value_name = "ID")]
    cluster: Option<String>,
    /// The data directory to make.
    data: PathBuf,
}

#[derive(Clone, Copy, Debug)]
enum Moment {
    Lsn(Lsn),
    /// Microseconds since 1970-01-01 UTC.
    Time(i64),
    Latest,
}

impl std::str::FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        if let Ok(lsn) = text.parse() {
            return Ok(Self::Lsn(lsn));
        }
        let time = text.parse::<jiff::Timestamp>();
        let time = time.map_err(|_| format!("{text:?} is no LSN, no time and not \"latest\""))?;
        Ok(Self::Time(time.as_microsecond()))
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.command {
        Some(Command::List(list)) => block_on(show(list)),
        None => block_on(async {
            let monitor = arguments.target.resolve()?;
            let view = monitor.view().await?;
            let leader = view.leader.filter(|_| view.open).context("no leader is open")?;
            let node = view.nodes.iter().find(|node| node.name == leader);
            let node = monitor.node(&node.context("a foreign leader")?.peer);
            let made: Manifest =
                serde_json::from_value(node.ask(json!({ "request": "backup" })).await?)?;
            println!("a snapshot at {} of {} bytes is archived", made.lsn, made.database_bytes);
            Ok(())
        }),
    }
}

/// A snapshot, and up to where the log goes on from it.
struct Window {
    snapshot: Manifest,
    way: Vec<(Piece, bool)>,
}

impl Window {
    fn end(&self) -> Lsn {
        self.way.last().map_or(self.snapshot.lsn, |(piece, _)| piece.end)
    }
}

async fn windows(archive: &Archive) -> anyhow::Result<Vec<Window>> {
    let (segments, tails) = (archive.segments().await?, archive.tails().await?);
    let window = |snapshot: Manifest| {
        let way = way_on(&snapshot.piece(), &segments, &tails);
        Window { snapshot, way }
    };
    Ok(archive.snapshots().await?.into_iter().map(window).collect())
}

async fn show(list: &List) -> anyhow::Result<()> {
    let archive = Archive::open(&list.source.from, &list.source.of)?;
    let windows = windows(&archive).await?;
    if list.json {
        let window = |window: &Window| json!({ "snapshot": window.snapshot, "to": window.end() });
        println!("{:#}", json!(windows.iter().map(window).collect::<Vec<_>>()));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["SNAPSHOT", "TERM", "MADE", "BYTES", "RESTORABLE TO"]);
    for window in &windows {
        let Manifest { lsn, term, time_us, database_bytes, .. } = &window.snapshot;
        table.add_row([
            lsn.to_string(),
            term.to_string(),
            time(*time_us),
            database_bytes.to_string(),
            window.end().to_string(),
        ]);
    }
    println!("{table}");
    let next = |window: &Window| windows.iter().find(|w| w.snapshot.lsn > window.end());
    for window in &windows {
        let last = windows.iter().all(|w| w.end() <= window.end() || w.snapshot.lsn > window.end());
        if let (true, Some(next)) = (last, next(window)) {
            println!("gap: from {} to {}", window.end(), next.snapshot.lsn);
        }
    }
    Ok(())
}

pub(super) fn restore(arguments: &RestoreArguments) -> anyhow::Result<()> {
    block_on(async {
        let data = &arguments.data;
        check_new(data)?;
        let archive = Archive::open(&arguments.source.from, &arguments.source.of)?;
        let window = choose(windows(&archive).await?, arguments.to)?;
        let directory = |name: &str| {
            let path = data.join(name);
            fs::create_dir_all(&path).with_context(|| format!("{}", path.display()))?;
            anyhow::Ok(path)
        };
        let database = directory("gen-0")?.join(format!("{}.db", arguments.database));
        archive.fetch_database(&window.snapshot, &database).await?;
        check_database(&database, &window.snapshot)?;
        let log = directory("log")?;
        lay_log(&archive, &window, arguments.to, &log).await?;
        let end = cut_log(&log, &window.snapshot, arguments.to)?;
        let old = &arguments.source.of;
        let cluster = arguments.cluster.as_ref().unwrap_or(old);
        make_control(data, cluster, end)?;
        println!("restored up to {} of term {} into {}", end.1, end.0, data.display());
        Ok(())
    })
}

/// Refuses a directory in which something lies.
pub(super) fn check_new(data: &Path) -> anyhow::Result<()> {
    let empty = fs::read_dir(data).map_or(true, |mut entries| entries.next().is_none());
    ensure!(empty, "{} is not empty: a new directory is needed", data.display());
    Ok(())
}

/// Makes the control file of a node's directory that holds databases and a log up to
/// `end`. The node counts for nothing until it has caught up with a leader, or until all
/// members of a new cluster are such (rule 16a).
pub(super) fn make_control(data: &Path, cluster: &str, end: (Term, Lsn)) -> anyhow::Result<()> {
    // Made last: a directory without it is not taken for a node's.
    let partial = data.join("partial");
    fs::create_dir_all(&partial)?;
    let mut file = ControlFile::open(&partial.join("control"))?;
    file.update(|control| {
        cluster.clone_into(&mut control.cluster);
        control.term = end.0;
        control.commit = end.1;
        control.unproven = true;
    })?;
    fs::rename(partial.join("control"), data.join("control"))?;
    fs::remove_dir(&partial)?;
    fs::File::open(data)?.sync_all()?;
    Ok(())
}

/// The newest snapshot from which the target can be reached.
fn choose(windows: Vec<Window>, to: Moment) -> anyhow::Result<Window> {
    ensure!(!windows.is_empty(), "the archive holds no snapshot");
    let latest = windows.iter().map(Window::end).max().expect("not empty");
    let before = |window: &Window| match to {
        Moment::Lsn(lsn) => window.snapshot.lsn <= lsn,
        Moment::Time(time_us) => window.snapshot.time_us <= time_us,
        // One that reaches the end; of those the newest.
        Moment::Latest => window.end() == latest,
    };
    let Some(window) = windows.into_iter().rev().find(before) else {
        bail!("the archive holds no snapshot at or before the target");
    };
    if let Moment::Lsn(lsn) = to {
        let end = window.end();
        ensure!(lsn <= end, "the archive has a gap: nothing from {end} on, wanted is {lsn}");
    }
    Ok(window)
}

fn check_database(path: &Path, snapshot: &Manifest) -> anyhow::Result<()> {
    let mut sqlite = Sqlite::open(path, ConnectionKind::Writer)?;
    let held = sqlite.applied()?;
    let said = (snapshot.term, snapshot.lsn);
    ensure!(held == said, "{}: holds {held:?}, the manifest says {said:?}", path.display());
    let found = sqlite.integrity_check()?;
    ensure!(found.is_empty(), "{}: {}", path.display(), found.join("; "));
    Ok(())
}

/// Fetches the segments up to the target.
async fn lay_log(archive: &Archive, window: &Window, to: Moment, dir: &Path) -> anyhow::Result<()> {
    let write = |start: Lsn, bytes: &Bytes| {
        let path = dir.join(format!("{:016x}.seg", start.0));
        let made = fs::write(&path, bytes).and_then(|()| fs::File::open(&path)?.sync_all());
        made.with_context(|| format!("{}", path.display()))
    };
    let snapshot = &window.snapshot;
    let mut way = window.way.iter();
    // The whole segment takes the place of its front, if it is the same history.
    let first = way.next();
    let whole = match first {
        Some(&(piece, sealed)) => Some((piece, sealed, archive.piece(piece, sealed).await?)),
        None => None,
    };
    let front = archive.fetch_segment(snapshot).await?;
    match whole {
        Some((_, _, bytes)) if bytes.starts_with(&front) => write(snapshot.segment, &bytes)?,
        _ => return write(snapshot.segment, &front),
    }
    for &(piece, sealed) in way {
        if matches!(to, Moment::Lsn(lsn) if piece.start >= lsn) {
            break;
        }
        write(piece.start, &archive.piece(piece, sealed).await?)?;
    }
    Ok(())
}

/// Cuts the log behind the target, at the end of a transaction. Checks all of it.
fn cut_log(dir: &Path, snapshot: &Manifest, to: Moment) -> anyhow::Result<(Term, Lsn)> {
    let options = LogOptions { segment_bytes: 16 << 20, floor: snapshot.lsn };
    let mut log = LogStore::open(dir, options)?;
    let reader = log.reader();
    let (mut from, mut keep) = (snapshot.lsn, snapshot.lsn);
    while let Some((span, entry)) = reader.entry(from)? {
        let beyond = match to {
            Moment::Lsn(lsn) => span.end > lsn,
            Moment::Time(time_us) => happened(&entry).is_some_and(|at| at > time_us),
            Moment::Latest => false,
        };
        if beyond {
            break;
        }
        from = span.end;
        // Parts alone say nothing: they end with what came before them.
        if !matches!(entry, Entry::TransactionPart { .. }) {
            keep = span.end;
        }
    }
    log.cut(keep)?;
    log.syncer().sync()?;
    Ok((log.end().term, log.end().lsn))
}

/// When the entry was made, if it says so.
fn happened(entry: &Entry) -> Option<i64> {
    match entry {
        Entry::Transaction(transaction) => {
            transaction.statements.iter().map(|statement| statement.context.clock_us).max()
        }
        Entry::TermStart(start) => Some(start.time_us),
        Entry::TransactionPart { .. }
        | Entry::Abort { .. }
        | Entry::Marker { .. }
        | Entry::Configuration(_)
        | Entry::SequenceReservation { .. } => None,
    }
}
