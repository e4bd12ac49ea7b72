//! A session on a serial console: keys from the line, answers from control, lines from the log. Whatever
//! is typed, nothing but printable characters and the console's own control sequences reaches the screen.

use super::{script, written};
use crate::console::shell::Shell;
use crate::ipc::control::{Hello, Level, LogLine, Request, Response};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum Happening {
    Connected,
    Disconnected,
    Typed(Vec<u8>),
    Answered(Response),
    Said(LogLine),
    Lost(u64),
}

/// A session, of the box's tty, a visitor or a script by the first byte.
pub fn console(bytes: &[u8]) {
    let Some((&caller, happenings)) = bytes.split_first() else {
        return;
    };
    let mut shell = match caller % 3 {
        0 => Shell::new(),
        1 => Shell::of_visitor(),
        _ => Shell::of_script("log 3"),
    };
    for happening in script(happenings) {
        let typed = matches!(happening, Happening::Typed(_));
        match happening {
            Happening::Connected => shell.connected(),
            Happening::Disconnected => shell.disconnected(),
            Happening::Typed(bytes) => shell.typed(&bytes),
            Happening::Answered(response) => shell.answered(plain(response)),
            Happening::Said(line) => shell.log_line(&line),
            Happening::Lost(count) => shell.log_lines_lost(count),
        }
        let output = shell.take_output();
        assert!(!typed || is_printable(&output), "{output:?}");
        if let Some(Request::Authenticate(password)) = shell.take_request() {
            assert!(is_printable(&password), "{password:?}");
        }
    }
}

/// The name in the prompt is the config's, where it is checked.
fn plain(response: Response) -> Response {
    match response {
        Response::Hello(hello) => Response::Hello(Hello {
            node: "castor".into(),
            ..hello
        }),
        other => other,
    }
}

fn is_printable(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        let fine = match char {
            // A control sequence (ECMA-48): numbers between `[` and a letter.
            '\x1b' => {
                let is_inside = |char: &char| matches!(char, '0'..='9' | ';' | '?');
                let end = chars.find(|char| !is_inside(char) && *char != '[');
                end.is_some_and(|end| end.is_ascii_alphabetic())
            }
            '\r' | '\n' => true,
            other => other == ' ' || other.is_ascii_graphic(),
        };
        if !fine {
            return false;
        }
    }
    true
}

/// Sessions with and without a password.
#[must_use]
pub fn console_seeds() -> Vec<Vec<u8>> {
    let hello = |wants_password| {
        let (version, cluster, node) = ("0.1.0".into(), "edge".into(), "castor".into());
        Happening::Answered(Response::Hello(Hello {
            version,
            cluster,
            node,
            wants_password,
        }))
    };
    let typed = |text: &str| Happening::Typed(text.into());
    let line = |sequence| LogLine {
        sequence,
        at_ms: 12_345,
        level: Level::Info,
        text: "cluster: standby".into(),
    };
    let log = |lines, end| Happening::Answered(Response::Log { lines, end });
    let edited = [
        Happening::Connected,
        hello(false),
        typed("lo\x1b[D\x1b[3~\x01\x0b\x1b[Astat\tus\r"),
        Happening::Said(line(4)),
        Happening::Answered(Response::Failed("try again".into())),
        typed("restart health\r\x03help\rlogout\r"),
    ];
    let paged = [
        Happening::Connected,
        hello(true),
        typed("gemini\rlog 3\r"),
        Happening::Answered(Response::Authenticated(true)),
        log(Vec::new(), 5),
        log(vec![line(2), line(3)], 5),
        log(vec![line(4)], 5),
        Happening::Lost(3),
        Happening::Disconnected,
    ];
    let config = [
        Happening::Connected,
        hello(false),
        typed("config\r"),
        Happening::Answered(Response::Config {
            text: "[cluster]\n".into(),
            total_bytes: 10,
        }),
        typed("services\r"),
    ];
    let session = |caller, happenings: &[Happening]| [vec![caller], written(happenings)].concat();
    vec![
        session(0, &edited),
        session(1, &paged),
        session(0, &paged),
        session(1, &config),
        session(
            2,
            &[Happening::Connected, hello(false), log(vec![line(1)], 2)],
        ),
    ]
}
