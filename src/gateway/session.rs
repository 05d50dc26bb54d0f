//! One client's session: reads its units, has each carried out by a node, and gives
//! it the replies.
//!
//! One task a client. On the short way (a read on the local node, or one that fits
//! into a link's batch) a unit costs one read, the node's work, and one write. While
//! a node works the client's socket is still read, within a bound, so that a client
//! that has vanished is noticed and its statement cancelled.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cancel::CancelEntry;
use super::link::Patience;
use super::listeners::{Mailbox, Overrun};
use super::nodes::Seat;
use super::serve::Shared;
use super::startup::{self, Identity, Introduced, parameter_statuses};
use super::{
    CHANNELS, Canceller, LocalNode, Mode, NodeSession, Out, Refusal, Reply, ReplySink, Request,
    SessionParams, SettingsMap,
};
use crate::cluster::Position;
use crate::log::{ClientToken, Term};
use crate::net::{ClientReader, ClientWriter};
use crate::pg::backend::{TransactionStatus, Writer};
use crate::pg::{SqlError, SqlState};
use crate::routing::lost;
use crate::routing::reply::ReplyScan;
use crate::routing::route::{
    Ask, Candidate, Next, Refused, Route, Sent, after_refusal, no_leader, no_node, route,
    unknown_outcome,
};
use crate::routing::session::{Presence, Session};
use crate::routing::unit::{Cut, Cutter, Need, Summary, summarize};
use crate::sql::catalog::MAINTENANCE_DATABASE;
use crate::sql::{Class, classify};
use crate::storage::sqlite::bare_channel;

/// Bytes that a client may send ahead while its unit runs.
const AHEAD_MAX: usize = 256 * 1024;
/// Room made for each read.
const READ_ROOM: usize = 16 * 1024;
/// A unit that waits looks again this often, whatever it hears.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long a leader that was superseded may still answer.
const SUPERSEDED_GRACE: Duration = Duration::from_millis(200);

/// What ends the wait for a node's reply, apart from its link's end.
#[derive(Clone, Copy)]
struct Minding {
    /// That another node leads.
    leader: bool,
    patience: Patience,
}

/// Why a session ends.
enum Ended {
    /// The client is gone.
    Gone,
    /// It said goodbye.
    Terminated,
    /// It is told why, and then it ends.
    Told(Box<SqlError>),
    /// What it is told is on its way, and then it ends.
    Answered,
}

impl From<SqlError> for Ended {
    fn from(error: SqlError) -> Self {
        Self::Told(Box::new(error))
    }
}

/// Serves a client until it goes, breaks the protocol, or the gateway shuts down.
pub(super) async fn serve<N: LocalNode>(
    shared: Arc<Shared<N>>,
    introduced: Introduced,
    shutdown: CancellationToken,
) {
    let mut client = Client::new(shared, introduced);
    let ended = match client.admit().await {
        Ok(()) => client.live(&shutdown).await,
        Err(ended) => ended,
    };
    if let Ended::Told(error) = &ended {
        Writer(&mut client.out.buffer).error(error);
    }
    if matches!(ended, Ended::Told(_) | Ended::Answered) {
        // Whether the client still reads is its own business.
        let _ = tokio::time::timeout(Duration::from_secs(1), client.out.close()).await;
    }
}

struct Client<N: LocalNode> {
    shared: Arc<Shared<N>>,
    session: Session,
    params: SessionParams,
    seats: Vec<Option<Placed<N>>>,
    /// The node that served the session last.
    last: Option<usize>,
    /// The unit of which a part was carried out and more is to come.
    unit: Option<Unit>,
    /// Messages are dropped until Sync.
    skipping: bool,
    reader: ClientReader,
    inbound: BytesMut,
    cutter: Cutter,
    out: Out,
    socket: Arc<SocketState>,
    cancel: CancelEntry,
    /// Where a cancel goes now.
    cancel_goes_to: Option<usize>,
    changes: watch::Receiver<u64>,
    candidates: Vec<Candidate>,
    /// What `in_hot_standby` was last told to be.
    standby: bool,
    /// Where notifications wait, while the session listens.
    mailbox: Option<Arc<Mailbox>>,
    is_superuser: bool,
    /// One of the sessions that its role may have here.
    _place: Option<startup::Presence>,
}

