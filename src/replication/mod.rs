//! Replication: decides, never does. When a write is safe ([`CommitTracker`]), how a
//! follower comes to hold the leader's log again ([`rejoin()`]), what of a snapshot it
//! lacks ([`snapshot`]), and what the two say to each other ([`message`]). Inputs are values, outputs are values.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

mod commit;
pub mod message;
mod rejoin;
pub mod snapshot;

pub use commit::{CommitTracker, Demand};
pub use rejoin::{FollowerLog, LeaderLog, Rejoin, SnapshotReason, rejoin};
