//! Getting the tail that another node holds, before anybody leads (rule 18).
//!
//! ```text
//!   preferred node ── fetch ──► the one that holds more
//!                  ◄─ start, append … ──
//! ```
//!
//! Both have promised the term, so neither log changes but by this: what is sent is what
//! was reported. What the receiver has beyond the point where the logs part is saved and
//! cut, as for a leader. Nothing counts as committed by it.

use tokio::time::timeout;

use super::follow::{Stream, decode};
use super::serve::{Part, Source, refuse};
use super::{Replication, StreamError, is_final, lock};
use crate::cluster::{NodeId, Role};
use crate::failover::Fetch;
use crate::log::{Lsn, Term};
use crate::net::{FrameStream, dial};
use crate::node::Leadership;
use crate::replication::Rejoin;
use crate::replication::message::{Request, ToFollower, ToLeader};
use crate::storage::log_store::LogError;

impl Replication {
    /// Gets the tail that this node is to get, if there is one, and says what came of it.
    /// Returns only if the log is of no use any more.
    pub(super) async fn maybe_fetch(&self, now: &Leadership) -> LogError {
        let fetch = self.hub.fetch.borrow().clone();
        if let Some(fetch) = fetch.filter(|fetch| stands_still(now, fetch.term)) {
            let fetched = self.fetch(&fetch).await;
            let told = fetched.as_ref().copied().map_err(ToString::to_string);
            tracing::info!(term = %fetch.term, from = %fetch.from, end = %fetch.end, ?told,
                rule = "18", "a tail was to be fetched");
            self.hub.fetched.send_replace(Some((fetch.term, told)));
            if let Err(StreamError::Log(error)) = fetched
                && is_final(&error)
            {
                return error;
            }
        }
        std::future::pending().await
    }

    async fn fetch(&self, fetch: &Fetch) -> Result<(), StreamError> {
        let Fetch { term, from, end, .. } = fetch;
        let address = self.hub.address(from);
        let address =
            address.ok_or_else(|| StreamError::Refused(format!("{from} is no member")))?;
        let request = self.request(*term)?;
        let patience = self.silence_max();
        let (mut connection, _) =
            dial(&address, &self.tls, Some(from.as_str()), &self.hello(), patience).await?;
        connection.send(&ToLeader::Fetch(request.clone()).encode()).await?;
        let answer = timeout(patience, connection.recv())
            .await
            .map_err(|_| StreamError::Silent(patience))??
            .ok_or(StreamError::Closed)?;
        match decode(&answer)? {
            ToFollower::Start { term: said, at, .. } if said == *term => {
                self.join(&request, at, Lsn(0))?;
            }
            ToFollower::Refused { reason, .. } => return Err(StreamError::Refused(reason)),
            _ => return Err(StreamError::Protocol("no answer to the request".to_owned())),
        }
        let mut stream = Stream::new(self, connection, *term, Part::StandsStill, Lsn(0));
        while lock(&self.log).end() < *end {
            let frame = timeout(patience, stream.appends.recv())
                .await
                .map_err(|_| StreamError::Silent(patience))??
                .ok_or(StreamError::Closed)?;
            stream.take(frame).await?;
        }
        stream.finish().await?;
        let held = lock(&self.log).end();
        if held != *end {
            return Err(StreamError::Protocol(format!("the tail ends at {held}, not at {end}")));
        }
        Ok(())
    }

    /// Serves a node that is to lead.
    pub(super) async fn serve_tail(
        &self,
        mut stream: FrameStream,
        node: &NodeId,
        request: Request,
    ) -> Result<(), StreamError> {
        let term = request.term;
        let stands_still = stands_still(&self.hub.leadership.borrow(), term);
        let compared = tokio::task::block_in_place(|| self.compare(&request))?;
        let at = match compared {
            Rejoin::Stream { from } => Some(from),
            Rejoin::CutAndStream { at } => Some(at.lsn),
            Rejoin::Snapshot { .. } => None,
        };
        match at.filter(|_| stands_still && !request.reseed) {
            Some(at) => {
                let source = Source { term, part: Part::StandsStill };
                self.send(stream, node, &request, source, at).await
            }
            None => {
                let from = request.end;
                let reason = format!("{} can't send on from {from} in term {term}", self.hub.me);
                refuse(&mut stream, term, reason).await
            }
        }
    }

    /// Waits until `term` has a leader here, or is over.
    pub(super) async fn moves_on(&self, term: Term) {
        let mut leadership = self.hub.leadership.subscribe();
        let _ = leadership.wait_for(|now| !stands_still(now, term)).await;
    }
}

/// Whether a node has promised `term` and knows no leader in it: nothing is appended then.
pub(super) fn stands_still(now: &Leadership, term: Term) -> bool {
    now.term == term && now.role == Role::Follower && now.leader.is_none()
}
