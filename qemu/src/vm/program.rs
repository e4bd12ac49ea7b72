//! QEMU's program in memory. A host that saves memory takes pages away that were not in use for some seconds, and an
//! emulated processor that comes to one of them, say at its first takeover, waits tens of milliseconds for the disk.

use crate::ns::Guard;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Keeps the files of a running process that hold code, its program and libraries, in memory until the guard is dropped.
pub fn hold(process: u32) -> Result<Guard> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps"))
        .with_context(|| format!("reading what process {process} maps"))?;
    let mut child = Command::new("stdbuf")
        .args(["-oL", "vmtouch", "-l"])
        .args(files(&maps))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .context("starting vmtouch (package vmtouch)")?;
    let (said, complaint) = (child.stdout.take(), child.stderr.take());
    let guard = Guard::new(child);
    // It says so and stays.
    let mut lines = BufReader::new(said.context("vmtouch has no stdout")?).lines();
    if lines.any(|line| line.is_ok_and(|line| line.starts_with("LOCKED"))) {
        return Ok(guard);
    }
    let mut why = String::new();
    complaint
        .context("vmtouch has no stderr")?
        .read_to_string(&mut why)?;
    bail!("{}", why.trim())
}

/// Files of a process's maps (proc_pid_maps(5)) that hold code.
fn files(maps: &str) -> BTreeSet<PathBuf> {
    let lines = maps.lines().map(|line| line.split_whitespace());
    let code = lines.filter_map(|mut words| {
        let is_code = words.nth(1).is_some_and(|flags| flags.contains('x'));
        let path = words.nth(3).filter(|path| path.starts_with('/'));
        path.filter(|_| is_code).map(PathBuf::from)
    });
    code.filter(|path| path.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_with_code_once_each() {
        let maps = "\
            55d0-55d1 r--p 00000000 fe:00 11 /bin/sh\n\
            55d1-55d2 r-xp 00001000 fe:00 11 /bin/sh\n\
            55d2-55d3 r-xp 00003000 fe:00 11 /bin/sh\n\
            7f00-7f01 rw-p 00000000 00:00 0  [heap]\n\
            7f01-7f02 rwxp 00000000 00:00 0 \n\
            7f02-7f03 r--p 00000000 fe:00 12 /etc/passwd\n\
            7ffd-7ffe r-xp 00000000 00:00 0  [vdso]\n";
        assert_eq!(files(maps), [PathBuf::from("/bin/sh")].into());
    }
}
