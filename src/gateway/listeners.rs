//! LISTEN: which sessions of this gateway listen to what, and what they must still be
//! told.
//!
//! Notifications come from the log, so every node tells of all of them; the gateway
//! hears them from each node that it can reach and takes the first telling. So the
//! death of a node, the leader too, loses none. A channel's subscription begins at the
//! position that the node of its LISTEN had applied: what came before is not told,
//! what the gateway heard between that and the LISTEN's reply is.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, broadcast};

use super::Channels;
use super::cancel::CancelRegistry;
use crate::cluster::Position;
use crate::routing::link::Notification;
use crate::storage::sqlite::{CANCEL, CANCEL_REQUEST, TERMINATE};

/// Notifications kept, to know them again and to tell a LISTEN that comes late.
const KEPT_MAX: usize = 4096;
/// Notifications that a session may be behind before it is ended.
const BEHIND_MAX: usize = 16_384;

/// The listening sessions of a gateway.
#[derive(Default)]
pub(super) struct Listeners {
    state: Mutex<State>,
    /// Told by channels of their own to stop sessions.
    sessions: Arc<CancelRegistry>,
}

#[derive(Default)]
struct State {
    /// The newest notifications, in order of the log.
    kept: BTreeMap<(Position, u32), Arc<Notification>>,
    /// Everything up to here was told or is too old.
    dropped: (Position, u32),
    mailboxes: HashMap<i32, Arc<Mailbox>>,
}

/// What one session listens to, and what it has not been told.
#[derive(Default)]
pub(super) struct Mailbox {
    state: Mutex<Mail>,
    /// Something has arrived.
    pub(super) arrived: Notify,
}

#[derive(Default)]
struct Mail {
    /// Channel → where the subscription begins.
    channels: Channels,
    waiting: VecDeque<Arc<Notification>>,
    overrun: bool,
}

/// The session did not take its notifications.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Overrun;

impl Listeners {
    pub(super) fn new(sessions: Arc<CancelRegistry>) -> Self {
        Self { state: Mutex::default(), sessions }
    }

    /// Takes what a node tells.
    pub(super) fn hear(&self, notification: Arc<Notification>) {
        // Orders are in no log: one node tells of them.
        let session = || notification.payload.parse().unwrap_or_default();
        match notification.channel.as_str() {
            CANCEL => return self.sessions.cancel_any(session()),
            CANCEL_REQUEST => return self.sessions.cancel_told(&notification.payload),
            TERMINATE => return self.sessions.terminate(session()),
            _ => {}
        }
        let mut state = self.lock();
        let key = (notification.position, notification.number);
        if key <= state.dropped || state.kept.insert(key, Arc::clone(&notification)).is_some() {
            return;
        }
        if state.kept.len() > KEPT_MAX
            && let Some((oldest, _)) = state.kept.pop_first()
        {
            state.dropped = oldest;
        }
        for mailbox in state.mailboxes.values() {
            mailbox.put(&notification);
        }
    }

    /// Takes what the own node has told.
    pub(super) fn drain(&self, source: &Mutex<broadcast::Receiver<Arc<Notification>>>) {
        let mut source = source.lock().expect("nobody panics while holding it");
        loop {
            match source.try_recv() {
                Ok(notification) => self.hear(notification),
                // Other nodes tell them too.
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return,
            }
        }
    }

    /// Session `pid` listens to `channels`.
    pub(super) fn subscribe(&self, pid: i32, channels: Channels) {
        let mut state = self.lock();
        if channels.is_empty() {
            state.mailboxes.remove(&pid);
            return;
        }
        let mailbox = Arc::clone(state.mailboxes.entry(pid).or_default());
        let mut mail = mailbox.lock();
        let before = std::mem::replace(&mut mail.channels, channels);
        let Mail { channels, waiting, .. } = &mut *mail;
        waiting.retain(|told| channels.contains_key(&told.channel));
        if channels.keys().any(|channel| !before.contains_key(channel)) {
            let late = state.kept.values().filter(|told| !before.contains_key(&told.channel));
            waiting.extend(late.filter(|told| wants(channels, told)).cloned());
        }
    }

