#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::capture::{assert_sends, decoded, noise};
use crate::event::{self, Event};
use proptest::prelude::*;

fn address(text: &str, length: u8) -> Address {
    Address {
        index: 30,
        prefix: Prefix {
            address: text.parse().unwrap(),
            length,
        },
    }
}

#[test]
fn global_addresses_are_listed_and_no_others() {
    let found = decoded(include_str!("../../captures/address-dump.hex"), decode);
    assert_eq!(
        found,
        [address("192.0.2.1", 24), address("2001:db8::1", 64)]
    );
}

#[test]
fn addresses_are_set_as_ip_does() {
    let v4 = include_str!("../../captures/address-add-v4-request.hex");
    assert_sends(add(&address("192.0.2.1", 24)), v4);
    let v6 = include_str!("../../captures/address-add-v6-request.hex");
    assert_sends(add(&address("2001:db8::1", 64)), v6);
}

#[test]
fn broadcast_is_where_the_network_has_one() {
    let of = |text, length| broadcast(address(text, length).prefix).map(|b| b.to_string());
    assert_eq!(of("192.0.2.1", 24).as_deref(), Some("192.0.2.255"));
    assert_eq!(of("10.1.2.3", 0).as_deref(), Some("255.255.255.255"));
    assert_eq!(of("192.0.2.1", 30).as_deref(), Some("192.0.2.3"));
    assert_eq!(of("192.0.2.1", 31), None);
    assert_eq!(of("192.0.2.1", 32), None);
    assert_eq!(of("2001:db8::1", 64), None);
}

#[test]
fn coming_and_going_are_events() {
    let added = decoded(
        include_str!("../../captures/event-address-added.hex"),
        event::decode,
    );
    assert_eq!(added, [Event::Address(address("192.0.2.7", 24))]);
    let gone = decoded(
        include_str!("../../captures/event-address-deleted.hex"),
        event::decode,
    );
    assert_eq!(gone, [Event::AddressGone(address("192.0.2.7", 24))]);
}

proptest! {
    #[test]
    fn no_body_panics(body in noise(), kind in 20_u16..22) {
        let _ = decode(&Message { kind, flags: NlmF::empty(), sequence: 0, port: 0, body: &body });
    }
}
