mod fake;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect as _};
use tokio_postgres::{NoTls, SimpleQueryMessage};
use tokio_util::sync::CancellationToken;

use self::fake::{FakeCluster, FakeNode};
use super::nodes::Nodes;
use super::{Gateway, GatewayConfig, GatewayWatch, NoNode, link};
use crate::cluster::{Configuration, NodeId, NodeView, Position, Role, View};
use crate::config::SqlConfig;
use crate::gateway::{CHANNELS, LoginRole};
use crate::log::{LogEnd, Lsn, Term};
use crate::net::{Authority, HelloReply, PeerListener, PeerTls, SqlTls};
use crate::pg::scram::Verifier;

const PATIENCE: Duration = Duration::from_secs(20);

/// Nodes behind links, and a gateway without a node in front of them.
struct Bench {
    directory: tempfile::TempDir,
    authority: Authority,
    cluster: Arc<FakeCluster>,
    nodes: Vec<FakeNode>,
    addresses: Vec<(NodeId, String)>,
    /// Ends a node's listener and links.
    fates: Vec<Fate>,
    views: watch::Sender<View>,
    address: std::net::SocketAddr,
    shutdown: CancellationToken,
    watch: GatewayWatch,
    _gateway: tokio::task::JoinHandle<()>,
}

fn sql(users: Vec<(String, String)>) -> SqlConfig {
    SqlConfig {
        listen: "127.0.0.1:0".to_owned(),
        certificate: None,
        database: "app".to_owned(),
        users,
        max_connections: 100,
        message_max: 1 << 20,
        workers: 1,
    }
}

fn user(name: &str, password: &str) -> (String, String) {
    (name.to_owned(), Verifier::from_password(password, b"0123456789abcdef", 4096).to_string())
}

fn certificate(directory: &tempfile::TempDir, authority: &Authority, name: &str) -> PeerTls {
    let issued = authority.issue(name, &[], (2026, 1, 1), 100).expect("a certificate");
    let file = |suffix: &str| -> PathBuf { directory.path().join(format!("{name}.{suffix}")) };
    std::fs::write(file("crt"), issued.certificate).expect("written");
    std::fs::write(file("key"), issued.key).expect("written");
    PeerTls::load(&directory.path().join("ca.crt"), &file("crt"), &file("key")).expect("loads")
}

impl Bench {
    async fn new(names: &[&str]) -> Self {
        Self::with(names, sql(Vec::new())).await
    }

    async fn with(names: &[&str], sql: SqlConfig) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (authority, ca) = Authority::generate((2026, 1, 1), 100).expect("an authority");
        std::fs::write(directory.path().join("ca.crt"), ca.certificate).expect("written");
        let cluster = Arc::new(FakeCluster::default());
        let (mut nodes, mut addresses, mut fates) = (Vec::new(), Vec::new(), Vec::new());
        for name in names {
            let node = FakeNode::new(name, &cluster);
            let tls = certificate(&directory, &authority, name);
            let listener = PeerListener::bind("127.0.0.1:0", tls).await.expect("a free port");
            addresses.push((node.name.clone(), listener.local_address().to_string()));
            let fate = Fate::default();
            tokio::spawn(node_process(listener, node.clone(), fate.clone()));
            nodes.push(node);
            fates.push(fate);
        }
        let (views, seen) = watch::channel(View::default());
        let config = GatewayConfig {
            sql,
            cluster: "c".to_owned(),
            name: "proxy".to_owned(),
            nodes: addresses.clone(),
            tls: certificate(&directory, &authority, "proxy"),
            leader_wait: Duration::from_secs(10),
        };
        let gateway = Gateway::<NoNode>::bind(config, None).await.expect("it listens");
        let (address, shutdown) = (gateway.local_address(), CancellationToken::new());
        let watch = gateway.watch();
        let run = tokio::spawn(gateway.run(seen, shutdown.clone()));
        let bench = Self {
            directory,
            authority,
            cluster,
            nodes,
            addresses,
            fates,
            views,
            address,
            shutdown,
            watch,
            _gateway: run,
        };
        if !names.is_empty() {
            bench.appoint(names[0]);
        }
        bench
    }

    /// A new term begins.
    fn appoint(&self, name: &str) {
        let leader: NodeId = name.parse().expect("a name");
        let term = {
            let mut state = self.cluster.state.lock().expect("whole");
            state.term += 1;
            state.leader = Some(leader.clone());
            Term(state.term)
        };
        self.views.send_replace(View { term, leader: Some(leader), open: true, ..View::default() });
    }

    fn depose(&self) {
        let mut state = self.cluster.state.lock().expect("whole");
        state.leader = None;
        state.term += 1;
        let view = View { term: Term(state.term), ..View::default() };
        self.views.send_replace(view);
    }

    async fn client(&self) -> tokio_postgres::Client {
        self.client_as("user=any dbname=app").await.expect("connected")
    }

    async fn client_as(
        &self,
        options: &str,
    ) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let options = format!("host=127.0.0.1 port={} {options}", self.address.port());
        let (client, connection) = tokio_postgres::connect(&options, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    fn rows(&self) -> Vec<String> {
        self.cluster.state.lock().expect("whole").rows.clone()
    }
}

