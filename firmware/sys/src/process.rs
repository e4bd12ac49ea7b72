//! Processes: start a worker with exactly the descriptors, user and bounds it is meant to have, learn
//! of its end, stop it. A worker dies with its parent, holds nothing it was not given, and whatever it
//! writes to stderr or stdout comes back through a pipe.

mod end;

pub use end::{End, kill_group, reap};

use crate::Error;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{self, SigHandler, SigSet, Signal};
use nix::unistd::{
    ForkResult, Gid, Pid, Uid, fork, pipe2, setgroups, setpgid, setresgid, setresuid,
};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A child's descriptors get numbers below this; the parent's copies of them lie above.
pub const FD_MAX: RawFd = 64;

/// Exit code of a child that could not become the worker; the reason is in its output.
pub const EXIT_NOT_STARTED: i32 = 127;

/// The program that every worker is.
const SELF: &CStr = c"/proc/self/exe";

/// How a worker is started.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// `argv`; `argv[0]` is what ps shows. The program is this one's own, /proc/self/exe, with an empty
    /// environment.
    pub arguments: &'a [&'a str],
    /// What it inherits, each at the number given: 3 to `FD_MAX` - 1, all different.
    pub descriptors: &'a [(RawFd, BorrowedFd<'a>)],
    /// Its terminal: stdin and stdout, and it leads a session of its own there. `None`: stdin is
    /// `input`, stdout the pipe. Stderr is the pipe in any case.
    pub terminal: Option<BorrowedFd<'a>>,
    /// Its stdin where it has no terminal; `None`: /dev/null.
    pub input: Option<BorrowedFd<'a>>,
    /// User and group to become, with no other groups; `None` stays as it is.
    pub user: Option<(u32, u32)>,
    /// It may never gain a privilege again (PR_SET_NO_NEW_PRIVS).
    pub no_new_privileges: bool,
}

/// A worker that was started.
#[derive(Debug)]
pub struct Spawned {
    /// Process id, also its process group.
    pub pid: i32,
    /// What it writes to stderr (and stdout, unless it has a terminal); non-blocking.
    pub output: File,
}

/// Starts a worker. Where the child itself fails on its way, it says so in its output and ends with
/// `EXIT_NOT_STARTED`.
///
/// # Errors
/// EINVAL for a descriptor's number out of bounds or an argument with a NUL; EMFILE; EAGAIN, ENOMEM.
pub fn spawn(spawn: &Spawn<'_>) -> Result<Spawned, Error> {
    let (output, pipe) = output_pipe()?;
    let child = Child::new(spawn, &pipe)?;
    // SAFETY: the child makes only async-signal-safe calls (dup2, close_range, setsid, ioctl, setres*id,
    // prctl, sigaction, sigprocmask, write, execve, _exit) on what was allocated before the fork.
    match unsafe { fork() }.map_err(Error::during("forking a worker"))? {
        ForkResult::Child => child.become_worker(),
        ForkResult::Parent { child: pid } => {
            if spawn.terminal.is_none() {
                // As the child does: whichever comes first, `kill_group` finds it from now on. Too late
                // (EACCES) once it has done so itself.
                let _ = setpgid(pid, pid);
            }
            Ok(Spawned {
                pid: pid.as_raw(),
                output,
            })
        }
    }
}

/// All that the child needs after the fork, where it must not allocate.
struct Child {
    parent: Pid,
    arguments: Vec<CString>,
    /// `arguments` as execve wants them: pointers into it, NULL at the end.
    argv: Vec<*const libc::c_char>,
    /// Number and source, every source above every number.
    descriptors: Vec<(RawFd, OwnedFd)>,
    terminal: bool,
    user: Option<(Uid, Gid)>,
    no_new_privileges: bool,
}

