//! Nodes with a real log, real files and real connections; the test itself plays
//! `control` and the writer.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::cluster::{Configuration, Policy, Role, Roll};
use crate::config::{PeerTlsConfig, SqlConfig};
use crate::log::{Entry, Statement, Term, TermStart, Transaction, Value};
use crate::net::{Authority, HelloReply, PeerListener};
use crate::node::Leadership;
use crate::node::Quarantine;
use crate::storage::fs::{File, Fs, Op, RealFs};
use crate::storage::log_store::LogOptions;
use crate::storage::sqlite::{ConnectionKind, Sqlite, content_digest};

const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that nodes share: names, addresses, certificates.
struct Cluster {
    directory: TempDir,
    members: Vec<(NodeId, String, u32)>,
    listeners: Vec<Option<PeerListener>>,
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

/// The real file system, with a word to say before every operation.
#[derive(Clone)]
struct Hooked(Arc<dyn Fn(Op) -> std::io::Result<()> + Send + Sync>);

struct HookedFile(Arc<dyn File>, Hooked);

impl Hooked {
    fn new(hook: impl Fn(Op) -> std::io::Result<()> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self(Arc::new(hook)))
    }

    /// No sync of the log returns while the gate is closed.
    fn gated(gate: &watch::Sender<bool>) -> Arc<Self> {
        let gate = gate.clone();
        Self::new(move |op| {
            while op == Op::SyncLog && !*gate.borrow() {
                std::thread::yield_now();
            }
            Ok(())
        })
    }

    /// Once armed, after `count` more operations of this label all of them fail, whatever
    /// their label: as if the process had been killed there.
    fn dying(label: Op, count: usize) -> (Arc<Self>, Arc<Death>) {
        let death = Arc::new(Death { left: AtomicUsize::new(count), ..Death::default() });
        let hand = death.clone();
        let hook = move |op| {
            if hand.armed.load(Ordering::SeqCst) && op == label {
                let left = hand.left.load(Ordering::SeqCst).checked_sub(1);
                match left {
                    Some(left) => hand.left.store(left, Ordering::SeqCst),
                    None => hand.dead.store(true, Ordering::SeqCst),
                }
            }
            match hand.dead.load(Ordering::SeqCst) {
                true => Err(std::io::Error::other("killed")),
                false => Ok(()),
            }
        };
        (Self::new(hook), death)
    }
}

#[derive(Default)]
struct Death {
    armed: AtomicBool,
    left: AtomicUsize,
    dead: AtomicBool,
}

impl Fs for Hooked {
    fn list(&self, op: Op, dir: &Path) -> std::io::Result<Vec<String>> {
        (self.0)(op)?;
        RealFs.list(op, dir)
    }

    fn create_dir_all(&self, op: Op, dir: &Path) -> std::io::Result<()> {
        (self.0)(op)?;
        RealFs.create_dir_all(op, dir)
    }

    fn open(&self, op: Op, path: &Path) -> std::io::Result<Arc<dyn File>> {
        (self.0)(op)?;
        Ok(Arc::new(HookedFile(RealFs.open(op, path)?, self.clone())))
    }

    fn create(&self, op: Op, path: &Path) -> std::io::Result<Arc<dyn File>> {
        (self.0)(op)?;
        Ok(Arc::new(HookedFile(RealFs.create(op, path)?, self.clone())))
    }

    fn remove(&self, op: Op, path: &Path) -> std::io::Result<()> {
        (self.0)(op)?;
        RealFs.remove(op, path)
    }

    fn remove_dir_all(&self, op: Op, dir: &Path) -> std::io::Result<()> {
        (self.0)(op)?;
        RealFs.remove_dir_all(op, dir)
    }

    fn rename(&self, op: Op, from: &Path, to: &Path) -> std::io::Result<()> {
        (self.0)(op)?;
        RealFs.rename(op, from, to)
    }

    fn sync_dir(&self, op: Op, dir: &Path) -> std::io::Result<()> {
        (self.0)(op)?;
        RealFs.sync_dir(op, dir)
    }
}

impl File for HookedFile {
    fn length(&self, op: Op) -> std::io::Result<u64> {
        (self.1.0)(op)?;
        self.0.length(op)
    }

