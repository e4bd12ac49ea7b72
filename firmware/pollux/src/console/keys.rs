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
    /// `ESC [` and the number read so far.
    Sequence(u8),
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
                    b'[' => State::Sequence(0),
                    b'O' => State::SingleShift,
                    0x1b => State::Escape,
                    _ => State::Ground,
                };
                None
            }
            State::SingleShift => final_byte(byte, 0),
            State::Sequence(number) => self.sequence(byte, number),
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
            _ => control(byte),
        }
    }

    fn sequence(&mut self, byte: u8, number: u8) -> Option<Key> {
        match byte {
            b'0'..=b'9' => {
                let digit = byte - b'0';
                self.state = State::Sequence(number.saturating_mul(10).saturating_add(digit));
                None
            }
            // Modifiers and private markers: the key counts, not what was held with it.
            b';' | b'?' => {
                self.state = State::Sequence(number);
                None
            }
            _ => final_byte(byte, number),
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

fn final_byte(byte: u8, number: u8) -> Option<Key> {
    Some(match (byte, number) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', 1 | 7) => Key::Home,
        (b'F', _) | (b'~', 4 | 8) => Key::End,
        (b'~', 3) => Key::Delete,
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
    fn unknown_sequences_are_swallowed_whole() {
        assert_eq!(
            keys(b"\x1b[15~x\x1b[99999999zy\x1bqz"),
            [Key::Char('x'), Key::Char('y'), Key::Char('z')]
        );
        assert_eq!(keys(&[0x80, 0xff, 0x00, 0x1f]), []);
    }
}
