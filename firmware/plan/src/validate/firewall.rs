//! Checks of the firewall: zones, sets, policies, helpers and connection tracking.

mod traffic;
mod translation;

use super::{Problems, is_repeated};
use crate::config::firewall::{Addresses, Connections, Firewall, Phase, Side};
use crate::config::{Config, Link};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// Bounds of `Connections::max`: fewer would not carry a box's own traffic, more need over 5 GiB.
const CONNECTIONS: (u64, u64) = (1024, 16_777_216);
/// Characters of a zone's name: two of them make the name of a chain.
const ZONE_NAME_MAX: usize = 12;
/// Characters of a set's name.
const SET_NAME_MAX: usize = 24;
/// A month.
const TIMEOUT_MAX_S: u64 = 2_592_000;
/// Bytes of names and log prefixes: a listing's comment holds 127.
const TEXT_BYTES_MAX: usize = 64;

pub(super) fn check(config: &Config, problems: &mut Problems) {
    let firewall = &config.firewall;
    zones(config, problems);
    sets(firewall, problems);
    for (position, policy) in firewall.policies.iter().enumerate() {
        let path = format!("firewall.policies[{position}]");
        traffic::side(firewall, format!("{path}.from"), policy.from, problems);
        traffic::side(firewall, format!("{path}.to"), policy.to, problems);
        let pairs = firewall
            .policies
            .iter()
            .map(|policy| (policy.from, policy.to));
        let pair = (policy.from, policy.to);
        if pair == (Side::Box, Side::Box) {
            let fault = "is from the box to itself, which is never refused";
            problems.add(path, &"this policy", fault, "write a zone for one of them");
        } else if is_repeated(pairs, position, &pair) {
            let fault = "is the second one between these sides";
            problems.add(path, &"this policy", fault, "keep one of them");
        }
    }
    let known = Known::of(firewall);
    for (position, rule) in firewall.rules.iter().enumerate() {
        traffic::rule(&known, position, rule, problems);
    }
    for (position, each) in firewall.translations.iter().enumerate() {
        translation::check(config, &known, position, each, problems);
    }
    helpers(firewall, problems);
    connections(firewall, problems);
}

/// The firewall, and what all its rules ask of its sets, which may be large.
struct Known<'a> {
    firewall: &'a Firewall,
    /// By set: whether it has addresses of IPv4, and of IPv6.
    families: Vec<(bool, bool)>,
}

impl<'a> Known<'a> {
    fn of(firewall: &'a Firewall) -> Self {
        let families = firewall.sets.iter().map(|set| {
            let has = |is_ipv4| set.addresses.iter().any(|each| each.is_ipv4() == is_ipv4);
            (has(true), has(false))
        });
        Self {
            firewall,
            families: families.collect(),
        }
    }
}

/// What works, but not as well as the operator may expect.
pub(super) fn weigh(config: &Config, concerns: &mut Problems) {
    if config.firewall.zones.is_empty() {
        if config.firewall.connections != Connections::default() {
            concerns.add(
                "firewall.connections".into(),
                &"[connections]",
                "is without effect, since without zones nothing is filtered and no connection tracked",
                "write a [[zone]] for each kind of network, or leave it out",
            );
        }
        return;
    }
    for (position, interface) in (0u8..).zip(&config.interfaces) {
        let is_link =
            |link: &Link| matches!(link, Link::Udp { interface, .. } if *interface == position);
        if config.links.iter().any(is_link) {
            // A network between the boxes: nothing else should pass there.
            continue;
        }
        let zones = config.firewall.zones.iter();
        if !zones
            .clone()
            .any(|zone| zone.interfaces.contains(&position))
        {
            concerns.add(
                format!("interfaces[{position}]"),
                &interface.name,
                "is in no zone, so that only health checks and answers of balanced servers pass there",
                "add it to the interfaces of a [[zone]] if more should pass",
            );
        }
    }
    for (position, each) in config.firewall.translations.iter().enumerate() {
        translation::weigh(config, position, each, concerns);
    }
}

fn zones(config: &Config, problems: &mut Problems) {
    let firewall = &config.firewall;
    let is_in_use = !(firewall.policies.is_empty()
        && firewall.rules.is_empty()
        && firewall.translations.is_empty()
        && firewall.helpers.is_empty());
    if firewall.zones.is_empty() && is_in_use {
        problems.add(
            "firewall.zones".into(),
            &"[[zone]]",
            "is missing: rules speak of zones",
            "write a [[zone]] with name and interfaces for each kind of network",
        );
    }
    for (position, zone) in firewall.zones.iter().enumerate() {
        let path = |field| format!("firewall.zones[{position}].{field}");
        problems.name(path("name"), &zone.name, ZONE_NAME_MAX);
        let names = firewall.zones.iter().map(|zone| zone.name.as_str());
        name(path("name"), &zone.name, names, position, problems);
        if zone.interfaces.is_empty() {
            let advice = "write interfaces = [\"…\"] with at least one";
            problems.add(path("interfaces"), &zone.name, "has no interfaces", advice);
        }
        for (order, interface) in zone.interfaces.iter().enumerate() {
            let path = format!("firewall.zones[{position}].interfaces[{order}]");
            let Some(known) = config.interfaces.get(usize::from(*interface)) else {
                problems.add(
                    path,
                    interface,
                    "is no interface",
                    "write an interface's name",
                );
                continue;
            };
            let others = firewall.zones.iter().take(position);
            let is_taken = others
                .clone()
                .any(|zone| zone.interfaces.contains(interface))
                || is_repeated(zone.interfaces.iter(), order, &interface);
            if is_taken {
                let fault = "is in a zone already";
                problems.add(path, &known.name, fault, "put each interface in one zone");
            }
        }
    }
}

