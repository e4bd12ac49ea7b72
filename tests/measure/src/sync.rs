//! What it costs to mirror connections to a twin, and how well it is done: Pollux beside Debian's conntrackd, each in both of
//! two boxes of its own, one subject after the other in each round, so that a busy machine slows all of them.
//!
//! The boxes are namespaces of one kernel or, with `--kernel`, virtual machines. Namespaces tell real times, but cost the
//! receiver what a kernel of its own would not take: this one builds an event for each flow that is put there because the
//! sender listens to its own, and it takes flows from the load and from the receiver one by one, so that each waits for the
//! other on its processor (together some 40 % of the receiver's CPU in a burst); and all flows lie in one hash table. Machines
//! have none of that, but emulated times, which make system calls, packets and changes of process dearer than they are: per
//! flow, 8 to 10 times of the real CPU for Pollux, 24 to 29 times for conntrackd, which does more of them. So on real boxes
//! Pollux's share of conntrackd's CPU should lie between what the two forms tell, a half and a sixth.

mod cable;
mod flows;
pub(crate) mod guest;
mod image;
mod machines;
mod place;
mod rows;
mod subjects;
mod trial;
mod usage;

use crate::report::Report;
use crate::takeover::world;
use anyhow::Result;
use cable::Cable;
use machines::Rack;
use place::Place;
use std::path::PathBuf;
use subjects::{Home, Subject};
use trial::{Burst, Paced};

/// What `tests/bench sync` was told and has built.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The static binary.
    #[arg(long)]
    pollux: PathBuf,
    /// `polluxctl`, which makes its config.
    #[arg(long)]
    polluxctl: PathBuf,
    /// A folder for configs and logs.
    #[arg(long)]
    work: PathBuf,
    /// Where the JSON goes.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// How often each subject is measured.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// The kernel that both boxes boot, as machines of their own; without it they are namespaces.
    #[arg(long)]
    kernel: Option<PathBuf>,
    /// Flows of a burst: 200,000, or 50,000 on machines. In namespaces `net.netfilter.nf_conntrack_max` must allow for them.
    #[arg(long)]
    flows: Option<u32>,
    /// Flows of a paced run.
    #[arg(long, default_value_t = 50_000)]
    paced_flows: u32,
    /// New flows a second in a paced run.
    #[arg(long, default_value_t = 10_000)]
    per_s: u32,
    /// Only subjects whose name begins so: `pollux`, `conntrackd cache`.
    #[arg(long, default_value = "")]
    only: String,
}

impl Options {
    fn flows(&self) -> u32 {
        let usual = if self.kernel.is_some() {
            50_000
        } else {
            200_000
        };
        self.flows.unwrap_or(usual)
    }

    fn place(&self, subject: &Subject) -> Result<Box<dyn Place>> {
        Ok(match &self.kernel {
            Some(kernel) => Box::new(Rack::new(kernel, subject)?),
            None => Box::new(Cable::new()?),
        })
    }
}

/// All values of one subject.
#[derive(Default)]
struct Values {
    /// One for each run.
    bursts: Vec<Option<Burst>>,
    paced: Vec<Paced>,
}

/// Measures every subject.
pub(crate) fn measure(options: &Options) -> Result<Report> {
    if options.kernel.is_none() {
        world::furnish()?;
    }
    let subjects: Vec<_> = subjects::all(options)?
        .into_iter()
        .filter(|subject| subject.title().starts_with(&options.only))
        .collect();
    let mut values: Vec<Values> = subjects.iter().map(|_| Values::default()).collect();
    for run in 1..=options.runs {
        for (subject, values) in subjects.iter().zip(&mut values) {
            let title = subject.title();
            let place = options.place(subject);
            let burst = place.and_then(|place| trial::burst(subject, place, options.flows()));
            values.bursts.push(said(subject, burst));
            // Two machines have two clocks.
            if options.kernel.is_none() {
                let paced = trial::paced(subject, options.paced_flows, options.per_s);
                values.paced.extend(said(subject, paced).flatten());
            }
            eprintln!("bench: run {run} of {}: {title}", options.runs);
        }
    }
    let report = report(&subjects, &values, options.kernel.is_some());
    for row in report.rows().iter().filter(|row| row.is_missed()) {
        eprintln!("bench: missed: {row}");
    }
    Ok(report)
}

/// A trial that comes to nothing is said and not counted: the others go on.
fn said<T>(subject: &Subject, outcome: Result<T>) -> Option<T> {
    let (title, folder) = (subject.title(), subject.folder.display());
    outcome
        .map_err(|error| eprintln!("bench: {title}: not counted: {error:#}; its logs: {folder}"))
        .ok()
}

fn report(subjects: &[Subject], values: &[Values], is_emulated: bool) -> Report {
    let is_rival = |subject: &Subject| subject.name != "pollux" && subject.home == Home::Kernel;
    let mut all = subjects.iter().zip(values);
    let rival = all.find(|(subject, _)| is_rival(subject));
    let rival = rival.map(|(_, values)| values);
    let all = subjects.iter().zip(values);
    Report::new(all.flat_map(|(subject, values)| {
        let rival = rival.filter(|_| subject.name == "pollux");
        rows::of(subject, values, rival, is_emulated)
    }))
}
