//! The end of processes: learning of it, and bringing it about.

use crate::Error;
use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fmt;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its exit code.
    Code(i32),
    /// The signal that ended it.
    Signal(i32),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            End::Code(0) => f.write_str("ended in good order"),
            End::Code(code) => write!(f, "exit code {code}"),
            End::Signal(number) => match Signal::try_from(number) {
                Ok(signal) => write!(f, "killed by {}", signal.as_str()),
                Err(_) => write!(f, "killed by signal {number}"),
            },
        }
    }
}

/// A child that has ended, orphans that fell to PID 1 among them; `None` where there is none (more).
/// Call until `None`: one SIGCHLD may stand for many.
#[must_use]
pub fn reap() -> Option<(i32, End)> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => return Some((pid.as_raw(), End::Code(code))),
            Ok(WaitStatus::Signaled(pid, signal, _)) => {
                return Some((pid.as_raw(), End::Signal(signal as i32)));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return None,
            // Stops are not asked for; an interrupted or unknown answer is asked again.
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

/// Sends a signal to a worker and all it has started.
///
/// # Errors
/// ESRCH where it is gone already.
pub fn kill_group(pid: i32, with: Signal) -> Result<(), Error> {
    signal::killpg(Pid::from_raw(pid), with)
        .map_err(Error::during("sending a signal to process group"))
        .map_err(|error| error.on(pid))
}
