//! Terms: the numbers that say whose hold on the addresses is the newer one. Every takeover takes the
//! smallest term above all it has seen that is its own to take: odd ones belong to the node of the lower
//! number, even ones to the other. So the two never take the same term, however long they did not hear
//! each other, and where both hold the addresses the higher term settles it without a tie. Taken in turns,
//! terms count 1, 2, 3.

use crate::sabotage::{Sabotage, is_broken};

/// The term that node `own` takes next, having seen `seen` as the highest one.
#[must_use]
pub fn next(seen: u64, own: u8, peer: u8) -> u64 {
    let following = seen.saturating_add(1);
    if taker(following, own, peer) == Some(own) || is_broken(Sabotage::SameTerm) {
        following
    } else {
        following.saturating_add(1)
    }
}

/// Number of the node that took `term`; `None` for 0, the term before any.
#[must_use]
pub fn taker(term: u64, one: u8, other: u8) -> Option<u8> {
    if term == 0 {
        return None;
    }
    let is_odd = term % 2 == 1;
    Some(if is_odd {
        one.min(other)
    } else {
        one.max(other)
    })
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn taken_in_turns_they_count_by_one() {
        let mut term = 0;
        for (expected, own, peer) in [(1, 1, 2), (2, 2, 1), (3, 1, 2), (4, 2, 1)] {
            term = next(term, own, peer);
            assert_eq!(term, expected);
        }
        assert_eq!(next(term, 2, 1), 6);
    }

    #[test]
    fn before_the_first_there_is_no_taker() {
        assert_eq!(taker(0, 1, 2), None);
    }

    proptest! {
        /// Whatever each of them has seen or missed.
        #[test]
        fn two_nodes_never_take_the_same(seen in 0..u64::MAX - 2, missed in 0..u64::MAX - 2, one: u8, other: u8) {
            prop_assume!(one != other);
            let (first, second) = (next(seen, one, other), next(missed, other, one));
            prop_assert!(first > seen && second > missed);
            prop_assert_ne!(first, second);
            prop_assert_eq!(taker(first, one, other), Some(one));
            prop_assert_eq!(taker(second, one, other), Some(other));
        }
    }
}
