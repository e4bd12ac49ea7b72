//! The tuple by which conntrack finds a flow in one direction (`struct nf_conntrack_tuple`): addresses,
//! protocol, and ports or ICMP's id; CTA_TUPLE_* on the wire.

use super::flow::{DESTINATION_NAT, SOURCE_NAT};
use crate::error::DecodeError;
use crate::netfilter::{Attribute, attributes, put, put_nest};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IP protocol numbers.
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const DCCP: u8 = 33;
pub(super) const ICMPV6: u8 = 58;
pub(super) const SCTP: u8 = 132;

/// NFPROTO_IPV4 and NFPROTO_IPV6, in `struct nfgenmsg`.
const FAMILY_V4: u8 = 2;
const FAMILY_V6: u8 = 10;

/// enum ctattr_tuple.
const IP: u16 = 1;
const PROTO: u16 = 2;
const ZONE: u16 = 3;

/// enum ctattr_ip.
const V4_SOURCE: u16 = 1;
const V4_DESTINATION: u16 = 2;
const V6_SOURCE: u16 = 3;
const V6_DESTINATION: u16 = 4;

/// enum ctattr_l4proto.
const PROTO_NUMBER: u16 = 1;
const PROTO_SOURCE_PORT: u16 = 2;
const PROTO_DESTINATION_PORT: u16 = 3;
const PROTO_ICMP_ID: u16 = 4;
const PROTO_ICMP_TYPE: u16 = 5;
const PROTO_ICMP_CODE: u16 = 6;
const PROTO_ICMPV6_ID: u16 = 7;
const PROTO_ICMPV6_TYPE: u16 = 8;
const PROTO_ICMPV6_CODE: u16 = 9;

/// ICMP types that answer each other (`invmap` in nf_conntrack_proto_icmp.c and nf_conntrack_proto_icmpv6.c).
const ICMP_PAIRS: [(u8, u8); 4] = [(8, 0), (13, 14), (15, 16), (17, 18)];
const ICMPV6_PAIRS: [(u8, u8); 2] = [(128, 129), (139, 140)];

/// Both addresses of a tuple: always of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Addresses {
    /// IPv4.
    V4 {
        /// Of the sender.
        source: Ipv4Addr,
        /// Of the receiver.
        destination: Ipv4Addr,
    },
    /// IPv6.
    V6 {
        /// Of the sender.
        source: Ipv6Addr,
        /// Of the receiver.
        destination: Ipv6Addr,
    },
}

/// What tells flows between two addresses apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ports {
    /// TCP, UDP, UDP-Lite, SCTP and DCCP; for GRE the keys (PPTP's call ids).
    Ports {
        /// Of the sender.
        source: u16,
        /// Of the receiver.
        destination: u16,
    },
    /// ICMP and ICMPv6.
    Icmp {
        /// Of the question, and of its answer.
        id: u16,
        /// ICMP type.
        kind: u8,
        /// ICMP code.
        code: u8,
    },
    /// Any other protocol: one flow between two addresses.
    None,
}

/// One direction of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// From whom to whom.
    pub addresses: Addresses,
    /// IP protocol number.
    pub protocol: u8,
    /// Of that protocol.
    pub ports: Ports,
}

impl Addresses {
    /// Of the sender.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        match *self {
            Addresses::V4 { source, .. } => source.into(),
            Addresses::V6 { source, .. } => source.into(),
        }
    }

    /// Of the receiver.
    #[must_use]
    pub fn destination(&self) -> IpAddr {
        match *self {
            Addresses::V4 { destination, .. } => destination.into(),
            Addresses::V6 { destination, .. } => destination.into(),
        }
    }

    fn inverse(self) -> Self {
        match self {
            Addresses::V4 {
                source,
                destination,
            } => Addresses::V4 {
                source: destination,
                destination: source,
            },
            Addresses::V6 {
                source,
                destination,
            } => Addresses::V6 {
                source: destination,
                destination: source,
            },
        }
    }
}

