//! How long silence lasts before the peer counts as dead: as configured while the pair is calm, longer
//! while delays ask for it, so that a slow host does not flap.
//!
//! Each box derives a wish from the delays it sees, tells it in every beat, and the pair lives by the larger
//! of both wishes. Two values come of it, because the peer may not know the newest wish yet: by `in_force`
//! a box judges its peer, and by `surely_in_force`, never larger than what the peer judges by, it judges
//! itself when it stood still. So the one that stood still steps down before the other takes over.
//! Widening counts at once; a narrower wish counts only once the peer has proven that it knows.

use crate::jitter::Worst;
use crate::settings::Timing;
use crate::time::{Instant, millis};
use core::time::Duration;

/// No wish is larger, but for a configured dead time that is.
pub const DEAD_TIME_MAX: Duration = Duration::from_secs(2);
/// Beats that the dead time bears besides the worst delay: the one that is due, and one that is lost.
const BEATS: u32 = 2;
/// A wish is the configured dead time and so many quarters of it: fewer, larger changes.
const STEPS: u32 = 4;

/// The dead time of a pair, as one box knows it.
#[derive(Debug, Clone)]
pub struct DeadTime {
    timing: Timing,
    /// What this box woke up late by.
    delay: Worst,
    wish_ms: u16,
    /// Smallest and largest wish that the peer may know as the newest.
    known_min_ms: u16,
    known_max_ms: u16,
    /// The first revision of this box's standing that tells the wish.
    revision: u32,
}

impl DeadTime {
    /// As configured.
    #[must_use]
    pub fn new(now: Instant, timing: Timing) -> Self {
        let wish_ms = whole_ms(timing.dead);
        Self {
            timing,
            delay: Worst::new(now),
            wish_ms,
            known_min_ms: wish_ms,
            known_max_ms: wish_ms,
            revision: 0,
        }
    }

    /// This box woke up so much later than it had asked to.
    pub fn note_delay(&mut self, now: Instant, late: Duration) {
        self.delay.note(now, late);
    }

    /// What this box woke up late by, at worst.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.delay.value()
    }

    /// What this box asks for, in milliseconds.
    #[must_use]
    pub fn wish_ms(&self) -> u16 {
        self.wish_ms
    }

    /// Derives the wish from this box's own delay and from `jitter`, what beats come late by.
    pub fn judge(&mut self, now: Instant, jitter: Duration) {
        self.delay.pass(now);
        let worst = self.delay.value().max(jitter);
        // Half as much again: the next delay may be worse than all that were seen.
        let asked = self.timing.beat * BEATS + worst + worst / 2;
        let dead = self.timing.dead;
        self.wish_ms = whole_ms(widened(dead, asked).min(DEAD_TIME_MAX.max(dead)));
        self.known_min_ms = self.known_min_ms.min(self.wish_ms);
        self.known_max_ms = self.known_max_ms.max(self.wish_ms);
    }

    /// The wish, which has changed, is told from this revision of the standing on.
    pub fn tell(&mut self, revision: u32) {
        self.revision = revision;
    }

    /// The peer has proven to know this revision of the standing.
    pub fn is_known(&mut self, revision: u32) {
        if revision.wrapping_sub(self.revision) < u32::MAX / 2 {
            self.known_min_ms = self.wish_ms;
            self.known_max_ms = self.wish_ms;
        }
    }

    /// The peer was started anew and knows no wish yet.
    pub fn forget(&mut self) {
        self.known_min_ms = whole_ms(self.timing.dead).min(self.wish_ms);
    }

    /// What this box judges its peer by, which asks for `peer_ms`.
    #[must_use]
    pub fn in_force(&self, peer_ms: u16) -> Duration {
        Duration::from_millis(self.known_max_ms.max(peer_ms).into())
    }

    /// The peer, which asks for `peer_ms`, judges this box by no less.
    #[must_use]
    pub fn surely_in_force(&self, peer_ms: u16) -> Duration {
        Duration::from_millis(self.known_min_ms.max(peer_ms).into())
    }
}

/// The dead time and as many steps as `asked` needs.
fn widened(dead: Duration, asked: Duration) -> Duration {
    if asked <= dead {
        return dead;
    }
    let step = (dead / STEPS).max(Duration::from_millis(1));
    let beyond = asked.saturating_sub(dead).as_nanos();
    let steps = u32::try_from(beyond.div_ceil(step.as_nanos())).unwrap_or(u32::MAX);
    dead.saturating_add(step.saturating_mul(steps))
}

