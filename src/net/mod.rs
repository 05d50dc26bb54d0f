//! Bytes between processes: mutual TLS, framing, dialling and listening.
//! Only this module names TLS.

mod hello;
mod peer;

pub use hello::{Hello, HelloReply, Purpose};
pub use peer::{
    FrameReader, FrameStream, FrameWriter, NetError, PeerIdentity, PeerListener, PeerTls, dial,
};
