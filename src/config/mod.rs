//! Configuration: as written, as resolved.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

mod resolved;

pub use resolved::{
    Choice, MonitorConfig, NodeConfig, PeerTlsConfig, ProxyConfig, SqlConfig, Timing,
};
