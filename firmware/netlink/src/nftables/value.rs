//! Constants as registers and set keys hold them, and the numbers that nft(8) knows their kinds by.

use super::refusal::Why;
use plan::config::Prefix;
use plan::ruleset::{AddressType, Datum, Direction, InterfaceName, Kind, PacketType, Span};
use std::net::IpAddr;

/// In which order the kernel holds the bytes of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As packets carry them.
    Network,
    /// As this processor holds them.
    Host,
}

/// What the kernel and nft(8) must know of a kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// nft's number (`enum datatypes` of its datatype.h), which only tells nft how to print.
    pub(super) number: u32,
    /// Bytes of a value.
    pub(super) bytes: u8,
    /// Order of those bytes.
    pub(super) order: Order,
}

impl Form {
    /// Registers of four bytes that a value takes.
    pub(super) const fn words(self) -> u32 {
        (self.bytes as u32).div_ceil(4)
    }

    /// Bytes as a part of a key of several: whole registers.
    pub(super) const fn padded_bytes(self) -> u32 {
        self.words() * 4
    }
}

/// The form of a kind.
pub(super) const fn form(kind: Kind) -> Form {
    let (number, bytes, order) = match kind {
        Kind::Ipv4 => (7, 4, Order::Network),
        Kind::Ipv6 => (8, 16, Order::Network),
        Kind::Mac => (9, 6, Order::Network),
        Kind::EtherType => (10, 2, Order::Network),
        Kind::ArpOperation => (11, 2, Order::Network),
        Kind::Protocol => (12, 1, Order::Network),
        Kind::Port => (13, 2, Order::Network),
        Kind::IcmpType => (14, 1, Order::Network),
        Kind::TcpFlags => (15, 1, Order::Network),
        Kind::Mark => (19, 4, Order::Host),
        Kind::InterfaceIndex => (20, 4, Order::Host),
        Kind::States => (26, 4, Order::Host),
        Kind::Direction => (27, 1, Order::Network),
        Kind::Status => (28, 4, Order::Host),
        Kind::Icmpv6Type => (29, 1, Order::Network),
        Kind::PacketType => (31, 1, Order::Network),
        Kind::AddressType => (38, 4, Order::Host),
        Kind::Bool => (39, 4, Order::Host),
        // A string: never compared but whole, or by its first bytes.
        Kind::Interface => (41, 16, Order::Host),
        Kind::NfProtocol => (2, 1, Order::Network),
        Kind::Number8 => (4, 1, Order::Network),
        Kind::Number16 => (4, 2, Order::Network),
        Kind::Number32 => (4, 4, Order::Host),
        Kind::Zone => (4, 2, Order::Host),
    };
    Form {
        number,
        bytes,
        order,
    }
}

/// A constant's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Value {
    bytes: [u8; 16],
    length: u8,
}

impl Value {
    pub(super) fn new(from: &[u8]) -> Self {
        let mut bytes = [0; 16];
        let length = from.len().min(bytes.len());
        for (place, byte) in bytes.iter_mut().zip(from) {
            *place = *byte;
        }
        // At most 16.
        let length = u8::try_from(length).unwrap_or(u8::MAX);
        Value { bytes, length }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }

    /// The same bytes where four more follow each other as registers do.
    pub(super) fn padded(&self) -> &[u8] {
        let length = usize::from(self.length).next_multiple_of(4);
        self.bytes.get(..length).unwrap_or_default()
    }

    /// The bytes as a number, the first being the highest: what intervals are ordered by.
    pub(super) fn ordinal(&self) -> u128 {
        let unused_bits = 8 * (16 - u32::from(self.length));
        u128::from_be_bytes(self.bytes)
            .checked_shr(unused_bits)
            .unwrap_or(0)
    }

    /// The value of so many bytes with this ordinal.
    pub(super) fn from_ordinal(ordinal: u128, length: u8) -> Self {
        let unused_bits = 8 * (16 - u32::from(length));
        let bytes = ordinal.checked_shl(unused_bits).unwrap_or(0).to_be_bytes();
        Value { bytes, length }
    }

