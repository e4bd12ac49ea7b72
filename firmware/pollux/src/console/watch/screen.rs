//! A screen as rows of characters, and the bytes that turn what a vt100 shows into it. Only what changed is
//! written, a piece at a time, so a slow line is never given more than it carries. The escapes are those
//! of a real vt100: cursor position, erase to end of line, bold, reverse, off.

use core::fmt::Write;
use core::ops::Range;
use sys::tty::Size;

/// Characters between two changes that are written again rather than jumped over: a jump costs as much.
const GAP_MAX: usize = 7;

/// Characters written in one piece.
const PIECE_CHARS_MAX: usize = 64;

/// Bytes that a piece takes at most: a jump, its characters, and a few changes of style.
pub const PIECE_BYTES_MAX: usize = 160;

/// How a character looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    #[default]
    Plain,
    /// Deserves attention.
    Bold,
    /// A bar across the screen.
    Reverse,
}

impl Style {
    fn escape(self) -> &'static str {
        match self {
            Style::Plain => "\x1b[0m",
            Style::Bold => "\x1b[0;1m",
            Style::Reverse => "\x1b[0;7m",
        }
    }
}

/// A character and how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// Printable ASCII.
    pub char: char,
    pub style: Style,
}

const BLANK: Cell = Cell {
    char: ' ',
    style: Style::Plain,
};

/// What a terminal shows, but for its last column: some wrap as soon as that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screen {
    rows: Vec<Vec<Cell>>,
}

impl Screen {
    /// An empty one.
    pub fn blank(size: Size) -> Self {
        let columns = usize::from(size.columns).saturating_sub(1);
        Screen {
            rows: vec![vec![BLANK; columns]; size.rows.into()],
        }
    }

    /// The rows from top to bottom.
    #[cfg(test)]
    pub fn rows(&self) -> &[Vec<Cell>] {
        &self.rows
    }

    /// Writes a line into a row from its first column on; what does not fit is left out.
    pub fn write(&mut self, row: usize, text: &str, style: Style) {
        let cells = self.rows.get_mut(row).into_iter().flatten();
        let printable = |char: char| if is_printable(char) { char } else { '?' };
        for (cell, char) in cells.zip(text.chars()) {
            let char = printable(char);
            *cell = Cell { char, style };
        }
    }

    /// Writes a line across the whole row, one part at either end.
    pub fn bar(&mut self, row: usize, left: &str, right: &str) {
        let columns = self.rows.get(row).map_or(0, Vec::len);
        let room = columns.saturating_sub(right.chars().count());
        let text = format!("{left:<room$.room$}{right}");
        self.write(row, &text, Style::Reverse);
    }

    /// The same content on a screen of another size, cut or with empty space around.
    fn resized(&self, size: Size) -> Self {
        let mut screen = Screen::blank(size);
        for (to, from) in screen.rows.iter_mut().zip(&self.rows) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
        screen
    }
}

fn is_printable(char: char) -> bool {
    matches!(char, ' '..='~')
}

/// Knows what the terminal shows.
#[derive(Debug)]
pub struct Painter {
    shown: Screen,
    size: Size,
    must_clear: bool,
    /// Rows are looked at in turn, so that one that always changes starves no other.
    next_row: usize,
}

impl Painter {
    /// Of a terminal that shows anything.
    pub fn new(size: Size) -> Self {
        Painter {
            shown: Screen::blank(size),
            size,
            must_clear: true,
            next_row: 0,
        }
    }

    /// Size of the terminal.
    pub fn size(&self) -> Size {
        self.size
    }

    /// What it shows is not to be relied on: begin anew.
    pub fn forget(&mut self) {
        self.shown = Screen::blank(self.size);
        self.must_clear = true;
        self.next_row = 0;
    }

    /// The terminal has another size. What a larger one shows stays.
    pub fn resize(&mut self, size: Size) {
        let shrinks = size.columns < self.size.columns || size.rows < self.size.rows;
        self.size = size;
        self.shown = self.shown.resized(size);
        if shrinks {
            self.forget();
        }
    }

    /// Whether `wanted` is what the terminal shows.
    pub fn is_done(&self, wanted: &Screen) -> bool {
        !self.must_clear && self.shown == *wanted
    }

    /// Bytes that bring the terminal nearer to `wanted`: at most `bytes_max` of them, and none where not one
    /// piece fits.
    pub fn paint(&mut self, wanted: &Screen, bytes_max: usize) -> String {
        let mut out = String::new();
        if bytes_max < PIECE_BYTES_MAX || self.is_done(wanted) {
            return out;
        }
        if core::mem::take(&mut self.must_clear) {
            out.push_str("\x1b[0m\x1b[2J");
        }
        let count = wanted.rows.len();
        for _ in 0..count {
            let row = self.next_row % count;
            while let Some(piece) = self.piece(wanted, row) {
                if out.len() + PIECE_BYTES_MAX > bytes_max {
                    return out;
                }
                self.apply(wanted, row, &piece, &mut out);
            }
            self.next_row = row + 1;
        }
        let _ = write!(out, "\x1b[{count};1H");
        out
    }

    fn piece(&self, wanted: &Screen, row: usize) -> Option<Piece> {
        Piece::first(self.shown.rows.get(row)?, wanted.rows.get(row)?)
    }

    fn apply(&mut self, wanted: &Screen, row: usize, piece: &Piece, out: &mut String) {
        let (Some(shown), Some(wanted)) = (self.shown.rows.get_mut(row), wanted.rows.get(row))
        else {
            return;
        };
        let _ = write!(out, "\x1b[{};{}H", row + 1, piece.columns.start + 1);
        let mut style = Style::Plain;
        let fresh = wanted.get(piece.columns.clone()).unwrap_or(&[]);
        for cell in fresh {
            if cell.style != style {
                style = cell.style;
                out.push_str(style.escape());
            }
            out.push(cell.char);
        }
        if style != Style::Plain {
            out.push_str(Style::Plain.escape());
        }
        let end = match piece.clears_rest {
            true => {
                out.push_str("\x1b[K");
                shown.len()
            }
            false => piece.columns.end,
        };
        let stale = shown.get_mut(piece.columns.start..end).unwrap_or(&mut []);
        let wanted = wanted.iter().skip(piece.columns.start);
        stale
            .iter_mut()
            .zip(wanted)
            .for_each(|(to, from)| *to = *from);
    }
}

/// A part of a row to be written at one go.
#[derive(Debug)]
struct Piece {
    columns: Range<usize>,
    /// All behind it is blank.
    clears_rest: bool,
}

impl Piece {
    /// The first one of a row, `None` where nothing is to be changed.
    fn first(shown: &[Cell], wanted: &[Cell]) -> Option<Self> {
        let pairs = shown.iter().zip(wanted).enumerate();
        let mut changes = pairs.filter(|(_, (a, b))| a != b).map(|(column, _)| column);
        let start = changes.next()?;
        let mut last = start;
        for column in changes {
            if column > last + GAP_MAX {
                break;
            }
            last = column;
        }
        let text_end = wanted.iter().rposition(|cell| *cell != BLANK);
        let text_end = text_end.map_or(0, |column| column + 1);
        let end = (last + 1).min(start + PIECE_CHARS_MAX);
        Some(Piece {
            columns: start..end.min(text_end).max(start),
            clears_rest: end > text_end,
        })
    }
}

#[cfg(test)]
mod tests;
