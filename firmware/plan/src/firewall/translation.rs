//! Address translation. Whole addresses (1:1) and hairpins come first, then the config's order. Sources become
//! virtual addresses, so that connections can move to the twin with them.

use super::layout::speaks_of;
use super::needs::{Way, at};
use super::rules::{Pair, named, seal};
use super::terms::{among, host, joined, joined_ports};
use super::traffic::{View, destination, separated, source, transport};
use super::{Plan, counted};
use crate::config::firewall::{
    Addresses, Families, Peer, PortRange, Side, Traffic, Translation, TranslationKind,
};
use crate::ruleset::{
    Chain, ConnectionStatus, Ct, Datum, Direction, Entries, Field, Hook, Key, Kind, Map, NatFlags,
    NatHook, NatTarget, Policy, Rule, Selector, Shape, Statement, Table, Test, TupleEnd, priority,
};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

impl Plan<'_> {
    /// The chains of type nat, where there is something to translate.
    pub(super) fn translations(&self, table: &mut Table) {
        if self.config.firewall.translations.is_empty() {
            return;
        }
        let base =
            |name, hook, priority| Chain::base(name, Hook::Nat(hook), priority, Policy::Accept);
        let mut to = base("nat.to", NatHook::Prerouting, priority::DESTINATION_NAT);
        let mut from = base("nat.from", NatHook::Postrouting, priority::SOURCE_NAT);
        for is_whole in [true, false] {
            for (position, each) in self.config.firewall.translations.iter().enumerate() {
                if matches!(each.kind, TranslationKind::OneToOne { .. }) == is_whole {
                    to.rules
                        .extend(self.destination_rules(position, each, table));
                }
            }
        }
        let numbered = || self.config.firewall.translations.iter().enumerate();
        from.rules
            .extend(numbered().flat_map(|(position, each)| self.hairpins(position, each)));
        from.rules
            .extend(numbered().flat_map(|(position, each)| self.whole(position, each)));
        from.rules
            .extend(numbered().flat_map(|(position, each)| self.sources(position, each)));
        table.chains.extend([to, from]);
    }

    fn destination_rules(
        &self,
        position: usize,
        translation: &Translation,
        table: &mut Table,
    ) -> Vec<Rule> {
        let about = about(position, translation);
        let (outside, real, from, hairpin) = match translation.kind {
            TranslationKind::Destination {
                address, hairpin, ..
            } => {
                let from = translation.traffic.from.as_slice();
                (
                    outside_addresses(&translation.traffic),
                    address,
                    from,
                    hairpin,
                )
            }
            TranslationKind::OneToOne {
                outside,
                inside,
                hairpin,
            } => (
                vec![outside],
                inside,
                translation.traffic.to.as_slice(),
                hairpin,
            ),
            TranslationKind::Masquerade { .. } | TranslationKind::Source { .. } => {
                return Vec::new();
            }
        };
        let mut devices = self.layout.sides(from);
        if hairpin {
            devices.extend(
                self.zone_of(real)
                    .map(|zone| self.layout.side(zone))
                    .unwrap_or_default(),
            );
            devices.sort_unstable();
            devices.dedup();
        }
        let is_ipv4 = real.is_ipv4();
        let outside = joined(outside.into_iter().map(host), is_ipv4).unwrap_or_default();
        if devices.is_empty() || outside.is_empty() {
            return Vec::new();
        }
        let peers = Traffic {
            source: translation.traffic.source.clone(),
            ..Traffic::default()
        };
        let rule = at(Rule::about(about), Way::In, &devices);
        let rule = rule.when(destination(View::Packet, is_ipv4), among(outside));
        let rule = transport(rule, View::Packet, &translation.traffic, Some(is_ipv4));
        let rule = rule.and_then(|rule| match peers.source.is_empty() {
            true => Some(rule),
            false => self.addressed(rule, View::Packet, &peers, is_ipv4),
        });
        let target = target(position, translation, real, table);
        let rule = rule.map(|rule| rule.and(Statement::Counter));
        let rule =
            rule.map(|rule| rule.and(Statement::DestinationNat(target, NatFlags::default())));
        rule.into_iter().collect()
    }

    /// The zone in whose networks an address is, by the box's own addresses or by a route.
    fn zone_of(&self, address: IpAddr) -> Option<Side> {
        let interface_of = |address: IpAddr| {
            let mut interfaces = (0u8..).zip(&self.config.interfaces);
            let found = interfaces.find(|(_, interface)| {
                let attachment = interface.on.get(self.node).and_then(Option::as_ref);
                let mut own = attachment.into_iter().flat_map(|each| &each.addresses);
                own.any(|own| own.contains(address))
            });
            found.map(|(position, _)| position)
        };
        let routes = self.config.routes.iter();
        let by_route = || {
            let route = routes
                .filter(|route| route.to.contains(address))
                .max_by_key(|route| route.to.length)?;
            route.interface.or_else(|| interface_of(route.via))
        };
        let interface = interface_of(address).or_else(by_route)?;
        let mut zones = (0u8..).zip(&self.config.firewall.zones);
        let zone = zones.find(|(_, zone)| zone.interfaces.contains(&interface));
        zone.map(|(position, _)| Side::Zone(position))
    }

    /// Neighbours of the real server that use its address from outside: answers must come by way of the box.
    fn hairpins(&self, position: usize, translation: &Translation) -> Vec<Rule> {
        let (outside, real) = match translation.kind {
            TranslationKind::Destination {
                address,
                hairpin: true,
                ..
            } => (outside_addresses(&translation.traffic), address),
            TranslationKind::OneToOne {
                outside,
                inside,
                hairpin: true,
            } => (vec![outside], inside),
            _ => return Vec::new(),
        };
        let is_ipv4 = real.is_ipv4();
        let Some(zone) = self.zone_of(real) else {
            return Vec::new();
        };
        let outside = joined(outside.into_iter().map(host), is_ipv4).unwrap_or_default();
        let rule = |interface| {
            let devices = self.layout.interface(interface);
            if devices.is_empty() {
                return None;
            }
            let rule = at(Rule::about(about(position, translation)), Way::In, &devices);
            let rule = at(rule, Way::Out, &devices)
                .when(original_destination(is_ipv4), among(outside.clone()))
                .when(destination(View::Packet, is_ipv4), Test::Is(real.into()));
            Some(self.behind(rule, interface, is_ipv4))
        };
        let interfaces = self.layout.interfaces_of(&[zone]).into_iter();
        interfaces.filter_map(rule).collect()
    }

    /// What an address known by another says to the outside.
    fn whole(&self, position: usize, translation: &Translation) -> Option<Rule> {
        let TranslationKind::OneToOne {
            outside, inside, ..
        } = translation.kind
        else {
            return None;
        };
        let rule = self.leaving(position, translation)?;
        let rule = rule.when(
            source(View::Packet, inside.is_ipv4()),
            Test::Is(inside.into()),
        );
        Some(translated(rule, (outside, outside), None))
    }

    fn sources(&self, position: usize, translation: &Translation) -> Vec<Rule> {
        match translation.kind {
            TranslationKind::Masquerade { families } => {
                self.masquerade(position, translation, families)
            }
            TranslationKind::Source { first, last, ports } => {
                let rule = self.leaving(position, translation);
                let rule = rule.and_then(|rule| self.meant(rule, translation, first.is_ipv4()));
                let rule = rule.map(|rule| translated(rule, (first, last), ports));
                rule.into_iter().collect()
            }
            TranslationKind::Destination { .. } | TranslationKind::OneToOne { .. } => Vec::new(),
        }
    }

    fn masquerade(
        &self,
        position: usize,
        translation: &Translation,
        families: Families,
    ) -> Vec<Rule> {
        let from = self.layout.sides(&translation.traffic.from);
        let interfaces = self
            .layout
            .interfaces_of(&translation.traffic.to)
            .into_iter();
        let rules = interfaces.flat_map(|interface| {
            let devices = self.layout.interface(interface);
            let from = from.clone();
            let wanted = [true, false]
                .into_iter()
                .filter(move |&family| families.has(family));
            wanted.filter_map(move |is_ipv4| {
                if from.is_empty() || devices.is_empty() {
                    return None;
                }
                let rule = at(Rule::about(about(position, translation)), Way::In, &from);
                let rule = at(rule, Way::Out, &devices);
                let rule = self.meant(rule, translation, is_ipv4)?;
                Some(self.behind(rule, interface, is_ipv4))
            })
        });
        rules.collect()
    }

    /// Sources become the virtual address of an interface, or what it has.
    fn behind(&self, rule: Rule, interface: u8, is_ipv4: bool) -> Rule {
        let virtual_addresses = self.config.virtual_addresses.iter();
        let mut addresses = virtual_addresses
            .filter(|address| address.interface == interface)
            .map(|address| address.prefix.address);
        match addresses.find(|address| address.is_ipv4() == is_ipv4) {
            Some(address) => translated(rule, (address, address), None),
            None => rule.and(Statement::Counter).and(Statement::Masquerade {
                ports: None,
                flags: NatFlags::default(),
            }),
        }
    }

    /// From one of its sides to another.
    fn leaving(&self, position: usize, translation: &Translation) -> Option<Rule> {
        let from = self.layout.sides(&translation.traffic.from);
        let to = self.layout.sides(&translation.traffic.to);
        if from.is_empty() || to.is_empty() {
            return None;
        }
        let rule = at(Rule::about(about(position, translation)), Way::In, &from);
        Some(at(rule, Way::Out, &to))
    }

    /// Tests addresses, protocols and ports for one family.
    fn meant(&self, rule: Rule, translation: &Translation, is_ipv4: bool) -> Option<Rule> {
        let rule = self.addressed(rule, View::Packet, &translation.traffic, is_ipv4)?;
        transport(rule, View::Packet, &translation.traffic, Some(is_ipv4))
    }

    /// What destination NAT lets pass between two sides: by what conntrack knows, so that it serves connections
    /// that begin and those that are judged anew.
    pub(super) fn opened(&self, pair: Pair) -> Vec<Rule> {
        let numbered = self.config.firewall.translations.iter().enumerate();
        let rules = numbered.flat_map(|(position, translation)| {
            let TranslationKind::Destination {
                address, hairpin, ..
            } = translation.kind
            else {
                return Vec::new();
            };
            let is_neighbour = hairpin && pair.from == pair.to;
            let is_meant = speaks_of(&translation.traffic.from, pair.from) || is_neighbour;
            if pair.to == Side::Box || !is_meant {
                return Vec::new();
            }
            self.translated_to(&about(position, translation), &translation.traffic, address)
        });
        rules.collect()
    }

    /// Accepts connections translated to `real`, by who opened them and what he asked for.
    fn translated_to(&self, about: &str, traffic: &Traffic, real: IpAddr) -> Vec<Rule> {
        let is_ipv4 = real.is_ipv4();
        let outside = outside_addresses(traffic).into_iter().map(host);
        let outside = joined(outside, is_ipv4).unwrap_or_default();
        let is_translated = Test::Any(Datum::Status(ConnectionStatus::DESTINATION_NAT));
        if outside.is_empty() {
            return Vec::new();
        }
        let accept = |part: Traffic| {
            let opener = Traffic {
                destination: Vec::new(),
                ports: Vec::new(),
                ..part.clone()
            };
            let rule = Rule::about(about)
                .when(Ct::Status, is_translated.clone())
                .when(original_destination(is_ipv4), among(outside.clone()))
                .when(
                    destination(View::Connection, is_ipv4),
                    Test::Is(real.into()),
                );
            let rule = match opener.source.is_empty() {
                true => rule,
                false => self.addressed(rule, View::Connection, &opener, is_ipv4)?,
            };
            let rule = transport(rule, View::Connection, &opener, Some(is_ipv4))?;
            let port = Ct::Tuple(Direction::Original, TupleEnd::DestinationPort);
            let rule = match part.ports.is_empty() {
                true => rule,
                false => rule.when(port, among(joined_ports(&part.ports))),
            };
            Some(counted(rule, seal()))
        };
        let parts = separated(View::Connection, traffic).into_iter();
        parts.filter_map(accept).collect()
    }
}