impl Child {
    fn new(spawn: &Spawn<'_>, pipe: &OwnedFd) -> Result<Self, Error> {
        let mut descriptors = vec![(2, lift(pipe)?)];
        if let Some(tty) = spawn.terminal {
            descriptors.extend([(0, lift(&tty)?), (1, lift(&tty)?)]);
        } else {
            let input = match spawn.input {
                Some(input) => lift(&input)?,
                None => lift(&File::open("/dev/null").map_err(Error::io("opening /dev/null"))?)?,
            };
            descriptors.extend([(0, input), (1, lift(pipe)?)]);
        }
        for (number, fd) in spawn.descriptors {
            if !(3..FD_MAX).contains(number) {
                let errno = Errno::EINVAL as i32;
                return Err(Error::new("giving a worker descriptor", errno).on(number));
            }
            descriptors.push((*number, lift(fd)?));
        }
        let arguments: Result<Vec<_>, _> =
            spawn.arguments.iter().map(|a| CString::new(*a)).collect();
        let arguments = arguments
            .map_err(|_| Error::new("giving a worker its arguments", Errno::EINVAL as i32))?;
        let argv = arguments
            .iter()
            .map(|a| a.as_ptr())
            .chain([core::ptr::null()])
            .collect();
        Ok(Child {
            parent: Pid::this(),
            arguments,
            argv,
            descriptors,
            terminal: spawn.terminal.is_some(),
            user: spawn
                .user
                .map(|(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid))),
            no_new_privileges: spawn.no_new_privileges,
        })
    }

    fn become_worker(&self) -> ! {
        let failed = self
            .prepare()
            .and_then(|()| self.execute())
            .err()
            .unwrap_or(Errno::UnknownErrno);
        // No formatting here: it might allocate. `desc` is a constant.
        for part in ["starting: ", failed.desc(), "\n"] {
            // SAFETY: writes a constant to stderr, whatever that is by now.
            unsafe { libc::write(2, part.as_ptr().cast(), part.len()) };
        }
        // SAFETY: ends this child without running what the parent registered for its own end.
        unsafe { libc::_exit(EXIT_NOT_STARTED) }
    }

    fn prepare(&self) -> Result<(), Errno> {
        for (number, source) in &self.descriptors {
            // SAFETY: both are numbers of this child's own; sources lie above all numbers, so none is
            // overwritten before its turn.
            Errno::result(unsafe { libc::dup2(source.as_raw_fd(), *number) })?;
        }
        self.mark_all_others()?;
        restore_signals()?;
        if self.terminal {
            crate::tty::lead_session()?;
        } else {
            setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
        }
        if let Some((uid, gid)) = self.user {
            setgroups(&[])?;
            setresgid(gid, gid, gid)?;
            setresuid(uid, uid, uid)?;
        }
        // After the change of user, which clears it; and the parent may have died before.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if Pid::parent() != self.parent {
            return Err(Errno::ESRCH);
        }
        if self.no_new_privileges {
            prctl::set_no_new_privs()
        } else {
            Ok(())
        }
    }

    /// Whatever was not given closes at exec, also where somebody forgot O_CLOEXEC.
    fn mark_all_others(&self) -> Result<(), Errno> {
        let given = |number: &RawFd| self.descriptors.iter().any(|(given, _)| given == number);
        let close = |first: RawFd, last: libc::c_uint| {
            // SAFETY: changes flags of descriptors of this child only.
            let marked = unsafe {
                libc::syscall(
                    libc::SYS_close_range,
                    first,
                    last,
                    libc::CLOSE_RANGE_CLOEXEC,
                )
            };
            Errno::result(marked)
        };
        for number in (3..FD_MAX).filter(|number| !given(number)) {
            close(number, number.unsigned_abs())?;
        }
        close(FD_MAX, libc::c_uint::MAX).map(|_| ())
    }

    fn execute(&self) -> Result<(), Errno> {
        let environment = [core::ptr::null()];
        // SAFETY: `argv` points into `arguments`, which lives as long as `self`; both end with NULL.
        unsafe { libc::execve(SELF.as_ptr(), self.argv.as_ptr(), environment.as_ptr()) };
        debug_assert!(!self.arguments.is_empty());
        Err(Errno::last())
    }
}

/// As a fresh process has them; what PID 1 blocked and ignored is its own.
fn restore_signals() -> Result<(), Errno> {
    // SAFETY: sets the default action, no handler.
    unsafe { signal::signal(Signal::SIGPIPE, SigHandler::SigDfl) }?;
    SigSet::empty().thread_set_mask()
}

/// A copy above `FD_MAX`, closed at exec.
fn lift(fd: &impl std::os::fd::AsFd) -> Result<OwnedFd, Error> {
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(FD_MAX))
        .map_err(Error::during("copying a worker's descriptor"))?;
    // SAFETY: fcntl has just made this descriptor and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Reading end for us, writing end for the child, both non-blocking: it holds as much as the kernel gives
/// a pipe (64 KiB), and what finds no room there is the child's to drop and count.
fn output_pipe() -> Result<(File, OwnedFd), Error> {
    let ends = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK);
    let (output, pipe) = ends.map_err(Error::during("making a worker's output pipe"))?;
    Ok((File::from(output), pipe))
}

/// Takes the descriptor that this process was given at `number` when it was started; call it once for each.
///
/// # Errors
/// EBADF where nothing was given at that number.
pub fn inherited(number: RawFd) -> Result<OwnedFd, Error> {
    let failed = "taking inherited descriptor";
    // SAFETY: changes only a flag of the descriptor, and fails where there is none.
    let marked = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    Errno::result(marked)
        .map_err(Error::during(failed))
        .map_err(|error| error.on(number))?;
    // SAFETY: it is open, and the caller takes each number once, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
pub(crate) mod tests;
