#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::capture::{bytes, decoded, hex};
use crate::message::messages;
use crate::nftables::Kept;
use plan::ruleset::{
    Base, Datum, Family, Field, Flowtable, Hook, InterfaceName, Ipv4, Ipv6, Kind as DataKind,
    Policy, Rule, Set, Shape, Span, Statement, Test, Verdict, priority,
};

const CHAINS: &str = include_str!("../../../captures/nftables-chains.hex");
const SETS: &str = include_str!("../../../captures/nftables-sets.hex");
const OBJECTS: &str = include_str!("../../../captures/nftables-objects.hex");
const TABLES: &str = include_str!("../../../captures/nftables-tables.hex");

/// What a capture holds of the tables of this name.
fn held(name: &str) -> Held {
    let mut held = Held::default();
    for capture in [TABLES, CHAINS, SETS, OBJECTS] {
        for kept in decoded(capture, Kept::decode) {
            held.note(kept, |found| found == name);
        }
    }
    held
}

fn ruleset(table: Table) -> Ruleset {
    Ruleset {
        tables: vec![table],
    }
}

/// Kinds of the messages of a batch.
fn kinds(ruleset: &Ruleset, held: &Held) -> Vec<u16> {
    let batch = replace(ruleset, held, 7, 1).unwrap();
    let messages = messages(batch.as_bytes());
    messages
        .map(|message| message.unwrap().kind & 0xff)
        .collect()
}

#[test]
fn a_batch_takes_away_what_is_held_and_keeps_chains_that_hook_alike() {
    let alike = Chain {
        base: Some(Base {
            hook: Hook::Forward,
            priority: priority::FILTER,
            policy: Policy::Accept,
        }),
        ..Chain::regular("forward")
    };
    let table = Table {
        chains: vec![alike],
        ..Table::new(Family::Inet, "pollux")
    };
    let (begin, end, new_table, new_chain) = (0x10, 0x11, 0, 3);
    let (delete_rules, delete_set, delete_chain, delete_object) = (8, 11, 5, 20);
    let fresh = kinds(&ruleset(table.clone()), &held("another"));
    assert_eq!(fresh, [begin, new_table, new_chain, end]);
    let anew = kinds(&ruleset(table), &held("pollux"));
    assert_eq!(
        anew,
        [
            begin,
            delete_rules,
            delete_set,
            delete_set,
            delete_chain,
            delete_chain,
            delete_chain,
            delete_object,
            delete_object,
            new_table,
            new_chain,
            end
        ]
    );
    assert_eq!(kinds(&Ruleset::default(), &held("pollux")), [begin, 2, end]);
    assert!(
        replace(&Ruleset::default(), &held("another"), 7, 1)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn one_message_asks_for_the_acknowledgement() {
    let ruleset = ruleset(Table::new(Family::Inet, "pollux"));
    let batch = replace(&ruleset, &Held::default(), 7, 100).unwrap();
    let asked = messages(batch.as_bytes()).filter_map(Result::ok);
    let asked: Vec<_> = asked
        .filter(|message| message.flags.contains(NlmF::ACK))
        .collect();
    assert_eq!(asked.len(), 1);
    assert!(batch.is_last(asked[0].sequence) && batch.has(102) && !batch.has(103));
}

/// The words in which a table is not taken.
fn unsayable(table: Table) -> String {
    let ruleset = ruleset(table);
    replace(&ruleset, &Held::default(), 7, 1)
        .unwrap_err()
        .to_string()
}

#[test]
fn what_can_not_be_said_is_told_with_its_place() {
    let rule = |statement| Rule::about("line 4").and(statement);
    let with = |rule| Table {
        chains: vec![Chain {
            rules: vec![rule],
            ..Chain::regular("aside")
        }],
        ..Table::new(Family::Ip, "pollux")
    };
    let place = "writing rule 1 (line 4) of chain aside of table ip pollux: ";
    let field = Field::Ipv4(Ipv4::Source);
    let test = Test::Is(Datum::Port(80));
    assert_eq!(
        unsayable(with(rule(Statement::Match(field.into(), test)))),
        format!("{place}a value of kind Port stands where one of kind Ipv4 belongs")
    );
    let v6 = Field::Ipv6(Ipv6::HopLimit);
    let test = Test::Is(Datum::Number8(1));
    assert_eq!(
        unsayable(with(rule(Statement::Match(v6.into(), test)))),
        format!("{place}it reads a header that packets of this table do not have")
    );
    assert_eq!(
        unsayable(with(rule(Statement::in_set(field, "nowhere")))),
        format!("{place}it looks into a set that the table does not have")
    );
    let range = Span::Range(Datum::Port(2), Datum::Port(1));
    let set = Set {
        name: "ports".to_owned(),
        shape: Shape::intervals([DataKind::Port]),
        elements: vec![range.into()],
    };
    let table = Table {
        sets: vec![set],
        ..Table::new(Family::Inet, "pollux")
    };
    assert_eq!(
        unsayable(table),
        "writing set ports of table inet pollux: a range ends before it begins"
    );
    let long = Rule::about("x".repeat(128)).then(Verdict::Drop);
    assert!(unsayable(with(long)).ends_with("a comment is too long"));
}

/// Flowtables are not in every kernel, so these are compared with what nft sends.
#[test]
fn flowtables_are_told_as_nft_does() {
    let device = |name| InterfaceName::new(name).unwrap();
    let offload = Rule::default().and(Statement::Offload("fast".to_owned()));
    let chain = Chain::base("forward", Hook::Forward, priority::FILTER, Policy::Drop);
    let table = Table {
        flowtables: vec![Flowtable {
            name: "fast".to_owned(),
            priority: -10,
            devices: vec![device("wan0"), device("lan0")],
            has_counters: true,
        }],
        chains: vec![Chain {
            rules: vec![offload],
            ..chain
        }],
        ..Table::new(Family::Inet, "pollux")
    };
    let ruleset = ruleset(table);
    let batch = replace(&ruleset, &Held::default(), 7, 1).unwrap();
    for capture in [
        include_str!("../../../captures/nftables-flowtable-add-request.hex"),
        include_str!("../../../captures/nftables-rule-offload-request.hex"),
    ] {
        let theirs = bytes(capture);
        let theirs = messages(&theirs).next().unwrap().unwrap();
        let mut ours = messages(batch.as_bytes()).map(Result::unwrap);
        let ours = ours.find(|ours| ours.kind == theirs.kind).unwrap();
        assert_eq!(hex(ours.body), hex(theirs.body));
    }
}
