//! A node: one log, its databases, and the tasks that serve, replicate and obey.

pub mod control;
mod hub;

pub use hub::{Hub, Leadership, Member, boottime_ns};
