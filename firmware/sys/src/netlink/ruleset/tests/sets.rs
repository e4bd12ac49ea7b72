use super::*;

fn set(name: &str, shape: Shape, elements: Vec<Element>) -> Set {
    Set {
        name: name.to_owned(),
        shape,
        elements,
    }
}

fn several(parts: &[Span]) -> Element {
    Key::Several(parts.to_vec()).into()
}

#[test]
fn of_single_values_and_ranges() {
    let mac = Datum::Mac([2, 0, 0, 0, 0, 1]);
    let table = Table {
        sets: vec![
            set(
                "hosts",
                Shape::exact([Kind::Ipv4]),
                vec![
                    Element::from(address("192.0.2.1")),
                    address("192.0.2.9").into(),
                ],
            ),
            set(
                "hosts6",
                Shape::exact([Kind::Ipv6]),
                vec![address("2001:db8::1").into()],
            ),
            set("cards", Shape::exact([Kind::Mac]), vec![mac.into()]),
            set(
                "nics",
                Shape::exact([Kind::Interface]),
                vec![Datum::from(name("lan0")).into()],
            ),
            set(
                "marks",
                Shape::exact([Kind::Mark]),
                vec![Datum::Mark(7).into()],
            ),
            set(
                "ports",
                Shape::intervals([Kind::Port]),
                vec![
                    ports(60000, 65535).into(),
                    port(22).into(),
                    ports(80, 90).into(),
                ],
            ),
            set(
                "networks",
                Shape::intervals([Kind::Ipv4]),
                vec![
                    network("10.0.0.0/8").into(),
                    addresses("192.0.2.1", "192.0.2.9").into(),
                    network("224.0.0.0/3").into(),
                ],
            ),
            set(
                "networks6",
                Shape::intervals([Kind::Ipv6]),
                vec![network("2001:db8::/32").into(), network("ff00::/8").into()],
            ),
        ],
        chains: vec![forward(vec![
            rule()
                .and(Statement::in_set(source(), "hosts"))
                .then(Verdict::Accept),
            rule()
                .and(Statement::Lookup {
                    key: vec![source()],
                    members: Members::Named("networks".into()),
                    inverted: true,
                })
                .then(Verdict::Drop),
            rule()
                .and(Statement::in_set(Meta::InputName, "nics"))
                .then(Verdict::Accept),
            rule()
                .and(Statement::in_set(Meta::Mark, "marks"))
                .then(Verdict::Accept),
        ])],
        ..inet()
    };
    assert_same(table, "set hosts { type ipv4_addr; elements = { 192.0.2.1, 192.0.2.9 }; }
        set hosts6 { type ipv6_addr; elements = { 2001:db8::1 }; }
        set cards { type ether_addr; elements = { 02:00:00:00:00:01 }; }
        set nics { type ifname; elements = { lan0 }; }
        set marks { type mark; elements = { 7 }; }
        set ports { type inet_service; flags interval; elements = { 22, 80-90, 60000-65535 }; }
        set networks { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.0.2.1-192.0.2.9, 224.0.0.0/3 }; }
        set networks6 { type ipv6_addr; flags interval; elements = { 2001:db8::/32, ff00::/8 }; }
        chain forward {
            type filter hook forward priority filter; policy drop;
            ip saddr @hosts accept
            ip saddr != @networks drop
            iifname @nics accept
            meta mark @marks accept
        }");
}

#[test]
fn overlapping_ranges_are_joined() {
    let elements = vec![
        network("10.0.0.0/8").into(),
        network("10.1.0.0/16").into(),
        addresses("11.0.0.0", "11.0.0.9").into(),
        address("192.0.2.1").into(),
        address("192.0.2.1").into(),
    ];
    let table = Table {
        sets: vec![set("networks", Shape::intervals([Kind::Ipv4]), elements)],
        ..inet()
    };
    assert_same(
        table,
        "set networks { type ipv4_addr; flags interval; elements = { 10.0.0.0-11.0.0.9, 192.0.2.1 }; }",
    );
}

