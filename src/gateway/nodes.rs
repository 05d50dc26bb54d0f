use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{broadcast, watch};

use super::cancel::CancelRegistry;
use super::link::{Link, LinkEvent, LinkSession};
use super::listeners::Listeners;
use super::{LocalNode, SessionParams};
use crate::cluster::{NodeId, Position, View};
use crate::log::{Lsn, Term};
use crate::net::{Hello, PeerTls, Purpose, dial};
use crate::routing::knowledge::Knowledge;
use crate::routing::link::Notification;
use crate::routing::route::Candidate;

/// Time to reach a node.
const DIAL_TIMEOUT: Duration = Duration::from_secs(2);
/// Of [`Standing::leader`]: nobody.
const NOBODY: usize = usize::MAX;

/// The nodes of the cluster, and how this router reaches them.
///
/// A node's number is its alone: the views name nodes that have joined, which get the next
/// numbers, and no longer those that were dropped, which are forgotten once their links are
/// gone.
pub(super) struct Nodes<N> {
    standing: Arc<Standing>,
    tls: PeerTls,
    hello: Hello,
    local: Option<(usize, N)>,
    /// What NOTIFY sends, as the local node tells it.
    bulletin: Option<Mutex<broadcast::Receiver<Arc<Notification>>>>,
}

/// What is known of the nodes, kept so that routing takes no lock.
struct Standing {
    /// By number, ascending. Whoever changes it holds the knowledge.
    nodes: ArcSwap<Vec<Arc<Node>>>,
    /// How many numbers were given.
    numbers: AtomicUsize,
    /// Who is local, or [`NOBODY`].
    local: usize,
    /// Who leads and is open, by number, or [`NOBODY`].
    leader: AtomicUsize,
    knowledge: Mutex<Knowledge>,
    /// The latest position that any client here was told of.
    told: ArcSwap<Position>,
    /// The latest position at which a client here was told of a changed schema.
    defined: ArcSwap<Position>,
    /// Counts changes that may let somebody go on who waits.
    changed: watch::Sender<u64>,
    listeners: Listeners,
}

/// One node, and its standing.
struct Node {
    number: usize,
    name: NodeId,
    /// None to the local node, and to one that was dropped.
    link: ArcSwapOption<Link>,
    /// It was not dropped, as far as is known.
    listed: AtomicBool,
    up: AtomicBool,
    healthy: AtomicBool,
    applied: AtomicU64,
    lag_bytes: AtomicU64,
    outstanding: AtomicUsize,
}

/// Makes the latest position this one, if it is later. Most are not, and cost a look.
fn raise(latest: &ArcSwap<Position>, position: Position) {
    if position > **latest.load() {
        latest.rcu(|latest| position.max(**latest));
    }
}

/// Counts a part as unanswered while it lives.
pub(super) struct Outstanding(Option<Arc<Node>>);

