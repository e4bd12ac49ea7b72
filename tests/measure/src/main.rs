//! Measures what `tests/bench NAME` reports, on files that script has built. It prints a table and writes the same as JSON;
//! it judges nothing: what the numbers should be is in the table's last column for the reader.

mod boot;
mod firewall;
mod lives;
mod report;
mod size;
mod sync;
mod takeover;
mod vm;

use anyhow::Result;
use clap::{Parser, Subcommand};
use report::Report;
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    name: Name,
}

/// A benchmark.
#[derive(Subcommand)]
enum Name {
    /// Bytes of /init and ISO, least RAM.
    Size(Built),
    /// Time from power on to `standby, ready`, beside the same kernel with a one-line /init.
    Boot(Built),
    /// Time without an answer when the active side of a pair dies or hands over, beside its rivals.
    Takeover(takeover::Options),
    /// Time until a large ruleset is in force, beside `nft -f`.
    Firewall(firewall::Options),
    /// What mirroring connections to a twin costs, beside conntrackd.
    Sync(sync::Options),
    /// What `sync` has done inside of a machine, by requests on the standard input.
    #[command(hide = true)]
    Guest,
    /// Lives of a pair that the simulator judges in a second.
    Sim(lives::Options),
}

/// What `tests/bench` has built.
#[derive(clap::Args)]
struct Built {
    #[arg(long)]
    kernel: PathBuf,
    /// The static binary.
    #[arg(long)]
    init: PathBuf,
    #[arg(long)]
    initramfs: PathBuf,
    #[arg(long)]
    one_line_initramfs: PathBuf,
    #[arg(long)]
    iso: PathBuf,
    /// The kernel command line of the ISO.
    #[arg(long)]
    cmdline: String,
    /// Config of the box, on a floppy.
    #[arg(long)]
    floppy: PathBuf,
    /// The same on a USB stick or disk.
    #[arg(long)]
    medium: PathBuf,
    /// Config of its twin, on a disk.
    #[arg(long)]
    twin_medium: PathBuf,
    /// A folder for sockets.
    #[arg(long)]
    work: PathBuf,
    /// Where the JSON goes.
    #[arg(long)]
    out: PathBuf,
    /// How often each subject is measured.
    #[arg(long, default_value_t = 9)]
    runs: usize,
}

fn main() -> Result<()> {
    let (report, out): (Report, PathBuf) = match Arguments::parse().name {
        Name::Size(built) => (size::measure(&built)?, built.out),
        Name::Boot(built) => (boot::measure(&built, built.runs)?, built.out),
        Name::Takeover(options) => (takeover::measure(&options)?, options.out),
        Name::Firewall(options) => (firewall::measure(&options)?, options.out),
        Name::Sync(options) => (sync::measure(&options)?, options.out),
        Name::Guest => return sync::guest::serve(),
        Name::Sim(options) => (lives::measure(&options), options.out),
    };
    report.print();
    report.write(&out)
}
