//! Nodes with a real log, real files and real connections; the test itself plays
//! `control` and the writer.

mod fetch;
mod hooked;
mod rejoin;
mod relay;
mod retain;
mod seed;
mod stream;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::hooked::Hooked;
use super::*;
use crate::cluster::{Configuration, Policy, Role, Roll};
use crate::config::{PeerTlsConfig, SqlConfig};
use crate::log::{Entry, Statement, Term, TermStart, Transaction, Value};
use crate::net::{Authority, HelloReply, PeerListener};
use crate::node::Leadership;
use crate::node::{Quarantine, run};
use crate::storage::fs::{Fs, Op, RealFs};
use crate::storage::log_store::LogOptions;
use crate::storage::sqlite::{ConnectionKind, Sqlite, content_digest};

const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that nodes share: names, addresses, certificates.
struct Cluster {
    directory: TempDir,
    members: Vec<(NodeId, String, u32)>,
    listeners: Vec<Option<PeerListener>>,
    segment_bytes: u64,
}

struct Node {
    name: NodeId,
    data: PathBuf,
    hub: Arc<Hub>,
    log: Arc<Mutex<LogStore>>,
    control: Arc<Mutex<ControlFile>>,
    replication: Arc<Replication>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Cluster {
    async fn new(names: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (authority, ca) = Authority::generate((2026, 1, 1), 100).expect("an authority");
        let path = |name: String| directory.path().join(name);
        std::fs::write(path("ca.crt".into()), ca.certificate).expect("written");
        let (mut members, mut listeners) = (Vec::new(), Vec::new());
        for name in names {
            let issued = authority.issue(name, &[], (2026, 1, 1), 100).expect("issued");
            std::fs::write(path(format!("{name}.crt")), issued.certificate).expect("written");
            std::fs::write(path(format!("{name}.key")), issued.key).expect("written");
            let tls = load_tls(directory.path(), name);
            let listener = PeerListener::bind("127.0.0.1:0", tls).await.expect("bound");
            let peer = listener.local_address().to_string();
            members.push((name.parse().expect("a name"), peer, 1));
            listeners.push(Some(listener));
        }
        Self { directory, members, listeners, segment_bytes: 8192 }
    }

    /// The first of these nodes leads in term 1, the others follow it.
    async fn led<const N: usize>(names: [&str; N]) -> (Self, [Node; N]) {
        let mut cluster = Self::new(&names).await;
        let nodes = names.map(|name| cluster.start(name));
        nodes[0].lead(1);
        nodes[1..].iter().for_each(|node| node.follow(1, names[0]));
        (cluster, nodes)
    }

    fn config(&self, name: &NodeId) -> NodeConfig {
        let path = |suffix: &str| self.directory.path().join(format!("{name}.{suffix}"));
        let written = SqlConfig {
            listen: "127.0.0.1:0".to_owned(),
            certificate: None,
            database: "main".to_owned(),
            users: Vec::new(),
            max_connections: 1,
            message_max: 1 << 20,
            workers: 1,
        };
        NodeConfig {
            name: name.clone(),
            cluster: "c".to_owned(),
            data: self.directory.path().join(format!("data-{name}")),
            sql: written,
            peer_listen: String::new(),
            tls: PeerTlsConfig { ca: path("ca"), certificate: path("crt"), key: path("key") },
            monitors: Vec::new(),
            members: Vec::new(),
            policy: Policy::Any(1),
            // Where there is such a node.
            follow: (name.as_str() == "d").then(|| "b".parse().expect("a name")),
            timing: Timing {
                heartbeat: Duration::from_millis(50),
                suspicion: Duration::from_millis(500),
                lease: Duration::from_secs(1),
                drift: Duration::from_millis(100),
            },
            segment_bytes: self.segment_bytes,
            retain_bytes: 0,
            reserve_bytes: 0,
            snapshot_rate_bytes: 0,
            archive: None,
            readers: 1,
            wal_max_bytes: 1 << 30,
            wal_read_max: Duration::from_secs(30),
        }
    }

    /// Starts a node, or starts it again, and with it its listener (once).
    fn start(&mut self, name: &str) -> Node {
        self.start_in(Arc::new(RealFs), name)
    }

    /// As [`Cluster::start`], on the given file system.
    fn start_in(&mut self, fs: Arc<dyn Fs>, name: &str) -> Node {
        let place = self.members.iter().position(|m| m.0.as_str() == name).expect("a member");
        let name = self.members[place].0.clone();
        let config = self.config(&name);
        let control =
            ControlFile::open_in(&*fs, &config.data.join("control")).expect("control file");
        settle(&config.data, control.get()).expect("settled");
        let options = LogOptions { segment_bytes: self.segment_bytes, floor: control.get().commit };
        let log = LogStore::open_in(fs.clone(), &config.data.join("log"), options).expect("log");
        let database =
            config.data.join(format!("gen-{}", control.get().generation)).join("main.db");
        std::fs::create_dir_all(database.parent().expect("a parent")).expect("made");
        let mut sqlite = Sqlite::open(&database, ConnectionKind::Writer).expect("database");
        let (_, applied) = sqlite.applied().expect("applied");
        drop(sqlite);
        let roll = Roll::new(Configuration::initial(self.members.clone()));
        let hub = Hub::new(name.clone(), roll, Policy::Any(1), log.end(), applied);
        let hub = Arc::new(hub);
        let log = Arc::new(Mutex::new(log));
        let control = Arc::new(Mutex::new(control));
        let tls = load_tls(self.directory.path(), name.as_str());
        let (replication, mut installs) =
            Replication::new_in(fs, &config, hub.clone(), log.clone(), control.clone(), tls);
        let stop = CancellationToken::new();
        let running = replication.clone().run(stop.clone());
        let mut tasks = vec![tokio::spawn(async move { running.await.expect("runs") })];
        // The writer: opens what was installed, and applies whatever it may.
        let writer = hub.clone();
        tasks.push(tokio::spawn(async move {
            while let Some(Installed { path, reply }) = installs.recv().await {
                let opened = Sqlite::open(&path, ConnectionKind::Writer)
                    .and_then(|mut sqlite| sqlite.applied())
                    .map(|(_, lsn)| lsn);
                if let Ok(lsn) = opened {
                    writer.applied.send_replace(lsn);
                    writer.quarantine.send_replace(None);
                }
                let _ = reply.send(opened);
            }
        }));
        // Control: marks what is re-seeded.
        let (marks, file) = (hub.clone(), control.clone());
        tasks.push(tokio::spawn(async move {
            let mut reseeding = marks.reseeding.subscribe();
            while reseeding.changed().await.is_ok() {
                lock(&file).update(|control| control.unproven = true).expect("updated");
            }
        }));
        if let Some(mut listener) = self.listeners[place].take() {
            let replication = replication.clone();
            tasks.push(tokio::spawn(async move {
                while let Ok((mut stream, hello, _)) = listener.accept().await {
                    let name = "?".to_owned();
                    let welcome = HelloReply::Welcome { name, term: Term(0), leader: None };
                    if stream.answer(&welcome).await.is_ok() {
                        tokio::spawn(replication.clone().serve(stream, hello));
                    }
                }
            }));
        }
        Node { name, data: config.data, hub, log, control, replication, stop, tasks }
    }
}

fn load_tls(directory: &Path, name: &str) -> PeerTls {
    let path = |name: String| directory.join(name);
    let (certificate, key) = (path(format!("{name}.crt")), path(format!("{name}.key")));
    PeerTls::load(&path("ca.crt".into()), &certificate, &key).expect("certificates")
}

fn insert(n: i64) -> Entry {
    let statement = Statement {
        text: "insert into t (a) values (?1)".into(),
        params: vec![Value::Integer(n)],
        ..Statement::default()
    };
    Entry::Transaction(Transaction {
        id: 0,
        database: 0,
        functions: 1,
        token: None,
        outcome: None,
        statements: vec![statement],
        effect: 0,
    })
}

impl Node {
    fn set_leadership(&self, term: u64, role: Role, leader: Option<&str>) {
        lock(&self.log).fence(Term(term));
        let leader = leader.map(|name| name.parse().expect("a name"));
        self.hub.leadership.send_replace(Leadership { term: Term(term), role, leader });
    }

