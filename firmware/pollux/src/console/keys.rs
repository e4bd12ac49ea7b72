//! Bytes of a vt100 keyboard to keys (ECMA-48 control sequences, and what PC terminals send). Input is
//! ASCII; anything unknown is swallowed whole and never printed, so line noise can't steer the screen.

/// What the operator pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A printable ASCII character.
    Char(char),
    /// Return or line feed.
    Enter,
    /// Completion.
    Tab,
    /// One to the left.
    Left,
    /// One to the right.
    Right,
    /// Older history.
    Up,
    /// Newer history.
    Down,
    /// Start of line, ctrl-a.
    Home,
    /// End of line, ctrl-e.
    End,
    /// Erase to the left.
    Backspace,
    /// Erase under the cursor.
    Delete,
    /// Erase to the start, ctrl-u.
    EraseToStart,
    /// Erase to the end, ctrl-k.
    EraseToEnd,
    /// Erase the word to the left, ctrl-w.
    EraseWord,
    /// Leave the line, ctrl-c.
    Cancel,
    /// Delete, or log out on an empty line, ctrl-d.
    EndOfInput,
    /// Clear the screen, ctrl-l.
    Clear,
    /// The terminal's answer where its cursor is (`ESC [ 6 n`), counted from 1.
    CursorAt {
        /// From the top.
        row: u16,
        /// From the left.
        column: u16,
    },
    /// A byte that is no ASCII: the start of a letter that no command and no password has.
    Foreign,
}

/// Where in a control sequence the decoder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Ground,
    /// Return came: a line feed right after belongs to it.
    Return,
    Escape,
    /// `ESC O`: one final byte follows.
    SingleShift,
    /// `ESC [`, the number read so far, and the one before it.
    Sequence {
        number: u16,
        before: u16,
    },
}

/// Decodes one byte at a time.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
}

impl Decoder {
    /// Takes the next byte; a key if it completes one.
    pub fn push(&mut self, byte: u8) -> Option<Key> {
        match core::mem::take(&mut self.state) {
            State::Return if byte == b'\n' => None,
            State::Ground | State::Return => self.ground(byte),
            State::Escape => {
                self.state = match byte {
                    b'[' => State::Sequence {
                        number: 0,
                        before: 0,
                    },
                    b'O' => State::SingleShift,
                    0x1b => State::Escape,
                    _ => State::Ground,
                };
                None
            }
            State::SingleShift => final_byte(byte, 0, 0),
            State::Sequence { number, before } => self.sequence(byte, number, before),
        }
    }

    fn ground(&mut self, byte: u8) -> Option<Key> {
        match byte {
            b'\r' => {
                self.state = State::Return;
                Some(Key::Enter)
            }
            b'\n' => Some(Key::Enter),
            b'\t' => Some(Key::Tab),
            0x1b => {
                self.state = State::Escape;
                None
            }
            0x08 | 0x7f => Some(Key::Backspace),
            b' '..=b'~' => Some(Key::Char(char::from(byte))),
            // The bytes of UTF-8 that begin a letter, and Latin-1's letters.
            0xc0.. => Some(Key::Foreign),
            _ => control(byte),
        }
    }

    fn sequence(&mut self, byte: u8, number: u16, before: u16) -> Option<Key> {
        match byte {
            b'0'..=b'9' => {
                let digit = u16::from(byte - b'0');
                let number = number.saturating_mul(10).saturating_add(digit);
                self.state = State::Sequence { number, before };
                None
            }
            b';' => {
                self.state = State::Sequence {
                    number: 0,
                    before: number,
                };
                None
            }
            b'?' => {
                self.state = State::Sequence { number, before };
                None
            }
            _ => final_byte(byte, number, before),
        }
    }
}

fn control(byte: u8) -> Option<Key> {
    Some(match byte {
        0x01 => Key::Home,
        0x02 => Key::Left,
        0x03 => Key::Cancel,
        0x04 => Key::EndOfInput,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x0b => Key::EraseToEnd,
        0x0c => Key::Clear,
        0x0e => Key::Down,
        0x10 => Key::Up,
        0x15 => Key::EraseToStart,
        0x17 => Key::EraseWord,
        _ => return None,
    })
}

/// A modifier stands behind the number: the key counts, not what was held with it.
fn final_byte(byte: u8, number: u16, before: u16) -> Option<Key> {
    let first = if before > 0 { before } else { number };
    Some(match (byte, first) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', 1 | 7) => Key::Home,
        (b'F', _) | (b'~', 4 | 8) => Key::End,
        (b'~', 3) => Key::Delete,
        (b'R', row) => Key::CursorAt {
            row,
            column: number,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        bytes
            .iter()
            .filter_map(|byte| decoder.push(*byte))
            .collect()
    }

    #[test]
    fn letters_and_line_ends() {
        assert_eq!(
            keys(b"a\r\nb\n\r"),
            [
                Key::Char('a'),
                Key::Enter,
                Key::Char('b'),
                Key::Enter,
                Key::Enter
            ]
        );
    }

    #[test]
    fn cursor_keys_in_every_dialect() {
        assert_eq!(
            keys(b"\x1b[A\x1bOA\x1b[1~\x1b[7~\x1bOH\x1b[3~\x1b[4~"),
            [
                Key::Up,
                Key::Up,
                Key::Home,
                Key::Home,
                Key::Home,
                Key::Delete,
                Key::End
            ]
        );
    }

    #[test]
    fn the_terminal_tells_its_size() {
        let (row, column) = (24, 80);
        assert_eq!(keys(b"\x1b[24;80R"), [Key::CursorAt { row, column }]);
        assert_eq!(keys(b"\x1b[1;5C\x1b[3;2~"), [Key::Right, Key::Delete]);
    }

    #[test]
    fn a_letter_that_is_no_ascii_is_one_key() {
        let letters = keys("\u{e4}\u{20ac}x".as_bytes());
        assert_eq!(letters, [Key::Foreign, Key::Foreign, Key::Char('x')]);
        assert_eq!(keys(&[0xe4]), [Key::Foreign]);
    }

    #[test]
    fn unknown_sequences_are_swallowed_whole() {
        assert_eq!(
            keys(b"\x1b[15~x\x1b[99999999zy\x1bqz"),
            [Key::Char('x'), Key::Char('y'), Key::Char('z')]
        );
        assert_eq!(keys(&[0x80, 0x00, 0x1f]), []);
    }
}
