//! A node: one log, its databases, and the tasks that serve, replicate and obey.

mod hub;

pub use hub::{Hub, Leadership, Member, boottime_ns};
