//! What a node's processes take of the machine, the kernel's work for them included.

use anyhow::{Context, Result};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs;
use std::time::Duration;

/// Of all processes of a node.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Usage {
    /// Seconds on a processor since they started.
    pub(super) cpu_s: f64,
    /// Most memory that each has had, added up: what they share is counted for each.
    pub(super) rss_mb: f64,
}

/// What `process` and all that descend from it have used.
pub(super) fn of_tree(process: i32) -> Result<Usage> {
    let mut usage = Usage {
        cpu_s: cpu_s(process)?,
        rss_mb: rss_mb(process)?,
    };
    // A child that ends meanwhile is none.
    for child in children(process)?
        .into_iter()
        .map(of_tree)
        .filter_map(Result::ok)
    {
        usage.cpu_s += child.cpu_s;
        usage.rss_mb += child.rss_mb;
    }
    Ok(usage)
}

fn children(process: i32) -> Result<Vec<i32>> {
    let entries = fs::read_dir("/proc").context("reading /proc")?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let processes = names.filter_map(|name| name.parse().ok());
    // One that ends meanwhile is none.
    let is_child = |other: &i32| {
        let stat = fs::read_to_string(format!("/proc/{other}/stat"));
        stat.ok().and_then(|stat| parent(&stat)) == Some(process)
    };
    Ok(processes.filter(is_child).collect())
}

/// The second word behind the name, which may hold anything (proc_pid_stat(5)).
fn parent(stat: &str) -> Option<i32> {
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_whitespace().nth(1)?.parse().ok()
}

/// Of all its threads, to the nanosecond: ticks of a hundredth would miss what wakes up for less.
fn cpu_s(process: i32) -> Result<f64> {
    let clock = clock_getcpuclockid(Pid::from_raw(process))
        .with_context(|| format!("process {process} is gone"))?;
    let used = Duration::from(clock.now().context("reading a process's clock")?);
    Ok(used.as_secs_f64())
}

fn rss_mb(process: i32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = peak.and_then(|line| line.split_whitespace().next());
    Ok(kb.context("no VmHWM")?.parse::<f64>()? * 1024.0 / 1e6)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    #[test]
    fn a_parent_stands_behind_any_name() {
        assert_eq!(parent("12 (a) b) S 7 12 12"), Some(7));
        assert_eq!(parent("12"), None);
    }

    #[test]
    fn what_a_child_uses_is_counted() {
        let mut shell = Command::new("sh")
            .args(["-c", "cat; :"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = shell.stdin.take().unwrap();
        let mut output = BufReader::new(shell.stdout.take().unwrap());
        input.write_all(b"there\n").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "there\n", "the shell's child runs");
        let number = i32::try_from(shell.id()).unwrap();
        assert_eq!(children(number).unwrap().len(), 1);
        // What a process has used never falls, so the shell alone is asked first.
        let alone = (cpu_s(number).unwrap(), rss_mb(number).unwrap());
        let tree = of_tree(number).unwrap();
        assert!(tree.cpu_s > alone.0 && tree.rss_mb > alone.1);
        drop(input);
        shell.wait().unwrap();
    }
}
