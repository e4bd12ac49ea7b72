#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::capture::{assert_sends, bytes, decoded, noise};
use crate::event::{self, Event};
use crate::message::messages;
use proptest::prelude::*;

fn device(index: u32, name: &str, mac: u8) -> Device {
    Device {
        index,
        name: name.into(),
        mac: [2, 0, 0, 0, 0, mac],
        permanent_mac: None,
        up: true,
        carrier: true,
        mtu_bytes: 1500,
    }
}

#[test]
fn devices_are_listed() {
    let devices = decoded(include_str!("../../captures/link-dump.hex"), decode);
    let lo = &devices[0];
    assert_eq!((lo.name.as_str(), lo.mac, lo.up), ("lo", [0; 6], false));
    let lan0 = Device {
        mtu_bytes: 1400,
        ..device(30, "lan0", 1)
    };
    assert_eq!(devices[1..], [lan0, device(31, "lan1", 2)]);
}

#[test]
fn link_is_set_up_as_ip_does() {
    let capture = include_str!("../../captures/link-set-up-request.hex");
    assert_sends(set_up(30, Some(1400)), capture);
}

#[test]
fn a_device_above_a_card_is_made_and_removed_as_ip_does() {
    let made = add_macvlan("vmac0-3", 3, [2, 1, 2, 3, 4, 0]);
    let capture = include_str!("../../captures/macvlan-add-request.hex");
    assert_sends(made, capture);
    let capture = include_str!("../../captures/link-set-down-request.hex");
    assert_sends(set_down(4), capture);
    let capture = include_str!("../../captures/link-delete-request.hex");
    assert_sends(delete(4), capture);
}

#[test]
fn a_pair_of_devices_is_made_as_ip_does() {
    let capture = include_str!("../../captures/veth-add-request.hex");
    assert_sends(add_veth("ipvs0", "ipvs1"), capture);
}

#[test]
fn mtu_is_left_alone_unless_told() {
    let bytes = set_up(30, None).unwrap().to_bytes(1);
    assert_eq!(bytes.len(), 32);
}

#[test]
fn neighbours_are_forgotten_by_a_change_that_changes_nothing() {
    let bytes = forget_neighbours(30).unwrap().to_bytes(1);
    let message = messages(&bytes).next().unwrap().unwrap();
    assert_eq!(Rtm::from(message.kind), Rtm::Newlink);
    assert!(!message.flags.contains(NlmF::CREATE));
    let header = [0, 0, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // IFLA_AF_SPEC (26) with AF_INET (2), and nothing in it.
    let settings = [8, 0, 26, 0, 4, 0, 2, 0];
    assert_eq!(message.body, [&header[..], &settings].concat());
}

#[test]
fn carrier_and_departure_are_events() {
    let lost = decoded(
        include_str!("../../captures/event-carrier-lost.hex"),
        event::decode,
    );
    // One for each end of the cable: the far one set down, ours without carrier.
    assert!(
        lost.iter().any(
            |event| matches!(event, Event::Device(d) if d.name == "lan0" && d.up && !d.carrier)
        )
    );
    let gone = decoded(
        include_str!("../../captures/event-device-gone.hex"),
        event::decode,
    );
    assert!(matches!(&gone[..], [Event::DeviceGone(d)] if d.name.starts_with("lan")));
}

#[test]
fn a_card_is_known_by_its_permanent_address_and_answers_to_the_current_one() {
    // IFLA_PERM_ADDRESS (54) behind all others of lan1.
    let dump = bytes(include_str!("../../captures/link-dump.hex"));
    let message = messages(&dump).flatten().nth(2).unwrap();
    let permanent = [10, 0, 54, 0, 2, 0, 0, 0, 0, 9, 0, 0];
    let body = [message.body, &permanent].concat();
    let found = decode(&Message {
        body: &body,
        ..message
    })
    .unwrap()
    .unwrap();
    assert_eq!(found.mac, [2, 0, 0, 0, 0, 2]);
    assert_eq!(found.known_by(), [2, 0, 0, 0, 0, 9]);
}

proptest! {
    #[test]
    fn no_body_panics(body in noise(), kind in 16_u16..18) {
        let _ = decode(&Message { kind, flags: NlmF::empty(), sequence: 0, port: 0, body: &body });
    }

    #[test]
    fn no_cut_or_flip_panics(cut: usize, at: usize, bit in 0_u8..8) {
        let mut dump = bytes(include_str!("../../captures/link-dump.hex"));
        dump.truncate(cut % dump.len() + 1);
        let at = at % dump.len();
        dump[at] ^= 1 << bit;
        for message in messages(&dump).flatten() {
            let _ = event::decode(&message);
        }
    }
}
