//! Who may connect to a node's peer listener, and for what.
//!
//! | purpose       | from                     | gets                                    |
//! |---------------|--------------------------|-----------------------------------------|
//! | `replication` | members                  | the log's stream, while this node leads |
//! | `control`     | members                  | grants, and who leads                   |
//! | `link`        | routers of the cluster   | sessions on this node                   |
//! | `view`        | routers and tools        | the newest view, at each change         |
//! | `admin`       | tools                    | one JSON answer a JSON request          |
//!
//! A process of another cluster, or one that says another name than its certificate,
//! is refused (rule 27).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::archive::Wish;
use super::control::ControlHandle;
use super::engine::Engine;
use super::hub::Hub;
use super::replicate::Replication;
use super::verify::{Digests, Look};
use crate::cluster::{NodeId, Role};
use crate::gateway::link;
use crate::log::{Entry, LogEnd, Lsn, Term};
use crate::net::{
    FrameStream, Hello, HelloReply, NetError, PeerIdentity, PeerListener, Purpose, Refusals,
};
use crate::storage::archive::Manifest;

/// The version of the hello that this node speaks.
const VERSION: u32 = 1;
/// Connections of all purposes together.
const CONNECTIONS_MAX: usize = 1024;
/// A tool that asks nothing for so long is disconnected.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How often a view is sent without a change, so that the other side knows the line.
const VIEW_EVERY: Duration = Duration::from_secs(1);

/// What connections are handed to.
pub(super) struct Peers {
    pub(super) cluster: String,
    pub(super) hub: Arc<Hub>,
    pub(super) control: ControlHandle,
    pub(super) replication: Arc<Replication>,
    pub(super) engine: Engine,
    /// To the archiver, if there is one.
    pub(super) backups: Option<mpsc::Sender<Wish>>,
    pub(super) refusals: Refusals,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    Status {},
    /// Put a marker into the log, by which all nodes can be compared.
    Mark {},
    /// Put a snapshot into the archive now.
    Backup {},
    /// What the databases were at the marker.
    Digests {
        id: u64,
    },
    /// Rows of a table at the marker, from the `skip`th on.
    Rows {
        id: u64,
        table: String,
        skip: u64,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Ok(Body),
    Error(String),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body {
    Status(Box<Status>),
    Marked {
        id: u64,
        lsn: Lsn,
    },
    /// The marker is not applied yet, or its digests are being made.
    Pending {
        applied: Lsn,
        reason: String,
    },
    /// In hexadecimal, by table.
    Digests {
        lsn: Lsn,
        tables: BTreeMap<String, String>,
        /// Names of the databases that tables' prefixes tell of.
        databases: BTreeMap<u32, String>,
    },
    Backup(Box<Manifest>),
    /// Key and digest of each.
    Rows(Vec<(String, String)>),
}

/// A node's own account of itself.
#[derive(Serialize)]
struct Status {
    name: NodeId,
    role: Role,
    term: Term,
    leader: Option<NodeId>,
    end: LogEnd,
    durable: Lsn,
    commit: Lsn,
    applied: Lsn,
    reason: String,
    /// Followers connected to this node, and the LSN that each holds durably.
    followers: BTreeMap<NodeId, Lsn>,
}

impl Peers {
    /// Accepts until `shutdown`. Links finish what runs on them first.
    pub(super) async fn serve(
        self: Arc<Self>,
        mut listener: PeerListener,
        shutdown: CancellationToken,
    ) {
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.cancelled() => break,
            };
            match accepted {
                Ok((stream, hello, identity)) => {
                    let room = connections.len() < CONNECTIONS_MAX;
                    let peers = Arc::clone(&self);
                    let shutdown = shutdown.clone();
                    connections.spawn(async move {
                        peers.admit(stream, hello, &identity, room, shutdown).await;
                    });
                }
                Err(error) => {
                    tracing::error!(%error, "the peer listener ended");
                    break;
                }
            }
        }
        connections.close();
        connections.wait().await;
    }

    async fn admit(
        &self,
        mut stream: FrameStream,
        hello: Hello,
        identity: &PeerIdentity,
        room: bool,
        shutdown: CancellationToken,
    ) {
        let refused = if room {
            self.refusal(&hello, identity)
        } else {
            Some("too many connections".to_owned())
        };
        if let Some(reason) = refused {
            if self.refusals.is_news(&hello.name, &reason) {
                tracing::warn!(name = hello.name, reason, "refused");
            }
            // Whether it hears why or not, the connection ends.
            let _ = stream.answer(&HelloReply::Refused(reason)).await;
            return;
        }
        let welcome = {
            let leadership = self.hub.leadership.borrow();
            HelloReply::Welcome {
                name: self.hub.me.to_string(),
                term: leadership.term,
                leader: leadership.leader.clone(),
            }
        };
        if stream.answer(&welcome).await.is_err() {
            return;
        }
        let (name, purpose) = (hello.name.clone(), hello.purpose);
        let ended = match purpose {
            Purpose::Control => {
                self.control.handle_peer(stream, hello).await;
                Ok(())
            }
            Purpose::Replication => {
                let serve = Arc::clone(&self.replication).serve(stream, hello);
                tokio::select! {
                    () = serve => {}
                    () = shutdown.cancelled() => {}
                }
                Ok(())
            }
            Purpose::Link => link::serve(stream, self.engine.clone(), shutdown).await,
            Purpose::View => tokio::select! {
                ended = self.show_views(stream) => ended,
                () = shutdown.cancelled() => Ok(()),
            },
            Purpose::Admin => tokio::select! {
                ended = self.answer_tool(stream) => ended,
                () = shutdown.cancelled() => Ok(()),
            },
        };
        if let Err(error) = ended {
            tracing::info!(name, ?purpose, %error, "a connection ended");
        }
    }

