//! What the pair needs for itself, open without a rule and before any: heartbeats and state sync between the two
//! boxes' own addresses, health checks, neighbour discovery, group membership, ICMP errors. Heartbeats and
//! sync are not tracked: a full connection table must never look like a dead box.

use super::rules::seal;
use super::terms::{host, joined, one_of};
use super::traffic::{View, destination, source};
use super::{Plan, add_set, counted};
use crate::config::{Cast, CheckKind, Link};
use crate::paths::{SYNC_PORT, udp_path};
use crate::ruleset::{
    Ct, Datum, Direction, Field, Icmp, Icmpv6, InterfaceName, Ipv6, Kind, Members, Meta, Rule,
    Selector, Set, Shape, Statement, Table, Tcp, TcpFlags, Test, TupleEnd, Udp, Verdict,
};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Destination unreachable, time exceeded, parameter problem (RFC 792).
pub(super) const ICMP_ERRORS: [u8; 3] = [3, 11, 12];
/// The same, and packet too big (RFC 4443).
pub(super) const ICMPV6_ERRORS: [u8; 4] = [1, 2, 3, 4];
/// Neighbour solicitation and advertisement (RFC 4861).
const NEIGHBOUR_DISCOVERY: [u8; 2] = [135, 136];
/// Listener query, report, done, and the second version's report (RFC 2710, RFC 3810).
const LISTENER_DISCOVERY: [u8; 4] = [130, 131, 132, 143];
/// Of messages that no router has passed on.
const FROM_THE_LINK: u8 = 255;
const IGMP: u8 = 2;
/// The device of the kernel's sync daemons, which carries nothing else (pollux/src/sync/balanced/cable.rs).
const BALANCER_CABLE: &str = "ipvs0";

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
}

