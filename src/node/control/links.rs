//! The connections of control: to the monitor, to members, from members. Each is a task
//! that dials, carries frames, and dials again; what happens comes out of one queue.
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::cluster::NodeId;
use crate::log::Term;
use crate::net::{FrameStream, Hello, HelloReply, NetError, Outbox, PeerTls, Purpose, dial};

/// Frames queued for a peer, and from it.
const FRAMES_MAX: usize = 64;
/// Happenings that wait for the control task.
const EVENTS_MAX: usize = 256;

/// Who is at the other end.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Peer {
    /// The monitor; dialled.
    Monitor,
    /// A member that this node dialled.
    Dialled(NodeId),
    /// A member that dialled this node.
    Caller(NodeId),
}

/// Something happened on a connection.
pub(super) enum LinkEvent {
    /// It is there. `generation` tells its frames from those of earlier ones.
    Up {
        peer: Peer,
        generation: u64,
        outbox: Outbox,
    },
    Frame {
        peer: Peer,
        generation: u64,
        frame: Bytes,
    },
    Down {
        peer: Peer,
        generation: u64,
    },
    /// Somebody said who leads.
    Leads {
        term: Term,
        leader: NodeId,
    },
    /// The monitor's configuration of this version does not list this node.
    NotMember {
        version: u64,
    },
}

/// How to dial.
#[derive(Clone)]
pub(super) struct Dialler {
    pub tls: PeerTls,
    pub hello: Hello,
    /// For one attempt; also the longest pause between attempts.
    pub timeout: Duration,
}

/// A connection that is there.
struct Up {
    generation: u64,
    outbox: Outbox,
    heard: Instant,
}

/// All connections.
pub(super) struct Links {
    dialler: Dialler,
    events: mpsc::Sender<LinkEvent>,
    happened: mpsc::Receiver<LinkEvent>,
    up: BTreeMap<Peer, Up>,
    dialling: BTreeMap<Peer, AbortOnDropHandle<()>>,
    generation: u64,
}

impl Links {
    pub(super) fn new(dialler: Dialler) -> Self {
        let (events, happened) = mpsc::channel(EVENTS_MAX);
        let (up, dialling) = (BTreeMap::new(), BTreeMap::new());
        Self { dialler, events, happened, up, dialling, generation: 0 }
    }

    /// What happened next. Cancel-safe.
    pub(super) async fn next(&mut self) -> LinkEvent {
        self.happened.recv().await.expect("the sender is held beside it")
    }

    /// Takes note of a connection that is up or down. False: it is an old one's news.
    pub(super) fn note(&mut self, event: LinkEvent) -> Option<(Peer, Option<Bytes>)> {
        match event {
            LinkEvent::Up { peer, generation, outbox } => {
                let heard = Instant::now();
                self.up.insert(peer.clone(), Up { generation, outbox, heard });
                Some((peer, None))
            }
            LinkEvent::Frame { peer, generation, frame } => {
                let up = self.up.get_mut(&peer).filter(|up| up.generation == generation)?;
                up.heard = Instant::now();
                Some((peer, Some(frame)))
            }
            LinkEvent::Down { peer, generation } => {
                if self.up.get(&peer).is_some_and(|up| up.generation == generation) {
                    self.up.remove(&peer);
                }
                None
            }
            LinkEvent::Leads { .. } | LinkEvent::NotMember { .. } => None,
        }
    }

    /// Closes a connection whose other end has said nothing for `patience`: it is dialled
    /// again, perhaps to another machine.
    pub(super) fn give_up_silent(&mut self, peer: &Peer, patience: Duration) {
        if self.up.get(peer).is_some_and(|up| up.heard.elapsed() > patience) {
            tracing::warn!(?peer, "silent; dialling again");
            self.up.remove(peer);
        }
    }

    pub(super) fn is_up(&self, peer: &Peer) -> bool {
        self.up.contains_key(peer)
    }

    /// Queues a frame; a peer that doesn't take it loses its connection.
    pub(super) fn post(&mut self, peer: &Peer, frame: Vec<u8>) {
        if let Some(up) = self.up.get(peer)
            && !up.outbox.post(frame)
        {
            tracing::warn!(?peer, "a control connection is stuck and is closed");
            self.up.remove(peer);
        }
    }

    /// Keeps a connection to `peer`, which is at one of the addresses, from now on.
    pub(super) fn keep_dialled(
        &mut self,
        peer: Peer,
        addresses: Vec<String>,
        expected: Option<NodeId>,
    ) {
        if self.dialling.contains_key(&peer) {
            return;
        }
        self.generation += 1;
        // Each attempt counts on from here.
        let first = self.generation << 32;
        let (dialler, events) = (self.dialler.clone(), self.events.clone());
        let task =
            tokio::spawn(keep_dialled(dialler, peer.clone(), addresses, expected, first, events));
        self.dialling.insert(peer, AbortOnDropHandle::new(task));
    }

