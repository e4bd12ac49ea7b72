//! Whether anybody looks after the virtual addresses. A cluster worker that crashes once leaves them where they
//! are, so that a lone box has no gap; one that crashes again before it has settled, is not back when the
//! twin takes over, or falls silent, can neither hold nor release them, so they must go.

use crate::ipc::Custodian;
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
    /// It has no process.
    is_gone: bool,
    /// When it first had none since it last was settled.
    gone_at: Option<Duration>,
    /// As the last one that was settled said: silence after which the twin takes over.
    twin_waits: Option<Duration>,
}

impl Custody {
    /// Nothing was heard yet.
    pub fn new(now: Duration) -> Self {
        Custody {
            heard_at: now,
            looked_at: now,
            starts: 0,
            is_gone: false,
            gone_at: None,
            twin_waits: None,
        }
    }

    /// The cluster worker has started.
    pub fn started(&mut self, now: Duration) {
        self.heard_at = now;
        self.starts = self.starts.saturating_add(1);
    }

    /// Notes whether its process is gone. To be said in every turn, after the wire was read.
    pub fn look(&mut self, now: Duration, is_gone: bool) {
        self.is_gone = is_gone;
        if is_gone {
            self.gone_at.get_or_insert(now);
        }
    }

    /// It has said so, and how it stands.
    pub fn alive(&mut self, now: Duration, custodian: Custodian) {
        self.heard_at = now;
        if custodian.settled {
            self.starts = 0;
            self.gone_at = None;
            self.twin_waits = custodian.twin_waits_ms.map(Duration::from_millis);
        }
    }

    /// When the twin takes over from one that is gone; `None`: it is not, or there is no twin.
    fn twin_takes_over_at(&self) -> Option<Duration> {
        let (gone_at, waits) = self.gone_at.filter(|_| self.is_gone).zip(self.twin_waits)?;
        Some(gone_at.saturating_add(waits))
    }

    /// When to ask `is_lost` at the latest; `None`: as it comes.
    pub fn deadline(&self) -> Option<Duration> {
        let at = self.twin_takes_over_at();
        at.filter(|at| *at > self.looked_at)
    }

    /// Nobody looks after the virtual addresses. To be asked in every turn, after `look`.
    pub fn is_lost(&mut self, now: Duration) -> bool {
        if now.saturating_sub(self.looked_at) > STALL {
            self.heard_at = now;
        }
        self.looked_at = now;
        self.starts >= STARTS_MAX
            || self.twin_takes_over_at().is_some_and(|at| at <= now)
            || now.saturating_sub(self.heard_at) > SILENCE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(value: u64) -> Duration {
        Duration::from_secs(value)
    }

    const UNSETTLED: Custodian = Custodian {
        settled: false,
        twin_waits_ms: None,
    };
    const ALONE: Custodian = Custodian {
        settled: true,
        twin_waits_ms: None,
    };
    const WITH_TWIN: Custodian = Custodian {
        settled: true,
        twin_waits_ms: Some(2000),
    };

    #[test]
    fn one_crash_is_forgiven_and_two_in_a_row_are_not() {
        let mut custody = Custody::new(s(0));
        custody.started(s(0));
        custody.alive(s(1), ALONE);
        custody.started(s(2));
        custody.alive(s(2), UNSETTLED);
        assert!(!custody.is_lost(s(2)));
        custody.started(s(3));
        assert!(custody.is_lost(s(3)));
        custody.alive(s(3), UNSETTLED);
        assert!(custody.is_lost(s(3)));
        custody.alive(s(4), ALONE);
        assert!(!custody.is_lost(s(4)));
    }

    #[test]
    fn silence_is_borne_only_so_long() {
        let mut custody = Custody::new(s(10));
        custody.alive(s(11), ALONE);
        assert!((11..=16).all(|at| !custody.is_lost(s(at))));
        assert!(custody.is_lost(s(17)));
        custody.alive(s(17), ALONE);
        assert!(!custody.is_lost(s(17)));
    }

    #[test]
    fn a_box_that_stood_still_blames_nobody_for_silence() {
        let mut custody = Custody::new(s(0));
        assert!(!custody.is_lost(s(60)));
        assert!((61..=65).all(|at| !custody.is_lost(s(at))));
        assert!(custody.is_lost(s(66)));
    }

    #[test]
    fn one_that_is_not_back_when_the_twin_takes_over_is_lost() {
        let mut custody = Custody::new(s(0));
        custody.started(s(0));
        custody.alive(s(1), WITH_TWIN);
        custody.look(s(1), false);
        assert!(!custody.is_lost(s(1)) && custody.deadline().is_none());
        custody.look(s(2), true);
        assert!(!custody.is_lost(s(2)));
        assert_eq!(custody.deadline(), Some(s(4)));
        custody.look(s(4), true);
        assert!(custody.is_lost(s(4)) && custody.deadline().is_none());
        // Back, it hears out its links and settles what its predecessor left.
        custody.started(s(5));
        custody.alive(s(5), UNSETTLED);
        custody.look(s(5), false);
        assert!(!custody.is_lost(s(5)));
        // Gone again before it did: it was away all the time.
        custody.look(s(6), true);
        assert!(custody.is_lost(s(6)));
    }

    #[test]
    fn without_a_twin_nobody_takes_over_while_it_is_away() {
        let mut custody = Custody::new(s(0));
        custody.started(s(0));
        custody.alive(s(1), WITH_TWIN);
        custody.alive(s(1), ALONE);
        for at in 1..=5 {
            custody.look(s(at), true);
            assert!(!custody.is_lost(s(at)) && custody.deadline().is_none());
        }
    }
}
