//! Where a part is carried out: a node is found and brought to where the session is.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::watch;

use super::work::{Minding, Work};
use super::{Client, Ended, Placed, READ_ROOM};
use crate::cluster::Position;
use crate::gateway::nodes::Seat;
use crate::gateway::serve::Shared;
use crate::gateway::{Canceller, LocalNode, Mode, NodeSession, Refusal, Reply, Request};
use crate::net::ClientReader;
use crate::routing::route::{Ask, Route, no_leader, no_node, route, unknown_outcome};
use crate::routing::session::Presence;
use crate::routing::unit::{Need, Summary};

/// Bytes that a client may send ahead while its unit runs.
const AHEAD_MAX: usize = 256 * 1024;
/// How long a leader that was superseded may still answer.
const SUPERSEDED_GRACE: Duration = Duration::from_millis(200);

impl<N: LocalNode> Client<N> {
    /// Finds a node for the work, waiting for one if need be. `None` if the client
    /// was told that there is none.
    pub(super) async fn place(
        &mut self,
        work: &mut Work,
    ) -> Result<Option<(usize, Position)>, Ended> {
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
        if let Some(defined) = self.shared.nodes.defined_beyond(self.session.position) {
            self.session.saw(defined);
        }
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
    pub(super) fn is_seated(&self, node: usize) -> bool {
        self.seats.get(&node).is_some_and(|placed| !placed.seat.is_dead())
    }

    /// Makes sure that the session is present on a node, and that a cancel goes there.
    fn sit(&mut self, node: usize) -> bool {
        if !self.is_seated(node) {
            let Some(seat) = self.shared.nodes.open(node, &self.params) else { return false };
            let presence = Presence::new(&self.session);
            // Nodes that are gone for good leave none behind.
            self.seats.retain(|_, placed| !placed.seat.is_dead());
            self.seats.insert(node, Placed { seat, presence });
            self.cancel_goes_to = None;
        }
        if self.cancel_goes_to != Some(node)
            && let Some(placed) = self.seats.get(&node)
        {
            self.cancel.session.set_node(placed.seat.canceller());
            self.cancel_goes_to = Some(node);
        }
        true
    }

    /// Brings a node to where the session is: settings, prepared statements, and the
    /// parts of the unit that were carried out elsewhere.
    pub(super) async fn prepare(
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
        let placed = self.seats.get(&node).expect("the session sits there");
        let needs = self.session.needs(summary, &placed.presence);
        if let Some(messages) = self.session.remake(&placed.presence, &needs) {
            let request = Request { messages, see, token: None, mode: Mode::Silent };
            if let Err(refusal) = self.run_at(node, request, minding).await? {
                return Ok(Err(undone(refusal)));
            }
        }
        let placed = self.seats.get_mut(&node).expect("the session sits there");
        self.session.remade(&mut placed.presence, &needs);
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
            self.seats.remove(&left);
        }
        Ok(Ok(()))
    }

    /// Runs a request on a node where the session sits, minding the client.
    pub(super) async fn run_at(
        &mut self,
        node: usize,
        request: Request,
        minding: Minding,
    ) -> Result<Result<Reply, Refusal>, Ended> {
        let Self { seats, out, reader, inbound, shared, changes, .. } = self;
        let placed = seats.get_mut(&node).expect("the session sits there");
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

    pub(super) fn leave(&mut self, node: usize) {
        self.seats.remove(&node);
        self.cancel_goes_to = None;
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

/// Ends when the client has gone. What it sends meanwhile is kept, up to a bound.
pub(super) async fn vanished(reader: &mut ClientReader, inbound: &mut BytesMut) {
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
pub(super) async fn superseded<N: LocalNode>(
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