impl Tuple {
    /// Of the sender.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        self.addresses.source()
    }

    /// Of the receiver.
    #[must_use]
    pub fn destination(&self) -> IpAddr {
        self.addresses.destination()
    }

    /// What answers to this direction carry where nothing is translated; `None` for ICMP that nobody answers.
    #[must_use]
    pub fn inverse(&self) -> Option<Tuple> {
        let ports = match self.ports {
            Ports::Ports {
                source,
                destination,
            } => Ports::Ports {
                source: destination,
                destination: source,
            },
            Ports::Icmp { id, kind, code } => {
                let kind = answer(self.protocol, kind)?;
                Ports::Icmp { id, kind, code }
            }
            Ports::None => Ports::None,
        };
        Some(Tuple {
            addresses: self.addresses.inverse(),
            ports,
            ..*self
        })
    }

    /// IPS_SRC_NAT and IPS_DST_NAT, as they are where NAT answers as `reply`.
    pub(super) fn nat_bits(&self, reply: &Tuple) -> u32 {
        let (is_source_moved, is_destination_moved) = match (self.ports, reply.ports) {
            (
                Ports::Ports {
                    source,
                    destination,
                },
                Ports::Ports {
                    source: answers,
                    destination: answered,
                },
            ) => (source != answered, destination != answers),
            (Ports::Icmp { id, .. }, Ports::Icmp { id: answered, .. }) => (id != answered, false),
            _ => (false, false),
        };
        let mut bits = 0;
        if is_source_moved || self.source() != reply.destination() {
            bits |= SOURCE_NAT;
        }
        if is_destination_moved || self.destination() != reply.source() {
            bits |= DESTINATION_NAT;
        }
        bits
    }

    /// Whether both are of one family and protocol, with ports of one kind.
    pub(super) fn is_like(&self, other: &Tuple) -> bool {
        let ports = core::mem::discriminant(&self.ports) == core::mem::discriminant(&other.ports);
        ports && self.family() == other.family() && self.protocol == other.protocol
    }

    /// `nfgen_family`.
    pub(super) fn family(&self) -> u8 {
        match self.addresses {
            Addresses::V4 { .. } => FAMILY_V4,
            Addresses::V6 { .. } => FAMILY_V6,
        }
    }
}

fn answer(protocol: u8, kind: u8) -> Option<u8> {
    let pairs: &[(u8, u8)] = if protocol == ICMPV6 {
        &ICMPV6_PAIRS
    } else {
        &ICMP_PAIRS
    };
    pairs.iter().find_map(|&(one, other)| match kind {
        _ if kind == one => Some(other),
        _ if kind == other => Some(one),
        _ => None,
    })
}

/// A tuple, and the zone that counts in its direction alone (CTA_TUPLE_ZONE).
pub(super) fn decode(nest: &Attribute<'_>) -> Result<(Tuple, Option<u16>), DecodeError> {
    let (mut addresses, mut protocol, mut zone) = (None, None, None);
    for attribute in nest.nested() {
        let attribute = attribute?;
        match attribute.kind {
            IP => addresses = Some(decode_addresses(&attribute)?),
            PROTO => protocol = Some(decode_protocol(&attribute)?),
            ZONE => zone = Some(attribute.u16()?),
            _ => {}
        }
    }
    let (protocol, ports) = protocol.ok_or(DecodeError("tuple without a protocol"))?;
    let tuple = Tuple {
        addresses: addresses.ok_or(DecodeError("tuple without addresses"))?,
        protocol,
        ports,
    };
    Ok((tuple, zone))
}