fn about(position: usize, translation: &Translation) -> String {
    named("nat", position, &translation.name)
}

/// The addresses that clients know: single ones (`validate`).
fn outside_addresses(traffic: &Traffic) -> Vec<IpAddr> {
    let single = |peer: &Peer| match peer {
        Peer::Addresses(Addresses::Network(prefix)) => Some(prefix.address),
        Peer::Addresses(Addresses::Range(..)) | Peer::Set(_) => None,
    };
    traffic.destination.iter().filter_map(single).collect()
}

/// Where the connection went before translation.
fn original_destination(is_ipv4: bool) -> Ct {
    let end = if is_ipv4 {
        TupleEnd::Destination4
    } else {
        TupleEnd::Destination6
    };
    Ct::Tuple(Direction::Original, end)
}

fn translated(rule: Rule, addresses: (IpAddr, IpAddr), ports: Option<PortRange>) -> Rule {
    let target = NatTarget::Addresses {
        addresses,
        ports: ports.map(|range| (range.first, range.last)),
    };
    // Servers that tie a session to an address see the same one as long as the client has connections.
    let flags = NatFlags {
        persistent: addresses.0 != addresses.1,
        ..NatFlags::default()
    };
    rule.and(Statement::Counter)
        .and(Statement::SourceNat(target, flags))
}

