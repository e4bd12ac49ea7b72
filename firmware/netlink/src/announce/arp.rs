//! Gratuitous ARP (RFC 5227 section 3, RFC 5944 section 4.6; format RFC 826): sender and target protocol
//! address are the address announced.

use super::{ETHERNET_BYTES, concatenate};
use std::net::Ipv4Addr;

/// Ethernet header and ARP packet; padding to 60 bytes is the device's.
pub(super) const FRAME_BYTES: usize = ETHERNET_BYTES + 28;

const BROADCAST: [u8; 6] = [0xff; 6];
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];

/// Hardware type Ethernet, protocol type IPv4, 6 and 4 bytes long.
const KIND: [u8; 6] = [0, 1, 8, 0, 6, 4];

const REQUEST: [u8; 2] = [0, 1];
const REPLY: [u8; 2] = [0, 2];

/// An ARP announcement of RFC 5227: a request, its target hardware address zero.
#[must_use]
pub fn gratuitous_request(address: Ipv4Addr, mac: [u8; 6]) -> [u8; FRAME_BYTES] {
    frame(REQUEST, address, mac, [0; 6])
}

/// The reply form of RFC 5944: its target hardware address is the sender's own.
#[must_use]
pub fn gratuitous_reply(address: Ipv4Addr, mac: [u8; 6]) -> [u8; FRAME_BYTES] {
    frame(REPLY, address, mac, mac)
}

fn frame(
    operation: [u8; 2],
    address: Ipv4Addr,
    mac: [u8; 6],
    target: [u8; 6],
) -> [u8; FRAME_BYTES] {
    let octets = address.octets();
    let header: [&[u8]; 3] = [&BROADCAST, &mac, &ETHERTYPE_ARP];
    let packet: [&[u8]; 6] = [&KIND, &operation, &mac, &octets, &target, &octets];
    let [a, b, c] = header;
    let [d, e, f, g, h, i] = packet;
    concatenate(&[a, b, c, d, e, f, g, h, i])
}
