//! When a server is checked. All servers of one interval are spread evenly over it, so that a box with a
//! thousand of them sends a thousand small things, not one big one; slots do not drift with how long
//! checks take.

use core::time::Duration;

/// The slots of one server: `phase`, and every `interval` from there. Times are spans since the worker started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    interval: Duration,
    phase: Duration,
}

impl Rhythm {
    /// The rhythm of the server at `position` of `count` that share one interval of at least a millisecond.
    pub fn spread(interval: Duration, position: usize, count: usize) -> Self {
        let interval = interval.max(Duration::from_millis(1));
        let part = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let phase = interval
            .checked_div(part(count))
            .unwrap_or_default()
            .saturating_mul(part(position));
        Rhythm { interval, phase }
    }

    /// The first slot after `now`.
    pub fn next_after(&self, now: Duration) -> Duration {
        let Some(past_phase) = now.checked_sub(self.phase) else {
            return self.phase;
        };
        let into_slot = past_phase.as_nanos() % self.interval.as_nanos();
        let rest = self.interval.as_nanos().saturating_sub(into_slot);
        now.saturating_add(Duration::from_nanos(
            u64::try_from(rest).unwrap_or(u64::MAX),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn servers_share_the_interval_evenly() {
        let first: Vec<_> = (0..4)
            .map(|position| Rhythm::spread(ms(2000), position, 4).next_after(ms(4000)))
            .collect();
        assert_eq!(first, [ms(6000), ms(4500), ms(5000), ms(5500)]);
    }

    #[test]
    fn slots_do_not_drift_with_late_checks() {
        let rhythm = Rhythm::spread(ms(1000), 1, 2);
        assert_eq!(rhythm.next_after(ms(0)), ms(500));
        assert_eq!(rhythm.next_after(ms(500)), ms(1500));
        assert_eq!(rhythm.next_after(ms(1501)), ms(2500));
        assert_eq!(rhythm.next_after(ms(9_999)), ms(10_500));
    }

    #[test]
    fn nothing_divides_by_zero() {
        let rhythm = Rhythm::spread(ms(0), 0, 0);
        assert!(rhythm.next_after(ms(7)) > ms(7));
    }
}
