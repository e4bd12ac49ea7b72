//! Connections: what the kernel tells of them, and the records that the twin sends. What is read of either has one
//! encoding and no other, and a batch of it comes to its end whatever the kernel answers.

use super::kernel::{captures, whole};
use netlink::conntrack::record::{
    KEY_BYTES_MAX, Recorder, VALUE_BYTES_MAX, decode_expectation, decode_flow,
};
use netlink::conntrack::{Batch, Event, Kind, decode, filter};

/// Rounds of a batch: it gives up some time.
const ROUNDS_MAX: usize = 10;

/// A datagram of ctnetlink, which is then the answer to what it told of, too.
pub(super) fn ctnetlink(datagram: &[u8]) {
    let (mut recorder, mut batch) = (Recorder::new(), Batch::new());
    let own = filter::Own::new([], &[694, 695]);
    for message in whole(datagram) {
        let (kind, record) = match decode(&message) {
            Ok(Some(Event::Flow(_, flow))) => {
                let _ = (flow.is_whole(), own.lets_mirror(&flow));
                (Kind::Flow, recorder.flow(&flow))
            }
            Ok(Some(Event::Expectation(_, expectation))) => {
                (Kind::Expectation, recorder.expectation(&expectation))
            }
            _ => continue,
        };
        assert!(record.key.len() <= KEY_BYTES_MAX && record.value.len() <= VALUE_BYTES_MAX);
        let (key, value) = (record.key.to_vec(), record.value.to_vec());
        assert!(is_read(kind, &key, &value), "{kind:?} {key:?} {value:?}");
        assert_eq!(batch.put(kind, &key, &value, 1), Ok(()));
    }
    let mut rounds = 0;
    while batch.next_round().is_some() {
        rounds += 1;
        for message in whole(datagram) {
            let _ = batch.answer(&message);
        }
    }
    assert!(rounds < ROUNDS_MAX, "{rounds} rounds");
    let _ = batch.failures().count();
}

/// A record: how long its key is, its key, its value.
pub(super) fn record(bytes: &[u8]) {
    let Some((length, bytes)) = bytes.split_first() else {
        return;
    };
    let Some((key, value)) = bytes.split_at_checked(usize::from(*length)) else {
        return;
    };
    for kind in [Kind::Flow, Kind::Expectation] {
        is_read(kind, key, value);
    }
}

/// Whether it is a record; if so, it is the only one of what it says.
fn is_read(kind: Kind, key: &[u8], value: &[u8]) -> bool {
    let mut recorder = Recorder::new();
    let again = match kind {
        Kind::Flow => decode_flow(key, value).map(|flow| recorder.flow(&flow)),
        Kind::Expectation => {
            decode_expectation(key, value).map(|expectation| recorder.expectation(&expectation))
        }
    };
    if let Ok(again) = again {
        assert_eq!((again.key, again.value), (key, value));
    }
    again.is_ok()
}

/// Dumps and events.
pub(super) fn ctnetlink_seeds() -> Vec<Vec<u8>> {
    captures("conntrack")
}

/// The records of those.
pub(super) fn record_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let mut recorder = Recorder::new();
    for capture in captures("conntrack") {
        for message in whole(&capture) {
            let record = match decode(&message) {
                Ok(Some(Event::Flow(_, flow))) => recorder.flow(&flow),
                Ok(Some(Event::Expectation(_, expectation))) => recorder.expectation(&expectation),
                _ => continue,
            };
            let length = u8::try_from(record.key.len()).unwrap_or(u8::MAX);
            seeds.push([&[length], record.key, record.value].concat());
        }
    }
    seeds
}
