//! The firewall's sections of the text.

use super::{Quoted, Table, Text, interface_name, list};
use crate::config::Config;
use crate::config::firewall::{
    Addresses, ConnectionsMax, Firewall, Helper, Limit, Peer, Policy, PortRange, Rule, Side,
    Traffic, Translation, TranslationKind, Transport,
};
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::{self, Display};

pub(super) fn firewall(config: &Config, text: &mut Text) {
    let firewall = &config.firewall;
    settings(firewall, text);
    connections(firewall, text);
    for zone in &firewall.zones {
        text.section("[[zone]]");
        text.string("name", &zone.name);
        let names = zone.interfaces.iter();
        let names = names.map(|&position| interface_name(config, position));
        text.strings("interfaces", names);
        if !zone.anti_spoofing {
            text.plain("anti-spoofing", &false);
        }
    }
    for set in &firewall.sets {
        text.section("[[set]]");
        text.string("name", &set.name);
        text.strings("addresses", set.addresses.iter());
    }
    for each in &firewall.translations {
        translation(firewall, each, text);
    }
    for each in &firewall.helpers {
        helper(firewall, each, text);
    }
    for each in &firewall.rules {
        rule(firewall, each, text);
    }
    for each in &firewall.policies {
        policy(firewall, each, text);
    }
}

fn settings(firewall: &Firewall, text: &mut Text) {
    let usual = Firewall::default();
    if firewall.drop_invalid == usual.drop_invalid && firewall.log_refused == usual.log_refused {
        return;
    }
    text.section("[firewall]");
    text.plain("drop-invalid", &firewall.drop_invalid);
    text.plain("log-refused", &firewall.log_refused);
}

fn connections(firewall: &Firewall, text: &mut Text) {
    let connections = &firewall.connections;
    if connections.max.is_none() && connections.timeouts_s.is_empty() {
        return;
    }
    text.section("[connections]");
    if let Some(max) = connections.max {
        text.plain("max", &max);
    }
    if !connections.timeouts_s.is_empty() {
        let mut table = Table(String::new());
        for (phase, seconds) in &connections.timeouts_s {
            table.entry(phase.name(), seconds);
        }
        text.plain("timeouts-s", &format_args!("{{ {} }}", table.0));
    }
}

fn rule(firewall: &Firewall, rule: &Rule, text: &mut Text) {
    text.section("[[rule]]");
    if !rule.name.is_empty() {
        text.string("name", &rule.name);
    }
    traffic(firewall, &rule.traffic, text);
    text.words("state", rule.states.iter().map(|state| state.name()));
    if let Some(limit) = &rule.limit {
        text.plain("limit", &limit_table(limit));
    }
    if let Some(connections) = &rule.connections_max {
        text.plain("connections", &connections_table(*connections));
    }
    if let Some(log) = &rule.log {
        text.string("log", log);
    }
    text.string("action", &rule.action.name());
}

fn limit_table(limit: &Limit) -> String {
    let mut table = Table(String::new());
    let rate = format!("{}/{}", limit.count, limit.per.name());
    table.entry("rate", &Quoted(&rate));
    table.entry("burst", &limit.burst);
    if limit.per_source {
        table.entry("per-source", &true);
    }
    format!("{{ {} }}", table.0)
}

fn connections_table(connections: ConnectionsMax) -> String {
    if connections.per_source {
        format!("{{ max = {}, per-source = true }}", connections.count)
    } else {
        connections.count.to_string()
    }
}

fn policy(firewall: &Firewall, policy: &Policy, text: &mut Text) {
    text.section("[[policy]]");
    text.string("from", &side(firewall, policy.from));
    text.string("to", &side(firewall, policy.to));
    text.string("action", &policy.action.name());
    if policy.log {
        text.plain("log", &true);
    }
}

fn helper(firewall: &Firewall, helper: &Helper, text: &mut Text) {
    text.section("[[helper]]");
    text.string("protocol", &helper.protocol.name());
    text.words("from", helper.from.iter().map(|&from| side(firewall, from)));
    if helper.ports != [helper.protocol.usual_port()] {
        let ports = list(helper.ports.iter().map(u16::to_string));
        text.plain("ports", &format_args!("[{ports}]"));
    }
}

