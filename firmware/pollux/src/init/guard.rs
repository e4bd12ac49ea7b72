//! The hardware watchdog, where there is one: fed in time, and only while whoever is vital turns.

use std::time::{Duration, Instant};
use sys::watchdog::Watchdog;

/// From one meal to the next; PID 1's loop turns at least this often.
pub const FEED_INTERVAL: Duration = Duration::from_secs(2);

/// A box without a watchdog has an empty one.
#[derive(Default)]
pub struct Guard {
    watchdog: Option<Watchdog>,
    fed: Option<Instant>,
}

impl Guard {
    /// Hungry.
    pub fn new(watchdog: Option<Watchdog>) -> Self {
        Guard {
            watchdog,
            fed: None,
        }
    }

    /// As its driver says; `None` where there is none.
    pub fn identity(&self) -> Option<&str> {
        self.watchdog.as_ref().map(Watchdog::identity)
    }

    /// Feeds it if that is due.
    pub fn feed(&mut self, now: Instant) -> Result<(), sys::Error> {
        let fresh = |fed| now.saturating_duration_since(fed) < FEED_INTERVAL / 2;
        match &mut self.watchdog {
            Some(watchdog) if !self.fed.is_some_and(fresh) => {
                self.fed = Some(now);
                watchdog.feed()
            }
            _ => Ok(()),
        }
    }

    /// Sends it to sleep.
    pub fn disarm(&mut self) -> Result<(), sys::Error> {
        self.watchdog.take().map_or(Ok(()), Watchdog::disarm)
    }
}
