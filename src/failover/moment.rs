use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment on the own process's CLOCK_BOOTTIME, nanoseconds. Moments of different
/// machines are never compared: what travels is an age, or a moment that comes back to
/// the clock that it was read from.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Moment(pub i64);

impl Moment {
    /// Later by `by`; stays at the end of time.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanos(by)))
    }

    /// Earlier by `by`.
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(by)))
    }

    /// How long `earlier` is ago; zero where it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        let nanos = self.0.saturating_sub(earlier.0).max(0);
        Duration::from_nanos(nanos.unsigned_abs())
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_saturate() {
        let second = Duration::from_secs(1);
        assert_eq!(Moment(5).plus(second), Moment(1_000_000_005));
        assert_eq!(Moment(i64::MAX).plus(second), Moment(i64::MAX));
        assert_eq!(Moment(i64::MIN).minus(Duration::MAX), Moment(i64::MIN));
        assert_eq!(Moment(1_000_000_005).since(Moment(5)), second);
        assert_eq!(Moment(5).since(Moment(6)), Duration::ZERO);
        assert_eq!(Moment(i64::MAX).since(Moment(i64::MIN)).as_nanos(), i64::MAX as u128);
    }
}
