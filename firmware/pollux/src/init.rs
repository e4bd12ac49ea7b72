//! PID 1: boots in named phases, finds the config, starts and reaps workers, feeds the hardware
//! watchdog while the vital ones turn, and leads the way out. One thread, one loop, nothing in it
//! waits; whatever goes wrong ends in the one funnel: say why, resign, stop, reboot.

mod backoff;
mod boot;
mod config;
mod failure;
mod gate;
mod guard;
mod journal;
mod leave;
mod life;
pub mod lines;
mod media;
pub mod medium;
mod output;
pub mod probe;
mod process;
mod reload;
pub mod ring;
mod search;
mod supervisor;
mod team;
mod ttys;
mod turn;

use crate::ipc::control::Level;
pub use failure::Failure;
pub use journal::Journal;
pub use medium::Selected;
pub use output::Output;
pub use supervisor::Supervisor;

use boot::phase;
use leave::Destination;
use std::time::Duration;

/// Long enough to read the last words on a screen.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Runs the box. Comes back only where this is not PID 1 of a machine.
pub fn run() {
    let mut journal = Journal::default();
    journal.say(
        Level::Info,
        &format!("Pollux {}", env!("CARGO_PKG_VERSION")),
    );
    let destination = match boot(journal) {
        Ok(destination) => destination,
        Err(error) => {
            last_words(&error);
            Destination::Reboot
        }
    };
    sys::power::sync();
    let gone = match destination {
        Destination::Reboot => sys::power::restart(),
        Destination::PowerOff => sys::power::power_off(),
        // A guest's; a box does not outlive its PID 1.
        Destination::Stop => Ok(()),
    };
    if let Err(error) = gone {
        last_words(&error);
    }
}

fn boot(mut journal: Journal) -> Result<Destination, Failure> {
    phase(&mut journal, "mount", boot::mount)?;
    // Drives take their time, so they begin before all else.
    let mut supervisor = Supervisor::on_box(journal)?;
    supervisor.equip()?;
    supervisor.serve()
}

/// Nothing works any more, so the kernel's console has to do.
fn last_words(error: &dyn core::fmt::Display) {
    eprintln!("\r\npollux: {error}; rebooting\r");
    std::thread::sleep(LAST_WORDS);
}
