//! The disk's space. Writes stop while some is left, since a log or a WAL that can't
//! grow takes the leadership with it, and what is left serves checkpoints, snapshots'
//! ends and operators; reads go on. Writes go on by themselves when there is room.
//! A follower stops later than a leader, see [`Space`].

use std::time::Duration;

use super::{Replication, lock, publish};
use crate::failover::Rule;
use crate::node::Space;
use crate::storage::fs::space_left;

/// How often the disk is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Replication {
    /// Looks at the disk, and says when it is nearly full.
    pub(super) async fn watch_space(&self) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            match tokio::task::block_in_place(|| space_left(&self.data)) {
                Ok(left) => self.note_space(left),
                Err(error) => tracing::warn!(%error, "the disk's space can't be told"),
            }
        }
    }

    fn note_space(&self, left: u64) {
        let before = *self.hub.space.borrow();
        let reserve = self.reserve_bytes;
        // A little more than was wanting, so that it does not flutter.
        let margin = |state| if before >= state { reserve / 8 } else { 0 };
        let space = if left < reserve / 2 + margin(Space::Scarce) {
            Space::Scarce
        } else if left < reserve + margin(Space::Low) {
            Space::Low
        } else {
            Space::Enough
        };
        let low = space > Space::Enough;
        if low {
            tokio::task::block_in_place(|| self.make_room());
        }
        if space == before {
            return;
        }
        publish(&self.hub.space, space);
        if low && before > Space::Enough {
            return;
        }
        let (said, reason) = if low {
            let said = format!("disk nearly full: {left} bytes left, {reserve} are kept free");
            (said.clone(), said)
        } else {
            (format!("the disk has {left} bytes left again: writes go on"), String::new())
        };
        self.hub.notice(Rule::Space, None, said);
        self.hub.reason.send_if_modified(|held| {
            let ours = held.is_empty() || held.starts_with("disk nearly full");
            ours && std::mem::replace(held, reason.clone()) != reason
        });
    }

    /// Releases of the log what nobody connected needs.
    pub(super) fn make_room(&self) {
        if let Err(error) = self.record_commit() {
            tracing::warn!(%error, "the commit LSN could not be recorded");
        }
        let applied = *self.hub.applied.borrow();
        let needed = lock(&self.hub.followers).values().map(|(_, progress)| progress.durable).min();
        let upto = needed.map_or(applied, |needed| needed.min(applied));
        if let Err(error) = self.release(upto) {
            tracing::warn!(%error, "old segments could not be released");
        }
    }
}
