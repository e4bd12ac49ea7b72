//! Random numbers that are the same in every run.

use core::time::Duration;

/// Small, seeded, good enough for tests (SplitMix64, Steele and others 2014).
#[derive(Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Milliseconds below `end_ms`, to the microsecond.
    pub(crate) fn up_to_ms(&mut self, end_ms: u64) -> Duration {
        Duration::from_micros(self.below(end_ms * 1000 + 1))
    }
}
