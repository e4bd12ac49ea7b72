//! Seeds that were found to break a rule, and what came of it. They were drawn by the schedules of their day: what
//! they stand for has a test of its own beside the code, too.

use sim::{Schedule, run};

/// The seed, and what was wrong: the protocol or the simulator.
const FOUND: [(u64, &str); 26] = [
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
    (
        2_983_137,
        "the protocol: what a peer said without hearing this box counted by the dead time of then, not of now",
    ),
    (
        3_434_780,
        "the protocol: a handover went on with a worker that had taken the addresses, died and was started anew",
    ),
    (
        3_562_337,
        "the protocol: the same by the operator's standby",
    ),
    (
        3_777_009,
        "the protocol: the same, and the box that hands over stood still",
    ),
    (
        4_461_107,
        "the protocol: the same over the slowest line, with the other link cut",
    ),
    (
        5_130_571,
        "the protocol: the same over the slowest line alone",
    ),
    (
        5_203_085,
        "the protocol: the operator's order was carried out after a standstill, long after it was given",
    ),
    (
        5_339_309,
        "the protocol: the same, refused until then for want of a carrier",
    ),
    (
        7_035_061,
        "the protocol: a handover to a worker that was started anew, asked for by the peer",
    ),
    (
        7_156_705,
        "the simulator: one fault took the carriers of both, and its news take their time",
    ),
    (
        7_285_509,
        "the protocol: the frames of two starts, read in the wrong order, buried the living one for ever",
    ),
    (
        7_759_163,
        "the protocol: a handover to a worker that was started anew, with one link cut",
    ),
    (
        23_867_981,
        "the protocol: old frames that came oftener than beats kept a worker that was started anew from its peer",
    ),
];

#[test]
fn what_was_found_is_mended() {
    for (seed, what) in FOUND {
        let violation = run(&Schedule::draw(seed)).violation;
        assert!(violation.is_none(), "seed {seed} ({what}): {violation:?}");
    }
}
