//! Line editing with history, for a vt100 at 9600 baud: what changes at the end of the line costs one
//! byte, everything else one redraw of the line. It holds no I/O; `handle` says what to do next and
//! `draw` what to print.

use super::keys::Key;
use std::collections::VecDeque;

/// Longest line in characters; more is refused silently, as a terminal does.
const LINE_CHARS_MAX: usize = 200;

/// Lines remembered; the oldest go first.
const HISTORY_LINES_MAX: usize = 50;

/// Columns of the terminal; longer lines scroll sideways.
const COLUMNS: usize = 80;

/// What a key came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing changed.
    Nothing,
    /// Print this character; the screen is right then.
    Echo(char),
    /// Print `draw`.
    Redraw,
    /// The line is complete; the editor is empty again.
    Line(String),
    /// The line was left, or the operator logs out with an empty one.
    Cancelled {
        /// ctrl-d on an empty line.
        logout: bool,
    },
    /// Complete the word before the cursor (see `before_cursor`, `insert`).
    Complete,
    /// Clear the screen, then print `draw`.
    Clear,
    /// Something was typed that no line can hold; it was left out.
    Foreign,
}

/// A line being edited.
#[derive(Debug, Default)]
pub struct Editor {
    /// ASCII, so a character is a byte.
    line: String,
    cursor: usize,
    history: VecDeque<String>,
    /// How far back in history the line was taken from; 0: typed.
    back: usize,
    /// What was typed before going back.
    typed: String,
    secret: bool,
}

impl Editor {
    /// An empty line. A secret one is not echoed and not remembered.
    pub fn new(secret: bool) -> Self {
        Editor {
            secret,
            ..Editor::default()
        }
    }

    /// Takes a key.
    pub fn handle(&mut self, key: Key) -> Outcome {
        match key {
            Key::Char(char) => self.insert_char(char),
            Key::Enter => Outcome::Line(self.finish()),
            Key::Tab if self.secret => Outcome::Nothing,
            Key::Tab => Outcome::Complete,
            Key::Cancel => self.cancel(false),
            Key::EndOfInput if self.line.is_empty() => self.cancel(true),
            Key::Clear => Outcome::Clear,
            Key::Foreign => Outcome::Foreign,
            // The answer to a question of `watch`, too late.
            Key::CursorAt { .. } => Outcome::Nothing,
            Key::Up => self.go_back(self.back.saturating_add(1)),
            Key::Down => self.go_back(self.back.saturating_sub(1)),
            Key::Left => self.move_to(self.cursor.saturating_sub(1)),
            Key::Right => self.move_to(self.cursor.saturating_add(1)),
            Key::Home => self.move_to(0),
            Key::End => self.move_to(self.line.len()),
            Key::Backspace => self.erase(self.cursor.saturating_sub(1), self.cursor),
            Key::Delete | Key::EndOfInput => self.erase(self.cursor, self.cursor.saturating_add(1)),
            Key::EraseToStart => self.erase(0, self.cursor),
            Key::EraseToEnd => self.erase(self.cursor, self.line.len()),
            Key::EraseWord => self.erase(self.word_start(), self.cursor),
        }
    }

    /// The line up to the cursor.
    pub fn before_cursor(&self) -> &str {
        self.line.get(..self.cursor).unwrap_or("")
    }

    /// Puts a completion at the cursor.
    pub fn insert(&mut self, text: &str) {
        for char in text.chars().filter(char::is_ascii) {
            self.insert_char(char);
        }
    }

    /// Bytes that show prompt and line on the current row, whatever was there, cursor in place.
    pub fn draw(&self, prompt: &str) -> String {
        let mut out = format!("\r{prompt}");
        let columns = COLUMNS.saturating_sub(prompt.len() + 1).max(1);
        // The last column stays free: some terminals wrap as soon as it is written.
        let first = self.cursor.saturating_sub(columns.saturating_sub(1));
        let last = self.line.len().min(first + columns);
        if !self.secret {
            out.push_str(self.line.get(first..last).unwrap_or(""));
        }
        out.push_str("\x1b[K");
        let left = last.saturating_sub(self.cursor);
        if left > 0 && !self.secret {
            out.push_str(&format!("\x1b[{left}D"));
        }
        out
    }

    fn insert_char(&mut self, char: char) -> Outcome {
        if self.line.len() >= LINE_CHARS_MAX {
            return Outcome::Nothing;
        }
        let at_end = self.cursor == self.line.len();
        self.line.insert(self.cursor, char);
        self.cursor += 1;
        match (self.secret, at_end && self.line.len() < COLUMNS / 2) {
            (true, _) => Outcome::Nothing,
            (false, true) => Outcome::Echo(char),
            (false, false) => Outcome::Redraw,
        }
    }

    fn finish(&mut self) -> String {
        let line = core::mem::take(&mut self.line);
        self.cursor = 0;
        self.back = 0;
        self.typed.clear();
        let worth = !self.secret && !line.trim().is_empty();
        if worth && self.history.back() != Some(&line) {
            if self.history.len() >= HISTORY_LINES_MAX {
                self.history.pop_front();
            }
            self.history.push_back(line.clone());
        }
        line
    }

