use super::*;
use crate::netlink::Error;

#[test]
fn chains_on_every_hook() {
    let base = |name, hook, priority| Chain::base(name, hook, priority, Policy::Accept);
    let table = Table {
        chains: vec![
            base("raw", Hook::Prerouting, priority::RAW),
            base("in", Hook::Input, priority::FILTER),
            forward(vec![]),
            base("out", Hook::Output, priority::FILTER),
            base("post", Hook::Postrouting, priority::MANGLE),
            base(
                "nat1",
                Hook::Nat(NatHook::Prerouting),
                priority::DESTINATION_NAT,
            ),
            base("nat2", Hook::Nat(NatHook::Input), priority::SOURCE_NAT),
            base(
                "nat3",
                Hook::Nat(NatHook::Output),
                priority::DESTINATION_NAT,
            ),
            base(
                "nat4",
                Hook::Nat(NatHook::Postrouting),
                priority::SOURCE_NAT,
            ),
            base("reroute", Hook::Reroute, priority::MANGLE),
            base("ingress", Hook::Ingress(vec![name("lo")]), priority::FILTER),
            Chain::regular("aside"),
        ],
        ..inet()
    };
    assert_same(
        table,
        "
        chain raw { type filter hook prerouting priority raw; policy accept; }
        chain in { type filter hook input priority filter; policy accept; }
        chain forward { type filter hook forward priority filter; policy drop; }
        chain out { type filter hook output priority filter; policy accept; }
        chain post { type filter hook postrouting priority mangle; policy accept; }
        chain nat1 { type nat hook prerouting priority dstnat; policy accept; }
        chain nat2 { type nat hook input priority 100; policy accept; }
        chain nat3 { type nat hook output priority -100; policy accept; }
        chain nat4 { type nat hook postrouting priority srcnat; policy accept; }
        chain reroute { type route hook output priority mangle; policy accept; }
        chain ingress { type filter hook ingress device lo priority filter; policy accept; }
        chain aside { }",
    );
}

#[test]
fn a_chain_on_the_way_out_of_a_device() {
    let netdev = Chain {
        rules: vec![
            rule()
                .when(source(), Test::Within(network("10.0.0.0/8")))
                .then(Verdict::Drop),
        ],
        ..Chain::base(
            "out",
            Hook::Egress(vec![name("lo")]),
            priority::FILTER,
            Policy::Accept,
        )
    };
    assert_same(
        Table {
            chains: vec![netdev],
            ..Table::new(Family::Netdev, "pollux")
        },
        "chain out {
        type filter hook egress device lo priority filter; policy accept;
        ip saddr 10.0.0.0/8 drop
    }",
    );
}

#[test]
fn hooks_of_one_family() {
    for family in [Family::Ip, Family::Ip6] {
        let base = |name, hook, priority| Chain::base(name, hook, priority, Policy::Accept);
        assert_same(
            Table {
                chains: vec![
                    base("raw", Hook::Prerouting, priority::RAW),
                    base("in", Hook::Input, priority::FILTER),
                    base("out", Hook::Output, priority::FILTER),
                    base("post", Hook::Postrouting, priority::MANGLE),
                    base(
                        "nat1",
                        Hook::Nat(NatHook::Prerouting),
                        priority::DESTINATION_NAT,
                    ),
                    base(
                        "nat2",
                        Hook::Nat(NatHook::Postrouting),
                        priority::SOURCE_NAT,
                    ),
                    base("reroute", Hook::Reroute, priority::MANGLE),
                ],
                ..Table::new(family, "pollux")
            },
            "chain raw { type filter hook prerouting priority raw; policy accept; }
             chain in { type filter hook input priority filter; policy accept; }
             chain out { type filter hook output priority filter; policy accept; }
             chain post { type filter hook postrouting priority mangle; policy accept; }
             chain nat1 { type nat hook prerouting priority dstnat; policy accept; }
             chain nat2 { type nat hook postrouting priority srcnat; policy accept; }
             chain reroute { type route hook output priority mangle; policy accept; }",
        );
    }
    let out = Chain {
        rules: vec![rule().then(Verdict::Continue)],
        ..Chain::base("out", Hook::Output, priority::FILTER, Policy::Accept)
    };
    assert_same(
        Table {
            chains: vec![out],
            ..Table::new(Family::Arp, "pollux")
        },
        "chain out {
        type filter hook output priority filter; policy accept;
        continue
    }",
    );
}

