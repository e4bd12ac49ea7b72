//! `sim`: lives of a pair by the thousand, and what was found in them. Ends with 1 if something was.

mod arguments;
mod report;

use anyhow::{Result, bail};
use arguments::Arguments;
use clap::Parser;
use sim::{Catch, Schedule};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

/// Broken rules of which the shrunk timeline is told; the others are listed.
const TOLD_MAX: usize = 3;

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    arguments.break_rule()?;
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
    let mut schedule = Schedule::draw(seed);
    if let Some(violation) = sim::run(&schedule).violation
        && shrinks
    {
        schedule = sim::shrink(&schedule, violation.rule);
    }
    report::timeline(&schedule).is_none()
}

fn search(arguments: &Arguments) -> Result<bool> {
    let seeds = arguments.range();
    if seeds.is_empty() {
        bail!("no seeds to run: give --count N or --seeds A..B with A below B");
    }
    // Now: while it runs, the files may change.
    let commit = report::commit();
    let began = Instant::now();
    let progress = report::Progress::new(&seeds, &commit);
    let catch = sim::hunt(&seeds, arguments.jobs(), |so_far| progress.show(so_far));
    report::summary(&catch, &seeds, began.elapsed(), &commit);
    tell_failures(arguments, &catch, &commit);
    Ok(catch.failures.is_empty())
}

/// Each rule's first failure is shrunk and told, the others are listed.
fn tell_failures(arguments: &Arguments, catch: &Catch, commit: &str) {
    let mut told = BTreeSet::new();
    for (seed, violation) in &catch.failures {
        println!("\nseed {seed}, commit {commit}: {violation}");
        println!("  again: {}", arguments.command(*seed));
        if told.len() < TOLD_MAX && told.insert(violation.rule) {
            println!("  shrunk:");
            report::timeline(&sim::shrink(&Schedule::draw(*seed), violation.rule));
        }
    }
}
