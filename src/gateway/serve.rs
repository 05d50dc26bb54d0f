use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cancel::CancelRegistry;
use super::nodes::Nodes;
use super::session;
use super::startup::{Accounts, Arrival, arrive, too_many};
use super::{Errand, LocalNode};
use crate::cluster::{NodeId, View};
use crate::config::SqlConfig;
use crate::net::{ClientTls, NetError, PeerTls, bind_tcp, tune};
use crate::pg::backend::Writer;

/// Time from connecting to the session's begin.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections beyond the configured number that may be in start-up, to be told
/// that they are too many, or to cancel.
const STARTUPS_MAX: usize = 256;
/// That connections are refused is told this often.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// The own node is asked for its role this often.
const ASK_LOCAL_EVERY: Duration = Duration::from_millis(100);
/// Time that units in flight have to finish at shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// What a gateway is made of.
#[derive(Clone)]
pub struct GatewayConfig {
    pub sql: SqlConfig,
    /// The cluster's id, and the name in this process's certificate.
    pub cluster: String,
    pub name: String,
    /// All nodes as (name, peer address).
    pub nodes: Vec<(NodeId, String)>,
    pub tls: PeerTls,
    /// How long a statement that needs a leader waits for one.
    pub leader_wait: Duration,
}

/// The gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error(transparent)]
    Net(#[from] NetError),
    /// A user's verifier is not one.
    #[error("{0}")]
    Accounts(String),
}

/// Serves SQL clients.
pub struct Gateway<N: LocalNode> {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared<N>>,
}

/// What all sessions of a gateway use.
pub(super) struct Shared<N> {
    pub nodes: Nodes<N>,
    pub cancels: Arc<CancelRegistry>,
    pub leader_wait: Duration,
    pub message_max: usize,
    /// What clients call the first database.
    pub database: String,
    pub accounts: Accounts,
    pub tls: Option<ClientTls>,
    sessions: AtomicUsize,
    sessions_max: usize,
    connections: AtomicUsize,
}

/// Numbers for metrics and status pages.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct GatewayStatus {
    pub sessions: usize,
    pub sessions_max: usize,
    /// Nodes that can be reached, of all.
    pub nodes_up: usize,
    pub nodes: usize,
    pub has_leader: bool,
}

/// Looks into a running gateway.
#[derive(Clone)]
pub struct GatewayWatch(Arc<dyn Fn() -> GatewayStatus + Send + Sync>);

impl GatewayWatch {
    pub fn status(&self) -> GatewayStatus {
        (self.0)()
    }
}

impl<N: LocalNode> Gateway<N> {
    /// Listens, and begins to keep links to the nodes. `local` is the node in this
    /// process, if there is one.
    pub async fn bind(
        config: GatewayConfig,
        local: Option<(NodeId, N)>,
    ) -> Result<Self, GatewayError> {
        let sql = &config.sql;
        let accounts = Accounts::new(&sql.users).map_err(GatewayError::Accounts)?;
        let tls = match &sql.certificate {
            Some((certificate, key)) => Some(ClientTls::load(certificate, key)?),
            None => None,
        };
        let listener = bind_tcp(&sql.listen).await?;
        let address = listener
            .local_addr()
            .map_err(|source| NetError::Listen { address: sql.listen.clone(), source })?;
        let cancels = Arc::<CancelRegistry>::default();
        let sessions = Arc::clone(&cancels);
        let nodes =
            Nodes::new(&config.cluster, &config.name, &config.nodes, &config.tls, local, sessions);
        let shared = Arc::new(Shared {
            nodes,
            cancels,
            leader_wait: config.leader_wait,
            message_max: sql.message_max,
            database: sql.database.clone(),
            accounts,
            tls,
            sessions: AtomicUsize::new(0),
            sessions_max: sql.max_connections,
            connections: AtomicUsize::new(0),
        });
        Ok(Self { listener, address, shared })
    }

    /// The address listened on, with the port that the kernel chose for port 0.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// For metrics.
    pub fn watch(&self) -> GatewayWatch {
        let shared = Arc::clone(&self.shared);
        GatewayWatch(Arc::new(move || {
            let (nodes_up, nodes) = shared.nodes.reachable();
            GatewayStatus {
                sessions: shared.sessions.load(Ordering::Relaxed),
                sessions_max: shared.sessions_max,
                nodes_up,
                nodes,
                has_leader: shared.nodes.leader().is_some(),
            }
        }))
    }