/// Rounded up, so that it is never less than what was meant.
fn whole_ms(span: Duration) -> u16 {
    let has_rest = !span.subsec_nanos().is_multiple_of(1_000_000);
    u16::try_from(millis(span).saturating_add(u64::from(has_rest))).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::jitter::DELAY_MAX;
    use proptest::prelude::*;

    const START: Instant = Instant::from_micros(0);

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn wish_ms(timing: Timing, jitter: Duration) -> u16 {
        let mut dead_time = DeadTime::new(START, timing);
        dead_time.judge(START, jitter);
        dead_time.wish_ms()
    }

    #[test]
    fn ordinary_jitter_leaves_it_as_configured() {
        assert_eq!(wish_ms(Timing::DEFAULT, ms(66)), 200);
        assert_eq!(wish_ms(Timing::FAST, ms(13)), 30);
    }

    #[test]
    fn larger_jitter_widens_it_in_steps_up_to_the_bound() {
        assert_eq!(wish_ms(Timing::DEFAULT, ms(67)), 250);
        assert_eq!(wish_ms(Timing::DEFAULT, ms(400)), 700);
        assert_eq!(wish_ms(Timing::FAST, ms(20)), 45);
        assert_eq!(wish_ms(Timing::FAST, ms(140)), 225);
        assert_eq!(wish_ms(Timing::DEFAULT, DELAY_MAX), 1900);
        let slow = Timing {
            beat: ms(500),
            dead: ms(1500),
        };
        assert_eq!(wish_ms(slow, DELAY_MAX), 2000);
        let slower = Timing {
            beat: ms(1000),
            dead: ms(4000),
        };
        assert_eq!(wish_ms(slower, DELAY_MAX), 4000);
    }

    #[test]
    fn widening_counts_at_once_for_the_peer_and_later_for_this_box() {
        let mut dead_time = DeadTime::new(START, Timing::DEFAULT);
        dead_time.note_delay(START, ms(400));
        dead_time.judge(START, ms(0));
        dead_time.tell(1);
        assert_eq!(dead_time.in_force(200), ms(700));
        assert_eq!(dead_time.surely_in_force(200), ms(200));
        dead_time.is_known(0);
        assert_eq!(dead_time.surely_in_force(200), ms(200));
        dead_time.is_known(1);
        assert_eq!(dead_time.surely_in_force(200), ms(700));
    }

    #[test]
    fn narrowing_counts_at_once_for_this_box_and_later_for_the_peer() {
        let mut dead_time = DeadTime::new(START, Timing::DEFAULT);
        dead_time.judge(START, ms(400));
        dead_time.tell(1);
        dead_time.is_known(1);
        dead_time.judge(START, ms(0));
        dead_time.tell(2);
        assert_eq!(dead_time.in_force(200), ms(700));
        assert_eq!(dead_time.surely_in_force(200), ms(200));
        dead_time.is_known(1);
        assert_eq!(dead_time.in_force(200), ms(700));
        dead_time.is_known(2);
        assert_eq!(dead_time.in_force(200), ms(200));
    }

    #[test]
    fn the_pair_lives_by_the_larger_wish() {
        let dead_time = DeadTime::new(START, Timing::DEFAULT);
        assert_eq!(dead_time.in_force(350), ms(350));
        assert_eq!(dead_time.surely_in_force(350), ms(350));
    }

    #[test]
    fn a_new_start_of_the_peer_knows_the_configured_one_at_least() {
        let mut dead_time = DeadTime::new(START, Timing::DEFAULT);
        dead_time.judge(START, ms(400));
        dead_time.tell(1);
        dead_time.is_known(1);
        dead_time.forget();
        assert_eq!(dead_time.surely_in_force(0), ms(200));
        assert_eq!(dead_time.in_force(0), ms(700));
    }

    /// A wish as told, to be heard by the peer in order but with gaps.
    #[derive(Debug, Clone, Copy)]
    enum Happening {
        Jitter(u64),
        Heard,
        Proven,
    }

    proptest! {
        /// Whatever one box wishes, however late the other hears of it: who stood still steps down first.
        #[test]
        fn nobody_judges_itself_by_more_than_its_peer_does(
            happenings in prop::collection::vec(prop_oneof![
                (0_u64..1200).prop_map(Happening::Jitter), Just(Happening::Heard), Just(Happening::Proven),
            ], 1..60),
        ) {
            let mut own = DeadTime::new(START, Timing::DEFAULT);
            // As the peer knows it, and as it has told us to know it.
            let (mut known, mut proven) = ((0, own.wish_ms()), 0);
            let (mut revision, mut told) = (0, own.wish_ms());
            for happening in happenings {
                match happening {
                    Happening::Jitter(jitter_ms) => own.judge(START, ms(jitter_ms)),
                    Happening::Heard => known = (revision, told),
                    Happening::Proven => proven = known.0,
                }
                if own.wish_ms() != told {
                    revision += 1;
                    told = own.wish_ms();
                    own.tell(revision);
                }
                own.is_known(proven);
                // The peer's wish is the configured one; it judges by the larger of both.
                let judged_by_peer = ms(u64::from(known.1.max(200)));
                prop_assert!(own.surely_in_force(200) <= judged_by_peer);
                prop_assert!(own.in_force(200) >= judged_by_peer);
            }
        }
    }
}