/// What may befall a node.
#[derive(Clone, Default)]
struct Fate {
    death: CancellationToken,
    /// It neither reads nor answers, and its connections stay.
    silence: CancellationToken,
}

async fn node_process(mut listener: PeerListener, node: FakeNode, fate: Fate) {
    let Fate { death, silence } = fate;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = death.cancelled() => return,
        };
        let Ok((mut stream, _, _)) = accepted else { return };
        let (node, death, silence) = (node.clone(), death.clone(), silence.clone());
        tokio::spawn(async move {
            let (term, leader) = {
                let state = node.cluster.state.lock().expect("whole");
                (Term(state.term), state.leader.clone())
            };
            let name = node.name.to_string();
            let welcome = HelloReply::Welcome { name, term, leader };
            if stream.answer(&welcome).await.is_ok() {
                let serving = link::serve(stream, node, CancellationToken::new());
                tokio::pin!(serving);
                tokio::select! {
                    biased;
                    () = death.cancelled() => {}
                    () = silence.cancelled() => death.cancelled().await,
                    _ = &mut serving => {}
                }
            }
        });
    }
}

fn value(messages: &[SimpleQueryMessage]) -> String {
    for message in messages {
        if let SimpleQueryMessage::Row(row) = message {
            return row.get(0).unwrap_or_default().to_owned();
        }
    }
    String::new()
}

async fn ask(client: &tokio_postgres::Client, text: &str) -> String {
    let messages = tokio::time::timeout(PATIENCE, client.simple_query(text)).await;
    value(&messages.expect("in time").expect("no error"))
}

async fn code(client: &tokio_postgres::Client, text: &str) -> String {
    let result = tokio::time::timeout(PATIENCE, client.simple_query(text)).await;
    let error = result.expect("in time").expect_err("an error");
    error.code().map(|code| code.code().to_owned()).unwrap_or_else(|| error.to_string())
}

/// Waits until `condition` holds.
async fn until(mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "the condition never held");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn reads_and_writes_go_through_links() {
    let bench = Bench::new(&["a", "b"]).await;
    let client = bench.client().await;
    assert_eq!(ask(&client, "select 42").await, "42");
    client.batch_execute("insert one").await.expect("written");
    assert_eq!(ask(&client, "select rows").await, "one");
    // Its own write is seen, though only the leader has it.
    assert_eq!(ask(&client, "select node").await, "a");
    let other = bench.client().await;
    assert!(["a", "b"].contains(&ask(&other, "select node").await.as_str()));
}

/// A node as a view shows it, at an address.
fn shown(name: &NodeId, peer: &str) -> NodeView {
    NodeView {
        name: name.clone(),
        maintenance: false,
        joining: false,
        peer: peer.to_owned(),
        sql: None,
        healthy: true,
        role: Role::Follower,
        term: Term(0),
        end: LogEnd::default(),
        durable: Lsn(0),
        commit: Lsn(0),
        applied: Lsn(0),
        lag_bytes: 0,
        through: None,
        reason: String::new(),
    }
}

#[tokio::test]
async fn who_joins_is_reached_and_who_was_dropped_gets_no_work() {
    let bench = Bench::new(&["a"]).await;
    let client = bench.client().await;
    client.batch_execute("insert one").await.expect("written");
    // One that no file names takes over, and one view tells of it.
    let tls = certificate(&bench.directory, &bench.authority, "b");
    let listener = PeerListener::bind("127.0.0.1:0", tls).await.expect("a free port");
    let address = listener.local_address().to_string();
    let node = FakeNode::new("b", &bench.cluster);
    tokio::spawn(node_process(listener, node.clone(), Fate::default()));
    let tell = |version: u64, nodes: Vec<NodeView>| {
        let term = {
            let mut state = bench.cluster.state.lock().expect("whole");
            (state.term, state.leader) = (2, Some(node.name.clone()));
            Term(2)
        };
        let leader = Some(node.name.clone());
        let configuration = Some(Configuration { version, members: Vec::new() });
        let view = View { term, leader, open: true, nodes, configuration, ..View::default() };
        bench.views.send_replace(view);
    };
    let (a, at) = bench.addresses[0].clone();
    tell(2, vec![shown(&a, &at), shown(&node.name, &address)]);
    client.batch_execute("insert two").await.expect("written");
    assert_eq!(ask(&client, "select node").await, "b");
    // Older members, from a monitor that has lost its state, change nothing.
    tell(1, vec![shown(&a, &at)]);
    client.batch_execute("insert three").await.expect("written");
    // Without `a` all reads go to the other, as soon as the view is there.
    tell(3, vec![shown(&node.name, &address)]);
    until(|| bench.watch.status().nodes == 1).await;
    for _ in 0..5 {
        let fresh = bench.client().await;
        assert_eq!(ask(&fresh, "select node").await, "b");
    }
    assert_eq!(bench.rows(), ["one", "two", "three"]);
}

