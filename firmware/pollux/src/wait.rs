//! Waiting in a loop that reckons in spans.

use std::time::Duration;
use sys::poll::{PollFd, until};

/// Waits until one of `fds` is ready or `timeout` has passed (`None`: for ever).
pub fn wait(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> Result<(), sys::Error> {
    let deadline_us = timeout.map(|timeout| {
        let span_us = u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX);
        sys::clock::monotonic_us().saturating_add(span_us)
    });
    until(fds, deadline_us).map(|_| ())
}
