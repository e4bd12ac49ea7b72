//! What `sim` prints.

use core::ops::Range;
use sim::{Catch, Schedule, Violation};
use std::io::IsTerminal;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// From one line of progress to the next, where nobody sees them overwritten.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(30);

/// Says now and then how far a hunt has come, and at once what broke a rule.
pub(crate) struct Progress {
    all: u64,
    began: Instant,
    said: Mutex<Said>,
}

struct Said {
    at: Instant,
    /// Failures of which was told.
    failures: usize,
}

impl Progress {
    pub(crate) fn new(seeds: &Range<u64>, commit: &str) -> Self {
        let now = Instant::now();
        eprintln!("seeds {}..{}, commit {commit}", seeds.start, seeds.end);
        Self {
            all: seeds.end - seeds.start,
            began: now,
            said: Mutex::new(Said {
                at: now,
                failures: 0,
            }),
        }
    }

    pub(crate) fn show(&self, catch: &Catch) {
        let Ok(mut said) = self.said.lock() else {
            return;
        };
        for (seed, violation) in catch.failures.iter().skip(said.failures) {
            eprintln!("seed {seed}: {violation}");
        }
        said.failures = catch.failures.len();
        let line = format!(
            "{} of {} schedules in {} s, {} broke a rule",
            catch.schedules,
            self.all,
            self.began.elapsed().as_secs(),
            said.failures
        );
        if std::io::stderr().is_terminal() {
            eprint!("\r{line} ");
        } else if said.at.elapsed() >= PROGRESS_INTERVAL {
            said.at = Instant::now();
            eprintln!("{line}");
        }
    }
}

pub(crate) fn summary(catch: &Catch, seeds: &Range<u64>, took: Duration, commit: &str) {
    let hours = catch.lived.as_secs() / 3600;
    println!(
        "{} schedules (seeds {}..{}, {hours} hours of a pair's life) in {:.1} s, commit {commit}: {} broke a rule",
        catch.schedules,
        seeds.start,
        seeds.end,
        took.as_secs_f64(),
        catch.failures.len(),
    );
}

/// Tells a schedule; returns which rule was broken.
pub(crate) fn timeline(schedule: &Schedule) -> Option<Violation> {
    let (outcome, story) = sim::tell(schedule);
    print!("seed {}\n{schedule}", schedule.seed);
    for line in story {
        println!("{line}");
    }
    match &outcome.violation {
        Some(violation) => println!("broken: {violation}"),
        None => println!("all was well (trace {:016x})", outcome.hash),
    }
    outcome.violation
}

/// What a result belongs to: the commit, and a + where files differ from it.
pub(crate) fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_string())
    };
    let head = git(&["rev-parse", "--short=10", "HEAD"]);
    let changed = git(&["status", "--porcelain", "firmware/proto", "firmware/sim"]);
    let mark = if changed.is_some_and(|it| !it.is_empty()) {
        "+"
    } else {
        ""
    };
    head.map_or("unknown".into(), |head| head + mark)
}
