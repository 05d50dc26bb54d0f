//! The control task: selects an event, steps the oath, executes.
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::keep::Keep;
use super::links::{Dialler, LinkEvent, Links, Peer};
use super::{KeepError, Request};
use crate::cluster::{Configuration, NodeId, Role, Roll, View};
use crate::config::{NodeConfig, Timing};
use crate::failover::{
    FromPeer, Lease, Moment, Oath, OathCommand, OathInput, Office, Practice, PromiseMade, Report,
    Source, ToMonitor, ToNode, ToPeer, decode, encode,
};
use crate::log::{Lsn, Term};
use crate::net::{Hello, PeerTls, Purpose};
use crate::node::{Hub, Leadership, boottime_ns};
use crate::storage::control_file::ControlFile;
use crate::storage::log_store::LogStore;
use crate::supervisor::Supervisor;

pub(super) struct Service {
    hub: Arc<Hub>,
    keep: Keep,
    oath: Oath,
    /// While in office.
    lease: Option<Lease>,
    /// Of the last office.
    practice: Practice,
    links: Links,
    timing: Timing,
    /// Addresses of the monitors; of several one acts.
    monitors: Vec<String>,
    sql: String,
    cluster: String,
    /// A planned hand-over: the term, until when, and whether the monitor knows.
    freeze: Option<Freeze>,
    /// Who waits for this node to lead no longer.
    handovers: Vec<oneshot::Sender<bool>>,
    /// Which member is asked next who leads.
    turn: usize,
    /// How many re-seedings the oath knows of.
    reseedings: u64,
    /// Why the own term ended, for the monitor.
    failure: String,
}

struct Freeze {
    term: Term,
    until: Moment,
    told: bool,
}

/// Why the loop woke.
enum Wake {
    Heartbeat,
    /// The wait of an office may be over, or a freeze.
    Timer,
    Link(LinkEvent),
    Request(Request),
    /// Something in the hub moved.
    Hub,
    /// The leader's stream ended.
    LeaderLost,
    Shutdown,
}

impl Service {
    pub(super) fn new(
        config: &NodeConfig,
        hub: Arc<Hub>,
        control: Arc<Mutex<ControlFile>>,
        log: Arc<Mutex<LogStore>>,
        tls: PeerTls,
    ) -> Self {
        let hello = Hello {
            version: 1,
            cluster: config.cluster.clone(),
            name: config.name.to_string(),
            purpose: Purpose::Control,
            instance: rand::random::<u64>() | 1,
        };
        let timeout = config.timing.suspicion.max(Duration::from_millis(100));
        let keep = Keep { control, log };
        let oath = Oath::new(config.name.clone(), keep.bound(), now());
        Self {
            oath,
            lease: None,
            practice: Practice::default(),
            links: Links::new(Dialler { tls, hello, timeout }),
            timing: config.timing,
            monitors: config.monitors.clone(),
            sql: config.sql.listen.clone(),
            cluster: config.cluster.clone(),
            freeze: None,
            handovers: Vec::new(),
            reseedings: 0,
            turn: 0,
            failure: String::new(),
            hub,
            keep,
        }
    }

