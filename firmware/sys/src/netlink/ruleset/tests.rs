#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

//! Rulesets of every kind, loaded into a kernel by us and, as nft(8) writes them, by nft: what nft then lists
//! must be the same text.

mod filter;
mod listing;
mod marks;
mod nat;
mod reload;
mod sets;
mod whole;

use crate::netlink::{Netlink, Protocol};
use crate::testing::{in_own_network, nft_loads, nft_prints};
use plan::config::Prefix;
use plan::ruleset::*;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::mpsc;

fn is_ours(name: &str) -> bool {
    name == "pollux"
}

fn load(ruleset: &Ruleset) {
    let mut socket = Netlink::open(Protocol::Netfilter).unwrap();
    if let Err(error) = socket.load(ruleset, is_ours) {
        panic!("{error}");
    }
}

/// A table that we load is the same as these lines, within braces, make nft load.
fn assert_same(table: Table, lines: &'static str) {
    let (sender, receiver) = mpsc::channel();
    let family = family_word(table.family);
    let from_us = sender.clone();
    in_own_network(&[], move || {
        load(&Ruleset {
            tables: vec![table],
        });
        from_us.send(nft_prints("list ruleset")).unwrap();
    });
    in_own_network(&[], move || {
        nft_loads(&format!("table {family} pollux {{\n{lines}\n}}\n"));
        sender.send(nft_prints("list ruleset")).unwrap();
    });
    // Both were passed over where namespaces are not allowed.
    if let Ok(ours) = receiver.recv() {
        let theirs = receiver.recv().unwrap();
        assert!(ours == theirs, "ours:\n{ours}\nnft's:\n{theirs}");
    }
}

fn family_word(family: Family) -> &'static str {
    match family {
        Family::Inet => "inet",
        Family::Ip => "ip",
        Family::Ip6 => "ip6",
        Family::Arp => "arp",
        Family::Netdev => "netdev",
    }
}

/// Rules of a forward chain are the same as these lines make nft load.
fn assert_rules(rules: Vec<Rule>, lines: &[&str]) {
    let table = Table {
        chains: vec![forward(rules)],
        ..inet()
    };
    assert_same(table, in_forward(lines));
}

/// These lines as the rules of a forward chain. Leaked: there are some dozen.
fn in_forward(lines: &[&str]) -> &'static str {
    let head = "chain forward {\ntype filter hook forward priority filter; policy drop;\n";
    format!("{head}{}\n}}", lines.join("\n")).leak()
}

fn inet() -> Table {
    Table::new(Family::Inet, "pollux")
}

fn forward(rules: Vec<Rule>) -> Chain {
    let chain = Chain::base("forward", Hook::Forward, priority::FILTER, Policy::Drop);
    Chain { rules, ..chain }
}

fn rule() -> Rule {
    Rule::default()
}

fn name(text: &str) -> InterfaceName {
    InterfaceName::new(text).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn address(text: &str) -> Datum {
    ip(text).into()
}

fn addresses(first: &str, last: &str) -> Span {
    Span::Range(address(first), address(last))
}

fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix {
        address: ip(address),
        length: length.parse().unwrap(),
    }
}

fn network(text: &str) -> Span {
    prefix(text).into()
}

fn ports(first: u16, last: u16) -> Span {
    Span::Range(Datum::Port(first), Datum::Port(last))
}

fn port(number: u16) -> Span {
    Datum::Port(number).into()
}

fn source() -> Selector {
    Field::Ipv4(Ipv4::Source).into()
}

fn destination() -> Selector {
    Field::Ipv4(Ipv4::Destination).into()
}

fn tcp_port() -> Selector {
    Field::Tcp(Tcp::DestinationPort).into()
}

fn udp_port() -> Selector {
    Field::Udp(Udp::DestinationPort).into()
}

fn many(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn limit(rate: u32, per: Per) -> Limit {
    Limit {
        rate: many(rate),
        unit: LimitUnit::Packets,
        per,
        burst: Burst::Usual,
        above: false,
    }
}
