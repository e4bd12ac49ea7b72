//! What `sim` prints.

use core::ops::Range;
use sim::{Catch, Schedule, Violation};
use std::io::IsTerminal;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// From one line of progress to the next, where nobody sees them overwritten.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(30);

/// Says now and then how far a hunt has come.
pub(crate) struct Progress {
    all: u64,
    said_at: Mutex<Instant>,
}

impl Progress {
    pub(crate) fn new(all: u64) -> Self {
        Self {
            all,
            said_at: Mutex::new(Instant::now()),
        }
    }

    pub(crate) fn show(&self, count: u64) {
        if std::io::stderr().is_terminal() {
            eprint!("\r{count} of {} schedules ", self.all);
            return;
        }
        if let Ok(mut said_at) = self.said_at.try_lock()
            && said_at.elapsed() >= PROGRESS_INTERVAL
        {
            *said_at = Instant::now();
            eprintln!("{count} of {} schedules", self.all);
        }
    }
}

pub(crate) fn summary(catch: &Catch, seeds: &Range<u64>, took: Duration) {
    let hours = catch.lived.as_secs() / 3600;
    println!(
        "{} schedules (seeds {}..{}, {hours} hours of a pair's life) in {:.1} s, commit {}: {} broke a rule",
        catch.schedules,
        seeds.start,
        seeds.end,
        took.as_secs_f64(),
        commit(),
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
