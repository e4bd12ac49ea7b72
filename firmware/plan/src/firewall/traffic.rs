//! What a rule of the config speaks of, as tests of a packet or of a connection.

use super::Plan;
use super::terms::{among, joined, joined_ports, one_of};
use crate::config::Config;
use crate::config::firewall::{AddressSet, Addresses, IcmpKind, Peer, Traffic, Transport};
use crate::ruleset::{
    Ct, Datum, Direction, Field, Icmp, Icmpv6, Ipv4, Ipv6, Kind, Meta, Rule, Selector, Set, Shape,
    Span, Statement, Table, Tcp, Test, TupleEnd, Udp,
};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// A packet that begins a connection, or has none. Addresses and ports are those of its headers.
    Packet,
    /// Any packet of a connection, in either direction: its opener as it was before source NAT, and who answers
    /// as it is behind destination NAT.
    Connection,
}

/// How addresses are tested.
enum Whose {
    /// There is none of this family.
    Nobody,
    /// All of this family.
    All,
    /// Those in a named set.
    Set(String),
    /// These.
    These(Test),
}

impl Plan<'_> {
    /// A rule for each family that `traffic` speaks of, or one for both where it has no addresses.
    pub(super) fn rules_for(&self, view: View, traffic: &Traffic, comment: &str) -> Vec<Rule> {
        let has_addresses = !(traffic.source.is_empty() && traffic.destination.is_empty());
        let is_for_both = !has_addresses && traffic.icmp.is_empty();
        let families: &[_] = if is_for_both {
            &[None]
        } else {
            &[Some(true), Some(false)]
        };
        let parts = separated(view, traffic);
        let rule = |traffic: &Traffic, family| {
            let rule = Rule::about(comment);
            let rule = match family {
                Some(is_ipv4) => self.addressed(rule, view, traffic, is_ipv4)?,
                None => rule,
            };
            transport(rule, view, traffic, family)
        };
        let rules = parts
            .iter()
            .flat_map(|part| families.iter().filter_map(|&family| rule(part, family)));
        rules.collect()
    }

    /// Tests source and destination; `None`: nothing of this family is meant.
    pub(super) fn addressed(
        &self,
        mut rule: Rule,
        view: View,
        traffic: &Traffic,
        is_ipv4: bool,
    ) -> Option<Rule> {
        let mut has_tests = false;
        for (peers, selector) in [
            (&traffic.source, source(view, is_ipv4)),
            (&traffic.destination, destination(view, is_ipv4)),
        ] {
            rule = match self.whose(peers, is_ipv4) {
                Whose::Nobody => return None,
                Whose::All => continue,
                Whose::Set(name) => rule.and(Statement::in_set(selector, name)),
                Whose::These(test) => rule.when(selector, test),
            };
            has_tests = true;
        }
        Some(if has_tests {
            rule
        } else {
            family(rule, is_ipv4)
        })
    }

    fn whose(&self, peers: &[Peer], is_ipv4: bool) -> Whose {
        match peers {
            [] => Whose::All,
            [Peer::Set(position)] => self.whole_set(*position, is_ipv4),
            _ => match joined(
                peers.iter().flat_map(|peer| self.addresses_of(peer)),
                is_ipv4,
            ) {
                None => Whose::All,
                Some(spans) if spans.is_empty() => Whose::Nobody,
                Some(spans) => Whose::These(among(spans)),
            },
        }
    }

    /// Of a set alone its name is enough: it may be large, and many rules may name it.
    fn whole_set(&self, position: u8, is_ipv4: bool) -> Whose {
        let position = usize::from(position);
        let set = self.config.firewall.sets.get(position);
        let extents = self.sets.get(position);
        match set.zip(extents) {
            Some((set, [v4, v6])) => match if is_ipv4 { v4 } else { v6 } {
                Extent::Nothing => Whose::Nobody,
                Extent::Some => Whose::Set(set_name(&set.name, is_ipv4)),
                Extent::Everything => Whose::All,
            },
            None => Whose::Nobody,
        }
    }

    fn addresses_of<'a>(&'a self, peer: &'a Peer) -> impl Iterator<Item = Addresses> + 'a {
        let (one, set) = match peer {
            Peer::Addresses(addresses) => (Some(*addresses), None),
            Peer::Set(position) => (None, self.config.firewall.sets.get(usize::from(*position))),
        };
        let of_set = set
            .into_iter()
            .flat_map(|set| set.addresses.iter().copied());
        one.into_iter().chain(of_set)
    }

    /// The sets of the config, those that have no addresses of a family left out, and those that have all.
    pub(super) fn named_sets(&self, joined: Vec<Joined>, table: &mut Table) {
        for (set, Joined { families }) in self.config.firewall.sets.iter().zip(joined) {
            for ((is_ipv4, kind), spans) in FAMILIES.into_iter().zip(families) {
                let spans = spans.unwrap_or_default();
                // Of single addresses, the kernel finds one sooner and needs half of the memory.
                let are_single = spans.iter().all(|span| matches!(span, Span::One(_)));
                if !spans.is_empty() {
                    table.sets.push(Set {
                        name: set_name(&set.name, is_ipv4),
                        shape: if are_single {
                            Shape::exact([kind])
                        } else {
                            Shape::intervals([kind])
                        },
                        elements: spans.into_iter().map(Into::into).collect(),
                    });
                }
            }
        }
    }
}

