//! Balanced connections: the first byte says whether the others are a frame of a sync daemon, a line of
//! /proc/net/ip_vs_conn, or a record of the twin's. What is read comes back the same by message and by record.

use netlink::ipvs::sync_message::frame::{Batch, message};
use netlink::ipvs::sync_message::record::Record;
use netlink::ipvs::sync_message::{Addresses, Engine, Entry, decode, listing};
use plan::config::Forwarding;

const FRAME: u8 = 0;
const LINE: u8 = 1;
const RECORD: u8 = 2;

/// The sync id of all messages here.
const SYNC_ID: u8 = 7;

/// Bytes of a key in an input that is a record.
const KEY_BYTES: usize = 14;

pub(super) fn run(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    match *kind {
        LINE => {
            if let Ok(Some(listed)) = listing::parse(rest) {
                returns(&listed.entry(Forwarding::Tunnel));
            }
        }
        RECORD => {
            let Some((key, value)) = rest.split_at_checked(KEY_BYTES) else {
                return;
            };
            if let Ok(entry) = Entry::from_record(key, value, 60) {
                returns(&entry);
            }
        }
        _ => {
            let Some(Ok(entries)) = message(rest).map(decode) else {
                return;
            };
            for entry in entries.flatten() {
                returns(&entry);
            }
        }
    }
}

/// Through a message it comes back whole, through a record without what is a kernel's own.
fn returns(entry: &Entry<'_>) {
    let mut batch = Batch::new();
    assert!(batch.push(entry), "one entry fits in a message");
    let frame = batch.frame(SYNC_ID);
    let read = message(frame).and_then(|message| decode(message).ok()?.next());
    assert_eq!(read, Some(Ok(*entry)));
    let record = Record::of(entry);
    assert!(record.is_some(), "what was read fits in a record");
    if let Some(record) = record {
        let read = Entry::from_record(record.key(), record.value(), entry.timeout_s);
        let flags = entry.flags;
        assert_eq!(read.map(|read| Entry { flags, ..read }), Ok(*entry));
    }
}

/// A connection, a template with an engine's data, an adjusted one of IPv6; lines of each kind.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [
        "TCP C0000201 C350 C000020A 0050 0A00000B 1F90 ESTABLISHED     899",
        "UDP C0000201 0000 C000020A 13C4 0A00000B 13C4 NONE            358 sip 1@192.0.2.1",
        "TCP 2001:0db8:0001:0000:0000:0000:0000:0005 C350 2001:0db8:0001:0000:0000:0000:0000:0010 0050 \
         fd00:000a:0000:0000:0000:0000:0000:0011 0050 FIN_WAIT        119",
    ]
    .map(|line| with(LINE, line.as_bytes()))
    .into();
    for entry in entries() {
        let mut batch = Batch::new();
        let _ = batch.push(&entry);
        seeds.push(with(FRAME, batch.frame(SYNC_ID)));
        let record = Record::of(&entry);
        let bytes = record.map(|record| [record.key(), record.value()].concat());
        seeds.push(with(RECORD, &bytes.unwrap_or_default()));
    }
    seeds
}

fn with(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind], bytes].concat()
}

fn entries() -> [Entry<'static>; 3] {
    let connection = Entry {
        protocol: 6,
        flags: 0,
        state: 1,
        client_port: 50_000,
        service_port: 80,
        server_port: 8080,
        mark: 0,
        timeout_s: 900,
        addresses: Addresses::V4 {
            client: [192, 0, 2, 1].into(),
            service: [192, 0, 2, 10].into(),
            server: [10, 0, 0, 11].into(),
        },
        sequences: None,
        engine: None,
    };
    let template = Entry {
        flags: 0x1100,
        client_port: 0,
        engine: Some(Engine {
            name: b"sip",
            data: b"1@192.0.2.1",
        }),
        ..connection
    };
    let adjusted = Entry {
        flags: 0x0600,
        mark: 3,
        sequences: Some([1; 24]),
        addresses: Addresses::V6 {
            client: [1; 16].into(),
            service: [2; 16].into(),
            server: [3; 16].into(),
        },
        ..connection
    };
    [connection, template, adjusted]
}
