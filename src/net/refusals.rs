use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a refusal that was told is no news.
const NO_NEWS_FOR: Duration = Duration::from_secs(60);
/// Refusals remembered at most.
const TOLD_MAX: usize = 1024;

/// Which refusals the log has been told of. Whoever is refused comes again every
/// second, and its operator needs one line, not the disk's fill of them.
#[derive(Default)]
pub struct Refusals {
    told: Mutex<HashMap<(String, String), Instant>>,
}

impl Refusals {
    /// Whether the log is to be told that `caller` was refused for `reason`: the first
    /// time, then once a minute.
    pub fn is_news(&self, caller: &str, reason: &str) -> bool {
        self.is_news_at(Instant::now(), caller, reason)
    }

    fn is_news_at(&self, now: Instant, caller: &str, reason: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let refusal = (caller.to_owned(), reason.to_owned());
        if told.get(&refusal).is_some_and(|&told| now.duration_since(told) < NO_NEWS_FOR) {
            return false;
        }
        if told.len() >= TOLD_MAX {
            told.retain(|_, told| now.duration_since(*told) < NO_NEWS_FOR);
        }
        // A crowd of strangers: told of each time rather than remembered.
        if told.len() < TOLD_MAX {
            told.insert(refusal, now);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_once_a_minute_and_each_reason_by_itself() {
        let refusals = Refusals::default();
        let start = Instant::now();
        let at = |seconds, caller, reason| {
            refusals.is_news_at(start + Duration::from_secs(seconds), caller, reason)
        };
        assert!(at(0, "node1", "no member"));
        assert!(!at(1, "node1", "no member"));
        assert!(at(1, "node1", "another cluster"));
        assert!(at(1, "node2", "no member"));
        assert!(!at(59, "node1", "no member"));
        assert!(at(60, "node1", "no member"));
        assert!(!at(61, "node1", "no member"));
    }

    #[test]
    fn strangers_take_no_memory_to_speak_of() {
        let refusals = Refusals::default();
        let start = Instant::now();
        for stranger in 0..3 * TOLD_MAX {
            assert!(refusals.is_news_at(start, &stranger.to_string(), "another cluster"));
        }
        assert!(refusals.told.lock().expect("unharmed").len() <= TOLD_MAX);
        assert!(refusals.is_news_at(start + NO_NEWS_FOR, "node1", "no member"));
        assert!(!refusals.is_news_at(start + NO_NEWS_FOR, "node1", "no member"));
    }
}