#[test]
fn families() {
    let one = |family, chain: Chain| Table {
        chains: vec![chain],
        ..Table::new(family, "pollux")
    };
    let v4 = rule()
        .when(source(), Test::Is(address("192.0.2.1")))
        .and(Statement::Reject(RejectWith::Unreachable(
            UnreachableCode::Port,
        )));
    assert_same(
        one(Family::Ip, forward(vec![v4])),
        in_forward(&["ip saddr 192.0.2.1 reject"]),
    );
    let v6 = rule()
        .when(
            Field::Icmpv6(Icmpv6::Type),
            Test::Is(Datum::Icmpv6Type(128)),
        )
        .and(Statement::Reject(RejectWith::Unreachable(
            UnreachableCode::AdminProhibited,
        )));
    assert_same(
        one(Family::Ip6, forward(vec![v6])),
        in_forward(&["icmpv6 type echo-request reject with icmpv6 type admin-prohibited"]),
    );
    let arp = Chain {
        rules: vec![
            rule()
                .when(Field::Arp(Arp::Operation), Test::Is(Datum::ArpOperation(1)))
                .when(
                    Field::Arp(Arp::TargetAddress),
                    Test::Is(address("192.0.2.1")),
                )
                .then(Verdict::Drop),
            rule()
                .when(
                    Field::Arp(Arp::SenderMac),
                    Test::Is(Datum::Mac([2, 0, 0, 0, 0, 1])),
                )
                .then(Verdict::Drop),
        ],
        ..Chain::base("in", Hook::Input, priority::FILTER, Policy::Accept)
    };
    assert_same(
        one(Family::Arp, arp),
        "chain in {
        type filter hook input priority filter; policy accept;
        arp operation request arp daddr ip 192.0.2.1 drop
        arp saddr ether 02:00:00:00:00:01 drop
    }",
    );
    let netdev = Chain {
        rules: vec![
            rule()
                .when(source(), Test::Within(network("10.0.0.0/8")))
                .then(Verdict::Drop),
            rule()
                .when(
                    Field::Ether(Ether::Source),
                    Test::Is(Datum::Mac([2, 0, 0, 0, 0, 1])),
                )
                .then(Verdict::Drop),
        ],
        ..Chain::base(
            "in",
            Hook::Ingress(vec![name("lo")]),
            priority::FILTER,
            Policy::Accept,
        )
    };
    assert_same(
        one(Family::Netdev, netdev),
        "chain in {
        type filter hook ingress device lo priority filter; policy accept;
        ip saddr 10.0.0.0/8 drop
        ether saddr 02:00:00:00:00:01 drop
    }",
    );
}

#[test]
fn one_takes_the_place_of_the_other_and_leaves_strangers_alone() {
    in_own_network(&[], || {
        nft_loads("table inet stranger {\nchain c {\naccept\n}\n}");
        let stranger = nft_prints("list ruleset");
        let first = Table {
            sets: vec![Set {
                name: "s".into(),
                shape: Shape::exact([Kind::Port]),
                elements: vec![port(22).into()],
            }],
            objects: vec![Object {
                name: "o".into(),
                content: ObjectContent::Counter,
            }],
            chains: vec![
                forward(vec![
                    rule()
                        .and(Statement::in_set(tcp_port(), "s"))
                        .and(Statement::Object(ObjectKind::Counter, "o".into()))
                        .then(Verdict::Jump("gone".into())),
                    rule()
                        .when(tcp_port(), Test::OneOf(vec![port(1), port(2)]))
                        .then(Verdict::Accept),
                ]),
                Chain::regular("gone"),
                Chain::base("in", Hook::Input, priority::FILTER, Policy::Accept),
            ],
            ..inet()
        };
        let second = Table {
            sets: vec![Set {
                name: "s".into(),
                shape: Shape::intervals([Kind::Ipv4]),
                elements: vec![network("10.0.0.0/8").into()],
            }],
            chains: vec![
                forward(vec![
                    rule()
                        .and(Statement::in_set(source(), "s"))
                        .then(Verdict::Accept),
                ]),
                Chain::base("in", Hook::Input, priority::MANGLE, Policy::Drop),
            ],
            ..inet()
        };
        let of = |tables: &[&Table]| Ruleset {
            tables: tables.iter().map(|table| (*table).clone()).collect(),
        };
        let old = Table::new(Family::Ip, "pollux");
        load(&of(&[&first, &old]));
        let listed = nft_prints("list ruleset");
        load(&of(&[&second]));
        let replaced = nft_prints("list ruleset");
        assert!(
            replaced.contains("policy drop")
                && !replaced.contains("gone")
                && !replaced.contains("table ip pollux"),
            "{replaced}"
        );
        load(&of(&[&first, &old]));
        assert_eq!(nft_prints("list ruleset"), listed);
        load(&of(&[&first, &old]));
        assert_eq!(nft_prints("list ruleset"), listed);
        load(&Ruleset::default());
        load(&Ruleset::default());
        assert_eq!(nft_prints("list ruleset"), stranger);
    });
}

