//! What stands in the way of a twin's flow.

use super::world::{Who, conntrack, in_world, listing};
use super::*;
use nix::libc;

/// Puts into the twin what conntrack(8) makes in the box, in the twin `before` it; what is there then.
fn on_top_of(before: &'static [&'static str], now: &'static [&'static str]) {
    in_world(move |world| {
        world.enter(Who::Box);
        for words in now {
            conntrack(words);
        }
        let (flows, text) = (records(Kind::Flow), listing());
        world.enter(Who::Twin);
        for words in before {
            conntrack(words);
        }
        assert_eq!(put(Kind::Flow, &flows), []);
        assert_eq!(listing(), text);
        assert_eq!(values(&records(Kind::Flow)), values(&flows));
    });
}

const FLOW: &str = "-I -p tcp -s 10.1.0.10 -d 10.2.0.10 --sport 1000 --dport 80 -t 100";
const MASQUERADED: &str = "-I -p tcp -s 10.1.0.10 -d 10.2.0.10 --sport 1000 --dport 80 -t 100 \
    -n 10.2.0.1:2000 --state ESTABLISHED -u SEEN_REPLY,ASSURED";

#[test]
fn a_flow_that_went_on_is_changed() {
    on_top_of(
        &[
            "-I -p tcp -s 10.1.0.10 -d 10.2.0.10 --sport 1000 --dport 80 -t 100 --state SYN_SENT -m 5",
        ],
        &[
            "-I -p tcp -s 10.1.0.10 -d 10.2.0.10 --sport 1000 --dport 80 -t 100 --state ESTABLISHED -u SEEN_REPLY,ASSURED",
        ],
    );
}

#[test]
fn a_port_used_again_replaces_the_flow_that_was() {
    on_top_of(
        &[
            "-I -p tcp -s 10.1.0.10 -d 10.2.0.10 --sport 1000 --dport 80 -t 100 --state TIME_WAIT -u SEEN_REPLY,ASSURED",
        ],
        &["-I -p tcp -s 10.1.0.10 -d 10.2.0.10 --sport 1000 --dport 80 -t 100 --state SYN_SENT"],
    );
}

#[test]
fn a_flow_that_is_translated_otherwise_is_replaced() {
    on_top_of(
        &[
            "-I -p tcp -s 10.1.0.10 -d 10.2.0.10 --sport 1000 --dport 80 -t 100 -n 10.2.0.1:3000 --state ESTABLISHED -u SEEN_REPLY,ASSURED",
        ],
        &[MASQUERADED],
    );
}

#[test]
fn a_flow_that_holds_the_translated_port_gives_way() {
    on_top_of(
        &[
            "-I -p tcp -s 10.1.0.99 -d 10.2.0.10 --sport 7 --dport 80 -t 100 -n 10.2.0.1:2000 --state ESTABLISHED",
        ],
        &[MASQUERADED],
    );
}

#[test]
fn a_flow_from_the_other_side_gives_way() {
    on_top_of(
        &["-I -p tcp -s 10.2.0.10 -d 10.1.0.10 --sport 80 --dport 1000 -t 100 --state ESTABLISHED"],
        &["-I -p tcp -s 10.1.0.10 -d 10.2.0.10 --sport 1000 --dport 80 -t 100 --state ESTABLISHED"],
    );
}

