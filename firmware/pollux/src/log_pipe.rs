//! A worker's log lines on their way to PID 1. The pipe between them has a bound, and a worker never waits
//! for room: a heartbeat is worth more than a line. Lines that find none are dropped and counted, and the
//! count is said in front of the next that finds some.

use std::io::{self, Write};

/// Longest line: a pipe takes this much whole or not at all (PIPE_BUF). What is beyond is cut off.
const LINE_BYTES_MAX: usize = 4096;

/// Gathers what is written into lines.
pub struct LogPipe<W> {
    pipe: W,
    line: Vec<u8>,
    dropped: u64,
}

impl<W: Write> LogPipe<W> {
    /// Sends lines into `pipe`, which refuses (`WouldBlock`) what it has no room for.
    pub fn new(pipe: W) -> Self {
        LogPipe {
            pipe,
            line: Vec::with_capacity(LINE_BYTES_MAX),
            dropped: 0,
        }
    }

    fn end_line(&mut self) {
        if self.dropped > 0 {
            let count = self.dropped;
            let text = format!("[WARN] {count} log lines were dropped: PID 1 did not keep up\n");
            if self.pipe.write(text.as_bytes()).is_ok() {
                self.dropped = 0;
            }
        }
        self.line.push(b'\n');
        // While the count waits for room, nothing overtakes it.
        if self.dropped > 0 || self.pipe.write(&self.line).is_err() {
            self.dropped = self.dropped.saturating_add(1);
        }
        self.line.clear();
    }
}

impl<W: Write> Write for LogPipe<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            if *byte == b'\n' {
                self.end_line();
            } else if self.line.len() < LINE_BYTES_MAX - 1 {
                self.line.push(*byte);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// Takes this many more writes.
    #[derive(Default)]
    struct Pipe {
        room: usize,
        taken: Vec<String>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.room = self.room.checked_sub(1).ok_or(io::ErrorKind::WouldBlock)?;
            self.taken.push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_goes_whole_however_it_was_written() {
        let mut log = LogPipe::new(Pipe {
            room: 9,
            ..Pipe::default()
        });
        write!(log, "[INFO] link {} is ", 3).unwrap();
        assert!(log.pipe.taken.is_empty());
        writeln!(log, "up").unwrap();
        writeln!(log, "{}", "x".repeat(9000)).unwrap();
        assert_eq!(log.pipe.taken[0], "[INFO] link 3 is up\n");
        assert_eq!(log.pipe.taken[1].len(), LINE_BYTES_MAX);
    }

    #[test]
    fn what_finds_no_room_is_counted_and_said() {
        let mut log = LogPipe::new(Pipe::default());
        for number in 0..5 {
            writeln!(log, "line {number}").unwrap();
        }
        log.pipe.room = 1;
        writeln!(log, "line 5").unwrap();
        log.pipe.room = 9;
        writeln!(log, "line 6").unwrap();
        assert_eq!(
            log.pipe.taken,
            [
                "[WARN] 5 log lines were dropped: PID 1 did not keep up\n",
                "[WARN] 1 log lines were dropped: PID 1 did not keep up\n",
                "line 6\n"
            ]
        );
    }
}
