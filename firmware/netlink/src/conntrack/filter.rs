//! Which flows a twin has no use for, and a program that keeps the kernel from telling a socket of what another socket
//! of ours did.

use super::tuple::UDP;
use super::{FlowRef, Ports, Tuple};
use crate::claim::Instruction;
use std::net::{IpAddr, Ipv6Addr};

/// Offset of `nlmsg_pid` in `struct nlmsghdr`.
const PORT: u32 = 12;

/// BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K and BPF_RET | BPF_K.
const LOAD_WORD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// What is the pair's own, and so never mirrored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    addresses: Vec<IpAddr>,
    udp_ports: Vec<u16>,
}

impl Own {
    /// `addresses`: those of both boxes that stay where they are, so none of the virtual ones. `udp_ports`: those that
    /// heartbeats and state sync are sent to.
    #[must_use]
    pub fn new(addresses: impl IntoIterator<Item = IpAddr>, udp_ports: &[u16]) -> Self {
        let mut addresses: Vec<IpAddr> = addresses.into_iter().collect();
        addresses.sort_unstable();
        addresses.dedup();
        Own {
            addresses,
            udp_ports: udp_ports.to_vec(),
        }
    }

    /// Whether the twin has a use for a flow. It has none for what it could not carry on: what a box says to itself,
    /// to its twin or to its segment, and what begins, ends or is translated at an address that dies with its box.
    #[must_use]
    pub fn lets_mirror(&self, flow: &FlowRef<'_>) -> bool {
        let ends = [
            flow.original.source(),
            flow.original.destination(),
            flow.reply.source(),
            flow.reply.destination(),
        ];
        let stays_here = |end: &IpAddr| is_local(*end) || self.addresses.binary_search(end).is_ok();
        !ends.iter().any(stays_here) && !self.is_own_talk(&flow.original)
    }

    fn is_own_talk(&self, tuple: &Tuple) -> bool {
        match tuple.ports {
            Ports::Ports { destination, .. } => {
                tuple.protocol == UDP && self.udp_ports.contains(&destination)
            }
            Ports::Icmp { .. } | Ports::None => false,
        }
    }
}

/// What no router forwards: loopback, link-local, multicast and broadcast.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_loopback()
                || address.is_multicast()
                || address.is_broadcast()
                || address.is_unspecified()
                || address.is_link_local()
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_multicast()
                || address.is_unspecified()
                || is_link_local(address)
        }
    }
}

/// fe80::/10.
fn is_link_local(address: Ipv6Addr) -> bool {
    let [first, ..] = address.segments();
    first & 0xffc0 == 0xfe80
}

/// A classic BPF program that drops messages which the socket of that port caused, and passes all others.
#[must_use]
pub fn without_port(port: u32) -> [Instruction; 4] {
    let instruction = |code, operand| Instruction {
        code,
        jump_true: 0,
        jump_false: 0,
        operand,
    };
    // BPF loads in network order what the kernel wrote in its own.
    let port = u32::from_be_bytes(port.to_ne_bytes());
    [
        instruction(LOAD_WORD, PORT),
        Instruction {
            jump_false: 1,
            ..instruction(JUMP_EQUAL, port)
        },
        instruction(RETURN, 0),
        instruction(RETURN, u32::MAX),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::conntrack::Addresses;

    fn tuple(protocol: u8, source: &str, destination: &str, port: u16) -> Tuple {
        let addresses = match (source.parse().unwrap(), destination.parse().unwrap()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Addresses::V4 {
                source,
                destination,
            },
            (IpAddr::V6(source), IpAddr::V6(destination)) => Addresses::V6 {
                source,
                destination,
            },
            other => unreachable!("{other:?}"),
        };
        let ports = Ports::Ports {
            source: 1000,
            destination: port,
        };
        Tuple {
            addresses,
            protocol,
            ports,
        }
    }

    /// Whether a flow with these ends is mirrored, answered from and to these.
    fn is_mirrored(original: Tuple, reply: Tuple) -> bool {
        let own = ["192.0.2.2", "192.0.2.3", "2001:db8::2", "2001:db8::3"];
        let own = Own::new(own.map(|address| address.parse().unwrap()), &[694, 695]);
        own.lets_mirror(&FlowRef {
            timeout_s: Some(1),
            ..FlowRef::new(original, reply)
        })
    }

    fn is_mirrored_plain(original: Tuple) -> bool {
        is_mirrored(original, original.inverse().unwrap())
    }

    #[test]
    fn what_is_forwarded_is_mirrored() {
        assert!(is_mirrored_plain(tuple(6, "10.0.0.1", "198.51.100.1", 80)));
        assert!(is_mirrored_plain(tuple(
            6,
            "2001:db8:1::1",
            "2001:db8:2::1",
            80
        )));
        // Behind the virtual address 192.0.2.1.
        let original = tuple(6, "10.0.0.1", "198.51.100.1", 80);
        assert!(is_mirrored(
            original,
            tuple(6, "198.51.100.1", "192.0.2.1", 1000)
        ));
        // TCP to the port of heartbeats is somebody else's.
        assert!(is_mirrored_plain(tuple(6, "10.0.0.1", "198.51.100.1", 694)));
    }

    #[test]
    fn what_dies_with_its_box_is_not() {
        for (source, destination) in [
            ("192.0.2.2", "198.51.100.1"),
            ("198.51.100.1", "192.0.2.3"),
            ("2001:db8::2", "2001:db8:2::1"),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("fe80::1", "2001:db8::9"),
            ("10.0.0.1", "224.0.0.18"),
            ("10.0.0.1", "255.255.255.255"),
            ("2001:db8::9", "ff02::1"),
        ] {
            let original = tuple(6, source, destination, 80);
            assert!(!is_mirrored_plain(original), "{source} to {destination}");
        }
        let original = tuple(6, "10.0.0.1", "198.51.100.1", 80);
        let masqueraded = tuple(6, "198.51.100.1", "192.0.2.2", 1000);
        assert!(!is_mirrored(original, masqueraded));
    }

    #[test]
    fn heartbeats_and_sync_are_not() {
        for port in [694, 695] {
            let beat = tuple(UDP, "10.0.0.1", "10.0.0.2", port);
            assert!(!is_mirrored_plain(beat), "port {port}");
        }
        assert!(is_mirrored_plain(tuple(UDP, "10.0.0.1", "10.0.0.2", 696)));
    }
}
