use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::relay::AFTER_FAILURE;
use super::serve::Part;
use super::{Replication, StreamError, is_final, lock, publish};
use crate::cluster::{NodeId, Role};
use crate::log::frame::{FrameError, Header};
use crate::log::{Lsn, Term};
use crate::net::{FrameReader, FrameStream, FrameWriter, dial};
use crate::node::{Leadership, Quarantine, Space, boottime_ns};
use crate::replication::message::{Ack, Request, ToFollower, ToLeader};
use crate::storage::log_store::{LogError, LogSync};

/// Pause before the leader is dialled again.
const RETRY: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// Taken at once at most, before anything else gets its turn.
const TAKEN_MAX: usize = 8 << 20;

/// As much as this is synced beside the stream, which goes on meanwhile: who catches up
/// receives and syncs at once. Less is synced here, for a hand-over costs more.
const BULK: u64 = 1 << 20;

/// Least time between two acks that only tell what was applied.
const APPLIED_ACK: Duration = Duration::from_millis(5);

/// A stream of the log, in order.
pub(super) struct Stream<'a> {
    replication: &'a Replication,
    term: Term,
    /// What the sender is.
    from: Part,
    sync: LogSync,
    /// The sync under way beside the stream.
    syncing: Option<JoinHandle<Result<Lsn, LogError>>>,
    pub(super) appends: FrameReader,
    acks: FrameWriter,
    /// The front of a frame whose rest has not arrived.
    partial: BytesMut,
    /// The commit LSN told last.
    told: Lsn,
    /// What is appended and not synced is to be acknowledged as written.
    ack_written: bool,
    /// What the last ack said.
    acked: (Lsn, Lsn),
    last_ack: Instant,
}

