use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::commits::FollowerNews;
use super::fetch::stands_still;
use super::{Progress, Replication, StreamError, lock};
use crate::cluster::{NodeId, Role};
use crate::log::{Lsn, Term};
use crate::net::{FrameReader, FrameStream, FrameWriter};
use crate::node::Leadership;
use crate::replication::message::{Ack, BYTES_MAX, Request, ToFollower, ToLeader, append_front};
use crate::replication::{FollowerLog, LeaderLog, Rejoin, SnapshotReason, rejoin};

/// Bytes sent and not acknowledged at most: then the sender waits for acks.
const WINDOW: u64 = 16 << 20;

/// How long a new commit LSN waits for an append that could carry it.
const COMMIT_DELAY: Duration = Duration::from_millis(1);

/// As what this node sends its log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub term: Term,
    pub part: Part,
}

/// What a node is to its log's sender or receiver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// The leader of the term, whose log it is.
    Leads,
    /// A follower that sends on what the leader sent it.
    Relays,
    /// It has promised the term, which has no leader yet.
    StandsStill,
}

/// A follower's entry in the list of those connected; goes with its connection.
pub(super) struct Listed<'a> {
    replication: &'a Replication,
    follower: &'a NodeId,
    /// Tells this connection's entry from that of a later one.
    number: u64,
    /// In which it is served.
    term: Term,
}

impl<'a> Listed<'a> {
    pub(super) fn new(
        replication: &'a Replication,
        follower: &'a NodeId,
        term: Term,
        at: Progress,
    ) -> Self {
        let number = replication.connections.fetch_add(1, Ordering::Relaxed);
        lock(&replication.hub.followers).insert(follower.clone(), (number, at));
        Self { replication, follower, number, term }
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Progress)) {
        let mut followers = lock(&self.replication.hub.followers);
        match followers.get_mut(self.follower) {
            Some((number, progress)) if *number == self.number => change(progress),
            _ => return,
        }
        self.replication.count_visible(&followers);
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        let mut followers = lock(&self.replication.hub.followers);
        if followers.get(self.follower).is_some_and(|(number, _)| *number == self.number) {
            followers.remove(self.follower);
            self.replication.count_visible(&followers);
            drop(followers);
            self.replication.hub.count(Some(FollowerNews::Left(self.term, self.follower)));
        }
    }
}

impl Replication {
    pub(super) async fn serve_follower(
        &self,
        mut stream: FrameStream,
        follower: &NodeId,
    ) -> Result<(), StreamError> {
        let silence_max = self.silence_max();
        let frame = timeout(silence_max, stream.recv())
            .await
            .map_err(|_| StreamError::Silent(silence_max))??
            .ok_or(StreamError::Closed)?;
        let request = match decode(&frame)? {
            ToLeader::Request(request) => request,
            ToLeader::Fetch(request) => return self.serve_tail(stream, follower, request).await,
            _ => return Err(StreamError::Protocol("an ack before the request".to_owned())),
        };
        if self.relays(request.term) {
            return self.relay(stream, follower, request).await;
        }
        let leadership = self.leadership_for(request.term).await;
        let term = leadership.term;
        if leadership.role == Role::Follower || request.term != term {
            let reason = match leadership.role {
                Role::Follower => format!("{} does not lead in term {term}", self.hub.me),
                Role::Opening | Role::Leader => {
                    format!("the follower is in term {}, the leader in {term}", request.term)
                }
            };
            return refuse(&mut stream, term, reason).await;
        }
        let may_reseed = self.hear_difference(follower, request.differs);
        if let (true, Err(reason)) = (request.reseed, may_reseed) {
            return refuse(&mut stream, term, reason).await;
        }
        let at = match tokio::task::block_in_place(|| self.compare(&request))? {
            Rejoin::Stream { from } => from,
            Rejoin::CutAndStream { at } => at.lsn,
            Rejoin::Snapshot { why } => {
                let held = why.held(request.end.lsn);
                self.hub.count(Some(FollowerNews::Rejoined(term, follower, held)));
                self.hub.count(Some(FollowerNews::Left(term, follower)));
                return self.send_snapshot(stream, follower, term, why).await;
            }
        };
        self.send(stream, follower, &request, Source { term, part: Part::Leads }, at).await
    }

    /// Sends the log from `at` on, and hears how far the follower is with it.
    pub(super) async fn send(
        &self,
        mut stream: FrameStream,
        follower: &NodeId,
        request: &Request,
        source: Source,
        at: Lsn,
    ) -> Result<(), StreamError> {
        let term = source.term;
        tracing::info!(%term, %follower, at = %at, end = %request.end, "a follower joins");
        let held = at.min(request.end.lsn);
        let progress = Progress {
            sent: at,
            written: held,
            durable: held,
            applied: request.applied,
            seeding: false,
        };
        let listed = Listed::new(self, follower, term, progress);
        self.hub.count(Some(FollowerNews::Rejoined(term, follower, held)));
        let commit = self.commit_of(source);
        stream.send(&ToFollower::Start { term, at, commit }.encode()).await?;
        let (acks, appends) = stream.split();
        let (acked, acked_changes) = watch::channel(at);
        tokio::select! {
            biased;
            ended = self.take_acks(acks, term, follower, &listed, &acked) => ended,
            ended = self.send_log(appends, source, at, &listed, acked_changes) => ended,
            () = self.ended(source) => Err(StreamError::Deposed),
        }
    }

