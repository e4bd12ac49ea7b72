//! The end of a process as an event (pidfd_open(2)), for whoever is not its parent.

use crate::Error;
use crate::poll::{readable, until};
use nix::errno::Errno;
use nix::libc;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A process that was alive when this was made; readable once it has ended.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Of process `pid`; `None`: it has ended already. Closed at exec.
    ///
    /// # Errors
    /// ENOSYS and EPERM where this kernel or its owner has no such call; EMFILE.
    pub fn open(pid: u32) -> Result<Option<Self>, Error> {
        let failed = "following process";
        // SAFETY: takes two numbers and touches no memory of ours.
        let made = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let number = match Errno::result(made) {
            Err(Errno::ESRCH) => return Ok(None),
            made => made.map_err(Error::during(failed)),
        };
        let number = number.map_err(|error| error.on(pid))?;
        let number =
            RawFd::try_from(number).map_err(|_| Error::new(failed, Errno::EBADF as i32))?;
        // SAFETY: the kernel has just made this descriptor and nobody else knows it.
        Ok(Some(PidFd(unsafe { OwnedFd::from_raw_fd(number) })))
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        until(&mut [readable(self.as_fd())], Some(0)) != Ok(0)
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn it_is_readable_once_the_process_has_ended() {
        // It lives until its input ends.
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let process = PidFd::open(child.id()).unwrap().unwrap();
        assert!(!process.has_ended());
        drop(child.stdin.take());
        until(&mut [readable(process.as_fd())], None).unwrap();
        assert!(process.has_ended());
        child.wait().unwrap();
        assert!(PidFd::open(child.id()).unwrap().is_none());
    }
}
