//! The last lines of the log, from wherever they come first: told by PID 1, or asked for.

use crate::console::table::wrap;
use crate::ipc::control::{Level, LogLine};
use std::collections::BTreeMap;

/// Lines kept: as many as a tall screen shows.
const LINES_MAX: usize = 60;

/// Columns that a line goes on behind, below itself.
const INDENT: usize = 4;

/// A row of the screen, and whether it deserves attention.
pub type Row = (String, bool);

/// Lines by their sequence numbers.
#[derive(Debug, Default)]
pub struct Events {
    lines: BTreeMap<u64, LogLine>,
}

impl Events {
    /// Takes a line, once.
    pub fn take(&mut self, line: LogLine) {
        self.lines.insert(line.sequence, line);
        while self.lines.len() > LINES_MAX {
            self.lines.pop_first();
        }
    }

    /// Sequence number of the first line that is not known yet; of the last ones, where none is.
    pub fn next(&self, end: u64) -> u64 {
        let last = self.lines.last_key_value();
        last.map_or(end.saturating_sub(LINES_MAX as u64).max(1), |(last, _)| {
            last.saturating_add(1)
        })
    }

    /// Whether any line is known.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The newest ones that fit, oldest first.
    pub fn rows(&self, rows_max: usize, columns: usize) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for line in self.lines.values().rev() {
            let folded = fold(line, columns);
            if rows.len() + folded.len() > rows_max {
                break;
            }
            rows.extend(folded.into_iter().rev());
        }
        rows.reverse();
        rows
    }
}

fn fold(line: &LogLine, columns: usize) -> Vec<Row> {
    let is_loud = line.level <= Level::Warn;
    let text = line.to_string();
    let parts = wrap(&text, columns.saturating_sub(INDENT).max(1));
    let indented = |(position, part): (usize, &&str)| match position {
        0 => ((*part).to_string(), is_loud),
        _ => (format!("{:INDENT$}{part}", ""), is_loud),
    };
    parts.iter().enumerate().map(indented).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sequence: u64, text: &str) -> LogLine {
        LogLine {
            sequence,
            at_ms: 12_345,
            level: Level::Warn,
            text: text.into(),
        }
    }

    #[test]
    fn lines_come_once_and_in_order() {
        let mut events = Events::default();
        assert_eq!((events.next(5), events.next(500)), (1, 440));
        for sequence in [3, 2, 3] {
            events.take(line(sequence, &format!("line {sequence}")));
        }
        assert_eq!(events.next(500), 4);
        let rows = events.rows(10, 80);
        let texts: Vec<_> = rows.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(
            texts,
            ["[   12.345] warn  line 2", "[   12.345] warn  line 3"]
        );
    }

    #[test]
    fn the_newest_lines_that_fit_are_shown_whole() {
        let mut events = Events::default();
        events.take(line(1, "short"));
        events.take(line(2, &"word ".repeat(30)));
        let rows = events.rows(3, 79);
        assert_eq!(rows.len(), 3, "{rows:?}");
        assert!(rows.iter().all(|(text, loud)| *loud && text.len() <= 79));
        assert!(
            rows.iter()
                .skip(1)
                .all(|(text, _)| text.starts_with("    word"))
        );
        assert_eq!(events.rows(2, 79), []);
    }

    #[test]
    fn old_lines_go() {
        let mut events = Events::default();
        (1..1000).for_each(|sequence| events.take(line(sequence, "x")));
        assert_eq!(events.rows(1000, 80).len(), LINES_MAX);
    }
}
