use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use super::super::{
    Canceller, LocalNode, NodeSession, Out, Refusal, Reply, ReplySink, Request, SessionParams,
};
use super::outgoing::Outgoing;
use super::{PAYLOAD_MAX, WINDOW, from_wire};
use crate::net::{FrameReader, FrameStream, FrameWriter, NetError};
use crate::routing::link::{
    Down, NodeState, Notification, ReadyHead, RequestHead, SessionNumber, Up,
};

/// A router pings far more often; without a sign for this long it is gone.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How often changes of the node's state are told without being asked for.
const STATE_EVERY: Duration = Duration::from_millis(50);
/// Sessions that one router may have open.
const SESSIONS_MAX: usize = 65_536;
/// How long units may go on running after a shutdown has begun.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Time for the last replies to leave.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Bytes of one request at most.
const REQUEST_MAX: usize = 1 << 30;

/// Serves a router's sessions on this node until the connection ends, or `shutdown`.
/// At shutdown what is running is finished first; sessions in between units end.
pub async fn serve<N: LocalNode>(
    stream: FrameStream,
    node: N,
    shutdown: CancellationToken,
) -> Result<(), NetError> {
    let outgoing = Arc::new(Outgoing::new());
    let (reader, writer) = stream.split();
    let bulletin = Arc::new(Bulletin(Mutex::new(node.notifications())));
    let transmit = transmit(writer, &node, &outgoing, &bulletin);
    tokio::pin!(transmit);
    tokio::select! {
        ended = receive(reader, &node, &outgoing, &bulletin, shutdown) => {
            ended?;
            outgoing.close();
            tokio::time::timeout(LAST_WORDS, transmit).await.unwrap_or(Ok(()))
        }
        ended = &mut transmit => ended,
    }
}

/// What NOTIFY sends, on its way to the router.
struct Bulletin(Mutex<broadcast::Receiver<Arc<Notification>>>);

impl Bulletin {
    /// Puts what there is into the link's queue: before a reply too, so that a session
    /// hears of its own NOTIFY no later than that it is done.
    fn send(&self, outgoing: &Outgoing) {
        let mut source = self.0.lock().expect("nobody panics while holding it");
        loop {
            match source.try_recv() {
                Ok(told) => outgoing.push(|queue| {
                    queue.frame(|out| told.encode(SessionNumber(0), out));
                }),
                // Other nodes tell them too.
                Err(broadcast::error::TryRecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "a router's link is too slow for its notifications");
                }
                Err(_) => return,
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.0.lock().expect("nobody panics while holding it").is_empty()
    }
}

/// What the reader and a session's task share.
struct Desk {
    number: SessionNumber,
    busy: Arc<Busy>,
    outgoing: Arc<Outgoing>,
    bulletin: Arc<Bulletin>,
    state: Mutex<DeskState>,
}

struct DeskState {
    requests: VecDeque<Request>,
    /// Reply bytes that may still be sent.
    window: usize,
    closed: bool,
    waker: Option<Waker>,
}

struct Entry {
    desk: Arc<Desk>,
    canceller: Canceller,
    /// The parts so far of a request that comes in several frames.
    begun: Option<(RequestHead, BytesMut)>,
}

async fn receive<N: LocalNode>(
    mut reader: FrameReader,
    node: &N,
    outgoing: &Arc<Outgoing>,
    bulletin: &Arc<Bulletin>,
    shutdown: CancellationToken,
) -> Result<(), NetError> {
    let mut sessions = Sessions {
        open: HashMap::new(),
        busy: Arc::default(),
        bulletin: Arc::clone(bulletin),
        stopping: false,
    };
    let silence = tokio::time::sleep(SILENCE_MAX);
    tokio::pin!(silence);
    loop {
        let (stopping, busy) = (sessions.stopping, Arc::clone(&sessions.busy));
        let frame = tokio::select! {
            biased;
            frame = reader.recv() => frame?,
            () = shutdown.cancelled(), if !stopping => {
                sessions.stopping = true;
                silence.as_mut().reset(tokio::time::Instant::now() + DRAIN_MAX);
                continue;
            }
            () = busy.until_idle(), if stopping => return Ok(()),
            () = &mut silence => {
                return if stopping { Ok(()) } else { Err(violation("no sign of life")) };
            }
        };
        if !sessions.stopping {
            silence.as_mut().reset(tokio::time::Instant::now() + SILENCE_MAX);
        }
        let Some(mut next) = frame else { return Ok(()) };
        loop {
            sessions.take(next, node, outgoing)?;
            match reader.take()? {
                Some(frame) => next = frame,
                None => break,
            }
        }
    }
}

/// The sessions of one router; dropping them ends them.
struct Sessions {
    open: HashMap<SessionNumber, Entry>,
    busy: Arc<Busy>,
    bulletin: Arc<Bulletin>,
    /// New requests are refused.
    stopping: bool,
}

/// Counts requests that have come and are not answered.
#[derive(Default)]
struct Busy {
    count: AtomicUsize,
    idle: Notify,
}

impl Busy {
    fn begin(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    fn end(&self) {
        if self.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.idle.notify_one();
        }
    }

