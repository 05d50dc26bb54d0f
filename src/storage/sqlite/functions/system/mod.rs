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

use rusqlite::Connection;

use super::{Surroundings, privileges};
pub(super) use names::{find_relation, role_named};
pub(super) use session::environment;
pub use session::{CANCEL, CANCEL_REQUEST, Orders, TERMINATE, bare_channel, scoped_channel};

pub(super) fn register(
    connection: &Connection,
    surroundings: &Surroundings,
) -> rusqlite::Result<()> {
    node::process_start_us();
    session::register(connection, surroundings)?;
    node::register(connection, surroundings)?;
    catalog::register(connection, surroundings)?;
    names::register(connection, surroundings)?;
    privileges::register(connection, surroundings)?;
    absent::register(connection, surroundings)
}