    /// Reads the certificate shown to clients again.
    pub fn reloader(&self) -> impl Fn() -> Result<(), NetError> + Send + Sync + 'static {
        let tls = self.shared.tls.clone();
        move || tls.as_ref().map_or(Ok(()), ClientTls::reload)
    }

    /// Serves until `shutdown`; then units in flight are finished and every client
    /// is told 57P01.
    pub async fn run(self, mut views: watch::Receiver<View>, shutdown: CancellationToken) {
        let clients = TaskTracker::new();
        let seen = Arc::clone(&self.shared);
        let follow_views = async move {
            let mut is_news = true;
            loop {
                if is_news {
                    let view = views.borrow_and_update().clone();
                    seen.nodes.see(view);
                }
                is_news = tokio::select! {
                    changed = views.changed() => {
                        if changed.is_err() {
                            // No more views will come; nodes still say who leads.
                            tokio::time::sleep(ASK_LOCAL_EVERY).await;
                        }
                        changed.is_ok()
                    }
                    () = tokio::time::sleep(ASK_LOCAL_EVERY) => false,
                };
                seen.nodes.ask_local();
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = follow_views => {}
            () = self.shared.nodes.pass_on() => {}
            () = self.accept(&clients, &shutdown) => {}
        }
        drop(self.listener);
        clients.close();
        if tokio::time::timeout(DRAIN_TIMEOUT, clients.wait()).await.is_err() {
            tracing::info!(clients = clients.len(), "clients were still busy at shutdown");
        }
    }

    async fn accept(&self, clients: &TaskTracker, shutdown: &CancellationToken) {
        let mut told: Option<Instant> = None;
        loop {
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely: others must end first.
                    tracing::warn!(%error, "can't accept a client's connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let shared = &self.shared;
            let connections = Counted::new(Arc::clone(shared), |shared| &shared.connections);
            if connections.before >= shared.sessions_max.saturating_add(STARTUPS_MAX) {
                // Unread and unwaited for, as PostgreSQL tells it when it can't fork.
                let mut out = BytesMut::new();
                Writer(&mut out).error(&too_many());
                let _ = stream.try_write(&out);
                if told.is_none_or(|told| told.elapsed() > TELL_EVERY) {
                    tracing::warn!(open = connections.before, "connections are refused unread");
                    told = Some(Instant::now());
                }
                continue;
            }
            let (shared, shutdown) = (Arc::clone(shared), shutdown.clone());
            clients.spawn(async move {
                let _connections = connections;
                if let Err(error) = client(shared, stream, shutdown).await {
                    tracing::debug!(%peer, %error, "a client's connection ended");
                }
            });
        }
    }
}

/// Counts something while it lives.
struct Counted<N> {
    shared: Arc<Shared<N>>,
    counter: fn(&Shared<N>) -> &AtomicUsize,
    before: usize,
}

impl<N> Counted<N> {
    fn new(shared: Arc<Shared<N>>, counter: fn(&Shared<N>) -> &AtomicUsize) -> Self {
        let before = counter(&shared).fetch_add(1, Ordering::SeqCst);
        Self { shared, counter, before }
    }
}

impl<N> Drop for Counted<N> {
    fn drop(&mut self) {
        (self.counter)(&self.shared).fetch_sub(1, Ordering::SeqCst);
    }
}

async fn client<N: LocalNode>(
    shared: Arc<Shared<N>>,
    stream: TcpStream,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    tune(&stream)?;
    let from = stream.peer_addr().ok();
    let mut place = None;
    let take_place = || {
        let taken = Counted::new(Arc::clone(&shared), |shared| &shared.sessions);
        let full = taken.before >= shared.sessions_max;
        place = (!full).then_some(taken);
        full
    };
    let arrival = arrive(stream, &shared, take_place);
    let arrival = tokio::select! {
        arrival = tokio::time::timeout(STARTUP_TIMEOUT, arrival) => arrival,
        () = shutdown.cancelled() => return Ok(()),
    };
    match arrival {
        Ok(Ok(Arrival::Session(introduced))) => {
            session::serve(Arc::clone(&shared), *introduced, from, shutdown).await;
            Ok(())
        }
        Ok(Ok(Arrival::Cancel { mut stream, pid, secret })) => {
            if !shared.cancels.cancel(pid, secret) {
                // It is another gateway's session, or nobody's.
                let errand = Errand::Cancel { pid, secret };
                shared.nodes.run_errand(&errand, shared.leader_wait).await;
            }
            stream.shutdown().await
        }
        Ok(Ok(Arrival::Nothing)) => Ok(()),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
    }
}
