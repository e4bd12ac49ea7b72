//! `state`: lives of state sync by the thousand, and what was found in them. Ends with 1 if something was.

use anyhow::{Result, bail};
use clap::Parser;
use core::sync::atomic::{AtomicU64, Ordering};
use sim::state::{Plan, Violation, live, shrink, tell};
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Failures after which it is time to look at them.
const FAILURES_MAX: usize = 20;
/// Failures that are shrunk and told.
const TOLD_MAX: usize = 2;

/// Runs lives of two tables against the real code of state sync, and judges them.
#[derive(Parser)]
struct Arguments {
    /// Seeds from FIRST on.
    #[arg(long, value_name = "N", default_value_t = 4000)]
    count: u64,
    /// The first seed.
    #[arg(long, value_name = "FIRST", default_value_t = 0)]
    first: u64,
    /// Threads [default: as many as there are cores].
    #[arg(long, value_name = "J")]
    jobs: Option<usize>,
    /// Tells this one seed.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// With --seed: makes the plan as small as it gets while it breaks the same rule.
    #[arg(long, requires = "seed")]
    shrink: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let is_well = match arguments.seed {
        Some(seed) => replay(seed, arguments.shrink),
        None => search(&arguments)?,
    };
    Ok(if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Tells one seed; says whether all was well.
fn replay(seed: u64, shrinks: bool) -> bool {
    let mut plan = Plan::draw(seed);
    if let Some(violation) = live(&plan).violation
        && shrinks
    {
        plan = shrink(&plan, violation.rule);
    }
    let life = tell(&plan);
    print!("{plan}");
    for line in life.story {
        println!("{line}");
    }
    match &life.violation {
        Some(violation) => println!("broken: {violation}"),
        None => println!("all was well for {} ms", life.lived_us / 1000),
    }
    life.violation.is_none()
}

fn search(arguments: &Arguments) -> Result<bool> {
    if arguments.count == 0 {
        bail!("no seeds to run: give --count N");
    }
    let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
    let began = Instant::now();
    let (lived_us, failures) = hunt(arguments, arguments.jobs.unwrap_or_else(cores));
    println!(
        "{} lives of state sync ({} hours) in {:.1} s: {} broke a rule",
        arguments.count,
        lived_us / 3_600_000_000,
        began.elapsed().as_secs_f64(),
        failures.len()
    );
    for (number, (seed, violation)) in failures.iter().enumerate() {
        println!("\nseed {seed}: {violation}");
        println!("  again: cargo run -p sim --profile sim --bin state -- --seed {seed} --shrink");
        if number < TOLD_MAX {
            replay(*seed, true);
        }
    }
    Ok(failures.is_empty())
}

/// Runs all seeds on so many threads; returns microseconds lived, and what failed.
fn hunt(arguments: &Arguments, jobs: usize) -> (u64, Vec<(u64, Violation)>) {
    let next = AtomicU64::new(arguments.first);
    let end = arguments.first.saturating_add(arguments.count);
    let lived_us = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let mut found = failures.lock().unwrap_or_else(PoisonError::into_inner);
            if seed >= end || found.len() >= FAILURES_MAX {
                return;
            }
            drop(found);
            let life = live(&Plan::draw(seed));
            lived_us.fetch_add(life.lived_us, Ordering::Relaxed);
            found = failures.lock().unwrap_or_else(PoisonError::into_inner);
            found.extend(life.violation.map(|violation| (seed, violation)));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(work);
        }
    });
    let mut failures = failures
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    failures.sort_by_key(|(seed, _)| *seed);
    (lived_us.into_inner(), failures)
}
