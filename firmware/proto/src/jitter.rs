//! The worst delay of the last seconds: what beats come late by, or a box wakes up late by. It is a
//! maximum and no average, since the dead time must bear each single delay; and it forgets, so that a
//! pair that has calmed down is fast again.

use crate::time::Instant;
use core::time::Duration;

/// A delay is remembered for this long at least, and for twice as long at most.
pub const CALM: Duration = Duration::from_secs(10);
/// Longer delays are left out: no dead time that a pair may choose would bear them, so they say nothing
/// about which one to choose.
pub const DELAY_MAX: Duration = Duration::from_millis(1200);

/// Maximum over a window that moves in steps of `CALM`.
#[derive(Debug, Clone)]
pub struct Worst {
    since: Instant,
    current: Duration,
    previous: Duration,
}

impl Worst {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            since: now,
            current: Duration::ZERO,
            previous: Duration::ZERO,
        }
    }

    /// Takes a delay that was seen now.
    pub fn note(&mut self, now: Instant, delay: Duration) {
        self.pass(now);
        if delay <= DELAY_MAX {
            self.current = self.current.max(delay);
        }
    }

    /// Lets time pass: forgets what is too long ago.
    pub fn pass(&mut self, now: Instant) {
        let age = now.since(self.since);
        if age < CALM {
            return;
        }
        let current = core::mem::take(&mut self.current);
        self.previous = if age < CALM * 2 {
            current
        } else {
            Duration::ZERO
        };
        self.since = now;
    }

    /// The worst delay that is remembered.
    #[must_use]
    pub fn value(&self) -> Duration {
        self.current.max(self.previous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn the_worst_is_remembered_for_ten_to_twenty_seconds() {
        let mut worst = Worst::new(at(0));
        worst.note(at(9000), ms(300));
        worst.note(at(9500), ms(20));
        worst.pass(at(10_000));
        assert_eq!(worst.value(), ms(300));
        worst.pass(at(19_999));
        assert_eq!(worst.value(), ms(300));
        worst.note(at(20_000), ms(5));
        assert_eq!(worst.value(), ms(5));
    }

    #[test]
    fn silence_forgets_all() {
        let mut worst = Worst::new(at(0));
        worst.note(at(1), ms(300));
        worst.pass(at(20_000));
        assert_eq!(worst.value(), Duration::ZERO);
    }

    #[test]
    fn what_no_dead_time_bears_is_left_out() {
        let mut worst = Worst::new(at(0));
        worst.note(at(1), DELAY_MAX + ms(1));
        assert_eq!(worst.value(), Duration::ZERO);
        worst.note(at(2), DELAY_MAX);
        assert_eq!(worst.value(), DELAY_MAX);
    }
}
