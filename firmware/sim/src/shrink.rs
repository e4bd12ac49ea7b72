//! Makes a schedule that fails as small as it gets while it breaks the same rule: fewer events first (chunks, then
//! single ones), then a simpler pair.

use crate::judge::Rule;
use crate::schedule::{Condition, Schedule, Setup};

/// The smallest schedule found that breaks the rule as this one does.
#[must_use]
pub fn shrink(schedule: &Schedule, rule: Rule) -> Schedule {
    let fails = |candidate: &Schedule| {
        let violation = crate::run(candidate).violation;
        violation.is_some_and(|it| it.rule == rule)
    };
    shrink_while(schedule, fails)
}

fn shrink_while(schedule: &Schedule, fails: impl Fn(&Schedule) -> bool) -> Schedule {
    let mut best = schedule.clone();
    loop {
        let before = best.events.len();
        best = fewer_events(best, &fails);
        best = simpler_setup(best, &fails);
        if best.events.len() == before {
            return best;
        }
    }
}

/// Leaves out chunks of events, from half of them down to single ones.
fn fewer_events(mut best: Schedule, fails: &impl Fn(&Schedule) -> bool) -> Schedule {
    let mut chunk = best.events.len().div_ceil(2);
    while chunk > 0 {
        let mut at = 0;
        while at < best.events.len() {
            let mut candidate = best.clone();
            let end = (at + chunk).min(candidate.events.len());
            candidate.events.drain(at..end);
            if fails(&candidate) {
                best = candidate;
            } else {
                at += chunk;
            }
        }
        chunk /= 2;
    }
    best
}

/// Takes away what makes the pair complicated, one thing after the other.
fn simpler_setup(mut best: Schedule, fails: &impl Fn(&Schedule) -> bool) -> Schedule {
    let simplifications: [fn(&mut Setup); 8] = [
        |setup| setup.neighbour = None,
        |setup| setup.hears_itself = false,
        |setup| setup.links.truncate(1),
        |setup| setup.links.truncate(2),
        |setup| {
            for (_, condition) in &mut setup.links {
                *condition = Condition {
                    delay_us: 100,
                    ..Condition::default()
                };
            }
        },
        |setup| setup.clock_ppm = [0; 2],
        |setup| setup.priorities = [100; 2],
        |setup| setup.fails_back = false,
    ];
    for simplify in simplifications {
        let mut candidate = best.clone();
        simplify(&mut candidate.setup);
        if fails(&candidate) {
            best = candidate;
        }
    }
    best
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::schedule::Fault;

    fn power_cuts(schedule: &Schedule) -> usize {
        let events = schedule.events.iter();
        events
            .filter(|it| matches!(it.fault, Fault::PowerCut { .. }))
            .count()
    }

    #[test]
    fn what_is_not_needed_to_fail_is_left_out() {
        let seeds = (0..).map(Schedule::draw);
        let mut large = seeds.filter(|it| power_cuts(it) >= 2 && it.events.len() > 5);
        let large = large.next().unwrap();
        let small = shrink_while(&large, |it| power_cuts(it) >= 2);
        assert_eq!((small.events.len(), power_cuts(&small)), (2, 2));
        assert_eq!(small.setup.links.len(), 1);
        assert!(small.setup.neighbour.is_none() && !small.setup.fails_back);
    }

    #[test]
    fn what_all_is_needed_stays() {
        let schedule = Schedule::draw(3);
        let count = schedule.events.len();
        let small = shrink_while(&schedule, |it| it.events.len() == count);
        assert_eq!(small.events.len(), count);
    }
}
