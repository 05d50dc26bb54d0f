use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::cluster::{NodeId, Position};
use crate::log::{ClientToken, Term};
use crate::pg::backend::TransactionStatus;
use crate::routing::link::{NodeState, Notification};

/// A session's settings that differ from the node's defaults. What it listens to is one
/// of them ([`CHANNELS`]): it too is taken back with the transaction that changed it.
pub type SettingsMap = BTreeMap<String, String>;

/// The name of the setting that holds [`Channels`], as JSON. SHOW ALL and RESET ALL pass
/// over it.
pub const CHANNELS: &str = "towline.channels";

/// The channels that a session listens to, each to what comes after the position at
/// which its LISTEN was carried out.
pub type Channels = BTreeMap<String, Position>;

/// With what a session on a node begins.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SessionParams {
    pub user: String,
    pub database: String,
    /// Settings from the start-up message (`options`, `application_name`, …): what
    /// RESET goes back to. Those made since come as silent requests.
    pub settings: SettingsMap,
    pub backend_pid: i32,
    /// Where its client connected from.
    #[serde(default)]
    pub client: Option<SocketAddr>,
    #[serde(default)]
    pub standing: Standing,
}

/// By what right a session has its user's name.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub enum Standing {
    /// Nobody had to show anything: a role if there is one of this name, else a superuser.
    #[default]
    Claimed,
    /// The configuration lists it: a superuser.
    Configured,
    /// It is a role of the catalog.
    Role,
}

/// Work for a node: one routing unit, or the part of it that came before a Flush.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whole frontend messages, one behind the other. In a COPY FROM STDIN, the
    /// CopyData, CopyDone and CopyFail messages as they arrive.
    pub messages: Bytes,
    /// What the reads (and Parse, Describe) must see; default is "anything".
    pub see: Position,
    /// Of an autocommit write, or of a COMMIT: makes sending it again safe.
    pub token: Option<ClientToken>,
    pub mode: Mode,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// The client's own: replies go to it.
    Client,
    /// Re-makes session state (SET, Parse) on a node that is new to the session:
    /// replies are dropped, an error is [`Refusal::Failed`].
    Silent,
    /// Asks what became of `token`, and runs nothing. The messages are those first
    /// sent, so that the reply can be what it would have been: the recorded one,
    /// [`Refusal::NeverRan`], or 08007 where nobody can tell.
    Lookup,
    /// Of the router's own: the messages are an [`super::Errand`], and what is put out is
    /// the answer to it.
    Errand,
}

/// A request is done; its messages are in [`Out`].
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: TransactionStatus,
    /// What has been seen or written: the session's next reads must not be older.
    pub position: Position,
    /// All settings, if the request changed one (or a rollback took one back).
    pub settings: Option<Arc<SettingsMap>>,
    /// The node waits for more of the same unit: COPY data, or what follows a Flush.
    pub unfinished: bool,
}

/// A request that was not carried out here.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// A write on a node that does not lead. Nothing happened.
    #[error("this node does not lead; it follows {leader:?} in term {term}")]
    NotLeader { term: Term, leader: Option<NodeId> },
    /// The node has not applied what the request must see within its time. Nothing happened.
    #[error("this node has not caught up with the session")]
    Behind,
    /// What the session saw was lost in a failover (async only).
    #[error("a write this session saw was lost in a failover")]
    Lost,
    /// The node can't serve now (stopping, quarantined, not open yet). Nothing happened.
    #[error("this node can't serve now: {0}")]
    Unavailable(String),
    /// The connection, or the leadership, ended in the middle: the unit may have
    /// been committed or not. A look-up by token tells.
    #[error("the outcome is unknown")]
    Unknown,
    /// Answer to a look-up only: the write certainly did not take place and never will.
    #[error("the write was never run")]
    NeverRan,
    /// Session state could not be re-made, or the session broke by a fault of the node's.
    #[error("the session could not go on: {0}")]
    Failed(String),
}

/// Where reply bytes go. Producers append to `buffer` and call `flush` once it
/// holds [`Out::FLUSH_AT`]; what is left when a request ends is the caller's to send.
pub struct Out {
    pub buffer: BytesMut,
    /// Whether any bytes of the current request have left.
    pub flushed: bool,
    sink: Box<dyn ReplySink>,
}

/// The other end of [`Out`]: a client's socket, or a link's session.
pub trait ReplySink: Send {
    /// Sends all of `bytes` and leaves it empty; waits while the receiver's window is full.
    fn send<'a>(
        &'a mut self,
        bytes: &'a mut BytesMut,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>>;

    /// Tells the receiver that nothing more will come, where it can be told.
    fn close<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
        Box::pin(async { Ok(()) })
    }
}

impl Out {
    /// Bytes gathered before a flush is due.
    pub const FLUSH_AT: usize = 32 * 1024;

    pub fn new(sink: Box<dyn ReplySink>) -> Self {
        Self { buffer: BytesMut::with_capacity(Self::FLUSH_AT), flushed: false, sink }
    }

    /// Whether a flush is due.
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= Self::FLUSH_AT
    }

    /// Sends what is in the buffer.
    pub async fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.flushed = true;
        self.sink.send(&mut self.buffer).await
    }

    /// Sends what is in the buffer as the last there is.
    pub async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.sink.close().await
    }
}

/// One client session's presence on one node. Dropping it ends it: an open
/// transaction is rolled back.
pub trait NodeSession: Send {
    /// Carries out a request. After an `Err` with nothing flushed, `out.buffer` is
    /// as it was before.
    fn run(
        &mut self,
        request: Request,
        out: &mut Out,
    ) -> impl Future<Output = Result<Reply, Refusal>> + Send;

    /// Stops what `run` is doing, from elsewhere; nothing, while it does nothing.
    fn canceller(&self) -> Canceller;
}

/// Cancels a session's running statement.
#[derive(Clone)]
pub struct Canceller(pub Arc<dyn Fn() + Send + Sync>);

/// The node in whose process the gateway runs, if any.
pub trait LocalNode: Clone + Send + Sync + 'static {
    type Session: NodeSession;

    /// Opens a session; never blocks.
    fn open(&self, params: SessionParams) -> Self::Session;

    /// What NOTIFY sends from now on, on any node, as this node applies it.
    fn notifications(&self) -> broadcast::Receiver<Arc<Notification>> {
        broadcast::Sender::new(1).subscribe()
    }

    /// What the node knows of itself: how far its data reach, and who leads.
    fn state(&self) -> NodeState {
        NodeState::default()
    }
}

/// The node in a proxy's process: there is none.
#[derive(Clone, Copy, Debug)]
pub enum NoNode {}

impl LocalNode for NoNode {
    type Session = Self;

    fn open(&self, _params: SessionParams) -> Self {
        match *self {}
    }
}

impl NodeSession for NoNode {
    async fn run(&mut self, _request: Request, _out: &mut Out) -> Result<Reply, Refusal> {
        match *self {}
    }

    fn canceller(&self) -> Canceller {
        match *self {}
    }
}