#[tokio::test]
async fn nodes_come_and_go_by_the_thousand() {
    let bench = Bench::new(&["a", "b"]).await;
    let tls = certificate(&bench.directory, &bench.authority, "router");
    let [(a, at_a), (b, at_b)] = &bench.addresses[..] else { panic!("two nodes") };
    let members = [(a.clone(), at_a.clone())];
    let nodes = Nodes::<NoNode>::new("c", "router", &members, &tls, None, Arc::default());
    let see = |version: u64, joined: NodeView| {
        let leader = Some(joined.name.clone());
        let shown = vec![shown(a, at_a), joined];
        let configuration = Some(Configuration { version, members: Vec::new() });
        let view =
            View { term: Term(version), leader, open: true, nodes: shown, ..View::default() };
        nodes.see(View { configuration, ..view });
    };
    let mut candidates = Vec::new();
    for version in 1..=3000 {
        see(version, shown(&format!("joined{version}").parse().expect("a name"), "127.0.0.1:1"));
        nodes.candidates(&[], &mut candidates);
        assert_eq!(candidates.len(), 2);
        assert!(candidates[1].leads && !candidates[0].leads);
    }
    see(3001, shown(b, at_b));
    until(|| nodes.reachable() == (2, 2)).await;
    nodes.candidates(&[], &mut candidates);
    assert!(candidates.iter().all(|node| node.connected));
    assert_eq!(candidates[0].number, 0);
}

#[tokio::test]
async fn extended_queries_and_prepared_statements_work() {
    let bench = Bench::new(&["a"]).await;
    let client = bench.client().await;
    let select = client.prepare("select hello").await.expect("prepared");
    let insert = client.prepare("insert x").await.expect("prepared");
    for _ in 0..3 {
        let row = client.query_one(&select, &[]).await.expect("a row");
        assert_eq!(row.get::<_, &str>(0), "hello");
        assert_eq!(client.execute(&insert, &[]).await.expect("written"), 1);
    }
    assert_eq!(bench.rows().len(), 3);
    // Many at once share what there is.
    let many = futures(20, |_| client.query_one(&select, &[])).await;
    assert!(many.into_iter().all(|row| row.is_ok()));
}

#[tokio::test]
async fn statements_that_were_closed_at_another_node_do_not_pile_up() {
    let bench = Bench::new(&["a", "b"]).await;
    // So many wait at the leader that whatever need not go there goes to the other.
    let mut waiting = Vec::new();
    for _ in 0..6 {
        let client = bench.client().await;
        client.batch_execute("SET towline.read_level TO 'strong'").await.expect("set");
        waiting.push(tokio::spawn(async move { client.simple_query("select pg_sleep()").await }));
    }
    let client = bench.client().await;
    for _ in 0..300 {
        drop(client.prepare("insert x").await.expect("prepared"));
    }
    client.execute("insert x", &[]).await.expect("written");
    let most = bench.nodes[0].statements_most.load(Ordering::SeqCst);
    assert!(most < 100, "{most} statements at the leader");
}