/// The session on one node.
struct Placed<N: LocalNode> {
    seat: Seat<N>,
    presence: Presence,
}

/// A unit in the middle.
#[derive(Clone, Debug, Default)]
struct Unit {
    node: usize,
    need: Need,
    writes: bool,
    /// Something has been run, or rows have gone out.
    executed: bool,
    /// It began with a Query message, and ends without a Sync.
    simple: bool,
    /// COPY data are awaited.
    copying: bool,
    copies: bool,
    /// Its parts so far, as long as nothing was executed.
    earlier: Vec<Bytes>,
}

/// What the socket's sink and the session both see.
#[derive(Default)]
struct SocketState {
    broken: AtomicBool,
    scan: Mutex<Option<ReplyScan>>,
}

struct SocketSink {
    writer: ClientWriter,
    state: Arc<SocketState>,
}

impl ReplySink for SocketSink {
    fn send<'a>(
        &'a mut self,
        bytes: &'a mut BytesMut,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
        Box::pin(async move {
            if let Some(scan) = &mut *self.state.scan() {
                scan.feed(bytes);
            }
            let sent = self.writer.write(bytes).await;
            if sent.is_err() {
                self.state.broken.store(true, Ordering::Relaxed);
            }
            sent
        })
    }

    /// Over TLS too: libpq takes a mere end of the stream for the error.
    fn close<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
        Box::pin(self.writer.shutdown())
    }
}

impl SocketState {
    fn scan(&self) -> std::sync::MutexGuard<'_, Option<ReplyScan>> {
        self.scan.lock().expect("nobody panics while holding it")
    }
}

impl<N: LocalNode> Client<N> {
    fn new(shared: Arc<Shared<N>>, introduced: Introduced) -> Self {
        let Introduced { reader, writer, inbound, identity } = introduced;
        let Identity { user, standing, is_superuser, database, settings, place } = identity;
        let cancel = shared.cancels.register();
        let socket = Arc::new(SocketState::default());
        let sink = SocketSink { writer, state: Arc::clone(&socket) };
        let mut session = Session::new(settings.clone(), rand::random());
        session.saw(shared.nodes.begin_at());
        let backend_pid = cancel.session.pid;
        let params = SessionParams { user, database, settings, backend_pid, standing };
        Self {
            seats: Vec::new(),
            changes: shared.nodes.changes(),
            shared,
            session,
            params,
            last: None,
            unit: None,
            skipping: false,
            reader,
            inbound,
            cutter: Cutter::default(),
            out: Out::new(Box::new(sink)),
            socket,
            cancel,
            cancel_goes_to: None,
            candidates: Vec::new(),
            standby: false,
            mailbox: None,
            is_superuser,
            _place: place,
        }
    }

    /// Greets the client, once it is certain that there is its database. Two are always
    /// there; of the others a node knows.
    async fn admit(&mut self) -> Result<(), Ended> {
        let nodes = &self.shared.nodes;
        nodes.ask_local();
        let named = &self.params.database;
        if *named != self.shared.database && named != MAINTENANCE_DATABASE.0 {
            // The leader minds who is in a database before it is dropped.
            let leads = nodes.leader().is_some();
            let need = if leads { Need::Leader } else { Need::default() };
            let summary = Summary { need, simple: true, ..Summary::default() };
            let empty_query = Bytes::from_static(b"Q\0\0\0\x05\0");
            self.standby = self.is_standby();
            self.carry_out(&empty_query, true, &summary).await?;
            if let Some(error) = first_error(&self.out.buffer) {
                self.out.buffer = error;
                return Err(Ended::Answered);
            }
            self.out.buffer.clear();
        }
        self.greet();
        Ok(())
    }

    fn greet(&mut self) {
        self.standby = self.is_standby();
        let mut writer = Writer(&mut self.out.buffer);
        let params = &self.params;
        let user = (params.user.as_str(), self.is_superuser);
        parameter_statuses(&params.settings, user, self.standby, &mut writer);
        writer.backend_key_data(self.cancel.session.pid, self.cancel.session.secret);
        writer.ready_for_query(TransactionStatus::Idle);
    }

    /// Whether this gateway is a node's own, and that node follows.
    fn is_standby(&self) -> bool {
        let nodes = &self.shared.nodes;
        nodes.local().is_some_and(|local| nodes.leader() != Some(local))
    }

