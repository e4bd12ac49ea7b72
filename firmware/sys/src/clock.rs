//! Clocks. Everything that decides runs on the monotonic one; wall time is for people only and may jump.

use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};

/// Microseconds of CLOCK_MONOTONIC: never jumps, stands while the machine is suspended.
#[must_use]
pub fn monotonic_us() -> u64 {
    microseconds(ClockId::CLOCK_MONOTONIC)
}

/// Microseconds since 1970, as the hardware clock had it.
#[must_use]
pub fn wall_us() -> u64 {
    microseconds(ClockId::CLOCK_REALTIME)
}

fn microseconds(clock: ClockId) -> u64 {
    // The kernel knows these clocks since 2.6.39 and they never run below zero.
    clock_gettime(clock).map_or(0, |now| u64::try_from(now.num_microseconds()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_go_forward() {
        let first = monotonic_us();
        assert!(first > 0);
        assert!(monotonic_us() >= first);
        assert!(wall_us() > 1_700_000_000_000_000);
    }
}
