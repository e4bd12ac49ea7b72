//! Pollux: PID 1 of a box, or a daemon on somebody else's machine; its workers and its console, all one
//! binary told apart by argv. Nothing is decided here but who this process is. It is a library only for
//! the fuzzers' sake: they link it, too, and see no more of it than `fuzzing`.

// Nothing is exported but `main`: `pub` marks what other modules may use.
#![allow(unreachable_pub)]

mod arguments;
mod clock;
mod cluster;
mod console;
mod control;
mod daemon;
mod dataplane;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod health;
mod init;
mod ipc;
mod log_pipe;
mod place;
#[cfg(any(test, feature = "fuzzing"))]
mod samples;
#[cfg(test)]
#[path = "../../../tests/skip.rs"]
mod skip;
mod sync;
mod worker;

use arguments::Arguments;
use std::io::Write;
use std::process::ExitCode;

const USAGE: &str = "\
Pollux: one of a pair of boxes that balance a network. On a box it is PID 1; on your own distribution:

  pollux run --config FILE [--node NAME] [--run-dir DIR] [--event-room KIB]
                                                            the pair as a daemon; FILE is an image by `polluxctl build`
  pollux console [--run-dir DIR] [-c COMMAND]               its console
  pollux --version";

/// Who this process is, by argv, and how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    let command = words.next();
    let wants_help = words.peek().is_some_and(|word| is_help(word));
    let outcome = match command.as_deref() {
        Some("run" | "console") if wants_help => say_usage(),
        Some("worker") => Arguments::parse(words)
            .and_then(worker::run)
            .map_err(|error| error.to_string()),
        Some("probe") => probe(words),
        Some("console") => console::visit::run(words),
        Some("run") => daemon::Options::parse(words).and_then(|options| daemon::run(&options)),
        _ if std::process::id() == 1 => {
            init::run();
            Ok(())
        }
        Some(word) if is_help(word) => say_usage(),
        Some("--version" | "-V") => {
            println!("pollux {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Some(word) => Err(format!("there is no command `{word}`\n{USAGE}")),
        None => Err(format!("a command is missing\n{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Said already.
        Err(why) if why.is_empty() => ExitCode::FAILURE,
        Err(why) => {
            // A pipe to PID 1 may be full; `eprintln` would panic.
            let _ = writeln!(std::io::stderr(), "[ERROR] {why}");
            ExitCode::FAILURE
        }
    }
}

fn is_help(word: &str) -> bool {
    matches!(word, "--help" | "-h" | "help")
}

fn say_usage() -> Result<(), String> {
    println!("{USAGE}");
    Ok(())
}

/// `probe DEVICE FD FD`.
fn probe(mut words: impl Iterator<Item = String>) -> Result<(), String> {
    let device = words.next();
    let mut number = || words.next()?.parse().ok();
    let (Some(device), Some(wire), Some(file)) = (device, number(), number()) else {
        return Err("a probe is started by PID 1, with a device and two descriptors".into());
    };
    let inherited = |number| sys::process::inherited(number).map_err(|error| error.to_string());
    init::probe::run(&device, inherited(wire)?, inherited(file)?)
        .map_err(|error| format!("probing {device}: {error}"))
}
