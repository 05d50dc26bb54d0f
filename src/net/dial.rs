use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};

use super::framed::READ_AHEAD;
use super::listen::tune;
use super::{FrameStream, Hello, HelloReply, NetError, PeerTls};

/// Connects, says hello, and waits for a welcome, all within `timeout`. The
/// certificate must name `expected`, if given.
pub async fn dial(
    address: &str,
    tls: &PeerTls,
    expected: Option<&str>,
    hello: &Hello,
    timeout: Duration,
) -> Result<(FrameStream, HelloReply), NetError> {
    match tokio::time::timeout(timeout, connect(address, tls, expected, hello)).await {
        Ok(result) => result,
        Err(_) => Err(NetError::TimedOut { peer: address.to_owned() }),
    }
}

async fn connect(
    address: &str,
    tls: &PeerTls,
    expected: Option<&str>,
    hello: &Hello,
) -> Result<(FrameStream, HelloReply), NetError> {
    let io = |source| NetError::Io { peer: address.to_owned(), source };
    let (config, server) = tls.dial_config(expected)?;
    let tcp = TcpStream::connect(address).await.map_err(io)?;
    tune(&tcp).map_err(io)?;
    let tcp = BufReader::with_capacity(READ_AHEAD, tcp);
    let socket = TlsConnector::from(config)
        .connect(server, tcp)
        .await
        .map_err(|source| NetError::from_stream(address, source))?;
    let mut stream = FrameStream::new(TlsStream::Client(socket), address);
    stream.send(&serde_json::to_vec(hello).expect("a hello is plain JSON")).await?;
    let answer = stream.recv().await?.ok_or_else(|| NetError::Protocol {
        peer: address.to_owned(),
        cause: "it closed the connection instead of answering the hello".to_owned(),
    })?;
    match serde_json::from_slice(&answer) {
        Ok(HelloReply::Refused(reason)) => {
            Err(NetError::Refused { peer: address.to_owned(), reason })
        }
        Ok(HelloReply::NotMember { version }) => {
            Err(NetError::NotMember { peer: address.to_owned(), version })
        }
        Ok(welcome) => Ok((stream, welcome)),
        Err(error) => Err(NetError::Protocol {
            peer: address.to_owned(),
            cause: format!("malformed answer to the hello: {error}"),
        }),
    }
}
