//! Checks of address translation: that it can be done, and that somebody answers for the addresses.

use super::super::network::{all_own, own_addresses};
use super::super::{Problems, is_repeated};
use super::{Known, text, traffic};
use crate::config::firewall::{
    Addresses, Families, Peer, PortRange, Side, Translation, TranslationKind, Transport,
};
use crate::config::{Config, Protocol};
use alloc::format;
use alloc::string::String;
use core::net::IpAddr;

/// Ports that are shifted one by one stand in a map.
const SHIFTED_PORTS_MAX: u32 = 1024;

pub(super) fn check(
    config: &Config,
    known: &Known<'_>,
    position: usize,
    translation: &Translation,
    problems: &mut Problems,
) {
    let firewall = &config.firewall;
    let path = |field| format!("firewall.translations[{position}].{field}");
    let spoken_of = &translation.traffic;
    text(path("name"), &translation.name, problems);
    traffic::sides(firewall, &path("from"), &spoken_of.from, problems);
    traffic::traffic(known, &path(""), spoken_of, problems);
    for (field, sides) in [("from", &spoken_of.from), ("to", &spoken_of.to)] {
        if sides.contains(&Side::Box) {
            let fault = "takes no part in address translation";
            problems.add(path(field), &"\"box\"", fault, "write a zone, or \"any\"");
        }
    }
    for (order, transport) in spoken_of.protocols.iter().enumerate() {
        if !transport.has_ports() {
            let path = format!("firewall.translations[{position}].protocols[{order}]");
            let advice = "write \"tcp\", \"udp\" or \"sctp\", or leave out the protocol";
            problems.add(path, &"this protocol", "can't be chosen here", advice);
        }
    }
    match translation.kind {
        TranslationKind::Masquerade { .. } => {
            traffic::sides(firewall, &path("to"), &spoken_of.to, problems);
        }
        TranslationKind::Source { first, last, ports } => {
            traffic::sides(firewall, &path("to"), &spoken_of.to, problems);
            super::addresses(|| path("kind"), Addresses::Range(first, last), problems);
            answered_for(config, path("kind"), first, problems);
            if last != first {
                answered_for(config, path("kind"), last, problems);
            }
            to_ports(position, translation, ports, problems);
        }
        TranslationKind::Destination { address, ports, .. } => {
            destinations(config, position, translation, problems);
            problems.unicast(path("kind"), address);
            to_ports(position, translation, ports, problems);
        }
        TranslationKind::OneToOne {
            outside, inside, ..
        } => one_to_one(config, position, translation, (outside, inside), problems),
    }
}

/// Masquerading where there is nothing that moves.
pub(super) fn weigh(
    config: &Config,
    position: usize,
    translation: &Translation,
    concerns: &mut Problems,
) {
    let TranslationKind::Masquerade { families } = translation.kind else {
        return;
    };
    let zones = config.firewall.zones.iter();
    for (number, zone) in (0u8..).zip(zones) {
        let to = &translation.traffic.to;
        if !to.contains(&Side::Any) && !to.contains(&Side::Zone(number)) {
            continue;
        }
        for &interface in &zone.interfaces {
            for is_ipv4 in [true, false] {
                if families.has(is_ipv4) && lacks_virtual(config, interface, is_ipv4, families) {
                    let path = format!("firewall.translations[{position}]");
                    let name = config.interfaces.get(usize::from(interface));
                    let name = name.map_or("", |interface| &interface.name);
                    let fault = "has no virtual address, so that masqueraded connections end with a takeover";
                    let advice = "add a [[virtual-address]] there";
                    concerns.add(path, &name, fault, advice);
                }
            }
        }
    }
}

/// A box's own address is what there is to masquerade with. With both families asked for, a network of one
/// is no mistake.
fn lacks_virtual(config: &Config, interface: u8, is_ipv4: bool, families: Families) -> bool {
    let is_there = |address: IpAddr| address.is_ipv4() == is_ipv4;
    let virtual_addresses = config.virtual_addresses.iter();
    let has_virtual = virtual_addresses
        .filter(|address| address.interface == interface)
        .any(|address| is_there(address.prefix.address));
    let mut own = (0..config.nodes.len()).flat_map(|node| own_addresses(config, node));
    let has_own =
        own.any(|(position, own)| position == usize::from(interface) && is_there(own.address));
    !has_virtual && (has_own || families != Families::Both)
}

fn destinations(
    config: &Config,
    position: usize,
    translation: &Translation,
    problems: &mut Problems,
) {
    let path = |field| format!("firewall.translations[{position}].{field}");
    let TranslationKind::Destination { address: real, .. } = translation.kind else {
        return;
    };
    if translation.traffic.destination.is_empty() {
        let advice = "write destination = \"198.51.100.10\", the address that clients know";
        problems.add(
            path("destination"),
            &"the destination",
            "is missing",
            advice,
        );
    }
    for (order, peer) in translation.traffic.destination.iter().enumerate() {
        let path = format!("firewall.translations[{position}].destination[{order}]");
        let Peer::Addresses(Addresses::Network(prefix)) = *peer else {
            let advice = "write single addresses";
            problems.add(path, &"this", "is more than one address", advice);
            continue;
        };
        if prefix.length < prefix.length_max() {
            problems.add(path, &prefix, "is a network", "write single addresses");
        } else if prefix.address.is_ipv4() != real.is_ipv4() {
            let fault = "is of another family than what it is translated to";
            problems.add(path, &prefix.address, fault, "write one of the same family");
        } else {
            answered_for(config, path.clone(), prefix.address, problems);
            balanced(config, path, translation, prefix.address, problems);
        }
    }
}

