//! What the process's supervisor (systemd, by `sd_notify`) hears of a daemon.
//!
//! The watchdog is fed by the loop on which all else depends (a node's control task, the
//! monitor's driver, a proxy's accept loop), never by a timer of its own: a loop that no
//! longer turns starves it, and the supervisor starts the daemon anew.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// The way to the supervisor; says nothing where there is none.
pub struct Supervisor {
    /// Between two feedings of the watchdog; `None`: there is no watchdog.
    every: Option<Duration>,
    start: Instant,
    /// When it is fed next, in ms since `start`.
    next_ms: AtomicU64,
}

impl Supervisor {
    /// The supervisor that the environment names.
    pub fn from_env() -> Self {
        // Half the interval, as sd_watchdog_enabled(3) recommends.
        Self::every(sd_notify::watchdog_enabled().map(|interval| interval / 2))
    }

    /// Without a supervisor.
    pub fn none() -> Self {
        Self::every(None)
    }

    fn every(every: Option<Duration>) -> Self {
        Self { every, start: Instant::now(), next_ms: AtomicU64::new(0) }
    }

    /// The daemon serves.
    pub fn ready(&self) {
        if let Err(error) = sd_notify::notify(&[NotifyState::Ready]) {
            tracing::warn!(%error, "the supervisor could not be told that this is ready");
        }
    }

    /// The daemon is about to end.
    pub fn stopping(&self) {
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
    }

    /// The loop turns. Cheap: at most one message is sent a feeding time.
    pub fn beat(&self) {
        let Some(every) = self.every else { return };
        let now_ms = self.start.elapsed().as_millis() as u64;
        if now_ms < self.next_ms.load(Ordering::Relaxed) {
            return;
        }
        self.next_ms.store(now_ms + every.as_millis() as u64, Ordering::Relaxed);
        let _ = sd_notify::notify(&[NotifyState::Watchdog]);
    }

    /// Beats for ever, for a loop that has no ticks of its own: to be polled by the very
    /// task that runs the loop.
    pub async fn keep_beating(&self) {
        let Some(every) = self.every else { return std::future::pending().await };
        let mut ticks = tokio::time::interval(every);
        loop {
            ticks.tick().await;
            self.beat();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_fed_at_the_first_beat_and_not_at_every_one() {
        let supervisor = Supervisor::every(Some(Duration::from_secs(3600)));
        supervisor.beat();
        let fed = supervisor.next_ms.load(Ordering::Relaxed);
        assert!(fed >= 3_600_000);
        supervisor.beat();
        assert_eq!(supervisor.next_ms.load(Ordering::Relaxed), fed);
    }
}
