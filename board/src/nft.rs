//! A ruleset in the words of nft(8), for people to read and for `nft -f` to load. It is written by the manual and
//! shares nothing with the firmware's own way to the kernel, so that tests can hold one against the other.

mod datum;
mod selector;
mod statement;

use datum::{datum, kind};
use plan::ruleset::{
    Base, Chain, Element, Entries, Family, HelperProtocol, Hook, InterfaceName, Key, Kind, Map,
    NatHook, Object, ObjectContent, Policy, Rule, Ruleset, Set, Shape, Span, Table, TcpPhase,
    Timeouts, UdpPhase,
};
use statement::{limit, statement, synproxy, verdict};
use std::fmt::Write as _;

/// The whole of it.
pub(crate) fn text(ruleset: &Ruleset) -> String {
    let mut out = String::new();
    for table in &ruleset.tables {
        write_table(&mut out, table);
    }
    out
}

// Writing to a String cannot fail.
fn write_table(out: &mut String, table: &Table) {
    let family = match table.family {
        Family::Inet => "inet",
        Family::Ip => "ip",
        Family::Ip6 => "ip6",
        Family::Arp => "arp",
        Family::Netdev => "netdev",
    };
    let _ = writeln!(out, "table {family} {} {{", table.name);
    for object in &table.objects {
        write_object(out, object);
    }
    for flowtable in &table.flowtables {
        let _ = writeln!(
            out,
            "\tflowtable {} {{ hook ingress priority {}; devices = {{ {} }};{} }}",
            flowtable.name,
            flowtable.priority,
            names(&flowtable.devices),
            if flowtable.has_counters {
                " counter;"
            } else {
                ""
            }
        );
    }
    for set in &table.sets {
        write_set(out, set);
    }
    for map in &table.maps {
        write_map(out, map);
    }
    for chain in &table.chains {
        write_chain(out, table, chain);
    }
    out.push_str("}\n");
}

fn write_object(out: &mut String, object: &Object) {
    let name = &object.name;
    let line = match &object.content {
        ObjectContent::Counter => format!("counter {name} {{ }}"),
        ObjectContent::Limit(each) => format!("limit {name} {{ {} }}", limit(each)),
        ObjectContent::Helper(helper) => {
            let (kind, protocol) = match helper.protocol {
                HelperProtocol::Ftp => ("ftp", "tcp"),
                HelperProtocol::SipUdp => ("sip", "udp"),
                HelperProtocol::SipTcp => ("sip", "tcp"),
                HelperProtocol::Tftp => ("tftp", "udp"),
                HelperProtocol::Pptp => ("pptp", "tcp"),
            };
            format!("ct helper {name} {{ type \"{kind}\" protocol {protocol}; }}")
        }
        ObjectContent::Timeouts(each) => format!("ct timeout {name} {{ {} }}", timeouts(each)),
        ObjectContent::Synproxy(each) => format!("synproxy {name} {{ {} }}", synproxy(each)),
    };
    let _ = writeln!(out, "\t{line}");
}

fn timeouts(timeouts: &Timeouts) -> String {
    let (protocol, phases): (_, Vec<String>) = match timeouts {
        Timeouts::Tcp(phases) => (
            "tcp",
            phases
                .iter()
                .map(|&(phase, seconds)| tcp(phase, seconds))
                .collect(),
        ),
        Timeouts::Udp(phases) => (
            "udp",
            phases
                .iter()
                .map(|&(phase, seconds)| udp(phase, seconds))
                .collect(),
        ),
    };
    format!("protocol {protocol}; policy = {{ {} }};", phases.join(", "))
}

fn tcp(phase: TcpPhase, seconds: u32) -> String {
    let name = match phase {
        TcpPhase::SynSent => "syn_sent",
        TcpPhase::SynReceived => "syn_recv",
        TcpPhase::Established => "established",
        TcpPhase::FinWait => "fin_wait",
        TcpPhase::CloseWait => "close_wait",
        TcpPhase::LastAck => "last_ack",
        TcpPhase::TimeWait => "time_wait",
        TcpPhase::Close => "close",
    };
    format!("{name} : {seconds}")
}

fn udp(phase: UdpPhase, seconds: u32) -> String {
    let name = match phase {
        UdpPhase::Unreplied => "unreplied",
        UdpPhase::Replied => "replied",
    };
    format!("{name} : {seconds}")
}

fn write_set(out: &mut String, set: &Set) {
    let _ = writeln!(out, "\tset {} {{", set.name);
    let _ = writeln!(out, "\t\ttype {}", kinds(&set.shape.key));
    write_shape(out, &set.shape);
    if !set.elements.is_empty() {
        let elements: Vec<String> = set.elements.iter().map(element).collect();
        let _ = writeln!(out, "\t\telements = {{ {} }}", elements.join(", "));
    }
    out.push_str("\t}\n");
}

fn write_shape(out: &mut String, shape: &Shape) {
    if let Some(size) = shape.elements_max {
        let _ = writeln!(out, "\t\tsize {size}");
    }
    let flags = [
        (shape.is_dynamic, "dynamic"),
        (shape.has_intervals, "interval"),
        (shape.has_timeouts, "timeout"),
    ];
    let flags: Vec<&str> = flags
        .iter()
        .filter(|(is_set, _)| *is_set)
        .map(|(_, name)| *name)
        .collect();
    if !flags.is_empty() {
        let _ = writeln!(out, "\t\tflags {}", flags.join(","));
    }
    if let Some(seconds) = shape.timeout_s {
        let _ = writeln!(out, "\t\ttimeout {seconds}s");
    }
}