async fn futures<F: Future>(count: usize, make: impl Fn(usize) -> F) -> Vec<F::Output> {
    let mut pending: Vec<_> = (0..count).map(|n| Box::pin(make(n))).collect();
    let mut done = Vec::new();
    // All are begun before any is waited for.
    std::future::poll_fn(|context| {
        pending.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => {
                done.push(output);
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

#[tokio::test]
async fn an_error_skips_to_sync_and_leaves_the_session_usable() {
    let bench = Bench::new(&["a"]).await;
    let client = bench.client().await;
    let error = client.prepare("syntax").await.expect_err("an error");
    assert_eq!(error.code(), Some(&SqlState::SYNTAX_ERROR));
    assert_eq!(code(&client, "error now").await, "42601");
    assert_eq!(ask(&client, "select 1").await, "1");
}

#[tokio::test]
async fn a_panic_at_a_node_costs_a_statement_and_not_the_client() {
    let bench = Bench::new(&["n1"]).await;
    bench.appoint("n1");
    let client = bench.client().await;
    for _ in 0..2 {
        assert_eq!(code(&client, "select panic").await, "XX000");
        assert_eq!(ask(&client, "select node").await, "n1");
    }
}

#[tokio::test]
async fn a_new_leader_serves_the_same_session_prepared_statements_and_all() {
    let bench = Bench::new(&["a", "b"]).await;
    let client = bench.client().await;
    client.batch_execute("set work_mem TO 5").await.expect("set");
    let insert = client.prepare("insert x").await.expect("prepared");
    client.execute(&insert, &[]).await.expect("written");
    bench.appoint("b");
    client.execute(&insert, &[]).await.expect("written at b");
    assert_eq!(bench.rows(), ["x", "x"]);
    bench.nodes[1].applied.store(2, Ordering::SeqCst);
    assert_eq!(ask(&client, "begin; select setting work_mem").await, "5");
}

#[tokio::test]
async fn a_stale_view_costs_a_detour_and_no_error() {
    let bench = Bench::new(&["a", "b"]).await;
    let client = bench.client().await;
    client.batch_execute("insert one").await.expect("written");
    {
        // The monitor has not said so yet.
        let mut state = bench.cluster.state.lock().expect("whole");
        state.term += 1;
        state.leader = Some("b".parse().expect("a name"));
    }
    client.batch_execute("insert two").await.expect("written");
    assert_eq!(bench.rows(), ["one", "two"]);
}

#[tokio::test]
async fn writes_wait_while_there_is_no_leader_and_reads_go_on() {
    let bench = Bench::new(&["a", "b"]).await;
    let (writer, reader) = (bench.client().await, bench.client().await);
    writer.batch_execute("insert one").await.expect("written");
    bench.depose();
    let waiting =
        tokio::spawn(async move { writer.batch_execute("insert two").await.map(|()| writer) });
    assert_eq!(ask(&reader, "select 1").await, "1");
    assert!(!waiting.is_finished());
    bench.appoint("b");
    let done = tokio::time::timeout(PATIENCE, waiting).await.expect("in time").expect("whole");
    assert!(done.is_ok());
    assert_eq!(bench.rows(), ["one", "two"]);
}

#[tokio::test]
async fn a_read_leaves_a_silent_node_before_its_link_is_dead() {
    let bench = Bench::new(&["a", "b"]).await;
    let client = bench.client().await;
    assert_eq!(ask(&client, "select node").await, "a");
    bench.fates[0].silence.cancel();
    let asked = tokio::time::Instant::now();
    assert_eq!(ask(&client, "select node").await, "b");
    assert!(asked.elapsed() < link::SILENCE_MAX, "answered after {:?}", asked.elapsed());
}

#[tokio::test]
async fn a_write_whose_reply_was_lost_is_looked_up_and_never_repeated() {
    let bench = Bench::new(&["a", "b"]).await;
    let client = bench.client().await;
    ask(&client, "select 1").await;
    bench.cluster.state.lock().expect("whole").break_next_write = true;
    client.batch_execute("insert once").await.expect("looked up");
    assert_eq!(bench.rows(), ["once"]);
    bench.cluster.state.lock().expect("whole").drop_next_write = true;
    client.batch_execute("insert twice").await.expect("run again");
    assert_eq!(bench.rows(), ["once", "twice"]);
}

#[tokio::test]
async fn a_commit_whose_reply_was_lost_is_looked_up() {
    let bench = Bench::new(&["a"]).await;
    let client = bench.client().await;
    client.batch_execute("begin").await.expect("begun");
    client.batch_execute("insert in").await.expect("written");
    bench.cluster.state.lock().expect("whole").break_next_write = true;
    client.batch_execute("commit").await.expect("committed");
    assert_eq!(bench.rows(), ["in"]);
    client.batch_execute("begin").await.expect("begun");
    client.batch_execute("insert out").await.expect("written");
    bench.cluster.state.lock().expect("whole").drop_next_write = true;
    // No newer term has begun: it may still be on its way.
    assert_eq!(code(&client, "commit").await, "08007");
    assert_eq!(bench.rows(), ["in"]);
    assert_eq!(ask(&client, "select 1").await, "1");
}

#[tokio::test]
async fn a_transaction_cut_open_is_told_40001_and_waits_for_rollback() {
    let bench = Bench::new(&["a", "b"]).await;
    let client = bench.client().await;
    client.batch_execute("begin").await.expect("begun");
    client.batch_execute("insert lost").await.expect("written");
    bench.fates[0].death.cancel();
    bench.appoint("b");
    assert_eq!(code(&client, "insert more").await, "40001");
    assert_eq!(code(&client, "select 1").await, "25P02");
    let error = client.query("select 1", &[]).await.expect_err("aborted");
    assert_eq!(error.code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION));
    client.batch_execute("rollback").await.expect("over");
    client.batch_execute("insert kept").await.expect("written");
    assert_eq!(bench.rows(), ["kept"]);
}

#[tokio::test]
async fn copy_passes_through() {
    let bench = Bench::new(&["a"]).await;
    let client = bench.client().await;
    let sink = client.copy_in::<_, bytes::Bytes>("copy t from stdin").await.expect("begun");
    let mut sink = Box::pin(sink);
    for _ in 0..100 {
        let line = bytes::Bytes::from(vec![b'x'; 10_000]);
        send(sink.as_mut(), line).await;
    }
    let rows = tokio::time::timeout(PATIENCE, sink.as_mut().finish()).await;
    assert!(rows.expect("in time").expect("copied") > 0);
    assert_eq!(ask(&client, "select 1").await, "1");
}

async fn send(
    mut sink: std::pin::Pin<&mut tokio_postgres::CopyInSink<bytes::Bytes>>,
    item: bytes::Bytes,
) {
    use futures_sink::Sink as _;
    std::future::poll_fn(|context| sink.as_mut().poll_ready(context)).await.expect("ready");
    sink.as_mut().start_send(item).expect("sent");
    std::future::poll_fn(|context| sink.as_mut().poll_flush(context)).await.expect("flushed");
}

#[tokio::test]
async fn large_results_pass_and_a_slow_client_holds_up_nobody() {
    let bench = Bench::new(&["a"]).await;
    let (slow, quick) = (bench.client().await, bench.client().await);
    let mut raw = RawClient::connect(&bench).await;
    // Asks for 200 MB and reads none of it.
    raw.query("select big 200000").await;
    for _ in 0..10 {
        assert_eq!(ask(&quick, "select 1").await, "1");
    }
    let rows = slow.simple_query("select big 5000").await.expect("rows");
    assert_eq!(rows.iter().filter(|row| matches!(row, SimpleQueryMessage::Row(_))).count(), 5000);
}

#[tokio::test]
async fn a_cancel_reaches_the_node_and_a_wrong_secret_does_not() {
    let bench = Bench::new(&["a"]).await;
    let client = bench.client().await;
    let token = client.cancel_token();
    let sleeper = tokio::spawn(async move { code(&client, "select pg_sleep()").await });
    let cancels = Arc::clone(&bench.nodes[0].cancels);
    let mut forged = TcpStream::connect(bench.address).await.expect("connected");
    let mut packet = vec![0, 0, 0, 16];
    packet.extend_from_slice(&80_877_102_i32.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 2]);
    forged.write_all(&packet).await.expect("sent");
    let mut end = Vec::new();
    forged.read_to_end(&mut end).await.expect("closed");
    assert_eq!(cancels.load(Ordering::SeqCst), 0);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !sleeper.is_finished() {
        assert!(tokio::time::Instant::now() < deadline);
        token.cancel_query(NoTls).await.expect("asked");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(sleeper.await.expect("whole"), "57014");
}

#[tokio::test]
async fn a_cancel_that_comes_to_another_gateway_is_passed_on() {
    let bench = Bench::new(&["a", "b"]).await;
    let config = GatewayConfig {
        sql: sql(Vec::new()),
        cluster: "c".to_owned(),
        name: "proxy2".to_owned(),
        nodes: bench.addresses.clone(),
        tls: certificate(&bench.directory, &bench.authority, "proxy2"),
        leader_wait: Duration::from_secs(10),
    };
    let other = Gateway::<NoNode>::bind(config, None).await.expect("it listens");
    let address = other.local_address();
    tokio::spawn(other.run(bench.views.subscribe(), bench.shutdown.clone()));
    let client = bench.client().await;
    let token = client.cancel_token();
    let sleeper = tokio::spawn(async move { code(&client, "select pg_sleep()").await });
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !sleeper.is_finished() {
        assert!(tokio::time::Instant::now() < deadline);
        let stream = TcpStream::connect(address).await.expect("connected");
        token.cancel_query_raw(stream, NoTls).await.expect("asked");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(sleeper.await.expect("whole"), "57014");
}

#[tokio::test]
async fn a_vanished_client_is_noticed_while_its_statement_runs() {
    let bench = Bench::new(&["a"]).await;
    let mut raw = RawClient::connect(&bench).await;
    raw.query("select pg_sleep()").await;
    let asleep = Arc::clone(&bench.nodes[0].asleep);
    until(|| asleep.load(Ordering::SeqCst) == 1).await;
    drop(raw);
    let cancels = Arc::clone(&bench.nodes[0].cancels);
    until(|| cancels.load(Ordering::SeqCst) > 0).await;
}

#[tokio::test]
async fn passwords_are_checked() {
    let bench = Bench::with(&["a"], sql(vec![user("ann", "secret")])).await;
    assert!(bench.client_as("user=ann password=secret dbname=app").await.is_ok());
    for wrong in ["user=ann password=wrong dbname=app", "user=bob password=secret dbname=app"] {
        let error = bench.client_as(wrong).await.map(|_| ()).expect_err("refused");
        assert_eq!(error.code(), Some(&SqlState::INVALID_PASSWORD), "{wrong}");
    }
    let error = bench.client_as("user=ann password=secret dbname=no").await.map(|_| ());
    assert_eq!(error.expect_err("refused").code(), Some(&SqlState::INVALID_CATALOG_NAME));
}

#[tokio::test]
async fn too_many_clients_are_told_so() {
    let mut config = sql(Vec::new());
    config.max_connections = 2;
    let bench = Bench::with(&["a"], config).await;
    let (first, _second) = (bench.client().await, bench.client().await);
    let error = bench.client_as("user=any dbname=app").await.map(|_| ()).expect_err("refused");
    assert_eq!(error.code(), Some(&SqlState::TOO_MANY_CONNECTIONS));
    drop(first);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while bench.client_as("user=any dbname=app").await.is_err() {
        assert!(tokio::time::Instant::now() < deadline);
    }
}

#[tokio::test]
async fn who_comes_while_all_places_are_taken_by_the_silent_is_told_so() {
    let mut config = sql(Vec::new());
    config.max_connections = 1;
    let bench = Bench::with(&["a"], config).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(bench.address).await.expect("connected"));
    }
    let mut last = silent.pop().expect("the last one");
    let mut told = Vec::new();
    let read = tokio::time::timeout(PATIENCE, last.read_to_end(&mut told));
    read.await.expect("in time").expect("read");
    assert!(contains(&told, b"53300"), "{told:?}");
    drop(silent);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while bench.client_as("user=any dbname=app").await.is_err() {
        assert!(tokio::time::Instant::now() < deadline);
    }
}

#[tokio::test]
async fn a_shutdown_finishes_what_runs_and_says_goodbye() {
    let bench = Bench::new(&["a"]).await;
    let mut raw = RawClient::connect(&bench).await;
    raw.query("select 1").await;
    raw.until_ready().await;
    bench.shutdown.cancel();
    let rest = raw.rest().await;
    assert!(contains(&rest, b"57P01"), "{rest:?}");
    assert!(TcpStream::connect(bench.address).await.is_err());
}

#[tokio::test]
async fn a_session_hears_of_its_own_notification_before_it_is_ready() {
    let bench = Bench::new(&["a"]).await;
    let mut raw = RawClient::connect(&bench).await;
    let channels = serde_json::json!({"news": Position::default()});
    raw.query(&format!("set {CHANNELS} TO '{channels}'; notify news")).await;
    assert_eq!(raw.until_ready().await, b"CCAZ");
    raw.query("select 1").await;
    assert_eq!(raw.until_ready().await, b"TDCZ");
}

#[tokio::test]
async fn nonsense_harms_only_its_own_connection() {
    let bench = Bench::new(&["a"]).await;
    let good = bench.client().await;
    for nonsense in [
        &b"\xff\xff\xff\xff"[..],
        b"Q\xff\xff\xff\xff",
        b"Q\x7f\xff\xff\xffselect",
        b"!\0\0\0\x04",
        b"p\0\0\0\x05x",
    ] {
        let mut raw = RawClient::connect(&bench).await;
        raw.stream.write_all(nonsense).await.expect("sent");
        let rest = raw.rest().await;
        assert!(contains(&rest, b"08P01"), "{nonsense:?}: {rest:?}");
    }
    let mut stream = TcpStream::connect(bench.address).await.expect("connected");
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(ask(&good, "select 1").await, "1");
}

#[tokio::test]
async fn bytes_behind_an_encryption_request_are_refused() {
    let bench = Bench::new(&["a"]).await;
    let mut stream = TcpStream::connect(bench.address).await.expect("connected");
    let mut packet = vec![0, 0, 0, 8];
    packet.extend_from_slice(&80_877_103_i32.to_be_bytes());
    packet.extend_from_slice(b"Q\0\0\0\x05\0");
    stream.write_all(&packet).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("closed");
    assert!(contains(&answer, b"08P01"), "{answer:?}");
}

#[tokio::test]
async fn clients_may_ask_for_encryption() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (authority, ca) = Authority::generate((2026, 1, 1), 100).expect("an authority");
    std::fs::write(directory.path().join("ca.crt"), ca.certificate).expect("written");
    certificate(&directory, &authority, "sql");
    let mut config = sql(vec![user("ann", "secret")]);
    let file = |name: &str| directory.path().join(name);
    config.certificate = Some((file("sql.crt"), file("sql.key")));
    let bench = Bench::with(&["a"], config).await;

    // Without it, too.
    assert!(bench.client_as("user=ann password=secret dbname=app").await.is_ok());
    let mut options = tokio_postgres::Config::new();
    options.host("localhost").hostaddr(bench.address.ip()).port(bench.address.port());
    options.user("ann").password("secret").dbname("app");
    options.ssl_mode(tokio_postgres::config::SslMode::Require);
    let tls = SqlTls::trusting(&file("ca.crt")).expect("an authority");
    let (client, connection) = options.connect(tls.clone()).await.expect("authenticated");
    tokio::spawn(connection);
    assert_eq!(ask(&client, "select 7").await, "7");
    let rows = client.simple_query("select big 3000").await.expect("rows");
    assert_eq!(rows.iter().filter(|row| matches!(row, SimpleQueryMessage::Row(_))).count(), 3000);
    // A cancel's connection is closed in order, or libpq takes it for a failure.
    let mut tcp = TcpStream::connect(bench.address).await.expect("connected");
    tcp.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.expect("asked for TLS");
    assert_eq!(tcp.read_u8().await.expect("an answer"), b'S');
    let connector = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls.clone(), "localhost");
    let mut encrypted = connector.expect("a name").connect(tcp).await.expect("TLS");
    let cancel = [[0, 0, 0, 16], [4, 210, 22, 46], [0, 0, 0, 1], [0, 0, 0, 2]].concat();
    encrypted.write_all(&cancel).await.expect("asked");
    assert_eq!(encrypted.read(&mut [0]).await.expect("a goodbye"), 0);
    // Under a name that the certificate does not have.
    let other = "host=other user=ann password=secret dbname=app sslmode=require";
    let mut other: tokio_postgres::Config = other.parse().expect("a connection");
    other.hostaddr(bench.address.ip()).port(bench.address.port());
    assert!(other.connect(tls).await.is_err());
}

