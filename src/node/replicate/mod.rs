//! Replication: the log of the leader, byte for byte, on every follower; and what is
//! committed thereby.
//!
//! ```text
//!   writer ── end, durable ──► hub ◄── commit ───┐
//!                               │                │
//!   a follower ◄── append ── serve (one each) ── acks ──► commits (one tracker a term)
//!
//!   leader ── append ──► follow ── end, durable, verified, commit ──► hub ──► writer
//!          ◄── ack ──────  (one thread)
//! ```
//!
//! A follower may be sent the log by another follower (`relay`), and a node that is to lead
//! by another that is not (`fetch`).
//!
//! Every commit waits for what happens here, so the paths are short: a sender wakes
//! as soon as the log's end moves, without waiting for the leader's own sync; a
//! follower appends, syncs and acknowledges in one thread that does nothing else; an
//! ack moves the commit LSN in the task that received it.
//!
//! Who may touch the log: while leading the writer appends; while following the
//! `follow` thread appends, cuts and replaces. What separates them is the leadership
//! in the hub, and the fence in the log, which `control` raises before it promises.

mod commits;
mod diverged;
mod fetch;
mod follow;
mod incoming;
mod relay;
mod retain;
mod seed;
mod serve;
mod snapshot;
mod space;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Hub;
use crate::cluster::NodeId;
use crate::config::{NodeConfig, Timing};
use crate::log::Lsn;
use crate::net::{FrameStream, Hello, NetError, PeerTls, Purpose, Refusals};
use crate::storage::control_file::ControlFile;
use crate::storage::fs::{Fs, RealFs};
use crate::storage::log_store::{LogError, LogReader, LogStore};
use crate::storage::sqlite::SqliteError;

pub use self::commits::{Commits, FollowerNews};
pub use self::snapshot::{set_aside, settle};

/// A snapshot lies in its directory: the writer must go on with that database.
#[derive(Debug)]
pub struct Installed {
    /// The database file to open.
    pub path: PathBuf,
    /// Told once it is open, or why it can't be.
    pub reply: oneshot::Sender<Result<Lsn, SqliteError>>,
}

/// How far a connected follower is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Progress {
    /// Handed to its connection.
    pub sent: Lsn,
    /// Acknowledged as handed to its operating system.
    pub written: Lsn,
    /// Acknowledged as durable.
    pub durable: Lsn,
    pub applied: Lsn,
    /// It gets a snapshot; the other fields say nothing then, but the log is kept
    /// from `durable` on.
    pub seeding: bool,
}

/// A node's part in replication, as leader and as follower.
pub struct Replication {
    hub: Arc<Hub>,
    log: Arc<Mutex<LogStore>>,
    reader: LogReader,
    control: Arc<Mutex<ControlFile>>,
    tls: PeerTls,
    timing: Timing,
    cluster: String,
    /// By way of whom this node follows where it can.
    through: Option<NodeId>,
    /// The node's directory.
    data: PathBuf,
    /// Name of the first database.
    database: String,
    segment_bytes: u64,
    retain_bytes: u64,
    reserve_bytes: u64,
    snapshot_rate_bytes: u64,
    /// Where snapshots are received.
    fs: Arc<dyn Fs>,
    connections: AtomicU64,
    /// Followers whose databases differ: at which frame, and since when it is known.
    differing: Mutex<BTreeMap<NodeId, (Lsn, Instant)>>,
    /// Told why the log is of no use any more.
    broken: mpsc::Sender<LogError>,
    breaks: Mutex<Option<mpsc::Receiver<LogError>>>,
    /// Taken by whoever sends a snapshot: one at a time.
    seeding: tokio::sync::Semaphore,
    /// The last snapshot's files were not what they should be: the next one is received
    /// without what lies here.
    afresh: AtomicBool,
    installed: mpsc::Sender<Installed>,
    /// Why streams to followers ended, as far as the log was told.
    told: Refusals,
}

