mod connections;
mod fake;
mod nodes;
mod protocol;

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

async fn send(
    mut sink: std::pin::Pin<&mut tokio_postgres::CopyInSink<bytes::Bytes>>,
    item: bytes::Bytes,
) {
    use futures_sink::Sink as _;
    std::future::poll_fn(|context| sink.as_mut().poll_ready(context)).await.expect("ready");
    sink.as_mut().start_send(item).expect("sent");
    std::future::poll_fn(|context| sink.as_mut().poll_flush(context)).await.expect("flushed");
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
