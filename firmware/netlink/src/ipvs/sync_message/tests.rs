use super::entry::{INACTIVE, SEQUENCES, TEMPLATE};
use super::frame::{Batch, message};
use super::record::{KEY_BYTES_MAX, Record, VALUE_BYTES_MAX};
use super::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn connection() -> Entry<'static> {
    Entry {
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
    }
}

/// What a kernel took and listed as a connection (`ipvsadm -Lcn`): the header and one entry of 36 bytes.
const ONE: [u8; 44] = [
    0, 7, 0, 44, 1, 1, 0, 0, // header
    0, 6, 0, 36, 0, 0, 0, 0, // type, protocol, size, flags
    0, 1, 0xc3, 0x50, 0, 80, 0x1f, 0x90, // state, ports
    0, 0, 0, 0, 0, 0, 3, 0x84, // mark, timeout
    192, 0, 2, 1, 192, 0, 2, 10, 10, 0, 0, 11,
];

/// `sync_id` stands in the second byte.
const SYNC_ID_AT: usize = 1;

#[test]
fn what_a_kernel_sends_is_read_and_would_be_sent_alike() {
    let captures = [
        include_str!("../../../captures/ipvs-sync-message.hex"),
        include_str!("../../../captures/ipvs-sync-message-v6.hex"),
    ];
    let [first, second] = captures.map(|capture| {
        let frame = crate::capture::bytes(capture);
        let bytes = message(&frame).unwrap();
        let entries: Vec<_> = decode(bytes).unwrap().map(Result::unwrap).collect();
        let mut again = batch_of(&entries);
        *again.get_mut(SYNC_ID_AT).unwrap() = *bytes.get(SYNC_ID_AT).unwrap();
        assert_eq!(again, bytes);
        let told = entries.iter();
        told.map(|it| {
            (
                it.protocol,
                it.flags,
                it.state,
                it.client_port,
                it.timeout_s,
            )
        })
        .collect::<Vec<_>>()
    });
    let [of_tcp, of_udp] = [0xb58e, 4000];
    let template = (6, TEMPLATE | INACTIVE, 0, 0, 300);
    let established = (6, 0, 1, of_tcp, 900);
    assert_eq!(
        first,
        [template, established, (17, INACTIVE, 0, of_udp, 300)]
    );
    let ends = |port| [(6, INACTIVE, 7, port, 60), (6, INACTIVE, 5, port, 120)];
    let of_v6 = 0xaf9c;
    assert_eq!(second, [&ends(of_tcp)[..], &ends(of_v6)[..1]].concat());
}

fn batch_of(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut batch = Batch::new();
    for entry in entries {
        assert!(batch.push(entry));
    }
    message(batch.frame(7)).unwrap().to_vec()
}

fn addresses() -> impl Strategy<Value = Addresses> {
    let v4 = any::<[[u8; 4]; 3]>().prop_map(|[client, service, server]| Addresses::V4 {
        client: client.into(),
        service: service.into(),
        server: server.into(),
    });
    let v6 = any::<[[u8; 16]; 3]>().prop_map(|[client, service, server]| Addresses::V6 {
        client: client.into(),
        service: service.into(),
        server: server.into(),
    });
    prop_oneof![v4, v6]
}

/// Any entry, and the bytes of its engine.
#[derive(Debug, Clone)]
struct Case {
    entry: Entry<'static>,
    engine: Option<(Vec<u8>, Vec<u8>)>,
}

impl Case {
    fn entry(&self) -> Entry<'_> {
        let engine = self.engine.as_ref();
        Entry {
            engine: engine.map(|(name, data)| Engine { name, data }),
            ..self.entry
        }
    }
}

fn case() -> impl Strategy<Value = Case> {
    let fixed = any::<(u8, u32, u16, u16, u16, u16, u32, u32)>();
    let engine = option::of((vec(any::<u8>(), 1..17), vec(any::<u8>(), 1..256)));
    let sequences = option::of(any::<Sequences>());
    (fixed, addresses(), sequences, engine).prop_map(|(fixed, addresses, sequences, engine)| {
        let (protocol, flags, state, client_port, service_port, server_port, mark, timeout_s) =
            fixed;
        let entry = Entry {
            protocol,
            flags,
            state,
            client_port,
            service_port,
            server_port,
            mark,
            timeout_s,
            addresses,
            sequences,
            engine: None,
        };
        Case { entry, engine }
    })
}

