//! The SQL endpoint that clients connect to, the same at proxies and nodes: accepts,
//! authenticates, keeps the session's state, and routes every unit to a node.
//!
//! Decisions are [`crate::routing`]'s; here are the sockets. A session reaches the
//! node in its own process by calling it, any other through a [`link`].

mod backend;
mod cancel;
mod errand;
pub mod link;
mod listeners;
mod nodes;
mod serve;
mod session;
mod startup;

#[cfg(test)]
mod tests;

pub use backend::{
    CHANNELS, Canceller, Channels, LocalNode, Mode, NoNode, NodeSession, Out, Refusal, Reply,
    ReplySink, Request, SessionParams, SettingsMap, Standing,
};
pub use errand::{Errand, Login, LoginRole};
pub use serve::{Gateway, GatewayConfig, GatewayError, GatewayStatus, GatewayWatch};
