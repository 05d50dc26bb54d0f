//! A node: one log, its databases, and the tasks that serve, replicate and obey.
//!
//! The tasks share no state but the [`Hub`]'s watch channels, each written by one of
//! them. What changes SQLite goes through one OS thread, `writer`; what only reads
//! uses the pool in `readers`; `engine` turns clients' messages into work for both.
//! [`control`] keeps the node's word, [`replicate`] moves the log, and `run` ties them
//! together.

mod archive;
pub mod control;
mod engine;
mod errors;
mod execute;
mod hub;
mod peers;
mod plan;
mod readers;
pub mod replicate;
mod rows;
mod run;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use hub::{Hub, Leadership, Quarantine, Space, boottime_ns};
pub use run::{NodeError, run};
