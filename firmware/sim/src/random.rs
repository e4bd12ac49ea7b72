//! Random numbers that are the same in every run of a seed.

/// Small, seeded, good enough for faults (`SplitMix64`, Steele and others 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// A source of its own for each user, so that what one draws changes nothing for the others: a schedule
    /// keeps its meaning while it is shrunk.
    pub(crate) fn branch(seed: u64, user: u64) -> Self {
        Self(Self(seed ^ user.wrapping_mul(0xd6e8_feb8_6659_fd93)).next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`; 0 where that is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True so many times in a thousand.
    pub(crate) fn permille(&mut self, chance: u32) -> bool {
        chance > 0 && self.below(1000) < u64::from(chance)
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }

    /// Position in something of that length.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_draw_independently_and_repeatably() {
        let mut one = Random::branch(7, 1);
        let mut other = Random::branch(7, 2);
        let drawn = [one.next(), one.next()];
        assert_ne!(drawn, [other.next(), other.next()]);
        let mut again = Random::branch(7, 1);
        assert_eq!(drawn, [again.next(), again.next()]);
    }

    #[test]
    fn bounds_are_kept() {
        let mut random = Random(1);
        for _ in 0..1000 {
            assert!((3..=5).contains(&random.between(3, 5)));
            assert_eq!(random.below(0), 0);
        }
        assert!(!random.permille(0) && random.permille(1000));
    }
}