    /// Closes the connection to `peer` and dials no more.
    fn drop_dialled(&mut self, peer: &Peer) {
        self.dialling.remove(peer);
        self.up.remove(peer);
    }

    /// Closes the connections to all dialled members but those that `keep` says.
    pub(super) fn drop_members(&mut self, keep: impl Fn(&NodeId) -> bool) {
        let dialled = self.dialling.keys().filter_map(|peer| match peer {
            Peer::Dialled(member) => Some(member),
            Peer::Monitor | Peer::Caller(_) => None,
        });
        let dropped: Vec<NodeId> = dialled.filter(|member| !keep(member)).cloned().collect();
        for member in dropped {
            self.drop_dialled(&Peer::Dialled(member));
        }
    }

    /// Serves a connection that a member dialled.
    pub(super) fn accept(&mut self, stream: FrameStream, member: NodeId) {
        self.generation += 1;
        let generation = self.generation << 32;
        let events = self.events.clone();
        tokio::spawn(async move {
            carry(stream, Peer::Caller(member), generation, &events).await;
        });
    }

    /// Asks a member once who leads.
    pub(super) fn ask_leader(&self, member: &NodeId, address: &str) {
        let (dialler, events) = (self.dialler.clone(), self.events.clone());
        let (member, address) = (member.clone(), address.to_owned());
        tokio::spawn(async move {
            let Dialler { tls, hello, timeout } = dialler;
            // The answer to the hello says it; a purpose with nothing to serve.
            let hello = Hello { purpose: Purpose::View, ..hello };
            let expected = Some(member.as_str());
            if let Ok((_, reply)) = dial(&address, &tls, expected, &hello, timeout).await {
                tell_leader(reply, &events).await;
            }
        });
    }
}

async fn tell_leader(reply: HelloReply, events: &mpsc::Sender<LinkEvent>) {
    if let HelloReply::Welcome { term, leader: Some(leader), .. } = reply {
        // The receiver outlives all but the process.
        let _ = events.send(LinkEvent::Leads { term, leader }).await;
    }
}

async fn keep_dialled(
    dialler: Dialler,
    peer: Peer,
    addresses: Vec<String>,
    expected: Option<NodeId>,
    mut generation: u64,
    events: mpsc::Sender<LinkEvent>,
) {
    let shortest = Duration::from_millis(20);
    let mut pause = shortest;
    let mut silent = false;
    for address in addresses.iter().cycle() {
        let Dialler { tls, hello, timeout } = &dialler;
        let expected = expected.as_ref().map(NodeId::as_str);
        match dial(address, tls, expected, hello, *timeout).await {
            Ok((stream, reply)) => {
                tell_leader(reply, &events).await;
                (pause, silent) = (shortest, false);
                generation += 1;
                carry(stream, peer.clone(), generation, &events).await;
            }
            Err(error) => {
                if let NetError::NotMember { version, .. } = error {
                    let _ = events.send(LinkEvent::NotMember { version }).await;
                }
                if !silent {
                    report(&peer, &error, addresses.len() > 1);
                }
                silent = true;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(dialler.timeout);
    }
}

/// A peer that is away is no news; one that refuses needs its operator, unless it stands by
/// for another.
fn report(peer: &Peer, error: &NetError, has_others: bool) {
    match error {
        NetError::Refused { .. } if has_others => {
            tracing::info!(?peer, %error, "trying the others");
        }
        NetError::Io { .. } | NetError::TimedOut { .. } => {
            tracing::info!(?peer, %error, "not reachable; trying again");
        }
        error => tracing::warn!(?peer, %error, "refused; trying again"),
    }
}

async fn carry(stream: FrameStream, peer: Peer, generation: u64, events: &mpsc::Sender<LinkEvent>) {
    let (outbox, mut arrived) = stream.attend(FRAMES_MAX);
    let up = LinkEvent::Up { peer: peer.clone(), generation, outbox };
    if events.send(up).await.is_err() {
        return;
    }
    while let Some(arrival) = arrived.recv().await {
        match arrival {
            Ok(frame) => {
                let frame = LinkEvent::Frame { peer: peer.clone(), generation, frame };
                if events.send(frame).await.is_err() {
                    return;
                }
            }
            Err(error) => tracing::debug!(?peer, %error, "a control connection ended"),
        }
    }
    let _ = events.send(LinkEvent::Down { peer, generation }).await;
}
