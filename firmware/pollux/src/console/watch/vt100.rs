//! A tiny vt100 for tests: it knows the escapes that `watch` may use, and nothing else.

use super::screen::{Cell, Screen, Style};
use sys::tty::Size;

/// What the terminal shows, and what it was told.
pub struct Vt100 {
    cells: Vec<Vec<Cell>>,
    row: usize,
    column: usize,
    style: Style,
}

const BLANK: Cell = Cell {
    char: ' ',
    style: Style::Plain,
};

impl Vt100 {
    /// One that shows rubbish.
    pub fn new(size: Size) -> Self {
        let rubbish = Cell {
            char: '#',
            style: Style::Bold,
        };
        Vt100 {
            cells: vec![vec![rubbish; size.columns.into()]; size.rows.into()],
            row: 0,
            column: 0,
            style: Style::Reverse,
        }
    }

    /// Takes what was sent; panics at what a vt100 would not understand.
    pub fn feed(&mut self, bytes: &str) {
        let mut chars = bytes.chars();
        while let Some(char) = chars.next() {
            match char {
                '\x1b' => {
                    assert_eq!(chars.next(), Some('['), "{bytes:?}");
                    let mut numbers = String::new();
                    let end = chars.by_ref().find(|char| {
                        let is_end = char.is_ascii_alphabetic();
                        if !is_end {
                            numbers.push(*char);
                        }
                        is_end
                    });
                    self.escape(&numbers, end);
                }
                ' '..='~' => self.put(char),
                _ => panic!("{char:?} in {bytes:?}"),
            }
        }
    }

    fn put(&mut self, char: char) {
        let style = self.style;
        let row = self.cells.get_mut(self.row).expect("a row of the screen");
        // The last column makes some terminals wrap.
        assert!(self.column + 1 < row.len(), "column {}", self.column);
        row[self.column] = Cell { char, style };
        self.column += 1;
    }

    fn escape(&mut self, numbers: &str, end: Option<char>) {
        let numbers: Vec<usize> = numbers.split(';').filter_map(|n| n.parse().ok()).collect();
        match (end, numbers.as_slice()) {
            (Some('H'), [row, column]) => (self.row, self.column) = (row - 1, column - 1),
            (Some('K'), []) => self.cells[self.row][self.column..].fill(BLANK),
            (Some('J'), [2]) => self.cells.iter_mut().for_each(|row| row.fill(BLANK)),
            (Some('m'), [0]) => self.style = Style::Plain,
            (Some('m'), [0, 1]) => self.style = Style::Bold,
            (Some('m'), [0, 7]) => self.style = Style::Reverse,
            (end, numbers) => panic!("no vt100 escape: {numbers:?} {end:?}"),
        }
        if end == Some('K') {
            assert_eq!(self.style, Style::Plain, "erases in a style");
        }
    }

    /// Whether it shows this.
    pub fn shows(&self, screen: &Screen) -> bool {
        let same = |(row, wanted): (&Vec<Cell>, &Vec<Cell>)| {
            row.split_last()
                .is_some_and(|(last, row)| row == wanted && *last == BLANK)
        };
        self.cells.len() == screen.rows().len() && self.cells.iter().zip(screen.rows()).all(same)
    }

    /// The rows as text.
    pub fn text(&self) -> String {
        let line = |row: &Vec<Cell>| row.iter().map(|cell| cell.char).collect::<String>();
        let lines = self.cells.iter().map(line);
        lines
            .map(|line| line.trim_end().to_string() + "\n")
            .collect()
    }
}
