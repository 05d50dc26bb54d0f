//! What an open leader sends to the archive: each segment once it is sealed and
//! committed, the front of the one that goes on now and then, and snapshots.
//!
//! Only what is committed goes there, so under a sync policy no failover takes back
//! what is archived. A new leader finds by the running hashes how far the archive holds
//! its own log, and goes on from there; where that is no longer in its log there is a
//! gap, which it says, and bridges by a new snapshot.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Hub;
use super::execute::wall_clock_us;
use crate::cluster::Role;
use crate::config::{ArchiveConfig, NodeConfig};
use crate::failover::Rule;
use crate::log::{LogEnd, Lsn, Term};
use crate::storage::archive::{Archive, ArchiveError, Manifest, Piece};
use crate::storage::control_file::ControlFile;
use crate::storage::log_store::{LogError, LogReader};
use crate::storage::sqlite::{ConnectionKind, Sqlite, SqliteError};

/// Pause after a failure.
const RETRY: Duration = Duration::from_secs(5);
/// How often what is sealed is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Read from the log at once, bytes.
const READ: usize = 4 << 20;

/// A wish for a snapshot in the archive.
pub(super) type Wish = oneshot::Sender<Result<Manifest, String>>;

/// Keeps the archive.
pub(super) struct Archiver {
    hub: Arc<Hub>,
    reader: LogReader,
    control: Arc<Mutex<ControlFile>>,
    data: PathBuf,
    database: String,
    cluster: String,
    config: ArchiveConfig,
    wishes: mpsc::Receiver<Wish>,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("SQLite: {0}")]
    Sqlite(#[from] SqliteError),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
}

/// How far the archive holds this log.
struct Kept {
    /// Sealed segments are there up to here.
    upto: Lsn,
    tail: Option<Piece>,
    /// When the newest snapshot was made, if one is of use.
    snapshot_us: Option<i64>,
}

impl Archiver {
    /// The archiver, if one is configured, and where wishes for snapshots go.
    pub(super) fn new(
        config: &NodeConfig,
        hub: Arc<Hub>,
        reader: LogReader,
        control: Arc<Mutex<ControlFile>>,
    ) -> Option<(Self, mpsc::Sender<Wish>)> {
        let (wish, wishes) = mpsc::channel(1);
        let archiver = Self {
            hub,
            reader,
            control,
            data: config.data.clone(),
            database: config.sql.database.clone(),
            cluster: config.cluster.clone(),
            config: config.archive.clone()?,
            wishes,
        };
        Some((archiver, wish))
    }

