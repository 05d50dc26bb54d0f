//! PostgreSQL's system functions: what there is, how it is defined, and who asks.
//!
//! What they say of rights is in [`super::privileges`].

mod absent;
mod catalog;
mod names;
mod node;
mod session;
#[cfg(test)]
mod tests;

use super::call::Registry;
use super::privileges;
pub(super) use names::{find_relation, role_named};
pub use session::{CANCEL, CANCEL_REQUEST, Orders, TERMINATE, bare_channel, scoped_channel};

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    node::process_start_us();
    session::register(registry)?;
    node::register(registry)?;
    catalog::register(registry)?;
    names::register(registry)?;
    privileges::register(registry)?;
    absent::register(registry)
}
