//! `pollux console`: an operator, or a script, comes to a pollux that runs already. The same session as on a
//! box's tty, over the same control socket; log lines are asked for with `log`, none comes by itself.

use super::Console;
use super::shell::Shell;
use crate::clock::wait;
use crate::ipc::Channel;
use crate::ipc::control::{Request, Response};
use crate::place::{self, RUN_DIR};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use sys::poll::readable;
use sys::tty::Raw;

/// How it is used.
const USAGE: &str = "pollux console [--run-dir DIR] [-c COMMAND]";

/// Control answers within a minute, whoever it asks for the parts; but for `connections`, `firewall` and `reload`, within a
/// second.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(65);

/// Reads what follows `console` on the command line, and visits.
///
/// # Errors
/// As a sentence: wrong usage, nobody there, no terminal. Empty where a command failed, which has said why.
pub fn run(mut words: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut run_dir, mut line) = (PathBuf::from(RUN_DIR), None);
    while let Some(option) = words.next() {
        let value = words.next();
        let value = value.ok_or_else(|| format!("{option} wants a value; usage: {USAGE}"))?;
        match option.as_str() {
            "--run-dir" => run_dir = value.into(),
            "-c" => line = Some(value),
            _ => return Err(format!("no option {option}; usage: {USAGE}")),
        }
    }
    let path = place::control(&run_dir);
    match line {
        Some(line) => command(dial(&path)?, &line),
        None => attach(path),
    }
}

fn dial(path: &Path) -> Result<OwnedFd, String> {
    sys::socket::dial(path)
        .map_err(|error| format!("{error}: is pollux running there? See --run-dir"))
}

/// The session at the operator's own terminal, until `logout`, ctrl-d or a hang-up.
fn attach(path: PathBuf) -> Result<(), String> {
    // Only to say at once that nobody is there; the session connects by itself, and again.
    drop(dial(&path)?);
    let attempt =
        |error: sys::Error| format!("taking the terminal: {error}; without one: -c COMMAND");
    // Opened anew: the shell's own descriptor must stay as blocking as it is.
    let tty = sys::tty::open(Path::new("/dev/tty")).map_err(attempt)?;
    let tty = Raw::enter(tty).map_err(attempt)?;
    // Nobody supervises a visitor.
    let (lifeline, _nobody) = sys::socket::pair().map_err(|error| error.to_string())?;
    let lifeline = Channel::new(lifeline).map_err(|error| error.to_string())?;
    let mut console = Console::new(tty, lifeline, path, Shell::of_visitor());
    while console.turn().map_err(|error| error.to_string())? {}
    Ok(())
}

/// One command; prints what it prints.
fn command(control: OwnedFd, line: &str) -> Result<(), String> {
    let control = Channel::<Request, Response>::new(control);
    let mut control = control.map_err(|error| error.to_string())?;
    let mut shell = Shell::of_script(line);
    shell.connected();
    while !shell.has_ended() {
        if let Some(request) = shell.take_request() {
            control.send(&request).map_err(|error| error.to_string())?;
        }
        wait(&mut [readable(control.as_fd())], Some(ANSWER_TIMEOUT))
            .map_err(|error| error.to_string())?;
        match control.receive() {
            Ok(Some(response)) => shell.answered(response),
            Ok(None) => return Err("pollux does not answer: see its log".into()),
            Err(error) => return Err(error.to_string()),
        }
        print!("{}", shell.take_output());
    }
    match shell.has_failed() {
        true => Err(String::new()),
        false => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ipc::control::Hello;

    fn answered(line: &str, wants_password: bool, responses: Vec<Response>) -> (String, bool) {
        let mut shell = Shell::of_script(line);
        shell.connected();
        let hello = Hello {
            version: "1".into(),
            cluster: "edge".into(),
            node: "castor".into(),
            wants_password,
        };
        let all = [Response::Hello(hello)].into_iter().chain(responses);
        all.for_each(|response| shell.answered(response));
        assert!(shell.has_ended());
        (shell.take_output(), shell.has_failed())
    }

    #[test]
    fn a_script_gets_what_its_command_prints_and_nothing_else() {
        let (text, failed) = answered("standby", false, vec![Response::Accepted]);
        assert_eq!(
            (text.as_str(), failed),
            ("accepted; the log tells the rest\n", false)
        );
        let (text, failed) = answered("help", false, vec![]);
        assert!(text.contains("takeover") && !failed, "{text}");
    }

    #[test]
    fn a_script_learns_that_it_failed() {
        let refusal = Response::Failed("no peer".into());
        let (text, failed) = answered("standby", false, vec![refusal]);
        assert_eq!((text.as_str(), failed), ("no peer\n", true));
        assert!(answered("cook", false, vec![]).1);
        assert!(
            answered("status", true, vec![])
                .0
                .contains("a password is wanted")
        );
    }

    #[test]
    fn a_visitor_leaves_by_logout() {
        let mut shell = Shell::of_visitor();
        shell.connected();
        shell.typed(b"logout\r");
        assert!(!shell.has_ended());
        let (version, cluster, node) = ("1".into(), "edge".into(), "castor".into());
        let wants_password = false;
        shell.answered(Response::Hello(Hello {
            version,
            cluster,
            node,
            wants_password,
        }));
        assert!(shell.has_ended());
    }

    #[test]
    fn wrong_usage_is_said() {
        let refused =
            |text: &str| run(text.split_ascii_whitespace().map(String::from)).unwrap_err();
        assert!(refused("-c").ends_with(USAGE));
        assert!(refused("--dir x").contains("no option --dir"));
        assert!(refused("--run-dir /nowhere -c status").contains("is pollux running there?"));
    }
}