    fn read_exact_at(&self, op: Op, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        (self.1.0)(op)?;
        self.0.read_exact_at(op, buffer, offset)
    }

    fn write_all_at(&self, op: Op, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        (self.1.0)(op)?;
        self.0.write_all_at(op, bytes, offset)
    }

    fn allocate(&self, op: Op, length: u64) -> std::io::Result<()> {
        (self.1.0)(op)?;
        self.0.allocate(op, length)
    }

    fn truncate(&self, op: Op, length: u64) -> std::io::Result<()> {
        (self.1.0)(op)?;
        self.0.truncate(op, length)
    }

    fn sync_data(&self, op: Op) -> std::io::Result<()> {
        (self.1.0)(op)?;
        self.0.sync_data(op)
    }
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
        Self { directory, members, listeners }
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
            segment_bytes: 8192,
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
        let options = LogOptions { segment_bytes: 8192, floor: control.get().commit };
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_committed_once_a_follower_holds_it() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, c) = (cluster.start("a"), cluster.start("b"), cluster.start("c"));
    a.lead(1);
    // Nobody follows: durable here, and not committed.
    let end = a.append(1, &[insert(0)]);
    a.sync();
    assert_eq!(*a.hub.commit.borrow(), Lsn(0));
    b.follow(1, "a");
    a.until(&a.hub.commit, |commit| *commit >= end).await;
    c.follow(1, "a");
    let mut last = end;
    for n in 0..300 {
        last = a.write(1, n).await;
    }
    b.until_bound(last).await;
    c.until_bound(last).await;
    assert_eq!(a.segments(), b.segments());
    assert_eq!(a.segments(), c.segments());
    b.until(&b.hub.caught_up, |term| *term == Term(1)).await;
    let progress = a.replication.followers();
    assert_eq!(progress.len(), 2);
    assert!(progress.values().any(|progress| progress.durable == last));
    for node in [a, b, c] {
        node.stop().await;
    }
}

impl Node {
    async fn until_upstream(&self, of: &str) {
        let of = Some((Term(1), of.parse().expect("a name")));
        self.until(&self.hub.upstream, |upstream| *upstream == of).await;
    }

