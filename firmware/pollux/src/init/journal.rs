//! Where everything the box has to say goes: into the ring, and to each tty that no console worker
//! serves. It never waits for a tty: what a slow line does not take at once is only in the ring.

use super::ring::Ring;
use crate::ipc::control::{Level, LogLine};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// A tty of the operator.
struct Screen {
    tty: String,
    file: File,
    /// A console worker prints there.
    served: bool,
}

/// The log of the box.
#[derive(Default)]
pub struct Journal {
    ring: Ring,
    screens: Vec<Screen>,
}

impl Journal {
    /// Prints on this tty from now on, and first what was said before.
    pub fn add_screen(&mut self, tty: &str) {
        let mut file = match sys::tty::open(&Path::new("/dev").join(tty)) {
            Ok(file) => file,
            Err(error) => return self.say(Level::Warn, &format!("no output there: {error}")),
        };
        for line in self.ring.page(1) {
            print(&mut file, &line);
        }
        self.screens.push(Screen {
            tty: tty.into(),
            file,
            served: false,
        });
    }

    /// A console worker prints on this tty, or has ceased to.
    pub fn set_served(&mut self, tty: &str, served: bool) {
        for screen in self.screens.iter_mut().filter(|screen| screen.tty == tty) {
            screen.served = served;
        }
    }

    /// Says something to the operator, dated now.
    pub fn say(&mut self, level: Level, text: &str) {
        let line = self.ring.push(uptime_ms(), level, text);
        for screen in self.screens.iter_mut().filter(|screen| !screen.served) {
            print(&mut screen.file, &line);
        }
    }

    /// The lines kept.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }
}

/// The tty may be raw, so the line end is written out.
fn print(file: &mut File, line: &LogLine) {
    // What the tty does not take now is lost there, and in the ring.
    let _ = file.write(format!("{line}\r\n").as_bytes());
}

fn uptime_ms() -> u64 {
    sys::clock::monotonic_us() / 1000
}
