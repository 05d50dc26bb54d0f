//! The monitor and the nodes' control tasks as they run, over mutual TLS, with their
//! files: who leads, who may acknowledge, and what happens when one of them is gone.
//! Replication is played by the test: frames are copied from log to log.
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use towline::cluster::{Configuration, NodeId, Policy, Role, Roll};
use towline::config::{
    Choice, EtcdConfig, MonitorConfig, NodeConfig, PeerTlsConfig, SqlConfig, Timing,
};
use towline::log::{Entry, Lsn, Term, TermStart};
use towline::monitor::{self, MonitorError};
use towline::net::{Authority, Hello, HelloReply, PeerListener, PeerTls, Purpose, dial};
use towline::node::control::{self, ControlHandle};
use towline::node::{Hub, boottime_ns};
use towline::storage::control_file::ControlFile;
use towline::storage::log_store::{LogOptions, LogStore};
use towline::supervisor::Supervisor;

const TIMING: Timing = Timing {
    heartbeat: Duration::from_millis(100),
    suspicion: Duration::from_millis(500),
    lease: Duration::from_millis(1000),
    drift: Duration::from_millis(100),
};

/// How often the players take their turns, and what nobody announces is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// For whatever must happen, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

struct Cluster {
    directory: TempDir,
    authority: Authority,
    members: Vec<(NodeId, String)>,
    /// Of each monitor; of several one acts.
    monitor_addresses: Vec<String>,
    monitors: BTreeMap<usize, (CancellationToken, JoinHandle<Result<(), MonitorError>>)>,
    etcd: Option<Etcd>,
    nodes: BTreeMap<NodeId, Node>,
    /// The logs of the nodes that run, for copying.
    logs: Logs,
}

type Logs = Arc<Mutex<BTreeMap<NodeId, (Arc<Hub>, Arc<Mutex<LogStore>>)>>>;

struct Node {
    hub: Arc<Hub>,
    control: Arc<ControlHandle>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.control.task.abort();
    }
}

/// Of a port that no outgoing connection takes meanwhile: those come from 127.0.0.1.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.2:0").expect("a free port");
    listener.local_addr().expect("bound").to_string()
}

fn id(name: &str) -> NodeId {
    name.parse().expect("a legal name")
}

impl Cluster {
    async fn start(nodes: usize) -> Self {
        Self::start_under(nodes, 1, None).await
    }

