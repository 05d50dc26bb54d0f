//! The SQL endpoint that clients connect to, the same at proxies and nodes: accepts,
//! authenticates, keeps the session's state, and routes every unit to a node.

mod backend;

pub use backend::{
    Canceller, LocalNode, Mode, NodeSession, Out, Refusal, Reply, ReplySink, Request,
    SessionParams, SettingsMap,
};