/// What a destination becomes. A range that is shifted needs a map: the kernel would choose any of its ports.
fn target(
    position: usize,
    translation: &Translation,
    real: IpAddr,
    table: &mut Table,
) -> NatTarget {
    let plain = |ports| NatTarget::Addresses {
        addresses: (real, real),
        ports,
    };
    let TranslationKind::Destination {
        ports: Some(to), ..
    } = translation.kind
    else {
        return plain(None);
    };
    match translation.traffic.ports.as_slice() {
        [from] if *from == to => plain(None),
        [from] if to.count() > 1 => {
            let name = format!("nat.{}", position + 1);
            table.maps.push(shifted(name.clone(), *from, to, real));
            NatTarget::Mapped {
                key: vec![Selector::Field(Field::DestinationPort)],
                map: name,
            }
        }
        _ => plain(Some((to.first, to.last))),
    }
}

fn shifted(name: String, from: PortRange, to: PortRange, real: IpAddr) -> Map {
    let address = Datum::from(real);
    let pairs = (from.first..=from.last).zip(to.first..=to.last);
    let entry = |(from, to)| {
        let key = Key::One(Datum::Port(from).into()).into();
        (key, vec![address, Datum::Port(to)])
    };
    Map {
        name,
        shape: Shape::exact([Kind::Port]),
        entries: Entries::Data {
            kinds: vec![address.kind(), Kind::Port],
            entries: pairs.map(entry).collect(),
        },
    }
}
