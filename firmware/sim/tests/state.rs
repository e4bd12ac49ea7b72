//! Lives of state sync are well, and would be found out if they were not: each rule is broken in turn. One test, since
//! the switch is the whole process's.

use proto::sabotage::{Sabotage, sabotage};
use sim::state::{Plan, Rule, live};

/// What is broken, what finds it, and within how many seeds.
const BROKEN: [(Sabotage, &[Rule], u64); Sabotage::STATE.len()] = [
    (Sabotage::TakeAnyRank, &[Rule::RolledBack], 20),
    (Sabotage::TakeOvertaken, &[Rule::RolledBack], 20),
    (Sabotage::ForgetGuards, &[Rule::RolledBack], 50),
    (Sabotage::ForgetEnded, &[Rule::RolledBack], 20),
    // An end that nobody is told of leaves tables that differ, or the other box brings the flow back.
    (
        Sabotage::ForgetRemovals,
        &[Rule::FalselyInSync, Rule::RolledBack],
        20,
    ),
    (Sabotage::IgnoreDigests, &[Rule::FalselyInSync], 20),
    // What is believed goes to the other box, or is only believed here.
    (
        Sabotage::BelieveDumps,
        &[Rule::RolledBack, Rule::FalselyInSync],
        150,
    ),
    (Sabotage::ForgetLosses, &[Rule::NeverInSync], 20),
    (Sabotage::HideVanished, &[Rule::FalselyInSync], 100),
];

#[test]
fn lives_are_well_and_whatever_is_broken_is_found_out() {
    let well = (0..20).find_map(|seed| Some((seed, live(&Plan::draw(seed)).violation?)));
    assert_eq!(
        well, None,
        "cargo run -p sim --profile sim --bin state -- --seed N --shrink tells it"
    );
    let mut missed = Vec::new();
    for (broken, rules, within) in BROKEN {
        sabotage(Some(broken));
        let found =
            (0..within).find_map(|seed| Some((seed, live(&Plan::draw(seed)).violation?.rule)));
        match found {
            Some((seed, rule)) if rules.contains(&rule) => {
                println!("{broken:?}: {rule:?} after {} seeds", seed + 1);
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
