//! What rules look at, and the tests they make.

use super::datum::datum;
use super::span;
use plan::ruleset::{
    Arp, Ct, Datum, Direction, Ether, Fib, FibKey, FibResult, Field, Icmp, Icmpv6, Ipv4, Ipv6,
    Meta, Selector, Span, Spread, Tcp, Test, TupleEnd, Udp,
};

pub(super) fn selector(selector: &Selector) -> String {
    match selector {
        Selector::Field(field) => self::field(*field).to_owned(),
        Selector::Meta(meta) => self::meta(*meta).to_owned(),
        Selector::Ct(ct) => self::ct(*ct),
        Selector::Fib(fib) => self::fib(fib),
        Selector::Spread(spread) => self::spread(spread),
    }
}

pub(super) fn key(selectors: &[Selector]) -> String {
    let parts: Vec<String> = selectors.iter().map(selector).collect();
    parts.join(" . ")
}

/// The selector with its test.
pub(super) fn test(of: &Selector, test: &Test) -> String {
    let left = selector(of);
    let spans = |spans: &[Span]| {
        let spans: Vec<String> = spans.iter().map(span).collect();
        format!("{{ {} }}", spans.join(", "))
    };
    match test {
        Test::Is(value) => format!("{left} {}", datum(value)),
        Test::IsNot(value) => format!("{left} != {}", datum(value)),
        Test::Below(value) => format!("{left} < {}", datum(value)),
        Test::AtMost(value) => format!("{left} <= {}", datum(value)),
        Test::Above(value) => format!("{left} > {}", datum(value)),
        Test::AtLeast(value) => format!("{left} >= {}", datum(value)),
        Test::Within(value) => format!("{left} {}", span(value)),
        Test::Outside(value) => format!("{left} != {}", span(value)),
        Test::OneOf(values) => format!("{left} {}", spans(values)),
        Test::NoneOf(values) => format!("{left} != {}", spans(values)),
        Test::Any(bits @ Datum::Mark(_)) => format!("{left} & {} != 0", datum(bits)),
        Test::Any(bits) => format!("{left} {}", datum(bits)),
        Test::No(bits @ Datum::Mark(_)) => format!("{left} & {} == 0", datum(bits)),
        Test::No(bits) => format!("{left} ! {}", datum(bits)),
        Test::Masked { mask, value } => {
            let bits = |bits: &Datum| datum(bits).replace(',', " | ");
            format!("{left} & ({}) == {}", bits(mask), bits(value))
        }
    }
}

fn field(field: Field) -> &'static str {
    match field {
        Field::Ether(Ether::Source) => "ether saddr",
        Field::Ether(Ether::Destination) => "ether daddr",
        Field::Ether(Ether::Type) => "ether type",
        Field::Arp(Arp::Operation) => "arp operation",
        Field::Arp(Arp::SenderMac) => "arp saddr ether",
        Field::Arp(Arp::SenderAddress) => "arp saddr ip",
        Field::Arp(Arp::TargetMac) => "arp daddr ether",
        Field::Arp(Arp::TargetAddress) => "arp daddr ip",
        Field::Ipv4(Ipv4::Source) => "ip saddr",
        Field::Ipv4(Ipv4::Destination) => "ip daddr",
        Field::Ipv4(Ipv4::Protocol) => "ip protocol",
        Field::Ipv4(Ipv4::TimeToLive) => "ip ttl",
        Field::Ipv4(Ipv4::Length) => "ip length",
        Field::Ipv6(Ipv6::Source) => "ip6 saddr",
        Field::Ipv6(Ipv6::Destination) => "ip6 daddr",
        Field::Ipv6(Ipv6::NextHeader) => "ip6 nexthdr",
        Field::Ipv6(Ipv6::HopLimit) => "ip6 hoplimit",
        Field::Ipv6(Ipv6::Length) => "ip6 length",
        Field::Tcp(Tcp::SourcePort) => "tcp sport",
        Field::Tcp(Tcp::DestinationPort) => "tcp dport",
        Field::Tcp(Tcp::Flags) => "tcp flags",
        Field::Udp(Udp::SourcePort) => "udp sport",
        Field::Udp(Udp::DestinationPort) => "udp dport",
        Field::Udp(Udp::Length) => "udp length",
        Field::Icmp(Icmp::Type) => "icmp type",
        Field::Icmp(Icmp::Code) => "icmp code",
        Field::Icmpv6(Icmpv6::Type) => "icmpv6 type",
        Field::Icmpv6(Icmpv6::Code) => "icmpv6 code",
        Field::SourcePort => "th sport",
        Field::DestinationPort => "th dport",
    }
}

fn meta(meta: Meta) -> &'static str {
    match meta {
        Meta::InputName => "iifname",
        Meta::OutputName => "oifname",
        Meta::InputIndex => "iif",
        Meta::OutputIndex => "oif",
        Meta::NfProtocol => "meta nfproto",
        Meta::EtherType => "meta protocol",
        Meta::Protocol => "meta l4proto",
        Meta::Mark => "meta mark",
        Meta::PacketType => "meta pkttype",
        Meta::Length => "meta length",
    }
}

fn ct(ct: Ct) -> String {
    match ct {
        Ct::State => "ct state".to_owned(),
        Ct::Status => "ct status".to_owned(),
        Ct::Direction => "ct direction".to_owned(),
        Ct::Mark => "ct mark".to_owned(),
        Ct::Zone => "ct zone".to_owned(),
        Ct::Tuple(direction, end) => {
            let direction = match direction {
                Direction::Original => "original",
                Direction::Reply => "reply",
            };
            let end = match end {
                TupleEnd::Source4 => "ip saddr",
                TupleEnd::Destination4 => "ip daddr",
                TupleEnd::Source6 => "ip6 saddr",
                TupleEnd::Destination6 => "ip6 daddr",
                TupleEnd::Protocol => "protocol",
                TupleEnd::SourcePort => "proto-src",
                TupleEnd::DestinationPort => "proto-dst",
            };
            format!("ct {direction} {end}")
        }
    }
}

fn fib(fib: &Fib) -> String {
    let key = match fib.key {
        FibKey::Source => "saddr",
        FibKey::Destination => "daddr",
    };
    let mut parts = vec![key];
    parts.extend(fib.by_mark.then_some("mark"));
    parts.extend(fib.by_input.then_some("iif"));
    parts.extend(fib.by_output.then_some("oif"));
    let result = match fib.result {
        FibResult::Exists | FibResult::OutputIndex => "oif",
        FibResult::OutputName => "oifname",
        FibResult::AddressType => "type",
    };
    format!("fib {} {result}", parts.join(" . "))
}

fn spread(spread: &Spread) -> String {
    match spread {
        Spread::RoundRobin { buckets, offset } => {
            format!("numgen inc mod {buckets} offset {offset}")
        }
        Spread::Random { buckets, offset } => {
            format!("numgen random mod {buckets} offset {offset}")
        }
        Spread::Hash {
            of,
            seed,
            buckets,
            offset,
        } => {
            let seed = seed
                .map(|seed| format!(" seed 0x{seed:x}"))
                .unwrap_or_default();
            format!("jhash {} mod {buckets}{seed} offset {offset}", key(of))
        }
    }
}
