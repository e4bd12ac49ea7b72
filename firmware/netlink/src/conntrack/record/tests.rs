#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::capture::bytes;
use crate::conntrack::{ASSURED, CONFIRMED, NAT_DONE, SEEN_REPLY};
use crate::conntrack::{Addresses, Event, Ports, ProtocolState, Tuple, decode, samples};
use crate::message::messages;
use proptest::prelude::*;

/// IPS_HELPER: a rule gave it its helper.
const HELPER_GIVEN: u32 = 1 << 13;

/// A web page through a firewall without NAT.
fn plain() -> FlowRef<'static> {
    let original = Tuple {
        addresses: Addresses::V4 {
            source: [192, 0, 2, 1].into(),
            destination: [198, 51, 100, 2].into(),
        },
        protocol: 6,
        ports: Ports::Ports {
            source: 50000,
            destination: 443,
        },
    };
    FlowRef {
        status: CONFIRMED | SEEN_REPLY | ASSURED | NAT_DONE,
        timeout_s: Some(432_000),
        state: Some(ProtocolState::Tcp {
            state: 3,
            scales: [7, 9],
            flags: [0x23, 0x33],
        }),
        id: Some(1),
        ..FlowRef::new(original, original.inverse().unwrap())
    }
}

#[test]
fn a_plain_connection_is_compact() {
    let mut recorder = Recorder::new();
    let record = recorder.flow(&plain());
    assert_eq!(
        record.key,
        [2, 6, 192, 0, 2, 1, 198, 51, 100, 2, 195, 80, 1, 187]
    );
    assert_eq!(record.value, [0x17, 3, 0x79, 0x33]);
    assert_eq!(record.lifetime_s, 432_000);
}

#[test]
fn what_changes_without_meaning_is_left_out() {
    let (mut one, mut other) = (Recorder::new(), Recorder::new());
    let flow = plain();
    let later = FlowRef {
        id: Some(2),
        timeout_s: Some(5),
        status: flow.status | HELPER_GIVEN,
        labels: Some([0; 16]),
        // Liberal, highest acknowledgement known, data in flight: of this kernel alone.
        state: Some(ProtocolState::Tcp {
            state: 3,
            scales: [7, 9],
            flags: [0x0b, 0x1b],
        }),
        ..flow
    };
    let (flow, later) = (one.flow(&flow), other.flow(&later));
    assert_eq!((flow.key, flow.value), (later.key, later.value));
}

#[test]
fn a_connection_that_is_over_may_be_opened_anew_whoever_ended_it() {
    let over = FlowRef {
        state: Some(ProtocolState::Tcp {
            state: 8,
            scales: [0, 0],
            flags: [0, 0],
        }),
        ..plain()
    };
    let mut recorder = Recorder::new();
    let record = recorder.flow(&over);
    let read = decode_flow(record.key, record.value).unwrap();
    let Some(ProtocolState::Tcp { flags, .. }) = read.state else {
        panic!("{read:?}");
    };
    assert_eq!(flags, [4, 4]);
}

#[test]
fn what_the_kernel_tells_goes_there_and_back() {
    let (mut one, mut other) = (Recorder::new(), Recorder::new());
    for text in [
        include_str!("../../../captures/conntrack-dump.hex"),
        include_str!("../../../captures/conntrack-event-new.hex"),
        include_str!("../../../captures/conntrack-event-ftp.hex"),
    ] {
        let bytes = bytes(text);
        for message in messages(&bytes) {
            let Some(event) = decode(&message.unwrap()).unwrap() else {
                continue;
            };
            match event {
                Event::Flow(_, flow) => {
                    let record = one.flow(&flow);
                    let read = decode_flow(record.key, record.value).unwrap();
                    assert_eq!((read.original, read.reply), (flow.original, flow.reply));
                    assert_eq!(read.status, flow.status & !HELPER_GIVEN);
                    let again = other.flow(&read);
                    assert_eq!((again.key, again.value), (record.key, record.value));
                }
                Event::Expectation(_, expectation) => {
                    let record = one.expectation(&expectation);
                    let read = decode_expectation(record.key, record.value).unwrap();
                    let timeout_s = expectation.timeout_s;
                    assert_eq!(ExpectationRef { timeout_s, ..read }, expectation);
                }
            }
        }
    }
}

#[test]
fn cut_and_lengthened_records_are_refused() {
    let mut recorder = Recorder::new();
    let record = recorder.flow(&plain());
    for length in 0..record.value.len() {
        let cut = decode_flow(record.key, &record.value[..length]);
        assert!(matches!(cut, Err(Error::Cut(_))), "{length}: {cut:?}");
    }
    let long = [record.value, &[0]].concat();
    assert_eq!(decode_flow(record.key, &long), Err(Error::TooLong));
    let long = [record.key, &[0]].concat();
    assert_eq!(decode_flow(&long, record.value), Err(Error::TooLong));
}

proptest! {
    #[test]
    fn a_flow_goes_there_and_back(flow in samples::flow()) {
        let (mut one, mut other) = (Recorder::new(), Recorder::new());
        let record = one.flow(&flow);
        prop_assert!(record.key.len() <= KEY_BYTES_MAX && record.value.len() <= VALUE_BYTES_MAX);
        let read = decode_flow(record.key, record.value).unwrap();
        prop_assert_eq!((read.original, read.reply, read.zone), (flow.original, flow.reply, flow.zone));
        prop_assert_eq!((read.mark, read.helper, read.shifts), (flow.mark, flow.helper, flow.shifts));
        prop_assert_eq!(read.master, flow.master);
        prop_assert_eq!((read.nat_bits(), read.is(NAT_DONE)), (flow.nat_bits(), flow.is(NAT_DONE)));
        prop_assert_eq!(decode_flow_key(record.key), Ok((flow.original, flow.zone)));
        prop_assert_eq!(other.flow_key(&flow), record.key);
        let again = other.flow(&read);
        prop_assert_eq!((again.key, again.value), (record.key, record.value));
    }

    #[test]
    fn an_expectation_goes_there_and_back(expectation in samples::expectation()) {
        let mut recorder = Recorder::new();
        let record = recorder.expectation(&expectation);
        prop_assert!(record.key.len() <= KEY_BYTES_MAX && record.value.len() <= VALUE_BYTES_MAX);
        let read = decode_expectation(record.key, record.value).unwrap();
        let timeout_s = expectation.timeout_s;
        prop_assert_eq!(ExpectationRef { timeout_s, ..read }, expectation);
    }

    /// Whatever is read has one encoding only, and is read from no other.
    #[test]
    fn hostile_records_are_refused_or_canonical(flow in samples::flow(), at in 0_usize..60, byte: u8) {
        let (mut one, mut other) = (Recorder::new(), Recorder::new());
        let record = one.flow(&flow);
        let (mut key, mut value) = (record.key.to_vec(), record.value.to_vec());
        let bytes = if at % 2 == 0 { &mut key } else { &mut value };
        if let Some(place) = bytes.get_mut(at / 2) {
            *place = byte;
        }
        if let Ok(read) = decode_flow(&key, &value) {
            let again = other.flow(&read);
            prop_assert_eq!((again.key, again.value), (key.as_slice(), value.as_slice()));
        }
    }

    #[test]
    fn no_bytes_panic(key: Vec<u8>, value: Vec<u8>) {
        let _ = decode_flow(&key, &value);
        let _ = decode_expectation(&key, &value);
    }
}
