use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Canceller;

/// The sessions of a gateway, by the numbers that CancelRequest names.
#[derive(Default)]
pub(super) struct CancelRegistry(Mutex<HashMap<i32, Arc<Cancellable>>>);

/// How one session is cancelled.
pub(super) struct Cancellable {
    pub(super) pid: i32,
    pub(super) secret: i32,
    /// Something runs that a cancel is meant for.
    busy: AtomicBool,
    /// Stops what runs on the node that serves the session now.
    node: Mutex<Option<Canceller>>,
    /// Wakes the session where it waits for a leader.
    pub(super) waiting: Notify,
    /// An administrator wants it ended.
    terminated: CancellationToken,
}

/// A session's entry; dropping it takes the session out.
pub(super) struct CancelEntry {
    registry: Arc<CancelRegistry>,
    pub(super) session: Arc<Cancellable>,
}

impl CancelRegistry {
    /// Adds a session under a free number.
    pub(super) fn register(self: &Arc<Self>) -> CancelEntry {
        let mut sessions = self.lock();
        let pid = loop {
            let pid = rand::random_range(1..=i32::MAX);
            if !sessions.contains_key(&pid) {
                break pid;
            }
        };
        let session = Arc::new(Cancellable {
            pid,
            secret: rand::random(),
            busy: AtomicBool::new(false),
            node: Mutex::new(None),
            waiting: Notify::new(),
            terminated: CancellationToken::new(),
        });
        sessions.insert(pid, Arc::clone(&session));
        CancelEntry { registry: Arc::clone(self), session }
    }

    /// Obeys a CancelRequest, if it is for one of these sessions; a wrong secret does
    /// nothing, silently. Whether there is a session of that number.
    pub(super) fn cancel(&self, pid: i32, secret: i32) -> bool {
        let session = self.session(pid);
        if let Some(session) = session.as_ref().filter(|session| session.secret == secret) {
            session.cancel();
        }
        session.is_some()
    }

    /// Obeys a CancelRequest that came to another gateway: `number secret`.
    pub(super) fn cancel_told(&self, written: &str) {
        let key = written
            .split_once(' ')
            .and_then(|(pid, secret)| Some((pid.parse().ok()?, secret.parse().ok()?)));
        if let Some((pid, secret)) = key {
            self.cancel(pid, secret);
        }
    }

    /// Obeys `pg_cancel_backend`.
    pub(super) fn cancel_any(&self, pid: i32) {
        if let Some(session) = self.session(pid) {
            session.cancel();
        }
    }

    /// Obeys `pg_terminate_backend`.
    pub(super) fn terminate(&self, pid: i32) {
        if let Some(session) = self.session(pid) {
            session.terminated.cancel();
            session.cancel();
        }
    }

    fn session(&self, pid: i32) -> Option<Arc<Cancellable>> {
        self.lock().get(&pid).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Arc<Cancellable>>> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

impl Cancellable {
    pub(super) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::SeqCst);
    }

    pub(super) fn is_terminated(&self) -> bool {
        self.terminated.is_cancelled()
    }

    /// Ends once an administrator wants the session ended.
    pub(super) async fn terminated(&self) {
        self.terminated.cancelled().await;
    }

    /// From now on a cancel goes to this node.
    pub(super) fn set_node(&self, canceller: Canceller) {
        *self.node.lock().expect("nobody panics while holding it") = Some(canceller);
    }

    fn cancel(&self) {
        if !self.busy.load(Ordering::SeqCst) {
            return;
        }
        let node = self.node.lock().expect("nobody panics while holding it").clone();
        if let Some(node) = node {
            (node.0)();
        }
        self.waiting.notify_waiters();
    }
}

impl Drop for CancelEntry {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.session.pid);
    }
}
