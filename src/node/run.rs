//! A node from its start to its end: recover what the directory holds, start the
//! tasks, and stop them in an order that loses nothing.
//!
//! ```text
//! <data>/lock            held while the process lives
//! <data>/control         the control file
//! <data>/log/…           the log's segments
//! <data>/gen-N/NAME.db   the databases of generation N, the control file's
//! <data>/diverged/…      tails that were cut off, as readable files
//! ```
//!
//! A stop hands the leadership over first, then ends the clients between their units,
//! then the writer between two jobs; what is in the log and not in SQLite is applied
//! at the next start. Then the database file is sealed, so that the next start tells
//! whether another program has written into it meanwhile.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::archive::Archiver;
use super::control::{self, KeepError};
use super::engine::{Engine, EngineOptions};
use super::hub::{Hub, Quarantine};
use super::peers::Peers;
use super::readers::Readers;
use super::replicate::{self, Installed, Replication};
use super::writer::{self, WriterHandle, WriterOptions};
use crate::cluster::{Configuration, Role, Roll};
use crate::config::NodeConfig;
use crate::failover::Rule;
use crate::gateway::{Gateway, GatewayConfig, GatewayError};
use crate::log::{Entry, Lsn, Term};
use crate::net::{NetError, PeerListener, PeerTls, Refusals};
use crate::storage::control_file::{Control, ControlError, ControlFile};
use crate::storage::fs::{Fs, Op, RealFs};
use crate::storage::log_store::{LogError, LogOptions, LogStore};
use crate::storage::seal::{Held, Seal};
use crate::storage::sqlite::{ConnectionKind, Sqlite, SqliteError};
use crate::supervisor::Supervisor;

/// Jobs in the writer's queue.
const QUEUE: usize = 1024;
/// How long a transaction may hold the writer idle while others wait.
const IDLE_WHILE_OTHERS_WAIT: Duration = Duration::from_secs(5);
/// How long a read waits for what it must see.
const SEE_PATIENCE: Duration = Duration::from_secs(1);
/// How long DROP DATABASE waits for sessions that are about to go: as in PostgreSQL.
const LEAVE_PATIENCE: Duration = Duration::from_secs(5);
/// How long a statement waits for a leader.
const LEADER_WAIT: Duration = Duration::from_secs(30);
/// How often the WAL is checkpointed while there are changes.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(500);
/// Bytes of the WAL from which on the writer helps it to start over. Opening the database
/// after a kill reads all of it, and moves it into the file again.
const WAL_LONG: u64 = 64 << 20;
/// How many checkpoints in a row are left to the writer.
const LEFT_TO_THE_WRITER: u32 = 10;
/// What is said of a file that is too large to be compared at a start.
const TOUCHED: &str = "the database file was written or copied while this node was down, and is \
                       too large to be compared at its start: `towline verify` tells which";
/// Free pages that the next rows may have.
const FREE_PAGES_KEPT: u64 = 4096;
/// Free pages up to this part of the file stay where they are.
const FREE_PART_KEPT: u64 = 4;
/// Pause before the members are written into the log again, where that failed.
const NOTE_AGAIN: Duration = Duration::from_millis(200);
/// Portals and snapshots may keep connections beyond those that serve reads.
const READERS_BEYOND: usize = 64;

/// A node can't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{0}: another process uses this directory")]
    InUse(PathBuf),
    #[error("{path} belongs to cluster {held:?}, the configuration says {configured:?}")]
    ForeignCluster { path: PathBuf, held: String, configured: String },
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("{path}: {source}")]
    Database { path: PathBuf, source: SqliteError },
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error("a task of the node ended unexpectedly")]
    TaskEnded,
}

/// What a node's directory holds, opened.
pub(super) struct Opened {
    /// Held for as long as the node runs.
    _lock: Flock<File>,
    pub control: Arc<Mutex<ControlFile>>,
    log: Arc<Mutex<LogStore>>,
    database: PathBuf,
    /// Recorded as committed.
    commit: Lsn,
    applied: Lsn,
    /// What the database is that the node left when it went down.
    left: Held,
    /// Of its log something is gone that may have been acknowledged, and what that is.
    pub lost: Option<String>,
}

