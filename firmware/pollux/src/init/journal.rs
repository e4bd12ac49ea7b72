//! Where everything the box has to say goes: into the ring, and to each tty that no console worker
//! serves, or to a daemon's standard error. It never waits for a tty: what a slow line does not take at once is printed by
//! the console worker, from the ring.

use super::output::Output;
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
    /// The first line that the tty did not take.
    missed: Option<u64>,
}

/// The log of the box.
#[derive(Default)]
pub struct Journal {
    ring: Ring,
    screens: Vec<Screen>,
    output: Option<Output>,
}

impl Journal {
    /// The log of a daemon, which prints there.
    pub fn of_guest(output: Output) -> Self {
        Journal {
            output: Some(output),
            ..Journal::default()
        }
    }

    /// Prints on this tty from now on, and first what was said before.
    pub fn add_screen(&mut self, tty: &str) {
        let file = match sys::tty::open(&Path::new("/dev").join(tty)) {
            Ok(file) => file,
            Err(error) => return self.say(Level::Warn, &format!("no output there: {error}")),
        };
        let mut screen = Screen {
            tty: tty.into(),
            file,
            served: false,
            missed: None,
        };
        for line in self.ring.page(1) {
            screen.print(&line);
        }
        self.screens.push(screen);
    }

    /// A console worker prints on this tty from now on: the first line it is to print.
    pub fn attach(&mut self, tty: &str) -> u64 {
        let mut from = self.ring.end();
        for screen in self.screens.iter_mut().filter(|screen| screen.tty == tty) {
            screen.served = true;
            from = screen.missed.take().unwrap_or(from);
        }
        from
    }

    /// No console worker prints on this tty any more.
    pub fn detach(&mut self, tty: &str) {
        for screen in self.screens.iter_mut().filter(|screen| screen.tty == tty) {
            screen.served = false;
        }
    }

    /// Says something to the operator, dated now.
    pub fn say(&mut self, level: Level, text: &str) {
        let line = self.ring.push(uptime_ms(), level, text);
        for screen in self.screens.iter_mut().filter(|screen| !screen.served) {
            screen.print(&line);
        }
        if let Some(output) = &mut self.output {
            output.print(&line);
        }
    }

    /// The lines kept.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }
}

impl Screen {
    /// Prints without waiting; a slow line, or one that a console just takes over, may refuse.
    fn print(&mut self, line: &LogLine) {
        // The tty may be raw, so the line end is written out.
        let text = format!("{line}\r\n");
        let written = self.file.write(text.as_bytes());
        if !matches!(written, Ok(length) if length == text.len()) {
            self.missed.get_or_insert(line.sequence);
        }
    }
}

fn uptime_ms() -> u64 {
    sys::clock::monotonic_us() / 1000
}