#[test]
fn of_keys_with_several_parts() {
    let service = [Kind::Ipv4, Kind::Protocol, Kind::Port];
    let exact = [address("192.0.2.1").into(), Datum::TCP.into(), port(80)];
    let ranges = [network("10.0.0.0/8"), Datum::UDP.into(), ports(1000, 2000)];
    let key = || {
        vec![
            source(),
            Meta::Protocol.into(),
            Field::DestinationPort.into(),
        ]
    };
    let lookup = |set: &str| Statement::Lookup {
        key: key(),
        members: Members::Named(set.into()),
        inverted: false,
    };
    let table = Table {
        sets: vec![
            set("exact", Shape::exact(service), vec![several(&exact)]),
            set(
                "ranges",
                Shape::intervals(service),
                vec![several(&exact), several(&ranges)],
            ),
        ],
        chains: vec![forward(vec![
            rule().and(lookup("exact")).then(Verdict::Accept),
            rule().and(lookup("ranges")).then(Verdict::Accept),
            rule()
                .and(Statement::Lookup {
                    key: key(),
                    members: Members::These(vec![several(&ranges)]),
                    inverted: false,
                })
                .then(Verdict::Drop),
        ])],
        ..inet()
    };
    assert_same(table, "set exact { type ipv4_addr . inet_proto . inet_service; elements = { 192.0.2.1 . tcp . 80 }; }
        set ranges { type ipv4_addr . inet_proto . inet_service; flags interval
            elements = { 192.0.2.1 . tcp . 80, 10.0.0.0/8 . udp . 1000-2000 }
        }
        chain forward {
            type filter hook forward priority filter; policy drop;
            ip saddr . meta l4proto . th dport @exact accept
            ip saddr . meta l4proto . th dport @ranges accept
            ip saddr . meta l4proto . th dport { 10.0.0.0/8 . udp . 1000-2000 } drop
        }");
}

#[test]
fn that_rules_fill() {
    let update = |operation, set: &str, timeout_s, meters| Statement::Update {
        operation,
        set: set.to_owned(),
        key: vec![source()],
        timeout_s,
        meters,
    };
    let above = ConnectionLimit {
        connections: 10,
        above: true,
    };
    let fast = Limit {
        above: true,
        ..limit(10, Per::Second)
    };
    let table = Table {
        sets: vec![
            set("seen", Shape::dynamic([Kind::Ipv4], 60, 1000), vec![]),
            set("open", Shape::connections([Kind::Ipv4], 1000), vec![]),
        ],
        chains: vec![forward(vec![
            rule()
                .and(update(
                    DynamicOperation::Update,
                    "seen",
                    None,
                    vec![Meter::Limit(fast)],
                ))
                .then(Verdict::Drop),
            rule().and(update(DynamicOperation::Add, "seen", Some(5), vec![])),
            rule()
                .and(update(
                    DynamicOperation::Add,
                    "open",
                    None,
                    vec![Meter::ConnectionLimit(above)],
                ))
                .then(Verdict::Drop),
            rule().and(update(DynamicOperation::Delete, "seen", None, vec![])),
        ])],
        ..inet()
    };
    assert_same(
        table,
        "set seen { type ipv4_addr; size 1000; flags dynamic,timeout; timeout 60s; }
        set open { type ipv4_addr; size 1000; flags dynamic; }
        chain forward {
            type filter hook forward priority filter; policy drop;
            update @seen { ip saddr limit rate over 10/second } drop
            add @seen { ip saddr timeout 5s }
            add @open { ip saddr ct count over 10 } drop
            delete @seen { ip saddr }
        }",
    );
}

#[test]
fn maps_to_verdicts_and_objects() {
    let map = |name: &str, key: &[Kind], has_intervals, entries| Map {
        name: name.to_owned(),
        shape: Shape {
            has_intervals,
            ..Shape::exact(key)
        },
        entries,
    };
    let zones = Entries::Verdicts(vec![(
        Key::Several(vec![
            Datum::from(name("lan0")).into(),
            Datum::from(name("wan0")).into(),
        ])
        .into(),
        Verdict::Jump("out".into()),
    )]);
    let networks = Entries::Verdicts(vec![
        (network("10.0.0.0/8").into(), Verdict::Accept),
        (network("11.0.0.0/8").into(), Verdict::Goto("out".into())),
        (Key::Any.into(), Verdict::Drop),
    ]);
    let counters = Entries::Objects {
        kind: ObjectKind::Counter,
        entries: vec![(address("192.0.2.1").into(), "web".into())],
    };
    let table = Table {
        objects: vec![Object {
            name: "web".into(),
            content: ObjectContent::Counter,
        }],
        maps: vec![
            map("zones", &[Kind::Interface, Kind::Interface], false, zones),
            map("networks", &[Kind::Ipv4], true, networks),
            map("counters", &[Kind::Ipv4], false, counters),
        ],
        chains: vec![
            Chain {
                rules: vec![rule().then(Verdict::Accept)],
                ..Chain::regular("out")
            },
            forward(vec![
                rule().and(Statement::Dispatch {
                    key: vec![Meta::InputName.into(), Meta::OutputName.into()],
                    map: VerdictMap::Named("zones".into()),
                }),
                rule().and(Statement::Dispatch {
                    key: vec![source()],
                    map: VerdictMap::Named("networks".into()),
                }),
                rule().and(Statement::ObjectOf {
                    kind: ObjectKind::Counter,
                    key: vec![source()],
                    map: "counters".into(),
                }),
                rule().and(Statement::Dispatch {
                    key: vec![tcp_port()],
                    map: VerdictMap::These(vec![
                        (port(22).into(), Verdict::Drop),
                        (port(80).into(), Verdict::Jump("out".into())),
                    ]),
                }),
            ]),
        ],
        ..inet()
    };
    assert_same(table, "counter web { }
        map zones { type ifname . ifname : verdict; elements = { lan0 . wan0 : jump out }; }
        map networks { type ipv4_addr : verdict; flags interval; elements = { 10.0.0.0/8 : accept, 11.0.0.0/8 : goto out, * : drop }; }
        map counters { type ipv4_addr : counter; elements = { 192.0.2.1 : \"web\" }; }
        chain out { accept
        }
        chain forward {
            type filter hook forward priority filter; policy drop;
            iifname . oifname vmap @zones
            ip saddr vmap @networks
            counter name ip saddr map @counters
            tcp dport vmap { 22 : drop, 80 : jump out }
        }");
}

#[test]
fn of_elements_that_go() {
    let gone_soon = Element {
        timeout_s: Some(3600),
        ..address("192.0.2.1").into()
    };
    let shape = Shape {
        timeout_s: Some(86_400),
        has_timeouts: true,
        ..Shape::exact([Kind::Ipv4])
    };
    in_own_network(&[], move || {
        load(&Ruleset {
            tables: vec![Table {
                sets: vec![set(
                    "guests",
                    shape,
                    vec![gone_soon, address("192.0.2.2").into()],
                )],
                ..inet()
            }],
        });
        // What is left of the time is printed too, and passes.
        let listed = nft_prints("-j list set inet pollux guests");
        assert!(listed.contains("\"timeout\": 86400"), "{listed}");
        assert!(
            listed
                .contains("{\"elem\": {\"val\": \"192.0.2.1\", \"timeout\": 3600, \"expires\": 3"),
            "{listed}"
        );
        assert!(
            listed.contains("{\"elem\": {\"val\": \"192.0.2.2\", \"expires\": 8"),
            "{listed}"
        );
    });
}