/// Runs a node until `shutdown`, and tells `supervisor` once it serves.
///
/// # Errors
/// When it can't start; and when it can't keep its word any more, so that it must
/// start anew.
pub async fn run(
    config: NodeConfig,
    supervisor: Arc<Supervisor>,
    shutdown: CancellationToken,
) -> Result<(), NodeError> {
    let tls = PeerTls::load(&config.tls.ca, &config.tls.certificate, &config.tls.key)?;
    let opened = open(&config)?;
    let listener = PeerListener::bind(&config.peer_listen, tls.clone()).await?;
    let hub = Arc::new(Hub::new(
        config.name.clone(),
        roll(&config, lock(&opened.control).get()),
        config.policy.clone(),
        lock(&opened.log).end(),
        opened.applied,
    ));
    if let Some(lost) = &opened.lost {
        hub.notice(Rule::Unproven, None, lost.clone());
    }
    match opened.left {
        Held::Same => {}
        Held::Edited => quarantine_edited(&hub, opened.applied),
        Held::Touched => hub.notice(Rule::Drift, Some(opened.applied), TOUCHED.to_owned()),
    }
    let mut tasks = Tasks::start(&config, &opened, &hub, tls, listener, &supervisor).await?;
    supervisor.ready();
    let ended = tasks.watch(&hub, shutdown).await;
    if ended.is_ok() && !tasks.peers.control.handover().await {
        tracing::warn!("the leadership could not be handed over");
    }
    tasks.end().await;
    if let Some(look) = hub.look.send_replace(None) {
        look.give_up();
    }
    if ended.is_ok() && hub.quarantine.borrow().is_none() {
        let control = Arc::clone(&opened.control);
        let _ = tokio::task::spawn_blocking(move || seal(&config, &control)).await;
    }
    ended
}

/// A running node's tasks, by when they end.
struct Tasks {
    peers: Arc<Peers>,
    reloading: JoinHandle<()>,
    /// Ends first: what serves others.
    serving: CancellationToken,
    clients: JoinHandle<()>,
    listening: JoinHandle<()>,
    /// What keeps the house.
    chores: Vec<JoinHandle<()>>,
    /// Ends last: the writer, and what it depends on.
    stop: CancellationToken,
    archiving: Option<JoinHandle<()>>,
    keeping: JoinHandle<Result<(), KeepError>>,
    replicating: JoinHandle<Result<(), LogError>>,
    writer: std::thread::JoinHandle<()>,
}

impl Tasks {
    async fn start(
        config: &NodeConfig,
        opened: &Opened,
        hub: &Arc<Hub>,
        tls: PeerTls,
        listener: PeerListener,
        supervisor: &Arc<Supervisor>,
    ) -> Result<Self, NodeError> {
        let (stop, serving) = (CancellationToken::new(), CancellationToken::new());
        let (log, control_file) = (&opened.log, &opened.control);
        let readers = Readers::new(opened.database.clone(), config.readers + READERS_BEYOND);
        let options = WriterOptions {
            path: opened.database.clone(),
            commit: opened.commit,
            queue: QUEUE,
            idle_while_others_wait: IDLE_WHILE_OTHERS_WAIT,
        };
        let (writer, thread) = writer::spawn(
            options,
            Arc::clone(hub),
            Arc::clone(log),
            readers.clone(),
            Handle::current(),
            stop.clone(),
        )
        .map_err(|source| NodeError::Database { path: opened.database.clone(), source })?;
        let engine = Engine::new(
            Arc::clone(hub),
            readers.clone(),
            writer.clone(),
            lock(log).reader(),
            engine_options(config),
        );
        let (replication, installs) = Replication::new(
            config,
            Arc::clone(hub),
            Arc::clone(log),
            Arc::clone(control_file),
            tls.clone(),
        );
        let archiver =
            Archiver::new(config, Arc::clone(hub), lock(log).reader(), Arc::clone(control_file));
        let (archiver, backups) = archiver.unzip();
        let archiving = archiver.map(|archiver| tokio::spawn(archiver.run(stop.clone())));
        let local = Some((config.name.clone(), engine.clone()));
        let gateway = Gateway::bind(gateway_config(config, &tls), local).await?;
        let reload_clients = gateway.reloader();

        let mut control = control::spawn(
            config,
            Arc::clone(hub),
            Arc::clone(control_file),
            Arc::clone(log),
            tls.clone(),
            Arc::clone(supervisor),
            stop.clone(),
        )?;
        let keeping = std::mem::replace(&mut control.task, tokio::spawn(async { Ok(()) }));
        let replicating = tokio::spawn(Arc::clone(&replication).run(stop.clone()));
        let limit = WalLimit { bytes: config.wal_max_bytes, read_max: config.wal_read_max };
        let chores = vec![
            tokio::spawn(note_members(Arc::clone(hub), writer.clone())),
            tokio::spawn(install(installs, writer)),
            tokio::spawn(readers.clone().cool_unused()),
            tokio::spawn(checkpoint(Arc::clone(hub), readers, limit)),
        ];
        let peers = Arc::new(Peers {
            cluster: config.cluster.clone(),
            hub: Arc::clone(hub),
            control,
            replication,
            engine,
            backups,
            refusals: Refusals::default(),
        });
        let listening = tokio::spawn(Arc::clone(&peers).serve(listener, serving.clone()));
        let clients = tokio::spawn(gateway.run(hub.view.subscribe(), serving.clone()));
        let reloading = tokio::spawn(tls.reload_on_hangup(reload_clients));
        Ok(Self {
            peers,
            reloading,
            serving,
            clients,
            listening,
            chores,
            stop,
            archiving,
            keeping,
            replicating,
            writer: thread,
        })
    }