/// A port that another client was given here after the takeover: the old box may still tell of who had it there.
#[test]
fn in_the_kernel_whose_table_counts_an_answered_flow_keeps_the_translated_port() {
    const LIVES: &str = "-I -p tcp -s 10.1.0.99 -d 10.2.0.10 --sport 7 --dport 80 -t 100 \
        -n 10.2.0.1:2000 --state ESTABLISHED -u SEEN_REPLY,ASSURED";
    const BEGAN: &str = "-I -p tcp -s 10.1.0.99 -d 10.2.0.10 --sport 7 --dport 80 -t 100 \
        -n 10.2.0.1:2000 --state SYN_SENT";
    for (there, gives_way) in [(LIVES, false), (BEGAN, true)] {
        in_world(move |world| {
            world.enter(Who::Box);
            conntrack(MASQUERADED);
            let told = records(Kind::Flow);
            world.enter(Who::Twin);
            conntrack(there);
            let before = records(Kind::Flow);
            let (refusals, displaced) = put_where_it_counts(&told);
            let after = records(Kind::Flow);
            if gives_way {
                assert_eq!((refusals, values(&after)), (vec![], values(&told)));
                assert_eq!(displaced, before.into_keys().collect::<Vec<_>>());
            } else {
                assert_eq!(
                    (refusals, values(&after)),
                    (vec![libc::EEXIST], values(&before))
                );
                assert_eq!(displaced, [[0; 0]; 0]);
            }
        });
    }
}

/// The old box may tell last of a flow that went on here since, before our own kernel's events were heard.
#[test]
fn in_the_kernel_whose_table_counts_a_flow_is_not_taken_back() {
    in_world(|world| {
        world.enter(Who::Box);
        conntrack(&format!("{FLOW} --state SYN_SENT"));
        let told = records(Kind::Flow);
        world.enter(Who::Twin);
        conntrack(&format!("{FLOW} --state ESTABLISHED -u SEEN_REPLY,ASSURED"));
        let before = records(Kind::Flow);
        assert_eq!(put_where_it_counts(&told), (vec![libc::EBUSY], vec![]));
        assert_eq!(values(&records(Kind::Flow)), values(&before));
    });
}

/// What the kernel did not take, and the keys of what gave way.
fn put_where_it_counts(records: &Records) -> (Vec<i32>, Vec<Vec<u8>>) {
    let (mut table, mut batch) = (Table::open().unwrap(), Batch::new());
    batch.keep_answered(true);
    for (key, (value, lifetime_s)) in records {
        batch.put(Kind::Flow, key, value, *lifetime_s).unwrap();
    }
    table.apply(&mut batch).unwrap();
    let refusals = batch.failures().map(|(_, _, errno)| errno).collect();
    (refusals, batch.displaced().map(Vec::from).collect())
}

/// As IPVS leaves it where net.ipv4.vs.conntrack is set: conntrack's NAT must keep its hands off.
#[test]
fn a_flow_that_others_translate_is_not_translated_by_the_twin() {
    on_top_of(
        &[],
        &[
            "-I -p tcp -s 10.1.0.10 -d 10.2.0.1 --sport 1000 --dport 80 -r 10.2.0.10 -q 10.1.0.10 \
            --reply-port-src 8080 --reply-port-dst 1000 -t 100 --state ESTABLISHED",
        ],
    );
}

#[test]
fn two_in_the_way_give_way_both() {
    on_top_of(
        &[
            "-I -p tcp -s 10.1.0.99 -d 10.2.0.10 --sport 7 --dport 80 -t 100 -n 10.2.0.1:2000 --state ESTABLISHED",
            "-I -p tcp -s 10.1.0.10 -d 10.2.0.10 --sport 1000 --dport 80 -t 100 --state TIME_WAIT",
        ],
        &[MASQUERADED],
    );
}

#[test]
fn a_flow_is_extended_while_it_is_there() {
    in_world(|world| {
        world.enter(Who::Box);
        conntrack(&format!("{FLOW} --state ESTABLISHED"));
        let key = records(Kind::Flow).into_keys().next().unwrap();
        let (mut table, mut batch) = (Table::open().unwrap(), Batch::new());
        let mut extend = |lifetime_s| {
            batch.clear();
            batch.extend(&key, lifetime_s).unwrap();
            table.apply(&mut batch).unwrap();
            batch
                .failures()
                .map(|(_, _, errno)| errno)
                .collect::<Vec<_>>()
        };
        assert_eq!(extend(5000), []);
        let (_, lifetime_s) = records(Kind::Flow)[&key];
        assert!((4990..=5000).contains(&lifetime_s), "{lifetime_s}");
        conntrack("-F");
        assert_eq!(extend(5000), [libc::ENOENT]);
    });
}