    async fn live(&mut self, shutdown: &CancellationToken) -> Ended {
        let stop = shutdown.clone().cancelled_owned();
        tokio::pin!(stop);
        loop {
            match self.advance(stop.as_mut()).await {
                Ok(()) => {}
                Err(ended) => return ended,
            }
        }
    }

    /// Carries out the next part, or waits for more of it.
    async fn advance(&mut self, stop: Pin<&mut impl Future<Output = ()>>) -> Result<(), Ended> {
        let copying = self.unit.as_ref().is_some_and(|unit| unit.copying);
        match self.cutter.cut(&self.inbound, self.shared.message_max, copying)? {
            Cut::Part { length, complete } => {
                let part = self.inbound.split_to(length).freeze();
                self.part(part, complete).await?;
                if self.out.is_full() {
                    self.flush().await?;
                }
                Ok(())
            }
            Cut::Stray { length } => {
                drop(self.inbound.split_to(length));
                Ok(())
            }
            Cut::Terminate => Err(Ended::Terminated),
            Cut::Partial => {
                self.tell_notifications()?;
                self.flush().await?;
                self.inbound.reserve(READ_ROOM);
                let listens = self.is_between_transactions();
                let mailbox = self.mailbox.as_deref().filter(|_| listens);
                let idle = self.session.idle_limit();
                tokio::select! {
                    biased;
                    () = self.cancel.session.terminated() => Err(terminated()),
                    () = arrival(mailbox) => Ok(()),
                    read = self.reader.read(&mut self.inbound) => match read {
                        Ok(0) | Err(_) => Err(Ended::Gone),
                        Ok(_) => Ok(()),
                    },
                    () = stop => Err(terminated()),
                    error = silence(idle) => Err(error),
                }
            }
        }
    }

    fn is_between_transactions(&self) -> bool {
        self.unit.is_none() && !self.skipping && self.session.status == TransactionStatus::Idle
    }

    /// Appends what NOTIFY has sent to a client that is in no transaction.
    fn tell_notifications(&mut self) -> Result<(), Ended> {
        let Some(mailbox) = self.mailbox.as_ref().filter(|_| self.is_between_transactions()) else {
            return Ok(());
        };
        let waiting = mailbox.take().map_err(|Overrun| {
            SqlError::fatal(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                "terminating connection because it does not take its notifications",
            )
        })?;
        let mut writer = Writer(&mut self.out.buffer);
        for told in waiting {
            writer.notification(told.pid, bare_channel(&told.channel), &told.payload);
        }
        Ok(())
    }

    /// Takes over what the session listens to, of which its settings tell.
    fn subscribe(&mut self, settings: &SettingsMap) {
        let pid = self.cancel.session.pid;
        let listeners = self.shared.nodes.listeners();
        let written = settings.get(CHANNELS);
        if written.is_none() && self.mailbox.is_none() {
            return;
        }
        let channels = written.and_then(|json| serde_json::from_str(json).ok());
        listeners.subscribe(pid, channels.unwrap_or_default());
        self.mailbox = listeners.mailbox(pid);
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        self.out.flush().await.map_err(|_| Ended::Gone)
    }

    /// Has one part carried out, wherever, and its reply put into `out`.
    async fn part(&mut self, part: Bytes, complete: bool) -> Result<(), Ended> {
        if self.skipping {
            if complete && part[part.len() - 5..] == *b"S\0\0\0\x04" {
                self.skipping = false;
                Writer(&mut self.out.buffer).ready_for_query(self.session.status);
            }
            return Ok(());
        }
        if self.session.lost {
            return self.answer_lost(&part);
        }
        let copying = self.unit.as_ref().is_some_and(|unit| unit.copying);
        let summary = if copying {
            Summary { executes: true, ..Summary::default() }
        } else {
            let session = &self.session;
            summarize(&part, session.read_only(), &mut classify, &|name| session.class_of(name))
        };
        if let Some(error) = self.lost_locks(&summary) {
            self.fail(error, &Work::new(self, &summary, complete));
            return Ok(());
        }
        let start = self.out.buffer.len();
        self.cancel.session.set_busy(true);
        let done = self.carry_out(&part, complete, &summary).await;
        self.cancel.session.set_busy(false);
        if self.cancel.session.is_terminated() {
            if !self.out.flushed {
                self.out.buffer.truncate(start);
            }
            return Err(terminated());
        }
        done
    }

