//! The simulator can fail: each rule of the protocol is broken in turn, and each time that is found out, within
//! so many seeds and by a rule that fits. One test, since the switch is the whole process's.

use proto::sabotage::{Sabotage, sabotage};
use sim::{Rule, Schedule, run};

/// What is broken, what finds it, and within how many seeds.
const BROKEN: [(Sabotage, &[Rule], u64); 18] = [
    (Sabotage::NoTermCheck, &[Rule::TwoOwners], 20),
    (
        Sabotage::NoEchoCheck,
        &[Rule::TwoOwners, Rule::NobodyServes],
        200,
    ),
    (Sabotage::NoStallCheck, &[Rule::ThawedOwner], 100),
    (Sabotage::AnnounceOnce, &[Rule::NotAnnounced], 20),
    (Sabotage::NoGrace, &[Rule::TakenUnheard], 20),
    (Sabotage::FailBackAlways, &[Rule::HandedOverUnasked], 100),
    (Sabotage::TakeUnready, &[Rule::NotReady], 100),
    (Sabotage::SameTerm, &[Rule::SameTerm], 100),
    (
        Sabotage::OneLinkDecides,
        &[Rule::TakenUnasked, Rule::TwoOwners, Rule::NotProbed],
        100,
    ),
    (Sabotage::LetGoEarly, &[Rule::LetGoEarly], 20),
    (Sabotage::NoMac, &[Rule::TakenUnasked, Rule::TwoOwners], 200),
    (Sabotage::ReleaseOnce, &[Rule::NotOneActive], 500),
    (Sabotage::NoTakeover, &[Rule::NobodyServes], 100),
    (Sabotage::BelieveOld, &[Rule::TakenUnasked], 500),
    (Sabotage::FailBackUnsynced, &[Rule::HandedOverUnasked], 200),
    (Sabotage::NoProbes, &[Rule::NotProbed], 50),
    (Sabotage::IgnoreCarriers, &[Rule::CarriersIgnored], 200),
    (Sabotage::ForgetStandby, &[Rule::HandedOverUnasked], 2000),
];

#[test]
fn whatever_is_broken_is_found_out() {
    let mut missed = Vec::new();
    for (broken, rules, within) in BROKEN {
        sabotage(Some(broken));
        let found = (0..within).find_map(|seed| {
            let violation = run(&Schedule::draw(seed)).violation?;
            Some((seed + 1, violation.rule))
        });
        match found {
            Some((seeds, rule)) if rules.contains(&rule) => {
                println!("{broken:?}: {rule:?} after {seeds} seeds");
            }
            other => missed.push((broken, other)),
        }
    }
    sabotage(None);
    assert!(
        missed.is_empty(),
        "not found out, or by another rule: {missed:?}"
    );
    assert!((0..100).all(|seed| run(&Schedule::draw(seed)).violation.is_none()));
}
