use super::*;

const PLAIN: NatFlags = NatFlags {
    fully_random: false,
    persistent: false,
};

fn to(first: &str, last: &str, ports: Option<(u16, u16)>) -> NatTarget {
    NatTarget::Addresses {
        addresses: (ip(first), ip(last)),
        ports,
    }
}

fn dnat(target: NatTarget) -> Statement {
    Statement::DestinationNat(target, PLAIN)
}

fn snat(target: NatTarget) -> Statement {
    Statement::SourceNat(target, PLAIN)
}

fn prerouting(rules: Vec<Rule>) -> Chain {
    let hook = Hook::Nat(NatHook::Prerouting);
    let chain = Chain::base("to", hook, priority::DESTINATION_NAT, Policy::Accept);
    Chain { rules, ..chain }
}

fn postrouting(rules: Vec<Rule>) -> Chain {
    let hook = Hook::Nat(NatHook::Postrouting);
    let chain = Chain::base("from", hook, priority::SOURCE_NAT, Policy::Accept);
    Chain { rules, ..chain }
}

#[test]
fn destinations() {
    let web = || rule().when(tcp_port(), Test::Is(Datum::Port(80)));
    let sticky = NatFlags {
        persistent: true,
        fully_random: true,
    };
    let chain = prerouting(vec![
        web().and(dnat(to("10.0.0.1", "10.0.0.1", None))),
        web().and(dnat(to("10.0.0.1", "10.0.0.1", Some((8080, 8080))))),
        web().and(dnat(to("10.0.0.1", "10.0.0.9", Some((80, 90))))),
        web().and(dnat(to("2001:db8::1", "2001:db8::1", Some((80, 80))))),
        web().and(dnat(to("2001:db8::1", "2001:db8::9", None))),
        web().and(dnat(NatTarget::Ports(8080, 8080))),
        web().and(Statement::DestinationNat(
            to("10.0.0.1", "10.0.0.9", None),
            sticky,
        )),
        web().and(Statement::Redirect {
            ports: Some((8080, 8080)),
            flags: PLAIN,
        }),
        rule().and(Statement::Redirect {
            ports: None,
            flags: PLAIN,
        }),
        rule()
            .when(destination(), Test::Within(network("192.0.2.0/24")))
            .and(dnat(NatTarget::Network(prefix("10.0.0.0/24")))),
    ]);
    let table = Table {
        chains: vec![chain],
        ..inet()
    };
    assert_same(
        table,
        "chain to {
        type nat hook prerouting priority dstnat; policy accept;
        tcp dport 80 dnat ip to 10.0.0.1
        tcp dport 80 dnat ip to 10.0.0.1:8080
        tcp dport 80 dnat ip to 10.0.0.1-10.0.0.9:80-90
        tcp dport 80 dnat ip6 to [2001:db8::1]:80
        tcp dport 80 dnat ip6 to 2001:db8::1-2001:db8::9
        tcp dport 80 dnat to :8080
        tcp dport 80 dnat ip to 10.0.0.1-10.0.0.9 fully-random,persistent
        tcp dport 80 redirect to :8080
        redirect
        ip daddr 192.0.2.0/24 dnat ip prefix to 10.0.0.0/24
    }",
    );
}

#[test]
fn sources() {
    let random = NatFlags {
        fully_random: true,
        persistent: false,
    };
    let out = || rule().when(Meta::OutputName, Test::Is(name("wan0").into()));
    let chain = postrouting(vec![
        out().and(Statement::Masquerade {
            ports: None,
            flags: PLAIN,
        }),
        out().and(Statement::Masquerade {
            ports: None,
            flags: random,
        }),
        rule()
            .when(tcp_port(), Test::Is(Datum::Port(80)))
            .and(Statement::Masquerade {
                ports: Some((1024, 65535)),
                flags: PLAIN,
            }),
        out().and(snat(to("192.0.2.1", "192.0.2.1", None))),
        out().and(snat(to("192.0.2.1", "192.0.2.4", None))),
        rule()
            .when(source(), Test::Within(network("10.0.0.0/24")))
            .and(snat(NatTarget::Network(prefix("192.0.2.0/24")))),
    ]);
    let table = Table {
        chains: vec![chain],
        ..inet()
    };
    assert_same(
        table,
        "chain from {
        type nat hook postrouting priority srcnat; policy accept;
        oifname wan0 masquerade
        oifname wan0 masquerade fully-random
        tcp dport 80 masquerade to :1024-65535
        oifname wan0 snat ip to 192.0.2.1
        oifname wan0 snat ip to 192.0.2.1-192.0.2.4
        ip saddr 10.0.0.0/24 snat ip prefix to 192.0.2.0/24
    }",
    );
}

#[test]
fn by_maps() {
    let map = |name: &str, key: &[Kind], has_intervals, entries| Map {
        name: name.to_owned(),
        shape: Shape {
            has_intervals,
            ..Shape::exact(key)
        },
        entries,
    };
    let service = Key::Several(vec![address("192.0.2.1").into(), port(80)]);
    let kinds = vec![Kind::Ipv4, Kind::Port];
    let target = vec![address("10.0.0.1"), Datum::Port(8080)];
    let services = Entries::Data {
        kinds: kinds.clone(),
        entries: vec![(service.into(), target)],
    };
    let spread = Entries::Data {
        kinds: vec![Kind::Ipv4],
        entries: vec![
            (port(1).into(), vec![address("10.0.0.1")]),
            (port(2).into(), vec![address("10.0.0.2")]),
        ],
    };
    let networks = Entries::Networks(vec![(
        network("10.0.0.0/24").into(),
        prefix("192.0.2.0/24"),
    )]);
    let mapped = |key: Vec<Selector>, map: &str| NatTarget::Mapped {
        key,
        map: map.to_owned(),
    };
    let table = Table {
        maps: vec![
            map("services", &kinds, false, services),
            map("spread", &[Kind::Port], false, spread),
            map("networks", &[Kind::Ipv4], true, networks),
        ],
        chains: vec![
            prerouting(vec![
                rule().and(dnat(mapped(vec![destination(), tcp_port()], "services"))),
                rule().and(dnat(mapped(vec![tcp_port()], "spread"))),
            ]),
            postrouting(vec![rule().and(snat(mapped(vec![source()], "networks")))]),
        ],
        ..inet()
    };
    assert_same(
        table,
        "map services {
            type ipv4_addr . inet_service : ipv4_addr . inet_service
            elements = { 192.0.2.1 . 80 : 10.0.0.1 . 8080 }
        }
        map spread {
            type inet_service : ipv4_addr
            elements = { 1 : 10.0.0.1, 2 : 10.0.0.2 }
        }
        map networks {
            type ipv4_addr : interval ipv4_addr
            flags interval
            elements = { 10.0.0.0/24 : 192.0.2.0/24 }
        }
        chain to {
            type nat hook prerouting priority dstnat; policy accept;
            dnat ip to ip daddr . tcp dport map @services
            dnat ip to tcp dport map @spread
        }
        chain from {
            type nat hook postrouting priority srcnat; policy accept;
            snat ip prefix to ip saddr map @networks
        }",
    );
}
