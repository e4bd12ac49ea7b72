//! Runs many seeds on all cores and gathers what fails.

use crate::judge::Violation;
use crate::life::run;
use crate::schedule::Schedule;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Seeds that a thread takes at once.
const SEEDS_PER_TURN: u64 = 100;
/// Failures after which it is time to look at them.
const FAILURES_MAX: usize = 100;

/// What a hunt has brought.
#[derive(Debug, Default)]
pub struct Catch {
    /// Schedules that were run.
    pub schedules: u64,
    /// Virtual time that the pairs lived.
    pub lived: Duration,
    /// What failed, by seed; the first 100 or so.
    pub failures: Vec<(u64, Violation)>,
}

/// Runs the schedules of all these seeds on so many threads. `on_turn` hears what there is so far, unsorted.
pub fn hunt(seeds: &Range<u64>, jobs: usize, on_turn: impl Fn(&Catch) + Sync) -> Catch {
    let next = AtomicU64::new(seeds.start);
    let full = AtomicBool::new(false);
    let caught = Mutex::new(Catch::default());
    let work = || {
        while !full.load(Ordering::Relaxed) {
            let first = next.fetch_add(SEEDS_PER_TURN, Ordering::Relaxed);
            if first >= seeds.end {
                return;
            }
            let turn = hunt_here(first..seeds.end.min(first + SEEDS_PER_TURN));
            let mut all = caught.lock().unwrap_or_else(PoisonError::into_inner);
            all.schedules += turn.schedules;
            all.lived += turn.lived;
            all.failures.extend(turn.failures);
            full.store(all.failures.len() >= FAILURES_MAX, Ordering::Relaxed);
            on_turn(&all);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(work);
        }
    });
    let mut all = caught.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.failures.sort_by_key(|(seed, _)| *seed);
    all
}

fn hunt_here(seeds: Range<u64>) -> Catch {
    let mut turn = Catch::default();
    for seed in seeds {
        let outcome = run(&Schedule::draw(seed));
        turn.schedules += 1;
        turn.lived += Duration::from_micros(outcome.lived_us);
        turn.failures.extend(outcome.violation.map(|it| (seed, it)));
    }
    turn
}

/// Schedules per second of processor time on one core, in so many runs of a number of seeds each. Time in which the
/// machine did something else is left out where the kernel tells it.
#[must_use]
pub fn rates(runs: u64, seeds_per_run: u64) -> Vec<f64> {
    let rate = |run: u64| {
        let first = run * seeds_per_run;
        let (began, began_busy) = (Instant::now(), busy());
        hunt_here(first..first + seeds_per_run);
        let busy = busy().zip(began_busy).map(|(end, begin)| end - begin);
        let spent = busy.filter(|it| !it.is_zero()).unwrap_or(began.elapsed());
        f64::from(u32::try_from(seeds_per_run).unwrap_or(u32::MAX)) / spent.as_secs_f64()
    };
    (0..runs).map(rate).collect()
}

/// Time that this thread has spent on a processor (Documentation/scheduler/sched-stats.rst).
fn busy() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_run_once_whatever_the_number_of_threads() {
        let one = hunt(&(5..270), 1, |_| ());
        let many = hunt(&(5..270), 3, |_| ());
        assert_eq!((one.schedules, many.schedules), (265, 265));
        assert_eq!(one.lived, many.lived);
    }
}
