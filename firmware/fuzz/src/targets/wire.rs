//! Heartbeat frames. A stranger's bytes stop at the MAC, so half of all inputs are put behind a right one:
//! what only a holder of the key could send must not panic either.

use hmac::{Hmac, Mac};
use proto::failover::State;
use proto::wire::{
    Beat, ClusterTag, Codec, Echo, FRAME_BYTES_MAX, HEADER_BYTES, MAC_BYTES, Standing,
};
use sha2::Sha256;

/// The key of the pairs in these tests.
pub(super) const KEY: [u8; 32] = [7; 32];

pub(super) fn codec() -> Codec {
    Codec::new(tag(), &KEY)
}

pub(super) fn tag() -> ClusterTag {
    ClusterTag::of_name("edge")
}

/// A frame, or by the first byte what stands in one.
pub(super) fn run(bytes: &[u8]) {
    let Some((&signed, bytes)) = bytes.split_first() else {
        return;
    };
    let frame = if signed % 2 == 1 {
        sign(bytes)
    } else {
        bytes.into()
    };
    let codec = codec();
    let Ok(beat) = codec.decode(&frame) else {
        return;
    };
    let again = codec.encode(&beat);
    assert!(again.is_some(), "{beat:?} does not fit a frame");
    let again = again.unwrap_or_default();
    assert_eq!(codec.decode(&again), Ok(beat));
    for position in 0..again.len() {
        let mut torn = again.clone();
        if let Some(byte) = torn.get_mut(position) {
            *byte ^= 0x10;
        }
        assert!(
            codec.decode(&torn).is_err(),
            "byte {position} is not protected"
        );
    }
}

/// The frame of these bytes, with header and MAC.
fn sign(body: &[u8]) -> Vec<u8> {
    let header = codec().encode(&beat(1)).unwrap_or_default();
    let mut frame = header.get(..HEADER_BYTES).unwrap_or_default().to_vec();
    frame.extend(body.iter().take(FRAME_BYTES_MAX));
    frame.extend(mac(&frame));
    frame
}

/// The MAC of these bytes, as RFC 2104 has it: reckoned here, not asked of the codec under test.
fn mac(bytes: &[u8]) -> Vec<u8> {
    let Ok(keyed) = Hmac::<Sha256>::new_from_slice(&KEY) else {
        return Vec::new();
    };
    let mac = keyed.chain_update(bytes).finalize().into_bytes();
    mac.iter().copied().take(MAC_BYTES).collect()
}

/// Whether a holder of the key made the frame.
pub(super) fn is_signed(frame: &[u8]) -> bool {
    let parts = frame.split_last_chunk::<MAC_BYTES>();
    parts.is_some_and(|(bytes, found)| mac(bytes) == found)
}

/// An ordinary one.
pub(super) fn beat(sequence: u64) -> Beat {
    Beat {
        sender: 2,
        link: 0,
        incarnation: 0x1122_3344_5566_7788,
        sequence,
        echo: Some(Echo {
            incarnation: 3,
            sequence: 4,
            revision: 5,
        }),
        asks: false,
        standing: standing(State::Active),
    }
}

pub(super) fn standing(state: State) -> Standing {
    Standing {
        revision: 6,
        term: 2,
        state,
        priority: 100,
        fitness: 2,
        ready: true,
        in_sync: true,
        dead_ms: 200,
        generation: 1,
        digest: 9,
    }
}

/// A frame as it is sent, and its inside.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let frame = codec().encode(&beat(300)).unwrap_or_default();
    let inside = frame.get(HEADER_BYTES..frame.len().saturating_sub(MAC_BYTES));
    vec![
        [&[0], frame.as_slice()].concat(),
        [&[1], inside.unwrap_or_default()].concat(),
    ]
}
