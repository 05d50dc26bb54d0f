//! A follower that others follow, so that the leader need not send them the log as well.
//!
//! ```text
//!   leader ──► relay ──► follower     while the relay follows the leader itself
//!      ▲                    │         otherwise, and when the relay refuses, is gone, or
//!      └────────────────────┘         the term ends
//! ```
//!
//! - A relay sends what it has durably and knows to equal the leader's log of the term, and
//!   tells no higher commit LSN: a follower may believe both as if the leader said them.
//! - It only ever goes on from where the follower's log ends. What the follower has beyond
//!   the relay's it may have acknowledged to the leader, so a relay waits until it has come
//!   so far too; a cut, and a snapshot, are the leader's to send.
//! - A node that follows by way of a relay is none itself, so there are no circles.
//! - The leader counts nothing of what it does not hear. Nor does such a follower say that
//!   it has seen the leader (rule 7), and where it counts for no election (rule 16a) it
//!   follows the leader itself: only that knows what it may once have acknowledged.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::serve::{Part, Source, refuse};
use super::{Replication, StreamError, lock};
use crate::cluster::{NodeId, NodeView, Role};
use crate::log::Term;
use crate::net::FrameStream;
use crate::node::Leadership;
use crate::replication::Rejoin;
use crate::replication::message::Request;

/// How long the leader is followed before a relay that failed is tried again.
pub(super) const AFTER_FAILURE: Duration = Duration::from_secs(10);

impl Replication {
    /// Whether this node may send on what it gets.
    pub(super) fn relays(&self, term: Term) -> bool {
        let leadership = self.hub.leadership.borrow().clone();
        let upstream = self.hub.upstream.borrow().clone();
        leadership.term == term
            && leadership.role == Role::Follower
            && leadership.leader.is_some_and(|leader| upstream == Some((term, leader)))
    }

    /// Waits until it may not.
    pub(super) async fn relayed(&self, term: Term) {
        let mut leadership = self.hub.leadership.subscribe();
        let mut upstream = self.hub.upstream.subscribe();
        while self.relays(term) {
            tokio::select! {
                _ = leadership.changed() => {}
                _ = upstream.changed() => {}
            }
        }
    }

    /// Serves another follower.
    pub(super) async fn relay(
        &self,
        mut stream: FrameStream,
        follower: &NodeId,
        request: Request,
    ) -> Result<(), StreamError> {
        let (term, at) = (request.term, request.end.lsn);
        let mut verified = self.hub.verified.subscribe();
        let come = timeout(self.timing.suspicion, verified.wait_for(|verified| *verified >= at));
        let come = come.await.is_ok_and(|come| come.is_ok());
        let fits = come && !request.reseed && {
            let compared = tokio::task::block_in_place(|| self.compare(&request));
            compared.is_ok_and(|rejoin| rejoin == Rejoin::Stream { from: at })
        };
        if !fits || !self.relays(term) {
            let reason =
                format!("{} can't send on from {} in term {term}", self.hub.me, request.end);
            return refuse(&mut stream, term, reason).await;
        }
        self.send(stream, follower, &request, Source { term, part: Part::Relays }, at).await
    }

    /// By way of whom to follow `leader` from `after` on, if of anybody.
    pub(super) fn way(&self, leader: &NodeId, after: Instant) -> Option<NodeId> {
        let through = self.through.as_ref().filter(|through| *through != leader)?;
        let sound = self.hub.quarantine.borrow().is_none()
            && !lock(&self.control).get().unproven
            && self.hub.address(through).is_some();
        (sound && Instant::now() >= after).then(|| through.clone())
    }

    /// Waits, while the leader is followed, until following by way of another can be tried.
    pub(super) async fn way_opens(&self, now: &Leadership, after: Instant) {
        let through = self.through.as_ref().filter(|through| now.leader.as_ref() != Some(through));
        let Some(through) = through else { return std::future::pending().await };
        sleep_until(after).await;
        let mut view = self.hub.view.subscribe();
        let follows = |node: &NodeView| {
            node.name == *through
                && node.healthy
                && node.role == Role::Follower
                && node.term == now.term
        };
        // The sender lives as long as the hub that is borrowed here.
        let _ = view.wait_for(|view| view.nodes.iter().any(follows)).await;
    }
}
