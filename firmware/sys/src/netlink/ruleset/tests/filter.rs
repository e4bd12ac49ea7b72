use super::*;

#[test]
fn addresses_ports_and_protocols() {
    let v6 = || Selector::from(Field::Ipv6(Ipv6::Source));
    assert_rules(
        vec![
            rule()
                .when(source(), Test::Is(address("192.0.2.1")))
                .then(Verdict::Accept),
            rule()
                .when(source(), Test::Within(network("10.0.0.0/8")))
                .then(Verdict::Drop),
            rule()
                .when(source(), Test::Within(network("10.16.0.0/12")))
                .then(Verdict::Return),
            rule()
                .when(destination(), Test::Outside(network("192.0.2.0/25")))
                .then(Verdict::Drop),
            rule()
                .when(source(), Test::Within(addresses("192.0.2.1", "192.0.2.9")))
                .and(Statement::Counter),
            rule()
                .when(v6(), Test::Within(network("2001:db8::/32")))
                .then(Verdict::Accept),
            rule()
                .when(v6(), Test::Within(network("2001:db8::/61")))
                .then(Verdict::Accept),
            rule()
                .when(v6(), Test::Is(address("2001:db8::1")))
                .when(tcp_port(), Test::Is(Datum::Port(443)))
                .then(Verdict::Accept),
            rule()
                .when(tcp_port(), Test::Within(ports(8000, 8999)))
                .then(Verdict::Accept),
            rule()
                .when(udp_port(), Test::Outside(ports(1, 1023)))
                .then(Verdict::Accept),
            rule()
                .when(tcp_port(), Test::OneOf(vec![port(22), ports(80, 90)]))
                .then(Verdict::Accept),
            rule()
                .when(tcp_port(), Test::NoneOf(vec![port(22), port(80)]))
                .then(Verdict::Drop),
            rule()
                .when(
                    Meta::Protocol,
                    Test::OneOf(vec![Datum::TCP.into(), Datum::UDP.into()]),
                )
                .when(Field::DestinationPort, Test::Is(Datum::Port(53)))
                .then(Verdict::Accept),
            rule()
                .when(Field::Ipv4(Ipv4::Protocol), Test::Is(Datum::Protocol(47)))
                .then(Verdict::Accept),
            rule()
                .when(
                    Field::Ipv4(Ipv4::TimeToLive),
                    Test::AtMost(Datum::Number8(1)),
                )
                .then(Verdict::Drop),
        ],
        &[
            "ip saddr 192.0.2.1 accept",
            "ip saddr 10.0.0.0/8 drop",
            "ip saddr 10.16.0.0/12 return",
            "ip daddr != 192.0.2.0/25 drop",
            "ip saddr 192.0.2.1-192.0.2.9 counter",
            "ip6 saddr 2001:db8::/32 accept",
            "ip6 saddr 2001:db8::/61 accept",
            "ip6 saddr 2001:db8::1 tcp dport 443 accept",
            "tcp dport 8000-8999 accept",
            "udp dport != 1-1023 accept",
            "tcp dport { 22, 80-90 } accept",
            "tcp dport != { 22, 80 } drop",
            "meta l4proto { tcp, udp } th dport 53 accept",
            "ip protocol gre accept",
            "ip ttl <= 1 drop",
        ],
    );
}

#[test]
fn connections() {
    let original = |end| Ct::Tuple(Direction::Original, end);
    assert_rules(
        vec![
            rule()
                .and(Statement::state(
                    ConnectionStates::ESTABLISHED | ConnectionStates::RELATED,
                ))
                .then(Verdict::Accept),
            rule()
                .when(
                    Ct::State,
                    Test::Any(Datum::States(ConnectionStates::INVALID)),
                )
                .then(Verdict::Drop),
            rule()
                .when(
                    Ct::Status,
                    Test::Any(Datum::Status(ConnectionStatus::DESTINATION_NAT)),
                )
                .then(Verdict::Accept),
            rule()
                .when(Ct::Direction, Test::Is(Datum::Direction(Direction::Reply)))
                .then(Verdict::Accept),
            rule()
                .when(Ct::Mark, Test::Is(Datum::Mark(7)))
                .then(Verdict::Accept),
            rule()
                .when(
                    original(TupleEnd::Destination4),
                    Test::Is(address("192.0.2.80")),
                )
                .then(Verdict::Accept),
            rule()
                .when(Meta::Protocol, Test::Is(Datum::TCP))
                .when(
                    original(TupleEnd::DestinationPort),
                    Test::Is(Datum::Port(80)),
                )
                .then(Verdict::Accept),
            rule()
                .when(
                    Field::Tcp(Tcp::Flags),
                    Test::Masked {
                        mask: Datum::TcpFlags(TcpFlags::SYN | TcpFlags::ACK),
                        value: Datum::TcpFlags(TcpFlags::SYN),
                    },
                )
                .then(Verdict::Accept),
            rule()
                .and(Statement::ConnectionLimit(ConnectionLimit {
                    connections: 20,
                    above: true,
                }))
                .then(Verdict::Drop),
        ],
        &[
            "ct state established,related accept",
            "ct state invalid drop",
            "ct status dnat accept",
            "ct direction reply accept",
            "ct mark 7 accept",
            "ct original ip daddr 192.0.2.80 accept",
            "meta l4proto tcp ct original proto-dst 80 accept",
            "tcp flags & (syn | ack) == syn accept",
            "ct count over 20 drop",
        ],
    );
}

