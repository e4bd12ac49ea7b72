//! How long clients of a pair wait when its active side dies or hands over, and whether it changes hands under load for no
//! reason: Pollux beside Debian's keepalived, heartbeat and ucarp. All do the same job in the same world, one after the other
//! in each round, so that a busy machine slows all of them.

pub(crate) mod node;
mod plot;
mod probe;
mod subjects;
mod trial;
pub(crate) mod world;

use crate::report::{Report, Row};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::time::Duration;
use subjects::Subject;

/// What `tests/bench takeover` was told and has built.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The static binary.
    #[arg(long)]
    pollux: PathBuf,
    /// `polluxctl`, which makes its configs.
    #[arg(long)]
    polluxctl: PathBuf,
    /// A folder for configs and logs.
    #[arg(long)]
    work: PathBuf,
    /// Where the JSON goes; the plot goes beside it.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// How often each subject is handed over and cut off.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// How often each subject bears the load.
    #[arg(long, default_value_t = 1)]
    load_runs: usize,
    /// Seconds of load.
    #[arg(long, default_value_t = 60)]
    load_s: u64,
    /// Only subjects whose name begins so: `pollux`, `keepalived 0.01 s`.
    #[arg(long, default_value = "")]
    only: String,
}

/// All values of one subject.
#[derive(Default)]
struct Values {
    power_cut_ms: Vec<f64>,
    handover_ms: Vec<f64>,
    changes: Vec<f64>,
    worst_gap_ms: Vec<f64>,
}

/// Measures every subject and draws the plot.
pub(crate) fn measure(options: &Options) -> Result<Report> {
    world::furnish()?;
    let all = subjects::all(options)?;
    let subjects: Vec<_> = all
        .into_iter()
        .filter(|subject| subject.title().starts_with(&options.only))
        .collect();
    let mut values: Vec<Values> = subjects.iter().map(|_| Values::default()).collect();
    for run in 1..=options.runs {
        for (subject, values) in subjects.iter().zip(&mut values) {
            let title = subject.title();
            let Some(times) = said(subject, trial::faults(subject, phase(run))) else {
                continue;
            };
            let (cut, handover) = (times.power_cut_ms, times.handover_ms);
            eprintln!(
                "bench: run {run}: {title}: power cut {cut:.1} ms, handover {handover:.1} ms"
            );
            values.power_cut_ms.push(cut);
            values.handover_ms.push(handover);
        }
    }
    for _ in 0..options.load_runs {
        for (subject, values) in subjects.iter().zip(&mut values) {
            let title = subject.title();
            let Some((changes, gap)) = said(subject, trial::load(subject, options.load_s)) else {
                continue;
            };
            eprintln!("bench: load: {title}: {changes} changes, worst gap {gap:.1} ms");
            values.changes.push(f64::from(changes));
            values.worst_gap_ms.push(gap);
        }
    }
    let report = Report::new(subjects.iter().zip(values).flat_map(rows));
    let picture = options.out.with_extension("svg");
    std::fs::write(&picture, plot::to_svg(report.rows()))
        .with_context(|| format!("writing {}", picture.display()))?;
    Ok(report)
}

/// When in its second a fault comes: subjects work by the second and its parts, and no run may meet them at the same point.
/// The golden ratio spreads a few runs as evenly as many.
fn phase(run: usize) -> Duration {
    let turns = f64::from(u16::try_from(run).unwrap_or(u16::MAX)) * 0.618_034;
    Duration::from_secs_f64(turns.fract())
}

/// A trial that comes to nothing is said and not counted: the others go on.
fn said<T>(subject: &Subject, outcome: Result<T>) -> Option<T> {
    let (title, folder) = (subject.title(), subject.folder.display());
    outcome
        .map_err(|error| eprintln!("bench: {title}: not counted: {error:#}; its logs: {folder}"))
        .ok()
}

fn rows((subject, values): (&Subject, Values)) -> [Option<Row>; 4] {
    let row = |fault, unit, values: Vec<f64>, limit: Option<f64>| {
        let row = Row::new(subject.name, subject.profile, unit, values)?.fault(fault);
        Some(limit.map_or(row.clone(), |limit| row.limit(limit)))
    };
    let limits = subject.limits;
    [
        row(
            "power-cut",
            "ms",
            values.power_cut_ms,
            limits.map(|limits| limits.power_cut_ms),
        ),
        row(
            "handover",
            "ms",
            values.handover_ms,
            limits.map(|limits| limits.handover_ms),
        ),
        row(
            "load",
            "changes",
            values.changes,
            limits.map(|limits| limits.changes),
        ),
        row("load", "ms", values.worst_gap_ms, None),
    ]
}