    /// What to tell a session whose advisory locks went with their leader. Told once.
    fn lost_locks(&mut self, summary: &Summary) -> Option<SqlError> {
        let at = self.session.locks_at?;
        if summary.discards {
            self.session.locks_at = None;
        }
        // The node that held them is gone, also while nobody leads; or another one leads.
        let lives = self.is_seated(at);
        let replaced = self.shared.nodes.leader().is_some_and(|leader| leader != at);
        if lives && !replaced {
            return None;
        }
        self.session.locks_at = None;
        let message = "the session's advisory locks were lost with the leader that held them";
        Some(SqlError::new(SqlState::SERIALIZATION_FAILURE, message))
    }

    async fn carry_out(
        &mut self,
        part: &Bytes,
        complete: bool,
        summary: &Summary,
    ) -> Result<(), Ended> {
        let mut work = Work::new(self, summary, complete);
        self.out.flushed = false;
        loop {
            let Some((node, see)) = self.place(&mut work).await? else {
                return Ok(());
            };
            if let Err(refusal) = self.prepare(node, see, summary, work.minding()).await? {
                if !self.refused(node, refusal, &mut work).await? {
                    return Ok(());
                }
                continue;
            }
            if work.wants_token(self.unit.as_ref()) {
                work.token.get_or_insert_with(|| self.session.next_token());
            }
            let request = Request {
                messages: part.clone(),
                see,
                token: work.token,
                mode: if work.looks_up { Mode::Lookup } else { Mode::Client },
            };
            let start = self.out.buffer.len();
            let scans = !summary.effects.is_empty();
            if scans {
                *self.socket.scan() = Some(ReplyScan::behind(start));
            }
            let minding = work.minding();
            if work.token.is_some() && !work.looks_up {
                work.sent_in = self.shared.nodes.term();
            }
            let result = self.run_at(node, request, minding).await?;
            let scan = if scans { self.socket.scan().take() } else { None };
            match result {
                Ok(reply) => {
                    let effects = self.effects_done(summary, scan);
                    return self.accept(node, part, complete, summary, &work, reply, effects);
                }
                Err(refusal) => {
                    if let Some(placed) = &mut self.seats[node] {
                        self.session.sent_back(summary, &mut placed.presence);
                    }
                    if !self.refused(node, refusal, &mut work).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Finds a node for the work, waiting for one if need be. `None` if the client
    /// was told that there is none.
    async fn place(&mut self, work: &mut Work) -> Result<Option<(usize, Position)>, Ended> {
        loop {
            if let Some(node) = work.stays_at {
                // A transaction, or the rest of a unit: where its beginning is.
                if self.is_seated(node) {
                    return Ok(Some((node, self.session.position)));
                }
                self.leave(node);
                if self.session.settled_at == Some(node) && work.is_movable(self.unit.as_ref()) {
                    self.unsettle(work);
                    return Ok(None);
                }
                work.stays_at = None;
                if !self.refused(node, Refusal::Unavailable(String::new()), work).await? {
                    return Ok(None);
                }
                continue;
            }
            match self.choose(work) {
                Route::Node { node, see } => {
                    if self.sit(node) {
                        return Ok(Some((node, see)));
                    }
                    work.refused.push(node);
                }
                waits @ (Route::WaitForLeader | Route::WaitForNode) => {
                    let error = if work.looks_up {
                        unknown_outcome()
                    } else if waits == Route::WaitForLeader {
                        no_leader(self.shared.nodes.term())
                    } else {
                        no_node()
                    };
                    if !self.wait_or_fail(work, error).await? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn choose(&mut self, work: &Work) -> Route {
        let position = self.session.position;
        let level = self.session.level();
        if let Some(local) = self.shared.nodes.local()
            && work.need != Need::Leader
            && work.refused.is_empty()
            && level == crate::routing::session::Level::Session
        {
            // The short way: nothing about other nodes is of interest.
            return Route::Node { node: local, see: position };
        }
        self.shared.nodes.candidates(&work.refused, &mut self.candidates);
        let ask = Ask { need: work.need, level, position, last: self.last };
        route(&ask, &self.candidates)
    }

    /// Whether the session is present on a node.
    fn is_seated(&self, node: usize) -> bool {
        let placed = self.seats.get(node).and_then(Option::as_ref);
        placed.is_some_and(|placed| !placed.seat.is_dead())
    }

    /// Makes sure that the session is present on a node, and that a cancel goes there.
    fn sit(&mut self, node: usize) -> bool {
        if self.seats.len() <= node {
            self.seats.resize_with(node + 1, || None);
        }
        if !self.is_seated(node) {
            let Some(seat) = self.shared.nodes.open(node, &self.params) else { return false };
            let presence = Presence::new(&self.session);
            self.seats[node] = Some(Placed { seat, presence });
            self.cancel_goes_to = None;
        }
        if self.cancel_goes_to != Some(node)
            && let Some(placed) = &self.seats[node]
        {
            self.cancel.session.set_node(placed.seat.canceller());
            self.cancel_goes_to = Some(node);
        }
        true
    }

    /// Brings a node to where the session is: settings, prepared statements, and the
    /// parts of the unit that were carried out elsewhere.
    async fn prepare(
        &mut self,
        node: usize,
        see: Position,
        summary: &Summary,
        minding: Minding,
    ) -> Result<Result<(), Refusal>, Ended> {
        // Nothing was done for the client: that a node fell silent leaves nothing unknown.
        let undone = |refusal| match refusal {
            Refusal::Unknown => Refusal::Unavailable("the node can't be reached".to_owned()),
            refusal => refusal,
        };
        let placed = self.seats[node].as_ref().expect("the session sits there");
        if let Some(messages) = self.session.remake(&placed.presence, &summary.uses) {
            let request = Request { messages, see, token: None, mode: Mode::Silent };
            if let Err(refusal) = self.run_at(node, request, minding).await? {
                return Ok(Err(undone(refusal)));
            }
        }
        let placed = self.seats[node].as_mut().expect("the session sits there");
        self.session.remade(&mut placed.presence, &summary.uses);
        let moved = self.unit.as_ref().filter(|unit| unit.node != node);
        if let Some(unit) = moved {
            let mut messages = BytesMut::new();
            for part in &unit.earlier {
                messages.extend_from_slice(part);
            }
            let request =
                Request { messages: messages.freeze(), see, token: None, mode: Mode::Silent };
            if let Err(refusal) = self.run_at(node, request, minding).await? {
                return Ok(Err(undone(refusal)));
            }
            let left =
                std::mem::replace(&mut self.unit.as_mut().expect("it was there before").node, node);
            self.seats[left] = None;
        }
        Ok(Ok(()))
    }

    /// Runs a request on a node where the session sits, minding the client.
    async fn run_at(
        &mut self,
        node: usize,
        request: Request,
        minding: Minding,
    ) -> Result<Result<Reply, Refusal>, Ended> {
        let Self { seats, out, reader, inbound, shared, changes, .. } = self;
        let placed = seats[node].as_mut().expect("the session sits there");
        let outstanding = shared.nodes.begin(node);
        let result = match &mut placed.seat {
            Seat::Local(session) => tokio::select! {
                biased;
                result = session.run(request, out) => Some(result),
                () = vanished(reader, inbound) => return Err(Ended::Gone),
            },
            Seat::Remote(session) => tokio::select! {
                biased;
                result = session.run(request, out, minding.patience) => Some(result),
                () = vanished(reader, inbound) => return Err(Ended::Gone),
                () = superseded(shared, changes, node), if minding.leader => None,
            },
        };
        drop(outstanding);
        if self.socket.broken.load(Ordering::Relaxed) {
            return Err(Ended::Gone);
        }
        match result {
            Some(result) => {
                if matches!(result, Err(Refusal::Unknown)) {
                    self.leave(node);
                }
                Ok(result)
            }
            None => {
                // It can't acknowledge any more; its successor knows the truth.
                self.leave(node);
                Ok(Err(Refusal::Unknown))
            }
        }
    }

    fn leave(&mut self, node: usize) {
        if let Some(seat) = self.seats.get_mut(node) {
            *seat = None;
        }
        self.cancel_goes_to = None;
    }

    /// How many of a part's changes to prepared statements took place.
    fn effects_done(&self, summary: &Summary, scan: Option<ReplyScan>) -> usize {
        let Some(mut scan) = scan else { return 0 };
        scan.feed(&self.out.buffer);
        match (summary.simple, scan.failed) {
            (true, true) => 0,
            (true, false) => summary.effects.len(),
            (false, _) => scan.effects,
        }
    }

    /// Takes what a node says of a part that it has carried out.
    #[allow(clippy::too_many_arguments)]
    fn accept(
        &mut self,
        node: usize,
        part: &Bytes,
        complete: bool,
        summary: &Summary,
        work: &Work,
        reply: Reply,
        effects: usize,
    ) -> Result<(), Ended> {
        self.last = Some(node);
        self.session.saw(reply.position);
        self.shared.nodes.told(node, reply.position);
        if let Some(placed) = &mut self.seats[node] {
            self.session.applied(summary, effects, &mut placed.presence)?;
            if let Some(settings) = reply.settings {
                self.session.set_settings(Arc::clone(&settings), &mut placed.presence);
                self.subscribe(&settings);
            }
        }
        if self.mailbox.is_some() {
            // Hears of what the local node has told before it replied.
            self.shared.nodes.listeners();
        }
        let before = std::mem::replace(&mut self.session.status, reply.status);
        if summary.locks {
            self.session.locks_at = Some(node);
        }
        if summary.settles {
            self.session.settled_at = Some(node);
        } else if summary.discards {
            self.session.settled_at = None;
        }
        if before == TransactionStatus::Idle {
            self.session.read_only_transaction = summary.begins_read_only;
        }
        self.session.home = (reply.status != TransactionStatus::Idle).then_some(node);
        if !reply.unfinished {
            self.unit = None;
            self.tell_role();
            return Ok(());
        }
        let unit = self.unit.get_or_insert_with(Unit::default);
        unit.node = node;
        unit.need = work.need;
        unit.writes |= work.writes;
        unit.simple |= summary.simple;
        unit.copies |= summary.copies;
        unit.copying |= complete || unit.copies;
        unit.executed |= summary.executes;
        if unit.executed {
            unit.earlier.clear();
        } else {
            unit.earlier.push(part.clone());
        }
        Ok(())
    }

    /// Tells the client when its node has begun to lead, or ceased to.
    fn tell_role(&mut self) {
        let standby = self.is_standby();
        if standby != self.standby {
            self.standby = standby;
            let value = if standby { "on" } else { "off" };
            Writer(&mut self.out.buffer).parameter_status("in_hot_standby", value);
        }
    }

    /// Decides on work that a node sent back. Answers whether to go on with it.
    async fn refused(
        &mut self,
        node: usize,
        refusal: Refusal,
        work: &mut Work,
    ) -> Result<bool, Ended> {
        tracing::debug!(node, %refusal, "a node sent work back");
        work.refused.push(node);
        let kind = match &refusal {
            Refusal::NotLeader { term, leader } => {
                self.shared.nodes.hear(*term, leader.as_ref());
                Refused::NotLeader
            }
            Refusal::Behind => Refused::Behind,
            Refusal::Lost => {
                self.session.cut_back();
                Refused::Lost
            }
            Refusal::Unavailable(_) => Refused::Unavailable,
            Refusal::Unknown => Refused::Unknown,
            Refusal::NeverRan => Refused::NeverRan,
            Refusal::Failed(_) => Refused::Failed,
        };
        if work.looks_up {
            match kind {
                Refused::NeverRan => work.looks_up = false,
                // It asks again, until somebody knows or time is up.
                _ => return self.wait_or_fail(work, unknown_outcome()).await,
            }
        }
        let sent = Sent {
            in_transaction: work.in_transaction,
            read_only: self.session.read_only_transaction,
            writes: work.writes,
            token: work.token.is_some(),
            commits: work.commits,
            superseded: work.sent_in < self.shared.nodes.term(),
            answered: self.out.flushed || self.unit.as_ref().is_some_and(|unit| unit.executed),
        };
        match after_refusal(kind, &sent) {
            Next::Retry(need) => {
                work.need = work.need.max(need);
                work.writes |= need == Need::Leader;
                work.stays_at = None;
                Ok(true)
            }
            Next::LookUp => {
                work.looks_up = true;
                work.need = Need::Leader;
                work.stays_at = None;
                Ok(true)
            }
            Next::Fail(mut error) => {
                self.leave(node);
                if let Refusal::Failed(cause) = refusal {
                    error.detail = Some(cause);
                }
                self.fail(*error, work);
                Ok(false)
            }
        }
    }

    /// Waits for news, and forgives those that refused. `false` once the client has
    /// been told `error` because time is up, or that its wait was cancelled.
    async fn wait_or_fail(&mut self, work: &mut Work, error: SqlError) -> Result<bool, Ended> {
        let deadline =
            *work.deadline.get_or_insert_with(|| Instant::now() + self.shared.leader_wait);
        let cancel = Arc::clone(&self.cancel.session);
        let cancelled = tokio::select! {
            _ = self.changes.changed() => false,
            () = tokio::time::sleep_until(deadline.min(Instant::now() + LOOK_AGAIN)) => false,
            () = cancel.waiting.notified() => true,
            () = vanished(&mut self.reader, &mut self.inbound) => return Err(Ended::Gone),
        };
        if cancelled {
            // What is looked up may have taken place: that answer can't be hurried.
            let told = if work.looks_up {
                unknown_outcome()
            } else {
                SqlError::new(SqlState::QUERY_CANCELED, "canceling statement due to user request")
            };
            self.fail(told, work);
            return Ok(false);
        }
        if Instant::now() >= deadline {
            self.fail(error, work);
            return Ok(false);
        }
        work.refused.clear();
        Ok(true)
    }

    /// Tells the client that its unit has failed, and what state that leaves.
    fn fail(&mut self, error: SqlError, work: &Work) {
        let in_transaction = work.in_transaction && !work.commits;
        if let Some(node) = self.session.home.take().or(self.unit.as_ref().map(|unit| unit.node)) {
            // What is half done there ends with the session's presence.
            self.leave(node);
            if self.session.settled_at == Some(node) {
                self.session.settled_at = None;
            }
        }
        self.session.lost = in_transaction;
        self.session.unheard = in_transaction && !work.executes;
        self.session.status =
            if in_transaction { TransactionStatus::Failed } else { TransactionStatus::Idle };
        let simple = self.unit.take().is_some_and(|unit| unit.simple);
        let mut writer = Writer(&mut self.out.buffer);
        writer.error(&error);
        if work.complete || simple {
            writer.ready_for_query(self.session.status);
        } else {
            self.skipping = true;
        }
    }

    /// The node is gone where the session had something that can't be made again.
    fn unsettle(&mut self, work: &Work) {
        self.session.settled_at = None;
        let error = SqlError::new(
            SqlState::SERIALIZATION_FAILURE,
            "the session's temporary objects were lost with the node that held them",
        );
        self.fail(error, work);
    }

    fn answer_lost(&mut self, part: &Bytes) -> Result<(), Ended> {
        let session = &self.session;
        let summary = summarize(part, false, &mut classify, &|name| session.class_of(name));
        let answered = lost::answer(
            part,
            session.unheard,
            &mut |text: &str| -> Class { classify(text) },
            &|name| session.class_of(name),
            &mut self.out.buffer,
        );
        self.session.unheard &= !answered.heard && !answered.ended;
        if answered.ended {
            self.session.lost = false;
            self.session.status = TransactionStatus::Idle;
        }
        self.skipping = answered.skipping;
        Ok(self.session.applied_here(&summary, answered.effects)?)
    }
}

impl<N: LocalNode> Drop for Client<N> {
    fn drop(&mut self) {
        if self.mailbox.is_some() {
            self.shared.nodes.listeners().forget(self.cancel.session.pid);
        }
    }
}

fn terminated() -> Ended {
    Ended::from(SqlError::fatal(
        SqlState::ADMIN_SHUTDOWN,
        "terminating connection due to administrator command",
    ))
}

/// Ends when the client has been silent for too long, if there is such a limit.
async fn silence(limit: Option<(Duration, SqlError)>) -> Ended {
    match limit {
        Some((limit, error)) => {
            tokio::time::sleep(limit).await;
            error.into()
        }
        None => std::future::pending().await,
    }
}

/// Ends when something has arrived in the mailbox, if there is one.
async fn arrival(mailbox: Option<&Mailbox>) {
    match mailbox {
        Some(mailbox) => mailbox.arrived.notified().await,
        None => std::future::pending().await,
    }
}

/// A part on its way.
struct Work {
    need: Need,
    writes: bool,
    commits: bool,
    /// A client looks at how it ends.
    executes: bool,
    complete: bool,
    in_transaction: bool,
    /// Where it must go, as long as that is possible.
    stays_at: Option<usize>,
    token: Option<ClientToken>,
    /// Its outcome is asked for.
    looks_up: bool,
    /// The newest term that was known when it was last sent to be run.
    sent_in: Term,
    /// Those that have refused it.
    refused: Vec<usize>,
    /// When the client has waited enough; set when it begins to wait.
    deadline: Option<Instant>,
}

impl Work {
    fn new<N: LocalNode>(client: &Client<N>, summary: &Summary, complete: bool) -> Self {
        let unit = client.unit.as_ref();
        let in_transaction = client.session.status != TransactionStatus::Idle;
        let need = summary.need.max(unit.map_or(Need::Any, |unit| unit.need));
        // What was left somewhere is there; but writes are the leader's.
        let settled_at = client
            .session
            .settled_at
            .filter(|node| need != Need::Leader || client.shared.nodes.leader() == Some(*node));
        Self {
            need,
            writes: summary.writes || unit.is_some_and(|unit| unit.writes),
            commits: summary.commits,
            executes: summary.executes,
            complete,
            in_transaction,
            stays_at: unit.map(|unit| unit.node).or(client.session.home).or(settled_at),
            token: None,
            looks_up: false,
            sent_in: Term(0),
            refused: Vec::new(),
            deadline: None,
        }
    }

    /// What ends the wait for a node's reply before the link does.
    fn minding(&self) -> Minding {
        let anywhere = self.need != Need::Leader
            && !self.writes
            && !self.in_transaction
            && self.stays_at.is_none();
        Minding {
            leader: self.need == Need::Leader,
            patience: if anywhere { Patience::Short } else { Patience::Long },
        }
    }

    /// It is neither part of a transaction nor of a unit that has begun.
    fn is_movable(&self, unit: Option<&Unit>) -> bool {
        !self.in_transaction && unit.is_none()
    }

    /// A COMMIT, or a unit that commits by itself, gets a token; not the end of a unit
    /// of which parts have been answered, for its look-up would have to answer them.
    fn wants_token(&self, unit: Option<&Unit>) -> bool {
        self.complete
            && !unit.is_some_and(|unit| unit.executed)
            && (self.commits || (self.writes && !self.in_transaction))
    }
}

impl<N: LocalNode> Seat<N> {
    fn is_dead(&self) -> bool {
        match self {
            Self::Local(_) => false,
            Self::Remote(session) => session.is_dead(),
        }
    }

    fn canceller(&self) -> Canceller {
        match self {
            Self::Local(session) => session.canceller(),
            Self::Remote(session) => session.canceller(),
        }
    }
}

/// The first ErrorResponse among a node's messages.
fn first_error(messages: &BytesMut) -> Option<BytesMut> {
    let mut messages = messages.clone();
    loop {
        let length: [u8; 4] = messages.get(1..5)?.try_into().ok()?;
        let length = usize::try_from(u32::from_be_bytes(length)).ok()? + 1;
        if messages.len() < length {
            return None;
        }
        let message = messages.split_to(length);
        if message[0] == b'E' {
            return Some(message);
        }
    }
}

/// Ends when the client has gone. What it sends meanwhile is kept, up to a bound.
async fn vanished(reader: &mut ClientReader, inbound: &mut BytesMut) {
    loop {
        if inbound.len() >= AHEAD_MAX {
            // The kernel still notices a peer that is gone, at the next write.
            std::future::pending::<()>().await;
        }
        inbound.reserve(READ_ROOM);
        match reader.read(inbound).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Ends when another node than `node` leads, a grace after that became known.
async fn superseded<N: LocalNode>(
    shared: &Shared<N>,
    changes: &mut watch::Receiver<u64>,
    node: usize,
) {
    loop {
        changes.borrow_and_update();
        if shared.nodes.leader().is_some_and(|leader| leader != node) {
            tokio::time::sleep(SUPERSEDED_GRACE).await;
            if shared.nodes.leader().is_some_and(|leader| leader != node) {
                return;
            }
        } else if changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
