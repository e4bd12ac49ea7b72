//! Frames that tell a segment where an address lives now: gratuitous ARP for IPv4 and unsolicited
//! neighbour advertisements for IPv6, Ethernet header included. Pure; `sys::packet` sends them.

mod arp;
mod neighbour;

pub use arp::{gratuitous_reply, gratuitous_request};
pub use neighbour::unsolicited_advertisement;
use std::net::IpAddr;

/// Bytes of an Ethernet header: destination, source, type.
const ETHERNET_BYTES: usize = 14;

/// Longest frame that `frames` makes.
pub const FRAME_BYTES_MAX: usize = neighbour::FRAME_BYTES;

/// All frames that announce `address` at `mac`, in the order to send them: for IPv4 a request and a
/// reply, since hosts differ in which one they believe; for IPv6 one advertisement.
pub fn frames(address: IpAddr, mac: [u8; 6]) -> impl Iterator<Item = Frame> {
    let both = match address {
        IpAddr::V4(address) => [
            Some(Frame::new(&gratuitous_request(address, mac))),
            Some(Frame::new(&gratuitous_reply(address, mac))),
        ],
        IpAddr::V6(address) => [
            Some(Frame::new(&unsolicited_advertisement(address, mac))),
            None,
        ],
    };
    both.into_iter().flatten()
}

/// A frame on the stack: announcing allocates nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    bytes: [u8; FRAME_BYTES_MAX],
    length: usize,
}

impl Frame {
    fn new(frame: &[u8]) -> Self {
        let mut bytes = [0; FRAME_BYTES_MAX];
        for (to, from) in bytes.iter_mut().zip(frame) {
            *to = *from;
        }
        Frame {
            bytes,
            length: frame.len(),
        }
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Puts `parts` one after the other into `N` bytes, zeros behind.
fn concatenate<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes
        .iter_mut()
        .zip(parts.iter().flat_map(|part| part.iter()))
    {
        *to = *from;
    }
    bytes
}

#[cfg(test)]
mod tests;
