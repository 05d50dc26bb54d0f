//! Failover: decides when to replace the leader, and by whom.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]
