//! Where a worker is in its life: running, hanging, waiting to be started again. Pure: what happened comes in.

use super::backoff::Backoff;
use std::time::{Duration, Instant};

/// A worker that should give signs of life and says nothing for this long hangs; it is killed and started again.
pub const ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running {
        pid: i32,
        heard: Instant,
    },
    /// Killed because it hung, and not gone yet: what it still says counts for nothing.
    Dying {
        pid: i32,
    },
    Waiting {
        until: Instant,
    },
    Stopped,
}

/// The life of one worker, over all its processes.
#[derive(Debug)]
pub struct Life {
    stage: Stage,
    /// When that began; for one that dies, when it was started.
    since: Instant,
    /// It was killed because it hung, and none that came after has given a sign of life yet.
    suspect: bool,
    /// It was killed to make way for one with another config, which is no crash.
    makes_way: bool,
    backoff: Backoff,
    restarts: u32,
    last_end: Option<String>,
}

impl Life {
    /// Of one to be started at once.
    pub fn new(now: Instant) -> Self {
        Life {
            stage: Stage::Waiting { until: now },
            since: now,
            suspect: false,
            makes_way: false,
            backoff: Backoff::default(),
            restarts: 0,
            last_end: None,
        }
    }

    fn enter(&mut self, now: Instant, stage: Stage) {
        self.stage = stage;
        self.since = now;
    }

    /// It runs.
    pub fn started(&mut self, now: Instant, pid: i32) {
        self.enter(now, Stage::Running { pid, heard: now });
    }

    /// There was no room for it.
    pub fn did_not_start(&mut self, now: Instant) {
        let until = now + self.backoff.after(Duration::ZERO);
        self.enter(now, Stage::Waiting { until });
    }

    /// Its process is about to be killed for the sake of one with another config: that starts at once, and counts as
    /// no restart.
    pub fn make_way(&mut self) {
        self.makes_way = self.pid().is_some();
    }

    /// Whether its process was killed for that.
    pub fn makes_way(&self) -> bool {
        self.makes_way
    }

    /// Its process is gone. Returns how long it waits for its restart; `None`: for ever.
    pub fn ended(&mut self, now: Instant, how: &str, restart: bool) -> Option<Duration> {
        if core::mem::take(&mut self.makes_way) && restart {
            self.enter(now, Stage::Waiting { until: now });
            return Some(Duration::ZERO);
        }
        self.last_end = Some(how.into());
        // One that crashes tells why, and the peer sees its silence: no reason to reset the box.
        self.suspect &= matches!(self.stage, Stage::Dying { .. });
        if !restart {
            self.enter(now, Stage::Stopped);
            return None;
        }
        let wait = self
            .backoff
            .after(now.saturating_duration_since(self.since));
        self.restarts = self.restarts.saturating_add(1);
        self.enter(now, Stage::Waiting { until: now + wait });
        Some(wait)
    }

    /// It gave a sign of life.
    pub fn heard(&mut self, now: Instant) {
        if let Stage::Running { heard, .. } = &mut self.stage {
            *heard = now;
            self.suspect = false;
        }
    }

    /// It had no chance to give one until now.
    pub fn excuse(&mut self, now: Instant) {
        if let Stage::Running { heard, .. } = &mut self.stage {
            *heard = now;
        }
    }

    /// It can be relied on: neither hangs, nor took the place of one that hung without a word since. One
    /// that hangs again and again so ends with a reset of the box.
    pub fn is_alive(&self, now: Instant) -> bool {
        let fresh = |at| now.saturating_duration_since(at) < ALIVE_TIMEOUT;
        match self.stage {
            Stage::Running { heard, .. } => fresh(heard) && !self.suspect,
            Stage::Dying { .. } => false,
            Stage::Waiting { .. } => fresh(self.since) && !self.suspect,
            Stage::Stopped => true,
        }
    }

    /// Gives it up if it hangs: the process to be killed, once. Not alive until that has ended.
    pub fn give_up(&mut self, now: Instant) -> Option<i32> {
        match self.stage {
            Stage::Running { pid, heard }
                if now.saturating_duration_since(heard) >= ALIVE_TIMEOUT =>
            {
                self.stage = Stage::Dying { pid };
                self.suspect = true;
                Some(pid)
            }
            _ => None,
        }
    }

