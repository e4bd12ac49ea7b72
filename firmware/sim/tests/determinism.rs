//! The same seed and the same code give the same life, to the last frame.

use sim::{Schedule, run, tell};
use std::collections::BTreeSet;

#[test]
fn a_seed_lives_the_same_life_again_told_or_not() {
    for seed in 0..100 {
        let first = run(&Schedule::draw(seed));
        let (again, story) = tell(&Schedule::draw(seed));
        assert_eq!(first.hash, again.hash, "seed {seed}");
        assert_eq!(first.lived_us, again.lived_us, "seed {seed}");
        assert!(story.len() > 5, "seed {seed}");
    }
}

#[test]
fn every_seed_lives_a_life_of_its_own() {
    let hashes: BTreeSet<_> = (0..100)
        .map(|seed| run(&Schedule::draw(seed)).hash)
        .collect();
    assert_eq!(hashes.len(), 100);
}
