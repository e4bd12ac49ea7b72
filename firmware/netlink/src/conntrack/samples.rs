//! Flows and expectations of every kind, as arbitrary as the kernel's may be, for property tests.

use super::flow::{ASSURED, CONFIRMED, NAT_DONE, SEEN_REPLY};
use super::tuple::{DCCP, ICMPV6, SCTP, TCP, UDP};
use super::*;
use proptest::option;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// GRE, and a protocol without ports.
const GRE: u8 = 47;
const ESP: u8 = 50;
const ICMP: u8 = 1;

fn addresses(is_v6: bool) -> BoxedStrategy<Addresses> {
    if is_v6 {
        let pair = any::<(u128, u128)>();
        pair.prop_map(|(source, destination)| Addresses::V6 {
            source: Ipv6Addr::from(source),
            destination: Ipv6Addr::from(destination),
        })
        .boxed()
    } else {
        let pair = any::<(u32, u32)>();
        pair.prop_map(|(source, destination)| Addresses::V4 {
            source: Ipv4Addr::from(source),
            destination: Ipv4Addr::from(destination),
        })
        .boxed()
    }
}

fn ports(protocol: u8) -> BoxedStrategy<Ports> {
    match protocol {
        ESP => Just(Ports::None).boxed(),
        ICMP | ICMPV6 => (any::<u16>(), any::<u8>())
            .prop_map(move |(id, code)| {
                let kind = if protocol == ICMP { 8 } else { 128 };
                Ports::Icmp { id, kind, code }
            })
            .boxed(),
        _ => any::<(u16, u16)>()
            .prop_map(|(source, destination)| Ports::Ports {
                source,
                destination,
            })
            .boxed(),
    }
}

fn tuple_of(is_v6: bool, protocol: u8) -> BoxedStrategy<Tuple> {
    (addresses(is_v6), ports(protocol))
        .prop_map(move |(addresses, ports)| Tuple {
            addresses,
            protocol,
            ports,
        })
        .boxed()
}

fn protocol() -> impl Strategy<Value = u8> {
    prop::sample::select(&[TCP, UDP, SCTP, DCCP, ICMP, ICMPV6, GRE, ESP][..])
}

fn tuple() -> BoxedStrategy<Tuple> {
    (any::<bool>(), protocol())
        .prop_flat_map(|(is_v6, protocol)| tuple_of(is_v6, protocol))
        .boxed()
}

fn state(protocol: u8) -> BoxedStrategy<Option<ProtocolState>> {
    let numbers = (
        0_u8..10,
        any::<[u8; 2]>(),
        [0_u8..15, 0..15],
        any::<(u32, u32)>(),
    );
    numbers
        .prop_map(move |(state, flags, scales, (one, other))| match protocol {
            TCP => Some(ProtocolState::Tcp {
                state,
                scales,
                flags,
            }),
            SCTP => Some(ProtocolState::Sctp {
                state,
                tags: [one, other],
            }),
            DCCP => Some(ProtocolState::Dccp {
                state,
                role: state & 1,
                handshake: one.into(),
            }),
            _ => None,
        })
        .boxed()
}

fn zone() -> impl Strategy<Value = Zone> {
    let direction = prop::sample::select(&[
        ZoneDirection::Both,
        ZoneDirection::Original,
        ZoneDirection::Reply,
    ]);
    let named = (1..u16::MAX, direction).prop_map(|(id, direction)| Zone { id, direction });
    prop_oneof![Just(Zone::DEFAULT), named]
}

fn shift() -> impl Strategy<Value = SequenceShift> {
    any::<[u32; 3]>().prop_map(|[position, before, after]| SequenceShift {
        position,
        before,
        after,
    })
}

/// A flow; NAT'd every other time.
pub(super) fn flow() -> impl Strategy<Value = FlowRef<'static>> {
    let of_tuples = (any::<bool>(), protocol()).prop_flat_map(|(is_v6, protocol)| {
        let tuple = || tuple_of(is_v6, protocol);
        (tuple(), option::of(tuple()), state(protocol))
    });
    let rest = (
        zone(),
        any::<(bool, bool, bool)>(),
        0_u32..500_000,
        prop_oneof![Just(0), any::<u32>()],
        option::of(any::<[u8; LABEL_BYTES]>()),
        option::of(prop::sample::select(&["ftp", "sip"][..])),
        option::of([shift(), shift()]),
        option::of(tuple()),
    );
    (of_tuples, rest).prop_map(|((original, other, state), rest)| {
        let (zone, (seen, assured, done), timeout_s, mark, labels, helper, shifts, master) = rest;
        let bits = [(seen, SEEN_REPLY), (assured, ASSURED), (done, NAT_DONE)];
        let status = bits
            .iter()
            .filter(|(is, _)| *is)
            .fold(CONFIRMED, |status, (_, bit)| status | bit);
        let reply = other.or(original.inverse()).unwrap_or(original);
        // Without that IPVS translates, and says so in conntrack.
        let nat = if done { original.nat_bits(&reply) } else { 0 };
        FlowRef {
            zone,
            original,
            reply,
            status: status | nat,
            timeout_s: Some(timeout_s),
            state,
            mark,
            labels,
            helper,
            shifts,
            syn_proxy: shifts.map(|[shift, _]| SynProxy {
                sequence: shift.position,
                timestamp: shift.before,
                timestamp_offset: shift.after,
            }),
            master,
            id: None,
            counters: None,
        }
    })
}

/// An expectation.
pub(super) fn expectation() -> impl Strategy<Value = ExpectationRef<'static>> {
    let tuples = any::<bool>().prop_flat_map(|is_v6| {
        let tuple = move || tuple_of(is_v6, TCP);
        (tuple(), tuple(), option::of((any::<bool>(), tuple())))
    });
    let names = (
        option::of(prop::sample::select(&["ftp", "sip"][..])),
        option::of(Just("nat-follow-master")),
    );
    (tuples, names, any::<u16>(), 0_u32..8, any::<u32>()).prop_map(
        |((tuple, master, nat), (helper, function), mask_port, flags, class)| ExpectationRef {
            tuple,
            mask_source: match tuple.addresses {
                Addresses::V4 { .. } => IpAddr::from([0; 4]),
                Addresses::V6 { .. } => IpAddr::from([255; 16]),
            },
            mask_port,
            master,
            nat,
            timeout_s: 300,
            flags,
            class,
            helper,
            function,
        },
    )
}
