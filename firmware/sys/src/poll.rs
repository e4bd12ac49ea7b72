//! The event loop's one wait: ppoll(2) with nanosecond timeouts over a caller's array, so a loop that
//! waits allocates nothing and needs no timer descriptor.

use crate::{Error, clock};
use nix::errno::Errno;
use nix::poll::ppoll;
pub use nix::poll::{PollFd, PollFlags};
use nix::sys::time::TimeSpec;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Waits for `fd` to have something to read (or to be closed or broken).
#[must_use]
pub fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(fd, PollFlags::POLLIN)
}

/// Waits for `fd` to take bytes.
#[must_use]
pub fn writable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(fd, PollFlags::POLLOUT)
}

/// Waits for either.
#[must_use]
pub fn both(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(fd, PollFlags::POLLIN | PollFlags::POLLOUT)
}

/// Whether the last wait found anything for this one: what was asked for, an error or a hang-up.
#[must_use]
pub fn is_ready(fd: &PollFd<'_>) -> bool {
    fd.any().unwrap_or(true)
}

/// Whether the last wait found something to read, an error or a hang-up.
#[must_use]
pub fn is_readable(fd: &PollFd<'_>) -> bool {
    let not_only_room = !PollFlags::POLLOUT;
    fd.revents()
        .is_none_or(|events| events.intersects(not_only_room))
}

/// Whether the other side is gone.
#[must_use]
pub fn is_hung_up(fd: &PollFd<'_>) -> bool {
    fd.revents()
        .is_some_and(|events| events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR))
}

/// Waits until one of `fds` is ready or the monotonic clock reads `deadline_us` (`None`: for ever).
/// Returns how many are ready; 0 after the deadline and after a signal.
///
/// # Errors
/// ENOMEM, or EINVAL for more descriptors than the process may open.
pub fn until(fds: &mut [PollFd<'_>], deadline_us: Option<u64>) -> Result<usize, Error> {
    let timeout = deadline_us.map(|deadline_us| {
        TimeSpec::from(Duration::from_micros(
            deadline_us.saturating_sub(clock::monotonic_us()),
        ))
    });
    match ppoll(fds, timeout, None) {
        Ok(ready) => Ok(usize::try_from(ready).unwrap_or(0)),
        Err(Errno::EINTR) => Ok(0),
        Err(errno) => Err(Error::during("waiting for events")(errno)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn deadline_passes_without_event() {
        let (a, _b) = UnixStream::pair().unwrap();
        let deadline_us = clock::monotonic_us() + 3_000;
        let mut fds = [readable(a.as_fd())];
        assert_eq!(until(&mut fds, Some(deadline_us)), Ok(0));
        assert!(clock::monotonic_us() >= deadline_us);
        assert!(!is_ready(&fds[0]));
    }

    #[test]
    fn event_and_hang_up_are_told_apart() {
        let (a, mut b) = UnixStream::pair().unwrap();
        b.write_all(b"x").unwrap();
        let mut fds = [both(a.as_fd())];
        assert_eq!(until(&mut fds, None), Ok(1));
        assert!(is_readable(&fds[0]) && !is_hung_up(&fds[0]));
        drop(b);
        assert_eq!(until(&mut fds, None), Ok(1));
        assert!(is_hung_up(&fds[0]));
    }

    #[test]
    fn room_to_write_is_not_readable() {
        let (a, _b) = UnixStream::pair().unwrap();
        let mut fds = [both(a.as_fd())];
        assert_eq!(until(&mut fds, None), Ok(1));
        assert!(is_ready(&fds[0]) && !is_readable(&fds[0]));
    }
}
