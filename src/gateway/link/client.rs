use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use tokio_util::task::AbortOnDropHandle;

use super::super::{Canceller, Out, Refusal, Reply, Request, SessionParams};
use super::outgoing::Outgoing;
use super::{PAYLOAD_MAX, PING_EVERY, QUIET_MAX, SILENCE_MAX, WINDOW, to_wire};
use crate::cluster::NodeId;
use crate::log::Term;
use crate::net::{FrameReader, FrameStream, FrameWriter, HelloReply, NetError};
use crate::routing::link::{Down, NodeState, Notification, RequestHead, SessionNumber, Up};

/// Longest pause between attempts to connect.
const BACKOFF_MAX: Duration = Duration::from_millis(500);
const BACKOFF_MIN: Duration = Duration::from_millis(20);

/// Opens a connection for sessions to one node.
pub type Opener = Arc<
    dyn Fn() -> std::pin::Pin<
            Box<dyn Future<Output = Result<(FrameStream, HelloReply), NetError>> + Send>,
        > + Send
        + Sync,
>;

/// What a link learns of its node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LinkEvent {
    /// The node can be reached; it knows this leader.
    Up {
        term: Term,
        leader: Option<NodeId>,
    },
    Down,
    State(NodeState),
    Notified(Notification),
}

/// The router's end of a link: keeps one connection to a node, and opens sessions on it.
pub struct Link {
    current: Arc<ArcSwapOption<Connection>>,
    _keeper: AbortOnDropHandle<()>,
}

/// One connection, as long as it lives.
struct Connection {
    sessions: Mutex<HashMap<SessionNumber, Arc<Inbox>>>,
    outgoing: Outgoing,
    next_session: AtomicU32,
    /// Nothing has been heard for [`QUIET_MAX`].
    quiet: AtomicBool,
    dead: AtomicBool,
}

/// How long a reply is waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Patience {
    /// While the link lives: only this node can answer.
    Long,
    /// While the node is heard: another one can answer as well.
    Short,
}

/// What has arrived for one session.
#[derive(Default)]
struct Inbox(Mutex<Arrived>);

#[derive(Default)]
struct Arrived {
    frames: VecDeque<Down>,
    waker: Option<Waker>,
    dead: bool,
}

/// A session on the node at the other end. Dropping it ends it.
pub struct LinkSession {
    connection: Arc<Connection>,
    number: SessionNumber,
    inbox: Arc<Inbox>,
    /// Bytes taken since the window was last moved.
    taken: usize,
}

impl Link {
    /// Starts keeping a connection. `event` is called from the link's tasks and must
    /// be quick.
    pub fn start(
        node: NodeId,
        open: Opener,
        event: impl Fn(LinkEvent) + Send + Sync + 'static,
    ) -> Self {
        let current = Arc::new(ArcSwapOption::empty());
        let keeper = tokio::spawn(keep(node, open, Arc::clone(&current), event));
        Self { current, _keeper: AbortOnDropHandle::new(keeper) }
    }

    /// Whether the node can be reached.
    pub fn is_up(&self) -> bool {
        self.current.load().is_some()
    }

    /// Opens a session; `None` while the node can't be reached.
    pub fn session(&self, params: &SessionParams) -> Option<LinkSession> {
        let connection = self.current.load_full()?;
        let number = SessionNumber(connection.next_session.fetch_add(1, Ordering::Relaxed));
        let inbox = Arc::new(Inbox::default());
        connection.lock().insert(number, Arc::clone(&inbox));
        if connection.dead.load(Ordering::SeqCst) {
            // It died before it could see the new inbox.
            return None;
        }
        let params = serde_json::to_vec(params).expect("parameters are plain JSON");
        let open = Up::Open { params: params.into() };
        connection.outgoing.push(|queue| queue.frame(|out| open.encode(number, out)));
        Some(LinkSession { connection, number, inbox, taken: 0 })
    }
}

impl Connection {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionNumber, Arc<Inbox>>> {
        self.sessions.lock().expect("nobody panics while holding it")
    }

    /// Nothing is heard any more: whoever can go elsewhere looks again.
    fn fall_quiet(&self) {
        self.quiet.store(true, Ordering::SeqCst);
        for inbox in self.lock().values() {
            inbox.update(|_| {});
        }
    }

    /// Ends every session on it.
    fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
        for inbox in self.lock().drain().map(|(_, inbox)| inbox) {
            inbox.update(|arrived| arrived.dead = true);
        }
    }
}

