#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::announce;
use crate::capture::{bytes as captured, noise};
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// What the kernel would do with a frame: linux/filter.h, as far as the filters use it.
fn passes(program: &[Instruction], frame: &[u8]) -> bool {
    let (mut at, mut accumulator) = (0, 0);
    loop {
        let Instruction {
            code,
            jump_true,
            jump_false,
            operand,
        } = program[at];
        let offset = operand as usize;
        at += 1;
        match code {
            // A load past the end drops the frame.
            0x20 => match bytes::<4>(frame, offset) {
                Some(word) => accumulator = u32::from_be_bytes(word),
                None => return false,
            },
            0x30 => match bytes::<1>(frame, offset) {
                Some([byte]) => accumulator = byte.into(),
                None => return false,
            },
            0x15 if accumulator == operand => at += usize::from(jump_true),
            0x15 => at += usize::from(jump_false),
            0x06 => return operand != 0,
            _ => panic!("unknown code {code:#x}"),
        }
    }
}

#[test]
fn announcements_are_claims() {
    for text in ["192.0.2.80", "2001:db8::80"] {
        let address = text.parse().unwrap();
        for frame in announce::frames(address, MAC) {
            assert_eq!(parse(frame.as_ref()), Some(Claim { address, mac: MAC }));
        }
    }
}

#[test]
fn captured_announcements_are_claims() {
    for text in [
        include_str!("../../captures/gratuitous-arp.hex"),
        include_str!("../../captures/ndisc-notify.hex"),
    ] {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert_eq!(parse(&captured(line)).unwrap().mac, MAC);
        }
    }
}

#[test]
fn an_advertisement_without_its_option_or_off_the_link_is_judged_as_such() {
    let address = "2001:db8::80".parse().unwrap();
    let frame = announce::unsolicited_advertisement(address, MAC);
    let mut from_elsewhere = frame;
    from_elsewhere[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    assert_eq!(parse(&from_elsewhere).unwrap().mac, MAC);
    assert_eq!(parse(&from_elsewhere[..OPTION]).unwrap().mac[5], 9);
    let mut routed = frame;
    routed[HOP_LIMIT] = 64;
    assert_eq!(parse(&routed), None);
    let mut solicitation = frame;
    solicitation[ICMPV6] = 135;
    assert_eq!(parse(&solicitation), None);
}

#[test]
fn filters_pass_what_tells_of_their_addresses_and_nothing_else() {
    let v4: [Ipv4Addr; 2] = ["192.0.2.80", "192.0.2.81"].map(|text| text.parse().unwrap());
    let arp = arp_filter(v4.into_iter());
    for (last, passed) in [(79, false), (80, true), (81, true), (82, false)] {
        let frame = announce::gratuitous_request(Ipv4Addr::new(192, 0, 2, last), MAC);
        assert_eq!(passes(&arp, &frame), passed, "{last}");
    }
    let v6: [Ipv6Addr; 2] = ["2001:db8::80", "2001:db8::1:81"].map(|text| text.parse().unwrap());
    let neighbour = neighbour_filter(v6.into_iter());
    for (text, passed) in [
        ("2001:db8::80", true),
        ("2001:db8::1:81", true),
        ("2001:db8::1:80", false),
        ("2001:db9::80", false),
        ("::80", false),
    ] {
        let mut frame = announce::unsolicited_advertisement(text.parse().unwrap(), MAC);
        assert_eq!(passes(&neighbour, &frame), passed, "{text}");
        frame[ICMPV6] = 135;
        assert!(!passes(&neighbour, &frame));
    }
    assert!(!passes(&arp_filter(core::iter::empty()), &[0; 60]));
    assert!(!passes(&neighbour, &[0; 20]));
}

#[test]
fn too_many_addresses_for_a_filter_pass_all() {
    let many = (0..3000_u32).map(Ipv4Addr::from_bits);
    assert!(passes(&arp_filter(many), &[0; 60]));
}

proptest! {
    #[test]
    fn noise_never_panics(noise in noise()) {
        let _ = parse(&noise);
    }
}
