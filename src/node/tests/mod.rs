//! A node's writer and engine on real files, without network: the test plays the
//! part of `control` and `replicate`.

mod activity;
mod client;
mod cluster;
mod databases;
mod order;
mod privileges;
mod roles;
mod scripts;
mod shapes;
mod transactions;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::client::Client;
use super::engine::{Engine, EngineOptions};
use super::hub::{Hub, Leadership};
use super::readers::Readers;
use super::writer::{self, WriterOptions};
use crate::cluster::{Configuration, NodeId, Policy, Role, Roll};
use crate::gateway::{LocalNode, SessionParams};
use crate::log::{Lsn, Term};
use crate::storage::fs::{Fs, RealFs};
use crate::storage::log_store::{LogOptions, LogStore};

/// Connections of a node's pool.
const READERS: usize = 16;

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// Does something again and again until the task has ended.
async fn until_ended<T>(mut task: JoinHandle<T>, mut again: impl FnMut()) -> T {
    let mut turns = tokio::time::interval(Duration::from_millis(5));
    let ended = async {
        loop {
            tokio::select! {
                ended = &mut task => return ended.expect("no panic"),
                _ = turns.tick() => again(),
            }
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("it ends in time")
}

/// A node in a directory of its own.
struct TestNode {
    dir: TempDir,
    running: Option<Running>,
}

/// What ends with a crash.
struct Running {
    hub: Arc<Hub>,
    log: Arc<Mutex<LogStore>>,
    engine: Engine,
    readers: Readers,
    thread: std::thread::JoinHandle<()>,
    /// While false, nothing is committed: the followers are away.
    committing: Arc<watch::Sender<bool>>,
    stop: CancellationToken,
}

impl TestNode {
    /// Must be called inside a multi-threaded runtime.
    fn new() -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let mut node = Self { dir, running: None };
        node.start();
        node
    }

    /// It leads in term 1.
    async fn leading() -> Self {
        let node = Self::new();
        node.lead(1).await;
        node
    }

    fn database(&self) -> std::path::PathBuf {
        self.dir.path().join("db")
    }

    fn start(&mut self) {
        self.start_from(Lsn(0));
    }

    /// Starts, with `commit` recorded as committed.
    fn start_from(&mut self, commit: Lsn) {
        self.start_in(Arc::new(RealFs), commit);
    }

    /// As [`TestNode::start_from`], with its log in the given file system.
    fn start_in(&mut self, fs: Arc<dyn Fs>, commit: Lsn) {
        let options = LogOptions { segment_bytes: 1 << 20, floor: commit };
        let dir = self.dir.path().join("log");
        let log = LogStore::open_in(fs, &dir, options).expect("the log opens");
        let me: NodeId = "n1".parse().expect("a name");
        // Under a sync policy nothing commits by itself: the test says when.
        let member = |name: &str| (name.parse().expect("a name"), String::new(), 1);
        let roll = Roll::new(Configuration::initial([member("n1"), member("n2")]));
        let hub = Arc::new(Hub::new(me, roll, Policy::Any(1), log.end(), Lsn(0)));
        let log = Arc::new(Mutex::new(log));
        let readers = Readers::new(self.database(), READERS);
        let stop = CancellationToken::new();
        let options = WriterOptions {
            path: self.database(),
            commit,
            queue: 64,
            idle_while_others_wait: Duration::from_millis(300),
        };
        let handle = tokio::runtime::Handle::current();
        let (writer, thread) = writer::spawn(
            options,
            Arc::clone(&hub),
            Arc::clone(&log),
            readers.clone(),
            handle,
            stop.clone(),
        )
        .expect("the writer starts");
        let options = EngineOptions {
            database: "towline".to_owned(),
            users: vec!["root".to_owned()],
            superuser: "root".to_owned(),
            max_connections: 100,
            see_patience: Duration::from_millis(200),
            leave_patience: Duration::from_millis(200),
        };
        let committing = Arc::new(watch::Sender::new(true));
        let reader = writer::lock(&log).reader();
        let engine = Engine::new(Arc::clone(&hub), readers.clone(), writer, reader, options);
        self.running = Some(Running { hub, log, engine, readers, thread, committing, stop });
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("started")
    }

    fn hub(&self) -> &Arc<Hub> {
        &self.running().hub
    }

    /// Stops without handing anything over.
    fn stop(&mut self) {
        let running = self.running.take().expect("started");
        running.stop.cancel();
        running.thread.join().expect("the writer ends");
    }

    /// Takes office in `term`, alone: what is durable is committed.
    async fn lead(&self, term: u64) {
        self.begin_leading(term);
        let hub = self.hub();
        let (mut start, mut applied) = (hub.term_start.subscribe(), hub.applied.subscribe());
        let opened = async {
            let start = start.wait_for(|start| start.0 == Term(term)).await;
            let end = start.expect("the hub lives").1;
            applied.wait_for(|applied| *applied >= end).await.expect("the hub lives");
        };
        tokio::time::timeout(PATIENCE, opened).await.expect("the leader opens");
        self.is(term, Role::Leader);
    }

    /// Has the role in `term`, and no other leader.
    fn is(&self, term: u64, role: Role) {
        let leader = (role != Role::Follower).then(|| self.hub().me.clone());
        self.hub().leadership.send_replace(Leadership { term: Term(term), role, leader });
    }

    /// Is appointed in `term`: what is durable from now on is committed.
    fn begin_leading(&self, term: u64) {
        self.hub().set_lease_until(i64::MAX);
        self.is(term, Role::Opening);
        let term = Term(term);
        let commits = Arc::clone(self.hub());
        let mut committing = self.running().committing.subscribe();
        let stop = self.running().stop.clone();
        tokio::spawn(async move {
            let mut durable = commits.durable.subscribe();
            let mut leadership = commits.leadership.subscribe();
            loop {
                let leads = {
                    let now = leadership.borrow_and_update();
                    now.term == term && now.role != Role::Follower
                };
                if !leads {
                    return;
                }
                let lsn = *durable.borrow_and_update();
                if *committing.borrow_and_update() {
                    commits.commit.send_if_modified(|commit| {
                        let moved = lsn > *commit;
                        *commit = lsn.max(*commit);
                        moved
                    });
                }
                tokio::select! {
                    _ = committing.changed() => {}
                    _ = durable.changed() => {}
                    _ = leadership.changed() => {}
                    () = stop.cancelled() => return,
                }
            }
        });
    }

    /// Follows nobody in `term`.
    fn follow(&self, term: u64) {
        self.is(term, Role::Follower);
    }

    /// Whether what is durable is committed.
    fn commit(&self, yes: bool) {
        self.running().committing.send_replace(yes);
    }

    /// Takes over what `leader` has logged and committed, as a follower does.
    fn receive(&self, leader: &Self) {
        self.receive_log(leader);
        self.hub().commit.send_replace(*leader.hub().commit.borrow());
    }

    /// Takes over what `leader` has logged, and hears of no commit.
    fn receive_log(&self, leader: &Self) {
        let from = self.hub().end.borrow().lsn;
        let reader = writer::lock(&leader.running().log).reader();
        let mut log = writer::lock(&self.running().log);
        let mut at = from;
        loop {
            let bytes = reader.read(at, 1 << 20).expect("the leader's log is whole");
            if bytes.is_empty() {
                break;
            }
            let term = leader.hub().leadership.borrow().term;
            at = log.append_copy(term, at, &bytes).expect("it continues").lsn;
        }
        let durable = log.syncer().sync().expect("synced");
        let hub = self.hub();
        hub.end.send_replace(log.end());
        hub.durable.send_replace(durable);
        hub.verified.send_replace(durable);
    }

    fn client(&self) -> Client {
        self.client_with(SessionParams { user: "test".to_owned(), ..SessionParams::default() })
    }

    fn client_with(&self, params: SessionParams) -> Client {
        Client::new(self.running().engine.open(params))
    }

    async fn applied(&self, lsn: Lsn) {
        let mut applied = self.hub().applied.subscribe();
        let reached = applied.wait_for(|applied| *applied >= lsn);
        let in_time = tokio::time::timeout(PATIENCE, reached).await;
        let (quarantine, failed) = (&self.hub().quarantine, &self.hub().failed);
        let why = || format!("{:?}, {:?}", *quarantine.borrow(), *failed.borrow());
        in_time.unwrap_or_else(|_| panic!("not applied: {}", why())).expect("the hub lives");
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.stop();
        }
    }
}

/// A content digest of each table in the file at `path`.
fn digest(path: &Path) -> std::collections::BTreeMap<String, u64> {
    use crate::storage::sqlite::{ConnectionKind, Sqlite, content_digest};
    let mut sqlite = Sqlite::open(path, ConnectionKind::Reader).expect("the file opens");
    content_digest(&mut sqlite).expect("the file is whole")
}
