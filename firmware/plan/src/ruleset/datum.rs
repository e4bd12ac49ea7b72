//! Constants that rules compare with and sets hold, each of a kind; and the kinds, which nft calls data types.
//! The encoder refuses a comparison of a selector with a constant of another kind.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::BitOr;

/// The kind of a constant, of a selector, of one part of a set's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `ipv4_addr`
    Ipv4,
    /// `ipv6_addr`
    Ipv6,
    /// `ether_addr`
    Mac,
    /// `ether_type`
    EtherType,
    /// `inet_proto`
    Protocol,
    /// `inet_service`
    Port,
    /// `icmp_type`
    IcmpType,
    /// `icmpv6_type`
    Icmpv6Type,
    /// `mark`
    Mark,
    /// `ifname`
    Interface,
    /// `iface_index`
    InterfaceIndex,
    /// `nf_proto`
    NfProtocol,
    /// `ct_state`
    States,
    /// `ct_status`
    Status,
    /// `ct_dir`
    Direction,
    /// `tcp_flag`
    TcpFlags,
    /// `fib_addrtype`
    AddressType,
    /// `pkt_type`
    PacketType,
    /// `arp_op`
    ArpOperation,
    /// `boolean`
    Bool,
    /// An integer of one byte.
    Number8,
    /// An integer of two bytes, as packets carry it.
    Number16,
    /// An integer of four bytes, as the kernel holds it (lengths, numgen, jhash).
    Number32,
    /// An integer of two bytes, as the kernel holds it (`ct zone`).
    Zone,
}

/// A constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Datum {
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// An IPv6 address.
    Ipv6(Ipv6Addr),
    /// A hardware address.
    Mac([u8; 6]),
    /// What an Ethernet frame carries (0x0800: IPv4).
    EtherType(u16),
    /// A transport protocol (6: TCP).
    Protocol(u8),
    /// A port.
    Port(u16),
    /// An ICMP message.
    IcmpType(u8),
    /// An ICMPv6 message.
    Icmpv6Type(u8),
    /// A packet's or a connection's mark.
    Mark(u32),
    /// The name of a device, whole.
    Interface(InterfaceName),
    /// The number of a device.
    InterfaceIndex(u32),
    /// Netfilter's own number of a family (2: IPv4, 10: IPv6).
    NfProtocol(u8),
    /// States of a connection.
    States(ConnectionStates),
    /// What was done with a connection.
    Status(ConnectionStatus),
    /// A packet's direction in its connection.
    Direction(Direction),
    /// TCP flags.
    TcpFlags(TcpFlags),
    /// What an address is to this box.
    AddressType(AddressType),
    /// To whom a frame was sent.
    PacketType(PacketType),
    /// An ARP operation (1: request, 2: reply).
    ArpOperation(u16),
    /// Whether there is such a thing.
    Bool(bool),
    /// A byte.
    Number8(u8),
    /// Two bytes, as packets carry them.
    Number16(u16),
    /// A number, as the kernel holds it.
    Number32(u32),
    /// A conntrack zone.
    Zone(u16),
}

impl Datum {
    /// TCP, UDP, ICMP and ICMPv6, the transport protocols with fields of their own here, and SCTP.
    pub const TCP: Self = Self::Protocol(6);
    /// UDP.
    pub const UDP: Self = Self::Protocol(17);
    /// ICMP.
    pub const ICMP: Self = Self::Protocol(1);
    /// ICMPv6.
    pub const ICMPV6: Self = Self::Protocol(58);
    /// SCTP.
    pub const SCTP: Self = Self::Protocol(132);
    /// `meta nfproto ipv4`.
    pub const IPV4: Self = Self::NfProtocol(2);
    /// `meta nfproto ipv6`.
    pub const IPV6: Self = Self::NfProtocol(10);

    /// What kind it is of.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Ipv4(_) => Kind::Ipv4,
            Self::Ipv6(_) => Kind::Ipv6,
            Self::Mac(_) => Kind::Mac,
            Self::EtherType(_) => Kind::EtherType,
            Self::Protocol(_) => Kind::Protocol,
            Self::Port(_) => Kind::Port,
            Self::IcmpType(_) => Kind::IcmpType,
            Self::Icmpv6Type(_) => Kind::Icmpv6Type,
            Self::Mark(_) => Kind::Mark,
            Self::Interface(_) => Kind::Interface,
            Self::InterfaceIndex(_) => Kind::InterfaceIndex,
            Self::NfProtocol(_) => Kind::NfProtocol,
            Self::States(_) => Kind::States,
            Self::Status(_) => Kind::Status,
            Self::Direction(_) => Kind::Direction,
            Self::TcpFlags(_) => Kind::TcpFlags,
            Self::AddressType(_) => Kind::AddressType,
            Self::PacketType(_) => Kind::PacketType,
            Self::ArpOperation(_) => Kind::ArpOperation,
            Self::Bool(_) => Kind::Bool,
            Self::Number8(_) => Kind::Number8,
            Self::Number16(_) => Kind::Number16,
            Self::Number32(_) => Kind::Number32,
            Self::Zone(_) => Kind::Zone,
        }
    }
}