#[test]
fn devices_marks_and_routes() {
    let reverse_path = Fib {
        key: FibKey::Source,
        by_mark: false,
        by_input: true,
        by_output: false,
        result: FibResult::Exists,
    };
    let kind_of = |key| Fib {
        key,
        by_input: false,
        result: FibResult::AddressType,
        ..reverse_path
    };
    let rules = vec![
        rule()
            .when(Meta::InputName, Test::Is(name("lan0").into()))
            .when(Meta::OutputName, Test::IsNot(name("wan0").into()))
            .then(Verdict::Drop),
        rule()
            .when(
                Meta::InputName,
                Test::OneOf(vec![
                    Datum::from(name("a")).into(),
                    Datum::from(name("b")).into(),
                ]),
            )
            .then(Verdict::Drop),
        rule()
            .when(Meta::InputIndex, Test::Is(Datum::InterfaceIndex(1)))
            .then(Verdict::Accept),
        rule()
            .when(Meta::Mark, Test::Above(Datum::Mark(10)))
            .then(Verdict::Accept),
        rule()
            .when(
                Meta::Mark,
                Test::Masked {
                    mask: Datum::Mark(0xff),
                    value: Datum::Mark(3),
                },
            )
            .then(Verdict::Accept),
        rule()
            .when(
                Meta::Length,
                Test::Within(Span::Range(Datum::Number32(10), Datum::Number32(20))),
            )
            .then(Verdict::Drop),
        rule()
            .when(
                Meta::PacketType,
                Test::Is(Datum::PacketType(PacketType::Broadcast)),
            )
            .then(Verdict::Drop),
        rule()
            .when(Meta::NfProtocol, Test::Is(Datum::IPV6))
            .then(Verdict::Drop),
        rule()
            .when(reverse_path, Test::Is(Datum::Bool(false)))
            .and(Statement::Counter)
            .then(Verdict::Drop),
        rule()
            .when(
                kind_of(FibKey::Destination),
                Test::Is(Datum::AddressType(AddressType::Local)),
            )
            .then(Verdict::Accept),
    ];
    let chain = Chain::base("forward", Hook::Prerouting, priority::FILTER, Policy::Drop);
    let table = Table {
        chains: vec![Chain { rules, ..chain }],
        ..inet()
    };
    assert_same(
        table,
        "chain forward {
        type filter hook prerouting priority filter; policy drop;
        iifname lan0 oifname != wan0 drop
        iifname { a, b } drop
        iif lo accept
        meta mark > 10 accept
        meta mark and 0xff == 3 accept
        meta length 10-20 drop
        meta pkttype broadcast drop
        meta nfproto ipv6 drop
        fib saddr . iif oif missing counter drop
        fib daddr type local accept
    }",
    );
}

#[test]
fn icmp_and_refusals() {
    assert_rules(
        vec![
            rule()
                .when(Field::Icmp(Icmp::Type), Test::Is(Datum::IcmpType(8)))
                .then(Verdict::Accept),
            rule()
                .when(
                    Field::Icmpv6(Icmpv6::Type),
                    Test::OneOf(vec![
                        Datum::Icmpv6Type(135).into(),
                        Datum::Icmpv6Type(136).into(),
                    ]),
                )
                .then(Verdict::Accept),
            rule()
                .when(Meta::Protocol, Test::Is(Datum::ICMP))
                .then(Verdict::Accept),
            rule()
                .when(Meta::InputName, Test::Is(name("lan0").into()))
                .and(Statement::Reject(RejectWith::TcpReset)),
            rule().and(Statement::Reject(RejectWith::Unreachable(
                UnreachableCode::AdminProhibited,
            ))),
            rule().and(Statement::Reject(RejectWith::Unreachable(
                UnreachableCode::Port,
            ))),
        ],
        &[
            "icmp type echo-request accept",
            "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
            "meta l4proto icmp accept",
            "iifname lan0 meta l4proto tcp reject with tcp reset",
            "reject with icmpx type admin-prohibited",
            "reject with icmpx type port-unreachable",
        ],
    );
}

