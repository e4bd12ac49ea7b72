//! The log of the box: the newest lines, bounded in lines and bytes because the box must live in 64 MiB,
//! numbered so that every reader sees what it missed. The oldest lines go first: what matters is what
//! just happened.

use crate::ipc::control::{Level, LogLine, PAGE_BYTES};
use std::collections::VecDeque;

/// Lines kept.
const LINES_MAX: usize = 2000;

/// Bytes of text kept.
const BYTES_MAX: usize = 256 * 1024;

/// Longest line in bytes; the rest is cut off.
const LINE_BYTES_MAX: usize = 500;

/// What a line costs in a message beside its text, generously.
const LINE_OVERHEAD_BYTES: usize = 24;

/// The newest lines, ascending by sequence number without gaps.
#[derive(Debug, Default)]
pub struct Ring {
    lines: VecDeque<LogLine>,
    bytes: usize,
    end: u64,
}

impl Ring {
    /// Adds a line and returns it as it was kept: cut, and without control characters, because it is
    /// printed on terminals and may quote what strangers sent.
    pub fn push(&mut self, at_ms: u64, level: Level, text: &str) -> LogLine {
        self.end = self.end.saturating_add(1);
        let line = LogLine {
            sequence: self.end,
            at_ms,
            level,
            text: printable(text),
        };
        self.bytes = self.bytes.saturating_add(line.text.len());
        self.lines.push_back(line.clone());
        while self.lines.len() > LINES_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.lines.pop_front() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(oldest.text.len());
        }
        line
    }

    /// Sequence number that the next line will have.
    pub fn end(&self) -> u64 {
        self.end.saturating_add(1)
    }

    /// Lines from sequence number `from` on, as many as fit a page.
    pub fn page(&self, from: u64) -> Vec<LogLine> {
        let start = self.lines.partition_point(|line| line.sequence < from);
        let mut bytes = 0;
        let fits = self.lines.iter().skip(start).take_while(|line| {
            bytes += line.text.len() + LINE_OVERHEAD_BYTES;
            bytes <= PAGE_BYTES
        });
        fits.cloned().collect()
    }
}

fn printable(text: &str) -> String {
    let mut kept = String::with_capacity(text.len().min(LINE_BYTES_MAX));
    for char in text.trim_end().chars() {
        let char = if char.is_control() { '?' } else { char };
        if kept.len() + char.len_utf8() > LINE_BYTES_MAX {
            break;
        }
        kept.push(char);
    }
    kept
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_the_oldest_go_first() {
        let mut ring = Ring::default();
        for n in 0..3000 {
            ring.push(n, Level::Info, "x");
        }
        assert_eq!(ring.lines.len(), LINES_MAX);
        assert_eq!(ring.end(), 3001);
        assert_eq!(ring.page(1).first().unwrap().sequence, 1001);
    }

    #[test]
    fn bytes_are_bounded() {
        let mut ring = Ring::default();
        for _ in 0..LINES_MAX {
            ring.push(0, Level::Info, &"ä".repeat(1000));
        }
        assert!(ring.lines.iter().map(|line| line.text.len()).sum::<usize>() <= BYTES_MAX);
    }

    #[test]
    fn pages_lead_through_everything() {
        let mut ring = Ring::default();
        (0..500).for_each(|n| drop(ring.push(n, Level::Info, &"y".repeat(100))));
        let (mut from, mut seen) = (1, 0);
        while from < ring.end() {
            let page = ring.page(from);
            seen += page.len();
            from = page.last().unwrap().sequence + 1;
        }
        assert_eq!(seen, 500);
    }

    #[test]
    fn nothing_a_terminal_obeys_gets_in() {
        let line = Ring::default().push(0, Level::Warn, "GET \x1b[2J\r\n");
        assert_eq!(line.text, "GET ?[2J");
    }
}
