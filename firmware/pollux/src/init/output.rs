//! Where a daemon's log lines go besides the ring: standard error, whoever reads it there (journald, a
//! terminal, a file). It never waits: lines that find no room are counted, and the count is said later.

use crate::ipc::control::LogLine;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use sys::poll::{until, writable};

/// A descriptor that others hold as well, so it stays as blocking as they left it.
pub struct Output {
    file: File,
    missed: u64,
}

impl Output {
    /// Prints there.
    pub fn new(file: File) -> Self {
        Output { file, missed: 0 }
    }

    /// Prints if there is room for it at once.
    pub fn print(&mut self, line: &LogLine) {
        if !self.has_room() {
            self.missed += 1;
            return;
        }
        let missed = core::mem::take(&mut self.missed);
        let above = match missed {
            0 => String::new(),
            count => format!("({count} log lines not shown here: see `pollux console -c log`)\n"),
        };
        // Whoever closed it wants no lines.
        let _ = self.file.write_all(format!("{above}{line}\n").as_bytes());
    }

    /// For a line: pipes and sockets that say so have room for a page, a stopped terminal has none.
    fn has_room(&self) -> bool {
        let at_once = Some(0);
        until(&mut [writable(self.file.as_fd())], at_once).is_ok_and(|ready| ready > 0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ipc::control::Level;
    use std::io::Read;
    use std::os::fd::OwnedFd;

    fn line(sequence: u64) -> LogLine {
        LogLine {
            sequence,
            at_ms: 0,
            level: Level::Info,
            text: "x".repeat(900),
        }
    }

    #[test]
    fn a_reader_that_stops_holds_nobody_up_and_hears_how_much_it_missed() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut output = Output::new(File::from(OwnedFd::from(writer)));
        (1..200).for_each(|sequence| output.print(&line(sequence)));
        let missed = output.missed;
        assert!(missed > 0 && missed < 199);
        let mut buffer = vec![0; 1 << 16];
        assert!(reader.read(&mut buffer).unwrap() > 0);
        output.print(&line(200));
        assert_eq!(output.missed, 0);
        drop(output);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert!(rest.contains(&format!("({missed} log lines not shown")));
    }
}