/// Why a stream, in either direction, ended.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Control(#[from] crate::storage::control_file::ControlError),
    #[error("{0}")]
    Sqlite(#[from] SqliteError),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("the other side closed the connection")]
    Closed,
    #[error("nothing heard for {0:?}")]
    Silent(std::time::Duration),
    #[error("too slow: not done in {0:?}")]
    Slow(std::time::Duration),
    #[error("refused: {0}")]
    Refused(String),
    #[error("protocol violation: {0}")]
    Protocol(String),
    #[error("the leadership changed")]
    Deposed,
    #[error("a snapshot was installed")]
    Reseeded,
    #[error("this node's databases differ from the leader's")]
    Quarantined,
    #[error("{0} is not what was sent")]
    BadSnapshot(PathBuf),
    #[error("the leader sends no snapshot now: {0}")]
    NotReseeded(String),
}

impl Replication {
    /// Prepares it. The channel brings what the writer must be told (see
    /// [`Installed`]); it must be read while this node may follow.
    pub fn new(
        config: &NodeConfig,
        hub: Arc<Hub>,
        log: Arc<Mutex<LogStore>>,
        control: Arc<Mutex<ControlFile>>,
        tls: PeerTls,
    ) -> (Arc<Self>, mpsc::Receiver<Installed>) {
        Self::new_in(Arc::new(RealFs), config, hub, log, control, tls)
    }

    /// As [`Replication::new`], with snapshots received on the given file system.
    pub fn new_in(
        fs: Arc<dyn Fs>,
        config: &NodeConfig,
        hub: Arc<Hub>,
        log: Arc<Mutex<LogStore>>,
        control: Arc<Mutex<ControlFile>>,
        tls: PeerTls,
    ) -> (Arc<Self>, mpsc::Receiver<Installed>) {
        let (installed, installs) = mpsc::channel(1);
        let (broken, breaks) = mpsc::channel(1);
        let reader = lock(&log).reader();
        let replication = Self {
            hub,
            log,
            reader,
            control,
            tls,
            timing: config.timing,
            cluster: config.cluster.clone(),
            through: config.follow.clone(),
            data: config.data.clone(),
            database: config.sql.database.clone(),
            segment_bytes: config.segment_bytes,
            retain_bytes: config.retain_bytes,
            reserve_bytes: config.reserve_bytes,
            snapshot_rate_bytes: config.snapshot_rate_bytes,
            fs,
            connections: AtomicU64::new(0),
            differing: Mutex::default(),
            broken,
            breaks: Mutex::new(Some(breaks)),
            seeding: tokio::sync::Semaphore::new(1),
            afresh: AtomicBool::new(false),
            installed,
            told: Refusals::default(),
        };
        replication.count_visible(&BTreeMap::new());
        (Arc::new(replication), installs)
    }

