//! Unsolicited neighbour advertisements (RFC 4861 sections 4.4 and 7.2.6) to all nodes: IPv6 with hop
//! limit 255, ICMPv6 type 136 with the override flag, and the target link-layer address option.

use super::{ETHERNET_BYTES, concatenate};
use std::net::Ipv6Addr;

/// Header of IPv6.
const IPV6_BYTES: usize = 40;

/// Type to reserved field, target address, and an option of 8.
const ICMPV6_BYTES: u8 = 8 + 16 + 8;

pub(super) const FRAME_BYTES: usize = ETHERNET_BYTES + IPV6_BYTES + ICMPV6_BYTES as usize;

/// ff02::1, and its Ethernet address (RFC 2464 section 7).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];

/// Version 6, traffic class and flow label 0.
const VERSION: [u8; 4] = [0x60, 0, 0, 0];
const NEXT_HEADER_ICMPV6: u8 = 58;

/// Anything less did come through a router and is thrown away (section 7.1.2).
const HOP_LIMIT: u8 = 255;

const TYPE_ADVERTISEMENT: [u8; 2] = [136, 0];

/// Router and override, not solicited: a box that has IPv6 virtual addresses forwards.
const FLAGS: [u8; 4] = [0xa0, 0, 0, 0];

/// Target link-layer address, one unit of 8 bytes.
const OPTION: [u8; 2] = [2, 1];

/// Says to all nodes that `address` is at `mac`, whatever they have cached.
#[must_use]
pub fn unsolicited_advertisement(address: Ipv6Addr, mac: [u8; 6]) -> [u8; FRAME_BYTES] {
    let (source, all) = (address.octets(), ALL_NODES.octets());
    let length = [0, ICMPV6_BYTES];
    let checksum = checksum(&[
        &source,
        &all,
        &length,
        &[0, NEXT_HEADER_ICMPV6],
        &TYPE_ADVERTISEMENT,
        &FLAGS,
        &source,
        &OPTION,
        &mac,
    ]);
    concatenate(&[
        &ALL_NODES_MAC,
        &mac,
        &ETHERTYPE_IPV6,
        &VERSION,
        &length,
        &[NEXT_HEADER_ICMPV6, HOP_LIMIT],
        &source,
        &all,
        &TYPE_ADVERTISEMENT,
        &checksum,
        &FLAGS,
        &source,
        &OPTION,
        &mac,
    ])
}

/// The Internet checksum (RFC 1071) of parts of even length.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let pairs = parts.iter().flat_map(|part| part.as_chunks::<2>().0);
    let sum = pairs.fold(0_u16, |sum, pair| {
        let (sum, carry) = sum.overflowing_add(u16::from_be_bytes(*pair));
        sum + u16::from(carry)
    });
    (!sum).to_be_bytes()
}