    /// Until `shutdown`, the node's drop from the cluster, or the end of a task without
    /// which it can't go on.
    async fn watch(&mut self, hub: &Hub, shutdown: CancellationToken) -> Result<(), NodeError> {
        let mut dropped = hub.dropped.subscribe();
        tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            _ = dropped.wait_for(|dropped| *dropped) => {
                tracing::warn!(
                    rule = "P22",
                    "this node was dropped from the cluster, and ends; it may join again once it is added"
                );
                Ok(())
            }
            ended = &mut self.keeping => match ended {
                Ok(Err(error)) => Err(NodeError::from(error)),
                _ => Err(NodeError::TaskEnded),
            },
            ended = &mut self.replicating => match ended {
                Ok(Err(error)) => Err(NodeError::from(error)),
                _ => Err(NodeError::TaskEnded),
            },
        }
    }

    async fn end(self) {
        self.reloading.abort();
        self.serving.cancel();
        let _ = tokio::join!(self.clients, self.listening);
        self.chores.iter().for_each(JoinHandle::abort);
        for chore in self.chores {
            let _ = chore.await;
        }
        self.stop.cancel();
        if let Some(archiving) = self.archiving {
            archiving.abort();
        }
        // One that has ended was waited for already.
        if !self.keeping.is_finished() {
            let _ = self.keeping.await;
        }
        if !self.replicating.is_finished() {
            let _ = self.replicating.await;
        }
        let _ = tokio::task::spawn_blocking(move || self.writer.join()).await;
    }
}

fn engine_options(config: &NodeConfig) -> EngineOptions {
    let users: Vec<String> = config.sql.users.iter().map(|(name, _)| name.clone()).collect();
    EngineOptions {
        database: config.sql.database.clone(),
        superuser: users.first().cloned().unwrap_or_else(|| "towline".to_owned()),
        users,
        max_connections: config.sql.max_connections,
        see_patience: SEE_PATIENCE,
        leave_patience: LEAVE_PATIENCE,
    }
}

fn gateway_config(config: &NodeConfig, tls: &PeerTls) -> GatewayConfig {
    GatewayConfig {
        sql: config.sql.clone(),
        cluster: config.cluster.clone(),
        name: config.name.to_string(),
        nodes: config.members.clone(),
        tls: tls.clone(),
        leader_wait: LEADER_WAIT,
    }
}

