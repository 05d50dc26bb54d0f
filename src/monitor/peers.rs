//! Who comes in at the peer listener, and what is carried for them.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::admin;
use super::driver::{Happening, Outlook};
use super::events::EventLog;
use crate::cluster::NodeId;
use crate::config::MonitorConfig;
use crate::failover::{ToMonitor, decode};
use crate::net::{FrameStream, Hello, HelloReply, NetError, PeerListener, Purpose, Refusals};

/// Frames queued for a node, and from it.
const FRAMES_MAX: usize = 64;
/// Routers and tools connected at most.
const GUESTS_MAX: usize = 512;
/// Time to take a hello's answer or a view.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers hellos, and turns connections into happenings.
pub(super) struct Door {
    name: String,
    cluster: String,
    lines: BTreeMap<NodeId, Line>,
    suspicion: Duration,
    heartbeat: Duration,
    happenings: mpsc::Sender<Happening>,
    outlook: watch::Receiver<Outlook>,
    events: Arc<EventLog>,
    guests: Arc<Semaphore>,
    generation: u64,
    /// Members whose earlier process is not known to be gone, until that is settled.
    contested: JoinSet<(FrameStream, Hello)>,
    refusals: Refusals,
}

/// The connection of one member.
struct Line {
    /// Of the process at its other end.
    instance: u64,
    /// When it was last heard; closed with it.
    heard: watch::Receiver<Instant>,
}

impl Door {
    pub(super) fn new(
        config: &MonitorConfig,
        happenings: mpsc::Sender<Happening>,
        outlook: watch::Receiver<Outlook>,
        events: Arc<EventLog>,
    ) -> Self {
        Self {
            name: config.name.clone(),
            cluster: config.cluster.clone(),
            lines: BTreeMap::new(),
            suspicion: config.timing.suspicion,
            heartbeat: config.timing.heartbeat,
            happenings,
            outlook,
            events,
            guests: Arc::new(Semaphore::new(GUESTS_MAX)),
            generation: 0,
            contested: JoinSet::new(),
            refusals: Refusals::default(),
        }
    }

    /// Accepts for as long as the listener lives.
    pub(super) async fn open(mut self, listener: &mut PeerListener) -> NetError {
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, hello, _)) => self.admit_or_wait(stream, hello),
                    Err(error) => return error,
                },
                Some(settled) = self.contested.join_next() => {
                    if let Ok((stream, hello)) = settled {
                        self.admit(stream, &hello);
                    }
                }
            }
        }
    }

    /// A process that was started right after its predecessor died may be here before the
    /// end of the old connection is: then it is waited for, within what a dialler waits.
    fn admit_or_wait(&mut self, stream: FrameStream, hello: Hello) {
        let rival = self.rival(&hello).filter(|_| self.contested.len() < GUESTS_MAX);
        let Some(mut rival) = rival else { return self.admit(stream, &hello) };
        let patience = self.suspicion / 2;
        self.contested.spawn(async move {
            let _ = timeout(patience, async { while rival.changed().await.is_ok() {} }).await;
            (stream, hello)
        });
    }

    /// The connection of another living process under the member's name.
    fn rival(&self, hello: &Hello) -> Option<watch::Receiver<Instant>> {
        let node = hello.name.parse::<NodeId>().ok()?;
        let line = self.lines.get(&node).filter(|_| hello.purpose == Purpose::Control)?;
        // A process that dials again knows better than its old connection.
        let same = hello.instance != 0 && hello.instance == line.instance;
        // A closed channel: its connection has ended.
        let alive =
            line.heard.has_changed().is_ok() && line.heard.borrow().elapsed() < self.suspicion;
        (alive && !same).then(|| line.heard.clone())
    }

    fn admit(&mut self, stream: FrameStream, hello: &Hello) {
        match self.admission(hello) {
            Ok(()) => {}
            Err(refusal) => {
                if self.refusals.is_news(&hello.name, &format!("{refusal:?}")) {
                    tracing::warn!(name = hello.name, ?refusal, "refused");
                }
                tokio::spawn(refuse(stream, refusal));
                return;
            }
        }
        let welcome = self.welcome();
        match hello.purpose {
            Purpose::Control => {
                let node: NodeId = hello.name.parse().expect("admitted as a member");
                self.generation += 1;
                let (heard, seen) = watch::channel(Instant::now());
                self.lines.insert(node.clone(), Line { instance: hello.instance, heard: seen });
                let happenings = self.happenings.clone();
                let carry = carry(stream, welcome, node, self.generation, heard, happenings);
                tokio::spawn(carry);
            }
            Purpose::View | Purpose::Admin => {
                let Ok(permit) = Arc::clone(&self.guests).try_acquire_owned() else {
                    let refusal = HelloReply::Refused("too many connections".to_owned());
                    tokio::spawn(refuse(stream, refusal));
                    return;
                };
                let is_view = hello.purpose == Purpose::View;
                let (outlook, events) = (self.outlook.clone(), Arc::clone(&self.events));
                let (happenings, heartbeat) = (self.happenings.clone(), self.heartbeat);
                tokio::spawn(async move {
                    let mut stream = stream;
                    if !answer(&mut stream, &welcome).await {
                        return;
                    }
                    if is_view {
                        push_views(stream, outlook, heartbeat).await;
                    } else {
                        admin::serve(stream, outlook, &events, &happenings).await;
                    }
                    drop(permit);
                });
            }
            Purpose::Replication | Purpose::Link => unreachable!("refused above"),
        }
    }

    /// Rule 27, and what a monitor has to offer.
    fn admission(&self, hello: &Hello) -> Result<(), HelloReply> {
        let refused = |reason: String| Err(HelloReply::Refused(reason));
        if hello.version != 1 {
            return refused(format!("protocol version {} is not spoken here, 1 is", hello.version));
        }
        if hello.cluster != self.cluster {
            return refused(format!("this is cluster {:?}, not {:?}", self.cluster, hello.cluster));
        }
        match hello.purpose {
            Purpose::View | Purpose::Admin => Ok(()),
            Purpose::Replication | Purpose::Link => {
                refused("this is the monitor: it holds no log and serves no sessions".to_owned())
            }
            Purpose::Control => {
                let outlook = self.outlook.borrow();
                if !outlook.view.nodes.iter().any(|listed| listed.name.as_str() == hello.name) {
                    let version = outlook.view.configuration.as_ref().map_or(0, |it| it.version);
                    return Err(HelloReply::NotMember { version });
                }
                if self.rival(hello).is_some() {
                    refused(format!("a node named {} is connected already", hello.name))
                } else {
                    Ok(())
                }
            }
        }
    }

    fn welcome(&self) -> HelloReply {
        let outlook = self.outlook.borrow();
        let (term, leader) = (outlook.view.term, outlook.view.leader.clone());
        HelloReply::Welcome { name: self.name.clone(), term, leader }
    }
}