    /// A number in the host's order, in the network's.
    pub(super) fn in_network_order(&self) -> Self {
        match *self.as_slice() {
            [b0, b1] => Self::new(&u16::from_ne_bytes([b0, b1]).to_be_bytes()),
            [b0, b1, b2, b3] => Self::new(&u32::from_ne_bytes([b0, b1, b2, b3]).to_be_bytes()),
            // Strings and single bytes have no other order.
            _ => *self,
        }
    }

    /// Both, bit by bit.
    pub(super) fn and(&self, other: &Self) -> Self {
        let mut bytes = self.bytes;
        for (byte, other) in bytes.iter_mut().zip(other.bytes) {
            *byte &= other;
        }
        Value { bytes, ..*self }
    }

    /// As many ones as this is long, but only the first `ones` bits.
    pub(super) fn mask(ones: u8, length: u8) -> Self {
        let unused_bits = 128 - u32::from(ones.min(128));
        let bytes = u128::MAX
            .checked_shl(unused_bits)
            .unwrap_or(0)
            .to_be_bytes();
        Value { bytes, length }
    }

    /// Nothing but zeros.
    pub(super) const fn zero(length: u8) -> Self {
        Value {
            bytes: [0; 16],
            length,
        }
    }

    pub(super) const fn length(&self) -> u8 {
        self.length
    }
}

/// A constant as the kernel holds it.
pub(super) fn value(datum: &Datum) -> Value {
    match *datum {
        Datum::Ipv4(address) => Value::new(&address.octets()),
        Datum::Ipv6(address) => Value::new(&address.octets()),
        Datum::Mac(mac) => Value::new(&mac),
        Datum::EtherType(n) | Datum::Port(n) | Datum::ArpOperation(n) | Datum::Number16(n) => {
            Value::new(&n.to_be_bytes())
        }
        Datum::Protocol(n)
        | Datum::IcmpType(n)
        | Datum::Icmpv6Type(n)
        | Datum::NfProtocol(n)
        | Datum::Number8(n) => Value::new(&[n]),
        Datum::Mark(n) | Datum::InterfaceIndex(n) | Datum::Number32(n) => {
            Value::new(&n.to_ne_bytes())
        }
        Datum::Interface(name) => Value::new(name.as_bytes()),
        Datum::States(states) => Value::new(&states.bits().to_ne_bytes()),
        Datum::Status(status) => Value::new(&status.bits().to_ne_bytes()),
        Datum::Direction(direction) => Value::new(&[direction_number(direction)]),
        Datum::TcpFlags(flags) => Value::new(&[flags.bits()]),
        Datum::AddressType(kind) => Value::new(&address_type_number(kind).to_ne_bytes()),
        Datum::PacketType(kind) => Value::new(&[packet_type_number(kind)]),
        Datum::Bool(is) => Value::new(&u32::from(is).to_ne_bytes()),
        Datum::Zone(zone) => Value::new(&zone.to_ne_bytes()),
    }
}

/// IP_CT_DIR.
pub(super) const fn direction_number(direction: Direction) -> u8 {
    match direction {
        Direction::Original => 0,
        Direction::Reply => 1,
    }
}

/// `RTN_*`.
const fn address_type_number(kind: AddressType) -> u32 {
    match kind {
        AddressType::Unicast => 1,
        AddressType::Local => 2,
        AddressType::Broadcast => 3,
        AddressType::Anycast => 4,
        AddressType::Multicast => 5,
        AddressType::Blackhole => 6,
        AddressType::Unreachable => 7,
        AddressType::Prohibit => 8,
    }
}

/// `PACKET_*`.
const fn packet_type_number(kind: PacketType) -> u8 {
    match kind {
        PacketType::Host => 0,
        PacketType::Broadcast => 1,
        PacketType::Multicast => 2,
        PacketType::Other => 3,
    }
}

