//! The clock that SQLite's date functions see.
//!
//! SQLite asks its VFS for the time, and the VFS does not know for which connection.
//! So the thread that steps a statement leaves the frozen time here for the while.

use std::cell::Cell;
use std::time::SystemTime;

thread_local! {
    /// Microseconds since 1970, or `None` for the wall clock.
    static FROZEN_US: Cell<Option<i64>> = const { Cell::new(None) };
}

/// The Julian day of 1970-01-01, in milliseconds.
const EPOCH_JULIAN_MS: i64 = 210_866_760_000_000;

/// Runs `work` while SQLite on this thread sees `us` as the time.
pub(super) fn with<T>(us: Option<i64>, work: impl FnOnce() -> T) -> T {
    let outer = FROZEN_US.replace(us);
    let result = work();
    FROZEN_US.set(outer);
    result
}

/// The time for SQLite: milliseconds on the Julian calendar.
pub(super) fn julian_ms() -> i64 {
    let us = FROZEN_US.get().unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    });
    us.div_euclid(1000).saturating_add(EPOCH_JULIAN_MS)
}
