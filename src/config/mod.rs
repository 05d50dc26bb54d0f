//! Configuration: as written by the operator, as resolved for the program.
//!
//! `written` mirrors the TOML files key by key and knows nothing but syntax;
//! `resolved` is what the daemons get: checked, every default filled in, paths made
//! absolute. `resolve` is the only way from the one to the other, so a daemon never
//! sees a value that was not validated.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

mod resolve;
mod resolved;
mod written;

pub use resolve::{ConfigError, PRIORITY, monitor, node, proxy};
pub use resolved::{
    ArchiveConfig, Choice, EtcdConfig, MonitorConfig, NodeConfig, PeerTlsConfig, ProxyConfig,
    SqlConfig, Timing,
};
