//! What `sim` is told on its command line.

use anyhow::{Result, bail};
use clap::Parser;
use core::ops::Range;
use std::num::NonZero;

/// Runs schedules of faults against the real protocol code and judges all invariants after everything that happens.
#[derive(Parser)]
pub(crate) struct Arguments {
    /// Seeds from A up to B, B left out.
    #[arg(long, value_name = "A..B", value_parser = range, conflicts_with = "count")]
    seeds: Option<Range<u64>>,
    /// Seeds from 0 on.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    count: u64,
    /// Threads [default: as many as there are cores].
    #[arg(long, value_name = "J")]
    jobs: Option<usize>,
    /// Tells this one seed as a timeline.
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,
    /// With --seed: makes the schedule as small as it gets while it fails the same way.
    #[arg(long, requires = "seed")]
    pub(crate) shrink: bool,
    /// Breaks a rule of the protocol on purpose; `list` lists them. Needs `--features sabotage`.
    #[arg(long, value_name = "RULE")]
    sabotage: Option<String>,
}

impl Arguments {
    pub(crate) fn range(&self) -> Range<u64> {
        self.seeds.clone().unwrap_or(0..self.count)
    }

    pub(crate) fn jobs(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        self.jobs.unwrap_or_else(cores)
    }

    /// The one command that shows a seed again.
    pub(crate) fn command(&self, seed: u64) -> String {
        match &self.sabotage {
            None => format!("cargo run -p sim --profile sim -- --seed {seed} --shrink"),
            Some(rule) => format!(
                "cargo run -p sim --profile sim --features sabotage -- --sabotage {rule} --seed {seed} --shrink"
            ),
        }
    }

    /// Breaks the rule that is to be broken.
    #[cfg(feature = "sabotage")]
    pub(crate) fn break_rule(&self) -> Result<()> {
        use proto::sabotage::{Sabotage, sabotage};
        let Some(wanted) = &self.sabotage else {
            return Ok(());
        };
        let rule = Sabotage::ALL
            .into_iter()
            .find(|rule| format!("{rule:?}") == *wanted);
        if rule.is_none() {
            bail!("no rule {wanted:?} to break; there are {:?}", Sabotage::ALL);
        }
        sabotage(rule);
        Ok(())
    }

    /// This build breaks nothing.
    #[cfg(not(feature = "sabotage"))]
    pub(crate) fn break_rule(&self) -> Result<()> {
        if self.sabotage.is_some() {
            bail!("this build breaks no rule; build it with `--features sabotage`");
        }
        Ok(())
    }
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let ends = text
        .split_once("..")
        .map(|(start, end)| (start.parse(), end.parse()));
    match ends {
        Some((Ok(start), Ok(end))) if start < end => Ok(start..end),
        _ => Err("write two numbers as A..B, A below B".into()),
    }
}