    /// Runs until shutdown: follows whoever leads, counts commits while leading,
    /// releases what is no longer needed. [`Replication::serve`] comes beside it.
    ///
    /// # Errors
    /// When the log is of no use any more: the process must end, and read anew what
    /// the files hold when it starts again.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) -> Result<(), LogError> {
        let stop = shutdown.child_token();
        let mut breaks = lock(&self.breaks).take().expect("replication runs once");
        let follower = self.clone().follow(stop.clone());
        let ended = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            () = self.count_commits() => Ok(()),
            () = self.retain() => Ok(()),
            () = self.watch_space() => Ok(()),
            Some(error) = breaks.recv() => Err(error),
        };
        stop.cancel();
        let _ = tokio::task::spawn_blocking(move || follower.join()).await;
        if let Err(error) = self.record_commit() {
            tracing::warn!(%error, "the commit LSN could not be recorded");
        }
        ended
    }

    /// Serves one follower, whose hello was answered with a welcome, while this node
    /// leads.
    pub async fn serve(self: Arc<Self>, stream: FrameStream, hello: Hello) {
        let Some(follower) = self.member(&hello.name) else {
            tracing::warn!(name = hello.name, "replication asked for by a stranger");
            return;
        };
        match self.serve_follower(stream, &follower).await {
            Ok(()) => {}
            Err(error @ (StreamError::Deposed | StreamError::Closed)) => {
                tracing::info!(%follower, %error, "replication ended");
            }
            Err(StreamError::Log(error)) if is_final(&error) => self.end(error),
            Err(error) if self.told.is_news(follower.as_str(), &error.to_string()) => {
                tracing::warn!(%follower, %error, "replication ended");
            }
            Err(_) => {}
        }
    }

    /// Has [`Replication::run`] end with this error.
    fn end(&self, error: LogError) {
        tracing::error!(%error, "the log can't be used any more");
        // A first error may be on its way already.
        let _ = self.broken.try_send(error);
    }

    /// The followers connected now.
    pub fn followers(&self) -> BTreeMap<NodeId, Progress> {
        let followers = lock(&self.hub.followers);
        followers.iter().map(|(name, (_, progress))| (name.clone(), *progress)).collect()
    }

    /// Publishes up to where what is committed is visible on as many followers as the
    /// policy demands (`remote_apply`).
    fn count_visible(&self, followers: &BTreeMap<NodeId, (u64, Progress)>) {
        let hub = &self.hub;
        let acks = hub.acks();
        let counted = hub.followers_counted();
        let visible = counted.iter().filter_map(|follower| {
            let (_, progress) = followers.get(follower)?;
            (!progress.seeding).then_some(progress.applied)
        });
        let mut visible: Vec<Lsn> = visible.collect();
        visible.sort_unstable_by(|a, b| b.cmp(a));
        let lsn = match acks {
            0 => Lsn(u64::MAX),
            acks => visible.get(acks - 1).copied().unwrap_or_default(),
        };
        publish(&hub.visible, lsn);
    }

    /// Another member by its name.
    fn member(&self, name: &str) -> Option<NodeId> {
        let name: NodeId = name.parse().ok()?;
        self.hub.address(&name).map(|_| name)
    }

    fn hello(&self) -> Hello {
        Hello {
            version: 1,
            cluster: self.cluster.clone(),
            name: self.hub.me.to_string(),
            purpose: Purpose::Replication,
            instance: 0,
        }
    }

    /// How long a peer may be silent before its connection counts as dead.
    fn silence_max(&self) -> std::time::Duration {
        (self.timing.suspicion * 6).max(self.timing.heartbeat * 10)
    }

    /// The database file of a generation.
    fn database_path(&self, generation: u64) -> PathBuf {
        self.generation_dir(generation).join(format!("{}.db", self.database))
    }

    fn generation_dir(&self, generation: u64) -> PathBuf {
        self.data.join(format!("gen-{generation}"))
    }

    /// Shows the log's end and durability as the log itself has them: called with the
    /// log locked, so that no cut comes between.
    fn publish_log(&self, log: &LogStore) {
        let (end, durable) = (log.end(), log.durable());
        publish(&self.hub.end, end);
        publish(&self.hub.durable, durable);
    }
}

/// Whether the log is of no use any more in this process.
fn is_final(error: &LogError) -> bool {
    match error {
        LogError::Io { .. } | LogError::Damaged { .. } | LogError::Failed { .. } => true,
        LogError::TooShort { .. }
        | LogError::Fenced { .. }
        | LogError::DoesNotContinue { .. }
        | LogError::NotHeld { .. }
        | LogError::TooLarge { .. } => false,
    }
}

/// Changes a channel's value, waking its readers only if it is another.
fn publish<T: PartialEq>(channel: &tokio::sync::watch::Sender<T>, value: T) {
    channel.send_if_modified(|held| {
        let changed = *held != value;
        *held = value;
        changed
    });
}

/// What is behind these locks is changed by single calls that leave it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
