//! What a rule can look at: the packet, what the kernel knows of it, its connection, the routing table, and
//! numbers that spread packets over buckets.

use super::{Direction, Field, Kind};
use alloc::vec::Vec;
use core::num::NonZeroU32;

/// Something that has a value for each packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// A field of the packet (nft: payload).
    Field(Field),
    /// What the kernel knows of the packet.
    Meta(Meta),
    /// What the kernel knows of its connection.
    Ct(Ct),
    /// What the routing table says.
    Fib(Fib),
    /// A number that spreads packets.
    Spread(Spread),
}

impl Selector {
    /// What kind of constant it is compared with.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Field(field) => field.kind(),
            Self::Meta(meta) => meta.kind(),
            Self::Ct(ct) => ct.kind(),
            Self::Fib(fib) => fib.result.kind(),
            Self::Spread(_) => Kind::Number32,
        }
    }
}

impl From<Field> for Selector {
    fn from(field: Field) -> Self {
        Self::Field(field)
    }
}

impl From<Meta> for Selector {
    fn from(meta: Meta) -> Self {
        Self::Meta(meta)
    }
}

impl From<Ct> for Selector {
    fn from(ct: Ct) -> Self {
        Self::Ct(ct)
    }
}

impl From<Fib> for Selector {
    fn from(fib: Fib) -> Self {
        Self::Fib(fib)
    }
}

impl From<Spread> for Selector {
    fn from(spread: Spread) -> Self {
        Self::Spread(spread)
    }
}

/// What the kernel knows of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Meta {
    /// `iifname`
    InputName,
    /// `oifname`
    OutputName,
    /// `iif`
    InputIndex,
    /// `oif`
    OutputIndex,
    /// `meta nfproto`
    NfProtocol,
    /// `meta protocol`, an EtherType
    EtherType,
    /// `meta l4proto`, the transport protocol
    Protocol,
    /// `meta mark`
    Mark,
    /// `meta pkttype`
    PacketType,
    /// `meta length`, bytes
    Length,
}

impl Meta {
    const fn kind(self) -> Kind {
        match self {
            Self::InputName | Self::OutputName => Kind::Interface,
            Self::InputIndex | Self::OutputIndex => Kind::InterfaceIndex,
            Self::NfProtocol => Kind::NfProtocol,
            Self::EtherType => Kind::EtherType,
            Self::Protocol => Kind::Protocol,
            Self::Mark => Kind::Mark,
            Self::PacketType => Kind::PacketType,
            Self::Length => Kind::Number32,
        }
    }
}

/// What the kernel knows of a packet's connection. Packets without one pass no test of these, but for `State`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ct {
    /// `ct state`
    State,
    /// `ct status`
    Status,
    /// `ct direction`
    Direction,
    /// `ct mark`
    Mark,
    /// `ct zone`
    Zone,
    /// `ct original ip saddr` and its like: what the connection was before NAT (original), or is answered
    /// as (reply).
    Tuple(Direction, TupleEnd),
}

/// Part of a connection's tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TupleEnd {
    /// `ip saddr`
    Source4,
    /// `ip daddr`
    Destination4,
    /// `ip6 saddr`
    Source6,
    /// `ip6 daddr`
    Destination6,
    /// `protocol`
    Protocol,
    /// `proto-src`
    SourcePort,
    /// `proto-dst`
    DestinationPort,
}

impl Ct {
    const fn kind(self) -> Kind {
        match self {
            Self::State => Kind::States,
            Self::Status => Kind::Status,
            Self::Direction => Kind::Direction,
            Self::Mark => Kind::Mark,
            Self::Zone => Kind::Zone,
            Self::Tuple(_, TupleEnd::Source4 | TupleEnd::Destination4) => Kind::Ipv4,
            Self::Tuple(_, TupleEnd::Source6 | TupleEnd::Destination6) => Kind::Ipv6,
            Self::Tuple(_, TupleEnd::Protocol) => Kind::Protocol,
            Self::Tuple(_, TupleEnd::SourcePort | TupleEnd::DestinationPort) => Kind::Port,
        }
    }
}

/// What the routing table says of an address of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fib {
    /// Of which address.
    pub key: FibKey,
    /// The packet's mark takes part (policy routing).
    pub by_mark: bool,
    /// Only routes by the device that it came in by. Reverse path: `Fib {key: Source, by_input: true,
    /// result: Exists}` is `Datum::Bool(false)` for a forged source.
    pub by_input: bool,
    /// Only routes by the device that it goes out by.
    pub by_output: bool,
    /// What is asked.
    pub result: FibResult,
}

/// Which address the routing table is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FibKey {
    /// Where the packet comes from.
    Source,
    /// Where it goes.
    Destination,
}

/// What the routing table is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FibResult {
    /// Whether there is a route (`oif exists`, `oif missing`).
    Exists,
    /// By which device.
    OutputIndex,
    /// By which device.
    OutputName,
    /// What the address is to this box (`type`).
    AddressType,
}

impl FibResult {
    const fn kind(self) -> Kind {
        match self {
            Self::Exists => Kind::Bool,
            Self::OutputIndex => Kind::InterfaceIndex,
            Self::OutputName => Kind::Interface,
            Self::AddressType => Kind::AddressType,
        }
    }
}

/// A number from `offset` to `offset + buckets - 1`, as a key for maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spread {
    /// `numgen inc`: one after the other.
    RoundRobin {
        /// How many.
        buckets: NonZeroU32,
        /// The first.
        offset: u32,
    },
    /// `numgen random`.
    Random {
        /// How many.
        buckets: NonZeroU32,
        /// The first.
        offset: u32,
    },
    /// `jhash`: the same for the same values.
    Hash {
        /// Of these, at least one.
        of: Vec<Selector>,
        /// `None`: one drawn by the kernel.
        seed: Option<u32>,
        /// How many.
        buckets: NonZeroU32,
        /// The first.
        offset: u32,
    },
}