#[tokio::test]
async fn temporary_tables_keep_a_session_where_they_are() {
    let bench = Bench::new(&["a", "b"]).await;
    let client = bench.client().await;
    client.batch_execute("create temp table t").await.expect("made");
    bench.nodes[1].applied.store(9, Ordering::SeqCst);
    for _ in 0..5 {
        assert_eq!(ask(&client, "select node").await, "a");
    }
    bench.fates[0].death.cancel();
    until(|| bench.fates[0].death.is_cancelled()).await;
    bench.appoint("b");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match client.simple_query("select node").await {
            Ok(messages) => assert_eq!(value(&messages), "a"),
            Err(error) => {
                assert_eq!(error.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE));
                break;
            }
        }
        assert!(tokio::time::Instant::now() < deadline);
    }
    assert_eq!(ask(&client, "select node").await, "b");
}

#[tokio::test]
async fn a_row_that_is_larger_than_a_frame_of_the_link_arrives() {
    let bench = Bench::new(&["a"]).await;
    let client = bench.client().await;
    let other = bench.client().await;
    assert_eq!(ask(&client, "select wide 20000000").await.len(), 20_000_000);
    assert_eq!(ask(&other, "select 1").await, "1");
}

#[tokio::test]
async fn rows_that_went_out_before_a_node_died_are_not_sent_twice() {
    let bench = Bench::new(&["a"]).await;
    let mut raw = RawClient::connect(&bench).await;
    raw.query("select big 100000").await;
    // Some rows have come; the window holds back the rest.
    let mut first = vec![0; 100_000];
    raw.stream.read_exact(&mut first).await.expect("rows");
    bench.fates[0].death.cancel();
    let mut rest = Vec::new();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let ready = b"Z\0\0\0\x05I";
    while !contains(&rest, ready) {
        assert!(tokio::time::Instant::now() < deadline, "no error came");
        let mut some = vec![0; 1 << 20];
        let read = raw.stream.read(&mut some).await.expect("it stays open");
        rest.drain(..rest.len().saturating_sub(1000));
        rest.extend_from_slice(&some[..read]);
    }
    assert!(contains(&rest, b"40001"));
}

