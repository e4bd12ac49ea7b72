//! Who works on a box, how the workers are wired, and what they are told at start. Console workers come
//! one per tty; a tty that carries heartbeats has none.

use super::failure::Failure;
use super::gate::Gate;
use super::medium::Selected;
use super::process::{self, Description, Process};
use super::ttys;
use crate::ipc::{Wire, WorkerKind};
use crate::place::Place;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Instant;

/// In the order of start: who must be there first comes first.
const ORDER: [WorkerKind; 5] = [
    WorkerKind::Dataplane,
    WorkerKind::Cluster,
    WorkerKind::Sync,
    WorkerKind::Health,
    WorkerKind::Control,
];

/// Puts the image where the workers read it and gives a box its name.
pub fn settle(selected: &Selected, place: &Place) -> Result<(), Failure> {
    copy(&selected.bytes, &place.config())?;
    if place.is_guest {
        return Ok(());
    }
    let named = fs::write("/proc/sys/kernel/hostname", node_name(selected));
    named.map_err(Failure::during("setting the host name"))
}

/// Puts an image where only root reads it: it holds the cluster's key.
pub fn copy(image: &[u8], path: &Path) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(Failure::during("opening the config's copy"))?;
    file.write_all(image)
        .map_err(Failure::during("copying the config"))
}

/// The box's name in the config.
pub fn node_name(selected: &Selected) -> &str {
    let node = selected.image.config.nodes.get(selected.node);
    node.map_or("", |node| &node.name)
}

/// Who works on the box.
pub struct Team {
    /// In the order of start.
    pub processes: Vec<Process>,
    gate: Gate,
}

impl Team {
    /// Nobody.
    pub fn none() -> Result<Self, Failure> {
        Ok(Team {
            processes: Vec::new(),
            gate: Gate::closed()?,
        })
    }

    /// Everyone, not started yet, and not to act yet.
    pub fn gather(
        now: Instant,
        selected: &Selected,
        place: &Place,
        ttys: &[String],
    ) -> Result<Self, Failure> {
        let mut ends = Vec::new();
        for (wire, one, other) in Wire::BETWEEN_WORKERS {
            let (a, b) = sys::socket::pair()?;
            ends.push((one, wire, a));
            ends.push((other, wire, b));
        }
        let mut team = Team::none()?;
        for kind in ORDER {
            let worker = worker(kind, selected, place, &mut ends);
            team.processes.push(Process::new(now, worker)?);
        }
        let operator = |tty: &&String| !ttys::is_link(&selected.image.config, tty);
        for tty in ttys.iter().filter(operator) {
            let console = Description {
                kind: WorkerKind::Console,
                tty: Some(tty.clone()),
                arguments: Vec::new(),
                wires: Vec::new(),
            };
            team.processes.push(Process::new(now, console)?);
        }
        Ok(team)
    }

    /// Whether the workers do what they are for.
    pub fn may_act(&self) -> bool {
        self.gate.is_open()
    }

    /// From now on they do. Until now they could give no sign of life; not the beginning of PID 1's turn counts, which
    /// may have read a large config since.
    pub fn let_act(&mut self) {
        let now = Instant::now();
        self.gate.open();
        self.processes
            .iter_mut()
            .for_each(|process| process.life.excuse(now));
    }

    /// Ends those who have not acted yet; nothing is left of them.
    pub fn dismiss(&mut self) {
        for process in self.processes.drain(..) {
            process.life.pid().into_iter().for_each(process::kill);
        }
    }

    /// Starts whoever is due. Returns what went wrong, in sentences.
    pub fn start_due(&mut self) -> Vec<String> {
        // Silence is reckoned from here on: see `let_act`.
        let now = Instant::now();
        let (gate, may_act) = (self.gate.as_fd(), self.gate.is_open());
        let processes = self.processes.iter_mut();
        let started = processes.filter(|process| may_start(process, may_act));
        started
            .filter_map(|process| {
                let error = process.start_if_due(now, gate).err()?;
                Some(format!("starting {}: {error}", process.name()))
            })
            .collect()
    }

    /// When somebody is to be started.
    pub fn due(&self) -> Option<Instant> {
        let may_act = self.may_act();
        let processes = self.processes.iter();
        let may_start = processes.filter(|process| may_start(process, may_act));
        may_start.filter_map(|process| process.life.due()).min()
    }

    /// Those of this kind.
    pub fn of_kind(&mut self, kind: WorkerKind) -> impl Iterator<Item = &mut Process> {
        self.processes
            .iter_mut()
            .filter(move |process| process.description.kind == kind)
    }

    /// How many run.
    pub fn running(&self) -> usize {
        let processes = self.processes.iter();
        processes
            .filter(|process| process.life.pid().is_some())
            .count()
    }
}

/// A console has no gate to wait at: it greets people.
fn may_start(process: &Process, may_act: bool) -> bool {
    may_act || process.description.kind != WorkerKind::Console
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
    let event_room = place.event_room_bytes.to_string();
    let arguments = [
        ["--run-dir", &run_dir],
        ["--guest", guest],
        ["--event-room", &event_room],
        ["--node", node],
    ];
    Description {
        kind,
        tty: None,
        arguments: arguments
            .as_flattened()
            .iter()
            .map(|word| (*word).into())
            .collect(),
        wires,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::init::life::ALIVE_TIMEOUT;

    #[test]
    fn the_time_pid_1_took_to_read_a_config_is_nobodys_silence() {
        let turn = Instant::now().checked_sub(ALIVE_TIMEOUT).unwrap();
        let health = || Description {
            kind: WorkerKind::Health,
            tty: None,
            arguments: Vec::new(),
            wires: Vec::new(),
        };
        let mut team = Team::none().unwrap();
        for _ in 0..2 {
            team.processes.push(Process::new(turn, health()).unwrap());
        }
        team.processes[1].life.started(turn, i32::MAX);
        // What is started is this very program, which knows no such arguments and ends.
        assert_eq!(team.start_due(), [""; 0]);
        let is_alive = |process: &Process| process.life.is_alive(Instant::now());
        assert!(is_alive(&team.processes[0]));
        assert!(!is_alive(&team.processes[1]));
        team.let_act();
        assert!(is_alive(&team.processes[1]));
    }
}
