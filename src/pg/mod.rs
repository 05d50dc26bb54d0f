//! PostgreSQL's wire protocol, version 3: messages, types, errors, as values and bytes.
//!
//! Written here instead of taken from a crate, because everything in it faces
//! strangers' bytes: each count is checked against the bytes that are there, rows
//! are written straight into the connection's buffer, and messages pass through a
//! router unread.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

pub mod backend;
pub mod copy;
mod error;
pub mod frontend;
pub mod scram;
pub mod settings;
mod stack;
pub mod startup;
pub mod types;
mod wire;

pub use error::{Severity, SqlError, SqlState};
pub use stack::with_stack;
pub use types::Oid;

/// The PostgreSQL release whose protocol and catalogs are spoken.
pub const SERVER_VERSION: &str = "15.18";
/// The same as `server_version_num` gives it.
pub const SERVER_VERSION_NUM: &str = "150018";