fn decode_addresses(nest: &Attribute<'_>) -> Result<Addresses, DecodeError> {
    let (mut v4, mut v6) = ((None, None), (None, None));
    for attribute in attributes(nest.payload) {
        let attribute = attribute?;
        match attribute.kind {
            V4_SOURCE => v4.0 = Some(attribute.v4()?),
            V4_DESTINATION => v4.1 = Some(attribute.v4()?),
            V6_SOURCE => v6.0 = Some(attribute.v6()?),
            V6_DESTINATION => v6.1 = Some(attribute.v6()?),
            _ => {}
        }
    }
    match (v4, v6) {
        ((Some(source), Some(destination)), (None, None)) => Ok(Addresses::V4 {
            source,
            destination,
        }),
        ((None, None), (Some(source), Some(destination))) => Ok(Addresses::V6 {
            source,
            destination,
        }),
        _ => Err(DecodeError("addresses of a tuple")),
    }
}

fn decode_protocol(nest: &Attribute<'_>) -> Result<(u8, Ports), DecodeError> {
    let mut protocol = None;
    let (mut source, mut destination) = (None, None);
    let (mut id, mut kind, mut code) = (None, None, None);
    for attribute in nest.nested() {
        let attribute = attribute?;
        match attribute.kind {
            PROTO_NUMBER => protocol = Some(attribute.u8()?),
            PROTO_SOURCE_PORT => source = Some(attribute.u16()?),
            PROTO_DESTINATION_PORT => destination = Some(attribute.u16()?),
            PROTO_ICMP_ID | PROTO_ICMPV6_ID => id = Some(attribute.u16()?),
            PROTO_ICMP_TYPE | PROTO_ICMPV6_TYPE => kind = Some(attribute.u8()?),
            PROTO_ICMP_CODE | PROTO_ICMPV6_CODE => code = Some(attribute.u8()?),
            _ => {}
        }
    }
    let ports = match (source, destination, id, kind, code) {
        (Some(source), Some(destination), None, None, None) => Ports::Ports {
            source,
            destination,
        },
        (None, None, Some(id), Some(kind), Some(code)) => Ports::Icmp { id, kind, code },
        (None, None, None, None, None) => Ports::None,
        _ => return Err(DecodeError("ports of a tuple")),
    };
    Ok((protocol.ok_or(DecodeError("protocol number"))?, ports))
}

/// Appends a tuple as attribute `kind`, with the zone of its direction alone.
pub(super) fn encode(bytes: &mut Vec<u8>, kind: u16, tuple: &Tuple, zone: Option<u16>) {
    put_nest(bytes, kind, |bytes| {
        put_nest(bytes, IP, |bytes| encode_addresses(bytes, &tuple.addresses));
        put_nest(bytes, PROTO, |bytes| encode_protocol(bytes, tuple));
        if let Some(zone) = zone {
            put(bytes, ZONE, &zone.to_be_bytes());
        }
    });
}

fn encode_addresses(bytes: &mut Vec<u8>, addresses: &Addresses) {
    match addresses {
        Addresses::V4 {
            source,
            destination,
        } => {
            put(bytes, V4_SOURCE, &source.octets());
            put(bytes, V4_DESTINATION, &destination.octets());
        }
        Addresses::V6 {
            source,
            destination,
        } => {
            put(bytes, V6_SOURCE, &source.octets());
            put(bytes, V6_DESTINATION, &destination.octets());
        }
    }
}

fn encode_protocol(bytes: &mut Vec<u8>, tuple: &Tuple) {
    put(bytes, PROTO_NUMBER, &[tuple.protocol]);
    match tuple.ports {
        Ports::Ports {
            source,
            destination,
        } => {
            put(bytes, PROTO_SOURCE_PORT, &source.to_be_bytes());
            put(bytes, PROTO_DESTINATION_PORT, &destination.to_be_bytes());
        }
        Ports::Icmp { id, kind, code } => {
            let kinds = if tuple.protocol == ICMPV6 {
                [PROTO_ICMPV6_ID, PROTO_ICMPV6_TYPE, PROTO_ICMPV6_CODE]
            } else {
                [PROTO_ICMP_ID, PROTO_ICMP_TYPE, PROTO_ICMP_CODE]
            };
            put(bytes, kinds[0], &id.to_be_bytes());
            put(bytes, kinds[1], &[kind]);
            put(bytes, kinds[2], &[code]);
        }
        Ports::None => {}
    }
}