fn translation(firewall: &Firewall, translation: &Translation, text: &mut Text) {
    text.section("[[nat]]");
    if !translation.name.is_empty() {
        text.string("name", &translation.name);
    }
    text.string("kind", &translation.kind.name());
    traffic(firewall, &translation.traffic, text);
    let to_ports = |text: &mut Text, ports: Option<PortRange>| {
        if let Some(ports) = ports {
            text.plain("translate-to-ports", &port_value(ports));
        }
    };
    let may_hairpin = |text: &mut Text, hairpin: bool| {
        if hairpin {
            text.plain("hairpin", &true);
        }
    };
    match translation.kind {
        TranslationKind::Masquerade { families } => text.string("family", &families.name()),
        TranslationKind::Source { first, last, ports } => {
            if first == last {
                text.string("translate-to", &first);
            } else {
                text.string("translate-to", &format_args!("{first}-{last}"));
            }
            to_ports(text, ports);
        }
        TranslationKind::Destination {
            address,
            ports,
            hairpin,
        } => {
            text.string("translate-to", &address);
            to_ports(text, ports);
            may_hairpin(text, hairpin);
        }
        TranslationKind::OneToOne {
            outside,
            inside,
            hairpin,
        } => {
            text.string("outside", &outside);
            text.string("inside", &inside);
            may_hairpin(text, hairpin);
        }
    }
}

fn traffic(firewall: &Firewall, traffic: &Traffic, text: &mut Text) {
    let sides = |sides: &'_ [Side]| sides.iter().map(|&each| side(firewall, each)).collect();
    let (from, to): (alloc::vec::Vec<_>, alloc::vec::Vec<_>) =
        (sides(&traffic.from), sides(&traffic.to));
    text.words("from", from.into_iter());
    text.words("to", to.into_iter());
    for (key, peers) in [
        ("source", &traffic.source),
        ("destination", &traffic.destination),
    ] {
        text.words(key, peers.iter().map(|&peer| Named(firewall, peer)));
    }
    if !traffic.protocols.is_empty() {
        let protocols = list(traffic.protocols.iter().map(|&each| transport(each)));
        text.plain("protocol", &format_args!("[{protocols}]"));
    }
    for (key, ports) in [
        ("ports", &traffic.ports),
        ("source-ports", &traffic.source_ports),
    ] {
        if !ports.is_empty() {
            let ports = list(ports.iter().map(|&range| port_value(range)));
            text.plain(key, &format_args!("[{ports}]"));
        }
    }
    text.words("icmp", traffic.icmp.iter().map(|kind| kind.name()));
}

fn side(firewall: &Firewall, side: Side) -> &str {
    match side {
        Side::Any => "any",
        Side::Box => "box",
        Side::Zone(position) => firewall
            .zones
            .get(usize::from(position))
            .map_or("", |zone| &zone.name),
    }
}

fn port_value(range: PortRange) -> String {
    if range.first == range.last {
        range.first.to_string()
    } else {
        format!("\"{}-{}\"", range.first, range.last)
    }
}

/// As a TOML value.
fn transport(transport: Transport) -> String {
    match transport.name() {
        Some(name) => Quoted(&name).to_string(),
        None => transport.number().to_string(),
    }
}

/// A peer as it is written.
struct Named<'a>(&'a Firewall, Peer);

impl Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Peer::Addresses(addresses) => addresses.fmt(f),
            Peer::Set(position) => {
                let set = self.0.sets.get(usize::from(position));
                f.write_str(set.map_or("", |set| &set.name))
            }
        }
    }
}

impl Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(prefix) if prefix.length == prefix.length_max() => prefix.address.fmt(f),
            Self::Network(prefix) => prefix.fmt(f),
            Self::Range(first, last) => write!(f, "{first}-{last}"),
        }
    }
}