    async fn until_idle(&self) {
        while self.count.load(Ordering::SeqCst) > 0 {
            self.idle.notified().await;
        }
    }
}

impl Sessions {
    fn take<N: LocalNode>(
        &mut self,
        frame: Bytes,
        node: &N,
        outgoing: &Arc<Outgoing>,
    ) -> Result<(), NetError> {
        let (number, up) = Up::decode(frame).map_err(|error| violation(&error.to_string()))?;
        match up {
            Up::Open { params } => {
                if self.open.len() >= SESSIONS_MAX {
                    return Err(violation("too many sessions"));
                }
                let params: SessionParams = serde_json::from_slice(&params)
                    .map_err(|error| violation(&format!("malformed parameters: {error}")))?;
                let session = node.open(params);
                let canceller = session.canceller();
                let desk = Arc::new(Desk {
                    number,
                    busy: Arc::clone(&self.busy),
                    outgoing: Arc::clone(outgoing),
                    bulletin: Arc::clone(&self.bulletin),
                    state: Mutex::new(DeskState {
                        requests: VecDeque::new(),
                        window: WINDOW,
                        closed: false,
                        waker: None,
                    }),
                });
                tokio::spawn(work(session, Arc::clone(&desk)));
                self.open.insert(number, Entry { desk, canceller, begun: None });
            }
            Up::Request { head, messages } => {
                let Some(entry) = self.open.get_mut(&number) else {
                    return Err(violation("a request of an unknown session"));
                };
                if self.stopping {
                    let refusal = Refusal::Unavailable("it is shutting down".to_owned());
                    answer(&entry.desk, Err(refusal), &[]);
                } else {
                    entry.request(head, messages)?;
                }
            }
            Up::Cancel => {
                if let Some(entry) = self.open.get(&number) {
                    (entry.canceller.0)();
                }
            }
            Up::Window { bytes } => {
                if let Some(entry) = self.open.get(&number) {
                    entry.desk.update(|state| {
                        state.window = (state.window + bytes as usize).min(WINDOW);
                    });
                }
            }
            Up::Close => {
                if let Some(entry) = self.open.remove(&number) {
                    entry.end();
                }
            }
            Up::Ping => {
                let state = Down::State(node.state());
                outgoing.push(|queue| queue.frame(|out| state.encode(number, out)));
            }
        }
        Ok(())
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        for (_, entry) in self.open.drain() {
            entry.end();
        }
    }
}

impl Entry {
    fn request(&mut self, head: RequestHead, messages: Bytes) -> Result<(), NetError> {
        let (head, messages) = match self.begun.take() {
            None if !head.more => (head, messages),
            begun => {
                let (first, mut so_far) = begun.unwrap_or_else(|| (head, BytesMut::new()));
                if so_far.len() + messages.len() > REQUEST_MAX {
                    return Err(violation("a request without end"));
                }
                so_far.extend_from_slice(&messages);
                if head.more {
                    self.begun = Some((first, so_far));
                    return Ok(());
                }
                (first, so_far.freeze())
            }
        };
        let mode = from_wire(head.mode);
        let request = Request { messages, see: head.see, token: head.token, mode };
        let mut in_time = true;
        self.desk.busy.begin();
        self.desk.update(|state| {
            in_time = state.requests.is_empty();
            state.requests.push_back(request);
        });
        if in_time { Ok(()) } else { Err(violation("a request before the last was taken")) }
    }