const FAMILIES: [(bool, Kind); 2] = [(true, Kind::Ipv4), (false, Kind::Ipv6)];

/// The addresses of a set as the kernel wants them, of IPv4 and of IPv6; `None`: all there are.
pub(super) struct Joined {
    families: [Option<Vec<Span>>; 2],
}

/// What a set holds of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Nothing,
    Some,
    Everything,
}

impl Joined {
    /// By set of the config.
    pub(super) fn of(config: &Config) -> Vec<Self> {
        let sets = config.firewall.sets.iter();
        let of_set = |set: &AddressSet| Self {
            families: FAMILIES.map(|(is_ipv4, _)| joined(set.addresses.iter().copied(), is_ipv4)),
        };
        sets.map(of_set).collect()
    }

    pub(super) fn extents(&self) -> [Extent; 2] {
        self.families.each_ref().map(|spans| match spans {
            None => Extent::Everything,
            Some(spans) if spans.is_empty() => Extent::Nothing,
            Some(_) => Extent::Some,
        })
    }
}

/// No name of ours has an underscore, and no name of the config.
fn set_name(name: &str, is_ipv4: bool) -> String {
    format!("{name}_{}", if is_ipv4 { 4 } else { 6 })
}

/// Goes on for one family.
fn family(rule: Rule, is_ipv4: bool) -> Rule {
    let family = if is_ipv4 { Datum::IPV4 } else { Datum::IPV6 };
    rule.when(Meta::NfProtocol, Test::Is(family))
}

/// Where it comes from.
pub(super) fn source(view: View, is_ipv4: bool) -> Selector {
    let original = |end| Ct::Tuple(Direction::Original, end).into();
    match (view, is_ipv4) {
        (View::Packet, true) => Field::Ipv4(Ipv4::Source).into(),
        (View::Packet, false) => Field::Ipv6(Ipv6::Source).into(),
        (View::Connection, true) => original(TupleEnd::Source4),
        (View::Connection, false) => original(TupleEnd::Source6),
    }
}

/// Where it goes.
pub(super) fn destination(view: View, is_ipv4: bool) -> Selector {
    let reply = |end| Ct::Tuple(Direction::Reply, end).into();
    match (view, is_ipv4) {
        (View::Packet, true) => Field::Ipv4(Ipv4::Destination).into(),
        (View::Packet, false) => Field::Ipv6(Ipv6::Destination).into(),
        (View::Connection, true) => reply(TupleEnd::Source4),
        (View::Connection, false) => reply(TupleEnd::Source6),
    }
}

/// Tests protocol, ports and messages; `None`: nothing of this family is meant.
pub(super) fn transport(
    rule: Rule,
    view: View,
    traffic: &Traffic,
    is_ipv4: Option<bool>,
) -> Option<Rule> {
    if !traffic.icmp.is_empty() {
        return messages(rule, view, &traffic.icmp, is_ipv4.unwrap_or(true));
    }
    let mut rule = match view {
        View::Packet if has_port_fields(traffic) => rule,
        _ => protocols(rule, &traffic.protocols, is_ipv4),
    };
    for (ports, selector) in [
        (&traffic.source_ports, source_port(view, traffic)),
        (&traffic.ports, destination_port(view, traffic)),
    ] {
        if !ports.is_empty() {
            rule = rule.when(selector, among(joined_ports(ports)));
        }
    }
    Some(rule)
}