    /// It is not to be started again.
    pub fn retire(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Waiting { .. }) {
            self.enter(now, Stage::Stopped);
        }
    }

    /// Its process.
    pub fn pid(&self) -> Option<i32> {
        match self.stage {
            Stage::Running { pid, .. } | Stage::Dying { pid } => Some(pid),
            Stage::Waiting { .. } | Stage::Stopped => None,
        }
    }

    /// When it is to be started.
    pub fn due(&self) -> Option<Instant> {
        match self.stage {
            Stage::Waiting { until } => Some(until),
            Stage::Running { .. } | Stage::Dying { .. } | Stage::Stopped => None,
        }
    }

    /// Since when it is where it is; one that hangs, since its start.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// How often it was started again.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// How its last process ended.
    pub fn last_end(&self) -> Option<&str> {
        self.last_end.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_hangs_and_cannot_be_killed_is_left_to_the_watchdog() {
        let now = Instant::now();
        let mut life = Life::new(now);
        life.started(now, 7);
        assert!(life.is_alive(now));
        let later = now + ALIVE_TIMEOUT;
        assert!(!life.is_alive(later));
        assert_eq!((life.give_up(later), life.give_up(later)), (Some(7), None));
        life.heard(later);
        assert!(!life.is_alive(later));
    }

    #[test]
    fn one_that_hung_is_trusted_again_at_its_next_word_and_not_before() {
        let now = Instant::now();
        let mut life = Life::new(now);
        life.started(now, 7);
        assert_eq!(life.give_up(now), None);
        let later = now + ALIVE_TIMEOUT;
        assert_eq!(life.give_up(later), Some(7));
        assert!(life.ended(later, "killed", true).is_some());
        assert!(!life.is_alive(later));
        life.started(later, 8);
        life.excuse(later);
        assert!(!life.is_alive(later));
        assert_eq!(life.give_up(later), None);
        life.heard(later);
        assert!(life.is_alive(later));
    }

    #[test]
    fn one_that_crashes_after_one_that_hung_is_no_reason_for_a_reset() {
        let now = Instant::now();
        let mut life = Life::new(now);
        life.started(now, 7);
        let later = now + ALIVE_TIMEOUT;
        life.give_up(later);
        life.ended(later, "killed", true);
        life.started(later, 8);
        life.ended(later, "exit code 1", true);
        assert!(life.is_alive(later));
    }

    #[test]
    fn one_that_does_not_come_back_in_time_is_not_alive() {
        let now = Instant::now();
        let mut life = Life::new(now);
        let mut at = now;
        // A crash loop: each run is short, and the waits grow.
        while life.is_alive(life.due().unwrap_or(now)) {
            at = life.due().unwrap_or(at);
            life.started(at, 7);
            life.ended(at, "crashed", true);
        }
        assert_eq!(life.due(), Some(at + ALIVE_TIMEOUT));
    }

    #[test]
    fn one_that_makes_way_did_not_crash() {
        let now = Instant::now();
        let mut life = Life::new(now);
        life.make_way();
        assert!(!life.makes_way(), "it has no process");
        life.started(now, 7);
        life.make_way();
        assert_eq!(life.ended(now, "killed", true), Some(Duration::ZERO));
        assert_eq!((life.due(), life.restarts()), (Some(now), 0));
        assert_eq!(life.last_end(), None);
        life.started(now, 8);
        assert!(life.ended(now, "killed", true) > Some(Duration::ZERO));
    }

    #[test]
    fn one_that_is_stopped_stays_so() {
        let now = Instant::now();
        let mut life = Life::new(now);
        life.started(now, 7);
        assert_eq!(life.ended(now, "exit code 0", false), None);
        let much_later = now + 10 * ALIVE_TIMEOUT;
        assert!(life.is_alive(much_later));
        assert_eq!((life.due(), life.pid()), (None, None));
        assert_eq!((life.restarts(), life.last_end()), (0, Some("exit code 0")));
    }
}
