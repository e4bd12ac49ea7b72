#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::capture::{bytes, noise};
use crate::message::messages;
use proptest::prelude::*;

/// What a capture tells: change, port of who caused it, and the flow as conntrack(8) would put it.
fn told(text: &str) -> Vec<String> {
    let bytes = bytes(text);
    messages(&bytes)
        .filter_map(|message| {
            let message = message.unwrap();
            let event = decode(&message).unwrap()?;
            let by = if message.port == 0 { "kernel" } else { "other" };
            Some(match event {
                Event::Flow(change, flow) => format!("{change:?} by {by}: {}", words(&flow)),
                Event::Expectation(change, expectation) => format!(
                    "{change:?} by {by}: {} expects {} mask {} {} for {}",
                    ends(&expectation.master),
                    ends(&expectation.tuple),
                    expectation.mask_source,
                    expectation.mask_port,
                    expectation.helper.unwrap_or("nobody"),
                ),
            })
        })
        .collect()
}

fn ends(tuple: &Tuple) -> String {
    let ports = match tuple.ports {
        Ports::Ports {
            source,
            destination,
        } => format!("{source}>{destination}"),
        Ports::Icmp { id, kind, code } => format!("id {id} type {kind} code {code}"),
        Ports::None => String::new(),
    };
    format!("{}>{} {ports}", tuple.source(), tuple.destination())
}

fn words(flow: &FlowRef<'_>) -> String {
    format!(
        "{} {} answered {} status {:x} {:?} {:?} mark {} zone {} counted {:?}",
        flow.original.protocol,
        ends(&flow.original),
        ends(&flow.reply),
        flow.status,
        flow.timeout_s,
        flow.state,
        flow.mark,
        flow.zone.id,
        flow.counters.map(|both| both.map(|one| one.packets)),
    )
}

#[test]
fn a_translated_connection_is_told_from_beginning_to_end() {
    let tuples = "6 192.0.2.1>198.51.100.2 1000>80 answered 198.51.100.2>203.0.113.5 80>2000";
    assert_eq!(
        told(include_str!("../../captures/conntrack-event-new.hex")),
        [format!(
            "New by other: {tuples} status 19e Some(300) \
             Some(Tcp {{ state: 3, scales: [0, 0], flags: [10, 10] }}) mark 7 zone 0 counted None"
        )]
    );
    assert_eq!(
        told(include_str!("../../captures/conntrack-event-update.hex")),
        [format!(
            "Updated by other: {tuples} status 19e Some(120) \
             Some(Tcp {{ state: 4, scales: [0, 0], flags: [10, 10] }}) mark 7 zone 0 counted None"
        )]
    );
    let end = told(include_str!("../../captures/conntrack-event-destroyed.hex"));
    assert_eq!(end.len(), 1);
    assert!(
        end[0].starts_with(&format!("Destroyed by other: {tuples}")),
        "{end:?}"
    );
    assert!(end[0].ends_with("counted Some([0, 0])"), "{end:?}");
}

#[test]
fn pings_are_told_with_their_ids() {
    let v4 = told(include_str!("../../captures/conntrack-event-ping.hex"));
    let v6 = told(include_str!("../../captures/conntrack-event-ping-v6.hex"));
    let begins = |told: &[String], begin: &str| told.iter().any(|told| told.starts_with(begin));
    assert!(
        begins(&v4, "New by kernel: 1 127.0.0.1>127.0.0.1 id "),
        "{v4:?}"
    );
    assert!(begins(&v6, "New by kernel: 58 ::1>::1 id "), "{v6:?}");
    assert!(
        v4[0].contains("type 8 code 0 answered 127.0.0.1>127.0.0.1"),
        "{v4:?}"
    );
    assert!(v6[0].contains("type 128 code 0 answered ::1>::1"), "{v6:?}");
}

#[test]
fn a_dump_tells_all_flows() {
    let mut told = told(include_str!("../../captures/conntrack-dump.hex"));
    told.sort();
    let protocols: Vec<_> = told
        .iter()
        .map(|told| told.split(' ').nth(3).unwrap())
        .collect();
    for protocol in ["6", "17", "132", "47"] {
        assert!(protocols.contains(&protocol), "{told:#?}");
    }
    let has = |part: &str| told.iter().any(|told| told.contains(part));
    // conntrack(8) gives the tags 17 and 18 in this host's order.
    let tags = [17_u32, 18].map(u32::swap_bytes);
    assert!(
        has(&format!("Some(Sctp {{ state: 4, tags: {tags:?} }})")),
        "{told:#?}"
    );
    assert!(has(
        "192.0.2.1>198.51.100.2 1>2 answered 198.51.100.2>192.0.2.1 2>1 status 8 Some("
    ));
    assert!(has("mark 0 zone 5"), "{told:#?}");
}

#[test]
fn an_expectation_is_told() {
    let told = told(include_str!("../../captures/conntrack-event-ftp.hex"));
    let expected = told.iter().find(|told| told.contains("expects")).unwrap();
    assert!(
        expected.starts_with("New by kernel: 127.0.0.1>127.0.0.1 "),
        "{expected}"
    );
    assert!(
        expected
            .ends_with(">21 expects 127.0.0.1>127.0.0.1 0>51201 mask 255.255.255.255 0 for ftp"),
        "{expected}"
    );
}

#[test]
fn icmp_that_nobody_answers_has_no_inverse() {
    let unreachable = Tuple {
        addresses: Addresses::V4 {
            source: [192, 0, 2, 1].into(),
            destination: [192, 0, 2, 2].into(),
        },
        protocol: 1,
        ports: Ports::Icmp {
            id: 1,
            kind: 3,
            code: 0,
        },
    };
    assert_eq!(unreachable.inverse(), None);
}

/// What the kernel would read of what is asked of it.
fn asked(bytes: &[u8]) -> (Change, FlowRef<'_>) {
    let message = messages(bytes).next().unwrap().unwrap();
    match decode(&message).unwrap() {
        Some(Event::Flow(change, flow)) => (change, flow),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn no_message_panics(body in noise(), kind in 0_u16..4, subsystem in 0_u16..4, create: bool) {
        let flags = if create { NlmF::CREATE } else { NlmF::empty() };
        let kind = subsystem << 8 | kind;
        let _ = decode(&Message { kind, flags, sequence: 0, port: 0, body: &body });
    }

    #[test]
    fn what_is_created_has_all_of_the_flow(flow in samples::flow()) {
        let mut bytes = Vec::new();
        request::create(&mut bytes, 1, &flow, 77);
        let (change, read) = asked(&bytes);
        prop_assert_eq!(change, Change::New);
        prop_assert_eq!((read.original, read.zone), (flow.original, flow.zone));
        prop_assert_eq!((read.mark, read.labels, read.helper), (flow.mark, flow.labels, flow.helper));
        prop_assert_eq!((read.shifts, read.syn_proxy, read.master), (flow.shifts, flow.syn_proxy, flow.master));
        prop_assert_eq!(read.timeout_s, Some(77));
        if flow.nat_bits() == 0 {
            prop_assert_eq!(read.reply, flow.reply);
        } else {
            // The addresses are for NAT to translate.
            let inverse = flow.original.inverse().unwrap();
            prop_assert_eq!(read.reply.addresses, inverse.addresses);
        }
    }
}
