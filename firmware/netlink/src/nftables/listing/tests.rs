#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::capture::{bytes, decoded, noise};
use crate::message::messages;
use crate::nftables::value::{datum, value};
use crate::nftables::{Held, Kept, decode_generation, replace};
use neli::consts::nl::NlmF;
use plan::ruleset::{Datum, Element, InterfaceName, Ruleset, Set, Shape, Table};
use proptest::prelude::*;

const CHAINS: &str = include_str!("../../../captures/nftables-chains.hex");
const RULES: &str = include_str!("../../../captures/nftables-rules.hex");
const SETS: &str = include_str!("../../../captures/nftables-sets.hex");
const ELEMENTS: &str = include_str!("../../../captures/nftables-elements.hex");
const RANGES: &str = include_str!("../../../captures/nftables-ranges.hex");
const OBJECTS: &str = include_str!("../../../captures/nftables-objects.hex");
const TABLES: &str = include_str!("../../../captures/nftables-tables.hex");
const GENERATION: &str = include_str!("../../../captures/nftables-generation.hex");

#[test]
fn chains_are_listed_with_hook_and_policy() {
    let listed = decoded(CHAINS, decode_chain);
    let bases = listed.iter().map(|chain| {
        let base = chain.base.as_ref();
        let words = base.map(|base| (base.kind.as_str(), base.hook.as_str(), base.priority));
        (chain.name.as_str(), words, base.map(|base| base.policy))
    });
    let bases: Vec<_> = bases.collect();
    let at = |kind, hook, priority| Some((kind, hook, priority));
    assert_eq!(
        bases,
        [
            ("aside", None, None),
            ("forward", at("filter", "forward", 0), Some(Policy::Drop)),
            ("post", at("nat", "postrouting", 100), Some(Policy::Accept)),
            ("in", at("filter", "ingress", -500), Some(Policy::Accept)),
        ]
    );
}

#[test]
fn rules_are_listed_with_comment_counter_and_end() {
    let listed = decoded(RULES, decode_rule);
    let first = &listed[0];
    assert_eq!(
        (first.family, first.table.as_str()),
        (Family::Inet, "pollux")
    );
    assert_eq!(first.comment.as_deref(), Some("line 3: replies"));
    let counted = Counter {
        packets: 1_000,
        bytes: 64_000,
    };
    assert_eq!(first.counter, Some(counted));
    let ends = listed.iter().map(|rule| {
        let end = rule.decision.as_ref();
        end.map(ToString::to_string).unwrap_or_default()
    });
    let ends: Vec<_> = ends.collect();
    assert_eq!(ends, ["accept", "vmap", "jump aside", "", "reject"]);
}

#[test]
fn sets_are_listed_with_elements_and_what_they_count() {
    let listed = decoded(SETS, decode_set);
    let names: Vec<_> = listed
        .iter()
        .map(|set| (set.name.as_str(), set.is_map))
        .collect();
    assert_eq!(names, [("guests", false), ("ranges", true)]);
    let guests = decoded(ELEMENTS, decode_elements).concat();
    let mut keys: Vec<_> = guests
        .iter()
        .map(|guest| {
            guest
                .parts(&[plan::ruleset::Kind::Ipv4, plan::ruleset::Kind::Port])
                .unwrap()
        })
        .collect();
    keys.sort_by_key(|parts| format!("{parts:?}"));
    let ipv4 = |last| Datum::Ipv4([192, 0, 2, last].into());
    assert_eq!(
        keys,
        [[ipv4(1), Datum::Port(80)], [ipv4(2), Datum::Port(443)],]
    );
    let one = guests
        .iter()
        .find(|guest| guest.timeout_ms == Some(600_000))
        .unwrap();
    assert!(one.expires_ms.unwrap() <= 600_000);
    let counted = Counter {
        packets: 2,
        bytes: 120,
    };
    assert_eq!(one.counter, Some(counted));
    assert_eq!(one.parts(&[plan::ruleset::Kind::Ipv4]), None);
}