/// Opens the node's directory, and mends what may be mended by itself.
pub(super) fn open(config: &NodeConfig) -> Result<Opened, NodeError> {
    let data = &config.data;
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| NodeError::Io { path, source }
    };
    RealFs.create_dir_all(Op::MakeDir, data).map_err(io(data))?;
    let lock_path = data.join("lock");
    let lock_file = File::create(&lock_path).map_err(io(&lock_path))?;
    let held = Flock::lock(lock_file, FlockArg::LockExclusiveNonblock)
        .map_err(|_| NodeError::InUse(data.clone()))?;

    let mut control = ControlFile::open(&data.join("control"))?;
    if control.get().cluster.is_empty() {
        let cluster = config.cluster.clone();
        control.update(|control| control.cluster = cluster)?;
    }
    if control.get().cluster != config.cluster {
        return Err(NodeError::ForeignCluster {
            path: data.clone(),
            held: control.get().cluster.clone(),
            configured: config.cluster.clone(),
        });
    }
    replicate::settle(data, control.get())?;

    let mut lost = None;
    let mut left = take_seal(config, &mut control)?;
    let (mut database, mut applied) = open_database(config, control.get().generation)?;
    let log_dir = data.join("log");
    let options = |floor| LogOptions { segment_bytes: config.segment_bytes, floor };
    let log = match LogStore::open(&log_dir, options(control.get().commit.max(applied))) {
        Ok(log) => log,
        Err(error @ LogError::TooShort { .. }) => {
            // What is missing was acknowledged: others have it, and this node is
            // seeded anew. Until then it counts for nothing.
            lost = Some(format!("the log is damaged, and is fetched anew: {error}"));
            let generation = control.get().generation;
            replicate::set_aside(data, generation).map_err(io(data))?;
            control.update(|control| {
                control.unproven = true;
                control.generation += 1;
                control.commit = Lsn(0);
            })?;
            LogStore::discard(&log_dir)?;
            left = Held::Same;
            (database, applied) = open_database(config, control.get().generation)?;
            LogStore::open(&log_dir, options(Lsn(0)))?
        }
        Err(error) => return Err(error.into()),
    };
    if log.opened().doubtful {
        lost = Some("the end of the log may have been durable and is lost".to_owned());
        control.update(|control| control.unproven = true)?;
    }
    let commit = control.get().commit;
    Ok(Opened {
        _lock: held,
        control: Arc::new(Mutex::new(control)),
        log: Arc::new(Mutex::new(log)),
        database,
        commit,
        applied,
        left,
        lost,
    })
}

/// Whether the database file is another than the node left it, by the seal that it put on
/// it when it ended; from here on it has none. A file that was removed is made anew.
fn take_seal(config: &NodeConfig, control: &mut ControlFile) -> Result<Held, NodeError> {
    let Some(seal) = control.get().sealed else { return Ok(Held::Same) };
    let path = database_path(config, control.get().generation);
    let held = if seal.generation == control.get().generation && path.exists() {
        seal.compare(&path).map_err(|source| NodeError::Io { path, source })?
    } else {
        Held::Same
    };
    control.update(|control| control.sealed = None)?;
    Ok(held)
}

/// Serves nothing of a file that another program wrote into, where others can replace it.
fn quarantine_edited(hub: &Hub, applied: Lsn) {
    let edited = "another program changed the database file while this node was down";
    if hub.others().is_empty() {
        hub.notice(Rule::Drift, Some(applied), format!("{edited}: no other node has its content"));
        return;
    }
    let reason = format!("{edited}: quarantined until it is seeded anew");
    hub.notice(Rule::Drift, Some(applied), reason);
    hub.reason.send_replace(format!("quarantined: {edited}"));
    hub.quarantine.send_replace(Some(Quarantine::Edited(applied)));
}

/// Records how the database file is, now that nothing writes it any more.
fn seal(config: &NodeConfig, control: &Mutex<ControlFile>) {
    let generation = lock(control).get().generation;
    let path = database_path(config, generation);
    let emptied = Sqlite::open(&path, ConnectionKind::Writer).and_then(|mut it| it.empty_wal());
    if let Err(error) = emptied {
        tracing::warn!(%error, path = %path.display(), "the WAL can't be emptied");
    }
    match Seal::of(&path, generation) {
        Ok(sealed) => {
            if sealed.is_none() {
                tracing::info!(path = %path.display(), "is left without a seal: something reads it");
            }
            if let Err(error) = lock(control).update(|control| control.sealed = sealed) {
                tracing::warn!(%error, "how the database was left can't be recorded");
            }
        }
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "the database can't be read");
        }
    }
}

/// The members as recorded, or else as the file says.
fn roll(config: &NodeConfig, control: &Control) -> Roll {
    let mut roll = control.roll.clone();
    if roll.committed.version == 0 {
        let members = config.members.iter();
        // Who is preferred as leader is the monitor's matter.
        let members = members.map(|(name, peer)| (name.clone(), peer.clone(), 1));
        roll.committed = Configuration::initial(members);
    }
    roll
}