impl Inbox {
    fn update(&self, change: impl FnOnce(&mut Arrived)) {
        let mut arrived = self.0.lock().expect("nobody panics while holding it");
        change(&mut arrived);
        let waker = arrived.waker.take();
        drop(arrived);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next frame; `None` once the connection is dead, or quiet where that is enough.
    async fn next(&self, connection: &Connection, patience: Patience) -> Option<Down> {
        poll_fn(|context| {
            let mut arrived = self.0.lock().expect("nobody panics while holding it");
            if let Some(frame) = arrived.frames.pop_front() {
                return Poll::Ready(Some(frame));
            }
            let quiet = patience == Patience::Short && connection.quiet.load(Ordering::SeqCst);
            if arrived.dead || quiet {
                return Poll::Ready(None);
            }
            arrived.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl LinkSession {
    /// As [`super::super::NodeSession::run`]. After `Unknown` the session is of no use.
    pub async fn run(
        &mut self,
        request: Request,
        out: &mut Out,
        patience: Patience,
    ) -> Result<Reply, Refusal> {
        let quiet = patience == Patience::Short && self.connection.quiet.load(Ordering::SeqCst);
        if self.is_dead() || quiet {
            return Err(Refusal::Unavailable("the node can't be reached".to_owned()));
        }
        let start = out.buffer.len();
        self.send(&request);
        loop {
            // What was begun here can't be had elsewhere.
            let patience = if out.flushed { Patience::Long } else { patience };
            match self.inbox.next(&self.connection, patience).await {
                Some(Down::Data(bytes)) => self.take(&bytes, out).await,
                Some(Down::Ready { head, data }) => {
                    out.buffer.extend_from_slice(&data);
                    return reply(head).ok_or(Refusal::Unknown);
                }
                Some(Down::Refused { reason }) => {
                    if !out.flushed {
                        out.buffer.truncate(start);
                    }
                    return Err(serde_json::from_slice(&reason).unwrap_or(Refusal::Unknown));
                }
                Some(Down::State(_) | Down::Notified(_)) => {}
                None => {
                    if !out.flushed {
                        out.buffer.truncate(start);
                    }
                    return Err(Refusal::Unknown);
                }
            }
        }
    }

    /// Whether its connection is gone.
    pub fn is_dead(&self) -> bool {
        self.connection.dead.load(Ordering::SeqCst)
    }

    /// As [`super::super::NodeSession::canceller`].
    pub fn canceller(&self) -> Canceller {
        let (connection, number) = (Arc::clone(&self.connection), self.number);
        Canceller(Arc::new(move || {
            connection.outgoing.push(|queue| queue.frame(|out| Up::Cancel.encode(number, out)));
        }))
    }

    fn send(&self, request: &Request) {
        let mut messages = request.messages.clone();
        self.connection.outgoing.push(|queue| {
            loop {
                let part = messages.split_to(messages.len().min(PAYLOAD_MAX));
                let head = RequestHead {
                    mode: to_wire(request.mode),
                    see: request.see,
                    token: request.token,
                    more: !messages.is_empty(),
                };
                queue.frame(|out| {
                    head.encode(self.number, out);
                    out.extend_from_slice(&part);
                });
                if messages.is_empty() {
                    return;
                }
            }
        });
    }

    /// Passes reply bytes on, and moves the window once the client has had enough.
    async fn take(&mut self, bytes: &Bytes, out: &mut Out) {
        out.buffer.extend_from_slice(bytes);
        if out.is_full() && out.flush().await.is_err() {
            // The client is gone; its own task sees that too.
            out.buffer.clear();
        }
        self.taken += bytes.len();
        if self.taken >= WINDOW / 2 {
            let window = Up::Window { bytes: self.taken as u32 };
            self.taken = 0;
            self.connection.outgoing.push(|queue| {
                queue.frame(|out| window.encode(self.number, out));
            });
        }
    }
}

impl Drop for LinkSession {
    fn drop(&mut self) {
        self.connection.lock().remove(&self.number);
        if !self.is_dead() {
            self.connection
                .outgoing
                .push(|queue| queue.frame(|out| Up::Close.encode(self.number, out)));
        }
    }
}

fn reply(head: crate::routing::link::ReadyHead) -> Option<Reply> {
    let settings = match head.settings {
        Some(json) => Some(Arc::new(serde_json::from_slice(&json).ok()?)),
        None => None,
    };
    Some(Reply {
        status: head.status,
        position: head.position,
        settings,
        unfinished: head.unfinished,
    })
}

/// Connects again and again.
async fn keep(
    node: NodeId,
    open: Opener,
    current: Arc<ArcSwapOption<Connection>>,
    event: impl Fn(LinkEvent) + Send + Sync + 'static,
) {
    let mut backoff = BACKOFF_MIN;
    loop {
        match open().await {
            Ok((stream, HelloReply::Welcome { term, leader, .. })) => {
                backoff = BACKOFF_MIN;
                let connection = Arc::new(Connection {
                    sessions: Mutex::default(),
                    outgoing: Outgoing::new(),
                    next_session: AtomicU32::new(1),
                    quiet: AtomicBool::new(false),
                    dead: AtomicBool::new(false),
                });
                // However this ends (cancelled, too), the sessions learn of it.
                let guard = OnEnd { connection: Arc::clone(&connection), current: &current };
                current.store(Some(Arc::clone(&connection)));
                tracing::debug!(%node, "link is up");
                event(LinkEvent::Up { term, leader });
                let (reader, writer) = stream.split();
                let ended = tokio::select! {
                    ended = receive(&connection, reader, &event) => ended,
                    ended = transmit(&connection, writer) => ended,
                };
                drop(guard);
                event(LinkEvent::Down);
                match ended {
                    Ok(()) => tracing::info!(%node, "the node closed the link"),
                    Err(error) => tracing::info!(%node, %error, "link is down"),
                }
            }
            Ok((_, refusal)) => tracing::debug!(%node, ?refusal, "the node refused the link"),
            Err(error) => tracing::debug!(%node, %error, "the node can't be reached"),
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

struct OnEnd<'a> {
    connection: Arc<Connection>,
    current: &'a ArcSwapOption<Connection>,
}

impl Drop for OnEnd<'_> {
    fn drop(&mut self) {
        self.current.store(None);
        self.connection.die();
    }
}

async fn receive(
    connection: &Connection,
    mut reader: FrameReader,
    event: &(impl Fn(LinkEvent) + Send + Sync),
) -> Result<(), NetError> {
    let silence = tokio::time::sleep(QUIET_MAX);
    tokio::pin!(silence);
    loop {
        let frame = tokio::select! {
            biased;
            frame = reader.recv() => frame?,
            () = &mut silence => {
                if connection.quiet.load(Ordering::SeqCst) {
                    return Err(NetError::TimedOut { peer: "the link".to_owned() });
                }
                connection.fall_quiet();
                let left = SILENCE_MAX.saturating_sub(QUIET_MAX);
                silence.as_mut().reset(tokio::time::Instant::now() + left);
                continue;
            }
        };
        connection.quiet.store(false, Ordering::SeqCst);
        silence.as_mut().reset(tokio::time::Instant::now() + QUIET_MAX);
        let Some(mut next) = frame else { return Ok(()) };
        // All that has come in one read is handed out before anybody is waited for.
        loop {
            dispatch(connection, next, event)?;
            match reader.take()? {
                Some(frame) => next = frame,
                None => break,
            }
        }
    }
}

fn dispatch(
    connection: &Connection,
    frame: Bytes,
    event: &(impl Fn(LinkEvent) + Send + Sync),
) -> Result<(), NetError> {
    let (number, down) = Down::decode(frame).map_err(|error| NetError::Protocol {
        peer: "the link".to_owned(),
        cause: error.to_string(),
    })?;
    match down {
        Down::State(state) => event(LinkEvent::State(state)),
        Down::Notified(notification) => event(LinkEvent::Notified(notification)),
        down => {
            let inbox = connection.lock().get(&number).cloned();
            // Of a session that is gone: its last replies.
            if let Some(inbox) = inbox {
                inbox.update(|arrived| arrived.frames.push_back(down));
            }
        }
    }
    Ok(())
}

async fn transmit(connection: &Connection, mut writer: FrameWriter) -> Result<(), NetError> {
    let mut ping = tokio::time::interval(PING_EVERY);
    loop {
        tokio::select! {
            biased;
            () = connection.outgoing.filled() => {}
            _ = ping.tick() => {
                connection.outgoing.push(|queue| {
                    queue.frame(|out| Up::Ping.encode(SessionNumber(0), out));
                });
            }
        }
        connection.outgoing.write_to(&mut writer).await?;
    }
}
