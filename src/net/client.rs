use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use bytes::BytesMut;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf, ReadHalf, WriteHalf,
};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::NetError;
use super::error::explain;
use super::tls::{file_error, provider, read_certificates, read_key};

/// TLS towards SQL clients: a certificate and key, no client certificates;
/// reloadable. Clones share one state.
#[derive(Clone)]
pub struct ClientTls(Arc<Shared>);

struct Shared {
    certificate: PathBuf,
    key: PathBuf,
    loaded: ArcSwap<Loaded>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    leaf: CertificateDer<'static>,
}

/// A client's connection, in the clear or inside TLS.
pub enum ClientStream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The reading half of a client's connection.
pub enum ClientReader {
    Plain(OwnedReadHalf),
    Tls(ReadHalf<Box<TlsStream<TcpStream>>>),
}

/// The writing half of a client's connection.
pub enum ClientWriter {
    Plain(OwnedWriteHalf),
    Tls(WriteHalf<Box<TlsStream<TcpStream>>>),
}

impl ClientStream {
    /// Splits into independently owned halves.
    pub fn split(self) -> (ClientReader, ClientWriter) {
        match self {
            Self::Plain(stream) => {
                let (read, write) = stream.into_split();
                (ClientReader::Plain(read), ClientWriter::Plain(write))
            }
            Self::Tls(stream) => {
                let (read, write) = tokio::io::split(stream);
                (ClientReader::Tls(read), ClientWriter::Tls(write))
            }
        }
    }
}

impl ClientReader {
    /// Reads what has come into `buffer`, whose room it is for the caller to make;
    /// 0 at the end. Cancel-safe.
    pub async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Plain(half) => half.read_buf(buffer).await,
            Self::Tls(half) => half.read_buf(buffer).await,
        }
    }
}

impl ClientWriter {
    /// Sends all of `bytes` and leaves it empty.
    pub async fn write(&mut self, bytes: &mut BytesMut) -> io::Result<()> {
        match self {
            Self::Plain(half) => half.write_all_buf(bytes).await?,
            Self::Tls(half) => {
                half.write_all_buf(bytes).await?;
                half.flush().await?;
            }
        }
        // What is left has no bytes; this makes its room whole again.
        bytes.clear();
        Ok(())
    }

    /// Says goodbye.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(half) => half.shutdown().await,
            Self::Tls(half) => half.shutdown().await,
        }
    }
}

impl ClientTls {
    /// Reads PEM files; errors name the file and what is wrong with it.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, NetError> {
        Ok(Self(Arc::new(Shared {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            loaded: ArcSwap::from_pointee(Loaded::read(certificate, key)?),
        })))
    }

    /// Reads the same files again; connections made before go on.
    pub fn reload(&self) -> Result<(), NetError> {
        let loaded = Loaded::read(&self.0.certificate, &self.0.key)?;
        self.0.loaded.store(Arc::new(loaded));
        Ok(())
    }

    /// Does the handshake with a client that asked for TLS.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<ClientStream> {
        let config = Arc::clone(&self.0.loaded.load().config);
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        Ok(ClientStream::Tls(Box::new(stream)))
    }

    /// The certificate shown to clients, DER: what channel binding hashes.
    pub fn leaf(&self) -> Vec<u8> {
        self.0.loaded.load().leaf.as_ref().to_vec()
    }
}

impl Loaded {
    fn read(certificate: &Path, key: &Path) -> Result<Self, NetError> {
        let chain = read_certificates(certificate)?;
        let leaf = chain[0].clone();
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| NetError::Tls(explain(&error)))?
            .with_no_client_auth()
            .with_single_cert(chain, read_key(key)?)
            .map_err(|error| file_error(key, explain(&error)))?;
        Ok(Self { config: Arc::new(config), leaf })
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
