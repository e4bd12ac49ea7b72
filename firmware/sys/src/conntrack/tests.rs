//! On this machine's own kernel: flows go through one box, its twin's kernel is given them, and what conntrack(8)
//! prints of both must be the same.

mod clash;
mod events;
mod expectation;
mod takeover;
mod twin;
mod world;

use super::{Dump, Events, Heard, Progress, Table};
use netlink::conntrack::record::Recorder;
use netlink::conntrack::{Batch, Change, Event, Kind};
use std::collections::BTreeMap;

/// A flow's or expectation's record by key.
type Records = BTreeMap<Vec<u8>, (Vec<u8>, u32)>;

/// All records of this namespace's table.
fn records(kind: Kind) -> Records {
    let mut dump = Dump::begin(kind).unwrap();
    let (mut recorder, mut records) = (Recorder::new(), Records::new());
    let mut progress = Progress::More;
    while progress == Progress::More {
        progress = dump
            .step(|event| {
                let record = match event {
                    Event::Flow(_, flow) => recorder.flow(flow),
                    Event::Expectation(_, expectation) => recorder.expectation(expectation),
                };
                let value = (record.value.to_vec(), record.lifetime_s);
                records.insert(record.key.to_vec(), value);
            })
            .unwrap();
    }
    records
}

/// Puts records into this namespace's table; what the kernel did not take.
fn put(kind: Kind, records: &Records) -> Vec<i32> {
    let (mut table, mut batch) = (Table::open().unwrap(), Batch::new());
    let mut refusals = Vec::new();
    let mut send = |batch: &mut Batch| {
        table.apply(batch).unwrap();
        refusals.extend(batch.failures().map(|(_, _, errno)| errno));
        batch.clear();
    };
    for (key, (value, lifetime_s)) in records {
        batch.put(kind, key, value, *lifetime_s).unwrap();
        if batch.is_full() {
            send(&mut batch);
        }
    }
    send(&mut batch);
    refusals
}

/// The values alone: lifetimes run.
fn values(records: &Records) -> BTreeMap<&[u8], &[u8]> {
    let all = records.iter();
    all.map(|(key, (value, _))| (key.as_slice(), value.as_slice()))
        .collect()
}

/// Events that wait, as words.
fn heard(events: &mut Events) -> (Vec<String>, Heard) {
    let mut words = Vec::new();
    let ended = events.receive(usize::MAX, |event| {
        words.push(match event.unwrap() {
            Event::Flow(change, flow) => {
                let state = flow.state.and_then(|state| state.name()).unwrap_or("-");
                let whole = if flow.is_whole() || change == Change::Destroyed {
                    ""
                } else {
                    " in part"
                };
                format!("{change:?} {} {state}{whole}", flow.original.protocol)
            }
            Event::Expectation(change, _) => format!("{change:?} expectation"),
        });
    });
    (words, ended.unwrap())
}
