//! What a holder of the key could send: any bytes behind a right header and MAC.

use super::super::wire::{Codec, HEADER_BYTES, MAC_BYTES, derive};
use super::super::{DATAGRAM_BYTES_MAX, MAC_PURPOSE, Rejection};
use super::world::{KEY, World};
use crate::wire::ClusterTag;
use alloc::vec::Vec;
use proptest::prelude::*;

/// The next datagram of the first box, with other items.
fn forged(world: &mut World, items: &[u8]) -> Vec<u8> {
    let codec = Codec::new(ClusterTag::of_name("edge"), &derive(&KEY, MAC_PURPOSE));
    world.sides[0].engine.request_flush(world.now);
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    let length = world.sides[0]
        .engine
        .poll_transmit(world.now, &mut buffer)
        .unwrap();
    let (header, _) = codec.open(&buffer[..length]).unwrap();
    let mut forged = [0; DATAGRAM_BYTES_MAX];
    let mut out = codec.begin(&mut forged, &header).unwrap();
    out.put(items).unwrap();
    let length = codec.finish(&mut out).unwrap();
    forged[..length].to_vec()
}

fn joined() -> World {
    let mut world = World::new(5);
    world.put(0, 1, 1);
    world.settle();
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Malformed ones change nothing; all others are taken, and the boxes agree again.
    #[test]
    fn any_items_are_borne(mut items in proptest::collection::vec(any::<u8>(), 0..300), tag in 0_u8..5) {
        // Most tags are none: half of all begin with one that is.
        if let Some(first) = items.first_mut() {
            *first = [*first, 0, 0x20, 0x30, 0x40][usize::from(tag)];
        }
        let mut world = joined();
        let datagram = forged(&mut world, &items);
        let before = world.rejected(1);
        let result = world.deliver(1, &datagram);
        prop_assert!(matches!(result, Ok(()) | Err(Rejection::Malformed)), "{result:?}");
        prop_assert!(world.has_counted(1, before, result.err().as_slice()));
        world.settle();
        prop_assert_eq!(world.state(1, 1), Some(1));
    }
}

#[test]
fn every_wrong_length_is_refused_and_counted() {
    let mut world = joined();
    let datagram = forged(&mut world, &[]);
    let (before, mut causes) = (world.rejected(1), Vec::new());
    for length in 0..datagram.len() {
        let result = world.deliver(1, &datagram[..length]);
        let is_short = length < HEADER_BYTES + MAC_BYTES;
        let expected = if is_short {
            Rejection::Truncated
        } else {
            Rejection::BadMac
        };
        assert_eq!(result, Err(expected), "{length} bytes");
        causes.push(expected);
    }
    let long = [0; DATAGRAM_BYTES_MAX + 1];
    assert_eq!(world.deliver(1, &long), Err(Rejection::TooLong));
    assert_eq!(world.deliver(1, &datagram), Ok(()));
    assert_eq!(world.deliver(1, &datagram), Err(Rejection::Replayed));
    causes.extend([Rejection::TooLong, Rejection::Replayed]);
    assert!(world.has_counted(1, before, &causes));
}
