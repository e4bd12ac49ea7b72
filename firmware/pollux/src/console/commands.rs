//! The operator's commands: one table that parsing, completion and `help` all read.

use super::protocol;
use crate::ipc::control::tables::ConnectionQuery;

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Role, links, peer, addresses, transitions, workers.
    Status,
    /// Virtual services as the kernel holds them.
    Services,
    /// The rules in force, with what they counted.
    Firewall,
    /// Connections as the kernel tracks them.
    Connections(ConnectionQuery),
    /// The last lines of the log.
    Log {
        /// How many.
        lines: u64,
    },
    /// The config as TOML.
    Config,
    /// Hand over and stay standby.
    Standby {
        /// Whatever becomes of connections.
        force: bool,
    },
    /// Become active.
    Takeover {
        /// Whatever becomes of connections.
        force: bool,
    },
    /// Kill a worker, so that it starts again.
    Restart {
        /// `health`, `console ttyS0`.
        worker: String,
    },
    /// Read the config again and live by it.
    Reload,
    /// Resign and restart the box.
    Reboot,
    /// Resign and switch the box off.
    PowerOff,
    /// A live view of all that.
    Watch,
    /// This table.
    Help,
    /// End the session, where there is a password.
    Logout,
}

/// Why a line is no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseError {
    /// No such command; the ones that begin alike.
    Unknown(Vec<&'static str>),
    /// The command takes no such argument: how it is used.
    Usage(&'static str),
}

/// Lines that `log` shows unless told.
const LOG_LINES: u64 = 20;

struct Entry {
    name: &'static str,
    usage: &'static str,
    help: &'static str,
    command: Command,
}

const fn entry(
    name: &'static str,
    usage: &'static str,
    help: &'static str,
    command: Command,
) -> Entry {
    Entry {
        name,
        usage,
        help,
        command,
    }
}

static TABLE: [Entry; 15] = [
    entry(
        "status",
        "status",
        "role, links, peer, addresses, last transitions, workers",
        Command::Status,
    ),
    entry(
        "services",
        "services",
        "virtual services and real servers, as the kernel holds them",
        Command::Services,
    ),
    entry(
        "firewall",
        "firewall",
        "the rules in force, with what each has counted",
        Command::Firewall,
    ),
    entry(
        "connections",
        "connections [FILTER]",
        "who opens most; one by one with `tcp 10.0.0.7 port 80`",
        Command::Connections(ConnectionQuery {
            protocol: None,
            address: None,
            port: None,
        }),
    ),
    entry(
        "watch",
        "watch",
        "a live view of it all, with rates; cursor keys scroll, q leaves",
        Command::Watch,
    ),
    entry(
        "log",
        "log [LINES]",
        "the last lines of the log; 20 unless told",
        Command::Log { lines: LOG_LINES },
    ),
    entry(
        "config",
        "config",
        "the config as text, without secrets",
        Command::Config,
    ),
    entry(
        "reload",
        "reload",
        "take a newer config from the medium: rules, services, routes",
        Command::Reload,
    ),
    entry(
        "standby",
        "standby [force]",
        "hand over to the peer once in sync; no fail-back until `takeover`",
        Command::Standby { force: false },
    ),
    entry(
        "takeover",
        "takeover [force]",
        "take over from the peer once in sync; force: at once, connections may break",
        Command::Takeover { force: false },
    ),
    entry(
        "restart",
        "restart WORKER",
        "kill a worker of this box; it starts again",
        Command::Restart {
            worker: String::new(),
        },
    ),
    entry(
        "reboot",
        "reboot",
        "hand over, then restart this box",
        Command::Reboot,
    ),
    entry(
        "poweroff",
        "poweroff",
        "hand over, then switch this box off",
        Command::PowerOff,
    ),
    entry("help", "help", "this list", Command::Help),
    entry(
        "logout",
        "logout",
        "end the session; also ctrl-d",
        Command::Logout,
    ),
];

/// Reads a line; `None` for an empty one. A beginning that only one command has is enough.
pub fn parse(line: &str) -> Option<Result<Command, ParseError>> {
    let mut words = line.split_ascii_whitespace();
    let name = words.next()?;
    let entry = match find(name) {
        Ok(entry) => entry,
        Err(error) => return Some(Err(error)),
    };
    let usage = ParseError::Usage(entry.usage);
    let rest: Vec<&str> = words.collect();
    Some(match (&entry.command, rest.as_slice()) {
        (Command::Restart { .. }, []) => Err(usage),
        (Command::Restart { .. }, words) => Ok(Command::Restart {
            worker: words.join(" "),
        }),
        (Command::Log { .. }, [lines]) => match lines.parse() {
            Ok(lines) => Ok(Command::Log { lines }),
            Err(_) => Err(usage),
        },
        (Command::Connections(_), words) => match query(words) {
            Some(query) => Ok(Command::Connections(query)),
            None => Err(usage),
        },
        (Command::Standby { .. }, ["force"]) => Ok(Command::Standby { force: true }),
        (Command::Takeover { .. }, ["force"]) => Ok(Command::Takeover { force: true }),
        (command, []) => Ok(command.clone()),
        _ => Err(usage),
    })
}

/// The filter of `connections`; `None` for what is none.
fn query(words: &[&str]) -> Option<ConnectionQuery> {
    let mut query = ConnectionQuery::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if *word == "port" {
            query.port = Some(words.next()?.parse().ok()?);
        } else if let Ok(address) = word.parse() {
            query.address = Some(address);
        } else {
            query.protocol = Some(protocol::number(word)?);
        }
    }
    Some(query)
}

