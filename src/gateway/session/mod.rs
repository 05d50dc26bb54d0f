//! One client's session: reads its units, has each carried out by a node, and gives
//! it the replies.
//!
//! One task a client. On the short way (a read on the local node, or one that fits
//! into a link's batch) a unit costs one read, the node's work, and one write. While
//! a node works the client's socket is still read, within a bound, so that a client

mod outcome;
mod place;
mod socket;
mod work;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::socket::{SocketSink, SocketState};
use self::work::{Unit, Work};
use super::cancel::CancelEntry;
use super::listeners::{Mailbox, Overrun};
use super::nodes::Seat;
use super::serve::Shared;
use super::startup::{self, Identity, Introduced, parameter_statuses};
use super::{CHANNELS, LocalNode, Mode, Out, Request, SessionParams, SettingsMap};
use crate::net::ClientReader;
use crate::pg::backend::{TransactionStatus, Writer};
use crate::pg::{SqlError, SqlState};
use crate::routing::reply::ReplyScan;
use crate::routing::route::Candidate;
use crate::routing::session::{Presence, Session};
use crate::routing::unit::{Cut, Cutter, Need, Summary, summarize};
use crate::sql::catalog::MAINTENANCE_DATABASE;
use crate::sql::classify;
use crate::storage::sqlite::bare_channel;

/// Room made for each read.
const READ_ROOM: usize = 16 * 1024;

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
    from: Option<SocketAddr>,
    shutdown: CancellationToken,
) {
    let mut client = Client::new(shared, introduced, from);
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
    /// By the nodes' numbers.
    seats: BTreeMap<usize, Placed<N>>,
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
    /// The transaction has changed the schema.
    defines: bool,
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

impl<N: LocalNode> Client<N> {
    fn new(shared: Arc<Shared<N>>, introduced: Introduced, client: Option<SocketAddr>) -> Self {
        let Introduced { reader, writer, inbound, identity } = introduced;
        let Identity { user, standing, is_superuser, database, settings, place } = identity;
        let cancel = shared.cancels.register();
        let socket = Arc::new(SocketState::default());
        let sink = SocketSink { writer, state: Arc::clone(&socket) };
        let mut session = Session::new(settings.clone(), rand::random());
        session.saw(shared.nodes.begin_at());
        let backend_pid = cancel.session.pid;
        let params = SessionParams { user, database, settings, backend_pid, client, standing };
        Self {
            seats: BTreeMap::new(),
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
            defines: false,
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

    /// Appends what NOTIFY has sent to a client that is in no transaction: what is there
    /// already comes before ReadyForQuery, where a client looks for what it sent itself.
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
        // No other message ends like this.
        let ready = self.out.buffer.ends_with(b"Z\0\0\0\x05I") && !waiting.is_empty();
        if ready {
            self.out.buffer.truncate(self.out.buffer.len() - 6);
        }
        let mut writer = Writer(&mut self.out.buffer);
        for told in waiting {
            writer.notification(told.pid, bare_channel(&told.channel), &told.payload);
        }
        if ready {
            writer.ready_for_query(TransactionStatus::Idle);
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
                    if let Some(placed) = self.seats.get_mut(&node) {
                        self.session.sent_back(summary, &mut placed.presence);
                    }
                    if !self.refused(node, refusal, &mut work).await? {
                        return Ok(());
                    }
                }
            }
        }
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