    /// Whether a follower whose databases differ from this node's may be re-seeded
    /// from here. One that differs alone may. Where most do, who is wrong is no matter
    /// of counting from here: an operator must look.
    fn hear_difference(&self, follower: &NodeId, frame: Option<Lsn>) -> Result<(), String> {
        let mut differing = lock(&self.differing);
        let Some(frame) = frame else {
            differing.remove(follower);
            return Ok(());
        };
        let since = match differing.get(follower) {
            Some(&(known, since)) if known == frame => since,
            _ => Instant::now(),
        };
        differing.insert(follower.clone(), (frame, since));
        let alike = differing.values().filter(|(other, _)| *other == frame).count();
        let others = self.hub.others().len();
        if alike * 2 > others {
            tracing::error!(%frame, alike, of = others,
                "most followers disagree with this leader on a frame: nobody is re-seeded; \
                 compare the nodes' databases and restore the right one");
            return Err(format!("most followers disagree with the leader on frame {frame}"));
        }
        // The others get a moment to say that they differ, too.
        if since.elapsed() < self.timing.suspicion {
            return Err(format!("waits to hear of the others about frame {frame}"));
        }
        Ok(())
    }

    /// How the follower comes to hold this log.
    pub(super) fn compare(&self, request: &Request) -> Result<Rejoin, StreamError> {
        if request.reseed {
            return Ok(Rejoin::Snapshot { why: SnapshotReason::Asked });
        }
        let (history, end) = (self.reader.history(), self.reader.end().lsn);
        let leader = LeaderLog { history: &history, end, first: self.reader.first() };
        let follower = FollowerLog {
            history: &request.history,
            end: request.end.lsn,
            applied: request.applied,
        };
        let decided = rejoin(&leader, &follower);
        if let Rejoin::Stream { from } = decided {
            let chain = self.reader.chain_at(from)?;
            if chain.hash != request.hash {
                return Ok(Rejoin::Snapshot { why: SnapshotReason::Differs { at: from } });
            }
        }
        Ok(decided)
    }

    async fn take_acks(
        &self,
        mut acks: FrameReader,
        term: Term,
        follower: &NodeId,
        listed: &Listed<'_>,
        acked: &watch::Sender<Lsn>,
    ) -> Result<(), StreamError> {
        let silence_max = self.silence_max();
        loop {
            let frame = timeout(silence_max, acks.recv())
                .await
                .map_err(|_| StreamError::Silent(silence_max))??
                .ok_or(StreamError::Closed)?;
            let ToLeader::Ack(ack) = decode(&frame)? else {
                return Err(StreamError::Protocol("not an ack".to_owned()));
            };
            // The log's own word: what was just appended may be acknowledged as written
            // before the hub has heard of it.
            let end = self.reader.end().lsn;
            if ack.term != term || ack.durable > ack.written || ack.written > end {
                let Ack { durable, written, .. } = ack;
                let cause = format!("an ack of {durable} and {written} in term {}", ack.term);
                return Err(StreamError::Protocol(cause));
            }
            self.hub.count(Some(FollowerNews::Acked(follower, ack)));
            acked.send_replace(ack.durable);
            listed.update(|progress| {
                progress.written = ack.written;
                progress.durable = ack.durable;
                progress.applied = ack.applied;
            });
        }
    }

