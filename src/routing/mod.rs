//! Where a client's statements run. Pure: classes, views and positions in, routes out.
//!
//! A router cuts a client's bytes into units ([`mod@unit`]), keeps what a session is
//! apart from any node ([`session`]), chooses a node for each unit and decides what
//! becomes of one that comes back ([`route`]), and knows who leads ([`knowledge`]).
//! [`link`] is how its sessions reach nodes; [`reply`] is all that it reads of replies.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

pub mod knowledge;
pub mod link;
pub mod lost;
pub mod reply;
pub mod route;
pub mod session;
pub mod statement;
pub mod unit;

#[cfg(test)]
mod tests;