/// Ports of TCP or UDP alone are tested by their own fields, which say the protocol, too.
fn has_port_fields(traffic: &Traffic) -> bool {
    let has_ports = !(traffic.ports.is_empty() && traffic.source_ports.is_empty());
    has_ports
        && matches!(
            traffic.protocols.as_slice(),
            [Transport::Tcp | Transport::Udp]
        )
}

fn protocols(rule: Rule, protocols: &[Transport], is_ipv4: Option<bool>) -> Rule {
    if protocols.is_empty() {
        return rule;
    }
    let mut numbers: Vec<u8> = Vec::new();
    for protocol in protocols {
        match (protocol, is_ipv4) {
            (Transport::Icmp, Some(true)) => numbers.push(ICMP),
            (Transport::Icmp, Some(false)) => numbers.push(ICMPV6),
            (Transport::Icmp, None) => numbers.extend([ICMP, ICMPV6]),
            _ => numbers.push(protocol.number()),
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    rule.when(
        Meta::Protocol,
        one_of(numbers.into_iter().map(Datum::Protocol)),
    )
}

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

fn source_port(view: View, traffic: &Traffic) -> Selector {
    match (view, traffic.protocols.as_slice()) {
        (View::Connection, _) => Ct::Tuple(Direction::Original, TupleEnd::SourcePort).into(),
        (View::Packet, [Transport::Tcp]) => Field::Tcp(Tcp::SourcePort).into(),
        (View::Packet, [Transport::Udp]) => Field::Udp(Udp::SourcePort).into(),
        (View::Packet, _) => Field::SourcePort.into(),
    }
}

fn destination_port(view: View, traffic: &Traffic) -> Selector {
    match (view, traffic.protocols.as_slice()) {
        (View::Connection, _) => Ct::Tuple(Direction::Reply, TupleEnd::SourcePort).into(),
        (View::Packet, [Transport::Tcp]) => Field::Tcp(Tcp::DestinationPort).into(),
        (View::Packet, [Transport::Udp]) => Field::Udp(Udp::DestinationPort).into(),
        (View::Packet, _) => Field::DestinationPort.into(),
    }
}

/// Of a connection, both its messages are meant: those that open it, and the answers.
fn messages(rule: Rule, view: View, kinds: &[IcmpKind], is_ipv4: bool) -> Option<Rule> {
    let number = |kind: IcmpKind| {
        if is_ipv4 {
            kind.icmp_type()
        } else {
            kind.icmpv6_type()
        }
    };
    let mut numbers: Vec<u8> = match view {
        View::Packet => kinds.iter().copied().filter_map(number).collect(),
        View::Connection => {
            let opens = |kind: &&IcmpKind| **kind == IcmpKind::EchoRequest;
            let opening = kinds.iter().filter(opens);
            let both = opening.flat_map(|_| [IcmpKind::EchoRequest, IcmpKind::EchoReply]);
            both.filter_map(number).collect()
        }
    };
    numbers.sort_unstable();
    numbers.dedup();
    if numbers.is_empty() {
        return None;
    }
    Some(if is_ipv4 {
        let types = one_of(numbers.into_iter().map(Datum::IcmpType));
        rule.when(Field::Icmp(Icmp::Type), types)
    } else {
        let types = one_of(numbers.into_iter().map(Datum::Icmpv6Type));
        rule.when(Field::Icmpv6(Icmpv6::Type), types)
    })
}

/// Ports of a connection have a meaning only together with its one protocol.
pub(super) fn separated(view: View, traffic: &Traffic) -> Vec<Traffic> {
    let has_ports = !(traffic.ports.is_empty() && traffic.source_ports.is_empty());
    if view == View::Packet || !has_ports {
        return vec![traffic.clone()];
    }
    let of_protocol = |&protocol: &Transport| Traffic {
        protocols: vec![protocol],
        ..traffic.clone()
    };
    traffic.protocols.iter().map(of_protocol).collect()
}