#[test]
fn a_refused_one_names_the_rule_and_changes_nothing() {
    in_own_network(&[], || {
        let table = |chain: &str| Table {
            chains: vec![
                forward(vec![
                    rule().then(Verdict::Accept),
                    Rule::about("line 7: web").then(Verdict::Jump(chain.into())),
                ]),
                Chain::regular("there"),
            ],
            ..inet()
        };
        let mut socket = Netlink::open(Protocol::Netfilter).unwrap();
        socket
            .load(
                &Ruleset {
                    tables: vec![table("there")],
                },
                is_ours,
            )
            .unwrap();
        let before = nft_prints("list ruleset");
        let error = socket
            .load(
                &Ruleset {
                    tables: vec![table("nowhere")],
                },
                is_ours,
            )
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "loading the ruleset: rule 2 (line 7: web) of chain forward of table inet pollux, at its step 1, immediate: ENOENT: not in this kernel, or no such entry"
        );
        assert!(matches!(error, Error::RulesetRefused(_)));
        assert_eq!(nft_prints("list ruleset"), before);
        socket
            .load(
                &Ruleset {
                    tables: vec![table("there")],
                },
                is_ours,
            )
            .unwrap();
    });
}

#[test]
fn more_refusals_than_a_socket_holds_are_one_refusal() {
    in_own_network(&[], || {
        let bad = || Rule::about("bad").then(Verdict::Jump("nowhere".into()));
        let table = Table {
            chains: vec![forward((0..5_000).map(|_| bad()).collect())],
            ..inet()
        };
        let mut socket = Netlink::open(Protocol::Netfilter).unwrap();
        let error = socket
            .load(
                &Ruleset {
                    tables: vec![table],
                },
                is_ours,
            )
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("loading the ruleset: rule 1 (bad) of chain forward"),
            "{error}"
        );
        assert_eq!(nft_prints("list ruleset"), "");
    });
}

#[test]
fn a_large_one_is_one_step() {
    in_own_network(&[], || {
        let hosts =
            (0..100_000_u32).map(|host| Datum::Ipv4((0x0a00_0000 + 2 * host).into()).into());
        let drop_port = |number: u32| {
            rule()
                .when(
                    tcp_port(),
                    Test::Is(Datum::Port(u16::try_from(number).unwrap())),
                )
                .then(Verdict::Drop)
        };
        let table = Table {
            sets: vec![Set {
                name: "hosts".into(),
                shape: Shape::exact([Kind::Ipv4]),
                elements: hosts.collect(),
            }],
            chains: vec![forward((1..10_001).map(drop_port).collect())],
            ..inet()
        };
        let ruleset = Ruleset {
            tables: vec![table],
        };
        let mut socket = Netlink::open(Protocol::Netfilter).unwrap();
        let generation = socket.load(&ruleset, is_ours).unwrap();
        assert_eq!(socket.load(&ruleset, is_ours), Ok(generation + 1));
        let listed = nft_prints("list chain inet pollux forward");
        assert!(listed.contains("tcp dport 10000 drop"));
    });
}

#[test]
fn a_race_with_others_is_run_again() {
    in_own_network(&[], || {
        let ruleset = Ruleset {
            tables: vec![Table {
                chains: vec![forward(vec![rule().then(Verdict::Accept)])],
                ..inet()
            }],
        };
        let namespace = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
        let (stop, stopped) = mpsc::channel::<()>();
        let other = std::thread::spawn(move || {
            nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
                nft_loads(
                    "table inet stranger {\nchain c {\naccept\n}\n}\ndelete table inet stranger",
                );
            }
        });
        let mut socket = Netlink::open(Protocol::Netfilter).unwrap();
        for _ in 0..200 {
            socket.load(&ruleset, is_ours).unwrap();
        }
        stop.send(()).unwrap();
        other.join().unwrap();
        assert_eq!(nft_prints("list ruleset").matches("accept").count(), 1);
    });
}
