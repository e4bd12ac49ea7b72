//! The workers' clock, and waiting by it: monotonic time as a span since the machine started, which no
//! change of the wall clock moves.

use std::time::Duration;
use sys::poll::{PollFd, until};

/// Monotonic time.
pub fn now() -> Duration {
    Duration::from_micros(sys::clock::monotonic_us())
}

/// A span in whole microseconds; those of more than 584000 years are cut to that.
pub fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Waits until one of `fds` is ready or `deadline` has come.
pub fn wait_until(fds: &mut [PollFd<'_>], deadline: Duration) -> Result<(), sys::Error> {
    until(fds, Some(micros(deadline))).map(|_| ())
}

/// Waits until one of `fds` is ready or `timeout` has passed (`None`: for ever).
pub fn wait(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> Result<(), sys::Error> {
    let deadline = timeout.map(|timeout| now().saturating_add(timeout));
    until(fds, deadline.map(micros)).map(|_| ())
}
