//! Frames in which somebody says that an address is his: ARP with it as the sender's (RFC 826, RFC 5227
//! section 2.4) and neighbour advertisements with it as the target (RFC 4861 section 4.4). `filter` lets the
//! kernel pass only such as tell of given addresses, so that a busy segment wakes nobody. Pure.

use std::net::IpAddr;

mod filter;

pub use filter::{Instruction, arp_filter, neighbour_filter};

/// Who says that an address is his.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The address.
    pub address: IpAddr,
    /// Where he says it lives.
    pub mac: [u8; 6],
}

/// Bytes to read of a frame: behind them nothing matters here.
pub const FRAME_BYTES: usize = OPTION + 8;

/// Offsets from the Ethernet header's first byte.
const ETHERTYPE: usize = 12;
const SENDER_MAC: usize = 22;
const SENDER_ADDRESS: usize = 28;
const NEXT_HEADER: usize = 20;
const HOP_LIMIT: usize = 21;
const ICMPV6: usize = 54;
const TARGET: usize = 62;
const OPTION: usize = 78;

/// Ethertype ARP, hardware Ethernet, protocol IPv4, lengths 6 and 4.
const ARP: [u8; 8] = [0x08, 0x06, 0, 1, 8, 0, 6, 4];
const IPV6: [u8; 2] = [0x86, 0xdd];

/// Next header ICMPv6.
const ICMPV6_HEADER: u8 = 58;
/// Anything less came through a router (RFC 4861 section 7.1.2).
const HOP_LIMIT_ON_LINK: u8 = 255;
/// Neighbour advertisement.
const ADVERTISEMENT: u8 = 136;
/// Target link-layer address, one unit of 8 bytes.
const OPTION_TARGET_MAC: [u8; 2] = [2, 1];

/// The claim in a frame, Ethernet header first; `None` for a frame that makes none.
#[must_use]
pub fn parse(frame: &[u8]) -> Option<Claim> {
    by_arp(frame).or_else(|| by_advertisement(frame))
}

fn by_arp(frame: &[u8]) -> Option<Claim> {
    let is_arp = bytes::<8>(frame, ETHERTYPE)? == ARP;
    is_arp.then_some(Claim {
        address: IpAddr::from(bytes::<4>(frame, SENDER_ADDRESS)?),
        mac: bytes(frame, SENDER_MAC)?,
    })
}

/// An advertisement without the option comes from the address it tells of.
fn by_advertisement(frame: &[u8]) -> Option<Claim> {
    let is_advertisement = bytes::<2>(frame, ETHERTYPE)? == IPV6
        && bytes::<1>(frame, NEXT_HEADER)? == [ICMPV6_HEADER]
        && bytes::<1>(frame, HOP_LIMIT)? == [HOP_LIMIT_ON_LINK]
        && bytes::<1>(frame, ICMPV6)? == [ADVERTISEMENT];
    let source = bytes(frame, 6)?;
    let told = bytes::<2>(frame, OPTION)
        .filter(|option| *option == OPTION_TARGET_MAC)
        .and_then(|_| bytes(frame, OPTION + 2));
    is_advertisement.then_some(Claim {
        address: IpAddr::from(bytes::<16>(frame, TARGET)?),
        mac: told.unwrap_or(source),
    })
}

fn bytes<const N: usize>(frame: &[u8], offset: usize) -> Option<[u8; N]> {
    frame.get(offset..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests;
