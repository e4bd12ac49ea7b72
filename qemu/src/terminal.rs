//! Reads a terminal's bytes as lines of plain text: control sequences (ECMA-48 CSI) are dropped, and what
//! follows a lone carriage return replaces the line.

/// The state between two bytes.
#[derive(Debug, Default)]
pub struct Cleaner {
    state: State,
    /// A carriage return came and the line did not end yet.
    is_returned: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Escape,
    Sequence,
}

impl Cleaner {
    /// Applies `byte` to the `line` under way; true when it ends the line.
    pub fn push(&mut self, byte: u8, line: &mut String) -> bool {
        match self.state {
            State::Sequence => {
                if (0x40..=0x7e).contains(&byte) {
                    self.state = State::Text;
                }
                return false;
            }
            State::Escape => {
                self.state = if byte == b'[' {
                    State::Sequence
                } else {
                    State::Text
                };
                return false;
            }
            State::Text => {}
        }
        match byte {
            b'\r' => self.is_returned = true,
            b'\n' => {
                self.is_returned = false;
                return true;
            }
            0x08 => drop(line.pop()),
            _ => {
                if std::mem::take(&mut self.is_returned) {
                    line.clear();
                }
                if byte == 0x1b {
                    self.state = State::Escape;
                } else if (0x20..0x7f).contains(&byte) {
                    line.push(char::from(byte));
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &str) -> (Vec<String>, String) {
        let (mut cleaner, mut done, mut line) = (Cleaner::default(), Vec::new(), String::new());
        for byte in bytes.bytes() {
            if cleaner.push(byte, &mut line) {
                done.push(std::mem::take(&mut line));
            }
        }
        (done, line)
    }

    #[test]
    fn a_redrawn_prompt_is_not_part_of_the_line_printed_above_it() {
        let (done, line) =
            lines("castor> st\r\x1b[K[    1.000] info  x\r\n\r\x1b[Kcastor> st\x1b[3D");
        assert_eq!(done, ["[    1.000] info  x"]);
        assert_eq!(line, "castor> st");
    }

    #[test]
    fn both_kinds_of_line_end_and_colours() {
        let (done, line) = lines("\x1b[1mone\x1b[0m\ntwo\r\n");
        assert_eq!(done, ["one", "two"]);
        assert_eq!(line, "");
    }
}