/// A service and a translation can't both have a packet.
fn balanced(
    config: &Config,
    path: String,
    translation: &Translation,
    address: IpAddr,
    problems: &mut Problems,
) {
    let spoken_of = &translation.traffic;
    let mut services = config.services.iter();
    let taken = services.find(|service| {
        let transport = match service.protocol {
            Protocol::Tcp => Transport::Tcp,
            Protocol::Udp => Transport::Udp,
        };
        let is_meant =
            |range: &PortRange| range.first <= service.port && service.port <= range.last;
        service.address == address
            && (spoken_of.protocols.is_empty() || spoken_of.protocols.contains(&transport))
            && (spoken_of.ports.is_empty() || spoken_of.ports.iter().any(is_meant))
    });
    if let Some(service) = taken {
        let fault = format!("is balanced by a service on port {}", service.port);
        let advice = "write ports without that one, or another address";
        problems.add(path, &address, &fault, advice);
    }
}

fn one_to_one(
    config: &Config,
    position: usize,
    translation: &Translation,
    (outside, inside): (IpAddr, IpAddr),
    problems: &mut Problems,
) {
    let path = |field| format!("firewall.translations[{position}].{field}");
    traffic::sides(
        &config.firewall,
        &path("to"),
        &translation.traffic.to,
        problems,
    );
    if outside.is_ipv4() != inside.is_ipv4() {
        let fault = "is of another family than the address inside";
        problems.add(
            path("kind.outside"),
            &outside,
            fault,
            "write one of the same family",
        );
    }
    problems.unicast(path("kind.inside"), inside);
    answered_for(config, path("kind.outside"), outside, problems);
    if config
        .services
        .iter()
        .any(|service| service.address == outside)
    {
        let fault = "is the address of a service";
        let advice = "write another, or translate single ports with kind = \"destination\"";
        problems.add(path("kind.outside"), &outside, fault, advice);
    }
    let addresses = config
        .firewall
        .translations
        .iter()
        .map(|each| match each.kind {
            TranslationKind::OneToOne { outside, .. } => Some(outside),
            _ => None,
        });
    if is_repeated(addresses, position, &Some(outside)) {
        let advice = "give each its own address outside";
        problems.add(
            path("kind.outside"),
            &outside,
            "is translated twice",
            advice,
        );
    }
}

/// An address that packets can be sent to: one that moves with the active box, or one that is routed to it.
fn answered_for(config: &Config, path: String, address: IpAddr, problems: &mut Problems) {
    problems.unicast(path.clone(), address);
    let virtual_addresses = config.virtual_addresses.iter();
    if virtual_addresses
        .map(|each| each.prefix.address)
        .any(|each| each == address)
    {
        return;
    }
    let mut own = (0..config.nodes.len()).flat_map(|node| own_addresses(config, node));
    if all_own(config).any(|own| own == address) {
        let fault = "is a box's own address, which does not move with the connections";
        problems.add(path, &address, fault, "write a virtual address");
    } else if own.any(|(_, own)| own.contains(address)) {
        let fault = "is an address that neither box answers for";
        problems.add(path, &address, fault, "add it as a [[virtual-address]]");
    }
}

fn to_ports(
    position: usize,
    translation: &Translation,
    ports: Option<PortRange>,
    problems: &mut Problems,
) {
    let Some(to) = ports else { return };
    let path = format!("firewall.translations[{position}].kind.ports");
    let spoken_of = &translation.traffic;
    traffic::port_range(path.clone(), to, problems);
    if spoken_of.protocols.is_empty() {
        let advice = "write protocol = \"tcp\" or \"udp\"";
        problems.add(path, &"the port", "belongs to no protocol", advice);
        return;
    }
    if !matches!(translation.kind, TranslationKind::Destination { .. }) || to.count() == 1 {
        return;
    }
    let [from] = spoken_of.ports.as_slice() else {
        let fault = "are a range, and which ports they stand for is not clear";
        problems.add(path, &"these ports", fault, "write one range as `ports`");
        return;
    };
    if from.count() != to.count() {
        let fault = format!("are {}, for {} ports", to.count(), from.count());
        problems.add(
            path,
            &"these ports",
            &fault,
            "write as many, or a single one",
        );
    } else if from != &to && to.count() > SHIFTED_PORTS_MAX {
        let advice = format!("write {SHIFTED_PORTS_MAX} at most, or leave out translate-to-ports");
        problems.add(path, &"these ports", "are too many to be shifted", &advice);
    }
}
