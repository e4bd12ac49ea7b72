//! What this program runs on: a box that is all its own, or a place on somebody else's machine, where it
//! touches nothing but what its config names. Either has one directory for what the processes share.

use std::path::{Path, PathBuf};

/// The run directory of a box, and of a daemon that is told no other.
pub const RUN_DIR: &str = "/run/pollux";

/// Room for events of connections that wait while the sync worker is busy: some 100,000 of them. It is the kernel's
/// memory, taken only while they wait. What does not fit is made up for by reading the whole table.
const EVENT_ROOM_BYTES: usize = 64 << 20;

/// Where a supervisor and its workers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Holds the config's copy and the control socket; one for each supervisor.
    pub run_dir: PathBuf,
    /// A daemon among others, not PID 1 of a box.
    pub is_guest: bool,
    /// Memory that the kernel may take for events of connections that wait.
    pub event_room_bytes: usize,
}

impl Place {
    /// On a box.
    pub fn on_box() -> Self {
        Place {
            run_dir: RUN_DIR.into(),
            is_guest: false,
            event_room_bytes: EVENT_ROOM_BYTES,
        }
    }

    /// On a machine with other work.
    pub fn of_guest(run_dir: PathBuf) -> Self {
        Place {
            run_dir,
            is_guest: true,
            event_room_bytes: EVENT_ROOM_BYTES,
        }
    }

    /// The image that the workers read; it holds the cluster's key, so only root may.
    pub fn config(&self) -> PathBuf {
        self.run_dir.join("config.plx")
    }

    /// The image that is to be read in its place, while that is tried.
    pub fn next_config(&self) -> PathBuf {
        self.run_dir.join("config-next.plx")
    }

    /// Where control listens.
    pub fn control(&self) -> PathBuf {
        control(&self.run_dir)
    }
}

/// Where control listens, of whoever runs in `run_dir`.
pub fn control(run_dir: &Path) -> PathBuf {
    run_dir.join("control")
}