    pub(super) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        supervisor: Arc<Supervisor>,
        shutdown: CancellationToken,
    ) -> Result<(), KeepError> {
        let term = self.oath.bound().term;
        self.keep.fence(term).await;
        self.publish(term, Role::Follower, None);
        if !self.monitors.is_empty() {
            self.links.keep_dialled(Peer::Monitor, self.monitors.clone(), None);
        }
        let hub = Arc::clone(&self.hub);
        let mut heartbeat = interval(self.timing.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut commit = hub.commit.subscribe();
        let mut term_start = hub.term_start.subscribe();
        let mut caught_up = hub.caught_up.subscribe();
        let mut fetched = hub.fetched.subscribe();
        let mut resting = hub.resting.subscribe();
        let mut reseeding = hub.reseeding.subscribe();
        let mut failed = hub.failed.subscribe();
        let mut configured = hub.configured.subscribe();
        loop {
            supervisor.beat();
            // The commit LSN moves with every write: it is of interest only sometimes.
            let opening = self.oath.role() == Role::Opening;
            let freezing = self.freeze.as_ref().is_some_and(|freeze| !freeze.told);
            let timer = self.timer();
            let wake = tokio::select! {
                biased;
                () = shutdown.cancelled() => Wake::Shutdown,
                event = self.links.next() => Wake::Link(event),
                Ok(()) = failed.changed() => Wake::Hub,
                Ok(()) = term_start.changed() => Wake::Hub,
                Ok(()) = commit.changed(), if opening || freezing => Wake::Hub,
                Ok(()) = caught_up.changed() => Wake::Hub,
                Ok(()) = fetched.changed() => Wake::Hub,
                Ok(()) = resting.changed() => Wake::Hub,
                Ok(()) = reseeding.changed() => Wake::Hub,
                Ok(()) = configured.changed() => Wake::Hub,
                () = hub.leader_lost() => Wake::LeaderLost,
                Some(request) = requests.recv() => Wake::Request(request),
                () = tokio::time::sleep_until(timer), if opening || self.freeze.is_some() => Wake::Timer,
                _ = heartbeat.tick() => Wake::Heartbeat,
            };
            match wake {
                Wake::Shutdown => break,
                Wake::Heartbeat => self.heartbeat().await?,
                Wake::Timer => self.step(OathInput::Tick).await?,
                Wake::Link(event) => self.link(event).await?,
                Wake::Request(request) => self.request(request),
                Wake::Hub => {}
                Wake::LeaderLost => self.report(),
            }
            self.follow_hub().await?;
        }
        // A process that ends acknowledges nothing more.
        self.hub.set_lease_until(i64::MIN);
        Ok(())
    }

    /// When the loop must wake at the latest while an office opens or a freeze runs.
    fn timer(&self) -> Instant {
        let now = now();
        let mut wait = self.timing.heartbeat;
        if let Office::Opening { wait_until, .. } = self.oath.office()
            && *wait_until > now
        {
            wait = wait.min(wait_until.since(now));
        }
        Instant::now() + wait
    }

    async fn heartbeat(&mut self) -> Result<(), KeepError> {
        self.step(OathInput::Tick).await?;
        self.links.give_up_silent(&Peer::Monitor, self.timing.lease * 2);
        self.maybe_restored();
        self.report();
        self.pass_notices_on();
        self.ask_for_lease();
        if self.oath.leader().is_none() && !self.links.is_up(&Peer::Monitor) {
            self.ask_who_leads();
        }
        Ok(())
    }

    /// What the hub says that the oath must know.
    async fn follow_hub(&mut self) -> Result<(), KeepError> {
        let term = self.oath.bound().term;
        let failed = self.hub.failed.borrow().clone();
        if let Some((failed, reason)) = failed
            && failed == term
            && self.oath.role() != Role::Follower
        {
            tracing::warn!(%term, reason, "this leader ends its term");
            self.failure = reason;
            self.step(OathInput::Failed { term }).await?;
        }
        let fetched = self.hub.fetched.borrow().clone();
        if let Some((of, fetched)) = fetched
            && of == term
            && self.hub.fetch.send_if_modified(|fetch| fetch.take().is_some())
        {
            match fetched {
                Ok(()) => self.step(OathInput::Fetched { term }).await?,
                Err(reason) => self.tell(&ToMonitor::NotFetched { term, reason }),
            }
        }
        let (started, start_end) = *self.hub.term_start.borrow();
        if self.oath.role() == Role::Opening
            && started == term
            && *self.hub.commit.borrow() >= start_end
        {
            self.step(OathInput::TermStartCommitted { term }).await?;
        }
        let reseeding = *self.hub.reseeding.borrow();
        if reseeding > self.reseedings {
            self.reseedings = reseeding;
            self.step(OathInput::Reseeding).await?;
        }
        let caught_up = *self.hub.caught_up.borrow();
        if self.oath.bound().unproven && caught_up == term {
            self.step(OathInput::CaughtUp { term }).await?;
        }
        let configured = self.hub.configured.borrow().clone();
        if let Some(configured) = configured {
            self.settle(&configured).await?;
        }
        self.maybe_frozen();
        Ok(())
    }

    /// The members that a committed frame names, as the log or the monitor says.
    async fn settle(&mut self, configuration: &Configuration) -> Result<(), KeepError> {
        let mut roll = self.hub.roll.borrow().clone();
        if roll.settle(configuration) {
            self.act_upon(roll).await?;
            self.report();
        }
        Ok(())
    }

    /// Acts under the members in `roll` from here on: recorded first; then the lease is
    /// theirs, and what they acknowledge counts; then the writer puts them into the log.
    async fn act_upon(&mut self, roll: Roll) -> Result<(), KeepError> {
        self.keep.persist_roll(roll.clone()).await?;
        tracing::info!(rule = "P22", ?roll, "members");
        if let Some(lease) = &mut self.lease {
            let newest = roll.newest();
            lease.count(newest.counting().filter(|node| **node != self.hub.me).cloned().collect());
            let until = lease.until().map_or(i64::MIN, |until| until.0);
            self.hub.set_lease_until(until);
        }
        self.hub.roll.send_replace(roll);
        self.hub.count(None);
        Ok(())
    }

    /// Takes over what the monitor shows.
    async fn see(&mut self, view: View) -> Result<(), KeepError> {
        let (term, leader) = (view.term, view.leader.clone());
        let confirmed = view.configuration.clone();
        let is_listed = view.nodes.iter().any(|node| node.name == self.hub.me);
        self.hub.view.send_replace(view);
        if let Some(configuration) = confirmed {
            self.settle(&configuration).await?;
        }
        // The monitor shows a view to none but those who are listed, or were until now.
        if !is_listed {
            self.hub.dropped.send_replace(true);
        }
        if let Some(leader) = leader {
            let source = Source::Monitor;
            self.step(OathInput::LeaderKnown { term, leader, source }).await?;
        }
        Ok(())
    }

    async fn step(&mut self, input: OathInput) -> Result<(), KeepError> {
        let mut commands = Vec::new();
        self.oath.step(now(), input, &mut commands);
        for command in commands {
            self.execute(command).await?;
        }
        Ok(())
    }

    async fn execute(&mut self, command: OathCommand) -> Result<(), KeepError> {
        match command {
            OathCommand::EndLease => {
                self.lease = None;
                self.hub.set_lease_until(i64::MIN);
            }
            OathCommand::Fence(term) => self.keep.fence(term).await,
            OathCommand::SyncLog => self.keep.sync_log().await?,
            OathCommand::Persist(bound) => self.keep.persist(bound).await?,
            OathCommand::Publish { term, role, leader } => self.publish(term, role, leader),
            OathCommand::Promised { term, incarnation, grant_age } => {
                let end = self.keep.end().await;
                tracing::info!(%term, %end, "promised");
                let grant_age_ns = u64::try_from(grant_age.as_nanos()).unwrap_or(u64::MAX);
                let unproven = self.oath.bound().unproven;
                let promise = PromiseMade { term, incarnation, end, grant_age_ns, unproven };
                self.tell(&ToMonitor::Promised(promise));
            }
            OathCommand::Refused { term, held, obeyed } => {
                self.tell(&ToMonitor::Refused { term, held, obeyed });
            }
            OathCommand::Fetch(fetch) => {
                self.hub.fetched.send_replace(None);
                self.hub.fetch.send_replace(Some(fetch));
            }
            OathCommand::Accepted { term } => {
                self.tell(&ToMonitor::Accepted { term });
                self.ask_for_lease();
            }
            OathCommand::GrantPeer { to, term, sent } => {
                let grant = FromPeer::Grant { term, sent };
                self.links.post(&Peer::Caller(to), encode(&grant));
            }
            OathCommand::RefusePeer { to, held, leader } => {
                let refused = FromPeer::Refused { held, leader };
                self.links.post(&Peer::Caller(to), encode(&refused));
            }
            OathCommand::SteppedDown { term } => {
                let reason = self.failure.clone();
                self.tell(&ToMonitor::SteppedDown { term, reason });
            }
        }
        Ok(())
    }

    fn publish(&mut self, term: Term, role: Role, leader: Option<NodeId>) {
        tracing::info!(%term, ?role, ?leader, "leadership");
        if role == Role::Follower {
            self.hub.forget_leader();
            self.thaw();
            for waiting in self.handovers.drain(..) {
                let _ = waiting.send(true);
            }
            self.links.drop_members(|_| false);
        } else if self.lease.is_none() {
            let others = self.hub.others().into_keys().collect();
            self.lease = Some(Lease::new(self.timing.lease, others, now()));
        }
        self.hub.leadership.send_replace(Leadership { term, role, leader });
        self.report();
    }

    /// P19: reports as soon as all that was acknowledged is held by as many as demanded.
    fn maybe_restored(&mut self) {
        let held = self.practice.restoring().and_then(|_| self.hub.held());
        if held.is_some_and(|held| self.practice.held(held)) {
            tracing::info!(acks = self.practice.vouched(), "the sync policy is restored");
            self.report();
        }
    }

    fn tell(&mut self, message: &ToMonitor) {
        self.links.post(&Peer::Monitor, encode(message));
    }

    fn report(&mut self) {
        let hub = &self.hub;
        let end = *hub.end.borrow();
        let seen = hub.leader_seen_ns().map(|seen| now().since(Moment(seen)));
        let report = Report {
            incarnation: self.oath.obeyed(),
            term: self.oath.bound().term,
            role: self.oath.role(),
            leader: self.oath.leader().cloned(),
            led: self.oath.bound().led,
            end,
            durable: *hub.durable.borrow(),
            commit: *hub.commit.borrow(),
            applied: *hub.applied.borrow(),
            acks: match self.oath.role() {
                Role::Follower => hub.policy.acks(hub.roll.borrow().newest().size()),
                Role::Opening | Role::Leader => self.practice.vouched(),
            },
            policy_version: self.practice.version(),
            leader_seen_ms: seen.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            unproven: self.oath.bound().unproven,
            through: hub.through(),
            roll: hub.roll.borrow().clone(),
            sql: Some(self.sql.clone()),
            reason: hub.reason.borrow().clone(),
        };
        self.tell(&ToMonitor::Report(report));
    }

    fn pass_notices_on(&mut self) {
        if self.links.is_up(&Peer::Monitor) {
            for notice in self.hub.take_notices() {
                self.tell(&ToMonitor::Noticed(notice));
            }
        }
    }

    /// P3: of the monitor, and of the members when its grants stay out.
    fn ask_for_lease(&mut self) {
        let term = self.oath.bound().term;
        let Some(lease) = &mut self.lease else { return };
        let sent = now();
        let wants_members = lease.wants_members(sent);
        if wants_members {
            self.oath.granted_to_self(sent);
            lease.asked_members(sent);
        }
        if self.links.is_up(&Peer::Monitor) {
            self.links.post(&Peer::Monitor, encode(&ToMonitor::LeaseRequest { term, sent }));
        }
        let others = self.hub.others();
        self.links.drop_members(|member| wants_members && others.contains_key(member));
        if wants_members {
            for (member, address) in others {
                let peer = Peer::Dialled(member.clone());
                self.links.keep_dialled(peer.clone(), vec![address], Some(member));
                self.links.post(&peer, encode(&ToPeer::LeaseRequest { term, sent }));
            }
        }
        self.extend_lease();
    }

    fn extend_lease(&self) {
        if let Some(until) = self.lease.as_ref().and_then(Lease::until) {
            self.hub.set_lease_until(until.0);
        }
    }

    fn ask_who_leads(&mut self) {
        self.turn += 1;
        let others = self.hub.others();
        let count = others.len().max(1);
        if let Some((member, address)) = others.iter().nth(self.turn % count) {
            self.links.ask_leader(member, address);
        }
    }

    async fn link(&mut self, event: LinkEvent) -> Result<(), KeepError> {
        if let LinkEvent::Leads { term, leader } = event {
            let source = Source::Peer;
            return self.step(OathInput::LeaderKnown { term, leader, source }).await;
        }
        if let LinkEvent::NotMember { version } = event {
            self.note_not_member(version);
            return Ok(());
        }
        let Some((peer, frame)) = self.links.note(event) else { return Ok(()) };
        let Some(frame) = frame else {
            if matches!(peer, Peer::Dialled(_)) {
                self.ask_for_lease();
            }
            return Ok(());
        };
        let handled = match &peer {
            Peer::Monitor => self.monitor_said(&frame).await?,
            Peer::Dialled(member) => self.member_answered(member, &frame).await?,
            Peer::Caller(member) => self.member_asked(member, &frame).await?,
        };
        if let Err(error) = handled {
            tracing::warn!(?peer, %error, "a control message is not understood");
        }
        Ok(())
    }

    /// The monitor lists this node no more since `version`: it was dropped while it was
    /// away, unless it never followed and is yet to join.
    fn note_not_member(&mut self, version: u64) {
        let roll = self.hub.roll.borrow();
        let was_member = roll.lists(&self.hub.me) && self.hub.end.borrow().lsn > Lsn(0);
        if was_member && version > roll.newest().version {
            self.hub.dropped.send_replace(true);
        }
    }

    async fn monitor_said(&mut self, frame: &Bytes) -> Result<Understood, KeepError> {
        let message = match decode::<ToNode>(frame) {
            Ok(message) => message,
            Err(error) => return Ok(Err(error)),
        };
        match message {
            ToNode::Welcome { incarnation } => {
                self.step(OathInput::Welcome { incarnation }).await?;
                self.report();
                self.ask_for_lease();
            }
            ToNode::View(view) => self.see(view).await?,
            ToNode::Grant { term, incarnation, sent } => {
                if term == self.oath.bound().term
                    && incarnation == self.oath.obeyed()
                    && let Some(lease) = &mut self.lease
                {
                    lease.monitor_granted(sent);
                    self.extend_lease();
                }
            }
            ToNode::PromiseRequest { term, incarnation } => {
                self.step(OathInput::PromiseRequest { term, incarnation }).await?;
            }
            ToNode::Fetch(fetch) => self.step(OathInput::Fetch(fetch)).await?,
            ToNode::Appoint(appointment) => {
                // Before the office begins, so that not one write counts under another.
                if self.oath.role() == Role::Follower {
                    self.told_members(appointment.configuration.clone()).await?;
                    self.practice = Practice::new(&appointment);
                    self.hub.demand_acks(self.practice.demanded());
                }
                self.step(OathInput::Appoint(appointment)).await?;
            }
            ToNode::Policy { term, acks, version } => {
                if self.practice.weaken(term, acks, version) {
                    tracing::warn!(%term, acks, version, rule = "20", "the sync policy is weakened");
                    self.hub.demand_acks(acks);
                    self.report();
                }
            }
            ToNode::Members { term, configuration, acks, version } => {
                if term == self.oath.bound().term && self.oath.role() != Role::Follower {
                    self.told_members(configuration).await?;
                    if self.practice.weaken(term, acks, version) {
                        self.hub.demand_acks(self.practice.demanded());
                    }
                    self.report();
                }
            }
            ToNode::Restore { term, acks, version } => {
                if self.practice.restore(term, acks, version) {
                    self.hub.demand_acks(acks);
                    // Whatever was acknowledged under less is committed by now.
                    self.practice.tightened(*self.hub.commit.borrow());
                    tracing::info!(%term, acks, version, "the sync policy is being restored");
                }
                self.maybe_restored();
            }
            ToNode::Freeze { term, limit_ms } => {
                if self.oath.role() == Role::Leader && term == self.oath.bound().term {
                    let until = now().plus(Duration::from_millis(limit_ms));
                    self.freeze = Some(Freeze { term, until, told: false });
                    self.hub.frozen.send_replace(true);
                }
            }
            ToNode::Thaw { term } => {
                if term == self.oath.bound().term {
                    self.thaw();
                    for waiting in self.handovers.drain(..) {
                        let _ = waiting.send(false);
                    }
                }
            }
            ToNode::Poll => self.report(),
        }
        Ok(Ok(()))
    }

    /// The monitor has recorded them (P22).
    async fn told_members(&mut self, configuration: Configuration) -> Result<(), KeepError> {
        let mut roll = self.hub.roll.borrow().clone();
        if roll.tell(configuration) {
            self.act_upon(roll).await?;
        }
        Ok(())
    }

    async fn member_answered(
        &mut self,
        member: &NodeId,
        frame: &Bytes,
    ) -> Result<Understood, KeepError> {
        match decode::<FromPeer>(frame) {
            Ok(FromPeer::Grant { term, sent }) => {
                if term == self.oath.bound().term
                    && let Some(lease) = &mut self.lease
                {
                    lease.peer_granted(member.clone(), sent);
                    self.extend_lease();
                }
            }
            Ok(FromPeer::Refused { held, leader: Some(leader) }) => {
                let source = Source::Peer;
                self.step(OathInput::LeaderKnown { term: held, leader, source }).await?;
            }
            Ok(FromPeer::Refused { leader: None, .. }) => {}
            Err(error) => return Ok(Err(error)),
        }
        Ok(Ok(()))
    }

    async fn member_asked(
        &mut self,
        member: &NodeId,
        frame: &Bytes,
    ) -> Result<Understood, KeepError> {
        match decode::<ToPeer>(frame) {
            Ok(ToPeer::LeaseRequest { term, sent }) => {
                self.step(OathInput::PeerLease { from: member.clone(), term, sent }).await?;
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Peer(stream, hello) => {
                let member = hello.name.parse::<NodeId>().ok();
                match member.filter(|member| self.hub.address(member).is_some()) {
                    Some(member) if hello.cluster == self.cluster => {
                        self.links.accept(stream, member)
                    }
                    _ => tracing::warn!(
                        name = hello.name,
                        "a stranger's control connection is closed"
                    ),
                }
            }
            Request::Handover(done) => {
                if self.oath.role() == Role::Follower {
                    let _ = done.send(true);
                } else if !self.links.is_up(&Peer::Monitor) {
                    let _ = done.send(false);
                } else {
                    self.handovers.push(done);
                    let term = self.oath.bound().term;
                    self.tell(&ToMonitor::Handover { term });
                }
            }
        }
    }

    /// Tells the monitor, once, that the frozen log has come to rest.
    fn maybe_frozen(&mut self) {
        let end = *self.hub.end.borrow();
        let rests = *self.hub.resting.borrow() && *self.hub.commit.borrow() >= end.lsn;
        let Some(freeze) = &mut self.freeze else { return };
        let term = freeze.term;
        if now() >= freeze.until {
            tracing::warn!(%term, "a planned hand-over was not finished in time: goes on");
            self.thaw();
        } else if rests && !freeze.told {
            freeze.told = true;
            self.tell(&ToMonitor::Frozen { term, end });
        }
    }

    fn thaw(&mut self) {
        if self.freeze.take().is_some() {
            self.hub.frozen.send_replace(false);
        }
    }
}

type Understood = Result<(), crate::failover::MessageError>;

fn now() -> Moment {
    Moment(boottime_ns())
}
