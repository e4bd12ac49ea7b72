//! Frames: what is written is read back, what is not ours is told apart by cause.

extern crate std;

use super::*;
use crate::failover::Goal;
use proptest::prelude::*;

fn codec() -> Codec {
    Codec::new(ClusterTag::of_name("pair"), &[7; 32])
}

fn beat(counter: u64, revision: u32, small: u64) -> Beat {
    Beat {
        sender: 255,
        link: 255,
        incarnation: u64::MAX,
        sequence: counter,
        echo: Some(Echo {
            incarnation: u64::MAX,
            sequence: counter,
            revision,
        }),
        asks: true,
        standing: Standing {
            revision,
            term: small,
            state: State::Offering(Goal::Resigned),
            priority: 255,
            fitness: 255,
            ready: true,
            in_sync: true,
            dead_ms: u16::try_from(small).unwrap_or(u16::MAX),
            generation: small,
            digest: u64::MAX,
        },
    }
}

fn any_state() -> impl Strategy<Value = State> {
    let goal = prop_oneof![Just(Goal::Standby), Just(Goal::Held), Just(Goal::Resigned)];
    prop_oneof![
        Just(State::Listening),
        Just(State::Standby),
        Just(State::Asking),
        Just(State::Active),
        goal.clone().prop_map(State::Offering),
        goal.prop_map(State::Releasing),
    ]
}

prop_compose! {
    fn any_standing()(
        revision: u32, term: u64, state in any_state(), priority: u8, fitness: u8, ready: bool,
        in_sync: bool, dead_ms: u16, generation: u64, digest: u64,
    ) -> Standing {
        Standing { revision, term, state, priority, fitness, ready, in_sync, dead_ms, generation, digest }
    }
}

prop_compose! {
    fn any_beat()(
        sender: u8, link: u8, incarnation: u64, sequence: u64, echo: Option<(u64, u64, u32)>,
        asks: bool, standing in any_standing(),
    ) -> Beat {
        let echo = echo.map(|(incarnation, sequence, revision)| Echo { incarnation, sequence, revision });
        Beat { sender, link, incarnation, sequence, echo, asks, standing }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(beat in any_beat()) {
        let frame = codec().encode(&beat).unwrap();
        prop_assert_eq!(codec().decode(&frame), Ok(beat));
    }

    #[test]
    fn no_bytes_panic_or_pass(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(codec().decode(&bytes).is_err());
    }

    #[test]
    fn a_flipped_bit_never_passes(beat in any_beat(), at: prop::sample::Index, bit in 0_u32..8) {
        let mut frame = codec().encode(&beat).unwrap();
        let at = at.index(frame.len());
        frame[at] ^= 1_u8 << bit;
        let expected = match at {
            0 => Rejection::Version,
            1 | 2 => Rejection::WrongCluster,
            _ => Rejection::BadMac,
        };
        prop_assert_eq!(codec().decode(&frame), Err(expected));
    }

    #[test]
    fn a_shortened_frame_never_passes(beat in any_beat(), at: prop::sample::Index) {
        let frame = codec().encode(&beat).unwrap();
        prop_assert!(codec().decode(&frame[..at.index(frame.len())]).is_err());
    }

    /// A MAC proves who wrote, not that it makes sense.
    #[test]
    fn authentic_nonsense_is_malformed(body in prop::collection::vec(any::<u8>(), 0..20)) {
        let codec = codec();
        let mut frame = std::vec![VERSION, codec.cluster.0[0], codec.cluster.0[1]];
        frame.extend(&body);
        let mac = codec.keyed.clone().chain_update(&frame).finalize().into_bytes();
        frame.extend(&mac[..MAC_BYTES]);
        prop_assert_eq!(codec.decode(&frame), Err(Rejection::Malformed));
    }
}

#[test]
fn the_bounds_hold_and_are_tight() {
    let longest = codec().encode(&beat(u64::MAX, u32::MAX, u64::MAX)).unwrap();
    assert_eq!(longest.len(), FRAME_BYTES_MAX);
    let usual = codec()
        .encode(&beat((1 << 28) - 1, (1 << 21) - 1, (1 << 14) - 1))
        .unwrap();
    assert_eq!(usual.len(), FRAME_BYTES_USUAL);
}

#[test]
fn strangers_are_told_apart() {
    let frame = codec().encode(&beat(1, 1, 1)).unwrap();
    let other_key = Codec::new(ClusterTag::of_name("pair"), &[8; 32]);
    let other_cluster = Codec::new(ClusterTag::of_name("other"), &[7; 32]);
    assert_eq!(other_key.decode(&frame), Err(Rejection::BadMac));
    assert_eq!(other_cluster.decode(&frame), Err(Rejection::WrongCluster));
    assert_eq!(codec().decode(&[]), Err(Rejection::Truncated));
    assert_eq!(codec().decode(&frame[..18]), Err(Rejection::Truncated));
    assert_eq!(
        codec().decode(&[VERSION; FRAME_BYTES_MAX + 1]),
        Err(Rejection::TooLong)
    );
}

/// The MAC as Python computes it:
/// `hmac.new(bytes([7])*32, frame[:-16], 'sha256').digest()[:16]`
#[test]
fn the_mac_is_that_of_rfc_2104() {
    let frame = codec().encode(&beat(1, 1, 1)).unwrap();
    let (signed, mac) = frame.split_at(frame.len() - MAC_BYTES);
    let mut reference = <Hmac<Sha256> as Mac>::new_from_slice(&[7; 32]).unwrap();
    reference.update(signed);
    assert_eq!(&reference.finalize().into_bytes()[..MAC_BYTES], mac);
}

#[test]
fn each_rejection_has_its_place_and_its_words() {
    for (index, rejection) in Rejection::ALL.iter().enumerate() {
        assert_eq!(*rejection as usize, index);
        assert!(!std::format!("{rejection}").is_empty());
    }
}
