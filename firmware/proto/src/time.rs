//! Monotonic time as the state machines see it. They are told the time and never ask for it, so the
//! same run can be had again on a virtual clock.

use core::ops::{Add, Sub};
use core::time::Duration;

/// Microseconds on the driver's monotonic clock (`CLOCK_MONOTONIC` on the box, from 0 in tests).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Instant {
    /// Microseconds since an epoch that only the driver knows.
    pub us: u64,
}

impl Instant {
    /// The time so many microseconds after the driver's epoch.
    #[must_use]
    pub const fn from_micros(us: u64) -> Self {
        Self { us }
    }

    /// How long ago `earlier` was; zero where it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.us.saturating_sub(earlier.us))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, span: Duration) -> Instant {
        Instant::from_micros(self.us.saturating_add(micros(span)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, span: Duration) -> Instant {
        Instant::from_micros(self.us.saturating_sub(micros(span)))
    }
}

/// A span in whole microseconds; those of more than 584000 years are cut to that.
pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// A span in whole milliseconds, as people are told it.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_saturate_instead_of_wrapping() {
        let start = Instant::from_micros(5);
        assert_eq!(start - Duration::from_secs(1), Instant::default());
        assert_eq!(start + Duration::MAX, Instant::from_micros(u64::MAX));
        assert_eq!(start.since(start + Duration::from_secs(1)), Duration::ZERO);
        assert_eq!(
            (start + Duration::from_millis(2)).since(start),
            Duration::from_millis(2)
        );
    }
}
