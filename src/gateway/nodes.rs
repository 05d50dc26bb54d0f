use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
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
/// Nodes that a router knows at most in its life, dropped ones included.
const NODES_MAX: usize = 1024;
/// Of [`Standing::leader`]: nobody.
const NOBODY: usize = usize::MAX;

/// The nodes of the cluster, and how this router reaches them.
///
/// A node's number is its for good: the views name nodes that have joined, which get the
/// next numbers, and no longer those that were dropped, which keep theirs.
pub(super) struct Nodes<N> {
    standing: Arc<Standing>,
    /// By number; none to the local node, and to one that was dropped.
    links: Vec<ArcSwapOption<Link>>,
    tls: PeerTls,
    hello: Hello,
    local: Option<(usize, N)>,
    /// What NOTIFY sends, as the local node tells it.
    bulletin: Option<Mutex<broadcast::Receiver<Arc<Notification>>>>,
}

/// What is known of the nodes, kept so that routing takes no lock.
struct Standing {
    /// How many numbers are given.
    count: AtomicUsize,
    /// By number.
    names: Vec<OnceLock<NodeId>>,
    /// Who is local, or [`NOBODY`].
    local: usize,
    /// Who leads and is open, by number, or [`NOBODY`].
    leader: AtomicUsize,
    nodes: Vec<Standard>,
    knowledge: Mutex<Knowledge>,
    /// The latest position that any client here was told of.
    told: Mutex<Position>,
    /// Its LSN, so that most replies take no lock.
    told_lsn: AtomicU64,
    /// Counts changes that may let somebody go on who waits.
    changed: watch::Sender<u64>,
    listeners: Listeners,
}

/// One node's standing.
struct Standard {
    /// It was not dropped, as far as is known.
    listed: AtomicBool,
    up: AtomicBool,
    healthy: AtomicBool,
    applied: AtomicU64,
    lag_bytes: AtomicU64,
    outstanding: AtomicUsize,
}

