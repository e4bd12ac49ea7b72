//! Requests to conntrack, appended one behind the other so that one system call takes many. What the kernel needs to
//! take a flow as its own follows `ctnetlink_create_conntrack`, `ctnetlink_setup_nat` and
//! `nf_ct_change_status_common` of Linux 6.12.

use super::expectation as expect;
use super::flow::{self, ASSURED, CONFIRMED, EXPECTED, FlowRef, NAT_DONE, SEEN_REPLY};
use super::protocol::{self, ProtocolState, TCP_BE_LIBERAL, TCP_ESTABLISHED};
use super::tuple::{self, TCP};
use super::{
    Addresses, DELETE, ExpectationRef, GET, NEW, Ports, SUBSYSTEM, SUBSYSTEM_EXPECTATION, Tuple,
    Zone, ZoneDirection,
};
use crate::netfilter::{put, put_nest, put_text};
use std::net::IpAddr;

/// NLM_F_*.
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const EXCLUSIVE: u16 = 0x200;
const CREATE: u16 = 0x400;
const DUMP: u16 = 0x300;

/// NLMSG_NOOP: the kernel answers it, where asked to, and does nothing.
const NOOP: u16 = 1;

/// enum ctattr_nat and enum ctattr_protonat.
const NAT_V4_ADDRESS: u16 = 1;
const NAT_PORTS: u16 = 3;
const NAT_V6_ADDRESS: u16 = 4;
const NAT_PORT: u16 = 1;

/// Which direction a request names a flow by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Original,
    Reply,
}

/// Appends a request for a dump: of all flows, or of all expectations.
pub(super) fn dump(bytes: &mut Vec<u8>, sequence: u32, of_expectations: bool) {
    let subsystem = if of_expectations {
        SUBSYSTEM_EXPECTATION
    } else {
        SUBSYSTEM
    };
    // Family 0: of both.
    message(bytes, subsystem | GET, DUMP, sequence, 0, |_| ());
}

/// Appends what the kernel acknowledges when all before it is done.
pub(super) fn fence(bytes: &mut Vec<u8>, sequence: u32) {
    message(bytes, NOOP, ACK, sequence, 0, |_| ());
}

/// Appends a question for a flow by one of its directions.
pub(super) fn get(bytes: &mut Vec<u8>, sequence: u32, name: (By, &Tuple, Zone)) {
    named(bytes, GET, 0, sequence, name, |_| ());
}

/// Appends a deletion.
pub(super) fn delete(bytes: &mut Vec<u8>, sequence: u32, by: By, tuple: &Tuple, zone: Zone) {
    named(bytes, DELETE, 0, sequence, (by, tuple, zone), |_| ());
}

/// Appends a new timeout for a flow that is there.
pub(super) fn extend(
    bytes: &mut Vec<u8>,
    sequence: u32,
    original: &Tuple,
    zone: Zone,
    lifetime_s: u32,
) {
    let name = (By::Original, original, zone);
    named(bytes, NEW, 0, sequence, name, |bytes| {
        put(bytes, flow::TIMEOUT, &lifetime_s.to_be_bytes());
    });
}

/// Appends the creation of a flow; the kernel says EEXIST where one of its two tuples is taken.
pub(super) fn create(bytes: &mut Vec<u8>, sequence: u32, flow: &FlowRef<'_>, lifetime_s: u32) {
    let kind = SUBSYSTEM | NEW;
    let family = flow.original.family();
    message(bytes, kind, CREATE | EXCLUSIVE, sequence, family, |bytes| {
        let zone = |direction| Some(flow.zone.id).filter(|_| flow.zone.direction == direction);
        let (original, reply) = (zone(ZoneDirection::Original), zone(ZoneDirection::Reply));
        tuple::encode(bytes, flow::TUPLE_ORIGINAL, &flow.original, original);
        let untranslated = match flow.nat_bits() {
            0 => flow.reply,
            _ => untranslated_reply(flow),
        };
        tuple::encode(bytes, flow::TUPLE_REPLY, &untranslated, reply);
        put_zone(bytes, flow.zone);
        if flow.is(NAT_DONE) {
            put_nat(bytes, &untranslated, &flow.reply);
        }
        if let Some(name) = flow.helper {
            put_nest(bytes, flow::HELP, |bytes| {
                put_text(bytes, flow::HELP_NAME, name);
            });
        }
        // The kernel sets IPS_EXPECTED with the master, and may not be told.
        put_changes(bytes, flow, lifetime_s, CONFIRMED);
        if let Some(master) = flow.master {
            tuple::encode(bytes, flow::TUPLE_MASTER, &master, None);
        }
    });
}

