//! The boot phases up to the search for a config, in order, each named and timed. None waits for
//! hardware: what comes later comes by event.

use super::failure::Failure;
use super::guard::Guard;
use super::journal::Journal;
use super::supervisor::Supervisor;
use super::ttys;
use crate::ipc::control::Level;
use crate::place::RUN_DIR;
use std::fs;
use std::time::Instant;
use sys::mount::{AT_BOOT, mount_virtual};
use sys::watchdog::Watchdog;

/// Silence after which the hardware resets the box. The peer has long taken over by then.
const WATCHDOG_TIMEOUT_S: u32 = 15;

/// Settings of the kernel itself: path below /proc/sys, value.
const KERNEL: [(&str, &str); 3] = [
    // One second for the message to get out; the peer is faster anyway.
    ("kernel/panic", "1"),
    ("kernel/panic_on_oops", "1"),
    // The log is for the operator: only what the kernel calls an error shows up between.
    ("kernel/printk", "4"),
];

/// Runs `phase`, says how it went and how long it took, and passes its outcome on.
pub fn phase<T, E: core::fmt::Display>(
    journal: &mut Journal,
    name: &str,
    phase: impl FnOnce(&mut Journal) -> Result<T, E>,
) -> Result<T, E> {
    let start = Instant::now();
    let outcome = phase(journal);
    let millis = start.elapsed().as_millis();
    match &outcome {
        Ok(_) => journal.say(Level::Info, &format!("phase {name} ... ok ({millis} ms)")),
        Err(error) => {
            journal.say(
                Level::Error,
                &format!("phase {name} ... FAILED ({millis} ms): {error}"),
            );
        }
    }
    outcome
}

/// The filesystems every process expects, and our own directory.
pub fn mount(_journal: &mut Journal) -> Result<(), Failure> {
    for filesystem in &AT_BOOT {
        mount_virtual(filesystem)?;
    }
    fs::create_dir_all(RUN_DIR).map_err(Failure::during("making the run directory"))
}

/// Settings of the kernel itself.
fn kernel(journal: &mut Journal) -> Result<(), Failure> {
    for (path, value) in KERNEL {
        if let Err(error) = fs::write(format!("/proc/sys/{path}"), value) {
            journal.say(Level::Warn, &format!("setting {path} to {value}: {error}"));
        }
    }
    sys::power::ctrl_alt_del_to_signal()?;
    Ok(())
}

impl Supervisor {
    /// Gives a box its screens and its watchdog, and the kernel its settings.
    pub fn equip(&mut self) -> Result<(), Failure> {
        let journal = &mut self.journal;
        // Whatever fails here is said; the box goes on without it.
        self.ttys = phase(journal, "screens", screens).unwrap_or_default();
        phase(journal, "kernel", kernel)?;
        self.guard = Guard::new(phase(journal, "watchdog", watchdog)?);
        Ok(())
    }
}

/// The operator's ttys, as the kernel's command line names them.
fn screens(journal: &mut Journal) -> Result<Vec<String>, Failure> {
    let active = fs::read_to_string("/sys/class/tty/console/active");
    let ttys = ttys::parse_active(&active.map_err(Failure::during("listing consoles"))?);
    ttys.iter().for_each(|tty| journal.add_screen(tty));
    Ok(ttys)
}

/// The hardware watchdog, where there is one. A box without is a box all the same.
fn watchdog(journal: &mut Journal) -> Result<Option<Watchdog>, Failure> {
    match Watchdog::open(WATCHDOG_TIMEOUT_S) {
        Ok(watchdog) => {
            let identity = watchdog.as_ref().map_or("none", Watchdog::identity);
            journal.say(Level::Info, &format!("hardware watchdog: {identity}"));
            Ok(watchdog)
        }
        Err(error) => {
            journal.say(Level::Warn, &format!("no hardware watchdog: {error}"));
            Ok(None)
        }
    }
}