    /// Sends the log from `sent` on, as it grows.
    async fn send_log(
        &self,
        mut appends: FrameWriter,
        source: Source,
        mut sent: Lsn,
        listed: &Listed<'_>,
        mut acked: watch::Receiver<Lsn>,
    ) -> Result<(), StreamError> {
        let term = source.term;
        let mut end = self.hub.end.subscribe();
        let mut verified = self.hub.verified.subscribe();
        let mut commit = self.hub.commit.subscribe();
        let mut told = Lsn(0);
        let mut heartbeat = tokio::time::interval(self.timing.heartbeat);
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // When the commit LSN goes out by itself; `None` if it is told.
        let mut commit_due: Option<Instant> = None;
        loop {
            end.mark_unchanged();
            verified.mark_unchanged();
            let available = self.available(source);
            let unacked = sent.0.saturating_sub(acked.borrow_and_update().0);
            let room = unacked < WINDOW;
            if sent < available && room {
                let read = || self.reader.read(sent, BYTES_MAX);
                let recent = self.reader.is_recent(sent);
                let mut bytes = if recent { read() } else { tokio::task::block_in_place(read) }?;
                if source.part != Part::Leads {
                    bytes.truncate((available.0 - sent.0) as usize);
                }
                // Looked at after the read: what was read while this node led, or followed
                // the leader, is the leader's log, however the log changes from now on.
                if !self.goes_on(source) {
                    return Err(StreamError::Deposed);
                }
                commit.mark_unchanged();
                told = self.commit_of(source);
                commit_due = None;
                let awaited = self.hub.is_written_awaited();
                for piece in bytes.chunks(BYTES_MAX) {
                    appends.feed(&[&append_front(term, sent, told, awaited), piece]);
                    sent = Lsn(sent.0 + piece.len() as u64);
                    if appends.queued() >= BYTES_MAX {
                        appends.flush().await?;
                    }
                }
                if sent < self.available(source) && appends.queued() < BYTES_MAX {
                    continue;
                }
            }
            if appends.queued() > 0 {
                appends.flush().await?;
                listed.update(|progress| progress.sent = sent);
                continue;
            }
            let now = Instant::now();
            tokio::select! {
                biased;
                _ = end.changed(), if room && source.part == Part::Leads => {}
                _ = verified.changed(), if room && source.part == Part::Relays => {}
                _ = acked.changed(), if !room => {}
                _ = commit.changed(), if commit_due.is_none() => {
                    commit.mark_unchanged();
                    if self.commit_of(source) > told {
                        commit_due = Some(now + COMMIT_DELAY);
                    }
                }
                () = sleep_until(commit_due.unwrap_or(now)), if commit_due.is_some() => {
                    commit.mark_unchanged();
                    told = self.commit_of(source);
                    commit_due = None;
                    appends.feed(&[&ToFollower::Heartbeat { term, commit: told }.encode()]);
                }
                _ = heartbeat.tick() => {
                    commit.mark_unchanged();
                    told = self.commit_of(source);
                    commit_due = None;
                    appends.feed(&[&ToFollower::Heartbeat { term, commit: told }.encode()]);
                }
            }
        }
    }

    /// The own leadership, in a moment when it may answer a follower of `term`: who hears
    /// of an appointment before the appointed node waits here, and not for its next try.
    async fn leadership_for(&self, term: Term) -> Leadership {
        let mut leadership = self.hub.leadership.subscribe();
        let answers =
            |now: &Leadership| now.term > term || (now.term == term && now.role != Role::Follower);
        let waited = timeout(self.timing.suspicion, leadership.wait_for(answers)).await;
        match waited {
            Ok(Ok(now)) => now.clone(),
            _ => self.hub.leadership.borrow().clone(),
        }
    }

    /// The commit LSN that a source may tell: a follower no more than it has of the log.
    fn commit_of(&self, source: Source) -> Lsn {
        let commit = *self.hub.commit.borrow();
        match source.part {
            Part::Leads => commit,
            Part::Relays => commit.min(*self.hub.verified.borrow()),
            Part::StandsStill => Lsn(0),
        }
    }

    /// Up to where a source may send the log.
    fn available(&self, source: Source) -> Lsn {
        match source.part {
            Part::Leads => self.hub.end.borrow().lsn,
            Part::Relays => *self.hub.verified.borrow(),
            Part::StandsStill => *self.hub.durable.borrow(),
        }
    }

    fn goes_on(&self, source: Source) -> bool {
        match source.part {
            Part::Leads => self.leads(source.term),
            Part::Relays => self.relays(source.term),
            Part::StandsStill => stands_still(&self.hub.leadership.borrow(), source.term),
        }
    }

    /// Waits until this node is not that source of the log any more.
    async fn ended(&self, source: Source) {
        match source.part {
            Part::Leads => self.deposed(source.term).await,
            Part::Relays => self.relayed(source.term).await,
            Part::StandsStill => self.moves_on(source.term).await,
        }
    }

    pub(super) fn leads(&self, term: Term) -> bool {
        let leadership = self.hub.leadership.borrow();
        leadership.term == term && leadership.role != Role::Follower
    }

    /// Waits until this node does not lead `term` any more.
    pub(super) async fn deposed(&self, term: Term) {
        let mut leadership = self.hub.leadership.subscribe();
        let ended = |l: &Leadership| l.term != term || l.role == Role::Follower;
        let _ = leadership.wait_for(ended).await;
    }
}

/// Says why, and ends.
pub(super) async fn refuse(
    stream: &mut FrameStream,
    term: Term,
    reason: String,
) -> Result<(), StreamError> {
    stream.send(&ToFollower::Refused { term, reason: reason.clone() }.encode()).await?;
    Err(StreamError::Refused(reason))
}

pub(super) fn decode(frame: &[u8]) -> Result<ToLeader, StreamError> {
    ToLeader::decode(frame).map_err(|error| StreamError::Protocol(error.to_string()))
}
