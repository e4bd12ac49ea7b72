//! Fields of packets. The encoder makes sure that a field is read only from packets that have it: where the
//! rule does not yet say so, it adds the test of family or protocol before it, as nft does.

use super::Kind;

/// A field of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// Of an Ethernet frame; only before routing.
    Ether(Ether),
    /// Of an ARP message for IPv4 over Ethernet.
    Arp(Arp),
    /// Of an IPv4 header.
    Ipv4(Ipv4),
    /// Of an IPv6 header.
    Ipv6(Ipv6),
    /// Of a TCP header.
    Tcp(Tcp),
    /// Of a UDP header.
    Udp(Udp),
    /// Of an ICMP header.
    Icmp(Icmp),
    /// Of an ICMPv6 header.
    Icmpv6(Icmpv6),
    /// The source port of any transport protocol that has ports at its start (TCP, UDP, UDP-Lite, SCTP,
    /// DCCP). The rule itself must test `Meta::Protocol` before.
    SourcePort,
    /// The destination port of any transport protocol that has ports at its start, with the same proviso.
    DestinationPort,
}

/// Of an Ethernet frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ether {
    /// `ether saddr`
    Source,
    /// `ether daddr`
    Destination,
    /// `ether type`
    Type,
}

/// Of an ARP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arp {
    /// `arp operation`
    Operation,
    /// `arp saddr ether`
    SenderMac,
    /// `arp saddr ip`
    SenderAddress,
    /// `arp daddr ether`
    TargetMac,
    /// `arp daddr ip`
    TargetAddress,
}

/// Of an IPv4 header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ipv4 {
    /// `ip saddr`
    Source,
    /// `ip daddr`
    Destination,
    /// `ip protocol`
    Protocol,
    /// `ip ttl`
    TimeToLive,
    /// `ip length`, bytes
    Length,
}

/// Of an IPv6 header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ipv6 {
    /// `ip6 saddr`
    Source,
    /// `ip6 daddr`
    Destination,
    /// `ip6 nexthdr`
    NextHeader,
    /// `ip6 hoplimit`
    HopLimit,
    /// `ip6 length`, bytes behind the header
    Length,
}

/// Of a TCP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tcp {
    /// `tcp sport`
    SourcePort,
    /// `tcp dport`
    DestinationPort,
    /// `tcp flags`
    Flags,
}

/// Of a UDP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Udp {
    /// `udp sport`
    SourcePort,
    /// `udp dport`
    DestinationPort,
    /// `udp length`, bytes
    Length,
}

/// Of an ICMP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Icmp {
    /// `icmp type`
    Type,
    /// `icmp code`
    Code,
}

/// Of an ICMPv6 header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Icmpv6 {
    /// `icmpv6 type`
    Type,
    /// `icmpv6 code`
    Code,
}

impl Field {
    /// What kind of constant it is compared with.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Ether(Ether::Source | Ether::Destination) => Kind::Mac,
            Self::Ether(Ether::Type) => Kind::EtherType,
            Self::Arp(Arp::Operation) => Kind::ArpOperation,
            Self::Arp(Arp::SenderMac | Arp::TargetMac) => Kind::Mac,
            Self::Arp(Arp::SenderAddress | Arp::TargetAddress) => Kind::Ipv4,
            Self::Ipv4(Ipv4::Source | Ipv4::Destination) => Kind::Ipv4,
            Self::Ipv4(Ipv4::Protocol) | Self::Ipv6(Ipv6::NextHeader) => Kind::Protocol,
            Self::Ipv4(Ipv4::TimeToLive) | Self::Ipv6(Ipv6::HopLimit) => Kind::Number8,
            Self::Ipv4(Ipv4::Length) | Self::Ipv6(Ipv6::Length) => Kind::Number16,
            Self::Ipv6(Ipv6::Source | Ipv6::Destination) => Kind::Ipv6,
            Self::Tcp(Tcp::Flags) => Kind::TcpFlags,
            Self::Tcp(Tcp::SourcePort | Tcp::DestinationPort) => Kind::Port,
            Self::Udp(Udp::SourcePort | Udp::DestinationPort) => Kind::Port,
            Self::Udp(Udp::Length) => Kind::Number16,
            Self::Icmp(Icmp::Type) => Kind::IcmpType,
            Self::Icmpv6(Icmpv6::Type) => Kind::Icmpv6Type,
            Self::Icmp(Icmp::Code) | Self::Icmpv6(Icmpv6::Code) => Kind::Number8,
            Self::SourcePort | Self::DestinationPort => Kind::Port,
        }
    }
}