/// Appends the change of a flow that is there to what it is now. The kernel says ENOENT where it is not, and EBUSY
/// where it has seen more of it than this flow has: then it is another.
pub(super) fn update(bytes: &mut Vec<u8>, sequence: u32, flow: &FlowRef<'_>, lifetime_s: u32) {
    let name = (By::Original, &flow.original, flow.zone);
    named(bytes, NEW, 0, sequence, name, |bytes| {
        let expected = flow.master.map_or(0, |_| EXPECTED);
        put_changes(bytes, flow, lifetime_s, CONFIRMED | expected);
        if flow.mark == 0 {
            put(bytes, flow::MARK, &[0; 4]);
        }
    });
}

/// Appends the creation of an expectation; its master must be there.
pub(super) fn create_expectation(
    bytes: &mut Vec<u8>,
    sequence: u32,
    expectation: &ExpectationRef<'_>,
    lifetime_s: u32,
) {
    let (kind, flags) = (SUBSYSTEM_EXPECTATION | NEW, CREATE | EXCLUSIVE);
    let family = expectation.tuple.family();
    message(bytes, kind, flags, sequence, family, |bytes| {
        tuple::encode(bytes, expect::MASTER, &expectation.master, None);
        tuple::encode(bytes, expect::TUPLE, &expectation.tuple, None);
        tuple::encode(bytes, expect::MASK, &mask(expectation), None);
        put(bytes, expect::TIMEOUT, &lifetime_s.to_be_bytes());
        put(bytes, expect::FLAGS, &expectation.flags.to_be_bytes());
        put(bytes, expect::CLASS, &expectation.class.to_be_bytes());
        if let Some((is_reply, tuple)) = expectation.nat {
            put_nest(bytes, expect::NAT, |bytes| {
                let direction = u32::from(is_reply).to_be_bytes();
                put(bytes, expect::NAT_DIRECTION, &direction);
                tuple::encode(bytes, expect::NAT_TUPLE, &tuple, None);
            });
        }
        if let Some(name) = expectation.helper {
            put_text(bytes, expect::HELP_NAME, name);
        }
        if let Some(name) = expectation.function {
            put_text(bytes, expect::FUNCTION, name);
        }
    });
}

/// Appends the deletion of an expectation.
pub(super) fn delete_expectation(bytes: &mut Vec<u8>, sequence: u32, expected: &Tuple) {
    let kind = SUBSYSTEM_EXPECTATION | DELETE;
    message(bytes, kind, 0, sequence, expected.family(), |bytes| {
        tuple::encode(bytes, expect::TUPLE, expected, None);
    });
}

/// A whole message, its header included.
fn message(
    bytes: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    family: u8,
    body: impl FnOnce(&mut Vec<u8>),
) {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&(REQUEST | flags).to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    // Port 0: the kernel knows whose socket it is. Then `struct nfgenmsg`: version 0, no resource.
    bytes.extend_from_slice(&[0, 0, 0, 0, family, 0, 0, 0]);
    body(bytes);
    // A message takes some hundred bytes.
    let length = u32::try_from(bytes.len() - start).unwrap_or(u32::MAX);
    if let Some(place) = bytes.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_ne_bytes());
    }
}

/// A message on a flow that is named by one of its directions.
fn named(
    bytes: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    (by, tuple, zone): (By, &Tuple, Zone),
    rest: impl FnOnce(&mut Vec<u8>),
) {
    let (attribute, direction) = match by {
        By::Original => (flow::TUPLE_ORIGINAL, ZoneDirection::Original),
        By::Reply => (flow::TUPLE_REPLY, ZoneDirection::Reply),
    };
    let kind = SUBSYSTEM | kind;
    message(bytes, kind, flags, sequence, tuple.family(), |bytes| {
        let id = Some(zone.id).filter(|_| zone.direction == direction);
        tuple::encode(bytes, attribute, tuple, id);
        put_zone(bytes, zone);
        rest(bytes);
    });
}

/// CTA_ZONE; zones of one direction stand in that direction's tuple.
fn put_zone(bytes: &mut Vec<u8>, zone: Zone) {
    if zone.id != 0 && zone.direction == ZoneDirection::Both {
        put(bytes, flow::ZONE, &zone.id.to_be_bytes());
    }
}

/// What may change in a flow's life.
fn put_changes(bytes: &mut Vec<u8>, flow: &FlowRef<'_>, lifetime_s: u32, status: u32) {
    let status = status | flow.status & (SEEN_REPLY | ASSURED);
    put(bytes, flow::TIMEOUT, &lifetime_s.to_be_bytes());
    put(bytes, flow::STATUS, &status.to_be_bytes());
    if let Some(state) = forwarding_state(flow) {
        protocol::encode(bytes, flow::PROTOINFO, &state);
    }
    if flow.mark != 0 {
        put(bytes, flow::MARK, &flow.mark.to_be_bytes());
    }
    if let Some(labels) = flow.labels {
        put(bytes, flow::LABELS, &labels);
    }
    if let Some([original, reply]) = flow.shifts {
        protocol::encode_shift(bytes, flow::SHIFT_ORIGINAL, &original);
        protocol::encode_shift(bytes, flow::SHIFT_REPLY, &reply);
    }
    if let Some(proxy) = flow.syn_proxy {
        protocol::encode_syn_proxy(bytes, flow::SYN_PROXY, &proxy);
    }
}

