//! What the console prints for each answer: text of at most 80 columns, plain ASCII, each line ended by
//! `\n`. Only what was asked of the kernel or the workers just now is shown; nothing is remembered here.

use super::commands;
use super::table::Table;
use super::{view_pair, view_sync};
use crate::ipc::control::{Hello, Status, WorkerStatus};
use core::fmt::Write;

pub use super::view_services::services;

/// The greeting of a tty.
pub fn banner(hello: &Hello) -> String {
    let Hello {
        version,
        cluster,
        node,
        ..
    } = hello;
    format!("\nPollux {version}  cluster {cluster}  node {node}\n")
}

/// The command list.
pub fn help() -> String {
    let mut table = Table::bare(1);
    for (usage, meaning) in commands::help() {
        table.row([usage.into(), meaning.into()]);
    }
    table.render()
}

/// Everything about the box, by headings.
pub fn status(node: &str, status: &Status) -> String {
    let mut out = String::new();
    match &status.cluster {
        Ok(cluster) => view_pair::pair(node, cluster, status, &mut out),
        Err(why) => {
            let _ = writeln!(out, "{node}: {why}");
        }
    }
    view_sync::sync_part(&status.sync, &mut out);
    sysctl_part(&status.sysctls, &mut out);
    worker_part(&status.workers, &mut out);
    box_part(status, &mut out);
    out
}

fn sysctl_part(sysctls: &[(String, String)], out: &mut String) {
    let mut table = Table::new(1, &["sysctl", "value"]);
    for (path, value) in sysctls {
        table.row([path.clone(), value.clone()]);
    }
    out.push_str(&table.render());
}

fn worker_part(workers: &[WorkerStatus], out: &mut String) {
    let mut table = Table::new(
        1,
        &["worker", "pid", "state", "restarts", "dropped", "last end"],
    );
    for worker in workers {
        let state = if worker.pid.is_some() { "up" } else { "down" };
        table.row([
            worker.name.clone(),
            worker.pid.map_or("-".into(), |pid| pid.to_string()),
            format!("{state} {}", span(worker.since_ms)),
            worker.restarts.to_string(),
            worker.dropped.to_string(),
            worker.last_end.clone().unwrap_or_default(),
        ]);
    }
    out.push_str(&table.render());
}

fn box_part(status: &Status, out: &mut String) {
    let used = status
        .memory_total_kib
        .saturating_sub(status.memory_available_kib);
    let _ = writeln!(
        out,
        "up {}; RAM {} of {} MiB in use; watchdog: {}",
        span(status.uptime_s.saturating_mul(1000)),
        used / 1024,
        status.memory_total_kib / 1024,
        status.watchdog.as_deref().unwrap_or("none")
    );
}

/// A span of milliseconds in the two units that matter: `850 ms`, `12.3 s`, `5 min 3 s`, `3 d 4 h`.
pub fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match () {
        () if seconds == 0 => format!("{millis} ms"),
        () if minutes == 0 => format!("{seconds}.{} s", millis % 1000 / 100),
        () if hours == 0 => format!("{minutes} min {} s", seconds % 60),
        () if days == 0 => format!("{hours} h {} min", minutes % 60),
        () => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_come_in_the_units_that_matter() {
        let spans = [850, 12_345, 303_000, 7_380_000, 273_600_000].map(span);
        assert_eq!(
            spans,
            ["850 ms", "12.3 s", "5 min 3 s", "2 h 3 min", "3 d 4 h"]
        );
    }

    #[test]
    fn a_box_whose_cluster_worker_hangs_still_shows_the_rest() {
        let worker = WorkerStatus {
            name: "cluster".into(),
            pid: None,
            since_ms: 250,
            restarts: 3,
            dropped: 0,
            last_end: Some("killed by SIGSEGV".into()),
        };
        let text = status(
            "castor",
            &Status {
                cluster: Err("the cluster worker does not answer".into()),
                sync: Err("the sync worker does not answer".into()),
                workers: vec![worker],
                watchdog: None,
                generation: 1,
                digest: 2,
                refused_reload: None,
                sysctls: vec![("net/ipv4/ip_forward".into(), "1".into())],
                uptime_s: 61,
                memory_total_kib: 64 * 1024,
                memory_available_kib: 50 * 1024,
            },
        );
        assert_eq!(
            text,
            "castor: the cluster worker does not answer\n\
             connections: the sync worker does not answer\n \
             sysctl               value\n \
             net/ipv4/ip_forward  1\n \
             worker   pid  state        restarts  dropped  last end\n \
             cluster  -    down 250 ms  3         0        killed by SIGSEGV\n\
             up 1 min 1 s; RAM 14 of 64 MiB in use; watchdog: none\n"
        );
    }
}
