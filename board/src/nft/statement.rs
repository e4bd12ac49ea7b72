//! What rules do.

use super::datum::datum;
use super::element;
use super::selector::{key, selector, test};
use plan::ruleset::{
    Assignment, Burst, ConnectionLimit, DynamicOperation, Entries, Kind, Limit, LimitUnit, Log,
    LogLevel, LogTo, Members, Meter, NatFlags, NatTarget, ObjectKind, Operand, Per, RejectWith,
    Selector, Statement, Synproxy, Table, UnreachableCode, Verdict, VerdictMap,
};
use std::net::IpAddr;

pub(super) fn statement(table: &Table, statement: &Statement) -> String {
    match statement {
        Statement::Match(selector, each) => test(selector, each),
        Statement::Lookup {
            key: selectors,
            members,
            inverted,
        } => {
            let not = if *inverted { "!= " } else { "" };
            format!("{} {not}{}", key(selectors), self::members(members))
        }
        Statement::Counter => "counter".to_owned(),
        Statement::Object(kind, name) => format!("{} \"{name}\"", assigned(*kind)),
        Statement::ObjectOf {
            kind,
            key: selectors,
            map,
        } => format!("{} {} map @{map}", assigned(*kind), key(selectors)),
        Statement::Limit(each) => format!("limit {}", limit(each)),
        Statement::ConnectionLimit(each) => connection_limit(each),
        Statement::Log(each) => log(each),
        Statement::Assign(what, value) => assign(*what, value),
        Statement::Update {
            operation,
            set,
            key: selectors,
            timeout_s,
            meters,
        } => update(*operation, set, selectors, *timeout_s, meters),
        Statement::Notrack => "notrack".to_owned(),
        Statement::Offload(name) => format!("flow add @{name}"),
        Statement::ClampSegmentSize => "tcp option maxseg size set rt mtu".to_owned(),
        Statement::Dispatch {
            key: selectors,
            map,
        } => format!("{} vmap {}", key(selectors), verdict_map(map)),
        Statement::Verdict(each) => verdict(each),
        Statement::Reject(each) => reject(*each).to_owned(),
        Statement::Synproxy(each) => format!("synproxy {}", synproxy(each)),
        Statement::Masquerade { ports, flags } => {
            format!("masquerade{}{}", to_ports(*ports), nat_flags(*flags))
        }
        Statement::SourceNat(target, flags) => {
            format!("snat {}{}", nat(table, target), nat_flags(*flags))
        }
        Statement::DestinationNat(target, flags) => {
            format!("dnat {}{}", nat(table, target), nat_flags(*flags))
        }
        Statement::Redirect { ports, flags } => {
            format!("redirect{}{}", to_ports(*ports), nat_flags(*flags))
        }
    }
}

fn members(members: &Members) -> String {
    match members {
        Members::Named(name) => format!("@{name}"),
        Members::These(elements) => {
            let elements: Vec<String> = elements.iter().map(element).collect();
            format!("{{ {} }}", elements.join(", "))
        }
    }
}

fn verdict_map(map: &VerdictMap) -> String {
    match map {
        VerdictMap::Named(name) => format!("@{name}"),
        VerdictMap::These(entries) => {
            let entries = entries.iter();
            let entries: Vec<String> = entries
                .map(|(key, end)| format!("{} : {}", element(key), verdict(end)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

pub(super) fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept => "accept".to_owned(),
        Verdict::Drop => "drop".to_owned(),
        Verdict::Return => "return".to_owned(),
        Verdict::Continue => "continue".to_owned(),
        Verdict::Jump(chain) => format!("jump {chain}"),
        Verdict::Goto(chain) => format!("goto {chain}"),
    }
}

pub(super) const fn object_kind(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Counter => "counter",
        ObjectKind::Limit => "limit",
        ObjectKind::Helper => "ct helper",
        ObjectKind::Timeouts => "ct timeout",
        ObjectKind::Synproxy => "synproxy",
    }
}

const fn assigned(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Counter => "counter name",
        ObjectKind::Limit => "limit name",
        ObjectKind::Helper => "ct helper set",
        ObjectKind::Timeouts => "ct timeout set",
        ObjectKind::Synproxy => "synproxy name",
    }
}

/// Without the word itself, as objects and rules have it.
pub(super) fn limit(limit: &Limit) -> String {
    let per = match limit.per {
        Per::Second => "second",
        Per::Minute => "minute",
        Per::Hour => "hour",
        Per::Day => "day",
        Per::Week => "week",
    };
    let (rate_unit, burst_unit) = match limit.unit {
        LimitUnit::Packets => ("", " packets"),
        LimitUnit::Bytes => (" bytes", " bytes"),
    };
    let burst = match limit.burst {
        Burst::Usual => String::new(),
        Burst::Of(count) => format!(" burst {count}{burst_unit}"),
    };
    let over = if limit.above { "over " } else { "" };
    format!("rate {over}{}{rate_unit}/{per}{burst}", limit.rate)
}

fn connection_limit(limit: &ConnectionLimit) -> String {
    let over = if limit.above { "over " } else { "" };
    format!("ct count {over}{}", limit.connections)
}

fn log(log: &Log) -> String {
    let prefix = log
        .prefix
        .as_ref()
        .map(|prefix| format!(" prefix \"{prefix}\""))
        .unwrap_or_default();
    let to = match log.to {
        LogTo::Kernel(level) => format!(" level {}", level_name(level)),
        LogTo::Group {
            group,
            packet_bytes,
            queue_packets,
        } => {
            let snap = packet_bytes
                .map(|bytes| format!(" snaplen {bytes}"))
                .unwrap_or_default();
            let queue = queue_packets
                .map(|packets| format!(" queue-threshold {packets}"))
                .unwrap_or_default();
            format!(" group {group}{snap}{queue}")
        }
    };
    format!("log{prefix}{to}")
}

const fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Emergency => "emerg",
        LogLevel::Alert => "alert",
        LogLevel::Critical => "crit",
        LogLevel::Error => "err",
        LogLevel::Warning => "warn",
        LogLevel::Notice => "notice",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    }
}

