//! The link: many sessions of one router on one node, over one connection.
//!
//! Frames of all sessions are queued in one buffer and leave in one write; a writer
//! task lets everybody who is ready add theirs first. So with many busy clients a
//! system call and a TLS record carry many requests, which is what makes the link
//! faster than a connection a session. Reply bytes of one session may run ahead of
//! its client by a window, so that a slow client holds up nobody else.

mod client;
mod outgoing;
mod server;

pub use client::{Link, LinkEvent, LinkSession, Opener, Patience};
pub use server::serve;

use std::time::Duration;

use crate::routing::link::RequestMode;

use super::Mode;

/// Reply bytes that a node may send ahead of the router's client.
const WINDOW: usize = 256 * 1024;
/// The router asks for a sign of life this often.
const PING_EVERY: Duration = Duration::from_millis(250);
/// On a link without one for this long nobody waits who can be served elsewhere.
const QUIET_MAX: Duration = Duration::from_millis(750);
/// A link without one for this long is dead.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(3);
/// Payload of one frame at most.
const PAYLOAD_MAX: usize = 4 << 20;

fn to_wire(mode: Mode) -> RequestMode {
    match mode {
        Mode::Client => RequestMode::Client,
        Mode::Silent => RequestMode::Silent,
        Mode::Lookup => RequestMode::Lookup,
        Mode::Errand => RequestMode::Errand,
    }
}

fn from_wire(mode: RequestMode) -> Mode {
    match mode {
        RequestMode::Client => Mode::Client,
        RequestMode::Silent => Mode::Silent,
        RequestMode::Lookup => Mode::Lookup,
        RequestMode::Errand => Mode::Errand,
    }
}
