//! STUB: signatures fixed for the other parts; bodies to come.
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::{Hello, HelloReply};

/// A connection between processes failed.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error("{peer}: {source}")]
    Io { peer: String, source: std::io::Error },
    /// A certificate or key is missing, broken, expired, or of the wrong CA.
    #[error("{0}")]
    Tls(String),
    #[error("{peer} refused: {reason}")]
    Refused { peer: String, reason: String },
    /// A frame above the limit, or a malformed hello.
    #[error("{peer}: protocol violation: {cause}")]
    Protocol { peer: String, cause: String },
    #[error("{peer}: timed out")]
    TimedOut { peer: String },
}

/// CA, own certificate and key for mutual TLS; reloadable.
#[derive(Clone)]
pub struct PeerTls {}

/// Who is at the other end, by its certificate's name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerIdentity(pub String);

/// A mutual-TLS connection that carries frames: u32 length (big-endian, of what
/// follows), then the body. Reading and writing halves can be split.
pub struct FrameStream {}

/// Accepts connections on a peer address.
pub struct PeerListener {}

#[allow(unused_variables, clippy::todo)]
impl PeerTls {
    /// Reads PEM files. Errors name the file and what is wrong with it.
    pub fn load(ca: &Path, certificate: &Path, key: &Path) -> Result<Self, NetError> {
        todo!()
    }
    /// Reads the same files again; connections made before go on.
    pub fn reload(&self) -> Result<(), NetError> {
        todo!()
    }
}

#[allow(unused_variables, clippy::todo)]
impl PeerListener {
    pub async fn bind(address: &str, tls: PeerTls) -> Result<Self, NetError> {
        todo!()
    }
    pub fn local_address(&self) -> std::net::SocketAddr {
        todo!()
    }
    /// The next connection, its TLS handshake and hello done within a bound; bad
    /// ones are logged and never delay good ones. The caller answers the hello.
    pub async fn accept(&mut self) -> Result<(FrameStream, Hello, PeerIdentity), NetError> {
        todo!()
    }
}

/// Connects, says hello, and waits for a welcome, all within `timeout`. The
/// certificate must name `expected`, if given.
#[allow(unused_variables, clippy::todo, clippy::unused_async)]
pub async fn dial(
    address: &str,
    tls: &PeerTls,
    expected: Option<&str>,
    hello: &Hello,
    timeout: Duration,
) -> Result<(FrameStream, HelloReply), NetError> {
    todo!()
}

#[allow(unused_variables, clippy::todo)]
impl FrameStream {
    /// The largest frame accepted, bytes.
    pub const FRAME_MAX: usize = 16 << 20;

    /// The next frame; `None` after a clean end.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, NetError> {
        todo!()
    }
    /// Queues and flushes one frame.
    pub async fn send(&mut self, body: &[u8]) -> Result<(), NetError> {
        todo!()
    }
    /// Splits into independently owned halves.
    pub fn split(self) -> (FrameReader, FrameWriter) {
        todo!()
    }
}

/// The reading half.
pub struct FrameReader {}
/// The writing half: `feed` queues, `flush` sends what is queued in one write.
pub struct FrameWriter {}

#[allow(unused_variables, clippy::todo)]
impl FrameReader {
    pub async fn recv(&mut self) -> Result<Option<Bytes>, NetError> {
        todo!()
    }
}

#[allow(unused_variables, clippy::todo)]
impl FrameWriter {
    /// Queues a frame made of `parts`, one behind the other.
    pub fn feed(&mut self, parts: &[&[u8]]) {
        todo!()
    }
    pub async fn flush(&mut self) -> Result<(), NetError> {
        todo!()
    }
    /// Bytes queued and not flushed.
    pub fn queued(&self) -> usize {
        todo!()
    }
}