fn assign(what: Assignment, value: &Operand) -> String {
    let what = match what {
        Assignment::Mark => "meta mark",
        Assignment::ConnectionMark => "ct mark",
        Assignment::Zone => "ct zone",
    };
    let value = match value {
        Operand::Is(constant) => datum(constant),
        Operand::Of(each) => selector(each),
        Operand::Mapped {
            key: selectors,
            map,
        } => mapped(selectors, map),
    };
    format!("{what} set {value}")
}

fn mapped(selectors: &[Selector], map: &str) -> String {
    format!("{} map @{map}", key(selectors))
}

fn update(
    operation: DynamicOperation,
    set: &str,
    selectors: &[Selector],
    timeout_s: Option<u32>,
    meters: &[Meter],
) -> String {
    let operation = match operation {
        DynamicOperation::Add => "add",
        DynamicOperation::Update => "update",
        DynamicOperation::Delete => "delete",
    };
    let timeout = timeout_s
        .map(|seconds| format!(" timeout {seconds}s"))
        .unwrap_or_default();
    let meters: String = meters
        .iter()
        .map(|meter| match meter {
            Meter::Counter => " counter".to_owned(),
            Meter::Limit(each) => format!(" limit {}", limit(each)),
            Meter::ConnectionLimit(each) => format!(" {}", connection_limit(each)),
        })
        .collect();
    format!(
        "{operation} @{set} {{ {}{timeout}{meters} }}",
        key(selectors)
    )
}

const fn reject(with: RejectWith) -> &'static str {
    match with {
        RejectWith::TcpReset => "meta l4proto tcp reject with tcp reset",
        RejectWith::Unreachable(UnreachableCode::NoRoute) => "reject with icmpx no-route",
        RejectWith::Unreachable(UnreachableCode::Port) => "reject with icmpx port-unreachable",
        RejectWith::Unreachable(UnreachableCode::Host) => "reject with icmpx host-unreachable",
        RejectWith::Unreachable(UnreachableCode::AdminProhibited) => {
            "reject with icmpx admin-prohibited"
        }
    }
}

pub(super) fn synproxy(synproxy: &Synproxy) -> String {
    let scale = synproxy
        .window_scale
        .map(|scale| format!(" wscale {scale}"))
        .unwrap_or_default();
    let stamps = if synproxy.has_timestamps {
        " timestamp"
    } else {
        ""
    };
    let acks = if synproxy.has_selective_acks {
        " sack-perm"
    } else {
        ""
    };
    format!("mss {}{scale}{stamps}{acks}", synproxy.segment_bytes_max)
}

fn ports((first, last): (u16, u16)) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

fn to_ports(range: Option<(u16, u16)>) -> String {
    range
        .map(|range| format!(" to :{}", ports(range)))
        .unwrap_or_default()
}

fn nat(table: &Table, target: &NatTarget) -> String {
    match target {
        NatTarget::Addresses {
            addresses: (first, last),
            ports: range,
        } => {
            let family = family(*first);
            let (first, last, is_v6) = (first, last, first.is_ipv6());
            let addresses = match (first == last, is_v6 && range.is_some()) {
                (true, false) => first.to_string(),
                (true, true) => format!("[{first}]"),
                (false, false) => format!("{first}-{last}"),
                (false, true) => format!("[{first}]-[{last}]"),
            };
            let range = range
                .map(|range| format!(":{}", ports(range)))
                .unwrap_or_default();
            format!("{family} to {addresses}{range}")
        }
        NatTarget::Ports(first, last) => format!("to :{}", ports((*first, *last))),
        NatTarget::Network(prefix) => {
            format!("{} prefix to {}", family(prefix.address), prefix.network())
        }
        NatTarget::Mapped {
            key: selectors,
            map,
        } => {
            let family = if leads_to_ipv6(table, map) {
                "ip6"
            } else {
                "ip"
            };
            format!("{family} to {}", mapped(selectors, map))
        }
    }
}

fn leads_to_ipv6(table: &Table, map: &str) -> bool {
    let mut maps = table.maps.iter().filter(|each| each.name == map);
    maps.any(|map| match &map.entries {
        Entries::Data { kinds, .. } => kinds.contains(&Kind::Ipv6),
        Entries::Networks(entries) => entries.iter().any(|(_, network)| network.address.is_ipv6()),
        Entries::Verdicts(_) | Entries::Objects { .. } => false,
    })
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ip" } else { "ip6" }
}

fn nat_flags(flags: NatFlags) -> String {
    let names = [
        (flags.fully_random, "fully-random"),
        (flags.persistent, "persistent"),
    ];
    let names: Vec<&str> = names
        .iter()
        .filter(|(is_set, _)| *is_set)
        .map(|(_, name)| *name)
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(" {}", names.join(","))
    }
}