    fn follow(&self, term: u64, leader: &str) {
        self.set_leadership(term, Role::Follower, Some(leader));
    }

    fn lead(&self, term: u64) {
        self.set_leadership(term, Role::Leader, Some(self.name.as_str()));
        let start = TermStart { leader: self.name.to_string(), time_us: 0 };
        let end = self.append(term, &[Entry::TermStart(start)]);
        self.hub.term_start.send_replace((Term(term), end));
        self.sync();
    }

    fn append(&self, term: u64, entries: &[Entry]) -> Lsn {
        let mut log = lock(&self.log);
        let spans = log.append(Term(term), entries).expect("appended");
        self.hub.end.send_replace(log.end());
        spans.last().expect("an entry").end
    }

    fn sync(&self) {
        let syncer = lock(&self.log).syncer();
        self.hub.durable.send_replace(syncer.sync().expect("synced"));
        self.hub.count(None);
    }

    /// Writes and waits until it is committed.
    async fn write(&self, term: u64, n: i64) -> Lsn {
        let end = self.append(term, &[insert(n)]);
        self.sync();
        self.until(&self.hub.commit, |commit| *commit >= end).await;
        end
    }

    async fn until<T: Clone>(
        &self,
        channel: &watch::Sender<T>,
        reached: impl FnMut(&T) -> bool,
    ) -> T {
        let mut channel = channel.subscribe();
        let waited = tokio::time::timeout(PATIENCE, channel.wait_for(reached)).await;
        let what = || {
            let hub = &self.hub;
            format!(
                "{}: end {}, durable {}, commit {}, verified {}, applied {}",
                self.name,
                *hub.end.borrow(),
                *hub.durable.borrow(),
                *hub.commit.borrow(),
                *hub.verified.borrow(),
                *hub.applied.borrow()
            )
        };
        waited.unwrap_or_else(|_| panic!("in time: {}", what())).expect("the hub lives").clone()
    }