    async fn start_under(nodes: usize, monitors: usize, etcd: Option<Etcd>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (authority, issued) = Authority::generate((2020, 1, 1), 100).expect("an authority");
        fs::write(directory.path().join("ca.pem"), issued.certificate).expect("writable");
        let members =
            (1..=nodes).map(|node| (id(&format!("n{node}")), free_address())).collect::<Vec<_>>();
        let mut cluster = Self {
            directory,
            authority,
            members: members.clone(),
            monitor_addresses: (0..monitors).map(|_| free_address()).collect(),
            monitors: BTreeMap::new(),
            etcd,
            nodes: BTreeMap::new(),
            logs: Logs::default(),
        };
        for monitor in 0..monitors {
            cluster.start_monitor(monitor).await;
        }
        for (name, _) in members {
            cluster.start_node(&name).await;
        }
        cluster
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn tls(&self, name: &str) -> PeerTlsConfig {
        let issued = self.authority.issue(name, &[], (2020, 1, 1), 100).expect("a certificate");
        let (certificate, key) =
            (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        fs::write(&certificate, issued.certificate).expect("writable");
        fs::write(&key, issued.key).expect("writable");
        PeerTlsConfig { ca: self.path("ca.pem"), certificate, key }
    }

    async fn start_monitor(&mut self, monitor: usize) {
        let config = MonitorConfig {
            name: format!("monitor{monitor}"),
            cluster: "test".into(),
            data: self.path(&format!("monitor{monitor}")),
            peer_listen: self.monitor_addresses[monitor].clone(),
            http_listen: None,
            tls: self.tls("monitor"),
            members: self
                .members
                .iter()
                .map(|(name, peer)| (name.clone(), peer.clone(), 1))
                .collect(),
            policy: Policy::Any(1),
            choose: Choice::Latest,
            timing: TIMING,
            failovers_max: 100,
            failover_window: Duration::from_secs(300),
            lag_bytes_max: 1 << 20,
            drain: Duration::from_secs(1),
            restart_grace: Duration::ZERO,
            etcd: self.etcd.as_ref().map(|etcd| EtcdConfig {
                endpoints: vec![etcd.address.clone()],
                prefix: "/towline/test".into(),
                ttl: Duration::from_secs(2),
            }),
        };
        let token = CancellationToken::new();
        let task = tokio::spawn(monitor::run(config, Arc::new(Supervisor::none()), token.clone()));
        let listens = async {
            let address = &self.monitor_addresses[monitor];
            while tokio::net::TcpStream::connect(address).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, listens).await.expect("the monitor listens");
        self.monitors.insert(monitor, (token, task));
    }

    async fn stop_monitor(&mut self) {
        let (token, task) = self.monitors.remove(&0).expect("it runs");
        token.cancel();
        task.await.expect("no panic").expect("no error");
    }

    async fn start_node(&mut self, name: &NodeId) {
        let peer = &self.members.iter().find(|(member, _)| member == name).expect("a member").1;
        let data = self.path(name.as_str());
        fs::create_dir_all(&data).expect("writable");
        let tls_config = self.tls(name.as_str());
        let tls = load(&tls_config);
        let config = NodeConfig {
            name: name.clone(),
            cluster: "test".into(),
            data: data.clone(),
            sql: SqlConfig {
                listen: "127.0.0.1:1".into(),
                certificate: None,
                database: "test".into(),
                users: Vec::new(),
                max_connections: 1,
                message_max: 1 << 20,
                workers: 1,
            },
            peer_listen: peer.clone(),
            tls: tls_config,
            monitors: self.monitor_addresses.clone(),
            members: self.members.clone(),
            policy: Policy::Any(1),
            follow: None,
            timing: TIMING,
            segment_bytes: 1 << 20,
            retain_bytes: 1 << 20,
            reserve_bytes: 0,
            snapshot_rate_bytes: 0,
            archive: None,
            readers: 1,
            wal_max_bytes: 1 << 30,
            wal_read_max: Duration::from_secs(30),
        };
        let control_file = ControlFile::open(&data.join("control")).expect("a control file");
        let options = LogOptions { segment_bytes: 1 << 20, floor: Lsn(0) };
        let log = LogStore::open(&data.join("log"), options).expect("a log");
        let member = |(name, peer): &(NodeId, String)| (name.clone(), peer.clone(), 1);
        let roll = Roll::new(Configuration::initial(self.members.iter().map(member)));
        let hub = Arc::new(Hub::new(name.clone(), roll, Policy::Any(1), log.end(), Lsn(0)));
        let log = Arc::new(Mutex::new(log));
        let control = control::spawn(
            &config,
            Arc::clone(&hub),
            Arc::new(Mutex::new(control_file)),
            Arc::clone(&log),
            tls.clone(),
            Arc::new(Supervisor::none()),
            CancellationToken::new(),
        );
        let control = Arc::new(control.expect("a thread of its own"));
        let listener = PeerListener::bind(peer, tls).await.expect("its address is free");
        self.logs
            .lock()
            .expect("no panic")
            .insert(name.clone(), (Arc::clone(&hub), Arc::clone(&log)));
        let answers = answer_peers(listener, name.clone(), Arc::clone(&hub), Arc::clone(&control));
        let plays = play(Arc::clone(&hub), log, Arc::clone(&self.logs));
        let tasks = vec![tokio::spawn(answers), tokio::spawn(plays)];
        let tasks = tasks.into_iter().map(AbortOnDropHandle::new).collect();
        self.nodes.insert(name.clone(), Node { hub, control, _tasks: tasks });
    }

    /// As kill -9 does: nothing is said, sockets close.
    fn kill_node(&mut self, name: &NodeId) {
        self.logs.lock().expect("no panic").remove(name);
        self.nodes.remove(name).expect("it runs");
    }

    /// The node that may acknowledge now.
    fn acknowledger(&self) -> Option<NodeId> {
        let now = boottime_ns();
        let able = |node: &&Node| {
            node.hub.leadership.borrow().role == Role::Leader && node.hub.lease_holds(now)
        };
        let mut able = self.nodes.values().filter(able);
        let first = able.next().map(|node| node.hub.me.clone());
        assert!(able.next().is_none(), "two nodes may acknowledge");
        first
    }

    async fn wait<T>(&self, what: &str, mut condition: impl FnMut(&Self) -> Option<T>) -> T {
        until(what, async || condition(self)).await
    }

    async fn wait_for_leader(&self) -> NodeId {
        self.wait("a leader that may acknowledge", Self::acknowledger).await
    }

    /// Until every node follows `leader` in its term and has proven itself.
    async fn wait_for_followers(&self, leader: &NodeId) {
        let term = self.nodes[leader].hub.leadership.borrow().term;
        self.wait("everybody to follow", |cluster| {
            let follows = |node: &Node| {
                let leadership = node.hub.leadership.borrow();
                leadership.term == term
                    && leadership.leader.as_ref() == Some(leader)
                    && (node.hub.me == *leader || *node.hub.caught_up.borrow() == term)
            };
            cluster.nodes.values().all(follows).then_some(())
        })
        .await;
    }

    async fn ask(&self, request: Value) -> Value {
        self.ask_monitor(0, request).await.expect("the monitor answers")
    }

    /// `None` if it does not act.
    async fn ask_monitor(&self, monitor: usize, request: Value) -> Option<Value> {
        let tls = load(&self.tls("tool"));
        let hello = hello("test", "tool", Purpose::Admin);
        let address = &self.monitor_addresses[monitor];
        let (mut stream, _) = dial(address, &tls, Some("monitor"), &hello, PATIENCE).await.ok()?;
        stream.send(request.to_string().as_bytes()).await.expect("sent");
        let answer = stream.recv().await.expect("an answer").expect("an answer");
        Some(serde_json::from_slice(&answer).expect("JSON"))
    }

    /// Waits until a monitor refuses to answer, and says how it does.
    async fn ask_until_refused(&self, monitor: usize) -> String {
        let tls = load(&self.tls("tool"));
        let hello = hello("test", "tool", Purpose::Admin);
        let address = &self.monitor_addresses[monitor];
        until("a refusal", async || {
            let dialled = dial(address, &tls, Some("monitor"), &hello, PATIENCE).await;
            dialled.err().map(|error| error.to_string())
        })
        .await
    }

    /// Waits until one of several monitors acts, other than `except`.
    async fn wait_for_acting(&self, except: Option<usize>) -> usize {
        until("one monitor that acts", async || {
            let mut acting = Vec::new();
            for monitor in self.monitors.keys().filter(|monitor| Some(**monitor) != except) {
                if self.ask_monitor(*monitor, json!({"request": "status"})).await.is_some() {
                    acting.push(*monitor);
                }
            }
            // Asked one after the other: two that answer need not have acted at once.
            let [one] = acting[..] else { return None };
            Some(one)
        })
        .await
    }
}

/// Waits until `look` finds something; what nobody announces is looked for again and again.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut turns = interval(LOOK_EVERY);
    let began = Instant::now();
    loop {
        turns.tick().await;
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
    }
}

/// An etcd server of the test's own.
struct Etcd {
    process: Child,
    address: String,
    _data: TempDir,
}

impl Etcd {
    async fn start() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let (address, peers) = (free_address(), free_address());
        let (clients, peers) = (format!("http://{address}"), format!("http://{peers}"));
        let process = Command::new("etcd")
            .arg("--data-dir")
            .arg(data.path())
            .args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients])
            .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
            .args(["--initial-cluster", &format!("default={peers}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd runs (scripts/test installs it)");
        let etcd = Self { process, address, _data: data };
        let key = json!({ "key": "AA==" });
        until("etcd to answer", async || etcd.ask("/v3/kv/range", &key)).await;
        etcd
    }

    fn ask(&self, path: &str, request: &Value) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        let (body, address) = (request.to_string(), &self.address);
        let length = body.len();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(answer)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn load(config: &PeerTlsConfig) -> PeerTls {
    PeerTls::load(&config.ca, &config.certificate, &config.key).expect("usable certificates")
}

async fn answer_peers(
    mut listener: PeerListener,
    me: NodeId,
    hub: Arc<Hub>,
    control: Arc<ControlHandle>,
) {
    while let Ok((mut stream, hello, _)) = listener.accept().await {
        let leadership = hub.leadership.borrow().clone();
        let (name, term, leader) = (me.to_string(), leadership.term, leadership.leader);
        let welcome = HelloReply::Welcome { name, term, leader };
        if stream.answer(&welcome).await.is_ok() && hello.purpose == Purpose::Control {
            control.handle_peer(stream, hello).await;
        }
    }
}

/// Plays the writer and replication of one node.
async fn play(hub: Arc<Hub>, log: Arc<Mutex<LogStore>>, logs: Logs) {
    let (mut followed, mut noted) = (None, None);
    let mut turns = interval(LOOK_EVERY);
    loop {
        turns.tick().await;
        let leadership = hub.leadership.borrow().clone();
        let mine = leadership.leader.as_ref() == Some(&hub.me);
        hub.resting.send_if_modified(|resting| {
            std::mem::replace(resting, *hub.frozen.borrow()) != *hub.frozen.borrow()
        });
        if leadership.role != Role::Follower {
            lead(&hub, &log, &logs, leadership.term, &mut noted);
        } else if let Some(leader) = leadership.leader.filter(|_| !mine) {
            let peer = logs.lock().expect("no panic").get(&leader).cloned();
            match peer {
                Some((peer, source)) => {
                    let led = peer.leadership.borrow().clone();
                    if led.term == leadership.term && led.role != Role::Follower {
                        followed = Some(leader);
                        copy(&hub, &log, &peer, &source, led.term);
                    }
                }
                None if followed.take() == Some(leader) => hub.lost_leader(),
                None => {}
            }
        }
    }
}

/// The members that a leader has put into its log: in which term, and where that ends.
type Noted = Option<(Term, Configuration, Lsn)>;

fn lead(hub: &Hub, log: &Mutex<LogStore>, logs: &Logs, term: Term, noted: &mut Noted) {
    let append = |entry: Entry| {
        let mut log = log.lock().expect("no panic");
        let spans = log.append(term, &[entry]).ok()?;
        let durable = log.syncer().sync().expect("a disk");
        hub.end.send_replace(log.end());
        hub.durable.send_replace(durable);
        Some(spans[0].end)
    };
    if hub.term_start.borrow().0 < term {
        let start = TermStart { leader: hub.me.to_string(), time_us: 0 };
        let Some(end) = append(Entry::TermStart(start)) else { return };
        hub.term_start.send_replace((term, end));
    }
    let newest = hub.roll.borrow().newest().clone();
    let is_noted =
        noted.as_ref().is_some_and(|(in_term, held, _)| *in_term == term && *held == newest);
    if newest.version > 0 && !is_noted {
        let Some(end) = append(Entry::Configuration(newest.to_json())) else { return };
        *noted = Some((term, newest, end));
    }
    let logs = logs.lock().expect("no panic");
    let held = |(_, (other, _)): (&NodeId, &(Arc<Hub>, _))| {
        (other.me != hub.me && *other.caught_up.borrow() == term).then(|| *other.durable.borrow())
    };
    let commit = logs.iter().filter_map(held).max().unwrap_or(Lsn(0));
    if commit >= hub.term_start.borrow().1 && commit > *hub.commit.borrow() {
        hub.commit.send_replace(commit);
    }
    if let Some((_, configuration, end)) = noted
        && *hub.commit.borrow() >= *end
        && hub.configured.borrow().as_ref() != Some(configuration)
    {
        hub.configured.send_replace(Some(configuration.clone()));
    }
}

fn copy(hub: &Hub, log: &Mutex<LogStore>, peer: &Hub, source: &Mutex<LogStore>, term: Term) {
    hub.saw_leader(boottime_ns());
    let reader = source.lock().expect("no panic").reader();
    let mut log = log.lock().expect("no panic");
    let own_hash = log.hash();
    let same = reader.chain_at(log.end().lsn).is_ok_and(|chain| chain.hash == own_hash);
    if !same {
        log.cut(Lsn(0)).expect("a cut");
    }
    let end = log.end().lsn;
    let bytes = reader.read(end, 1 << 20).expect("readable");
    if !bytes.is_empty() && log.append_copy(term, end, &bytes).is_err() {
        return;
    }
    let durable = log.syncer().sync().expect("a disk");
    hub.end.send_replace(log.end());
    hub.durable.send_replace(durable);
    hub.verified.send_replace(durable);
    let commit = *peer.commit.borrow();
    hub.commit.send_replace(commit);
    if durable >= commit && log.end().term == term {
        hub.caught_up.send_replace(term);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_replaced_and_comes_back_as_a_follower() {
    let mut cluster = Cluster::start(3).await;
    let first = cluster.wait_for_leader().await;
    cluster.wait_for_followers(&first).await;

    let began = Instant::now();
    cluster.kill_node(&first);
    let second = cluster.wait_for_leader().await;
    println!("able to acknowledge again after {} ms", began.elapsed().as_millis());
    assert_ne!(second, first);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());

    cluster.start_node(&first).await;
    cluster.wait_for_followers(&second).await;
    let events = cluster.ask(json!({"request": "events"})).await;
    let events = events["ok"].as_array().expect("events").clone();
    assert!(events.iter().any(|event| event["rule"] == "6"), "{events:#?}");
    for event in events {
        assert!(event["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{event}");
    }
    let status = cluster.ask(json!({"request": "status"})).await;
    assert_eq!(status["ok"]["view"]["leader"], json!(second), "{status:#}");
    assert_eq!(status["ok"]["view"]["open"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_monitor_members_renew_the_lease_and_it_resumes() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.wait_for_leader().await;
    cluster.wait_for_followers(&leader).await;
    cluster.stop_monitor().await;
    let until_ns = boottime_ns() + 3 * TIMING.lease.as_nanos() as i64;
    cluster
        .wait("renewals for three leases", |cluster| {
            assert_eq!(cluster.acknowledger().as_ref(), Some(&leader));
            cluster.nodes[&leader].hub.lease_holds(until_ns).then_some(())
        })
        .await;
    // With its state it goes on, without it adopts the leader that it finds.
    for lost in [false, true] {
        if lost {
            fs::remove_file(cluster.path("monitor0").join("monitor.json")).expect("it was there");
        }
        cluster.start_monitor(0).await;
        let began = Instant::now();
        loop {
            assert_eq!(
                cluster.acknowledger().as_ref(),
                Some(&leader),
                "after {:?}",
                began.elapsed()
            );
            let status = cluster.ask(json!({"request": "status"})).await;
            if status["ok"]["phase"] == "watching" && status["ok"]["view"]["open"] == true {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "{status:#}");
        }
        cluster.stop_monitor().await;
    }
    // A leader alone, without monitor, may acknowledge no longer than its lease.
    let others = cluster.members.clone();
    for (name, _) in others.iter().filter(|(name, _)| *name != leader) {
        cluster.kill_node(name);
    }
    cluster
        .wait("the lease to end", |cluster| cluster.acknowledger().is_none().then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planned_hand_overs_lose_no_time() {
    let cluster = Cluster::start(3).await;
    let mut leader = cluster.wait_for_leader().await;
    for _ in 0..3 {
        cluster.wait_for_followers(&leader).await;
        let to = cluster.nodes.keys().find(|node| **node != leader).expect("another").clone();
        let began = Instant::now();
        let answer = cluster.ask(json!({"request": "switchover", "to": to})).await;
        println!("{answer} after {} ms", began.elapsed().as_millis());
        assert!(
            answer["ok"].as_str().is_some_and(|text| text.contains("leads in term")),
            "{answer}"
        );
        leader = cluster.wait_for_leader().await;
        assert_eq!(leader, to);
    }
    cluster.wait_for_followers(&leader).await;
    let answer = cluster.ask(json!({"request": "switchover", "to": leader})).await;
    assert!(
        answer["error"].as_str().is_some_and(|text| text.contains("leads already")),
        "{answer}"
    );
    // A leader that is stopped hands over first.
    assert!(cluster.nodes[&leader].control.handover().await);
    let next = cluster.wait_for_leader().await;
    assert_ne!(next, leader);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_it_cannot_be_safe_the_monitor_says_who_is_missing() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.wait_for_leader().await;
    cluster.wait_for_followers(&leader).await;
    let members = cluster.members.clone();
    let others = members.iter().map(|(name, _)| name).filter(|name| **name != leader);
    let others: Vec<&NodeId> = others.collect();
    cluster.kill_node(others[0]);
    cluster.kill_node(&leader);
    let began = Instant::now();
    let sentence = loop {
        let status = cluster.ask(json!({"request": "status"})).await;
        if let Some(sentence) = status["ok"]["view"]["blocked"].as_str() {
            break sentence.to_owned();
        }
        assert!(began.elapsed() < PATIENCE, "{status:#}");
    };
    assert!(sentence.contains(others[0].as_str()), "{sentence}");
    assert!(sentence.contains("--allow-data-loss"), "{sentence}");
    assert_eq!(cluster.acknowledger(), None);
    // What would be lost is said before it is accepted.
    let answer = cluster.ask(json!({"request": "failover"})).await;
    assert!(
        answer["error"].as_str().is_some_and(|text| text.contains("would be lost")),
        "{answer}"
    );
    // The missing one unblocks.
    cluster.start_node(others[0]).await;
    cluster.wait_for_leader().await;
}

fn hello(cluster: &str, name: &str, purpose: Purpose) -> Hello {
    Hello { version: 1, cluster: cluster.into(), name: name.into(), purpose, instance: 0 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_and_nonsense_harm_nobody() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.wait_for_leader().await;
    let refusals = [
        ("n1", hello("other", "n1", Purpose::Control), "cluster"),
        ("n9", hello("test", "n9", Purpose::Control), "no member"),
        ("n1", hello("test", "n1", Purpose::Control), "already"),
        ("n1", hello("test", "n1", Purpose::Replication), "holds no log"),
        ("tool", Hello { version: 7, ..hello("test", "tool", Purpose::Admin) }, "version"),
    ];
    for (certificate, hello, reason) in refusals {
        let tls = load(&cluster.tls(certificate));
        let refused = dial(&cluster.monitor_addresses[0], &tls, None, &hello, PATIENCE).await;
        let error = refused.err().expect("refused").to_string();
        assert!(error.contains(reason), "{error}");
    }
    for request in
        [json!({}), json!({"request": "dance"}), json!({"request": "switchover", "to": "N"})]
    {
        let answer = cluster.ask(request).await;
        assert!(answer["error"].is_string(), "{answer}");
    }
    assert_eq!(cluster.wait_for_leader().await, leader);
    assert_eq!(cluster.nodes[&leader].hub.leadership.borrow().term, Term(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_may_be_back_before_the_end_of_its_old_connection() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.wait_for_leader().await;
    let node = cluster.members.iter().map(|(name, _)| name.clone()).find(|name| *name != leader);
    let node = node.expect("a follower");
    cluster.kill_node(&node);
    let tls = load(&cluster.tls(node.as_str()));
    let address = cluster.monitor_addresses[0].clone();
    let process = |instance| Hello { instance, ..hello("test", node.as_str(), Purpose::Control) };
    // A process that lives as far as the monitor knows, and then is gone.
    let dialled = dial(&address, &tls, None, &process(1), PATIENCE).await;
    let (first, _) = dialled.unwrap_or_else(|error| panic!("{error}"));
    let second = process(2);
    let mut second = pin!(dial(&address, &tls, None, &second, PATIENCE));
    let early = tokio::time::timeout(TIMING.heartbeat / 2, &mut second).await;
    assert!(early.is_err(), "it was answered while the first lived");
    drop(first);
    if let Err(error) = second.await {
        panic!("{error}");
    }
}

#[tokio::test]
async fn a_damaged_state_file_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let (authority, issued) = Authority::generate((2020, 1, 1), 100).expect("an authority");
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("writable");
        path
    };
    let own = authority.issue("monitor", &[], (2020, 1, 1), 100).expect("a certificate");
    let tls = PeerTlsConfig {
        ca: write("ca.pem", &issued.certificate),
        certificate: write("own.pem", &own.certificate),
        key: write("own.key", &own.key),
    };
    write("monitor.json", "{\"incarnation\": 1,");
    let config = MonitorConfig {
        name: "monitor".into(),
        cluster: "test".into(),
        data: Path::to_path_buf(directory.path()),
        peer_listen: "127.0.0.1:0".into(),
        http_listen: None,
        tls,
        members: vec![(id("n1"), "127.0.0.1:1".into(), 1)],
        policy: Policy::Async,
        choose: Choice::Latest,
        timing: TIMING,
        failovers_max: 3,
        failover_window: Duration::from_secs(300),
        lag_bytes_max: 1 << 20,
        drain: Duration::from_secs(1),
        restart_grace: Duration::ZERO,
        etcd: None,
    };
    let error = monitor::run(config, Arc::new(Supervisor::none()), CancellationToken::new())
        .await
        .expect_err("damaged");
    let error = error.to_string();
    assert!(error.contains("monitor.json") && error.contains("damaged"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_takes_over_from_a_monitor_that_is_gone_and_no_term_is_lost() {
    let mut cluster = Cluster::start_under(3, 2, Some(Etcd::start().await)).await;
    let first = cluster.wait_for_acting(None).await;
    let leader = cluster.wait_for_leader().await;
    cluster.wait_for_followers(&leader).await;
    let term = cluster.nodes[&leader].hub.leadership.borrow().term;

    // As kill -9 does: the key stays until its lease has expired.
    let (_, task) = cluster.monitors.remove(&first).expect("it runs");
    task.abort();
    let began = Instant::now();
    let second = cluster.wait_for_acting(None).await;
    println!("a standby acts after {} ms", began.elapsed().as_millis());
    assert_ne!(second, first);
    cluster
        .wait("the view of the standby", |cluster| {
            let view = cluster.nodes[&leader].hub.view.borrow().clone();
            (view.open && view.leader.as_ref() == Some(&leader)).then_some(())
        })
        .await;
    assert_eq!(cluster.nodes[&leader].hub.leadership.borrow().term, term, "nobody was elected");

    cluster.kill_node(&leader);
    let next = cluster.wait_for_leader().await;
    assert_ne!(next, leader);
    assert!(cluster.nodes[&next].hub.leadership.borrow().term > term);
    // The first comes back and stands by.
    cluster.start_monitor(first).await;
    assert_eq!(cluster.wait_for_acting(None).await, second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_knows_the_members_that_the_one_before_recorded() {
    let mut cluster = Cluster::start_under(4, 2, Some(Etcd::start().await)).await;
    let first = cluster.wait_for_acting(None).await;
    let leader = cluster.wait_for_leader().await;
    cluster.wait_for_followers(&leader).await;
    let gone = cluster.nodes.keys().find(|node| **node != leader).expect("a follower").clone();
    cluster.kill_node(&gone);
    let drop = json!({"request": "drop", "node": gone});
    let answer = cluster.ask_monitor(first, drop).await.expect("it acts");
    assert!(answer["ok"].is_string(), "{answer}");

    let (_, task) = cluster.monitors.remove(&first).expect("it runs");
    task.abort();
    cluster.wait_for_acting(None).await;
    // Who was dropped is told so when it is back.
    cluster.start_node(&gone).await;
    let told = |cluster: &Cluster| cluster.nodes[&gone].hub.dropped.borrow().then_some(());
    cluster.wait("it to learn that it was dropped", told).await;
    cluster.kill_node(&gone);
    // Of three two suffice; of four they would not.
    cluster.kill_node(&leader);
    let next = cluster.wait_for_leader().await;
    assert!(next != leader && next != gone, "{next} leads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_whose_key_was_taken_acts_no_more() {
    let cluster = Cluster::start_under(3, 2, Some(Etcd::start().await)).await;
    let first = cluster.wait_for_acting(None).await;
    let leader = cluster.wait_for_leader().await;
    cluster.wait_for_followers(&leader).await;
    let term = cluster.nodes[&leader].hub.leadership.borrow().term;
    // "/towline/test/acting": for a moment both take themselves for the acting one.
    let key = json!({ "key": "L3Rvd2xpbmUvdGVzdC9hY3Rpbmc=" });
    let etcd = cluster.etcd.as_ref().expect("it runs");
    etcd.ask("/v3/kv/deleterange", &key).expect("deleted");
    let second = cluster.wait_for_acting(Some(first)).await;
    assert_ne!(second, first);
    let again = cluster.ask_until_refused(first).await;
    assert!(again.contains("standing by"), "{again}");
    assert_eq!(cluster.wait_for_leader().await, leader);
    assert_eq!(cluster.nodes[&leader].hub.leadership.borrow().term, term, "nobody was elected");
}
