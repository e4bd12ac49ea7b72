//! Checks of rules, and of what rules and translations speak of.

use super::super::Problems;
use super::{Known, addresses, text};
use crate::config::firewall::{
    ConnectionState, Firewall, Peer, PortRange, Rule, Side, Traffic, Transport,
};
use alloc::format;
use alloc::string::String;

/// Bounds of a limit: the kernel counts in nanoseconds, 64 bits of them.
const RATE: (u64, u64) = (1, 1_000_000);
const BURST: (u64, u64) = (1, 10_000);

pub(super) fn rule(known: &Known<'_>, position: usize, rule: &Rule, problems: &mut Problems) {
    let firewall = known.firewall;
    let path = |field| format!("firewall.rules[{position}].{field}");
    text(path("name"), &rule.name, problems);
    sides(firewall, &path("from"), &rule.traffic.from, problems);
    sides(firewall, &path("to"), &rule.traffic.to, problems);
    let is_own = |sides: &[Side]| sides.iter().all(|&side| side == Side::Box);
    let is_empty = rule.traffic.from.is_empty() || rule.traffic.to.is_empty();
    if !is_empty && is_own(&rule.traffic.from) && is_own(&rule.traffic.to) {
        let fault = "is from the box to itself, which is never refused";
        problems.add(
            path("to"),
            &"this rule",
            fault,
            "write a zone for one of them",
        );
    }
    traffic(known, &path(""), &rule.traffic, problems);
    if firewall.drop_invalid && rule.states.contains(&ConnectionState::Invalid) {
        let fault = "never comes to a rule: such packets are dropped before";
        let advice = "write drop-invalid = false in [firewall], or drop the word";
        problems.add(path("states"), &"\"invalid\"", fault, advice);
    }
    if let Some(limit) = &rule.limit {
        problems.within(
            path("limit.count"),
            limit.count.into(),
            RATE,
            " in the time",
        );
        problems.within(path("limit.burst"), limit.burst.into(), BURST, "");
    }
    if let Some(connections) = &rule.connections_max {
        let bounds = (1, 16_777_216);
        problems.within(
            path("connections_max"),
            connections.count.into(),
            bounds,
            "",
        );
    }
    if let Some(log) = &rule.log {
        text(path("log"), log, problems);
    }
}

/// Sides, at least one.
pub(super) fn sides(firewall: &Firewall, path: &str, sides: &[Side], problems: &mut Problems) {
    if sides.is_empty() {
        let fault = "is empty";
        problems.add(
            path.into(),
            &"the list",
            fault,
            "write a zone, \"any\" or \"box\"",
        );
    }
    for (order, &each) in sides.iter().enumerate() {
        side(firewall, format!("{path}[{order}]"), each, problems);
    }
}

pub(super) fn side(firewall: &Firewall, path: String, side: Side, problems: &mut Problems) {
    if let Side::Zone(position) = side
        && usize::from(position) >= firewall.zones.len()
    {
        problems.add(path, &position, "is no zone", "write a zone's name");
    }
}

/// All but the sides; `path` ends with a dot.
pub(super) fn traffic(known: &Known<'_>, path: &str, traffic: &Traffic, problems: &mut Problems) {
    for (field, peers) in [
        ("source", &traffic.source),
        ("destination", &traffic.destination),
    ] {
        for (order, &each) in peers.iter().enumerate() {
            let path = || format!("{path}{field}[{order}]");
            peer(known.firewall, path, each, problems);
        }
    }
    let [from, to] =
        [&traffic.source, &traffic.destination].map(|peers| has_families(known, peers));
    if !(from.0 && to.0 || from.1 && to.1) {
        let fault = "is of another family than the source, so that nothing would ever be meant";
        let path = format!("{path}destination");
        problems.add(
            path,
            &"the destination",
            fault,
            "write addresses of the same family",
        );
    }
    for (field, ranges) in [
        ("ports", &traffic.ports),
        ("source_ports", &traffic.source_ports),
    ] {
        for (order, &range) in ranges.iter().enumerate() {
            port_range(format!("{path}{field}[{order}]"), range, problems);
        }
        let has_ports = |transport: &Transport| transport.has_ports();
        let is_meant = !traffic.protocols.is_empty() && traffic.protocols.iter().all(has_ports);
        if !ranges.is_empty() && !is_meant {
            let fault = "belong to tcp, udp or sctp alone";
            let advice = "write protocol = \"tcp\", \"udp\" or [\"tcp\", \"udp\"]";
            problems.add(format!("{path}{field}"), &"ports", fault, advice);
        }
    }
    transports(path, traffic, problems);
}

fn transports(path: &str, traffic: &Traffic, problems: &mut Problems) {
    for (order, &transport) in traffic.protocols.iter().enumerate() {
        let path = format!("{path}protocols[{order}]");
        let named = [1, 58].into_iter().map(|number| (number, "icmp"));
        let mut named =
            named.chain(NAMED.map(|named| (named.number(), named.name().unwrap_or(""))));
        if let Transport::Other(number) = transport
            && let Some((_, name)) = named.find(|(known, _)| *known == number)
        {
            problems.add(path, &number, "has a name", &format!("write \"{name}\""));
        }
    }
    let is_icmp = |transport: &Transport| *transport == Transport::Icmp;
    if !traffic.icmp.is_empty() && !traffic.protocols.iter().all(is_icmp) {
        let fault = "are messages of ICMP alone";
        let advice = "write protocol = \"icmp\", and a rule of its own for other protocols";
        problems.add(format!("{path}icmp"), &"these", fault, advice);
    }
}

/// Those with a name of their own, but for ICMP.
const NAMED: [Transport; 6] = [
    Transport::Tcp,
    Transport::Udp,
    Transport::Sctp,
    Transport::Gre,
    Transport::Esp,
    Transport::Ah,
];

fn peer(firewall: &Firewall, path: impl Fn() -> String, peer: Peer, problems: &mut Problems) {
    match peer {
        Peer::Addresses(each) => addresses(path, each, problems),
        Peer::Set(position) if usize::from(position) >= firewall.sets.len() => {
            problems.add(path(), &position, "is no set", "write a set's name");
        }
        Peer::Set(_) => {}
    }
}

pub(super) fn port_range(path: String, range: PortRange, problems: &mut Problems) {
    if range.first == 0 {
        problems.add(path, &range.first, "is no port", "write 1 to 65535");
    } else if range.first > range.last {
        let value = format_args!("{}-{}", range.first, range.last);
        let advice = format!("write \"{}-{}\"", range.last, range.first);
        problems.add(path, &value, "ends before it begins", &advice);
    }
}

/// Whether peers have addresses of IPv4, and of IPv6; no peers are all of them.
fn has_families(known: &Known<'_>, peers: &[Peer]) -> (bool, bool) {
    let families = |peer: &Peer| match *peer {
        Peer::Addresses(each) => (each.is_ipv4(), !each.is_ipv4()),
        Peer::Set(position) => {
            let families = known.families.get(usize::from(position));
            families.copied().unwrap_or((true, true))
        }
    };
    let all = peers.is_empty();
    let found = peers.iter().map(families);
    found.fold((all, all), |(v4, v6), (has_v4, has_v6)| {
        (v4 || has_v4, v6 || has_v6)
    })
}
