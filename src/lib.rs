//! Code map. Modules are listed bottom-up: a module may import only from those
//! in rows above its own; `tests/layers.rs` checks it.
//!
//! | module            | does IO | answers                                              |
//! |-------------------|---------|------------------------------------------------------|
//! | [`log`]           | no      | what is replicated, and in which bytes               |
//! | [`pg`]            | no      | what clients say and hear, and in which bytes        |
//! | [`sql`]           | no      | what a statement means, and how SQLite spells it     |
//! | [`cluster`]       | no      | who belongs to the cluster, under which policy       |
//! | [`replication`]   | no      | when a write is safe; where two logs part            |
//! | [`failover`]      | no      | who leads next, and when is that safe                |
//! | [`routing`]       | no      | which node runs a statement                          |
//! | [`config`]        | no      | what the operator wants                              |
//! | [`storage`]       | yes     | how it stays                                         |
//! | [`net`]           | yes     | how bytes get there                                  |
//! | [`telemetry`]     | yes     | where logs go                                        |
//! | [`supervisor`]    | yes     | what systemd hears                                   |
//! | [`gateway`]       | yes     | how a client's session is served, by whichever node  |
//! | [`node`]          | yes     | a node's tasks                                       |
//! | [`proxy`]         | yes     | a proxy's tasks                                      |
//! | [`monitor`]       | yes     | the monitor's tasks                                  |
//! | [`workload`]      | yes     | whether what clients are told holds together         |
//! | [`cli`]           | yes     | the commands                                         |

pub mod log;
pub mod pg;
pub mod sql;

pub mod cluster;
pub mod replication;

pub mod config;
pub mod failover;
pub mod routing;

pub mod net;
pub mod storage;
pub mod supervisor;
pub mod telemetry;

pub mod gateway;

pub mod monitor;
pub mod node;
pub mod proxy;

pub mod workload;

pub mod cli;

#[cfg(test)]
mod simulation;