fn sets(firewall: &Firewall, problems: &mut Problems) {
    for (position, set) in firewall.sets.iter().enumerate() {
        let path = |field| format!("firewall.sets[{position}].{field}");
        problems.name(path("name"), &set.name, SET_NAME_MAX);
        let names = firewall.sets.iter().map(|set| set.name.as_str());
        name(path("name"), &set.name, names, position, problems);
        if set.addresses.is_empty() {
            let fault = "has no addresses, so that nothing would ever be in it";
            let advice = "write addresses = [\"…\"] with at least one, or drop the set";
            problems.add(path("addresses"), &set.name, fault, advice);
        }
        for (order, each) in set.addresses.iter().enumerate() {
            let path = || format!("firewall.sets[{position}].addresses[{order}]");
            addresses(path, *each, problems);
        }
    }
}

/// Addresses that make sense. There may be very many, so their path is made only where it is needed.
fn addresses(path: impl Fn() -> String, addresses: Addresses, problems: &mut Problems) {
    let (fault, advice) = match addresses {
        Addresses::Network(prefix) if prefix.length > prefix.length_max() => {
            let advice = format!("write at most /{}", prefix.length_max());
            ("has no such prefix length", advice)
        }
        Addresses::Network(prefix) if prefix.network() != prefix => {
            let advice = format!("write {}, or {} alone", prefix.network(), prefix.address);
            ("has bits behind its prefix", advice)
        }
        Addresses::Range(first, last) if first.is_ipv4() != last.is_ipv4() => {
            let advice = "write two addresses of the same family".into();
            ("begins in one family and ends in another", advice)
        }
        Addresses::Range(first, last) if first > last => {
            ("ends before it begins", format!("write {last}-{first}"))
        }
        Addresses::Network(_) | Addresses::Range(..) => return,
    };
    problems.add(path(), &addresses, fault, &advice);
}

fn helpers(firewall: &Firewall, problems: &mut Problems) {
    for (position, helper) in firewall.helpers.iter().enumerate() {
        let path = |field| format!("firewall.helpers[{position}].{field}");
        traffic::sides(firewall, &path("from"), &helper.from, problems);
        if helper.from.contains(&Side::Box) {
            let fault = "opens no connections of this kind";
            problems.add(path("from"), &"box", fault, "write the zone of the clients");
        }
        if helper.ports.is_empty() {
            let advice = format!("write ports = [{}]", helper.protocol.usual_port());
            problems.add(path("ports"), &"the list", "is empty", &advice);
        }
        for (order, port) in helper.ports.iter().enumerate() {
            let path = format!("firewall.helpers[{position}].ports[{order}]");
            problems.within(path, (*port).into(), (1, 65_535), "");
        }
    }
}

fn connections(firewall: &Firewall, problems: &mut Problems) {
    let connections = &firewall.connections;
    if let Some(max) = connections.max {
        let path = "firewall.connections.max".into();
        problems.within(path, max.into(), CONNECTIONS, " connections");
    }
    let mut last: Option<Phase> = None;
    for &(phase, seconds) in &connections.timeouts_s {
        let path = format!("firewall.connections.timeouts_s.{}", phase.name());
        let fault = match last.map(|last| last.cmp(&phase)) {
            Some(Ordering::Equal) => Some(("is there twice", "keep one")),
            Some(Ordering::Greater) => {
                Some(("is out of order", "make the image anew with `polluxctl`"))
            }
            Some(Ordering::Less) | None => None,
        };
        if let Some((fault, advice)) = fault {
            problems.add(path.clone(), &phase.name(), fault, advice);
        }
        last = Some(phase);
        problems.within(path, seconds.into(), (1, TIMEOUT_MAX_S), " seconds");
    }
}

/// The name of a zone or set, by which rules call it: what holds beside its letters.
fn name<'a>(
    path: String,
    name: &'a str,
    names: impl Iterator<Item = &'a str>,
    position: usize,
    problems: &mut Problems,
) {
    if ["box", "any"].contains(&name) {
        let fault = "has a meaning of its own in rules";
        problems.add(path, &super::Quoted(name), fault, "write another name");
    } else if name.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
        let fault = "does not begin with a letter";
        problems.add(
            path,
            &super::Quoted(name),
            fault,
            "begin it with one of a-z",
        );
    } else if is_repeated(names, position, &name) {
        problems.add(path, &name, "is there twice", "give each its own name");
    }
}

/// Text that goes into comments and logs.
fn text(path: String, text: &str, problems: &mut Problems) {
    let is_plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic() && byte != b'"';
    if text.len() > TEXT_BYTES_MAX || !text.bytes().all(is_plain) {
        let advice = format!(
            "write at most {TEXT_BYTES_MAX} letters, digits, signs and spaces of ASCII, no quotation marks"
        );
        problems.add(
            path,
            &super::Quoted(text),
            "can't be shown everywhere",
            &advice,
        );
    }
}
