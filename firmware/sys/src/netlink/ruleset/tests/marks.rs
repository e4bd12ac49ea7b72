use super::*;

#[test]
fn marks_are_set() {
    let hash = Spread::Hash {
        of: vec![source(), tcp_port()],
        seed: Some(5),
        buckets: many(16),
        offset: 0,
    };
    let hash_one = Spread::Hash {
        of: vec![source()],
        seed: Some(7),
        buckets: many(2),
        offset: 100,
    };
    let mark = |operand| rule().and(Statement::Assign(Assignment::Mark, operand));
    assert_rules(
        vec![
            mark(Operand::Is(Datum::Mark(9))),
            mark(Operand::Of(Ct::Mark.into())),
            mark(Operand::Of(hash.into())),
            mark(Operand::Of(hash_one.into())),
            mark(Operand::Of(
                Spread::Random {
                    buckets: many(4),
                    offset: 100,
                }
                .into(),
            )),
            rule().and(Statement::Assign(
                Assignment::ConnectionMark,
                Operand::Of(Meta::Mark.into()),
            )),
            rule()
                .when(
                    Field::Tcp(Tcp::Flags),
                    Test::Any(Datum::TcpFlags(TcpFlags::SYN)),
                )
                .and(Statement::ClampSegmentSize),
        ],
        &[
            "meta mark set 9",
            "meta mark set ct mark",
            "meta mark set jhash ip saddr . tcp dport mod 16 seed 0x5",
            "meta mark set jhash ip saddr mod 2 seed 0x7 offset 100",
            "meta mark set numgen random mod 4 offset 100",
            "ct mark set meta mark",
            "tcp flags syn tcp option maxseg size set rt mtu",
        ],
    );
}

#[test]
fn turns_hashes_zones_and_numbers_of_interfaces() {
    let mark = |operand: Spread| {
        rule().and(Statement::Assign(
            Assignment::Mark,
            Operand::Of(operand.into()),
        ))
    };
    assert_rules(
        vec![
            mark(Spread::RoundRobin {
                buckets: many(3),
                offset: 7,
            }),
            mark(Spread::Hash {
                of: vec![source()],
                seed: None,
                buckets: many(4),
                offset: 0,
            }),
            rule()
                .when(
                    Spread::RoundRobin {
                        buckets: many(2),
                        offset: 0,
                    },
                    Test::Is(Datum::Number32(1)),
                )
                .then(Verdict::Drop),
            rule()
                .when(Ct::Zone, Test::Is(Datum::Zone(5)))
                .then(Verdict::Accept),
            rule()
                .when(Meta::OutputIndex, Test::Is(Datum::InterfaceIndex(1)))
                .then(Verdict::Accept),
        ],
        &[
            "meta mark set numgen inc mod 3 offset 7",
            "meta mark set jhash ip saddr mod 4",
            "numgen inc mod 2 1 drop",
            "ct zone 5 accept",
            "oif lo accept",
        ],
    );
}