    /// The mailbox of session `pid`, if it listens.
    pub(super) fn mailbox(&self, pid: i32) -> Option<Arc<Mailbox>> {
        self.lock().mailboxes.get(&pid).cloned()
    }

    /// Session `pid` is gone.
    pub(super) fn forget(&self, pid: i32) {
        self.lock().mailboxes.remove(&pid);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

impl Mailbox {
    fn put(&self, notification: &Arc<Notification>) {
        let mut mail = self.lock();
        if !wants(&mail.channels, notification) {
            return;
        }
        if mail.waiting.len() >= BEHIND_MAX {
            mail.overrun = true;
        } else {
            mail.waiting.push_back(Arc::clone(notification));
        }
        drop(mail);
        self.arrived.notify_one();
    }

    /// What the session must be told now.
    pub(super) fn take(&self) -> Result<VecDeque<Arc<Notification>>, Overrun> {
        let mut mail = self.lock();
        if mail.overrun { Err(Overrun) } else { Ok(std::mem::take(&mut mail.waiting)) }
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

fn wants(channels: &Channels, told: &Notification) -> bool {
    channels.get(&told.channel).is_some_and(|since| told.position > *since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Lsn, Term};

    fn at(lsn: u64) -> Position {
        Position { term: Term(1), lsn: Lsn(lsn) }
    }

    fn told(lsn: u64, channel: &str) -> Arc<Notification> {
        Arc::new(Notification {
            position: at(lsn),
            number: 0,
            pid: 1,
            channel: channel.to_owned(),
            payload: lsn.to_string(),
        })
    }

    fn since(lsn: u64, channels: &[&str]) -> Channels {
        channels.iter().map(|channel| ((*channel).to_owned(), at(lsn))).collect()
    }

    fn payloads(listeners: &Listeners) -> Vec<String> {
        let mailbox = listeners.mailbox(7).expect("it listens");
        mailbox.take().expect("in time").iter().map(|n| n.payload.clone()).collect()
    }

    #[test]
    fn what_several_nodes_tell_is_heard_once() {
        let listeners = Listeners::default();
        listeners.subscribe(7, since(0, &["a"]));
        for lsn in [1, 2, 1, 2, 3] {
            listeners.hear(told(lsn, "a"));
        }
        listeners.hear(told(4, "b"));
        assert_eq!(payloads(&listeners), ["1", "2", "3"]);
    }

    #[test]
    fn a_subscription_begins_where_its_listen_was() {
        let listeners = Listeners::default();
        listeners.hear(told(5, "a"));
        listeners.hear(told(6, "a"));
        listeners.subscribe(7, since(5, &["a"]));
        listeners.hear(told(7, "a"));
        assert_eq!(payloads(&listeners), ["6", "7"]);
        listeners.subscribe(7, since(7, &["a", "b"]));
        assert_eq!(payloads(&listeners), [""; 0]);
        listeners.subscribe(7, Channels::new());
        assert!(listeners.mailbox(7).is_none());
    }

    #[test]
    fn what_is_long_past_is_not_told_again() {
        let listeners = Listeners::default();
        for lsn in 1..=KEPT_MAX as u64 + 2 {
            listeners.hear(told(lsn, "a"));
        }
        listeners.subscribe(7, since(0, &["a"]));
        assert_eq!(payloads(&listeners).len(), KEPT_MAX);
        listeners.hear(told(1, "a"));
        assert!(payloads(&listeners).is_empty());
    }

    #[test]
    fn who_does_not_take_them_is_overrun() {
        let listeners = Listeners::default();
        listeners.subscribe(7, since(0, &["a"]));
        for lsn in 1..=BEHIND_MAX as u64 + 1 {
            listeners.hear(told(lsn, "a"));
        }
        let mailbox = listeners.mailbox(7).expect("it listens");
        assert_eq!(mailbox.take(), Err(Overrun));
    }
}
