//! Notifications: statements of a transaction that no SQLite runs, sent to whoever
//! listens on this node once the transaction is in SQLite.

use std::sync::Arc;

use super::Writer;
use crate::cluster::Position;
use crate::log::{Statement, Value};
use crate::node::execute::NOTIFY;
use crate::routing::link::Notification;

/// Of one transaction, in order; equal ones count once.
#[derive(Debug, Default)]
pub(super) struct Notifications(Vec<Notification>);

/// How many there were at a savepoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark(usize);

impl Notifications {
    /// Takes a statement that is one; whether it is.
    pub(super) fn take(&mut self, statement: &Statement) -> bool {
        if &*statement.text != NOTIFY {
            return false;
        }
        if let [Value::Text(channel), Value::Text(payload), Value::Integer(pid)] =
            &statement.params[..]
            && !self.0.iter().any(|n| n.channel == *channel && n.payload == *payload)
        {
            self.0.push(Notification {
                position: Position::default(),
                number: self.0.len() as u32,
                pid: i32::try_from(*pid).unwrap_or_default(),
                channel: channel.clone(),
                payload: payload.clone(),
            });
        }
        true
    }

    /// All that are in `statements`.
    pub(super) fn of(statements: &[Statement]) -> Self {
        let mut all = Self::default();
        for statement in statements {
            all.take(statement);
        }
        all
    }

    pub(super) fn mark(&self) -> Mark {
        Mark(self.0.len())
    }

    /// Forgets those since the mark.
    pub(super) fn undo(&mut self, mark: Mark) {
        self.0.truncate(mark.0);
    }

    /// They are those of the frame that ends at `position`.
    pub(super) fn placed(mut self, position: Position) -> Vec<Notification> {
        self.0.iter_mut().for_each(|notification| notification.position = position);
        self.0
    }
}

impl Writer {
    /// Tells whoever listens.
    pub(super) fn send_notifications(&self, notifications: Vec<Notification>) {
        for notification in notifications {
            // Nobody listening is no error.
            let _ = self.hub.notifications.send(Arc::new(notification));
        }
    }
}
