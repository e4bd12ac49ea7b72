//! When announcements go out: at once, and again at growing distances, because a switch that just moved a
//! port or a neighbour that was busy may miss the first. Repeats are due times in the worker's loop; nothing
//! here sleeps.

use core::time::Duration;

/// Distances from the burst's start; together they outlast what a box that steps down may still say.
const SCHEDULE_MS: [u64; 7] = [0, 20, 60, 150, 400, 1000, 2000];

/// From one announcement to the next, once the schedule is over, where switches must be kept from forgetting
/// an address from which little else comes. They forget after five minutes, mostly.
const REFRESH: Duration = Duration::from_secs(60);

/// A burst of announcements, under way or over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Burst {
    started: Duration,
    /// How many went out; past the schedule's end it is over.
    sent: Option<usize>,
    /// It is never over: past the schedule's end it goes on slowly.
    goes_on: bool,
}

impl Burst {
    /// One that goes on slowly for as long as the addresses are held.
    pub fn that_goes_on() -> Self {
        Burst {
            goes_on: true,
            ..Burst::default()
        }
    }

    /// Begins anew, whatever was under way.
    pub fn start(&mut self, now: Duration) {
        self.started = now;
        self.sent = Some(0);
    }

    /// As `start`, where the first announcement went out already.
    pub fn follow(&mut self, now: Duration) {
        self.start(now);
        self.take_due(now);
    }

    /// Ends it: the addresses are no longer ours to announce.
    pub fn stop(&mut self) {
        self.sent = None;
    }

    /// When the next announcement is due; `None`: never.
    pub fn next_at(&self) -> Option<Duration> {
        let sent = self.sent?;
        if let Some(distance_ms) = SCHEDULE_MS.get(sent) {
            let distance = Duration::from_millis(*distance_ms);
            return Some(self.started.saturating_add(distance));
        }
        let beyond = u32::try_from(sent.saturating_sub(SCHEDULE_MS.len())).unwrap_or(u32::MAX);
        let distance = REFRESH.saturating_mul(beyond.saturating_add(1));
        self.goes_on
            .then_some(self.started.saturating_add(distance))
    }

    /// Whether an announcement is due now; it counts as sent. Repeats that were slept through are made up
    /// for by this one.
    pub fn take_due(&mut self, now: Duration) -> bool {
        let mut due = false;
        while self.next_at().is_some_and(|at| at <= now) {
            self.sent = self.sent.map(|sent| sent.saturating_add(1));
            due = true;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn a_burst_follows_its_schedule_and_ends() {
        let mut burst = Burst::default();
        assert_eq!(burst.next_at(), None);
        burst.start(ms(100));
        let mut sent_ms = Vec::new();
        while let Some(at) = burst.next_at() {
            assert!(burst.take_due(at));
            assert!(!burst.take_due(at));
            sent_ms.push(at.as_millis());
        }
        assert_eq!(sent_ms, [100, 120, 160, 250, 500, 1100, 2100]);
    }

    #[test]
    fn a_late_loop_sends_once_for_all_it_missed() {
        let mut burst = Burst::default();
        burst.start(ms(0));
        assert!(burst.take_due(ms(700)));
        assert_eq!(burst.next_at(), Some(ms(1000)));
        burst.stop();
        assert!(!burst.take_due(ms(9000)));
    }

    #[test]
    fn a_burst_that_follows_begins_with_the_first_repeat() {
        let mut burst = Burst::default();
        burst.follow(ms(100));
        assert_eq!(burst.next_at(), Some(ms(120)));
    }

    #[test]
    fn one_that_goes_on_repeats_itself_slowly_until_it_is_stopped() {
        let mut burst = Burst::that_goes_on();
        assert_eq!(burst.next_at(), None);
        burst.start(ms(0));
        assert!(burst.take_due(ms(2000)));
        for minute in 1..4 {
            assert_eq!(burst.next_at(), Some(REFRESH * minute));
            assert!(burst.take_due(REFRESH * minute));
        }
        burst.stop();
        assert_eq!(burst.next_at(), None);
    }

    #[test]
    fn a_new_start_begins_from_the_front() {
        let mut burst = Burst::default();
        burst.start(ms(0));
        burst.take_due(ms(1000));
        burst.start(ms(1000));
        assert_eq!(burst.next_at(), Some(ms(1000)));
    }
}
