//! Who belongs to the cluster, under which policy, and what everybody is told of it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

mod configuration;
mod node_id;
mod policy;
mod view;

pub use configuration::{Configuration, Member, Roll};
pub use node_id::{InvalidNodeId, NodeId};
pub use policy::{InvalidPolicy, Policy};
pub use view::{NodeView, Position, Role, View};