impl Drop for Outstanding {
    fn drop(&mut self) {
        if let Some(node) = &self.0 {
            node.outstanding.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<N: LocalNode> Nodes<N> {
    /// Begins to keep links to all `members` but the local one.
    pub(super) fn new(
        cluster: &str,
        name: &str,
        members: &[(NodeId, String)],
        tls: &PeerTls,
        local: Option<(NodeId, N)>,
        sessions: Arc<CancelRegistry>,
    ) -> Self {
        let mut names: Vec<NodeId> = members.iter().map(|(name, _)| name.clone()).collect();
        let local = local.map(|(name, node)| {
            let number = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            });
            (number, node)
        });
        let local_number = local.as_ref().map_or(NOBODY, |(number, _)| *number);
        let numbered = names.into_iter().enumerate();
        let nodes: Vec<Arc<Node>> = numbered
            .map(|(number, name)| Arc::new(Node::new(number, name, number == local_number)))
            .collect();
        let standing = Arc::new(Standing {
            numbers: AtomicUsize::new(nodes.len()),
            nodes: ArcSwap::from_pointee(nodes),
            local: local_number,
            leader: AtomicUsize::new(NOBODY),
            knowledge: Mutex::default(),
            told: ArcSwap::default(),
            defined: ArcSwap::default(),
            changed: watch::Sender::new(0),
            listeners: Listeners::new(sessions),
        });
        let hello = Hello {
            version: 1,
            cluster: cluster.to_owned(),
            name: name.to_owned(),
            purpose: Purpose::Link,
            instance: 0,
        };
        let bulletin = local.as_ref().map(|(_, node)| Mutex::new(node.notifications()));
        let nodes = Self { standing, tls: tls.clone(), hello, local, bulletin };
        for (node, (_, address)) in nodes.standing.nodes.load().iter().zip(members) {
            nodes.reach(node, address);
        }
        nodes
    }

    /// Keeps a link to a node from now on.
    fn reach(&self, node: &Arc<Node>, address: &str) {
        node.listed.store(true, Ordering::Relaxed);
        if node.number != self.standing.local {
            let link = self.standing.link(node, address, &self.tls, &self.hello);
            node.link.store(Some(Arc::new(link)));
        }
    }

    /// Takes note of who has joined and who was dropped; whether anybody has.
    fn see_members(&self, view: &View) -> bool {
        let standing = &self.standing;
        let before = standing.nodes.load_full();
        let mut nodes = Vec::clone(&before);
        for seen in &view.nodes {
            let known = nodes.iter().find(|node| node.name == seen.name).cloned();
            // What the file says of a node's address is this router's own.
            if known.as_ref().is_some_and(|node| node.listed.load(Ordering::Relaxed)) {
                continue;
            }
            let node = known.unwrap_or_else(|| {
                let number = standing.numbers.fetch_add(1, Ordering::Relaxed);
                nodes.push(Arc::new(Node::new(number, seen.name.clone(), false)));
                Arc::clone(nodes.last().expect("it was pushed"))
            });
            tracing::info!(node = %seen.name, peer = seen.peer, rule = "P22", "joins");
            self.reach(&node, &seen.peer);
        }
        let is_listed = |node: &Node| {
            node.number == standing.local || view.nodes.iter().any(|seen| seen.name == node.name)
        };
        for node in nodes.iter().filter(|node| !is_listed(node)) {
            node.listed.store(false, Ordering::Relaxed);
        }
        // What runs at one that was dropped comes to its end, and the node closes the link.
        for node in nodes.extract_if(.., |node| !is_listed(node) && !node.is_up()) {
            node.link.store(None);
        }
        let changed = numbers(&nodes) != numbers(&before);
        if changed {
            standing.nodes.store(Arc::new(nodes));
        }
        changed
    }

    /// Who listens here, told of all that the own node has told.
    pub(super) fn listeners(&self) -> &Listeners {
        if let Some(bulletin) = &self.bulletin {
            self.standing.listeners.drain(bulletin);
        }
        &self.standing.listeners
    }

    /// Passes on what the own node tells, for ever.
    pub(super) async fn pass_on(&self) {
        let Some((_, node)) = &self.local else { return std::future::pending().await };
        // Only wakes: what it receives is in the bulletin's own receiver too.
        let mut news = node.notifications();
        loop {
            if let Err(broadcast::error::RecvError::Closed) = news.recv().await {
                return std::future::pending().await;
            }
            self.listeners();
        }
    }

    /// Takes the own node's word, which is newer than any view.
    pub(super) fn ask_local(&self) {
        if let Some((number, local)) = &self.local
            && let Some(node) = self.standing.node(*number)
        {
            self.standing.take_state(&node, &local.state());
        }
    }

    /// The number of the local node.
    pub(super) fn local(&self) -> Option<usize> {
        self.local.as_ref().map(|(number, _)| *number)
    }

    pub(super) fn numbers(&self) -> Vec<usize> {
        numbers(&self.standing.nodes.load())
    }

    /// Opens a session on a node; `None` if it can't be reached.
    pub(super) fn open(&self, number: usize, params: &SessionParams) -> Option<Seat<N>> {
        match &self.local {
            Some((local, node)) if *local == number => Some(Seat::Local(node.open(params.clone()))),
            _ => {
                let link = self.standing.node(number)?.link.load_full()?;
                Some(Seat::Remote(link.session(params)?))
            }
        }
    }

    /// Counts a part that is sent to a node.
    pub(super) fn begin(&self, number: usize) -> Outstanding {
        let node = self.standing.node(number);
        if let Some(node) = &node {
            node.outstanding.fetch_add(1, Ordering::Relaxed);
        }
        Outstanding(node)
    }

    /// Describes all nodes for a route; `refused` holds the numbers of those that have
    /// refused this part.
    pub(super) fn candidates(&self, refused: &[usize], into: &mut Vec<Candidate>) {
        self.ask_local();
        let leader = self.standing.leader.load(Ordering::Acquire);
        into.clear();
        into.extend(self.standing.nodes.load().iter().map(|node| Candidate {
            number: node.number,
            connected: node.up.load(Ordering::Relaxed) && node.listed.load(Ordering::Relaxed),
            healthy: node.healthy.load(Ordering::Relaxed),
            local: node.number == self.standing.local,
            leads: node.number == leader,
            applied: Lsn(node.applied.load(Ordering::Relaxed)),
            lag_bytes: node.lag_bytes.load(Ordering::Relaxed),
            outstanding: node.outstanding.load(Ordering::Relaxed),
            refused: refused.contains(&node.number),
        }));
    }

    /// The leader's number, if one is known and open.
    pub(super) fn leader(&self) -> Option<usize> {
        let leader = self.standing.leader.load(Ordering::Acquire);
        (leader != NOBODY).then_some(leader)
    }

    /// A node's reply tells a client of this position.
    pub(super) fn told(&self, number: usize, position: Position) {
        if let Some(node) = self.standing.node(number) {
            node.applied.fetch_max(position.lsn.0, Ordering::Relaxed);
        }
        raise(&self.standing.told, position);
    }

    /// A client is told of a schema that was changed up to this position.
    pub(super) fn defined(&self, position: Position) {
        raise(&self.standing.defined, position);
    }

    /// What a session that has seen this much must see next: tables are made by one of a program's
    /// sessions and used by the others.
    pub(super) fn defined_beyond(&self, seen: Position) -> Option<Position> {
        let defined = **self.standing.defined.load();
        (defined > seen && defined.term == self.term()).then_some(defined)
    }

    /// Where a new session begins: not before what clients of this router were told, so
    /// that a program sees what the one before it wrote. Nothing is promised across a
    /// change of term, which may (async) have taken some of it back.
    pub(super) fn begin_at(&self) -> Position {
        let told = **self.standing.told.load();
        if told.term == self.term() { told } else { Position::default() }
    }

    /// Takes the monitor's view.
    pub(super) fn see(&self, view: View) {
        // A monitor that has lost its state knows older members at first.
        let version = |view: &View| view.configuration.as_ref().map(|it| it.version);
        let mut knowledge = self.standing.lock();
        let is_newest = version(&view).is_some() && version(&view) >= version(&knowledge.view);
        let others = is_newest && self.see_members(&view);
        let nodes = self.standing.nodes.load();
        for seen in &view.nodes {
            let Some(node) = nodes.iter().find(|node| node.name == seen.name) else { continue };
            node.applied.fetch_max(seen.applied.0, Ordering::Relaxed);
            node.lag_bytes.store(seen.lag_bytes, Ordering::Relaxed);
            node.healthy.store(seen.healthy, Ordering::Relaxed);
        }
        if knowledge.see(view) || others {
            self.standing.publish(&knowledge);
        }
    }

    /// Takes a node's word on who leads.
    pub(super) fn hear(&self, term: Term, leader: Option<&NodeId>) {
        self.standing.hear(term, leader, false);
    }

    /// The newest term that is known.
    pub(super) fn term(&self) -> Term {
        self.standing.lock().term
    }

    /// Told of changes that may let somebody go on who waits.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.standing.changed.subscribe()
    }

