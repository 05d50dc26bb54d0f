//! Bytes between processes: mutual TLS, framing, dialling and listening, and TLS
//! towards clients. Only this module names TLS.
//!
//! Every process holds a certificate of the cluster's own authority; its first DNS
//! name is the process's name. Both ends of every link check the other's
//! certificate, so an address alone proves nothing. On top of TLS runs one framing
//! (see [`FrameStream`]) whose first frame is a [`Hello`] that says what the
//! connection is for.
//!
//! TLS 1.3 only between processes, without session resumption: a resumed session
//! would outlive the certificate that opened it. Clients may come with TLS 1.2.

mod certificate;
mod client;
mod dial;
mod duplex;
mod error;
mod framed;
mod hello;
pub mod http;
mod listen;
mod refusals;
mod sql;
mod tls;

#[cfg(test)]
mod tests;

pub use certificate::{Authority, Issued};
pub use client::{ClientReader, ClientStream, ClientTls, ClientWriter};
pub use dial::dial;
pub use duplex::Outbox;
pub use error::NetError;
pub use framed::{FrameReader, FrameStream, FrameWriter, put_frame};
pub use hello::{Hello, HelloReply, Purpose};
pub use listen::{PeerListener, bind_tcp, tune};
pub use refusals::Refusals;
pub use sql::SqlTls;
pub use tls::{PeerIdentity, PeerTls};
