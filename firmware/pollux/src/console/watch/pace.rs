//! How many bytes `watch` may give a line just now, so that it never queues up behind a slow one: a share of
//! what the line carries, saved up for a moment and no longer.

use super::screen::PIECE_BYTES_MAX;
use core::time::Duration;
use std::time::Instant;

/// Bits on the line for a byte, 8N1.
const BITS_PER_BYTE: u64 = 10;

/// Of a terminal that does not tell.
const BAUD_DEFAULT: u32 = 115_200;

/// Share of the line in percent; the rest is for what is typed, and for retransmitting modems.
const SHARE_PERCENT: u64 = 75;

/// What is saved up at most: so long does a key press wait behind what was painted.
const SAVED_MAX: Duration = Duration::from_millis(250);

/// An account of bytes.
#[derive(Debug)]
pub struct Pace {
    bytes_per_s: u64,
    /// Thousandths of a byte.
    saved: u64,
    at: Instant,
}

impl Pace {
    /// Of a line of this speed.
    pub fn new(now: Instant, baud: Option<u32>) -> Self {
        let bits_per_s = u64::from(baud.unwrap_or(BAUD_DEFAULT));
        let bytes_per_s = (bits_per_s * SHARE_PERCENT / 100 / BITS_PER_BYTE).max(1);
        Pace {
            bytes_per_s,
            saved: 0,
            at: now,
        }
    }

    /// Bytes that may be written now, while so many wait in the driver.
    pub fn allowance(&mut self, now: Instant, unsent_bytes: usize) -> usize {
        let elapsed = now.saturating_duration_since(self.at);
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.at += Duration::from_millis(elapsed_ms);
        let earned = elapsed_ms.saturating_mul(self.bytes_per_s);
        self.saved = self.saved.saturating_add(earned).min(self.saved_max());
        let bytes = usize::try_from(self.saved / 1000).unwrap_or(usize::MAX);
        bytes.saturating_sub(unsent_bytes)
    }

    /// So many were written.
    pub fn spend(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.saved = self.saved.saturating_sub(bytes.saturating_mul(1000));
    }

    /// How long until it is worth asking again.
    pub fn interval(&self) -> Duration {
        let piece = (PIECE_BYTES_MAX as u64).saturating_mul(1000); // lossless: 160
        let missing = piece.saturating_sub(self.saved);
        Duration::from_millis(missing / self.bytes_per_s).max(Duration::from_millis(20))
    }

    fn saved_max(&self) -> u64 {
        let millis = u64::try_from(SAVED_MAX.as_millis()).unwrap_or(u64::MAX);
        let piece = (PIECE_BYTES_MAX as u64).saturating_mul(1000); // lossless: 160
        millis.saturating_mul(self.bytes_per_s).max(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_line_of_9600_baud_carries_720_bytes_a_second_of_it() {
        let start = Instant::now();
        let mut pace = Pace::new(start, Some(9600));
        let mut bytes = 0;
        for step in 1..=1_000 {
            let allowed = pace.allowance(start + ms(step * 10), 0);
            if allowed >= PIECE_BYTES_MAX {
                pace.spend(allowed);
                bytes += allowed;
            }
        }
        assert!((7_000..=7_200).contains(&bytes), "{bytes}");
    }

    #[test]
    fn nothing_is_saved_up_for_long() {
        let start = Instant::now();
        let mut pace = Pace::new(start, Some(9600));
        assert_eq!(pace.allowance(start + ms(60_000), 0), 180);
        let mut pace = Pace::new(start, Some(115_200));
        assert_eq!(pace.allowance(start + ms(60_000), 0), 2160);
    }

    #[test]
    fn what_the_driver_has_not_sent_is_waited_for() {
        let start = Instant::now();
        let mut pace = Pace::new(start, Some(9600));
        assert_eq!(pace.allowance(start + ms(1_000), 100), 80);
        assert_eq!(pace.allowance(start + ms(1_000), 4096), 0);
    }

    #[test]
    fn it_tells_when_a_piece_fits() {
        let start = Instant::now();
        let mut pace = Pace::new(start, Some(9600));
        let later = start + pace.interval() + ms(2);
        assert!(pace.allowance(later, 0) >= PIECE_BYTES_MAX);
    }
}
