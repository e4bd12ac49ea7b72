//! What the console prints for each answer: text of at most 80 columns, plain ASCII, each line ended by
//! `\n`. Only what was asked of the kernel or the workers just now is shown; nothing is remembered here.

use super::commands;
use super::table::Table;
use crate::ipc::control::{
    AddressStatus, ClusterStatus, Hello, LinkStatus, PeerStatus, Status, WorkerStatus,
};
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
        Ok(cluster) => cluster_part(node, cluster, status, &mut out),
        Err(why) => {
            let _ = writeln!(out, "{node}: {why}");
        }
    }
    sysctl_part(&status.sysctls, &mut out);
    worker_part(&status.workers, &mut out);
    box_part(status, &mut out);
    out
}

fn cluster_part(node: &str, cluster: &ClusterStatus, status: &Status, out: &mut String) {
    let ready = if cluster.ready { "ready" } else { "not ready" };
    let _ = writeln!(
        out,
        "{node}: {}, {ready}; term {}, since {}",
        cluster.role,
        cluster.term,
        span(cluster.since_ms)
    );
    let _ = writeln!(out, "peer: {}", peer(cluster.peer.as_ref()));
    let _ = writeln!(
        out,
        "config: generation {}, digest {:016x}; {}",
        status.generation,
        status.digest,
        drift(status, cluster.peer.as_ref())
    );
    link_part(&cluster.links, out);
    address_part(cluster, out);
    transition_part(cluster, out);
}

fn peer(peer: Option<&PeerStatus>) -> String {
    let Some(peer) = peer else {
        return "never heard of since this box started".into();
    };
    if !peer.alive {
        return format!("{} is silent; it was {}", peer.name, peer.role);
    }
    let ready = if peer.ready { "ready" } else { "not ready" };
    format!(
        "{} is {}, {ready}; term {}",
        peer.name, peer.role, peer.term
    )
}

fn drift(status: &Status, peer: Option<&PeerStatus>) -> String {
    match peer {
        None => "the peer's is not known".into(),
        Some(peer) if peer.digest == status.digest => "the peer's is the same".into(),
        Some(peer) => format!(
            "DRIFT: {} has generation {}, digest {:016x}",
            peer.name, peer.generation, peer.digest
        ),
    }
}

fn link_part(links: &[LinkStatus], out: &mut String) {
    let mut table = Table::new(
        1,
        &[
            "link", "state", "beat", "silent", "received", "loss", "rejected",
        ],
    );
    for link in links {
        let state = if link.up { "up" } else { "DOWN" };
        let silent = link.silent_ms.map_or("-".into(), span);
        let rejected: Vec<_> = link
            .rejected
            .iter()
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        table.row([
            link.name.clone(),
            state.into(),
            format!("{} ms", link.beat_ms),
            silent,
            link.received.to_string(),
            loss(link.lost, link.received),
            rejected.join(", "),
        ]);
    }
    out.push_str(&table.render());
}

/// Lost frames in percent of all that were sent to us, one decimal.
fn loss(lost: u64, received: u64) -> String {
    let sent = lost.saturating_add(received);
    let permille = u128::from(lost)
        .saturating_mul(1000)
        .checked_div(u128::from(sent))
        .unwrap_or(0);
    format!("{}.{}%", permille / 10, permille % 10)
}

fn address_part(cluster: &ClusterStatus, out: &mut String) {
    let mut table = Table::new(1, &["virtual address", "device", "kernel"]);
    for address in &cluster.virtual_addresses {
        let prefix = address.prefix;
        table.row([
            format!("{}/{}", prefix.address, prefix.length),
            address.device.clone().unwrap_or("no such device".into()),
            if address.held { "held" } else { "not held" }.into(),
        ]);
    }
    out.push_str(&table.render());
    for address in &cluster.virtual_addresses {
        address_trouble(address, out);
    }
}

/// What the table of addresses has no room for.
fn address_trouble(address: &AddressStatus, out: &mut String) {
    let own = address.prefix.address;
    if let Some(refusal) = &address.refusal {
        let _ = writeln!(out, "{own} can't be set: {refusal}");
    }
    if let Some(rival) = &address.rival {
        let mac = plan::config::Device::Mac(rival.mac);
        let (claims, ago) = (rival.claims, span(rival.ago_ms));
        let _ = writeln!(
            out,
            "{own} claimed by {mac} too: {claims} times, last {ago} ago"
        );
    }
}

fn transition_part(cluster: &ClusterStatus, out: &mut String) {
    let mut table = Table::new(1, &["ago", "transition", "term", "reason"]);
    for transition in &cluster.transitions {
        table.row([
            span(transition.ago_ms),
            format!("{} -> {}", transition.from, transition.to),
            transition.term.to_string(),
            transition.reason.clone(),
        ]);
    }
    out.push_str(&table.render());
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
    fn loss_is_of_what_was_sent_to_us() {
        assert_eq!(loss(0, 0), "0.0%");
        assert_eq!(loss(1, 999), "0.1%");
        assert_eq!(loss(u64::MAX, 1), "100.0%");
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
                workers: vec![worker],
                watchdog: None,
                generation: 1,
                digest: 2,
                sysctls: vec![("net/ipv4/ip_forward".into(), "1".into())],
                uptime_s: 61,
                memory_total_kib: 64 * 1024,
                memory_available_kib: 50 * 1024,
            },
        );
        assert_eq!(
            text,
            "castor: the cluster worker does not answer\n \
             sysctl               value\n \
             net/ipv4/ip_forward  1\n \
             worker   pid  state        restarts  dropped  last end\n \
             cluster  -    down 250 ms  3         0        killed by SIGSEGV\n\
             up 1 min 1 s; RAM 14 of 64 MiB in use; watchdog: none\n"
        );
    }
}