/// The state with which packets pass at once. The kernel that takes over has seen no window: it must not drop what
/// its first guess finds out of window. (IP_CT_TCP_FLAG_MAXACK_SET must not be set with it: the highest
/// acknowledgement would count as 0, and every other RST as forged.) A flow from a flowtable, of which the kernel
/// tells no state, is established.
fn forwarding_state(flow: &FlowRef<'_>) -> Option<ProtocolState> {
    match flow.state {
        Some(ProtocolState::Tcp {
            state,
            scales,
            flags,
        }) => Some(ProtocolState::Tcp {
            state,
            scales,
            flags: flags.map(|flags| flags | TCP_BE_LIBERAL),
        }),
        None if flow.original.protocol == TCP => Some(ProtocolState::Tcp {
            state: TCP_ESTABLISHED,
            scales: [0; 2],
            flags: [TCP_BE_LIBERAL; 2],
        }),
        other => other,
    }
}

/// The reply as NAT must find it: `nf_nat_setup_info` translates, and sets IPS_SRC_NAT and IPS_DST_NAT, only where it
/// has something to change. Where an address is translated that is enough; the port next to it stands already as it
/// will be, so that the kernel has none to choose (and for GRE's keys it would not).
fn untranslated_reply(flow: &FlowRef<'_>) -> Tuple {
    let Some(plain) = flow.original.inverse() else {
        return flow.reply;
    };
    let is_source_kept = flow.original.source() == flow.reply.destination();
    let is_destination_kept = flow.original.destination() == flow.reply.source();
    let ports = match (plain.ports, flow.reply.ports) {
        (
            Ports::Ports {
                source,
                destination,
            },
            Ports::Ports {
                source: source_translated,
                destination: destination_translated,
            },
        ) => Ports::Ports {
            source: choose(is_destination_kept, source, source_translated),
            destination: choose(is_source_kept, destination, destination_translated),
        },
        (Ports::Icmp { id, kind, code }, Ports::Icmp { id: translated, .. }) => Ports::Icmp {
            id: choose(is_source_kept, id, translated),
            kind,
            code,
        },
        (ports, _) => ports,
    };
    Tuple { ports, ..plain }
}

fn choose(first: bool, one: u16, other: u16) -> u16 {
    if first { one } else { other }
}

/// Both translations, each to exactly one address and port: what the other box's kernel chose. The destination is
/// set up first, so an ICMP id is the untranslated one there.
fn put_nat(bytes: &mut Vec<u8>, untranslated: &Tuple, reply: &Tuple) {
    let (source, destination) = match (reply.ports, untranslated.ports) {
        (
            Ports::Ports {
                source,
                destination,
            },
            _,
        ) => (Some(destination), Some(source)),
        (Ports::Icmp { id, .. }, Ports::Icmp { id: before, .. }) => (Some(id), Some(before)),
        _ => (None, None),
    };
    put_translation(bytes, flow::NAT_DESTINATION, reply.source(), destination);
    put_translation(bytes, flow::NAT_SOURCE, reply.destination(), source);
}

fn put_translation(bytes: &mut Vec<u8>, kind: u16, address: IpAddr, port: Option<u16>) {
    put_nest(bytes, kind, |bytes| {
        match address {
            IpAddr::V4(address) => put(bytes, NAT_V4_ADDRESS, &address.octets()),
            IpAddr::V6(address) => put(bytes, NAT_V6_ADDRESS, &address.octets()),
        }
        if let Some(port) = port {
            put_nest(bytes, NAT_PORTS, |bytes| {
                put(bytes, NAT_PORT, &port.to_be_bytes());
            });
        }
    });
}

/// The mask as a tuple: all of the destination counts.
fn mask(expectation: &ExpectationRef<'_>) -> Tuple {
    let addresses = match expectation.mask_source {
        IpAddr::V4(source) => Addresses::V4 {
            source,
            destination: [255; 4].into(),
        },
        IpAddr::V6(source) => Addresses::V6 {
            source,
            destination: [255; 16].into(),
        },
    };
    Tuple {
        addresses,
        protocol: expectation.tuple.protocol,
        ports: Ports::Ports {
            source: expectation.mask_port,
            destination: u16::MAX,
        },
    }
}