#[test]
fn ranges_are_listed_by_where_they_begin_and_end() {
    let ranges = decoded(RANGES, decode_elements).concat();
    let rest = ranges.iter().filter(|range| range.key.is_none()).count();
    let ends = ranges.iter().filter(|range| range.is_end).count();
    // nft adds an end before the first one.
    assert_eq!((ranges.len(), rest, ends), (6, 1, 3));
}

#[test]
fn objects_are_listed_with_what_they_count() {
    let listed = decoded(OBJECTS, decode_object);
    let counted = Counter {
        packets: 3,
        bytes: 180,
    };
    let counters: Vec<_> = listed
        .iter()
        .map(|one| (one.name.as_str(), one.counter))
        .collect();
    assert_eq!(counters, [("web", Some(counted)), ("ftp", None)]);
}

#[test]
fn a_generation_is_a_number() {
    assert_eq!(decoded(GENERATION, decode_generation).len(), 1);
    assert_eq!(decoded(TABLES, decode_generation), []);
}

fn any_datum() -> impl Strategy<Value = Datum> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| Datum::Ipv4(octets.into())),
        any::<[u8; 16]>().prop_map(|octets| Datum::Ipv6(octets.into())),
        any::<[u8; 6]>().prop_map(Datum::Mac),
        any::<u8>().prop_map(Datum::Protocol),
        any::<u16>().prop_map(Datum::Port),
        any::<u32>().prop_map(Datum::Mark),
        any::<u16>().prop_map(Datum::Zone),
        "[a-z0-9.]{3,15}".prop_map(|name| Datum::Interface(InterfaceName::new(&name).unwrap())),
    ]
}

proptest! {
    #[test]
    fn constants_are_read_as_they_were_written(one in any_datum()) {
        prop_assert_eq!(datum(one.kind(), value(&one).as_slice()), Some(one));
    }

    #[test]
    fn elements_are_read_as_they_were_written(keys in proptest::collection::vec((any::<[u8; 4]>(), any::<u16>()), 0..3_000)) {
        let parts = |(octets, port): ([u8; 4], u16)| vec![Datum::Ipv4(octets.into()), Datum::Port(port)];
        let element = |key| Element::from(plan::ruleset::Key::Several(parts(key).into_iter().map(Into::into).collect()));
        let kinds = [plan::ruleset::Kind::Ipv4, plan::ruleset::Kind::Port];
        let set = Set {
            name: "guests".to_owned(),
            shape: Shape::exact(kinds),
            elements: keys.iter().copied().map(element).collect(),
        };
        let table = Table { sets: vec![set], ..Table::new(Family::Inet, "pollux") };
        let ruleset = Ruleset { tables: vec![table] };
        let batch = replace(&ruleset, &Held::default(), 7, 1).unwrap();
        let mut read = Vec::new();
        for message in messages(batch.as_bytes()) {
            let message = message.unwrap();
            prop_assert!(message.body.len() < 32_000);
            read.extend(decode_elements(&message).unwrap().unwrap_or_default());
        }
        let read: Vec<_> = read.iter().map(|element| element.parts(&kinds).unwrap()).collect();
        let written: Vec<_> = keys.into_iter().map(parts).collect();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn any_bytes_are_read_or_refused(kind in 0_u16..30, body in noise()) {
        let message = Message { kind: 0xa00 | kind, flags: NlmF::empty(), sequence: 0, port: 0, body: &body };
        read_all(&message);
    }

    #[test]
    fn captures_with_wrong_bytes_are_read_or_refused(which in 0_usize..8, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let captures = [CHAINS, RULES, SETS, ELEMENTS, RANGES, OBJECTS, TABLES, GENERATION];
        let mut bytes = bytes(captures[which]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        for message in messages(&bytes).filter_map(Result::ok) {
            read_all(&message);
        }
    }
}

fn read_all(message: &Message<'_>) {
    let _ = decode_chain(message);
    let _ = decode_rule(message);
    let _ = decode_set(message);
    let _ = decode_elements(message);
    let _ = decode_object(message);
    let _ = decode_generation(message);
    let _ = Kept::decode(message);
}
