//! Whether anybody looks after the virtual addresses. A cluster worker that crashes once leaves them where they
//! are, so that a lone box has no gap; one that crashes again before it has settled, or falls silent, can
//! neither hold nor release them while the peer takes over, so they must go.

use core::time::Duration;

/// Longest silence of the cluster worker, which speaks twice a second: a hanging one has been killed and
/// started again by then (see `init::process`).
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Starts in a row of which none settled: the second means that the restart after a crash crashed as well.
const STARTS_MAX: u8 = 2;

/// Between two looks, of which there are two a second: this box stood still, and so did the cluster worker,
/// which steps down by itself.
const STALL: Duration = Duration::from_secs(2);

/// What is known of the cluster worker.
#[derive(Debug)]
pub struct Custody {
    heard_at: Duration,
    looked_at: Duration,
    /// Since it last was settled.
    starts: u8,
}

impl Custody {
    /// Nothing was heard yet.
    pub fn new(now: Duration) -> Self {
        Custody {
            heard_at: now,
            looked_at: now,
            starts: 0,
        }
    }

    /// The cluster worker has started.
    pub fn started(&mut self, now: Duration) {
        self.heard_at = now;
        self.starts = self.starts.saturating_add(1);
    }

    /// It has said so, and whether it has settled.
    pub fn alive(&mut self, now: Duration, settled: bool) {
        self.heard_at = now;
        if settled {
            self.starts = 0;
        }
    }

    /// Nobody looks after the virtual addresses. To be asked in every turn, after the wire was read.
    pub fn is_lost(&mut self, now: Duration) -> bool {
        if now.saturating_sub(self.looked_at) > STALL {
            self.heard_at = now;
        }
        self.looked_at = now;
        self.starts >= STARTS_MAX || now.saturating_sub(self.heard_at) > SILENCE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(value: u64) -> Duration {
        Duration::from_secs(value)
    }

    #[test]
    fn one_crash_is_forgiven_and_two_in_a_row_are_not() {
        let mut custody = Custody::new(s(0));
        custody.started(s(0));
        custody.alive(s(1), true);
        custody.started(s(2));
        custody.alive(s(2), false);
        assert!(!custody.is_lost(s(2)));
        custody.started(s(3));
        assert!(custody.is_lost(s(3)));
        custody.alive(s(3), false);
        assert!(custody.is_lost(s(3)));
        custody.alive(s(4), true);
        assert!(!custody.is_lost(s(4)));
    }

    #[test]
    fn silence_is_borne_only_so_long() {
        let mut custody = Custody::new(s(10));
        custody.alive(s(11), true);
        assert!((11..=16).all(|at| !custody.is_lost(s(at))));
        assert!(custody.is_lost(s(17)));
        custody.alive(s(17), true);
        assert!(!custody.is_lost(s(17)));
    }

    #[test]
    fn a_box_that_stood_still_blames_nobody_for_silence() {
        let mut custody = Custody::new(s(0));
        assert!(!custody.is_lost(s(60)));
        assert!((61..=65).all(|at| !custody.is_lost(s(at))));
        assert!(custody.is_lost(s(66)));
    }
}
