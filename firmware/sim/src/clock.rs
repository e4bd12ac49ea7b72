//! The monotonic clock of a box. Each start counts from an origin of its own and a little too fast or too slow,
//! so that code that mixes two boxes' clocks is found out; and it stands still with a paused machine. There is
//! no wall clock here to be stepped: `proto` has none, and its driver reads `CLOCK_MONOTONIC` only.

use proto::time::Instant;

/// Converts between the world's time and a box's, both in microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// World time at which the box's clock showed `shown_us`.
    origin_us: u64,
    shown_us: u64,
    /// Parts per million that it is fast by.
    fast_ppm: i64,
}

impl Clock {
    pub(crate) fn new(origin_us: u64, shown_us: u64, fast_ppm: i64) -> Self {
        Self {
            origin_us,
            shown_us,
            fast_ppm,
        }
    }

    pub(crate) fn at(&self, world_us: u64) -> Instant {
        let passed = world_us.saturating_sub(self.origin_us);
        Instant::from_micros(self.shown_us + stretch(passed, self.fast_ppm))
    }

    /// The first moment of the world at which the clock shows `local`.
    pub(crate) fn when(&self, local: Instant) -> u64 {
        let passed = local.us.saturating_sub(self.shown_us);
        // Within a few microseconds, and never too late.
        let guess = stretch(passed, -self.fast_ppm).saturating_sub(passed / 1_000_000 + 2);
        let mut world_us = self.origin_us + guess;
        while self.at(world_us) < local {
            world_us += 1;
        }
        world_us
    }

    /// The clock stood still from `since_us` until now.
    pub(crate) fn stood_still(&mut self, since_us: u64, now_us: u64) {
        self.shown_us = self.at(since_us).us;
        self.origin_us = now_us;
    }
}

fn stretch(span_us: u64, ppm: i64) -> u64 {
    let change = i64::try_from(span_us).unwrap_or(i64::MAX) * ppm / 1_000_000;
    span_us.saturating_add_signed(change)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_met_at_the_first_moment_it_is_shown() {
        for ppm in [-400, 0, 333] {
            let clock = Clock::new(5_000_000, 77, ppm);
            for local_us in [0, 77, 78, 1_000_077, 59_123_456] {
                let local = Instant::from_micros(local_us);
                let world_us = clock.when(local);
                assert!(clock.at(world_us) >= local);
                assert!(world_us == 5_000_000 || clock.at(world_us - 1) < local);
            }
        }
    }

    #[test]
    fn a_paused_machine_sees_no_gap() {
        let mut clock = Clock::new(0, 100, 200);
        let before = clock.at(1_000_000);
        clock.stood_still(1_000_000, 9_000_000);
        assert_eq!(clock.at(9_000_000), before);
    }
}