impl Plan<'_> {
    /// Tests for heartbeats and sync, one for each path, and for what the kernel's sync daemons say and hear.
    pub(super) fn between_the_boxes(&self, way: Way) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (position, link) in self.config.links.iter().enumerate() {
            let Link::Udp { interface, .. } = *link else {
                continue;
            };
            let devices = self.layout.interface(interface);
            let Some(path) = udp_path(self.config, self.node, position) else {
                continue;
            };
            if devices.is_empty() {
                continue;
            }
            let name = self.config.interfaces.get(usize::from(interface));
            let name = name.map_or("", |interface| &interface.name);
            let heartbeat = (path.to, path.port, format!("heartbeat on {name}"));
            let sync = match way {
                Way::In => path.local,
                Way::Out => path.peer,
            };
            let sync = (sync, SYNC_PORT, format!("state sync on {name}"));
            for (to, port, about) in [heartbeat, sync] {
                let from = match way {
                    Way::In => path.peer,
                    Way::Out => path.local,
                };
                let rule = at(Rule::about(about), way, &devices)
                    .when(source(View::Packet, from.is_ipv4()), Test::Is(from.into()))
                    .when(
                        Field::Udp(Udp::DestinationPort),
                        Test::Is(Datum::Port(port)),
                    );
                // What comes by broadcast or multicast may have any destination: the source decides.
                let to_selector = destination(View::Packet, to.is_ipv4());
                let rule = match way {
                    Way::In => rule,
                    Way::Out => rule.when(to_selector, Test::Is(to.into())),
                };
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
        if !self.config.services.is_empty() {
            let devices: Vec<_> = InterfaceName::new(BALANCER_CABLE).into_iter().collect();
            rules.push(at(Rule::about("the balancer's sync"), way, &devices));
        }
        rules
    }

    /// What always passes on its way to or from the box.
    pub(super) fn always(&self, way: Way) -> Vec<Rule> {
        let accept = |rule: Rule| counted(rule, Verdict::Accept);
        let types = |types: &[u8]| one_of(types.iter().map(|&each| Datum::IcmpType(each)));
        let types6 = |types: &[u8]| one_of(types.iter().map(|&each| Datum::Icmpv6Type(each)));
        let icmp = Field::Icmp(Icmp::Type);
        let icmpv6 = Field::Icmpv6(Icmpv6::Type);
        let hops = Test::Is(Datum::Number8(FROM_THE_LINK));
        let mut rules: Vec<_> = self
            .between_the_boxes(way)
            .into_iter()
            .map(accept)
            .collect();
        rules.push(accept(
            Rule::about("errors").when(icmp, types(&ICMP_ERRORS)),
        ));
        rules.push(accept(
            Rule::about("errors").when(icmpv6, types6(&ICMPV6_ERRORS)),
        ));
        rules.push(accept(
            Rule::about("neighbours")
                .when(icmpv6, types6(&NEIGHBOUR_DISCOVERY))
                .when(Field::Ipv6(Ipv6::HopLimit), hops),
        ));
        rules.push(accept(
            Rule::about("group members").when(icmpv6, types6(&LISTENER_DISCOVERY)),
        ));
        let groups = self.devices_with_groups();
        if !groups.is_empty() {
            let igmp = Test::Is(Datum::Protocol(IGMP));
            let rule = at(Rule::about("group members"), way, &groups);
            rules.push(accept(rule.when(Meta::Protocol, igmp)));
        }
        if way == Way::Out {
            // A reject's reset, and the kernel's own to what has no socket.
            let reset = Test::Any(Datum::TcpFlags(TcpFlags::RST));
            let rule = Rule::about("resets").when(Field::Tcp(Tcp::Flags), reset);
            rules.push(accept(rule));
        }
        rules
    }

    fn devices_with_groups(&self) -> Vec<InterfaceName> {
        let links = self.config.links.iter();
        let interfaces = links.filter_map(|link| match *link {
            Link::Udp {
                interface,
                cast: Cast::Multicast(_),
                ..
            } => Some(interface),
            Link::Udp { .. } | Link::Serial { .. } => None,
        });
        let mut devices: Vec<_> = interfaces
            .flat_map(|each| self.layout.interface(each))
            .collect();
        devices.dedup();
        devices
    }

    /// Where health checks go.
    pub(super) fn needed_sets(&self, table: &mut Table) {
        for is_ipv4 in [true, false] {
            let mut targets: Vec<_> = self.checks(is_ipv4).collect();
            targets.sort_unstable();
            targets.dedup();
            let element = |(address, port): (IpAddr, u16)| {
                let parts = vec![Datum::from(address).into(), Datum::Port(port).into()];
                crate::ruleset::Key::Several(parts).into()
            };
            let kind = if is_ipv4 { Kind::Ipv4 } else { Kind::Ipv6 };
            add_set(
                table,
                Set {
                    name: check_set(is_ipv4),
                    shape: Shape::exact([kind, Kind::Port]),
                    elements: targets.into_iter().map(element).collect(),
                },
            );
        }
    }

    fn checks(&self, is_ipv4: bool) -> impl Iterator<Item = (IpAddr, u16)> {
        let services = self.config.services.iter();
        let targets = services.flat_map(|service| {
            let port = match &service.check.kind {
                CheckKind::None => None,
                CheckKind::Tcp { port } | CheckKind::Http { port, .. } => Some(*port),
            };
            let servers = service.servers.iter().map(|server| server.endpoint);
            servers.filter_map(move |server| Some((server.address, port?.unwrap_or(server.port))))
        });
        targets.filter(move |(address, _)| address.is_ipv4() == is_ipv4)
    }

    /// Accepts health checks: as they begin, or with `View::Connection` as conntrack knows them.
    pub(super) fn check_rules(&self, view: View) -> Vec<Rule> {
        let families = [true, false].into_iter();
        let families = families.filter(|&is_ipv4| self.checks(is_ipv4).next().is_some());
        let rule = |is_ipv4| {
            let ends: [Selector; 2] = match view {
                View::Packet => [
                    destination(view, is_ipv4),
                    Field::Tcp(Tcp::DestinationPort).into(),
                ],
                View::Connection => [
                    destination(view, is_ipv4),
                    Ct::Tuple(Direction::Reply, TupleEnd::SourcePort).into(),
                ],
            };
            let lookup = Statement::Lookup {
                key: ends.into(),
                members: Members::Named(check_set(is_ipv4)),
                inverted: false,
            };
            let own = joined(self.own_addresses().map(host), is_ipv4);
            let own = super::terms::among(own.unwrap_or_default());
            let rule = Rule::about("health checks")
                .when(Meta::Protocol, Test::Is(Datum::TCP))
                .when(source(view, is_ipv4), own)
                .and(lookup);
            counted(rule, seal())
        };
        families
            .filter(|&is_ipv4| self.has_own(is_ipv4))
            .map(rule)
            .collect()
    }

    fn has_own(&self, is_ipv4: bool) -> bool {
        self.own_addresses().any(|own| own.is_ipv4() == is_ipv4)
    }

    /// The box's own addresses, not the virtual ones.
    pub(super) fn own_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let interfaces = self.config.interfaces.iter();
        let attached = interfaces.filter_map(|interface| interface.on.get(self.node)?.as_ref());
        attached
            .flat_map(|attachment| &attachment.addresses)
            .map(|prefix| prefix.address)
    }
}

/// At these devices.
pub(super) fn at(rule: Rule, way: Way, devices: &[InterfaceName]) -> Rule {
    let selector = match way {
        Way::In => Meta::InputName,
        Way::Out => Meta::OutputName,
    };
    rule.when(selector, one_of(devices.iter().copied()))
}

fn check_set(is_ipv4: bool) -> String {
    format!("check.{}", if is_ipv4 { 4 } else { 6 })
}