    fn cancel(&mut self, logout: bool) -> Outcome {
        self.line.clear();
        self.cursor = 0;
        self.back = 0;
        Outcome::Cancelled { logout }
    }

    fn go_back(&mut self, back: usize) -> Outcome {
        if self.secret || back == self.back || back > self.history.len() {
            return Outcome::Nothing;
        }
        if self.back == 0 {
            self.typed = core::mem::take(&mut self.line);
        }
        self.back = back;
        let remembered = back
            .checked_sub(1)
            .and_then(|n| self.history.iter().rev().nth(n));
        self.line = remembered.unwrap_or(&self.typed).clone();
        self.cursor = self.line.len();
        Outcome::Redraw
    }

    fn move_to(&mut self, cursor: usize) -> Outcome {
        let cursor = cursor.min(self.line.len());
        if cursor == self.cursor {
            return Outcome::Nothing;
        }
        self.cursor = cursor;
        Outcome::Redraw
    }

    fn erase(&mut self, from: usize, to: usize) -> Outcome {
        let to = to.min(self.line.len());
        if from >= to {
            return Outcome::Nothing;
        }
        self.line.replace_range(from..to, "");
        self.cursor = from;
        Outcome::Redraw
    }

    fn word_start(&self) -> usize {
        let before = self.before_cursor().trim_end();
        before.rfind(' ').map_or(0, |space| space + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str, keys: &[Key]) -> Editor {
        let mut editor = Editor::new(false);
        editor.insert(text);
        for key in keys {
            editor.handle(*key);
        }
        editor
    }

    fn line(mut editor: Editor) -> String {
        match editor.handle(Key::Enter) {
            Outcome::Line(line) => line,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn edits_in_the_middle() {
        let editor = typed(
            "lg 20",
            &[
                Key::Home,
                Key::Right,
                Key::Char('o'),
                Key::End,
                Key::Backspace,
            ],
        );
        assert_eq!(line(editor), "log 2");
    }

    #[test]
    fn erases_words_and_both_sides() {
        assert_eq!(line(typed("log  20 ", &[Key::EraseWord])), "log  ");
        assert_eq!(
            line(typed("abc", &[Key::Left, Key::EraseToEnd, Key::Char('d')])),
            "abd"
        );
        assert_eq!(line(typed("abc", &[Key::Left, Key::EraseToStart])), "c");
        assert_eq!(line(typed("abc", &[Key::Home, Key::Delete])), "bc");
    }

    #[test]
    fn nothing_happens_at_the_edges() {
        let mut editor = Editor::new(false);
        for key in [
            Key::Left,
            Key::Right,
            Key::Backspace,
            Key::Delete,
            Key::Up,
            Key::Down,
            Key::EraseWord,
        ] {
            assert_eq!(editor.handle(key), Outcome::Nothing, "{key:?}");
        }
        assert_eq!(
            editor.handle(Key::EndOfInput),
            Outcome::Cancelled { logout: true }
        );
    }

    #[test]
    fn history_goes_back_and_forth_and_keeps_what_was_typed() {
        let mut editor = Editor::new(false);
        for command in ["status", "log 5", "log 5"] {
            editor.insert(command);
            editor.handle(Key::Enter);
        }
        editor.insert("he");
        editor.handle(Key::Up);
        assert_eq!(editor.before_cursor(), "log 5");
        editor.handle(Key::Up);
        assert_eq!(editor.before_cursor(), "status");
        assert_eq!(editor.handle(Key::Up), Outcome::Nothing);
        editor.handle(Key::Down);
        editor.handle(Key::Down);
        assert_eq!(line(editor), "he");
    }

    #[test]
    fn typing_at_the_end_costs_one_byte() {
        let mut editor = Editor::new(false);
        assert_eq!(editor.handle(Key::Char('s')), Outcome::Echo('s'));
        editor.handle(Key::Left);
        assert_eq!(editor.handle(Key::Char('s')), Outcome::Redraw);
    }

    #[test]
    fn draws_the_cursor_where_it_is() {
        assert_eq!(
            typed("log", &[Key::Left]).draw("> "),
            "\r> log\x1b[K\x1b[1D"
        );
        let long = typed(&"x".repeat(150), &[]).draw("> ");
        assert!(long.len() <= COLUMNS + 4, "{}", long.len());
    }

    #[test]
    fn a_secret_is_neither_drawn_nor_remembered() {
        let mut editor = Editor::new(true);
        assert_eq!(editor.handle(Key::Char('x')), Outcome::Nothing);
        assert_eq!(editor.draw("password: "), "\rpassword: \x1b[K");
        assert_eq!(editor.handle(Key::Enter), Outcome::Line("x".into()));
        assert_eq!(editor.handle(Key::Up), Outcome::Nothing);
    }

    #[test]
    fn a_line_has_an_end() {
        let editor = typed(&"x".repeat(1000), &[]);
        assert_eq!(editor.before_cursor().len(), LINE_CHARS_MAX);
    }
}
