//! When this box may say that it can take over: its devices are there, the plan is carried out, and health
//! is known well enough. Each wait is bounded, because a box that can do less than all is better than a box
//! that never comes; and once ready it stays so, because a later failure is repaired in place.

use core::time::Duration;

/// Longest wait for configured devices and failing steps, from the worker's start. Cards behind USB take a
/// second or two.
pub const SETTLE_MAX: Duration = Duration::from_secs(3);

/// Longest wait for the first verdicts of health, from the plan's being carried out: as long as a good
/// server takes to answer, not as long as a dead one takes to time out.
pub const FIRST_ROUND_MAX: Duration = Duration::from_millis(500);

/// How far this box has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Devices are missing or steps fail.
    Settling {
        /// Since the worker's start.
        since: Duration,
    },
    /// The plan is carried out.
    FirstRound {
        /// Since then.
        since: Duration,
    },
    /// It can take over.
    Ready,
}

impl Readiness {
    /// At the worker's start.
    pub fn new(now: Duration) -> Self {
        Readiness::Settling { since: now }
    }

    /// Goes on as far as it can. `complete`: all devices are there and no step fails.
    pub fn advance(&mut self, now: Duration, complete: bool, first_round_done: bool) {
        if let Readiness::Settling { .. } = self
            && (complete || self.is_overdue(now))
        {
            *self = Readiness::FirstRound { since: now };
        }
        if let Readiness::FirstRound { .. } = self
            && (first_round_done || self.is_overdue(now))
        {
            *self = Readiness::Ready;
        }
    }

    /// When waiting ends whatever happens; `None`: it does not wait.
    pub fn deadline(&self) -> Option<Duration> {
        match self {
            Readiness::Settling { since } => Some(since.saturating_add(SETTLE_MAX)),
            Readiness::FirstRound { since } => Some(since.saturating_add(FIRST_ROUND_MAX)),
            Readiness::Ready => None,
        }
    }

    /// It is done with waiting for devices and steps.
    pub fn has_settled(&self) -> bool {
        !matches!(self, Readiness::Settling { .. })
    }

    /// It can take over.
    pub fn is_ready(&self) -> bool {
        *self == Readiness::Ready
    }

    fn is_overdue(&self, now: Duration) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn a_box_that_has_everything_is_ready_at_once() {
        let mut readiness = Readiness::new(ms(10));
        readiness.advance(ms(20), true, true);
        assert!(readiness.is_ready());
        assert_eq!(readiness.deadline(), None);
    }

    #[test]
    fn health_is_waited_for_but_not_for_ever() {
        let mut readiness = Readiness::new(ms(0));
        assert!(!readiness.has_settled());
        readiness.advance(ms(100), true, false);
        assert!(readiness.has_settled());
        assert_eq!(readiness.deadline(), Some(ms(600)));
        readiness.advance(ms(599), true, false);
        assert!(!readiness.is_ready());
        readiness.advance(ms(600), true, false);
        assert!(readiness.is_ready());
    }

    #[test]
    fn a_missing_device_is_waited_for_but_not_for_ever() {
        let mut readiness = Readiness::new(ms(0));
        readiness.advance(ms(2999), false, true);
        assert!(!readiness.is_ready());
        readiness.advance(ms(3000), false, true);
        assert!(readiness.is_ready());
    }

    #[test]
    fn ready_stays_ready() {
        let mut readiness = Readiness::Ready;
        readiness.advance(ms(9), false, false);
        assert!(readiness.is_ready());
    }
}
