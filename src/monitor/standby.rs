//! Which of several monitors acts: the one that holds a key in etcd (P26).
//!
//! | key below the prefix | what                                                    |
//! |----------------------|---------------------------------------------------------|
//! | `acting`             | name and address of the acting monitor, under its lease |
//! | `state`              | the state that `monitor.json` holds otherwise           |
//!
//! ```text
//!            the key is free: taken                 the lease is not kept, or a change of
//!  standby ─────────────────────────► acting ────── the state is refused ─────► standby
//! ```
//!
//! What keeps a monitor that does not act any more from doing harm:
//!
//! * A change of the state is a compare-and-swap on the state's revision and on the
//!   holding of the key, so that no term is begun or given away twice (rule 4).
//! * Nothing is sent once the lease may have expired, counted from the sending of its last
//!   renewal, less the clocks' drift; a grant that was on its way by then runs from the
//!   leader's own request, and the successor waits a whole lease and drift before anybody
//!   is appointed (P23).
//! * Whoever takes over is a higher incarnation, which grants carry; nodes ignore earlier ones.
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::MonitorError;
use super::driver::now;
use super::etcd::{Compare, Etcd, EtcdError};
use crate::config::MonitorConfig;
use crate::failover::{Moment, MonitorState};

/// The key, and how it is taken.
pub(super) struct Seat {
    etcd: Etcd,
    acting: String,
    state: String,
    ttl: Duration,
    drift: Duration,
    /// What the key says of this monitor.
    card: String,
}

/// This monitor acts.
#[derive(Clone)]
pub(super) struct Acting {
    etcd: Etcd,
    acting: String,
    state: String,
    lease: String,
    /// The revision in which the key was taken.
    taken: i64,
    /// The revision of the state that was read or written last; 0: there is none.
    known: i64,
    ttl: Duration,
    drift: Duration,
    valid_until: Arc<AtomicI64>,
}

impl Seat {
    /// `None` for a monitor that is the only one.
    pub(super) fn new(config: &MonitorConfig) -> Option<Self> {
        let written = config.etcd.as_ref()?;
        let ttl = written.ttl;
        Some(Self {
            etcd: Etcd::new(written.endpoints.clone(), ttl / 4),
            acting: format!("{}/acting", written.prefix),
            state: format!("{}/state", written.prefix),
            ttl,
            drift: config.timing.drift,
            card: format!("{} at {}", config.name, config.peer_listen),
        })
    }

    /// Between two attempts, and between two renewals.
    pub(super) fn every(&self) -> Duration {
        self.ttl / 4
    }

    /// Takes the key if it is free; else says who holds it.
    pub(super) async fn take(&self) -> Result<Result<Acting, String>, EtcdError> {
        if let Some(holder) = self.etcd.get(&self.acting).await? {
            return Ok(Err(String::from_utf8_lossy(&holder.value).into_owned()));
        }
        let sent = now();
        let lease = self.etcd.grant(self.ttl).await?;
        let free = [Compare::Created(&self.acting, 0)];
        let card = self.card.as_bytes();
        let taken = self.etcd.put_if(&free, &self.acting, card, Some(&lease)).await?;
        let Some(taken) = taken else {
            self.etcd.revoke(&lease).await?;
            return Ok(Err("another monitor, as of now".to_owned()));
        };
        let acting = Acting {
            etcd: self.etcd.clone(),
            acting: self.acting.clone(),
            state: self.state.clone(),
            lease,
            taken,
            known: 0,
            ttl: self.ttl,
            drift: self.drift,
            valid_until: Arc::new(AtomicI64::new(i64::MIN)),
        };
        acting.renewed(sent);
        Ok(Ok(acting))
    }
}

impl Acting {
    /// Whether anything may be said.
    pub(super) fn holds(&self) -> bool {
        now().0 < self.valid_until.load(Ordering::SeqCst)
    }

    fn renewed(&self, sent: Moment) {
        let until = sent.plus(self.ttl).minus(self.drift);
        self.valid_until.fetch_max(until.0, Ordering::SeqCst);
    }

    /// The recorded state, of the incarnation that this monitor is.
    pub(super) async fn load(&mut self) -> Result<Option<MonitorState>, MonitorError> {
        let Some(stored) = self.etcd.get(&self.state).await? else {
            self.known = 0;
            return Ok(None);
        };
        self.known = stored.changed;
        let state = serde_json::from_slice::<MonitorState>(&stored.value);
        let state = state.map_err(|error| MonitorError::Damaged {
            path: self.state.clone().into(),
            cause: error.to_string(),
        })?;
        Ok(Some(MonitorState { incarnation: state.incarnation + 1, ..state }))
    }

    /// Replaces the state; durable when this returns.
    pub(super) async fn save(&mut self, state: &MonitorState) -> Result<(), MonitorError> {
        let text = serde_json::to_vec(state).expect("plain data");
        let compare =
            [Compare::Created(&self.acting, self.taken), Compare::Changed(&self.state, self.known)];
        let saved = self.etcd.put_if(&compare, &self.state, &text, None).await?;
        self.known = saved.ok_or(MonitorError::Superseded)?;
        Ok(())
    }

    /// Renews the lease for as long as that succeeds in time and the key is this monitor's.
    pub(super) async fn keep(&self, every: Duration) -> MonitorError {
        loop {
            tokio::time::sleep(every).await;
            let sent = now();
            match self.renew().await {
                Ok(true) => self.renewed(sent),
                Ok(false) => return MonitorError::Superseded,
                Err(error) if self.holds() => tracing::warn!(%error, "the lease is not renewed"),
                Err(error) => return error.into(),
            }
            if !self.holds() {
                return MonitorError::Superseded;
            }
        }
    }

    async fn renew(&self) -> Result<bool, EtcdError> {
        match self.etcd.keep_alive(&self.lease).await {
            Ok(()) => {}
            Err(EtcdError::Expired) => return Ok(false),
            Err(error) => return Err(error),
        }
        // Somebody may have removed the key by hand, and somebody else taken it.
        let held = self.etcd.get(&self.acting).await?;
        Ok(held.is_some_and(|held| held.created == self.taken))
    }

    /// Lets another monitor act at once.
    pub(super) async fn resign(&self) {
        if let Err(error) = self.etcd.revoke(&self.lease).await {
            tracing::warn!(%error, "the key is free only when its lease has expired");
        }
    }
}
