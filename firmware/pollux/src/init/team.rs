//! Who works on a box, how the workers are wired, and what they are told at start. Console workers come
//! one per tty; a tty that carries heartbeats has none.

use super::failure::Failure;
use super::medium::Selected;
use super::process::{Description, Process};
use super::ttys;
use crate::ipc::{Wire, WorkerKind};
use crate::place::Place;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Instant;

/// In the order of start: who must be there first comes first.
const ORDER: [WorkerKind; 4] = [
    WorkerKind::Dataplane,
    WorkerKind::Cluster,
    WorkerKind::Health,
    WorkerKind::Control,
];

/// Puts the image where the workers read it and gives a box its name.
pub fn settle(selected: &Selected, place: &Place) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(place.config())
        .map_err(Failure::during("opening the config's copy"))?;
    file.write_all(&selected.bytes)
        .map_err(Failure::during("copying the config"))?;
    if place.is_guest {
        return Ok(());
    }
    let named = fs::write("/proc/sys/kernel/hostname", node_name(selected));
    named.map_err(Failure::during("setting the host name"))
}

/// The box's name in the config.
pub fn node_name(selected: &Selected) -> &str {
    let node = selected.image.config.nodes.get(selected.node);
    node.map_or("", |node| &node.name)
}

/// Everyone, not started yet.
pub fn gather(
    now: Instant,
    selected: &Selected,
    place: &Place,
    ttys: &[String],
) -> Result<Vec<Process>, Failure> {
    let mut ends = Vec::new();
    for (wire, one, other) in Wire::BETWEEN_WORKERS {
        let (a, b) = sys::socket::pair()?;
        ends.push((one, wire, a));
        ends.push((other, wire, b));
    }
    let mut team = Vec::new();
    for kind in ORDER {
        team.push(Process::new(now, worker(kind, selected, place, &mut ends))?);
    }
    let operator = |tty: &&String| !ttys::is_link(&selected.image.config, tty);
    for tty in ttys.iter().filter(operator) {
        let console = Description {
            kind: WorkerKind::Console,
            tty: Some(tty.clone()),
            arguments: Vec::new(),
            wires: Vec::new(),
        };
        team.push(Process::new(now, console)?);
    }
    Ok(team)
}

fn worker(
    kind: WorkerKind,
    selected: &Selected,
    place: &Place,
    ends: &mut Vec<(WorkerKind, Wire, OwnedFd)>,
) -> Description {
    let own = ends.extract_if(.., |(owner, ..)| *owner == kind);
    let wires = own.map(|(_, wire, end)| (wire, end)).collect();
    let run_dir = place.run_dir.to_string_lossy();
    let guest = if place.is_guest { "yes" } else { "no" };
    let node = node_name(selected);
    let arguments = ["--run-dir", &run_dir, "--guest", guest, "--node", node];
    Description {
        kind,
        tty: None,
        arguments: arguments.map(String::from).into(),
        wires,
    }
}