#[test]
fn an_entry_has_the_bytes_of_the_kernel() {
    assert_eq!(batch_of(&[connection()]), ONE);
    let read: Vec<_> = decode(&ONE).unwrap().map(Result::unwrap).collect();
    assert_eq!(read, [connection()]);
}

#[test]
fn a_frame_holds_forty_connections() {
    let mut batch = Batch::new();
    let pushed = (0..).take_while(|_| batch.push(&connection())).count();
    assert_eq!(pushed, 40);
    let mut frame = batch.frame(7).to_vec();
    assert_eq!(decode(message(&frame).unwrap()).unwrap().count(), 40);
    // What comes behind the packet is not part of it.
    frame.resize(1600, 0xff);
    assert_eq!(message(&frame).unwrap().len(), HEADER_BYTES + 40 * 36);
    batch.clear();
    assert!(batch.is_empty() && batch.push(&connection()));
    assert_eq!(message(batch.frame(7)).unwrap(), ONE);
}

#[test]
fn what_is_no_message_of_version_1_says_so() {
    let with = |at: usize, byte: u8| {
        let mut bytes = ONE.to_vec();
        *bytes.get_mut(at).unwrap() = byte;
        decode(&bytes).and_then(|entries| entries.collect::<Result<Vec<_>, _>>().map(|_| ()))
    };
    assert_eq!(with(7, 0), Ok(()));
    for (at, byte, error) in [
        (0, 1, SyncMessageError::Version),
        (5, 0, SyncMessageError::Version),
        (6, 1, SyncMessageError::Version),
        (3, 43, SyncMessageError::Length),
        (3, 45, SyncMessageError::Length),
        (4, 2, SyncMessageError::EntryLength),
        (8, 1, SyncMessageError::EntryLength),
        (8, 2, SyncMessageError::EntryKind),
        (10, 0x10, SyncMessageError::EntryKind),
        (11, 0, SyncMessageError::EntryLength),
        (11, 35, SyncMessageError::EntryLength),
        (11, 37, SyncMessageError::EntryLength),
    ] {
        assert_eq!(with(at, byte), Err(error), "byte {at}");
    }
    assert_eq!(decode(&[0; 7]).err(), Some(SyncMessageError::Header));
}

/// One entry with these options behind it.
fn with_options(options: &[u8]) -> Result<Entry<'static>, SyncMessageError> {
    let mut bytes = [&ONE[..], options].concat();
    let length = u8::try_from(bytes.len()).unwrap();
    for (at, length) in [(3, length), (11, length - 8)] {
        *bytes.get_mut(at).unwrap() = length;
    }
    decode(Vec::leak(bytes))?.next().unwrap()
}

#[test]
fn options_are_those_that_the_kernel_takes() {
    let sequences = [&[1, 24][..], &[9; 24]].concat();
    assert_eq!(with_options(&sequences).unwrap().sequences, Some([9; 24]));
    let sip = Engine {
        name: b"sip",
        data: b"ab",
    };
    let engine = with_options(b"\x02\x02ab\x03\x03sip").unwrap().engine;
    assert_eq!(engine, Some(sip));
    let alone = with_options(b"\x03\x03sip").unwrap();
    assert_eq!(alone.engine, None);
    assert_eq!(with_options(b"\x49\x01x"), Ok(connection()));
    for bad in [
        &b"\x09\x01x"[..],
        b"\x01",
        b"\x01\x00",
        b"\x01\x02ab",
        b"\x02\x03ab",
        b"\x02\x01a\x02\x01b\x03\x01s",
        b"\x02\x01a\x03\x11seventeen letters",
        &[sequences.clone(), sequences].concat(),
    ] {
        assert_eq!(with_options(bad), Err(SyncMessageError::Option), "{bad:?}");
    }
    let nameless = with_options(b"\x02\x02ab");
    assert_eq!(nameless, Err(SyncMessageError::Engine));
}