    /// Nodes that can be reached, of all.
    pub(super) fn reachable(&self) -> (usize, usize) {
        let nodes = self.standing.nodes.load();
        let listed = || nodes.iter().filter(|node| node.listed.load(Ordering::Relaxed));
        (listed().filter(|node| node.is_up()).count(), listed().count())
    }
}

impl Standing {
    fn link(
        self: &Arc<Self>,
        node: &Arc<Node>,
        address: &str,
        tls: &PeerTls,
        hello: &Hello,
    ) -> Link {
        let name = node.name.clone();
        let (address, tls, hello) = (address.to_owned(), tls.clone(), hello.clone());
        let expected = name.clone();
        let open: super::link::Opener = Arc::new(move || {
            let (address, tls, hello) = (address.clone(), tls.clone(), hello.clone());
            let expected = expected.clone();
            Box::pin(async move {
                dial(&address, &tls, Some(expected.as_str()), &hello, DIAL_TIMEOUT).await
            })
        });
        let (standing, node) = (Arc::clone(self), Arc::clone(node));
        Link::start(name, open, move |event| match event {
            LinkEvent::Up { term, leader } => {
                node.up.store(true, Ordering::SeqCst);
                standing.hear(term, leader.as_ref(), false);
                standing.bump();
            }
            LinkEvent::Down => {
                node.up.store(false, Ordering::SeqCst);
                standing.bump();
            }
            LinkEvent::State(state) => standing.take_state(&node, &state),
            LinkEvent::Notified(told) => standing.listeners.hear(Arc::new(told)),
        })
    }