    /// Why a caller is not welcome.
    fn refusal(&self, hello: &Hello, identity: &PeerIdentity) -> Option<String> {
        if hello.version != VERSION {
            return Some(format!("hello of version {}, expected {VERSION}", hello.version));
        }
        if hello.cluster != self.cluster {
            return Some("this node belongs to another cluster".to_owned());
        }
        if matches!(hello.purpose, Purpose::Control | Purpose::Replication) {
            if identity.0 != hello.name {
                return Some(format!("the certificate does not name {:?}", hello.name));
            }
            let name = hello.name.parse::<NodeId>().ok();
            if name.and_then(|name| self.hub.address(&name)).is_none() {
                return Some(format!("{:?} is no other member of the cluster", hello.name));
            }
        }
        None
    }

    async fn show_views(&self, mut stream: FrameStream) -> Result<(), NetError> {
        let mut views = self.hub.view.subscribe();
        loop {
            let view = views.borrow_and_update().clone();
            stream.send(&serde_json::to_vec(&view).expect("a view is plain JSON")).await?;
            // The node outlives its connections; time alone is news enough.
            let _ = tokio::time::timeout(VIEW_EVERY, views.changed()).await;
        }
    }

    async fn answer_tool(&self, mut stream: FrameStream) -> Result<(), NetError> {
        while let Ok(frame) = tokio::time::timeout(IDLE_MAX, stream.recv()).await {
            let Some(frame) = frame? else { break };
            let answer = match serde_json::from_slice(&frame) {
                Ok(Request::Status {}) => Answer::Ok(Body::Status(Box::new(self.status()))),
                Ok(Request::Mark {}) => self.mark().await,
                Ok(Request::Backup {}) => self.back_up().await,
                Ok(Request::Digests { id }) => self.digests(id),
                Ok(Request::Rows { id, table, skip }) => self.rows(id, &table, skip),
                Err(error) => Answer::Error(format!("not a request: {error}")),
            };
            stream.send(&serde_json::to_vec(&answer).expect("a status is plain JSON")).await?;
        }
        Ok(())
    }

    async fn mark(&self) -> Answer {
        let id = rand::random::<u64>() >> 1;
        match tokio::time::timeout(IDLE_MAX, self.engine.writer().note(Entry::Marker { id })).await
        {
            Ok(Some(lsn)) => Answer::Ok(Body::Marked { id, lsn }),
            Ok(None) => Answer::Error(format!("{} does not lead", self.hub.me)),
            Err(_) => Answer::Error("the marker is not committed yet".to_owned()),
        }
    }

    async fn back_up(&self) -> Answer {
        let Some(backups) = &self.backups else {
            return Answer::Error(format!("{} has no archive configured", self.hub.me));
        };
        if self.hub.leadership.borrow().role != Role::Leader {
            return Answer::Error(format!("{} does not lead", self.hub.me));
        }
        let (wish, made) = tokio::sync::oneshot::channel();
        if backups.try_send(wish).is_err() {
            return Answer::Error("another snapshot is being made".to_owned());
        }
        match made.await {
            Ok(Ok(manifest)) => Answer::Ok(Body::Backup(Box::new(manifest))),
            Ok(Err(error)) => Answer::Error(error),
            Err(_) => Answer::Error("the leadership ended".to_owned()),
        }
    }

    fn look(&self, id: u64) -> Option<Arc<Look>> {
        self.hub.look.borrow().clone().filter(|look| look.id == id)
    }

    fn digests(&self, id: u64) -> Answer {
        let look = self.look(id);
        match look.as_ref().and_then(|look| look.digests().map(|digests| (look.at, digests))) {
            Some((at, Ok(Digests { tables, databases }))) => {
                let tables = tables.iter().map(|(name, hash)| (name.clone(), hex(*hash)));
                let (lsn, databases) = (at.lsn, databases.clone());
                Answer::Ok(Body::Digests { lsn, tables: tables.collect(), databases })
            }
            Some((_, Err(error))) => Answer::Error(error.clone()),
            None => {
                let (applied, reason) =
                    (*self.hub.applied.borrow(), self.hub.reason.borrow().clone());
                Answer::Ok(Body::Pending { applied, reason })
            }
        }
    }

    fn rows(&self, id: u64, table: &str, skip: u64) -> Answer {
        let Some(look) = self.look(id) else {
            return Answer::Error("the view of that marker was given up".to_owned());
        };
        match tokio::task::block_in_place(|| look.rows(table, skip)) {
            Ok(rows) => {
                let rows = rows.into_iter().map(|row| (row.key, hex(row.hash)));
                Answer::Ok(Body::Rows(rows.collect()))
            }
            Err(error) => Answer::Error(error.to_string()),
        }
    }

    fn status(&self) -> Status {
        let hub = &self.hub;
        let leadership = hub.leadership.borrow().clone();
        let followers = self.replication.followers();
        Status {
            name: hub.me.clone(),
            role: leadership.role,
            term: leadership.term,
            leader: leadership.leader,
            end: *hub.end.borrow(),
            durable: *hub.durable.borrow(),
            commit: *hub.commit.borrow(),
            applied: *hub.applied.borrow(),
            reason: hub.reason.borrow().clone(),
            followers: followers.into_iter().map(|(name, at)| (name, at.durable)).collect(),
        }
    }
}

fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}
