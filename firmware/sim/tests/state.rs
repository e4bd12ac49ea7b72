//! Lives of state sync are well, and would be found out if they were not: each rule is broken in turn. One test, since
//! the switch is the whole process's.

use core::ops::Range;
use proto::sabotage::{Sabotage, sabotage};
use sim::state::{Plan, Rule, live};

/// What is broken, what finds it, and in which seeds.
const BROKEN: [(Sabotage, &[Rule], Range<u64>); Sabotage::STATE.len()] = [
    (
        Sabotage::TakeAnyRank,
        &[Rule::RolledBack, Rule::TakenFromOwner],
        0..20,
    ),
    (Sabotage::TakeAnyBalanced, &[Rule::RolledBack], 0..20),
    (Sabotage::TakeOvertaken, &[Rule::RolledBack], 0..20),
    (Sabotage::ForgetGuards, &[Rule::RolledBack], 0..50),
    (Sabotage::ForgetEnded, &[Rule::RolledBack], 0..20),
    // An end that nobody is told of leaves tables that differ, or the other box brings the flow back.
    (
        Sabotage::ForgetRemovals,
        &[Rule::FalselyInSync, Rule::RolledBack],
        0..20,
    ),
    (Sabotage::IgnoreDigests, &[Rule::FalselyInSync], 0..20),
    // What is believed goes to the other box, or is only believed here, where the next change mends it: few lives find it.
    (
        Sabotage::BelieveDumps,
        &[Rule::RolledBack, Rule::FalselyInSync],
        0..500,
    ),
    (Sabotage::ForgetLosses, &[Rule::NeverInSync], 0..20),
    (Sabotage::HideVanished, &[Rule::FalselyInSync], 0..100),
];

/// Seeds that were found to break a rule, and why.
const FOUND: [(u64, &str); 5] = [
    (
        100,
        "news of balanced flows was taken from a box that had not let go",
    ),
    (
        3091,
        "what was balanced while the twin was not heard was never told",
    ),
    (
        3688,
        "a flow that a kernel had refused three times was not asked for again when it changed",
    ),
    (
        13_128,
        "an active box took back what it had once said itself",
    ),
    (
        14_243,
        "an end was forgotten while older words than that of a flush were on their way",
    ),
];

#[test]
fn lives_are_well_and_whatever_is_broken_is_found_out() {
    let seeds = (0..20).chain(FOUND.map(|(seed, _)| seed));
    let well = seeds
        .into_iter()
        .find_map(|seed| Some((seed, live(&Plan::draw(seed)).violation?)));
    assert_eq!(
        well, None,
        "cargo run -p sim --profile sim --bin state -- --seed N --shrink tells it"
    );
    let mut missed = Vec::new();
    for (broken, rules, within) in BROKEN {
        sabotage(Some(broken));
        let found = within
            .clone()
            .find_map(|seed| Some((seed, live(&Plan::draw(seed)).violation?.rule)));
        match found {
            Some((seed, rule)) if rules.contains(&rule) => {
                println!("{broken:?}: {rule:?} by seed {seed}");
            }
            other => missed.push((broken, other)),
        }
    }
    sabotage(None);
    assert!(
        missed.is_empty(),
        "not found out, or by another rule: {missed:?}"
    );
}