impl Replication {
    /// Starts the thread that follows, whenever another node leads, until shutdown.
    ///
    /// A thread of its own, with its own event loop: its syncs block nobody, and
    /// between bytes that arrive and their ack lies no hand-over to another task.
    pub(super) fn follow(
        self: Arc<Self>,
        shutdown: CancellationToken,
    ) -> std::thread::JoinHandle<()> {
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(async {
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        error = self.follow_leaders() => self.end(error),
                    }
                    self.hub.upstream.send_replace(None);
                }),
                Err(error) => tracing::error!(%error, "cannot start the follower's event loop"),
            }
        };
        std::thread::Builder::new()
            .name("follow".to_owned())
            .spawn(run)
            .expect("a thread can be started")
    }

    /// Returns only if the log is of no use any more.
    async fn follow_leaders(&self) -> LogError {
        let mut leadership = self.hub.leadership.subscribe();
        let mut fetch = self.hub.fetch.subscribe();
        let mut failures = 0;
        // A quarantined node asks for a snapshot, but follows on while it gets none.
        let mut reseed_after = Instant::now();
        let mut through_after = Instant::now();
        loop {
            let now = leadership.borrow_and_update().clone();
            let Some(leader) = followed(&now, &self.hub.me) else {
                failures = 0;
                fetch.mark_unchanged();
                // The senders live as long as the hub that is borrowed here.
                tokio::select! {
                    _ = leadership.wait_for(|next| *next != now) => {}
                    _ = fetch.changed() => {}
                    error = self.maybe_fetch(&now) => return error,
                }
                continue;
            };
            self.hub.forget_leader();
            let way = self.way(&leader, through_after);
            let upstream = way.as_ref().unwrap_or(&leader);
            let ended = tokio::select! {
                ended = self.follow_node(&now, upstream, reseed_after) => ended,
                () = self.way_opens(&now, through_after), if way.is_none() => Ok(()),
                _ = leadership.wait_for(|next| *next != now) => Err(StreamError::Deposed),
            };
            self.hub.upstream.send_replace(None);
            if let Err(StreamError::Deposed) = ended {
                failures = 0;
                continue;
            }
            if let (Some(way), Err(error)) = (&way, &ended)
                && !matches!(error, StreamError::Log(error) if is_final(error))
            {
                tracing::info!(term = %now.term, through = %way, %error, "follows the leader itself");
                through_after = Instant::now() + AFTER_FAILURE;
                continue;
            }
            match ended {
                Err(StreamError::Reseeded | StreamError::Quarantined) => failures = 0,
                Err(StreamError::NotReseeded(reason)) => {
                    tracing::warn!(term = %now.term, %leader, reason, "not re-seeded");
                    reseed_after = Instant::now() + self.timing.suspicion * 2;
                    failures = 0;
                }
                Err(StreamError::Log(error)) if is_final(&error) => {
                    return error;
                }
                Err(error) => {
                    // Said once, then only when it is something else or lasts.
                    if failures % 20 == 0 {
                        tracing::warn!(term = %now.term, %leader, %error, "not following");
                    }
                    failures += 1;
                }
                Ok(()) => failures = 0,
            }
            if self.hub.leader_seen_ns().is_some() {
                self.hub.lost_leader();
            }
            let pause = (RETRY * (failures.min(20) + 1)).min(RETRY_MAX);
            tokio::select! {
                () = sleep(pause) => {}
                _ = leadership.wait_for(|next| *next != now) => {}
            }
        }
    }

    /// Follows the leader, or another follower, until the connection ends or a snapshot is
    /// installed.
    async fn follow_node(
        &self,
        now: &Leadership,
        node: &NodeId,
        reseed_after: Instant,
    ) -> Result<(), StreamError> {
        let term = now.term;
        let leads = now.leader.as_ref() == Some(node);
        let address = self.hub.address(node);
        let address =
            address.ok_or_else(|| StreamError::Refused(format!("{node} is no member")))?;
        let mut request = self.request(term)?;
        let quarantined = self.hub.quarantine.borrow().is_some();
        request.reseed = quarantined && Instant::now() >= reseed_after;
        let hello = self.hello();
        let patience = self.silence_max();
        let (mut stream, _) =
            dial(&address, &self.tls, Some(node.as_str()), &hello, patience).await?;
        stream.send(&ToLeader::Request(request.clone()).encode()).await?;
        let answer = timeout(patience, stream.recv())
            .await
            .map_err(|_| StreamError::Silent(patience))??
            .ok_or(StreamError::Closed)?;
        if leads {
            self.hub.saw_leader(boottime_ns());
        }
        match decode(&answer)? {
            ToFollower::Start { term: said, at, commit }
                if said == term && (leads || at == request.end.lsn) =>
            {
                self.join(&request, at, commit)?;
                self.remove_unfinished();
                tracing::info!(%term, %node, at = %at, "following");
                self.hub.upstream.send_replace(Some((term, node.clone())));
                self.stream(stream, term, leads, commit, reseed_after).await
            }
            ToFollower::Snapshot(snapshot) if leads && snapshot.term == term => {
                self.receive_snapshot(stream, &request, snapshot).await
            }
            ToFollower::Refused { reason, .. } if request.reseed => {
                Err(StreamError::NotReseeded(reason))
            }
            ToFollower::Refused { reason, .. } => Err(StreamError::Refused(reason)),
            _ => Err(StreamError::Protocol("no answer to the request".to_owned())),
        }
    }

    /// Where this node stands. All of its log is durable then.
    pub(super) fn request(&self, term: Term) -> Result<Request, StreamError> {
        let syncer = lock(&self.log).syncer();
        syncer.sync()?;
        let log = lock(&self.log);
        self.publish_log(&log);
        // Not only what is applied, but all that may still come to be on what is
        // known now; nothing raises that before the answer.
        let recorded = lock(&self.control).get().commit.min(log.durable());
        let applied = (*self.hub.applied.borrow()).max(self.hub.apply_bound()).max(recorded);
        Ok(Request {
            term,
            end: log.end(),
            hash: log.hash(),
            applied,
            differs: match *self.hub.quarantine.borrow() {
                Some(Quarantine::Differs(frame)) => Some(frame),
                // This node's own fault: nobody's word stands against another's.
                Some(
                    Quarantine::Edited(_) | Quarantine::Damaged(_) | Quarantine::LeftBehind(_),
                )
                | None => None,
            },
            reseed: false,
            history: log.history().clone(),
        })
    }

    /// The log is the leader's up to `at`: what lies beyond is saved and cut.
    pub(super) fn join(&self, request: &Request, at: Lsn, commit: Lsn) -> Result<(), StreamError> {
        if at > request.end.lsn || at < request.applied {
            let cause = format!("told to cut at {at}, the log ends at {}", request.end);
            return Err(StreamError::Protocol(cause));
        }
        if at < request.end.lsn {
            self.save_diverged(at)?;
            let mut log = lock(&self.log);
            self.check_follows(request.term)?;
            // All that bounds what is applied goes first, then the bytes.
            self.hub.verified.send_if_modified(|held| lower(held, at));
            self.hub.commit.send_if_modified(|held| lower(held, at));
            log.cut(at)?;
            self.publish_log(&log);
        }
        self.check_follows(request.term)?;
        publish(&self.hub.verified, at);
        self.raise_commit(commit, at);
        Ok(())
    }

    /// Takes what the leader sends until the connection ends.
    async fn stream(
        &self,
        stream: FrameStream,
        term: Term,
        leads: bool,
        commit: Lsn,
        reseed_after: Instant,
    ) -> Result<(), StreamError> {
        let from = if leads { Part::Leads } else { Part::Relays };
        let mut stream = Stream::new(self, stream, term, from, commit);
        let mut applied = self.hub.applied.subscribe();
        let mut quarantine = self.hub.quarantine.subscribe();
        let mut heartbeat = tokio::time::interval(self.timing.heartbeat);
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let silence_max = self.silence_max();
        let mut heard = Instant::now();
        let mut space = self.hub.space.subscribe();
        stream.settle().await?;
        loop {
            // A disk that is nearly full takes nothing more: the leader waits for acks.
            let full = *space.borrow_and_update() == Space::Scarce;
            if full {
                heard = Instant::now();
            }
            tokio::select! {
                biased;
                _ = space.changed() => {}
                frame = stream.appends.recv(), if !full => {
                    let frame = frame?.ok_or(StreamError::Closed)?;
                    heard = Instant::now();
                    if leads {
                        self.hub.saw_leader(boottime_ns());
                    }
                    stream.take(frame).await?;
                }
                synced = done(&mut stream.syncing) => {
                    stream.syncing = None;
                    synced?;
                    stream.sync()?;
                    stream.settle().await?;
                }
                // Not at every step of the applier: a wake-up costs more than it tells.
                () = sleep(APPLIED_ACK), if stream.last_ack.elapsed() < APPLIED_ACK => {}
                _ = applied.changed(), if stream.last_ack.elapsed() >= APPLIED_ACK => {
                    stream.maybe_ack(false).await?;
                }
                _ = heartbeat.tick() => {
                    if heard.elapsed() > silence_max {
                        return Err(StreamError::Silent(silence_max));
                    }
                    stream.maybe_ack(true).await?;
                }
                () = async {
                    sleep_until(reseed_after).await;
                    let _ = quarantine.wait_for(Option::is_some).await;
                } => return Err(StreamError::Quarantined),
            }
        }
    }

    /// What the leader told as committed, as far as this log reaches: never beyond
    /// its end, or frames of a later leadership would count before they are.
    pub(super) fn raise_commit(&self, told: Lsn, end: Lsn) {
        let commit = told.min(end);
        self.hub.commit.send_if_modified(|held| {
            let rises = commit > *held;
            *held = commit.max(*held);
            rises
        });
    }

    pub(super) fn check_follows(&self, term: Term) -> Result<(), StreamError> {
        let leadership = self.hub.leadership.borrow();
        if leadership.term == term && leadership.role == Role::Follower {
            Ok(())
        } else {
            Err(StreamError::Deposed)
        }
    }
}

