use super::*;
use crate::netlink::Piecemeal;
use netlink::nftables::listing;
use std::net::UdpSocket;

fn send(datagrams: usize) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..datagrams {
        socket
            .send_to(b"eight by", sink.local_addr().unwrap())
            .unwrap();
    }
}

#[test]
fn counters_say_what_went_by() {
    in_own_network(&["link set lo up"], || {
        let seen = Statement::Update {
            operation: DynamicOperation::Update,
            set: "seen".to_owned(),
            key: vec![source()],
            timeout_s: None,
            meters: vec![Meter::Counter],
        };
        let rules = vec![
            Rule::about("line 5: web")
                .when(tcp_port(), Test::Is(Datum::Port(80)))
                .and(Statement::Counter)
                .then(Verdict::Accept),
            Rule::about("line 6: all")
                .and(seen)
                .and(Statement::Object(ObjectKind::Counter, "out".into()))
                .and(Statement::Counter)
                .then(Verdict::Accept),
        ];
        let out = Chain::base("out", Hook::Output, priority::FILTER, Policy::Drop);
        let table = Table {
            chains: vec![Chain { rules, ..out }],
            sets: vec![Set {
                name: "seen".into(),
                shape: Shape::dynamic([Kind::Ipv4], 60, 100),
                elements: vec![],
            }],
            objects: vec![Object {
                name: "out".into(),
                content: ObjectContent::Counter,
            }],
            ..inet()
        };
        load(&Ruleset {
            tables: vec![table],
        });
        send(3);

        let mut socket = Netlink::open(Protocol::Netfilter).unwrap();
        // 8 bytes behind 28 of headers.
        let counted = Some(listing::Counter {
            packets: 3,
            bytes: 108,
        });
        let none = Some(listing::Counter::default());
        let request = listing::rules(Family::Inet, "pollux", "out").unwrap();
        let rules = socket.dump(&request, listing::decode_rule).unwrap();
        let seen: Vec<_> = rules
            .iter()
            .map(|rule| (rule.comment.as_deref(), rule.counter))
            .collect();
        assert_eq!(
            seen,
            [(Some("line 5: web"), none), (Some("line 6: all"), counted)]
        );
        let text = nft_prints("list chain inet pollux out");
        assert!(
            text.contains("counter packets 3 bytes 108 accept comment \"line 6: all\""),
            "{text}"
        );
        let objects = socket
            .dump(&listing::objects().unwrap(), listing::decode_object)
            .unwrap();
        assert_eq!(objects[0].counter, counted);
        let request = listing::elements(Family::Inet, "pollux", "seen").unwrap();
        let elements = socket
            .dump(&request, listing::decode_elements)
            .unwrap()
            .concat();
        assert_eq!(
            elements[0].parts(&[Kind::Ipv4]),
            Some(vec![address("127.0.0.1")])
        );
        let chains = socket
            .dump(&listing::chains().unwrap(), listing::decode_chain)
            .unwrap();
        assert_eq!(
            chains[0].base.as_ref().map(|base| base.policy),
            Some(Policy::Drop)
        );
    });
}

#[test]
fn nobody_counts_for_a_rule_that_was_loaded_anew() {
    in_own_network(&["link set lo up"], || {
        let out = Chain::base("out", Hook::Output, priority::FILTER, Policy::Accept);
        let rules = vec![rule().and(Statement::Counter)];
        let ruleset = Ruleset {
            tables: vec![Table {
                chains: vec![Chain { rules, ..out }],
                ..inet()
            }],
        };
        load(&ruleset);
        send(2);
        load(&ruleset);
        send(1);
        let mut socket = Netlink::open(Protocol::Netfilter).unwrap();
        let request = listing::rules(Family::Inet, "pollux", "out").unwrap();
        let rules = socket.dump(&request, listing::decode_rule).unwrap();
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0].counter.map(|counter| counter.packets), Some(1));
    });
}

#[test]
fn a_table_read_piece_by_piece_has_its_rules_in_the_order_of_its_chains() {
    const RULES: usize = 4000;
    in_own_network(&[], || {
        let chains = ["last", "empty", "first"].map(Chain::regular);
        let [mut last, empty, mut first] = chains;
        let numbered = |chain| move |number| Rule::about(format!("{chain} {number}"));
        last.rules = (0..RULES).map(numbered("last")).collect();
        first.rules = (0..RULES).map(numbered("first")).collect();
        load(&Ruleset {
            tables: vec![Table {
                chains: vec![last, empty, first],
                ..inet()
            }],
        });
        let request = listing::rules_of_table(Family::Inet, "pollux").unwrap();
        let mut dump = Piecemeal::begin(Protocol::Netfilter, &request).unwrap();
        let (mut rules, mut pieces) = (Vec::new(), 1);
        while dump
            .step(&mut |message| {
                rules.extend(listing::decode_rule(message)?);
                Ok(())
            })
            .unwrap()
        {
            pieces += 1;
        }
        let comments = rules.into_iter().map(|rule| rule.comment.unwrap());
        let numbered = |chain| (0..RULES).map(move |number| format!("{chain} {number}"));
        assert!(comments.eq(numbered("last").chain(numbered("first"))));
        assert!(pieces > 10, "{pieces} pieces");
    });
}
