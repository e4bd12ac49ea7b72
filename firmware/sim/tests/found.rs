//! Seeds that were found to break a rule, and what came of it. They were drawn by the schedules of their day: what
//! they stand for has a test of its own beside the code, too.

use sim::{Schedule, run};

/// The seed, and what was wrong: the protocol or the simulator.
const FOUND: [(u64, &str); 13] = [
    (
        125_754,
        "the simulator: a peer that had lost its power did hold the addresses before",
    ),
    (
        401_768,
        "the simulator: what bad weather holds back on a line arrives, too, and only then silence begins",
    ),
    (
        403_126,
        "the simulator: the same with datagrams and a power cut",
    ),
    (
        420_169,
        "the simulator: a box that is off has no dataplane that could become ready",
    ),
    (
        635_211,
        "the simulator: frames that a cut kept from a box are news to it, whoever plays them",
    ),
    (
        822_840,
        "the simulator: who says that it can't remove the addresses is waited for, however long",
    ),
    (
        840_649,
        "the simulator: a peer that has just let go did hold the addresses",
    ),
    (
        1_089_761,
        "the simulator: a loser that is offered the addresses again is no loser any more",
    ),
    (
        1_252_267,
        "the simulator: who stood still reads what was true when it came",
    ),
    (
        1_422_966,
        "the simulator: whose clock stood still takes an old order for a new one",
    ),
    (
        1_447_342,
        "the protocol: old frames that a box heard first after its start kept its peer's out for a dead time",
    ),
    (
        2_398_373,
        "the simulator: news take the way of the links that are left, not that of a faster one that is cut",
    ),
    (
        2_816_093,
        "the simulator: after healing, what worse weather held back still arrives",
    ),
];

#[test]
fn what_was_found_is_mended() {
    for (seed, what) in FOUND {
        let violation = run(&Schedule::draw(seed)).violation;
        assert!(violation.is_none(), "seed {seed} ({what}): {violation:?}");
    }
}
