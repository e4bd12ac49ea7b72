//! How fast the simulator is: schedules of faults in a second of one processor.

use crate::report::{Report, Row};
use clap::Args;
use std::path::PathBuf;

/// What one core should do at least.
const SCHEDULES_PER_SECOND_MIN: f64 = 1000.0;

#[derive(Args)]
pub(crate) struct Options {
    /// Where the JSON goes.
    #[arg(long)]
    pub(crate) out: PathBuf,
    #[arg(long, default_value_t = 7)]
    runs: u64,
    /// Schedules in each run.
    #[arg(long, default_value_t = 2000)]
    schedules: u64,
}

/// Measures on one thread, by the processor time that it was given.
pub(crate) fn measure(options: &Options) -> Report {
    let rates = sim::rates(options.runs, options.schedules);
    let row = Row::new("sim", "one core", "schedules_per_s", rates);
    Report::new([row.map(|row| row.least(SCHEDULES_PER_SECOND_MIN))])
}