    /// Archives while this node leads, until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut told = String::new();
        loop {
            let mut leadership = self.hub.leadership.subscribe();
            let term = tokio::select! {
                now = leadership.wait_for(|l| l.role == Role::Leader) => match now {
                    Ok(now) => now.term,
                    Err(_) => return,
                },
                () = stop.cancelled() => return,
            };
            let ended = tokio::select! {
                ended = self.archive(term) => ended,
                _ = leadership.wait_for(|l| l.term != term || l.role != Role::Leader) => Ok(()),
                () = stop.cancelled() => return,
            };
            self.hub.archived.send_replace(None);
            let Err(error) = ended else { continue };
            let reason = error.to_string();
            if reason != told {
                let reason = format!("the log can't be archived: {reason}");
                self.hub.notice(Rule::Archive, None, reason);
            }
            told = reason;
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn archive(&mut self, term: Term) -> Result<(), Failure> {
        let archive = Archive::open(&self.config.url, &self.cluster)?;
        let mut kept = self.compare(&archive).await?;
        self.hub.archived.send_replace(Some(kept.upto));
        let mut tail_due = tokio::time::Instant::now() + self.config.tail_every;
        loop {
            self.send_sealed(&archive, &mut kept).await?;
            let age_us = kept.snapshot_us.map(|made| wall_clock_us().saturating_sub(made));
            let every_us = i64::try_from(self.config.snapshot_every.as_micros());
            if age_us.is_none_or(|age| age >= every_us.unwrap_or(i64::MAX)) {
                let made = self.snapshot(&archive, &mut kept).await?;
                tracing::info!(%term, lsn = %made.lsn, "a snapshot was archived");
            }
            tokio::select! {
                Some(wish) = self.wishes.recv() => {
                    let made = self.snapshot(&archive, &mut kept).await;
                    let told = made.as_ref().map(Clone::clone).map_err(ToString::to_string);
                    // Whoever asked may have left.
                    let _ = wish.send(told);
                    made?;
                }
                () = tokio::time::sleep_until(tail_due) => {
                    self.send_tail(&archive, &mut kept).await?;
                    tail_due = tokio::time::Instant::now() + self.config.tail_every;
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// How far the archive holds this log.
    async fn compare(&self, archive: &Archive) -> Result<Kept, Failure> {
        let segments = archive.segments().await?;
        let same = |piece: &&Piece| {
            self.reader.chain_at(piece.end).is_ok_and(|chain| chain.hash == piece.hash)
        };
        let held = segments.iter().rev().find(same);
        let first = self.reader.first();
        let upto = held.map_or(first, |piece| piece.end);
        let gap = held.is_none() && segments.iter().any(|piece| piece.end < first);
        if gap {
            let from = segments.iter().map(|piece| piece.end).filter(|end| *end < first).max();
            let from = from.unwrap_or_default();
            let reason = format!(
                "the archive lacks the log from {from} to {first}, which is released; it goes on \
                 with a new snapshot"
            );
            self.hub.notice(Rule::Archive, Some(first), reason);
        }
        let snapshots = archive.snapshots().await?;
        let of_use = snapshots.iter().rev().find(|snapshot| {
            let chain = self.reader.chain_at(snapshot.lsn);
            !gap && chain.map_or(snapshot.lsn < first, |chain| chain.hash == snapshot.hash)
        });
        let snapshot_us = of_use.map(|snapshot| snapshot.time_us);
        Ok(Kept { upto, tail: None, snapshot_us })
    }

    /// Sends segments that are sealed and committed.
    async fn send_sealed(&self, archive: &Archive, kept: &mut Kept) -> Result<(), Failure> {
        while let Some(end) = self.reader.segment_end(kept.upto) {
            if end > *self.hub.commit.borrow() || end > *self.hub.durable.borrow() {
                break;
            }
            let (piece, bytes) = self.read(kept.upto, end)?;
            archive.put_segment(piece, bytes).await?;
            *kept = Kept { upto: end, tail: None, ..*kept };
            self.hub.archived.send_replace(Some(end));
        }
        Ok(())
    }

    /// Sends the committed front of the segment that goes on.
    async fn send_tail(&self, archive: &Archive, kept: &mut Kept) -> Result<(), Failure> {
        let end = (*self.hub.applied.borrow()).min(*self.hub.durable.borrow());
        if end <= kept.upto || kept.tail.is_some_and(|tail| tail.end == end) {
            return Ok(());
        }
        let (piece, bytes) = self.read(kept.upto, end)?;
        archive.put_tail(piece, bytes, kept.tail).await?;
        kept.tail = Some(piece);
        Ok(())
    }

    /// Makes a snapshot and sends it, and the log up to it.
    async fn snapshot(&self, archive: &Archive, kept: &mut Kept) -> Result<Manifest, Failure> {
        let dir = self.data.join("copy-for-archive");
        let io = |source| Failure::File { path: dir.clone(), source };
        let copied = tokio::task::block_in_place(|| {
            remove(&dir).and_then(|()| std::fs::create_dir_all(&dir)).map_err(io)?;
            let generation = lock(&self.control).get().generation;
            let database =
                self.data.join(format!("gen-{generation}")).join(format!("{}.db", self.database));
            let mut sqlite = Sqlite::open(&database, ConnectionKind::Reader)?;
            Ok::<_, Failure>(sqlite.copy_to(&dir.join("database"))?)
        });
        let sent = match copied {
            Ok((term, lsn)) => self.send_snapshot(archive, LogEnd { term, lsn }, &dir).await,
            Err(error) => Err(error),
        };
        remove(&dir).map_err(io)?;
        let manifest = sent?;
        kept.snapshot_us = Some(manifest.time_us);
        self.send_sealed(archive, kept).await?;
        self.send_tail(archive, kept).await?;
        Ok(manifest)
    }

    async fn send_snapshot(
        &self,
        archive: &Archive,
        at: LogEnd,
        dir: &std::path::Path,
    ) -> Result<Manifest, Failure> {
        let start = self.reader.segment_start(at.lsn)?;
        let (piece, bytes) = self.read(start, at.lsn)?;
        let (database, time_us) = (dir.join("database"), wall_clock_us());
        let put = archive.put_snapshot(&self.cluster, at, piece, bytes, &database, time_us);
        Ok(put.await?)
    }

    /// The log from the start of a segment to `end` in the same, and its name.
    fn read(&self, start: Lsn, end: Lsn) -> Result<(Piece, Bytes), LogError> {
        tokio::task::block_in_place(|| {
            let mut bytes = BytesMut::new();
            let mut from = start;
            while from < end {
                let read = self.reader.read(from, READ)?;
                let rest = usize::try_from(end.0 - from.0).unwrap_or(usize::MAX);
                bytes.extend_from_slice(&read[..read.len().min(rest)]);
                from = Lsn(from.0 + read.len() as u64);
            }
            let (before, hash) = (self.reader.hash_before(start)?, self.reader.chain_at(end)?.hash);
            Ok((Piece { start, end, before, hash }, bytes.freeze()))
        })
    }
}

fn remove(dir: &std::path::Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The control file is whole whoever panicked while holding it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
