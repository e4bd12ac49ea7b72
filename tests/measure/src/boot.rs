//! How long a box takes from power on to `standby, ready`, beside what the same kernel takes to start a one-line /init on the
//! same machine. The two are measured in turn, so that a busy host slows both.

use crate::Built;
use crate::report::{Report, Row};
use crate::vm::{Machine, drive};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

const MEMORY_MIB: u32 = 256;
const LIMIT: Duration = Duration::from_secs(60);

/// What the issue allows between the two.
const EXTRA_MS_MAX: f64 = 500.0;

/// What each says when it is there.
const ONE_LINE: &str = "one-line init runs";
const READY: &str = "standby, ready";

/// Boots both `runs` times.
pub(crate) fn measure(built: &Built, runs: usize) -> Result<Report> {
    let (mut one_line, mut pollux, mut extra) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=runs {
        let least = boot(built, &built.one_line_initramfs, ONE_LINE)?;
        let ours = boot(built, &built.initramfs, READY)?;
        eprintln!("bench: run {run} of {runs}: one-line init {least:.0} ms, pollux {ours:.0} ms");
        one_line.push(least);
        pollux.push(ours);
        extra.push(ours - least);
    }
    Ok(Report::new([
        Row::new("one-line init", "tcg", "ms", one_line),
        Row::new("pollux", "tcg", "ms", pollux),
        Row::new("pollux beyond one-line init", "tcg", "ms", extra)
            .map(|row| row.limit(EXTRA_MS_MAX)),
    ]))
}

/// Milliseconds from power on to the line.
fn boot(built: &Built, initramfs: &Path, wanted: &str) -> Result<f64> {
    let mut arguments: Vec<OsString> = vec!["-kernel".into(), built.kernel.clone().into()];
    arguments.extend([
        "-initrd".into(),
        initramfs.into(),
        "-append".into(),
        built.cmdline.clone().into(),
    ]);
    arguments.extend(drive("floppy", built.floppy.as_os_str()));
    let machine = Machine::boot(MEMORY_MIB, &arguments)?;
    let time = machine.wait_for(wanted, LIMIT);
    let time = time.with_context(|| {
        format!(
            "the box did not say {wanted:?} within {} s",
            LIMIT.as_secs()
        )
    })?;
    Ok(time.as_secs_f64() * 1000.0)
}
