#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::capture::{assert_sends, decoded, noise};
use crate::event::{self, Event};
use proptest::prelude::*;

fn route(to: &str, length: u8, via: &str) -> Route {
    let to = Prefix {
        address: to.parse().unwrap(),
        length,
    };
    Route {
        to,
        via: via.parse().unwrap(),
        index: Some(30),
    }
}

#[test]
fn only_our_own_routes_are_listed() {
    let v4 = decoded(include_str!("../../captures/route-dump-v4.hex"), decode);
    assert_eq!(v4, [route("198.51.100.0", 24, "192.0.2.254")]);
    let v6 = decoded(include_str!("../../captures/route-dump-v6.hex"), decode);
    assert_eq!(v6, [route("::", 0, "2001:db8::fe")]);
}

#[test]
fn routes_are_set_as_ip_does() {
    let v4 = include_str!("../../captures/route-add-v4-request.hex");
    // Host bits are ours to clear: the kernel would refuse them.
    assert_sends(add(&route("198.51.100.7", 24, "192.0.2.254")), v4);
    let v6 = include_str!("../../captures/route-add-v6-request.hex");
    assert_sends(add(&route("2001:db8:1::", 48, "2001:db8::fe")), v6);
}

#[test]
fn host_bits_are_cleared_at_every_length() {
    let of = |text, length| network(route(text, length, "::").to).to_string();
    assert_eq!(of("10.255.255.255", 0), "0.0.0.0");
    assert_eq!(of("10.255.255.255", 9), "10.128.0.0");
    assert_eq!(of("10.255.255.255", 32), "10.255.255.255");
    assert_eq!(of("2001:db8::1", 0), "::");
    assert_eq!(of("2001:db8::1", 127), "2001:db8::");
}

#[test]
fn ours_is_an_event() {
    let added = decoded(
        include_str!("../../captures/event-route-added.hex"),
        event::decode,
    );
    assert_eq!(
        added,
        [Event::Route(route("198.51.100.0", 25, "192.0.2.254"))]
    );
}

proptest! {
    #[test]
    fn no_body_panics(body in noise(), kind in 24_u16..26) {
        let _ = decode(&Message { kind, flags: NlmF::empty(), sequence: 0, port: 0, body: &body });
    }
}