impl<'a> Stream<'a> {
    pub(super) fn new(
        replication: &'a Replication,
        stream: FrameStream,
        term: Term,
        from: Part,
        commit: Lsn,
    ) -> Self {
        let (appends, acks) = stream.split();
        Self {
            replication,
            term,
            from,
            sync: lock(&replication.log).syncer(),
            syncing: None,
            appends,
            acks,
            partial: BytesMut::new(),
            told: commit,
            ack_written: false,
            acked: (Lsn(0), Lsn(0)),
            last_ack: Instant::now(),
        }
    }

    /// Takes a message and all that have arrived with it, then syncs and
    /// acknowledges once.
    pub(super) async fn take(&mut self, first: Bytes) -> Result<(), StreamError> {
        let mut appended = self.message(first)?;
        while appended < TAKEN_MAX {
            let Some(frame) = self.appends.take()? else { break };
            appended += self.message(frame)?;
        }
        if std::mem::take(&mut self.ack_written) {
            self.maybe_ack(true).await?;
        }
        if appended > 0 {
            self.sync()?;
        }
        self.settle().await
    }

    /// Syncs all that was taken.
    pub(super) async fn finish(&mut self) -> Result<(), StreamError> {
        if self.syncing.is_some() {
            let synced = done(&mut self.syncing).await;
            self.syncing = None;
            synced?;
        }
        self.sync.sync()?;
        self.settle().await
    }

    /// Syncs what is appended, much of it beside the stream. What is appended while that
    /// goes on has its turn when it ends.
    fn sync(&mut self) -> Result<(), StreamError> {
        if self.syncing.is_some() {
            return Ok(());
        }
        let (end, durable) = {
            let log = lock(&self.replication.log);
            (log.end().lsn, log.durable())
        };
        if end.0 - durable.0 >= BULK {
            let sync = self.sync.clone();
            self.syncing = Some(spawn_blocking(move || sync.sync()));
        } else {
            self.sync.sync()?;
        }
        Ok(())
    }

