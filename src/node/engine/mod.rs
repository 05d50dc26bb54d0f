//! The engine: clients' sessions on this node. A session turns PostgreSQL's messages
//! into reads on the reader pool and work for the writer, and their results back into
//! messages.
//!
//! - `session` takes a request apart and keeps what a session remembers.
//! - `extended` and `simple` are the two query protocols, over `run`, which carries
//!   out one statement: by `read` and `write`, and by `utility` those that touch the
//!   session alone, of which `set`, `prepared` and `explain` are kinds.
//! - `function_call` is the message that calls one function, `large_object` what it is
//!   used for.
//! - `transaction` knows when a transaction begins, what it holds, and how it ends.
//! - `portal` are results that are fetched in pieces, `cursor` those of SQL.
//! - `advisory` are the locks that clients give names to.
//! - `role` tells who a session is, and changes roles; `access` holds statements against
//!   what it may do, and changes that.
//! - `activity` is what all sessions do, `live` how views show what this node knows.
//! - `database` tells which database a session is in, and makes and drops them.

mod access;
mod activity;
mod advisory;
mod copy;
mod cursor;
mod database;
mod explain;
mod extended;
mod function_call;
mod large_object;
mod live;
mod portal;
mod prepared;
mod read;
mod role;
mod run;
mod session;
mod set;
mod settings;
mod simple;
mod transaction;
mod utility;
mod write;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use super::hub::Hub;
use super::plan::PlanCache;
use super::readers::Readers;
use super::writer::WriterHandle;
use crate::cluster::{Position, Role};
use crate::gateway::{LocalNode, SessionParams};
use crate::routing::link::{NodeState, Notification};
use crate::storage::log_store::LogReader;

pub(super) use session::EngineSession;

/// How the engine behaves.
#[derive(Clone, Debug)]
pub(super) struct EngineOptions {
    /// What clients call the first database.
    pub database: String,
    /// The users of the configuration, and how sessions of others call them.
    pub users: Vec<String>,
    pub superuser: String,
    /// Clients that the node takes at a time.
    pub max_connections: usize,
    /// How long a read waits until the node has applied what it must see.
    pub see_patience: Duration,
    /// How long DROP DATABASE waits for sessions that are about to go.
    pub leave_patience: Duration,
}

/// The node's sessions. Cheap to clone.
#[derive(Clone)]
pub(super) struct Engine {
    inner: Arc<Inner>,
}

impl Engine {
    /// The writer behind the sessions.
    pub(super) fn writer(&self) -> &WriterHandle {
        &self.inner.writer
    }
}

pub(super) struct Inner {
    hub: Arc<Hub>,
    readers: Readers,
    writer: WriterHandle,
    log: LogReader,
    plans: PlanCache,
    options: EngineOptions,
    advisory: Arc<advisory::Table>,
    sessions: Arc<database::Sessions>,
    activities: Arc<activity::Activities>,
}

impl Engine {
    pub(super) fn new(
        hub: Arc<Hub>,
        readers: Readers,
        writer: WriterHandle,
        log: LogReader,
        options: EngineOptions,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                hub,
                readers,
                writer,
                log,
                plans: PlanCache::new(),
                options,
                advisory: Arc::default(),
                sessions: Arc::default(),
                activities: Arc::default(),
            }),
        }
    }
}

impl LocalNode for Engine {
    type Session = EngineSession;

    fn open(&self, params: SessionParams) -> EngineSession {
        EngineSession::new(Arc::clone(&self.inner), params)
    }

    fn notifications(&self) -> broadcast::Receiver<Arc<Notification>> {
        self.inner.hub.notifications.subscribe()
    }

    fn state(&self) -> NodeState {
        let hub = &self.inner.hub;
        let lsn = *hub.applied.borrow();
        let leadership = hub.leadership.borrow();
        NodeState {
            applied: Position { term: leadership.term, lsn },
            leads: leadership.role == Role::Leader,
            leader: leadership.leader.clone(),
        }
    }
}
