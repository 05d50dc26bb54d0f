//! Replication: decides, never does. Inputs are values, outputs are commands.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]
