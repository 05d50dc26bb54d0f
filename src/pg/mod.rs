//! PostgreSQL's wire protocol, version 3: messages, types, errors, as values and bytes.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

pub mod backend;
mod error;
pub mod frontend;
pub mod types;

pub use error::{Severity, SqlError, SqlState};
pub use types::Oid;
