//! What rules and translations speak of: sides, addresses, protocols, ports.

use crate::config::Prefix;
use alloc::vec::Vec;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// Some addresses of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Addresses {
    /// A network, or with full length one address.
    Network(Prefix),
    /// From the first to the last, both included.
    Range(IpAddr, IpAddr),
}

/// Where a connection comes from or goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// All zones, but not the box.
    Any,
    /// The box itself.
    Box,
    /// Index into `Firewall::zones`.
    Zone(u8),
}

/// Whose addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Peer {
    /// These.
    Addresses(Addresses),
    /// Those of a set; index into `Firewall::sets`.
    Set(u8),
}

/// What a rule speaks of. An empty list is no restriction, but for `from` and `to`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Where it comes from, at least one.
    pub from: Vec<Side>,
    /// Where it goes, at least one; for destination NAT none.
    pub to: Vec<Side>,
    /// Who opens the connection, before source NAT.
    pub source: Vec<Peer>,
    /// Who answers it: in rules behind destination NAT, in translations before it.
    pub destination: Vec<Peer>,
    /// Transport protocols.
    pub protocols: Vec<Transport>,
    /// Ports of who answers, seen as `destination` is.
    pub ports: Vec<PortRange>,
    /// Ports of who opens.
    pub source_ports: Vec<PortRange>,
    /// ICMP and ICMPv6 messages.
    pub icmp: Vec<IcmpKind>,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP for IPv4, ICMPv6 for IPv6.
    Icmp,
    /// SCTP.
    Sctp,
    /// Generic routing encapsulation.
    Gre,
    /// IPsec, encrypted.
    Esp,
    /// IPsec, authenticated.
    Ah,
    /// By number (IANA: protocol numbers).
    Other(u8),
}

/// Ports from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// At least 1.
    pub first: u16,
    /// Not below `first`.
    pub last: u16,
}

/// Messages that ICMP and ICMPv6 both have, or one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IcmpKind {
    /// A ping.
    EchoRequest,
    /// Its answer.
    EchoReply,
    /// No way there; in ICMP also: it needs fragments.
    DestinationUnreachable,
    /// ICMPv6 only.
    PacketTooBig,
    /// Too many hops.
    TimeExceeded,
    /// A header is wrong.
    ParameterProblem,
    /// There is a better router.
    Redirect,
    /// Which router is there?
    RouterSolicitation,
    /// This one.
    RouterAdvertisement,
    /// ICMP only.
    TimestampRequest,
}

/// What a connection is to connection tracking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConnectionState {
    /// This packet opens it.
    New,
    /// It was open when the rules changed.
    Established,
    /// Another connection announced it.
    Related,
    /// None, and the packet can't open one.
    Invalid,
    /// None: the balancer carries it.
    Untracked,
}

impl Addresses {
    /// First and last address.
    #[must_use]
    pub fn bounds(self) -> (IpAddr, IpAddr) {
        match self {
            Self::Network(prefix) => (prefix.network().address, prefix.last()),
            Self::Range(first, last) => (first, last),
        }
    }

    /// Whether they are of IPv4.
    #[must_use]
    pub fn is_ipv4(self) -> bool {
        self.bounds().0.is_ipv4()
    }

    /// Whether `address` is one of them.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        let (first, last) = self.bounds();
        first.is_ipv4() == address.is_ipv4() && first <= address && address <= last
    }
}

impl PortRange {
    /// How many.
    #[must_use]
    pub fn count(self) -> u32 {
        u32::from(self.last).saturating_sub(self.first.into()) + 1
    }
}

impl Transport {
    /// Its number (IANA: protocol numbers). ICMP's is that of IPv4.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Icmp => 1,
            Self::Sctp => 132,
            Self::Gre => 47,
            Self::Esp => 50,
            Self::Ah => 51,
            Self::Other(number) => number,
        }
    }

    /// Its name; `None` for those known by number.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Sctp => "sctp",
            Self::Gre => "gre",
            Self::Esp => "esp",
            Self::Ah => "ah",
            Self::Other(_) => return None,
        })
    }

    /// Whether it has ports.
    #[must_use]
    pub const fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp | Self::Sctp)
    }
}

impl IcmpKind {
    /// Its type in ICMP (RFC 792), where it has one.
    #[must_use]
    pub const fn icmp_type(self) -> Option<u8> {
        Some(match self {
            Self::EchoRequest => 8,
            Self::EchoReply => 0,
            Self::DestinationUnreachable => 3,
            Self::PacketTooBig => return None,
            Self::TimeExceeded => 11,
            Self::ParameterProblem => 12,
            Self::Redirect => 5,
            Self::RouterSolicitation => 10,
            Self::RouterAdvertisement => 9,
            Self::TimestampRequest => 13,
        })
    }

    /// Its type in ICMPv6 (RFC 4443, RFC 4861), where it has one.
    #[must_use]
    pub const fn icmpv6_type(self) -> Option<u8> {
        Some(match self {
            Self::EchoRequest => 128,
            Self::EchoReply => 129,
            Self::DestinationUnreachable => 1,
            Self::PacketTooBig => 2,
            Self::TimeExceeded => 3,
            Self::ParameterProblem => 4,
            Self::Redirect => 137,
            Self::RouterSolicitation => 133,
            Self::RouterAdvertisement => 134,
            Self::TimestampRequest => return None,
        })
    }
}
