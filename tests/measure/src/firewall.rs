//! How long a large ruleset takes until it is in force: by our one batch, and by `nft -f` from the text of the
//! same ruleset. Each trial has a network namespace of its own, the two in turn; before anything is measured,
//! what nft lists of both must be the same text.

mod ruleset;

use crate::report::{Report, Row};
use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use plan::ruleset::Ruleset;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Instant;
use sys::netlink::{Netlink, Protocol};

/// What is loaded: rules, and elements of sets.
const RULES: u32 = 10_000;
const ELEMENTS: u32 = 100_000;

/// In force in at most half of nft's time.
const SHARE_OF_NFT: f64 = 0.5;

/// Options of `tests/bench firewall`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where the JSON goes.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// A folder for nft's file.
    #[arg(long)]
    work: PathBuf,
    /// How often each subject is measured.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

/// Who loads.
#[derive(Clone, Copy)]
enum Subject<'a> {
    Pollux(&'a Ruleset),
    Nft(&'a Path),
}

/// What a load took.
struct Load {
    wall_ms: f64,
    cpu_ms: f64,
}

/// Loads into an empty namespace, and in the place of what is there.
pub(crate) fn measure(options: &Options) -> Result<Report> {
    let ruleset = ruleset::values(RULES, ELEMENTS);
    fs::create_dir_all(&options.work).context("making a folder for nft's file")?;
    let file = options.work.join("ruleset.nft");
    fs::write(&file, ruleset::text(RULES, ELEMENTS)).context("writing nft's file")?;
    let subjects = [Subject::Pollux(&ruleset), Subject::Nft(&file)];

    let listed = subjects.map(|subject| in_namespace(|| subject.load().and_then(|_| listed())));
    let [ours, theirs] = listed;
    ensure!(ours? == theirs?, "the two rulesets are not the same");

    let mut loads = [Vec::new(), Vec::new()];
    for run in 1..=options.runs {
        for (subject, loads) in subjects.iter().zip(&mut loads) {
            loads.push(in_namespace(|| Ok((subject.load()?, subject.load()?)))?);
        }
        eprintln!("bench: run {run} of {}", options.runs);
    }
    let [ours, theirs] = loads;
    Ok(Report::new(
        rows("pollux", &ours, Some(&theirs))
            .into_iter()
            .chain(rows("nft -f", &theirs, None)),
    ))
}

type Pair = (Load, Load);

/// Rows of a subject, held to a share of what its rival took.
fn rows(subject: &'static str, loads: &[Pair], rival: Option<&[Pair]>) -> Vec<Option<Row>> {
    type Get = fn(&Pair) -> f64;
    let all: [(&str, &str, Get); 4] = [
        ("empty kernel", "ms", |(first, _)| first.wall_ms),
        ("empty kernel", "cpu_ms", |(first, _)| first.cpu_ms),
        ("reload", "ms", |(_, again)| again.wall_ms),
        ("reload", "cpu_ms", |(_, again)| again.cpu_ms),
    ];
    let row = |(profile, unit, get): (&'static str, &'static str, Get)| {
        let of = |loads: &[Pair]| Row::new(subject, profile, unit, loads.iter().map(get).collect());
        let limit = rival.and_then(of).map(|row| row.spread().1 * SHARE_OF_NFT);
        let row = of(loads)?;
        Some(match limit.filter(|_| unit == "ms") {
            Some(limit) => row.limit(limit),
            None => row,
        })
    };
    all.map(row).into_iter().collect()
}

impl Subject<'_> {
    fn load(self) -> Result<Load> {
        let (who, before) = match self {
            Subject::Pollux(_) => (UsageWho::RUSAGE_THREAD, usage_ms(UsageWho::RUSAGE_THREAD)?),
            Subject::Nft(_) => (
                UsageWho::RUSAGE_CHILDREN,
                usage_ms(UsageWho::RUSAGE_CHILDREN)?,
            ),
        };
        let start = Instant::now();
        match self {
            Subject::Pollux(ruleset) => {
                let mut socket = Netlink::open(Protocol::Netfilter).map_err(anyhow::Error::msg)?;
                let loaded = socket.load(ruleset, |name| name == ruleset::TABLE);
                loaded.map_err(|error| anyhow::anyhow!("{error}"))?;
            }
            Subject::Nft(file) => {
                let status = Command::new("nft").arg("-f").arg(file).status()?;
                ensure!(status.success(), "nft: {status}");
            }
        }
        Ok(Load {
            wall_ms: start.elapsed().as_secs_f64() * 1_000.0,
            cpu_ms: usage_ms(who)? - before,
        })
    }
}

/// Time on the processor so far, the kernel's included.
fn usage_ms(who: UsageWho) -> Result<f64> {
    let usage: Usage = getrusage(who).context("reading the time on the processor")?;
    let times = [usage.user_time(), usage.system_time()];
    let ms = times.map(|time| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3);
    Ok(ms.iter().sum())
}

/// What nft lists of this thread's namespace.
fn listed() -> Result<String> {
    let output = Command::new("nft").args(["list", "ruleset"]).output()?;
    ensure!(output.status.success(), "nft: {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// On a thread in a network namespace of its own.
fn in_namespace<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let entered = || unshare(CloneFlags::CLONE_NEWNET).context("making a network namespace");
    let done = thread::scope(|scope| scope.spawn(|| entered().and_then(|()| work())).join());
    match done {
        Ok(done) => done,
        Err(_) => bail!("a trial ended early"),
    }
}