#[tokio::test]
async fn a_node_serves_its_own_clients_and_forwards_writes() {
    let bench = Bench::new(&["a", "b"]).await;
    let tls = certificate(&bench.directory, &bench.authority, "b");
    let config = GatewayConfig {
        sql: sql(Vec::new()),
        cluster: "c".to_owned(),
        name: "b".to_owned(),
        nodes: bench.addresses.clone(),
        tls,
        leader_wait: Duration::from_secs(10),
    };
    let local = bench.nodes[1].clone();
    let gateway = Gateway::bind(config, Some((local.name.clone(), local))).await.expect("listens");
    let options =
        format!("host=127.0.0.1 port={} user=u dbname=app", gateway.local_address().port());
    tokio::spawn(gateway.run(bench.views.subscribe(), bench.shutdown.clone()));
    let (client, mut connection) = tokio_postgres::connect(&options, NoTls).await.expect("in");
    let standby = connection.parameter("in_hot_standby").map(str::to_owned);
    tokio::spawn(async move {
        while std::future::poll_fn(|context| connection.poll_message(context)).await.is_some() {}
    });
    assert_eq!(standby.as_deref(), Some("on"));
    assert_eq!(ask(&client, "select node").await, "b");
    client.batch_execute("insert far").await.expect("forwarded");
    assert_eq!(bench.rows(), ["far"]);
    // Its own node has not applied it: the leader answers.
    assert_eq!(ask(&client, "select node").await, "a");
    bench.nodes[1].applied.store(1, Ordering::SeqCst);
    assert_eq!(ask(&client, "select node").await, "b");
}

