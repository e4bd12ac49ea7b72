#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::poll;
use crate::testing::{between_two_boxes, ip};

fn open(own: &str, to: Destination) -> UdpLink {
    UdpLink::open("lan0", own.parse().unwrap(), to, 694).unwrap()
}

fn unicast(peer: &str) -> Destination {
    Destination::Unicast(peer.parse().unwrap())
}

fn receive(link: &UdpLink) -> (Vec<u8>, String) {
    let deadline_us = crate::clock::monotonic_us() + 5_000_000;
    let mut buffer = [0; 64];
    loop {
        let mut fds = [poll::readable(link.as_fd())];
        assert_ne!(
            poll::until(&mut fds, Some(deadline_us)),
            Ok(0),
            "nothing came"
        );
        if let Some((length, from)) = link.receive(&mut buffer).unwrap() {
            return (buffer[..length].to_vec(), from.to_string());
        }
    }
}

/// Opens a link in each box before either has an address, as at boot, then sends both ways.
fn check(own: [&'static str; 2], length: u8, to: [Destination; 2]) {
    between_two_boxes(move |boxes| {
        let links = [0, 1].map(|number| {
            boxes.enter(number);
            let link = open(own[number], to[number]);
            // No duplicate address detection for IPv6, a broadcast address for IPv4.
            let rest = if length > 32 { "nodad" } else { "brd +" };
            ip(&format!(
                "addr add {}/{length} {rest} dev lan0",
                own[number]
            ));
            link
        });
        for (from, to) in [(0, 1), (1, 0)] {
            links[from].send(b"beat").unwrap();
            let (datagram, sender) = receive(&links[to]);
            assert_eq!(datagram, b"beat");
            assert!(
                sender.contains(own[from]) && sender.ends_with(":694"),
                "{sender}"
            );
            // Nobody hears himself.
            assert_eq!(links[from].receive(&mut [0; 8]), Ok(None));
        }
    });
}

#[test]
fn unicast_passes_both_ways() {
    check(
        ["192.0.2.1", "192.0.2.2"],
        24,
        [unicast("192.0.2.2"), unicast("192.0.2.1")],
    );
}

#[test]
fn unicast_passes_over_ipv6() {
    check(
        ["2001:db8::1", "2001:db8::2"],
        64,
        [unicast("2001:db8::2"), unicast("2001:db8::1")],
    );
}

#[test]
fn broadcast_passes_both_ways() {
    let to = Destination::Broadcast("192.0.2.255".parse().unwrap());
    check(["192.0.2.1", "192.0.2.2"], 24, [to, to]);
}

#[test]
fn multicast_passes_both_ways() {
    let to = Destination::Multicast("239.192.0.1".parse().unwrap());
    check(["192.0.2.1", "192.0.2.2"], 24, [to, to]);
}

#[test]
fn a_missing_device_is_named() {
    let own = "192.0.2.1".parse().unwrap();
    let error = UdpLink::open("nodev9", own, unicast("192.0.2.2"), 694).unwrap_err();
    assert_eq!(
        error.to_string(),
        "preparing a UDP socket on nodev9: ENODEV: No such device"
    );
}
