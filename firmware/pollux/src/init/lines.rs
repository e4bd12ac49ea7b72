//! Log lines out of a worker's standard error: `[LEVEL] text`, as `worker::start_logger` writes them;
//! anything else is what the Rust runtime says before a process dies, and counts as an error.

use crate::ipc::control::Level;
use std::io::Read;

/// Longest line; a longer one comes in pieces.
const LINE_BYTES_MAX: usize = 1024;

/// Bytes taken in one turn, so that no worker keeps PID 1 from the others.
const TURN_BYTES_MAX: usize = 16 * 1024;

/// The line that is not complete yet.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Complete lines that wait in `source`, which must not block, and whether more may come. At its
    /// end, what is left without a line end counts as a line.
    pub fn read(&mut self, source: &mut impl Read) -> (Vec<(Level, String)>, bool) {
        let mut lines = Vec::new();
        let mut buffer = [0; 1024];
        let mut taken = 0;
        while taken < TURN_BYTES_MAX {
            let length = match source.read(&mut buffer) {
                Ok(0) => {
                    self.push(b'\n', &mut lines);
                    return (lines, false);
                }
                Ok(length) => length,
                Err(_) => break,
            };
            taken += length;
            for byte in buffer.iter().take(length) {
                self.push(*byte, &mut lines);
            }
        }
        (lines, true)
    }

    fn push(&mut self, byte: u8, lines: &mut Vec<(Level, String)>) {
        if byte != b'\n' {
            self.partial.push(byte);
        }
        if byte == b'\n' || self.partial.len() >= LINE_BYTES_MAX {
            let text = String::from_utf8_lossy(&self.partial);
            if !text.trim().is_empty() {
                lines.push(parse(&text));
            }
            self.partial.clear();
        }
    }
}

fn parse(line: &str) -> (Level, String) {
    let levels = [
        ("[ERROR] ", Level::Error),
        ("[WARN] ", Level::Warn),
        ("[INFO] ", Level::Info),
        ("[DEBUG] ", Level::Debug),
    ];
    let tagged = levels
        .iter()
        .find_map(|(tag, level)| Some((*level, line.strip_prefix(tag)?.to_string())));
    tagged.unwrap_or((Level::Error, line.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that has more to come, as a non-blocking pipe.
    struct Pipe<'a>(&'a [u8]);

    impl Read for Pipe<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(std::io::ErrorKind::WouldBlock.into()),
                length => Ok(length),
            }
        }
    }

    #[test]
    fn lines_come_whole_with_their_level() {
        let mut lines = Lines::default();
        let (first, open) = lines.read(&mut Pipe(b"[WARN] link down\n[INF"));
        assert_eq!(first, [(Level::Warn, "link down".into())]);
        assert!(open);
        let (then, open) = lines.read(&mut &b"O] up\n\nthread panicked"[..]);
        let expected = [
            (Level::Info, "up".into()),
            (Level::Error, "thread panicked".into()),
        ];
        assert_eq!(then, expected);
        assert!(!open);
    }

    #[test]
    fn a_line_without_end_comes_in_pieces() {
        let mut lines = Lines::default();
        let endless = vec![b'x'; 5000];
        assert_eq!(lines.read(&mut Pipe(&endless)).0.len(), 4);
        assert!(lines.partial.len() < LINE_BYTES_MAX);
    }
}