/// The constant of a kind that the kernel holds as these bytes; `None` where there is none.
pub(super) fn datum(kind: Kind, bytes: &[u8]) -> Option<Datum> {
    Some(match kind {
        Kind::Ipv4 => Datum::Ipv4(<[u8; 4]>::try_from(bytes).ok()?.into()),
        Kind::Ipv6 => Datum::Ipv6(<[u8; 16]>::try_from(bytes).ok()?.into()),
        Kind::Mac => Datum::Mac(bytes.try_into().ok()?),
        Kind::Interface => {
            let name = bytes.split(|byte| *byte == 0).next()?;
            Datum::Interface(InterfaceName::new(core::str::from_utf8(name).ok()?)?)
        }
        Kind::Port => Datum::Port(u16::from_be_bytes(bytes.try_into().ok()?)),
        Kind::EtherType => Datum::EtherType(u16::from_be_bytes(bytes.try_into().ok()?)),
        Kind::ArpOperation => Datum::ArpOperation(u16::from_be_bytes(bytes.try_into().ok()?)),
        Kind::Number16 => Datum::Number16(u16::from_be_bytes(bytes.try_into().ok()?)),
        Kind::Mark => Datum::Mark(u32::from_ne_bytes(bytes.try_into().ok()?)),
        Kind::InterfaceIndex => Datum::InterfaceIndex(u32::from_ne_bytes(bytes.try_into().ok()?)),
        Kind::Number32 => Datum::Number32(u32::from_ne_bytes(bytes.try_into().ok()?)),
        Kind::Zone => Datum::Zone(u16::from_ne_bytes(bytes.try_into().ok()?)),
        _ => return single_byte(kind, bytes),
    })
}

/// The same, of kinds that are one byte and have no names of their own.
fn single_byte(kind: Kind, bytes: &[u8]) -> Option<Datum> {
    let [byte] = *bytes else { return None };
    match kind {
        Kind::Protocol => Some(Datum::Protocol(byte)),
        Kind::IcmpType => Some(Datum::IcmpType(byte)),
        Kind::Icmpv6Type => Some(Datum::Icmpv6Type(byte)),
        Kind::NfProtocol => Some(Datum::NfProtocol(byte)),
        Kind::Number8 => Some(Datum::Number8(byte)),
        // States, flags and the like: nothing is kept by them.
        _ => None,
    }
}

/// First and last address of a network.
pub(super) fn network(prefix: Prefix) -> (Value, Value) {
    let first = match prefix.network().address {
        IpAddr::V4(v4) => Value::new(&v4.octets()),
        IpAddr::V6(v6) => Value::new(&v6.octets()),
    };
    let mask = Value::mask(prefix.length, first.length);
    let mut last = first;
    for (byte, mask) in last
        .bytes
        .iter_mut()
        .zip(mask.bytes)
        .take(usize::from(first.length))
    {
        *byte |= !mask;
    }
    (first, last)
}

/// First and last value of a part of a key, which must be of this kind.
pub(super) fn bounds(span: &Span, kind: Kind) -> Result<(Value, Value), Why> {
    if span.kind() != kind {
        return Err(Why::WrongKind {
            wanted: kind,
            given: span.kind(),
        });
    }
    match span {
        Span::One(datum) => Ok((value(datum), value(datum))),
        Span::Network(prefix) => Ok(network(*prefix)),
        Span::Range(first, last) if last.kind() != kind => Err(Why::WrongKind {
            wanted: kind,
            given: last.kind(),
        }),
        Span::Range(first, last) => {
            let (first, last) = (value(first), value(last));
            let ends = match form(kind).order {
                Order::Network => (first.ordinal(), last.ordinal()),
                Order::Host => {
                    let (first, last) = (first.in_network_order(), last.in_network_order());
                    (first.ordinal(), last.ordinal())
                }
            };
            (ends.0 <= ends.1)
                .then_some((first, last))
                .ok_or(Why::BackwardRange)
        }
    }
}

/// A constant that must be of this kind.
pub(super) fn value_of(datum: &Datum, kind: Kind) -> Result<Value, Why> {
    if datum.kind() == kind {
        Ok(value(datum))
    } else {
        Err(Why::WrongKind {
            wanted: kind,
            given: datum.kind(),
        })
    }
}