#[tokio::test]
async fn pipelined_units_are_answered_in_order() {
    let bench = Bench::new(&["a"]).await;
    let client = bench.client().await;
    let answers = futures(50, |n| {
        let client = &client;
        async move { ask(client, &format!("select {n}")).await }
    })
    .await;
    let expected: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    assert_eq!(answers, expected);
}

/// A client that speaks bytes.
struct RawClient {
    stream: TcpStream,
}

impl RawClient {
    async fn connect(bench: &Bench) -> Self {
        let mut stream = TcpStream::connect(bench.address).await.expect("connected");
        let body = b"\0\x03\0\0user\0any\0database\0app\0\0";
        let mut packet = (4 + body.len() as u32).to_be_bytes().to_vec();
        packet.extend_from_slice(body);
        stream.write_all(&packet).await.expect("sent");
        let mut client = Self { stream };
        client.until_ready().await;
        client
    }

    async fn query(&mut self, text: &str) {
        let mut message = vec![b'Q'];
        message.extend_from_slice(&(5 + text.len() as u32).to_be_bytes());
        message.extend_from_slice(text.as_bytes());
        message.push(0);
        self.stream.write_all(&message).await.expect("sent");
    }

    /// Reads messages up to ReadyForQuery.
    async fn until_ready(&mut self) -> Vec<u8> {
        let mut tags = Vec::new();
        loop {
            let mut header = [0; 5];
            self.stream.read_exact(&mut header).await.expect("a message");
            let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
            let mut body = vec![0; length as usize - 4];
            self.stream.read_exact(&mut body).await.expect("its body");
            tags.push(header[0]);
            if header[0] == b'Z' {
                return tags;
            }
        }
    }