    /// Waits until this node may apply up to `lsn`.
    async fn until_bound(&self, lsn: Lsn) {
        self.until(&self.hub.verified, |_| true).await;
        self.until(&self.hub.commit, |commit| *commit >= lsn).await;
        assert!(self.hub.apply_bound() >= lsn);
    }

    /// Applies up to `lsn`, as far as the database's own record is concerned.
    fn apply(&self, term: u64, lsn: Lsn) {
        let generation = lock(&self.control).get().generation;
        let path = self.data.join(format!("gen-{generation}")).join("main.db");
        let mut sqlite = Sqlite::open(&path, ConnectionKind::Writer).expect("database");
        sqlite.execute_batch("BEGIN").expect("begun");
        sqlite.set_applied(Term(term), lsn).expect("recorded");
        sqlite.execute_batch("COMMIT").expect("committed");
        self.hub.applied.send_replace(lsn);
    }

    fn segments(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(self.data.join("log")).expect("listed");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let segments = paths.filter(|path| path.extension().is_some_and(|e| e == "seg"));
        let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
        segments.map(|path| (name(&path), std::fs::read(&path).expect("read"))).collect()
    }

    fn database(&self) -> PathBuf {
        self.replication.database_path(lock(&self.control).get().generation)
    }

    /// Puts `statements` into the database, and into no log.
    fn run(&self, statements: &str) {
        let mut sqlite = Sqlite::open(&self.database(), ConnectionKind::Writer).expect("database");
        sqlite.execute_batch(statements).expect("run");
    }

    fn digest(&self) -> BTreeMap<String, u64> {
        let mut sqlite = Sqlite::open(&self.database(), ConnectionKind::Reader).expect("database");
        assert_eq!(sqlite.integrity_check().expect("checked"), [""; 0]);
        content_digest(&mut sqlite).expect("whole")
    }

    /// Generations of the databases that lie there, in use or not.
    fn generations(&self) -> usize {
        let names = RealFs.list(Op::ReadControl, &self.data).expect("listed");
        names.iter().filter(|name| name.starts_with("gen-")).count()
    }

    /// Ends it as it is, whatever state it is in.
    async fn kill(self) {
        self.stop.cancel();
        for (place, task) in self.tasks.into_iter().enumerate() {
            if place > 0 {
                task.abort();
            }
            let _ = task.await;
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        for (place, task) in self.tasks.into_iter().enumerate() {
            if place == 0 {
                task.await.expect("ends");
            } else {
                task.abort();
            }
        }
    }
}
