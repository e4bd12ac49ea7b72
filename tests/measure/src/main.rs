//! Measures what `tests/bench NAME` reports, on files that script has built. It prints a table and writes the same as JSON;
//! it judges nothing: what the numbers should be is in the table's last column for the reader.

mod boot;
mod report;
mod size;
mod vm;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use report::Report;
use std::path::PathBuf;

/// A benchmark.
#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// Bytes of /init and ISO, least RAM.
    Size,
    /// Time from power on to `standby, ready`, beside the same kernel with a one-line /init.
    Boot,
}

#[derive(Parser)]
struct Arguments {
    name: Name,
    /// The files to be measured.
    #[command(flatten)]
    built: Built,
    /// Where the JSON goes.
    #[arg(long)]
    out: PathBuf,
    /// How often each subject is measured.
    #[arg(long, default_value_t = 9)]
    runs: usize,
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
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let report: Report = match arguments.name {
        Name::Size => size::measure(&arguments.built)?,
        Name::Boot => boot::measure(&arguments.built, arguments.runs)?,
    };
    report.print();
    report.write(&arguments.out)
}