#[test]
fn a_connection_of_ipv4_is_25_bytes_of_record() {
    let record = Record::of(&connection()).unwrap();
    assert_eq!((record.key().len(), record.value().len()), (14, 11));
    // What differs between two kernels' views of one connection is not in it.
    let synced = Entry {
        flags: 0x0001_0060,
        timeout_s: 3,
        ..connection()
    };
    let again = Record::of(&synced).unwrap();
    assert_eq!((record.key(), record.value()), (again.key(), again.value()));
}

#[test]
fn a_template_and_a_connection_do_not_share_a_key() {
    let template = Entry {
        flags: TEMPLATE | INACTIVE,
        ..connection()
    };
    let of_call = |data| Entry {
        engine: Some(Engine { name: b"sip", data }),
        ..template
    };
    let keys = [connection(), template, of_call(b"a@b"), of_call(b"c@d")]
        .map(|entry| Record::of(&entry).unwrap().key().to_vec());
    let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
}

#[test]
fn an_engine_that_no_kernel_could_keep_makes_no_record() {
    for (name, data) in [(17, 1), (0, 1), (1, 0), (1, 256)] {
        let bytes = [b'x'; 256];
        let engine = Engine {
            name: bytes.get(..name).unwrap(),
            data: bytes.get(..data).unwrap(),
        };
        let entry = Entry {
            engine: Some(engine),
            ..connection()
        };
        assert!(Record::of(&entry).is_none());
    }
}

proptest! {
    #[test]
    fn entries_come_back_from_a_message(cases in vec(case(), 0..5)) {
        let entries: Vec<_> = cases.iter().map(Case::entry).collect();
        let mut batch = Batch::new();
        let fit = entries.iter().take_while(|entry| batch.push(entry)).count();
        prop_assert!(fit >= entries.len().min(3));
        let frame = batch.frame(7);
        let read: Vec<_> = decode(message(frame).unwrap()).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(&read[..], entries.get(..fit).unwrap());
    }

    #[test]
    fn entries_come_back_from_a_record(case in case()) {
        let mut entry = case.entry();
        let record = Record::of(&entry).unwrap();
        prop_assert!(record.key().len() <= KEY_BYTES_MAX);
        prop_assert!(record.value().len() <= VALUE_BYTES_MAX);
        let read = Entry::from_record(record.key(), record.value(), entry.timeout_s).unwrap();
        entry.flags &= 0x1000 | 0x0800 | SEQUENCES | INACTIVE | 0x0080 | 7;
        prop_assert_eq!(read, entry);
        let again = Record::of(&read).unwrap();
        prop_assert_eq!((again.key(), again.value()), (record.key(), record.value()));
    }

    #[test]
    fn what_is_read_of_a_record_is_that_record(key in vec(any::<u8>(), 0..60), value in vec(any::<u8>(), 0..60)) {
        if let Ok(entry) = Entry::from_record(&key, &value, 1) {
            let again = Record::of(&entry).unwrap();
            prop_assert_eq!((again.key(), again.value()), (&key[..], &value[..]));
        }
    }

    #[test]
    fn no_bytes_panic(mut bytes in vec(any::<u8>(), 0..200), count: u8) {
        let _ = message(&bytes);
        let _ = listing::parse(&bytes);
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        for (byte, right) in bytes.iter_mut().zip([0, 7, length[0], length[1], count, 1, 0, 0]) {
            *byte = right;
        }
        if let Ok(entries) = decode(&bytes) {
            prop_assert!(entries.count() <= usize::from(count));
        }
    }

    #[test]
    fn no_flip_or_cut_panics(cases in vec(case(), 1..4), at: usize, bit in 0_u8..8, cut: usize) {
        let entries: Vec<_> = cases.iter().map(Case::entry).collect();
        let mut batch = Batch::new();
        for entry in &entries {
            batch.push(entry);
        }
        let mut frame = batch.frame(7).to_vec();
        frame.truncate(cut % frame.len() + 1);
        let at = at % frame.len();
        *frame.get_mut(at).unwrap() ^= 1 << bit;
        if let Some(message) = message(&frame) && let Ok(entries) = decode(message) {
            for entry in entries.flatten() {
                let _ = Record::of(&entry);
            }
        }
    }
}
