//! How long a box takes from power on to `standby, ready`, beside what the same kernel takes to start a one-line /init on the
//! same machine. Its twin is active at the other end of its cables all the while; the subjects are measured in turn, so that
//! a busy host slows all of them.

use crate::Built;
use crate::report::{Report, Row};
use crate::vm::{Machine, Twin, drive};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

const MEMORY_MIB: u32 = 256;
const LIMIT: Duration = Duration::from_secs(60);

/// So much longer than a one-line /init ours may take.
const EXTRA_MS_MAX: f64 = 500.0;

/// What each says when it is there.
const ONE_LINE: &str = "one-line init runs";
const STANDBY: &str = "standby, ready";
const ACTIVE: &str = "active, ready";

/// What is booted, and from where a box reads its config.
#[derive(Clone, Copy)]
enum Subject {
    OneLine,
    /// Config on a virtio disk.
    Disk,
    /// Config on a floppy.
    Floppy,
}

/// Boots each `runs` times.
pub(crate) fn measure(built: &Built, runs: usize) -> Result<Report> {
    let twin = boot(
        built,
        Subject::Disk,
        &built.twin_medium,
        Twin::Second(&built.work),
    )?;
    twin.wait_for(ACTIVE, LIMIT).context("booting the twin")?;
    let join = Twin::First(&built.work);

    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for run in 1..=runs {
        let one_line = time(built, Subject::OneLine, join)?;
        let disk = time(built, Subject::Disk, join)?;
        let floppy = time(built, Subject::Floppy, join)?;
        eprintln!(
            "bench: run {run} of {runs}: one-line init {one_line:.0} ms, pollux {disk:.0} ms, from floppy {floppy:.0} ms"
        );
        for (list, time) in times.iter_mut().zip([one_line, disk, floppy]) {
            list.push(time);
        }
    }
    let [one_line, disk, floppy] = times;
    let beyond = |ours: &[f64]| {
        ours.iter()
            .zip(&one_line)
            .map(|(ours, least)| ours - least)
            .collect()
    };
    let limited = |profile, ours| {
        Row::new("pollux beyond one-line init", profile, "ms", beyond(ours))
            .map(|row| row.limit(EXTRA_MS_MAX))
    };
    let extra = [limited("disk", &disk), limited("floppy", &floppy)];
    let whole = [
        Row::new("one-line init", "none", "ms", one_line),
        Row::new("pollux", "disk", "ms", disk),
        Row::new("pollux", "floppy", "ms", floppy),
    ];
    Ok(Report::new(whole.into_iter().chain(extra)))
}

/// Milliseconds from power on until the subject says that it is there.
fn time(built: &Built, subject: Subject, joined: Twin) -> Result<f64> {
    let wanted = if matches!(subject, Subject::OneLine) {
        ONE_LINE
    } else {
        STANDBY
    };
    let machine = boot(built, subject, &built.medium, joined)?;
    let time = machine.wait_for(wanted, LIMIT).context("booting the box")?;
    Ok(time.as_secs_f64() * 1000.0)
}

fn boot(built: &Built, subject: Subject, medium: &Path, joined: Twin) -> Result<Machine> {
    let (initramfs, drive) = match subject {
        Subject::OneLine => (
            &built.one_line_initramfs,
            drive("virtio", medium.as_os_str()),
        ),
        Subject::Disk => (&built.initramfs, drive("virtio", medium.as_os_str())),
        Subject::Floppy => (&built.initramfs, drive("floppy", built.floppy.as_os_str())),
    };
    let mut arguments: Vec<OsString> = vec!["-kernel".into(), built.kernel.clone().into()];
    arguments.extend([
        "-initrd".into(),
        initramfs.into(),
        "-append".into(),
        built.cmdline.clone().into(),
    ]);
    arguments.extend(drive);
    Machine::boot(MEMORY_MIB, joined, &arguments)
}
