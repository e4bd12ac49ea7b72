//! The ruleset that is loaded: as values and as nft's text.

use plan::ruleset::{
    Chain, ConnectionStates, Datum, Element, Family, Field, Hook, Ipv4, Kind, Policy, Rule,
    Ruleset, Set, Shape, Span, Statement, Table, Tcp, Test, Verdict, priority,
};
use std::fmt::Write;
use std::net::Ipv4Addr;

pub(super) const TABLE: &str = "pollux";

/// Half of the elements are hosts, half are networks.
fn host(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a00_0000 + 3 * number)
}

/// Networks of 16 addresses, with a hole behind each.
fn network(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x6400_0000 + 32 * number)
}

/// What each rule is for.
fn rule(number: u32) -> (Ipv4Addr, u16) {
    // Ports from 1,000 on, all different.
    let port = u16::try_from(1_000 + number % 60_000).unwrap_or(u16::MAX);
    (Ipv4Addr::from_bits(0xc000_0200 + number), port)
}

/// As values.
pub(super) fn values(rules: u32, elements: u32) -> Ruleset {
    let source = || Field::Ipv4(Ipv4::Source);
    let mut chain = Chain::base("forward", Hook::Forward, priority::FILTER, Policy::Drop);
    chain.rules.push(
        Rule::default()
            .and(Statement::state(
                ConnectionStates::ESTABLISHED | ConnectionStates::RELATED,
            ))
            .then(Verdict::Accept),
    );
    for set in ["hosts", "networks"] {
        let drop = Rule::default().and(Statement::in_set(source(), set));
        chain.rules.push(drop.then(Verdict::Drop));
    }
    chain.rules.extend((0..rules).map(|number| {
        let (address, port) = rule(number);
        Rule::default()
            .when(
                Field::Ipv4(Ipv4::Destination),
                Test::Is(Datum::Ipv4(address)),
            )
            .when(
                Field::Tcp(Tcp::DestinationPort),
                Test::Is(Datum::Port(port)),
            )
            .and(Statement::Counter)
            .then(Verdict::Accept)
    }));
    let hosts = (0..elements / 2).map(|number| Datum::Ipv4(host(number)).into());
    let networks = (0..elements / 2).map(|number| {
        let first = network(number);
        let last = Ipv4Addr::from_bits(first.to_bits() + 15);
        Span::Range(Datum::Ipv4(first), Datum::Ipv4(last)).into()
    });
    let set = |name: &str, shape, elements: Vec<Element>| Set {
        name: name.to_owned(),
        shape,
        elements,
    };
    let table = Table {
        sets: vec![
            set("hosts", Shape::exact([Kind::Ipv4]), hosts.collect()),
            set(
                "networks",
                Shape::intervals([Kind::Ipv4]),
                networks.collect(),
            ),
        ],
        chains: vec![chain],
        ..Table::new(Family::Inet, TABLE)
    };
    Ruleset {
        tables: vec![table],
    }
}

/// As nft's text, which takes the place of a table of this name.
pub(super) fn text(rules: u32, elements: u32) -> String {
    let hosts: Vec<_> = (0..elements / 2)
        .map(|number| host(number).to_string())
        .collect();
    let networks = (0..elements / 2).map(|number| format!("{}/28", network(number)));
    let networks: Vec<_> = networks.collect();
    let mut text = format!(
        "table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{
         set hosts {{\ntype ipv4_addr\nelements = {{ {} }}\n}}
         set networks {{\ntype ipv4_addr\nflags interval\nelements = {{ {} }}\n}}
         chain forward {{
         type filter hook forward priority filter; policy drop;
         ct state established,related accept
         ip saddr @hosts drop\nip saddr @networks drop\n",
        hosts.join(", "),
        networks.join(", ")
    );
    for number in 0..rules {
        let (address, port) = rule(number);
        // Writing to a string succeeds.
        let _ = writeln!(text, "ip daddr {address} tcp dport {port} counter accept");
    }
    text.push_str("}\n}\n");
    text
}