fn find(name: &str) -> Result<&'static Entry, ParseError> {
    let alike = || TABLE.iter().filter(|entry| entry.name.starts_with(name));
    if let Some(entry) = TABLE.iter().find(|entry| entry.name == name) {
        return Ok(entry);
    }
    match (alike().next(), alike().count()) {
        // Switching off a router is typed in full.
        (Some(entry), 1)
            if !matches!(
                entry.command,
                Command::Reboot | Command::PowerOff | Command::Restart { .. }
            ) =>
        {
            Ok(entry)
        }
        _ => Err(ParseError::Unknown(
            alike().map(|entry| entry.name).collect(),
        )),
    }
}

/// What TAB does after `before`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// To be put at the cursor.
    pub insert: String,
    /// To be listed, where there is a choice.
    pub choices: Vec<&'static str>,
}

/// Completes the command word before the cursor.
pub fn complete(before: &str) -> Completion {
    let word = before.trim_start();
    let mut choices: Vec<_> = match word.contains(' ') {
        true => Vec::new(),
        false => TABLE.iter().map(|entry| entry.name).collect(),
    };
    choices.retain(|name| name.starts_with(word));
    let common = choices.iter().copied().reduce(common_start);
    let mut insert: String = common
        .and_then(|common| common.get(word.len()..))
        .unwrap_or("")
        .into();
    if choices.len() == 1 {
        insert.push(' ');
        choices.clear();
    }
    Completion { insert, choices }
}

fn common_start<'a>(a: &'a str, b: &str) -> &'a str {
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    a.get(..same).unwrap_or("")
}

/// Usage and meaning of every command.
pub fn help() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.iter().map(|entry| (entry.usage, entry.help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_parsed() {
        assert_eq!(parse("  "), None);
        assert_eq!(parse("status"), Some(Ok(Command::Status)));
        assert_eq!(parse(" log  7 "), Some(Ok(Command::Log { lines: 7 })));
        let worker = "console tty1".into();
        assert_eq!(
            parse("restart console tty1"),
            Some(Ok(Command::Restart { worker }))
        );
        let query = ConnectionQuery {
            protocol: Some(6),
            address: "10.0.0.7".parse().ok(),
            port: Some(80),
        };
        let line = "connections tcp 10.0.0.7 port 80";
        assert_eq!(parse(line), Some(Ok(Command::Connections(query))));
        let usage = "connections [FILTER]";
        let wrong = parse("connections port x");
        assert_eq!(wrong, Some(Err(ParseError::Usage(usage))));
        assert_eq!(parse("log x"), Some(Err(ParseError::Usage("log [LINES]"))));
        assert_eq!(parse("status now"), Some(Err(ParseError::Usage("status"))));
    }

    #[test]
    fn beginnings_do_where_they_are_clear_and_harmless() {
        let takeover = |force| Some(Ok(Command::Takeover { force }));
        assert_eq!(parse("t"), takeover(false));
        assert_eq!(parse("takeover force"), takeover(true));
        assert_eq!(
            parse("sta"),
            Some(Err(ParseError::Unknown(vec!["status", "standby"])))
        );
        assert_eq!(
            parse("re"),
            Some(Err(ParseError::Unknown(vec![
                "reload", "restart", "reboot"
            ])))
        );
        assert_eq!(parse("x"), Some(Err(ParseError::Unknown(vec![]))));
    }

    #[test]
    fn tab_completes_as_far_as_it_is_clear() {
        assert_eq!(complete("he").insert, "lp ");
        assert_eq!(
            complete("s"),
            Completion {
                insert: String::new(),
                choices: vec!["status", "services", "standby"]
            }
        );
        assert_eq!(complete("st").insert, "a");
        assert_eq!(complete("log 1").insert, "");
        assert_eq!(complete("xyz").choices, Vec::<&str>::new());
    }
}