    fn end(self) {
        self.desk.update(|state| state.closed = true);
        (self.canceller.0)();
    }
}

impl Desk {
    fn update(&self, change: impl FnOnce(&mut DeskState)) {
        let mut state = self.state.lock().expect("nobody panics while holding it");
        change(&mut state);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits until `ready` takes something out of the state; `None` once closed.
    async fn wait<T>(&self, mut ready: impl FnMut(&mut DeskState) -> Option<T>) -> Option<T> {
        poll_fn(|context| {
            let mut state = self.state.lock().expect("nobody panics while holding it");
            if state.closed {
                return Poll::Ready(None);
            }
            if let Some(taken) = ready(&mut state) {
                return Poll::Ready(Some(taken));
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn is_closed(&self) -> bool {
        self.state.lock().expect("nobody panics while holding it").closed
    }
}

/// One session's task. A panic, which is a fault of ours, ends the session and no other: its
/// router is told, now and whenever it asks again.
async fn work<S: NodeSession>(session: S, desk: Arc<Desk>) {
    let mut session = Some(session);
    let mut out = Out::new(Box::new(WindowedSink(Arc::clone(&desk))));
    while let Some(request) = desk.wait(|state| state.requests.pop_front()).await {
        out.buffer.clear();
        out.flushed = false;
        let result = match &mut session {
            Some(running) => AssertUnwindSafe(running.run(request, &mut out)).catch_unwind().await,
            None => Ok(Err(broken())),
        };
        let result = result.unwrap_or_else(|_| {
            session = None;
            Err(broken())
        });
        // What is no longer small goes as data, in the session's window: a frame has a limit.
        if result.is_ok() && out.buffer.len() > PAYLOAD_MAX {
            let _ = out.flush().await;
        }
        let closed = desk.is_closed();
        if !closed {
            answer(&desk, result, &out.buffer);
        }
        desk.busy.end();
        if closed {
            return;
        }
    }
}

fn broken() -> Refusal {
    Refusal::Failed("the node's session ended by an internal error, which its log tells".to_owned())
}

fn answer(desk: &Desk, result: Result<Reply, Refusal>, data: &[u8]) {
    if !desk.bulletin.is_empty() {
        desk.bulletin.send(&desk.outgoing);
    }
    match result {
        Ok(reply) => {
            let settings = reply.settings.map(|settings| {
                serde_json::to_vec(&*settings).expect("settings are plain JSON").into()
            });
            let head = ReadyHead {
                status: reply.status,
                position: reply.position,
                unfinished: reply.unfinished,
                settings,
            };
            desk.outgoing.push(|queue| {
                queue.frame(|out| {
                    head.encode(desk.number, out);
                    out.extend_from_slice(data);
                });
            });
        }
        Err(refusal) => {
            let reason = serde_json::to_vec(&refusal).expect("a refusal is plain JSON");
            let refused = Down::Refused { reason: reason.into() };
            desk.outgoing.push(|queue| queue.frame(|out| refused.encode(desk.number, out)));
        }
    }
}

/// Sends reply bytes as far as the session's window and the link's queue allow.
struct WindowedSink(Arc<Desk>);

impl ReplySink for WindowedSink {
    fn send<'a>(
        &'a mut self,
        bytes: &'a mut BytesMut,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
        Box::pin(async move {
            while !bytes.is_empty() {
                let length = bytes.len();
                let granted = self.0.wait(|state| {
                    let granted = state.window.min(length);
                    state.window -= granted;
                    (granted > 0).then_some(granted)
                });
                let Some(granted) = granted.await else {
                    bytes.clear();
                    return Err(io::ErrorKind::BrokenPipe.into());
                };
                self.0.outgoing.has_room().await;
                let part = bytes.split_to(granted);
                self.0.outgoing.push(|queue| {
                    queue.frame(|out| {
                        Down::encode_data_head(self.0.number, out);
                        out.extend_from_slice(&part);
                    });
                });
            }
            Ok(())
        })
    }
}

async fn transmit<N: LocalNode>(
    mut writer: FrameWriter,
    node: &N,
    outgoing: &Outgoing,
    bulletin: &Bulletin,
) -> Result<(), NetError> {
    // Only wakes: what it receives is in the bulletin's own receiver too.
    let mut news = node.notifications();
    let mut tick = tokio::time::interval(STATE_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told: Option<NodeState> = None;
    loop {
        tokio::select! {
            biased;
            () = outgoing.filled() => {}
            _ = news.recv() => bulletin.send(outgoing),
            _ = tick.tick() => {
                let state = node.state();
                if told.as_ref() == Some(&state) {
                    continue;
                }
                told = Some(state.clone());
                let frame = Down::State(state);
                outgoing.push(|queue| queue.frame(|out| frame.encode(SessionNumber(0), out)));
            }
        }
        let last = outgoing.is_closed();
        outgoing.write_to(&mut writer).await?;
        if last {
            return Ok(());
        }
    }
}

fn violation(cause: &str) -> NetError {
    NetError::Protocol { peer: "the router".to_owned(), cause: cause.to_owned() }
}
