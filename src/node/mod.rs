//! A node: one log, its databases, and the tasks that serve, replicate and obey.
//!
//! The tasks share no state but the [`Hub`]'s watch channels, each written by one of
//! them. What changes SQLite goes through one OS thread, `writer`; what only reads
//! uses the pool in `readers`; `engine` turns clients' messages into work for both.

pub mod control;
mod engine;
mod errors;
mod execute;
mod hub;
mod plan;
mod readers;
mod rows;
#[cfg(test)]
mod tests;
mod writer;

pub use engine::{Engine, EngineOptions, EngineSession};
pub use hub::{Hub, Leadership, Member, boottime_ns};
pub use readers::Readers;
pub use writer::{WriterHandle, WriterOptions};