    /// Counts for elections, as `control` says of whoever has caught up.
    fn prove(&self) {
        lock(&self.control).update(|control| control.unproven = false).expect("updated");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_is_sent_the_log_by_another_and_by_the_leader_when_that_is_gone() {
    let mut cluster = Cluster::new(&["a", "b", "d"]).await;
    let (a, b, d) = (cluster.start("a"), cluster.start("b"), cluster.start("d"));
    a.lead(1);
    b.follow(1, "a");
    b.until_upstream("a").await;
    // What it may have acknowledged only the leader knows.
    lock(&d.control).update(|control| control.unproven = true).expect("updated");
    d.follow(1, "a");
    d.until_upstream("a").await;
    d.until(&d.hub.caught_up, |term| *term == Term(1)).await;
    d.prove();
    d.hub.caught_up.send_replace(Term(0));
    d.follow(1, "nobody");
    d.until(&d.hub.upstream, Option::is_none).await;
    d.follow(1, "a");
    d.until_upstream("b").await;
    let mut last = Lsn(0);
    for n in 0..300 {
        last = a.write(1, n).await;
    }
    d.until_bound(last).await;
    assert_eq!(a.segments(), d.segments());
    let followers = |node: &Node| node.replication.followers().into_keys().collect::<Vec<_>>();
    let name = |name: &str| name.parse::<NodeId>().expect("a name");
    assert_eq!((followers(&a), followers(&b)), (vec![name("b")], vec![name("d")]));
    // It has not heard the leader, nor does it know what the leader has told others.
    assert_eq!((d.hub.leader_seen_ns(), *d.hub.caught_up.borrow()), (None, Term(0)));

    b.stop().await;
    d.until_upstream("a").await;
    let last = a.write(1, 300).await;
    d.until_bound(last).await;
    assert_eq!(a.segments(), d.segments());
    for node in [a, d] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_leader_has_as_well_is_not_cut_by_another_follower() {
    let mut cluster = Cluster::new(&["a", "b", "d"]).await;
    let gate = watch::Sender::new(true);
    let (a, b) = (cluster.start("a"), cluster.start_in(Hooked::gated(&gate), "b"));
    let d = cluster.start("d");
    a.lead(1);
    d.prove();
    // Nobody is followed by way of who follows nobody.
    d.follow(1, "a");
    d.until_upstream("a").await;
    b.follow(1, "a");
    b.until_upstream("a").await;
    gate.send_replace(false);
    let acknowledged = a.write(1, 1).await;
    d.stop().await;
    let d = cluster.start("d");
    d.follow(1, "a");
    d.until_upstream("a").await;
    assert!(*b.hub.verified.borrow() < acknowledged && d.hub.end.borrow().lsn >= acknowledged);
    assert!(!d.data.join("diverged").exists());
    gate.send_replace(true);
    for node in [a, b, d] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_tells_what_it_has_written_before_it_is_durable() {
    let mut cluster = Cluster::new(&["a", "b"]).await;
    let gate = watch::Sender::new(true);
    let (a, b) = (cluster.start("a"), cluster.start_in(Hooked::gated(&gate), "b"));
    a.lead(1);
    b.follow(1, "a");
    let before = a.write(1, 1).await;
    gate.send_replace(false);
    // Unasked it tells nothing: an ack more for every write would be paid by all.
    let unasked = a.append(1, &[insert(2)]);
    a.sync();
    b.until(&b.hub.end, |end| end.lsn >= unasked).await;
    assert_eq!((*a.hub.written.borrow(), *a.hub.commit.borrow()), (Lsn(0), before));
    gate.send_replace(true);
    a.until(&a.hub.commit, |commit| *commit >= unasked).await;
    gate.send_replace(false);
    let awaiting = a.hub.awaiting_written();
    let end = a.append(1, &[insert(3)]);
    a.sync();
    a.until(&a.hub.written, |written| *written >= end).await;
    assert_eq!(*a.hub.commit.borrow(), unasked);
    drop(awaiting);
    gate.send_replace(true);
    a.until(&a.hub.commit, |commit| *commit >= end).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_larger_than_a_message_arrives_whole() {
    let mut cluster = Cluster::new(&["a", "b"]).await;
    let (a, b) = (cluster.start("a"), cluster.start("b"));
    a.lead(1);
    b.follow(1, "a");
    let large = a.append(1, &[Entry::Configuration(vec![5; 3 << 20]), insert(1)]);
    a.sync();
    a.until(&a.hub.commit, |commit| *commit >= large).await;
    b.until_bound(large).await;
    assert_eq!(a.segments(), b.segments());
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_leader_saves_and_cuts_what_diverged() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, c) = (cluster.start("a"), cluster.start("b"), cluster.start("c"));
    a.lead(1);
    b.follow(1, "a");
    c.follow(1, "a");
    let common = a.write(1, 1).await;
    b.until_bound(common).await;
    c.until_bound(common).await;
    // Cut off: what it writes now reaches nobody.
    b.set_leadership(2, Role::Follower, None);
    c.set_leadership(2, Role::Follower, None);
    let lost = a.append(1, &[insert(666)]);
    a.sync();
    b.lead(2);
    c.follow(2, "b");
    let end = b.write(2, 2).await;
    a.follow(2, "b");
    a.until_bound(end).await;
    c.until_bound(end).await;
    assert_eq!(a.segments(), b.segments());
    assert_eq!(a.segments(), c.segments());
    let name = format!("term-1-{:016x}-{:016x}.sql", common.0, lost.0);
    let saved = std::fs::read_to_string(a.data.join("diverged").join(name)).expect("saved");
    assert!(saved.contains("insert into t (a) values (?1);\n--   ?1 = 666"), "{saved}");
    for node in [a, b, c] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inherited_log_is_committed_with_the_term_start() {
    let mut cluster = Cluster::new(&["a", "b"]).await;
    let (a, b) = (cluster.start("a"), cluster.start("b"));
    a.lead(1);
    b.follow(1, "a");
    let known = a.write(1, 1).await;
    b.until_bound(known).await;
    // b inherits a frame that it doesn't know to be committed.
    let inherited = a.append(1, &[insert(2)]);
    b.until(&b.hub.durable, |durable| *durable >= inherited).await;
    a.set_leadership(2, Role::Follower, None);
    b.set_leadership(2, Role::Opening, Some("b"));
    a.follow(2, "b");
    // The follower holds all of it, and has said so: not committed by that.
    b.until(&b.hub.leadership, |_| true).await;
    assert!(*b.hub.commit.borrow() <= inherited);
    b.lead(2);
    let start = b.hub.term_start.borrow().1;
    b.until(&b.hub.commit, |commit| *commit >= start).await;
    a.until_bound(start).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_far_behind_gets_a_snapshot() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, c) = (cluster.start("a"), cluster.start("b"), cluster.start("c"));
    a.lead(1);
    b.follow(1, "a");
    let mut end = Lsn(0);
    for n in 0..500 {
        end = a.write(1, n).await;
    }
    a.apply(1, end);
    let first = tokio::time::timeout(PATIENCE, async {
        while a.replication.reader.first() == Lsn(0) {
            tokio::task::yield_now().await;
        }
        a.replication.reader.first()
    });
    assert!(first.await.expect("segments are released") > Lsn(0));
    assert_eq!(lock(&a.control).get().commit, end);
    c.follow(1, "a");
    c.until(&c.hub.applied, |applied| *applied == end).await;
    let last = a.write(1, 7).await;
    c.until_bound(last).await;
    assert_eq!(a.segments().last_key_value(), c.segments().last_key_value());
    let control = lock(&c.control).get().clone();
    assert_eq!((control.generation, control.unproven, control.commit), (1, true, end));
    c.until(&c.hub.caught_up, |term| *term == Term(1)).await;
    assert!(!c.data.join("gen-0").exists() && !c.data.join("gen-1/log").exists());
    // It starts again from there.
    c.stop().await;
    let c = cluster.start("c");
    assert_eq!(*c.hub.applied.borrow(), end);
    c.follow(1, "a");
    let last = a.write(1, 8).await;
    c.until_bound(last).await;
    for node in [a, b, c] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarantined_follower_gets_new_databases_and_keeps_its_log() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, c) = (cluster.start("a"), cluster.start("b"), cluster.start("c"));
    a.lead(1);
    b.follow(1, "a");
    let early = a.write(1, 1).await;
    a.apply(1, early);
    let end = a.write(1, 2).await;
    b.until_bound(end).await;
    b.hub.quarantine.send_replace(Some(Quarantine::Differs(early)));
    b.until(&b.hub.quarantine, Option::is_none).await;
    assert_eq!(*b.hub.applied.borrow(), early);
    assert_eq!(b.hub.end.borrow().lsn, end);
    let last = a.write(1, 3).await;
    b.until_bound(last).await;
    for node in [a, b, c] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_most_followers_disagree_nobody_is_re_seeded_and_all_go_on() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, c) = (cluster.start("a"), cluster.start("b"), cluster.start("c"));
    a.lead(1);
    let early = a.append(1, &[insert(1)]);
    a.sync();
    for node in [&b, &c] {
        node.hub.quarantine.send_replace(Some(Quarantine::Differs(early)));
        node.follow(1, "a");
    }
    let patience = async {
        while lock(&a.replication.differing).len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, patience).await.expect("both say that they differ");
    for n in 0..20 {
        a.write(1, n).await;
    }
    for node in [&b, &c] {
        assert_eq!(*node.hub.quarantine.borrow(), Some(Quarantine::Differs(early)));
        assert_eq!(lock(&node.control).get().generation, 0);
    }
    for node in [a, b, c] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_applied_and_diverged_is_replaced() {
    let mut cluster = Cluster::new(&["a", "b"]).await;
    let (a, b) = (cluster.start("a"), cluster.start("b"));
    a.lead(1);
    b.follow(1, "a");
    let common = a.write(1, 1).await;
    b.until_bound(common).await;
    b.set_leadership(2, Role::Follower, None);
    // As under async: applied here, and lost.
    let lost = a.append(1, &[insert(666)]);
    a.sync();
    a.apply(1, lost);
    b.lead(2);
    a.set_leadership(2, Role::Follower, None);
    let start = b.hub.term_start.borrow().1;
    b.apply(2, start);
    a.follow(2, "b");
    a.until(&a.hub.applied, |applied| *applied == start).await;
    let last = b.write(2, 2).await;
    a.until_bound(last).await;
    assert_eq!(a.segments(), b.segments());
    let saved = std::fs::read_dir(a.data.join("diverged")).expect("saved").count();
    assert_eq!(saved, 1);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promise_stops_the_old_stream() {
    let mut cluster = Cluster::new(&["a", "b"]).await;
    let (a, b) = (cluster.start("a"), cluster.start("b"));
    a.lead(1);
    b.follow(1, "a");
    let end = a.write(1, 1).await;
    b.until_bound(end).await;
    // The fence alone, before anybody is told.
    lock(&b.log).fence(Term(2));
    let held = lock(&b.log).end();
    let later = a.append(1, &[insert(2)]);
    a.sync();
    b.until(&b.hub.leadership, |_| true).await;
    let mut commit = a.hub.commit.subscribe();
    let committed = commit.wait_for(|commit| *commit >= later);
    let waited = tokio::time::timeout(Duration::from_millis(200), committed);
    assert!(waited.await.is_err(), "committed through a fence");
    assert_eq!(lock(&b.log).end(), held);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_log_beside_full_databases_is_re_seeded() {
    let mut cluster = Cluster::new(&["a", "b"]).await;
    let (a, b) = (cluster.start("a"), cluster.start("b"));
    a.lead(1);
    b.follow(1, "a");
    let end = a.write(1, 1).await;
    a.apply(1, end);
    b.until_bound(end).await;
    b.apply(1, end);
    let (data, control) = (b.data.clone(), b.control.clone());
    b.stop().await;
    assert_eq!(lock(&control).get().commit, end);
    drop(control);
    std::fs::remove_dir_all(data.join("log")).expect("lost");
    let options = LogOptions { segment_bytes: 8192, floor: end };
    let refused = LogStore::open(&data.join("log"), options);
    assert!(matches!(refused.err(), Some(LogError::TooShort { .. })));
    // What the node does then: go on without a log, as one whose word counts for nothing.
    ControlFile::open(&data.join("control"))
        .expect("opens")
        .update(|control| (control.commit, control.unproven) = (Lsn(0), true))
        .expect("updated");
    let b = cluster.start("b");
    assert_eq!(*b.hub.applied.borrow(), end);
    b.follow(1, "a");
    b.until(&b.hub.end, |held| held.lsn == end).await;
    let last = a.write(1, 2).await;
    b.until_bound(last).await;
    a.stop().await;
    b.stop().await;
}

/// A leader with so many megabytes of content, and a follower that makes it commit.
async fn filled(cluster: &mut Cluster, megabytes: usize) -> (Node, Node, Lsn) {
    let (a, b) = (cluster.start("a"), cluster.start("b"));
    a.lead(1);
    b.follow(1, "a");
    a.run(&format!(
        "CREATE TABLE filler (id INTEGER PRIMARY KEY, b BLOB);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {megabytes}000)
         INSERT INTO filler SELECT i, randomblob(1000) FROM n"
    ));
    let end = a.write(1, 1).await;
    a.apply(1, end);
    // Nothing is left of the log's first segments: who comes later needs a snapshot.
    let mut end = end;
    for n in 0..300 {
        end = a.write(1, n).await;
    }
    a.apply(1, end);
    let released = async {
        while a.replication.reader.first() == Lsn(0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, released).await.expect("segments are released");
    (a, b, end)
}

/// Starts `c` on a file system that dies, has it follow, and waits for its death; `None`
/// if it lived and was seeded.
async fn die(cluster: &mut Cluster, label: Op, count: usize, end: Lsn) -> Option<()> {
    let (fs, death) = Hooked::dying(label, count);
    let c = cluster.start_in(fs, "c");
    if *c.hub.applied.borrow() == end {
        c.hub.quarantine.send_replace(Some(Quarantine::Edited(end)));
        c.hub.applied.send_replace(Lsn(1));
    }
    death.armed.store(true, Ordering::SeqCst);
    c.follow(1, "a");
    let ended = async {
        loop {
            if death.dead.load(Ordering::SeqCst) {
                return Some(());
            }
            if c.hub.caught_up.borrow().0 == 1 {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let ended = tokio::time::timeout(PATIENCE, ended).await.expect("dies or is seeded");
    c.kill().await;
    ended
}

/// Every label of an operation that installs a snapshot.
const STEPS: [Op; 9] = [
    Op::PrepareSnapshot,
    Op::ReceiveSnapshot,
    Op::VerifySnapshot,
    Op::SyncDir,
    Op::WriteControl,
    Op::CreateSegment,
    Op::RemoveSegment,
    Op::RemoveGeneration,
    Op::NoteDurable,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_step_of_a_snapshot_leaves_a_node_that_finishes_by_itself() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, end) = filled(&mut cluster, 1).await;
    let content = a.digest();
    let mut deaths = 0;
    // A node without anything; one whose databases alone are bad.
    for wiped in [true, false] {
        for label in STEPS {
            // Each time it is met; of many alike, as reading a file is, some.
            let mut count = 0;
            loop {
                if wiped {
                    let config = cluster.config(&"c".parse().expect("a name"));
                    RealFs.remove_dir_all(Op::RemoveGeneration, &config.data).expect("wiped");
                    // Made before it follows: its first files are not what is tried here.
                    cluster.start("c").stop().await;
                }
                let died = die(&mut cluster, label, count, end).await;
                let c = cluster.start("c");
                c.follow(1, "a");
                c.until(&c.hub.applied, |applied| *applied == end).await;
                c.until(&c.hub.caught_up, |term| *term == Term(1)).await;
                assert_eq!(c.digest(), content, "{label} {count}");
                assert_eq!(a.segments().last_key_value(), c.segments().last_key_value());
                assert_eq!(c.generations(), 1, "{label} {count}");
                assert!(!c.database().with_file_name("log").exists());
                c.stop().await;
                if died.is_none() {
                    break;
                }
                deaths += 1;
                count += 1 + count / 4;
            }
        }
    }
    assert!(deaths > 40, "{deaths} steps");
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_goes_on_where_it_was_cut_and_sends_what_differs() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, end) = filled(&mut cluster, 6).await;
    // Cut off before the fourth piece, of one megabyte each.
    assert_eq!(die(&mut cluster, Op::ReceiveSnapshot, 3, end).await, Some(()));
    let pieces = Arc::new(AtomicUsize::new(0));
    let counter = pieces.clone();
    let counted = Hooked::new(move |op| {
        counter.fetch_add(usize::from(op == Op::ReceiveSnapshot), Ordering::SeqCst);
        Ok(())
    });
    let c = cluster.start_in(counted, "c");
    c.follow(1, "a");
    c.until(&c.hub.applied, |applied| *applied == end).await;
    let came = pieces.swap(0, Ordering::SeqCst);
    assert!((3..8).contains(&came), "{came} pieces after the cut");
    // Another value here, which only this node's file has: one page, perhaps two.
    c.run("UPDATE filler SET b = zeroblob(1000) WHERE id = 3000");
    assert_ne!(c.digest(), a.digest());
    c.hub.quarantine.send_replace(Some(Quarantine::Edited(end)));
    c.until(&c.hub.quarantine, Option::is_none).await;
    assert_eq!(c.digest(), a.digest());
    let came = pieces.load(Ordering::SeqCst);
    assert!((1..4).contains(&came), "{came} pieces of what differed");
    for node in [a, b, c] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_there_and_is_wrong_is_not_believed() {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    let (a, b, end) = filled(&mut cluster, 6).await;
    cluster.start("c").stop().await;
    let next = cluster.config(&"c".parse().expect("a name")).data.join("gen-1");
    std::fs::create_dir_all(next.join("log")).expect("made");
    for name in ["main.db", "main.db-wal", "main.db-journal", "log/0000000000000001.seg"] {
        std::fs::write(next.join(name), vec![7; 3 << 20]).expect("written");
    }
    let c = cluster.start("c");
    c.follow(1, "a");
    c.until(&c.hub.applied, |applied| *applied == end).await;
    assert_eq!(c.digest(), a.digest());
    assert_eq!(a.segments().last_key_value(), c.segments().last_key_value());
    for node in [a, b, c] {
        node.stop().await;
    }
}