#[test]
fn limits_logs_and_comments() {
    let bytes = Limit {
        unit: LimitUnit::Bytes,
        above: true,
        burst: Burst::Of(4096),
        ..limit(10_240, Per::Second)
    };
    let log = |prefix: &str, to| {
        Statement::Log(Log {
            prefix: Some(prefix.to_owned()),
            to,
        })
    };
    let group = LogTo::Group {
        group: 3,
        packet_bytes: Some(64),
        queue_packets: Some(10),
    };
    assert_rules(
        vec![
            Rule::about("line 12: web")
                .and(Statement::Limit(limit(10, Per::Minute)))
                .then(Verdict::Accept),
            rule().and(Statement::Limit(Limit {
                burst: Burst::Of(30),
                ..limit(5, Per::Hour)
            })),
            rule().and(Statement::Limit(bytes)).then(Verdict::Drop),
            rule().and(log("no: ", LogTo::Kernel(LogLevel::Info))),
            rule().and(log("to a reader ", group)),
            rule()
                .and(Statement::Counter)
                .and(log("warned ", LogTo::Kernel(LogLevel::Warning)))
                .then(Verdict::Drop),
        ],
        &[
            "limit rate 10/minute accept comment \"line 12: web\"",
            "limit rate 5/hour burst 30 packets",
            "limit rate over 10 kbytes/second burst 4 kbytes drop",
            "log prefix \"no: \" level info",
            "log prefix \"to a reader \" group 3 snaplen 64 queue-threshold 10",
            "counter log prefix \"warned \" drop",
        ],
    );
}

#[test]
fn untracked_zones_and_syn_proxies() {
    let proxy = Synproxy {
        segment_bytes_max: 1460,
        window_scale: Some(7),
        has_timestamps: true,
        has_selective_acks: true,
    };
    let raw = Chain {
        rules: vec![
            rule()
                .when(tcp_port(), Test::Is(Datum::Port(80)))
                .and(Statement::Notrack),
            rule().and(Statement::Assign(
                Assignment::Zone,
                Operand::Is(Datum::Zone(5)),
            )),
        ],
        ..Chain::base("raw", Hook::Prerouting, priority::RAW, Policy::Accept)
    };
    let untracked = ConnectionStates::INVALID | ConnectionStates::UNTRACKED;
    let rules = vec![
        rule()
            .when(tcp_port(), Test::Is(Datum::Port(80)))
            .and(Statement::state(untracked))
            .and(Statement::Synproxy(proxy)),
        rule().and(Statement::Object(ObjectKind::Synproxy, "web".into())),
    ];
    let web = Object {
        name: "web".into(),
        content: ObjectContent::Synproxy(Synproxy {
            has_timestamps: false,
            ..proxy
        }),
    };
    let table = Table {
        chains: vec![raw, forward(rules)],
        objects: vec![web],
        ..inet()
    };
    assert_same(
        table,
        "synproxy web { mss 1460 wscale 7 sack-perm
        }
        chain raw {
            type filter hook prerouting priority raw; policy accept;
            tcp dport 80 notrack
            ct zone set 5
        }
        chain forward {
            type filter hook forward priority filter; policy drop;
            tcp dport 80 ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm
            synproxy name web
        }",
    );
}

#[test]
fn named_objects() {
    let object = |name: &str, content| Object {
        name: name.to_owned(),
        content,
    };
    let use_of = |kind, name: &str| rule().and(Statement::Object(kind, name.to_owned()));
    let helper = |protocol| ObjectContent::Helper(Helper { protocol });
    let table = Table {
        objects: vec![
            object("web", ObjectContent::Counter),
            object("slow", ObjectContent::Limit(limit(10, Per::Second))),
            object("ftp", helper(HelperProtocol::Ftp)),
            object("sip", helper(HelperProtocol::SipUdp)),
            object("tftp", helper(HelperProtocol::Tftp)),
            object(
                "short",
                ObjectContent::Timeouts(Timeouts::Tcp(vec![
                    (TcpPhase::Established, 120),
                    (TcpPhase::Close, 20),
                ])),
            ),
            object(
                "shorter",
                ObjectContent::Timeouts(Timeouts::Udp(vec![
                    (UdpPhase::Unreplied, 5),
                    (UdpPhase::Replied, 50),
                ])),
            ),
        ],
        chains: vec![forward(vec![
            use_of(ObjectKind::Counter, "web"),
            use_of(ObjectKind::Limit, "slow").then(Verdict::Accept),
            rule()
                .when(tcp_port(), Test::Is(Datum::Port(21)))
                .and(Statement::Object(ObjectKind::Helper, "ftp".into())),
            use_of(ObjectKind::Timeouts, "short"),
        ])],
        ..inet()
    };
    assert_same(
        table,
        "counter web { }
        limit slow { rate 10/second
        }
        ct helper ftp { type \"ftp\" protocol tcp; }
        ct helper sip { type \"sip\" protocol udp; }
        ct helper tftp { type \"tftp\" protocol udp; }
        ct timeout short { protocol tcp; policy = { established: 120, close: 20 }; }
        ct timeout shorter { protocol udp; policy = { unreplied: 5, replied: 50 }; }
        chain forward {
            type filter hook forward priority filter; policy drop;
            counter name web
            limit name slow accept
            tcp dport 21 ct helper set \"ftp\"
            ct timeout set \"short\"
        }",
    );
}
