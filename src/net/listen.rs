use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::{TlsAcceptor, TlsStream};
use tokio_util::task::AbortOnDropHandle;

use super::framed::READ_AHEAD;
use super::tls::identity;
use super::{FrameStream, Hello, HelloReply, NetError, PeerIdentity, PeerTls, Purpose, Refusals};

/// Handshakes in flight at most; further callers wait in the kernel's backlog.
const HANDSHAKES_MAX: usize = 128;
/// Time for a handshake and a hello.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Finished connections that wait to be accepted.
const READY_MAX: usize = 64;
/// The longest hello, bytes.
pub(super) const HELLO_MAX: usize = 64 * 1024;

type Accepted = (FrameStream, Hello, PeerIdentity);

/// Accepts connections on a peer address. A task of its own accepts, and each
/// handshake is a task, so a caller that stalls delays nobody.
pub struct PeerListener {
    ready: mpsc::Receiver<Accepted>,
    address: SocketAddr,
    _acceptor: AbortOnDropHandle<()>,
}

impl PeerListener {
    /// Listens on host:port.
    pub async fn bind(address: &str, tls: PeerTls) -> Result<Self, NetError> {
        let listener = bind_tcp(address).await?;
        let local = listener
            .local_addr()
            .map_err(|source| NetError::Listen { address: address.to_owned(), source })?;
        let (sender, ready) = mpsc::channel(READY_MAX);
        let acceptor = tokio::spawn(accept_all(listener, tls, sender));
        Ok(Self { ready, address: local, _acceptor: AbortOnDropHandle::new(acceptor) })
    }

    /// The address listened on, with the port that the kernel chose for port 0.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection, its TLS handshake and hello done within a bound; bad
    /// ones are logged and never delay good ones. The caller answers the hello.
    /// A hello that links two members, or a member and a router, bears the name in
    /// the certificate.
    pub async fn accept(&mut self) -> Result<(FrameStream, Hello, PeerIdentity), NetError> {
        self.ready.recv().await.ok_or_else(|| NetError::Listen {
            address: self.address.to_string(),
            source: io::Error::other("the listener has ended"),
        })
    }
}

/// Listens on host:port; an error names the address.
pub async fn bind_tcp(address: &str) -> Result<TcpListener, NetError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| NetError::Listen { address: address.to_owned(), source })
}

/// Sets what every connection needs: no delay of small writes, and that a peer
/// which vanished without a word is noticed within seconds.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(5))
        .with_interval(Duration::from_secs(2))
        .with_retries(3);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(Duration::from_secs(10)))
}

async fn accept_all(listener: TcpListener, tls: PeerTls, ready: mpsc::Sender<Accepted>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let entrance = Entrance { tls, ready, refusals: Arc::default() };
    loop {
        let permit = Arc::clone(&handshakes).acquire_owned().await.expect("never closed");
        match listener.accept().await {
            Ok((tcp, from)) => {
                tokio::spawn(entrance.clone().receive(tcp, from, permit));
            }
            Err(error) => {
                // Out of descriptors, most likely: others must end first.
                tracing::warn!(%error, "can't accept a peer's connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// What every handshake needs.
#[derive(Clone)]
struct Entrance {
    tls: PeerTls,
    ready: mpsc::Sender<Accepted>,
    refusals: Arc<Refusals>,
}

impl Entrance {
    async fn receive(self, tcp: TcpStream, from: SocketAddr, permit: OwnedSemaphorePermit) {
        let peer = from.to_string();
        let outcome = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake(tcp, &peer, &self.tls))
            .await
            .unwrap_or(Err(NetError::TimedOut { peer: peer.clone() }));
        // Waiting to be accepted is not a handshake in flight.
        drop(permit);
        match outcome {
            Ok(accepted) => drop(self.ready.send(accepted).await),
            // Something that connects and leaves, as health checks do.
            Err(NetError::Io { source, .. }) if source.kind() == io::ErrorKind::UnexpectedEof => {
                tracing::debug!(%peer, "left before the handshake");
            }
            Err(error) => {
                // It comes from another port each time.
                let host = from.ip().to_string();
                if self.refusals.is_news(&host, &error.to_string().replace(&peer, &host)) {
                    tracing::warn!(%error, "a peer's connection was refused");
                }
            }
        }
    }
}

async fn handshake(tcp: TcpStream, peer: &str, tls: &PeerTls) -> Result<Accepted, NetError> {
    tune(&tcp).map_err(|source| NetError::Io { peer: peer.to_owned(), source })?;
    let tcp = BufReader::with_capacity(READ_AHEAD, tcp);
    let socket = TlsAcceptor::from(tls.accept_config())
        .accept(tcp)
        .await
        .map_err(|source| NetError::from_stream(peer, source))?;
    let name = socket
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| identity(chain.first()?))
        .ok_or_else(|| NetError::Tls(format!("{peer}: its certificate has no DNS name")))?;
    let mut stream = FrameStream::new(TlsStream::Server(socket), &format!("{} ({peer})", name.0));
    let violation = |cause| NetError::Protocol { peer: peer.to_owned(), cause };
    let Some(body) = stream.recv().await? else {
        return Err(violation("it left without a hello".to_owned()));
    };
    if body.len() > HELLO_MAX {
        return Err(violation(format!("a hello of {} bytes", body.len())));
    }
    let hello: Hello = serde_json::from_slice(&body)
        .map_err(|error| violation(format!("malformed hello: {error}")))?;
    let bound = matches!(hello.purpose, Purpose::Replication | Purpose::Control | Purpose::Link);
    if bound && hello.name != name.0 {
        let reason = format!("the certificate names {:?}, the hello {:?}", name.0, hello.name);
        stream.answer(&HelloReply::Refused(reason.clone())).await?;
        return Err(violation(reason));
    }
    Ok((stream, hello, name))
}