fn write_map(out: &mut String, map: &Map) {
    let _ = writeln!(out, "\tmap {} {{", map.name);
    let key = kinds(&map.shape.key);
    let (value, entries): (String, Vec<String>) = match &map.entries {
        Entries::Data {
            kinds: parts,
            entries,
        } => {
            let entry = |(key, parts): &(Element, Vec<plan::ruleset::Datum>)| {
                let parts: Vec<String> = parts.iter().map(datum).collect();
                format!("{} : {}", element(key), parts.join(" . "))
            };
            (kinds(parts), entries.iter().map(entry).collect())
        }
        Entries::Networks(entries) => {
            let kind_of = entries
                .first()
                .map_or(Kind::Ipv4, |(_, prefix)| Span::Network(*prefix).kind());
            let entry = |(key, prefix): &(Element, plan::config::Prefix)| {
                format!("{} : {prefix}", element(key))
            };
            (
                format!("interval {}", kind(kind_of)),
                entries.iter().map(entry).collect(),
            )
        }
        Entries::Verdicts(entries) => {
            let entry = |(key, end): &(Element, plan::ruleset::Verdict)| {
                format!("{} : {}", element(key), verdict(end))
            };
            ("verdict".to_owned(), entries.iter().map(entry).collect())
        }
        Entries::Objects { kind, entries } => {
            let entry = |(key, name): &(Element, String)| format!("{} : \"{name}\"", element(key));
            (
                statement::object_kind(*kind).to_owned(),
                entries.iter().map(entry).collect(),
            )
        }
    };
    let _ = writeln!(out, "\t\ttype {key} : {value}");
    write_shape(out, &map.shape);
    if !entries.is_empty() {
        let _ = writeln!(out, "\t\telements = {{ {} }}", entries.join(", "));
    }
    out.push_str("\t}\n");
}

fn write_chain(out: &mut String, table: &Table, chain: &Chain) {
    let _ = writeln!(out, "\tchain {} {{", chain.name);
    if let Some(base) = &chain.base {
        let _ = writeln!(out, "\t\t{}", self::base(base));
    }
    for rule in &chain.rules {
        let _ = writeln!(out, "\t\t{}", self::rule(table, rule));
    }
    out.push_str("\t}\n");
}

fn base(base: &Base) -> String {
    let (kind, hook) = match &base.hook {
        Hook::Prerouting => ("filter", "prerouting".to_owned()),
        Hook::Input => ("filter", "input".to_owned()),
        Hook::Forward => ("filter", "forward".to_owned()),
        Hook::Output => ("filter", "output".to_owned()),
        Hook::Postrouting => ("filter", "postrouting".to_owned()),
        Hook::Ingress(devices) => (
            "filter",
            format!("ingress devices = {{ {} }}", names(devices)),
        ),
        Hook::Egress(devices) => (
            "filter",
            format!("egress devices = {{ {} }}", names(devices)),
        ),
        Hook::Nat(NatHook::Prerouting) => ("nat", "prerouting".to_owned()),
        Hook::Nat(NatHook::Input) => ("nat", "input".to_owned()),
        Hook::Nat(NatHook::Output) => ("nat", "output".to_owned()),
        Hook::Nat(NatHook::Postrouting) => ("nat", "postrouting".to_owned()),
        Hook::Reroute => ("route", "output".to_owned()),
    };
    let policy = match base.policy {
        Policy::Accept => "accept",
        Policy::Drop => "drop",
    };
    let priority = base.priority;
    format!("type {kind} hook {hook} priority {priority}; policy {policy};")
}

fn rule(table: &Table, rule: &Rule) -> String {
    let mut words: Vec<String> = rule
        .statements
        .iter()
        .map(|each| statement(table, each))
        .collect();
    if let Some(comment) = &rule.comment {
        words.push(format!("comment \"{}\"", comment.replace('"', "'")));
    }
    words.join(" ")
}

fn names(devices: &[InterfaceName]) -> String {
    let names: Vec<String> = devices
        .iter()
        .map(|name| format!("\"{}\"", name.as_str()))
        .collect();
    names.join(", ")
}

fn kinds(kinds: &[Kind]) -> String {
    let names: Vec<&str> = kinds.iter().map(|&each| kind(each)).collect();
    names.join(" . ")
}

fn element(element: &Element) -> String {
    let key = match &element.key {
        Key::One(span) => self::span(span),
        Key::Several(spans) => {
            let spans: Vec<String> = spans.iter().map(span).collect();
            spans.join(" . ")
        }
        Key::Any => "*".to_owned(),
    };
    match element.timeout_s {
        Some(seconds) => format!("{key} timeout {seconds}s"),
        None => key,
    }
}

fn span(span: &Span) -> String {
    match span {
        Span::One(one) => datum(one),
        Span::Range(first, last) => format!("{}-{}", datum(first), datum(last)),
        Span::Network(prefix) => prefix.network().to_string(),
    }
}
