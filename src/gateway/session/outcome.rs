//! What becomes of a part: its answer taken over, or what its refusal means.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::place::vanished;
use super::work::{Unit, Work};
use super::{Client, Ended};
use crate::gateway::{LocalNode, Refusal, Reply};
use crate::pg::backend::{TransactionStatus, Writer};
use crate::pg::{SqlError, SqlState};
use crate::routing::lost;
use crate::routing::reply::ReplyScan;
use crate::routing::route::{Next, Refused, Sent, after_refusal, unknown_outcome};
use crate::routing::unit::{Need, Summary, summarize};
use crate::sql::{Class, classify};

/// A unit that waits looks again this often, whatever it hears.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl<N: LocalNode> Client<N> {
    /// How many of a part's changes to prepared statements took place.
    pub(super) fn effects_done(&self, summary: &Summary, scan: Option<ReplyScan>) -> usize {
        let Some(mut scan) = scan else { return 0 };
        scan.feed(&self.out.buffer);
        match (summary.simple, scan.failed) {
            (true, true) => 0,
            (true, false) => summary.effects.len(),
            (false, _) => scan.effects,
        }
    }

    /// Takes what a node says of a part that it has carried out.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn accept(
        &mut self,
        node: usize,
        part: &Bytes,
        complete: bool,
        summary: &Summary,
        work: &Work,
        reply: Reply,
        effects: usize,
    ) -> Result<(), Ended> {
        self.last = Some(node);
        self.session.saw(reply.position);
        self.shared.nodes.told(node, reply.position);
        self.defines |= summary.defines;
        if reply.status == TransactionStatus::Idle && std::mem::take(&mut self.defines) {
            self.shared.nodes.defined(reply.position);
        }
        if let Some(placed) = self.seats.get_mut(&node) {
            self.session.applied(summary, effects, &mut placed.presence)?;
            if let Some(settings) = reply.settings {
                self.session.set_settings(Arc::clone(&settings), &mut placed.presence);
                self.subscribe(&settings);
            }
        }
        if self.mailbox.is_some() {
            // Hears of what the local node has told before it replied.
            self.shared.nodes.listeners();
        }
        let before = std::mem::replace(&mut self.session.status, reply.status);
        if summary.locks {
            self.session.locks_at = Some(node);
        }
        self.session.settle(summary, node);
        if before == TransactionStatus::Idle {
            self.session.read_only_transaction = summary.begins_read_only;
        }
        self.session.home = (reply.status != TransactionStatus::Idle).then_some(node);
        if !reply.unfinished {
            self.unit = None;
            self.tell_role();
            return Ok(());
        }
        let unit = self.unit.get_or_insert_with(Unit::default);
        unit.node = node;
        unit.need = work.need;
        unit.writes |= work.writes;
        unit.simple |= summary.simple;
        unit.copies |= summary.copies;
        unit.copying |= complete || unit.copies;
        unit.executed |= summary.executes;
        if unit.executed {
            unit.earlier.clear();
        } else {
            unit.earlier.push(part.clone());
        }
        Ok(())
    }

    /// Tells the client when its node has begun to lead, or ceased to.
    fn tell_role(&mut self) {
        let standby = self.is_standby();
        if standby != self.standby {
            self.standby = standby;
            let value = if standby { "on" } else { "off" };
            Writer(&mut self.out.buffer).parameter_status("in_hot_standby", value);
        }
    }

    /// Decides on work that a node sent back. Answers whether to go on with it.
    pub(super) async fn refused(
        &mut self,
        node: usize,
        refusal: Refusal,
        work: &mut Work,
    ) -> Result<bool, Ended> {
        tracing::debug!(node, %refusal, "a node sent work back");
        work.refused.push(node);
        let kind = match &refusal {
            Refusal::NotLeader { term, leader } => {
                self.shared.nodes.hear(*term, leader.as_ref());
                Refused::NotLeader
            }
            Refusal::Behind => Refused::Behind,
            Refusal::Lost => {
                self.session.cut_back();
                Refused::Lost
            }
            Refusal::Unavailable(_) => Refused::Unavailable,
            Refusal::Unknown => Refused::Unknown,
            Refusal::NeverRan => Refused::NeverRan,
            Refusal::Failed(_) => Refused::Failed,
        };
        if work.looks_up {
            match kind {
                Refused::NeverRan => work.looks_up = false,
                // It asks again, until somebody knows or time is up.
                _ => return self.wait_or_fail(work, unknown_outcome()).await,
            }
        }
        work.losses += usize::from(kind == Refused::Unknown);
        let sent = Sent {
            in_transaction: work.in_transaction,
            read_only: self.session.read_only_transaction,
            writes: work.writes,
            token: work.token.is_some(),
            commits: work.commits,
            superseded: work.sent_in < self.shared.nodes.term(),
            answered: self.out.flushed || self.unit.as_ref().is_some_and(|unit| unit.executed),
            losses: work.losses,
        };
        match after_refusal(kind, &sent) {
            Next::Retry(need) => {
                work.need = work.need.max(need);
                work.writes |= need == Need::Leader;
                work.stays_at = None;
                Ok(true)
            }
            Next::LookUp => {
                work.looks_up = true;
                work.need = Need::Leader;
                work.stays_at = None;
                Ok(true)
            }
            Next::Fail(mut error) => {
                self.leave(node);
                if let Refusal::Failed(cause) = refusal {
                    error.detail = Some(cause);
                }
                self.fail(*error, work);
                Ok(false)
            }
        }
    }

    /// Waits for news, and forgives those that refused. `false` once the client has
    /// been told `error` because time is up, or that its wait was cancelled.
    pub(super) async fn wait_or_fail(
        &mut self,
        work: &mut Work,
        error: SqlError,
    ) -> Result<bool, Ended> {
        let deadline =
            *work.deadline.get_or_insert_with(|| Instant::now() + self.shared.leader_wait);
        let cancel = Arc::clone(&self.cancel.session);
        let cancelled = tokio::select! {
            _ = self.changes.changed() => false,
            () = tokio::time::sleep_until(deadline.min(Instant::now() + LOOK_AGAIN)) => false,
            () = cancel.waiting.notified() => true,
            () = vanished(&mut self.reader, &mut self.inbound) => return Err(Ended::Gone),
        };
        if cancelled {
            // What is looked up may have taken place: that answer can't be hurried.
            let told = if work.looks_up {
                unknown_outcome()
            } else {
                SqlError::new(SqlState::QUERY_CANCELED, "canceling statement due to user request")
            };
            self.fail(told, work);
            return Ok(false);
        }
        if Instant::now() >= deadline {
            self.fail(error, work);
            return Ok(false);
        }
        work.refused.clear();
        Ok(true)
    }

    /// Tells the client that its unit has failed, and what state that leaves.
    pub(super) fn fail(&mut self, error: SqlError, work: &Work) {
        let in_transaction = work.in_transaction && !work.commits;
        if let Some(node) = self.session.home.take().or(self.unit.as_ref().map(|unit| unit.node)) {
            // What is half done there ends with the session's presence.
            self.leave(node);
            if self.session.settled_at == Some(node) {
                self.session.unsettle();
            }
        }
        self.session.lost = in_transaction;
        self.session.unheard = in_transaction && !work.executes;
        self.session.status =
            if in_transaction { TransactionStatus::Failed } else { TransactionStatus::Idle };
        let simple = self.unit.take().is_some_and(|unit| unit.simple);
        let mut writer = Writer(&mut self.out.buffer);
        writer.error(&error);
        if work.complete || simple {
            writer.ready_for_query(self.session.status);
        } else {
            self.skipping = true;
        }
    }

    /// The node is gone where the session had something that can't be made again.
    pub(super) fn unsettle(&mut self, work: &Work) {
        self.session.unsettle();
        let error = SqlError::new(
            SqlState::SERIALIZATION_FAILURE,
            "the session's temporary objects were lost with the node that held them",
        );
        self.fail(error, work);
    }

    pub(super) fn answer_lost(&mut self, part: &Bytes) -> Result<(), Ended> {
        let session = &self.session;
        let summary = summarize(part, false, &mut classify, &|name| session.class_of(name));
        let answered = lost::answer(
            part,
            session.unheard,
            &mut |text: &str| -> Class { classify(text) },
            &|name| session.class_of(name),
            &mut self.out.buffer,
        );
        self.session.unheard &= !answered.heard && !answered.ended;
        if answered.ended {
            self.session.lost = false;
            self.session.status = TransactionStatus::Idle;
        }
        self.skipping = answered.skipping;
        Ok(self.session.applied_here(&summary, answered.effects)?)
    }
}