/// Counts a part as unanswered while it lives.
pub(super) struct Outstanding(Arc<Standing>, usize);

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.0.nodes[self.1].outstanding.fetch_sub(1, Ordering::Relaxed);
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
        names.truncate(NODES_MAX - 1);
        let local = local.map(|(name, node)| {
            let number = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            });
            (number, node)
        });
        let local_number = local.as_ref().map_or(NOBODY, |(number, _)| *number);
        let count = names.len();
        let unused = (count..NODES_MAX).map(|_| OnceLock::new());
        let standing = Arc::new(Standing {
            count: AtomicUsize::new(count),
            local: local_number,
            leader: AtomicUsize::new(NOBODY),
            nodes: (0..NODES_MAX).map(|number| Standard::new(number == local_number)).collect(),
            knowledge: Mutex::default(),
            told: Mutex::default(),
            told_lsn: AtomicU64::new(0),
            changed: watch::Sender::new(0),
            listeners: Listeners::new(sessions),
            names: names.into_iter().map(OnceLock::from).chain(unused).collect(),
        });
        let hello = Hello {
            version: 1,
            cluster: cluster.to_owned(),
            name: name.to_owned(),
            purpose: Purpose::Link,
            instance: 0,
        };
        let links = (0..NODES_MAX).map(|_| ArcSwapOption::empty()).collect();
        let bulletin = local.as_ref().map(|(_, node)| Mutex::new(node.notifications()));
        let nodes = Self { standing, links, tls: tls.clone(), hello, local, bulletin };
        for (number, (_, address)) in members.iter().take(count).enumerate() {
            nodes.reach(number, address);
        }
        nodes
    }

    /// Keeps a link to a node from now on.
    fn reach(&self, number: usize, address: &str) {
        if number != self.standing.local {
            let link = self.standing.link(number, address, &self.tls, &self.hello);
            self.links[number].store(Some(Arc::new(link)));
        }
    }

    /// Takes note of who has joined and who was dropped.
    fn see_members(&self, view: &View) {
        let standing = &self.standing;
        for seen in &view.nodes {
            let number = match standing.number(&seen.name) {
                Some(number) => number,
                None => match standing.give_number(&seen.name) {
                    Some(number) => number,
                    None => {
                        tracing::warn!(node = %seen.name, "too many nodes; restart to reach it");
                        continue;
                    }
                },
            };
            // What the file says of a node's address is this router's own.
            let known = standing.nodes[number].listed.swap(true, Ordering::Relaxed);
            if !known {
                tracing::info!(node = %seen.name, peer = seen.peer, rule = "P22", "joins");
                self.reach(number, &seen.peer);
            }
        }
        for number in 0..self.count() {
            let node = &standing.nodes[number];
            let listed = view.nodes.iter().any(|seen| standing.name(number) == Some(&seen.name));
            if listed || number == standing.local {
                continue;
            }
            node.listed.store(false, Ordering::Relaxed);
            // What runs there comes to its end, and the node closes the link.
            if !node.up.load(Ordering::SeqCst) {
                self.links[number].store(None);
            }
        }
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
        if let Some((number, node)) = &self.local {
            self.standing.take_state(*number, &node.state());
        }
    }

    /// The number of the local node.
    pub(super) fn local(&self) -> Option<usize> {
        self.local.as_ref().map(|(number, _)| *number)
    }

    pub(super) fn count(&self) -> usize {
        self.standing.count.load(Ordering::Acquire)
    }

    /// Opens a session on a node; `None` if it can't be reached.
    pub(super) fn open(&self, number: usize, params: &SessionParams) -> Option<Seat<N>> {
        match &self.local {
            Some((local, node)) if *local == number => Some(Seat::Local(node.open(params.clone()))),
            _ => Some(Seat::Remote(self.links[number].load_full()?.session(params)?)),
        }
    }

    /// Counts a part that is sent to a node.
    pub(super) fn begin(&self, number: usize) -> Outstanding {
        self.standing.nodes[number].outstanding.fetch_add(1, Ordering::Relaxed);
        Outstanding(Arc::clone(&self.standing), number)
    }

    /// Describes all nodes for a route; `refused` holds the numbers of those that have
    /// refused this part.
    pub(super) fn candidates(&self, refused: &[usize], into: &mut Vec<Candidate>) {
        self.ask_local();
        let leader = self.standing.leader.load(Ordering::Acquire);
        into.clear();
        let nodes = self.standing.nodes.iter().take(self.count());
        into.extend(nodes.enumerate().map(|(number, node)| Candidate {
            connected: node.up.load(Ordering::Relaxed) && node.listed.load(Ordering::Relaxed),
            healthy: node.healthy.load(Ordering::Relaxed),
            local: number == self.standing.local,
            leads: number == leader,
            applied: Lsn(node.applied.load(Ordering::Relaxed)),
            lag_bytes: node.lag_bytes.load(Ordering::Relaxed),
            outstanding: node.outstanding.load(Ordering::Relaxed),
            refused: refused.contains(&number),
        }));
    }

    /// The leader's number, if one is known and open.
    pub(super) fn leader(&self) -> Option<usize> {
        let leader = self.standing.leader.load(Ordering::Acquire);
        (leader != NOBODY).then_some(leader)
    }

    /// A node's reply tells a client of this position.
    pub(super) fn told(&self, number: usize, position: Position) {
        let standing = &self.standing;
        standing.nodes[number].applied.fetch_max(position.lsn.0, Ordering::Relaxed);
        if position.lsn.0 > standing.told_lsn.load(Ordering::Relaxed) {
            let mut told = standing.told.lock().expect("nobody panics while holding it");
            *told = position.max(*told);
            standing.told_lsn.store(told.lsn.0, Ordering::Relaxed);
        }
    }

    /// Where a new session begins: not before what clients of this router were told, so
    /// that a program sees what the one before it wrote. Nothing is promised across a
    /// change of term, which may (async) have taken some of it back.
    pub(super) fn begin_at(&self) -> Position {
        let told = *self.standing.told.lock().expect("nobody panics while holding it");
        if told.term == self.term() { told } else { Position::default() }
    }

    /// Takes the monitor's view.
    pub(super) fn see(&self, view: View) {
        // A monitor that has lost its state knows older members at first.
        let version = |view: &View| view.configuration.as_ref().map(|it| it.version);
        let mut knowledge = self.standing.lock();
        if version(&view).is_some() && version(&view) >= version(&knowledge.view) {
            self.see_members(&view);
        }
        for seen in &view.nodes {
            let Some(number) = self.standing.number(&seen.name) else { continue };
            let node = &self.standing.nodes[number];
            node.applied.fetch_max(seen.applied.0, Ordering::Relaxed);
            node.lag_bytes.store(seen.lag_bytes, Ordering::Relaxed);
            node.healthy.store(seen.healthy, Ordering::Relaxed);
        }
        if knowledge.see(view) {
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
        let listed = |node: &&Standard| node.listed.load(Ordering::Relaxed);
        let nodes = || self.standing.nodes.iter().take(self.count()).filter(listed);
        let up = nodes().filter(|node| node.up.load(Ordering::Relaxed)).count();
        (up, nodes().count())
    }
}