    /// All that comes before the end.
    async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await;
        let _ = read.expect("it ends in time");
        rest
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_log_in_by_what_a_node_tells_of_them_now() {
    let bench = Bench::with(&["n1"], sql(vec![user("ann", "secret")])).await;
    let connect = async |password: &str| {
        let parameters = format!(
            "host=127.0.0.1 port={} user=bob password={password} dbname=app",
            bench.address.port()
        );
        tokio_postgres::connect(&parameters, NoTls).await
    };
    let state = |result: Result<_, tokio_postgres::Error>| match result {
        Ok((client, connection)) => {
            tokio::spawn(connection);
            Ok::<tokio_postgres::Client, String>(client)
        }
        Err(error) => Err(error.code().map_or_else(String::new, |code| code.code().to_owned())),
    };
    let role = LoginRole {
        can_login: true,
        may_connect: true,
        superuser: false,
        verifier: Some(user("bob", "first").1),
        expired: false,
        connection_limit: 1,
    };
    let set = |role: Option<LoginRole>| bench.cluster.state.lock().expect("whole").bob = role;
    assert_eq!(state(connect("first").await).err().as_deref(), Some("28P01"));
    set(Some(role.clone()));
    let client = state(connect("first").await).expect("it may");
    let shown = client.simple_query("select setting work_mem").await.expect("it runs");
    let SimpleQueryMessage::Row(row) = &shown[1] else { panic!("{shown:?}") };
    assert_eq!(row.get(0), Some("64MB"));
    assert_eq!(state(connect("first").await).err().as_deref(), Some("53300"));
    set(Some(LoginRole { connection_limit: -1, ..role.clone() }));
    assert!(state(connect("first").await).is_ok());
    let changed = Some(user("bob", "second").1);
    set(Some(LoginRole { connection_limit: -1, verifier: changed, ..role.clone() }));
    assert_eq!(state(connect("first").await).err().as_deref(), Some("28P01"));
    assert!(state(connect("second").await).is_ok());
    for (role, expected) in [
        (LoginRole { can_login: false, ..role.clone() }, "28000"),
        (LoginRole { may_connect: false, ..role.clone() }, "42501"),
        (LoginRole { expired: true, ..role.clone() }, "28P01"),
        (LoginRole { verifier: None, ..role }, "28P01"),
    ] {
        set(Some(role));
        assert_eq!(state(connect("first").await).err().as_deref(), Some(expected));
    }
}