pub(super) async fn refuse(mut stream: FrameStream, refusal: HelloReply) {
    answer(&mut stream, &refusal).await;
}

async fn answer(stream: &mut FrameStream, reply: &HelloReply) -> bool {
    matches!(timeout(SEND_TIMEOUT, stream.answer(reply)).await, Ok(Ok(())))
}

/// Carries a member's messages to the driver.
async fn carry(
    mut stream: FrameStream,
    welcome: HelloReply,
    node: NodeId,
    generation: u64,
    heard: watch::Sender<Instant>,
    happenings: mpsc::Sender<Happening>,
) {
    if !answer(&mut stream, &welcome).await {
        return;
    }
    let (outbox, mut arrived) = stream.attend(FRAMES_MAX);
    let up = Happening::Up { node: node.clone(), generation, outbox };
    if happenings.send(up).await.is_err() {
        return;
    }
    while let Some(arrival) = arrived.recv().await {
        let message = match arrival.map(|frame| decode::<ToMonitor>(&frame)) {
            Ok(Ok(message)) => message,
            Ok(Err(error)) => {
                tracing::warn!(%node, %error, "its connection is closed");
                break;
            }
            Err(error) => {
                tracing::debug!(%node, %error, "its connection ended");
                break;
            }
        };
        heard.send_replace(Instant::now());
        let happening = Happening::Message { node: node.clone(), generation, message };
        if happenings.send(happening).await.is_err() {
            return;
        }
    }
    let _ = happenings.send(Happening::Down { node, generation }).await;
}

/// One JSON view a change, at most one each heartbeat unless what matters changed.
async fn push_views(
    mut stream: FrameStream,
    mut outlook: watch::Receiver<Outlook>,
    heartbeat: Duration,
) {
    loop {
        let view = outlook.borrow_and_update().view.clone();
        let text = serde_json::to_vec(&view).expect("plain data");
        if !matches!(timeout(SEND_TIMEOUT, stream.send(&text)).await, Ok(Ok(()))) {
            return;
        }
        tokio::select! {
            changed = outlook.changed() => if changed.is_err() { return },
            // A view each heartbeat also without change, so that a router notices when
            // news stay out (rule 15).
            () = tokio::time::sleep(heartbeat) => {}
            // Guests say nothing here; this notices when they leave.
            arrival = stream.recv() => match arrival {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            },
        }
    }
}