impl Standing {
    fn link(self: &Arc<Self>, number: usize, address: &str, tls: &PeerTls, hello: &Hello) -> Link {
        let name = self.name(number).expect("it has a number").clone();
        let (address, tls, hello) = (address.to_owned(), tls.clone(), hello.clone());
        let expected = name.clone();
        let open: super::link::Opener = Arc::new(move || {
            let (address, tls, hello) = (address.clone(), tls.clone(), hello.clone());
            let expected = expected.clone();
            Box::pin(async move {
                dial(&address, &tls, Some(expected.as_str()), &hello, DIAL_TIMEOUT).await
            })
        });
        let standing = Arc::clone(self);
        Link::start(name, open, move |event| match event {
            LinkEvent::Up { term, leader } => {
                standing.nodes[number].up.store(true, Ordering::SeqCst);
                standing.hear(term, leader.as_ref(), false);
                standing.bump();
            }
            LinkEvent::Down => {
                standing.nodes[number].up.store(false, Ordering::SeqCst);
                standing.bump();
            }
            LinkEvent::State(state) => standing.take_state(number, &state),
            LinkEvent::Notified(told) => standing.listeners.hear(Arc::new(told)),
        })
    }

    fn take_state(&self, number: usize, state: &crate::routing::link::NodeState) {
        self.nodes[number].applied.fetch_max(state.applied.lsn.0, Ordering::Relaxed);
        if state.leads && self.leader.load(Ordering::Acquire) == number {
            return;
        }
        let leader = if state.leads { self.name(number) } else { state.leader.as_ref() };
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
        let number = leader.and_then(|leader| self.number(leader)).unwrap_or(NOBODY);
        self.leader.store(number, Ordering::Release);
        self.bump();
    }

    fn bump(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn number(&self, name: &NodeId) -> Option<usize> {
        self.names.iter().position(|known| known.get() == Some(name))
    }

    fn name(&self, number: usize) -> Option<&NodeId> {
        self.names[number].get()
    }

    /// The next number, if one is left. Called by one task.
    fn give_number(&self, name: &NodeId) -> Option<usize> {
        let number = self.count.load(Ordering::Acquire);
        self.names.get(number)?.set(name.clone()).ok()?;
        self.nodes[number].listed.store(false, Ordering::Relaxed);
        self.count.store(number + 1, Ordering::Release);
        Some(number)
    }

    fn lock(&self) -> MutexGuard<'_, Knowledge> {
        self.knowledge.lock().expect("nobody panics while holding it")
    }
}

impl Standard {
    fn new(local: bool) -> Self {
        Self {
            listed: AtomicBool::new(true),
            up: AtomicBool::new(local),
            healthy: AtomicBool::new(true),
            applied: AtomicU64::new(0),
            lag_bytes: AtomicU64::new(0),
            outstanding: AtomicUsize::new(0),
        }
    }
}

/// A session on a node, here or elsewhere.
pub(super) enum Seat<N: LocalNode> {
    Local(N::Session),
    Remote(LinkSession),
}