/// Has the members written into the log while this node leads: each newer configuration,
/// and the one that is acted upon once a term.
async fn note_members(hub: Arc<Hub>, writer: WriterHandle) {
    let (mut roll, mut leadership) = (hub.roll.subscribe(), hub.leadership.subscribe());
    let mut noted = (Term(0), 0);
    loop {
        let (term, leads) = {
            let leadership = leadership.borrow_and_update();
            (leadership.term, leadership.role == Role::Leader)
        };
        let newest = roll.borrow_and_update().newest().clone();
        let wanted = (term, newest.version);
        let is_news = leads && newest.version > 0 && noted != wanted;
        if is_news && writer.note(Entry::Configuration(newest.to_json())).await.is_some() {
            noted = wanted;
            continue;
        }
        tokio::select! {
            // The hub outlives its tasks.
            _ = roll.changed() => {}
            _ = leadership.changed() => {}
            () = tokio::time::sleep(NOTE_AGAIN), if is_news => {}
        }
    }
}

/// The database file of a generation, made if need be, and where it stands.
fn open_database(config: &NodeConfig, generation: u64) -> Result<(PathBuf, Lsn), NodeError> {
    let path = database_path(config, generation);
    let dir = path.parent().unwrap_or(&config.data);
    RealFs
        .create_dir_all(Op::MakeDir, dir)
        .map_err(|source| NodeError::Io { path: dir.to_owned(), source })?;
    let applied = Sqlite::open(&path, ConnectionKind::Writer)
        .and_then(|mut sqlite| sqlite.applied())
        .map_err(|source| NodeError::Database { path: path.clone(), source })?;
    Ok((path, applied.1))
}

fn database_path(config: &NodeConfig, generation: u64) -> PathBuf {
    let dir = config.data.join(format!("gen-{generation}"));
    dir.join(format!("{}.db", config.sql.database))
}

/// Passes installed snapshots on to the writer.
async fn install(mut installs: mpsc::Receiver<Installed>, writer: WriterHandle) {
    while let Some(Installed { path, reply }) = installs.recv().await {
        if let Some(opened) = writer.reopen(path).await {
            // The follower waits for it, unless it is stopping.
            let _ = reply.send(opened);
        }
    }
}

/// When reads are ended for the WAL's sake.
struct WalLimit {
    /// While it is larger.
    bytes: u64,
    /// Reads that go on for longer.
    read_max: Duration,
}

/// Checkpoints the WAL while there are changes, ends the reads that keep it from starting
/// over once it is large, and has the writer give free pages back
/// where they are much of the file. (Each node does so by itself: what lies on which page
/// is no part of the content.)
async fn checkpoint(hub: Arc<Hub>, readers: Readers, limit: WalLimit) {
    let mut applied = hub.applied.subscribe();
    let mut surplus = hub.surplus.subscribe();
    let (mut wal, mut passed_over) = (0, 0);
    loop {
        tokio::select! {
            changed = applied.changed() => if changed.is_err() { return },
            _ = surplus.changed() => {}
        }
        tokio::time::sleep(CHECKPOINT_EVERY).await;
        applied.mark_unchanged();
        surplus.mark_unchanged();
        if wal > limit.bytes {
            let ended = readers.end_older(limit.read_max);
            if ended > 0 {
                tracing::warn!(wal, ended, "reads that kept the WAL from starting over are ended");
            }
        }
        // A transaction that goes on for long keeps the writer from it.
        if *hub.wal_is_long.borrow() && passed_over < LEFT_TO_THE_WRITER {
            passed_over += 1;
            continue;
        }
        passed_over = 0;
        let Ok(mut reader) = readers.take().await else { continue };
        let done = tokio::task::spawn_blocking(move || {
            let met = reader.checkpoint()?;
            let [page, free, pages] = [reader.page_size()?, reader.free_pages()?, reader.pages()?];
            Ok::<_, SqliteError>((met, page, free, pages))
        });
        match done.await {
            Ok(Ok((met, page, free, pages))) => {
                if let Some(met) = met {
                    wal = met.pages * page;
                    let nearly_through = met.left < met.pages / 8;
                    if wal > limit.bytes || (wal > WAL_LONG && nearly_through) {
                        hub.wal_is_long.send_replace(true);
                    }
                }
                let much = free >= FREE_PAGES_KEPT && free >= pages / FREE_PART_KEPT;
                if much && *hub.surplus.borrow() == 0 {
                    hub.surplus.send_replace(free);
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "the WAL could not be checkpointed"),
            Err(_) => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
