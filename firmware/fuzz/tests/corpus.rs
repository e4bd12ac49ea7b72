//! Every target holds on what it begins with, and on what long runs have found.
#![allow(clippy::unwrap_used, missing_docs)]

use fuzz::TARGETS;

#[test]
fn every_target_holds_on_its_corpus() {
    for target in &TARGETS {
        let starters = fuzz::starters(target).unwrap();
        assert!(!(target.seeds)().is_empty(), "{} has no seeds", target.name);
        for (number, bytes) in starters.iter().enumerate() {
            println!("{} {number}: {} bytes", target.name, bytes.len());
            (target.run)(bytes);
        }
    }
}

#[test]
fn no_target_minds_an_empty_or_a_cut_input() {
    for target in &TARGETS {
        for bytes in (target.seeds)() {
            let step = bytes.len().div_ceil(64).max(1);
            for length in (0..bytes.len()).step_by(step) {
                (target.run)(bytes.get(..length).unwrap());
            }
        }
    }
}

#[test]
fn names_are_unique() {
    for target in &TARGETS {
        assert_eq!(fuzz::target(target.name).unwrap().about, target.about);
    }
}