impl From<IpAddr> for Datum {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::Ipv4(v4),
            IpAddr::V6(v6) => Self::Ipv6(v6),
        }
    }
}

impl From<InterfaceName> for Datum {
    fn from(name: InterfaceName) -> Self {
        Self::Interface(name)
    }
}

/// The name of a network device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName([u8; 16]);

impl InterfaceName {
    /// `None` for what can't be a device's name: empty, longer than 15 bytes, with a blank or a slash
    /// (dev_valid_name in net/core/dev.c).
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let is_bad =
            |byte: u8| byte == b'/' || byte == b':' || byte == 0 || byte.is_ascii_whitespace();
        if name.is_empty() || name == "." || name == ".." || name.bytes().any(is_bad) {
            return None;
        }
        let mut bytes = [0; 16];
        bytes
            .get_mut(..15)?
            .get_mut(..name.len())?
            .copy_from_slice(name.as_bytes());
        Some(Self(bytes))
    }

    /// As the kernel compares it: padded with zeros, the last byte is one.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Without the padding.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let name = self.0.split(|&byte| byte == 0).next().unwrap_or_default();
        core::str::from_utf8(name).unwrap_or_default()
    }
}

/// States of a connection, any number of them (`ct state established,related`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionStates(u32);

impl ConnectionStates {
    /// The packet belongs to none and can't open one.
    pub const INVALID: Self = Self(1);
    /// Packets were seen in both directions.
    pub const ESTABLISHED: Self = Self(2);
    /// Opened by another connection (a helper's expectation, an ICMP error).
    pub const RELATED: Self = Self(4);
    /// The packet opens one.
    pub const NEW: Self = Self(8);
    /// Not tracked (`Statement::Notrack`).
    pub const UNTRACKED: Self = Self(64);

    /// NF_CT_STATE_BIT of linux/netfilter/nf_conntrack_common.h.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl BitOr for ConnectionStates {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What was done with a connection, any number of them (`ct status dnat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionStatus(u32);

impl ConnectionStatus {
    /// A helper foresaw it.
    pub const EXPECTED: Self = Self(1);
    /// Packets were seen in both directions.
    pub const SEEN_REPLY: Self = Self(2);
    /// It is not to be forgotten before its time.
    pub const ASSURED: Self = Self(4);
    /// Its first packet left the box.
    pub const CONFIRMED: Self = Self(8);
    /// Its source is translated.
    pub const SOURCE_NAT: Self = Self(16);
    /// Its destination is translated.
    pub const DESTINATION_NAT: Self = Self(32);

    /// `IPS_*` of linux/netfilter/nf_conntrack_common.h.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl BitOr for ConnectionStatus {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// TCP flags, any number of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TcpFlags(u8);

impl TcpFlags {
    /// The sender is done.
    pub const FIN: Self = Self(1);
    /// Opens.
    pub const SYN: Self = Self(2);
    /// Breaks off.
    pub const RST: Self = Self(4);
    /// Hurry.
    pub const PSH: Self = Self(8);
    /// Acknowledges.
    pub const ACK: Self = Self(16);
    /// Urgent.
    pub const URG: Self = Self(32);

    /// As in the header (RFC 9293).
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A packet's direction in its connection (IP_CT_DIR).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// As its first packet.
    Original,
    /// The other way.
    Reply,
}

/// What an address is to this box (`RTN_*` of linux/rtnetlink.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressType {
    /// Somewhere else.
    Unicast,
    /// Its own.
    Local,
    /// Everyone's on a network.
    Broadcast,
    /// A group's.
    Multicast,
    /// The nearest one's.
    Anycast,
    /// Dropped by a route.
    Blackhole,
    /// Refused by a route.
    Unreachable,
    /// Forbidden by a route.
    Prohibit,
}

/// To whom a frame was sent (`PACKET_*` of linux/if_packet.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketType {
    /// To this box.
    Host,
    /// To all.
    Broadcast,
    /// To a group.
    Multicast,
    /// To someone else.
    Other,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices_are_those_that_the_kernel_takes() {
        let longest = "vmac0-123456789";
        assert_eq!(InterfaceName::new(longest).unwrap().as_str(), longest);
        for bad in ["", ".", "..", "a/b", "a b", "a:1", "sixteen-letters-"] {
            assert_eq!(InterfaceName::new(bad), None, "{bad}");
        }
    }
}
