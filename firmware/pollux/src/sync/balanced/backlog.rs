//! The backup daemon's socket: what does not fit is dropped without a word, so a burst of replayed connections is
//! held back until the kernel's thread has made connections of those before. /proc/net/udp says how much waits.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// ` 2290 00000000:0000`: port 8848 in a line of /proc/net/udp, joined with nobody, as the backup's is.
const SOCKET: &str = ":2290 00000000:0000";

/// Frames from one look to the next: with all their overhead, some 150 KiB.
const FRAMES: u32 = 64;

/// What may wait, in bytes as the kernel counts them; beyond it we wait.
const WAITING_BYTES_MAX: u64 = 64 * 1024;

/// A backup daemon that does not get on by then is passed by: others wait for this worker.
const PATIENCE: Duration = Duration::from_millis(20);

/// Paces frames.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    frames: u32,
}

impl Backlog {
    /// Call it before each frame: returns when there is room for it.
    pub(super) fn wait_for_room(&mut self) {
        self.frames += 1;
        if self.frames < FRAMES {
            return;
        }
        self.frames = 0;
        let deadline = Instant::now() + PATIENCE;
        while waiting_bytes() > WAITING_BYTES_MAX && Instant::now() < deadline {
            thread::yield_now();
        }
    }
}

/// What waits in the backup daemon's socket; 0 where that is not known.
fn waiting_bytes() -> u64 {
    let sockets = fs::read_to_string("/proc/net/udp").unwrap_or_default();
    waiting_in(&sockets).unwrap_or(0)
}

/// `sl local_address rem_address st tx_queue:rx_queue …`.
fn waiting_in(sockets: &str) -> Option<u64> {
    let line = sockets.lines().find(|line| line.contains(SOCKET))?;
    let (_, received) = line.split_whitespace().nth(4)?.split_once(':')?;
    u64::from_str_radix(received, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backup_is_found_among_sockets() {
        let sockets =
            "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
  100: 080000C0:9C5B 510000E0:2290 01 00000000:00000000 00:00000000 00000000     0        0 0 2 0 0
  101: 510000E0:2290 00000000:0000 07 00000000:00012300 00:00000000 00000000     0        0 0 2 0 0
";
        assert_eq!(waiting_in(sockets), Some(0x12300));
        assert_eq!(waiting_in("   sl  local_address rem_address"), None);
    }
}