    /// Bytes appended.
    fn message(&mut self, frame: Bytes) -> Result<usize, StreamError> {
        match decode(&frame)? {
            ToFollower::Append { term, start, commit, ack_written, bytes } if term == self.term => {
                self.told = self.told.max(commit);
                self.ack_written |= ack_written;
                self.append(start, bytes)
            }
            ToFollower::Heartbeat { term, commit } if term == self.term => {
                self.told = self.told.max(commit);
                Ok(0)
            }
            ToFollower::Refused { reason, .. } => Err(StreamError::Refused(reason)),
            _ => Err(StreamError::Protocol("not a message of this stream".to_owned())),
        }
    }

    fn append(&mut self, start: Lsn, bytes: Bytes) -> Result<usize, StreamError> {
        let replication = self.replication;
        let mut log = lock(&replication.log);
        let end = log.end().lsn;
        if start.0 != end.0 + self.partial.len() as u64 {
            let cause = format!("bytes for {start}, but the log ends at {end}");
            return Err(StreamError::Protocol(cause));
        }
        let bytes = if self.partial.is_empty() {
            bytes
        } else {
            self.partial.extend_from_slice(&bytes);
            self.partial.split().freeze()
        };
        let whole = whole_frames(&bytes)?;
        if whole > 0 {
            log.append_copy(self.term, end, &bytes[..whole])?;
            publish(&replication.hub.end, log.end());
        }
        self.partial.extend_from_slice(&bytes[whole..]);
        Ok(whole)
    }

    /// Acknowledges what is durable, then shows it to this node.
    async fn settle(&mut self) -> Result<(), StreamError> {
        let hub = &self.replication.hub;
        self.maybe_ack(false).await?;
        let (end, history_start) = {
            let log = lock(&self.replication.log);
            self.replication.check_follows(self.term)?;
            self.replication.publish_log(&log);
            (log.durable(), log.history().start_of(self.term))
        };
        publish(&hub.verified, end);
        self.replication.raise_commit(self.told, end);
        // Only a commit LSN within the leader's own term covers all that earlier
        // terms have committed (P4).
        let covers =
            self.from == Part::Leads && history_start.is_some_and(|start| self.told > start);
        if covers && end >= self.told {
            publish(&hub.caught_up, self.term);
        }
        Ok(())
    }

    /// Tells the leader what this node has, if something durable or applied is news or
    /// `anyway`.
    async fn maybe_ack(&mut self, anyway: bool) -> Result<(), StreamError> {
        let (written, durable) = {
            let log = lock(&self.replication.log);
            (log.end().lsn, log.durable())
        };
        let applied = *self.replication.hub.applied.borrow();
        if !anyway && self.acked == (durable, applied) {
            return Ok(());
        }
        self.replication.check_follows(self.term)?;
        let ack = Ack { term: self.term, durable, applied, written };
        self.acks.feed(&[&ToLeader::Ack(ack).encode()]);
        self.acks.flush().await?;
        self.acked = (durable, applied);
        self.last_ack = Instant::now();
        Ok(())
    }
}

/// How the sync ends that is under way; never, if none is.
async fn done(syncing: &mut Option<JoinHandle<Result<Lsn, LogError>>>) -> Result<Lsn, StreamError> {
    match syncing {
        Some(syncing) => {
            let synced = syncing.await;
            Ok(synced.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?)
        }
        None => std::future::pending().await,
    }
}

/// Whom to follow, if anyone.
fn followed(leadership: &Leadership, me: &NodeId) -> Option<NodeId> {
    let leader = leadership.leader.as_ref().filter(|leader| *leader != me)?;
    (leadership.role == Role::Follower).then(|| leader.clone())
}

pub(super) fn lower(held: &mut Lsn, to: Lsn) -> bool {
    let lowers = *held > to;
    *held = (*held).min(to);
    lowers
}

/// Length of the whole frames at the front of `bytes`.
fn whole_frames(bytes: &[u8]) -> Result<usize, StreamError> {
    let mut at = 0;
    loop {
        match Header::decode(&bytes[at..]) {
            Ok(header) if at + header.length <= bytes.len() => at += header.length,
            Ok(_) | Err(FrameError::Truncated { .. }) => return Ok(at),
            Err(error) => return Err(StreamError::Protocol(error.to_string())),
        }
    }
}

pub(super) fn decode(frame: &Bytes) -> Result<ToFollower, StreamError> {
    ToFollower::decode(frame).map_err(|error| StreamError::Protocol(error.to_string()))
}