    fn take_state(&self, node: &Node, state: &crate::routing::link::NodeState) {
        node.applied.fetch_max(state.applied.lsn.0, Ordering::Relaxed);
        if state.leads && self.leader.load(Ordering::Acquire) == node.number {
            return;
        }
        let leader = if state.leads { Some(&node.name) } else { state.leader.as_ref() };
        if leader.is_some() {
            self.hear(state.applied.term, leader, state.leads);
        }
    }

    fn hear(&self, term: Term, leader: Option<&NodeId>, open: bool) {
        let mut knowledge = self.lock();
        if knowledge.hear(term, leader, open) {
            self.publish(&knowledge);
        }
    }

    fn publish(&self, knowledge: &Knowledge) {
        let leader = knowledge.leader.as_ref().filter(|_| knowledge.open);
        let nodes = self.nodes.load();
        let node = leader.and_then(|leader| nodes.iter().find(|node| node.name == *leader));
        self.leader.store(node.map_or(NOBODY, |node| node.number), Ordering::Release);
        self.bump();
    }

    fn bump(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// A node by its number; `None` once it is forgotten.
    fn node(&self, number: usize) -> Option<Arc<Node>> {
        self.nodes.load().iter().find(|node| node.number == number).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Knowledge> {
        self.knowledge.lock().expect("nobody panics while holding it")
    }
}

fn numbers(nodes: &[Arc<Node>]) -> Vec<usize> {
    nodes.iter().map(|node| node.number).collect()
}

impl Node {
    fn new(number: usize, name: NodeId, local: bool) -> Self {
        Self {
            number,
            name,
            link: ArcSwapOption::empty(),
            listed: AtomicBool::new(local),
            up: AtomicBool::new(local),
            healthy: AtomicBool::new(true),
            applied: AtomicU64::new(0),
            lag_bytes: AtomicU64::new(0),
            outstanding: AtomicUsize::new(0),
        }
    }

    fn is_up(&self) -> bool {
        self.up.load(Ordering::SeqCst)
    }
}

/// A session on a node, here or elsewhere.
pub(super) enum Seat<N: LocalNode> {
    Local(N::Session),
    Remote(LinkSession),
}
