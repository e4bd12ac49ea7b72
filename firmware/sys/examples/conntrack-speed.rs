//! How fast flows go into this machine's kernel and come out of it, in a network namespace of its own:
//! `cargo run --release -p sys --example conntrack-speed [FLOWS]`, as root. One line per deed: flows per second, and
//! CPU per flow, the kernel's part and ours.

use netlink::DecodeError;
use netlink::conntrack::record::{self, Recorder};
use netlink::conntrack::{
    ASSURED, Addresses, Batch, CONFIRMED, Event, FlowRef, Kind, Ports, ProtocolState, RECORDS_MAX,
    SEEN_REPLY, Tuple,
};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use std::error::Error;
use std::fs;
use std::net::Ipv4Addr;
use std::time::Instant;
use sys::conntrack::{Dump, Events, Progress, Table};

const FLOWS: u32 = 200_000;

/// Events that are heard at a time: as many as a worker lets wait.
const EVENTS_AT_ONCE: usize = 8192;

const ROOM_BYTES: usize = 64 << 20;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Keys and values.
type Records = [(Vec<u8>, Vec<u8>)];

fn main() -> Outcome {
    let flows = match std::env::args().nth(1) {
        Some(words) => words.parse()?,
        None => FLOWS,
    };
    unshare(CloneFlags::CLONE_NEWNET)?;
    fs::write("/proc/sys/net/netfilter/nf_conntrack_events", "1")?;
    let mut table = Table::open()?;
    let records: Vec<_> = (0..flows).filter_map(record).collect();
    let bytes: usize = records
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    println!(
        "{flows} flows, {} bytes of records each",
        bytes / records.len()
    );

    measure("created, nobody listening", flows, || {
        put(&mut table, &records)
    })?;
    measure("dumped into records", flows, dumped)?;
    measure("put again (asked and changed)", flows, || {
        put(&mut table, &records)
    })?;
    measure("extended", flows, || extend(&mut table, &records))?;
    measure("removed", flows, || remove(&mut table, &records))?;

    let mut deaf = Events::open(ROOM_BYTES, Some(&table))?;
    measure("created, a deaf socket listening", flows, || {
        put(&mut table, &records)
    })?;
    remove(&mut table, &records)?;
    deaf.hear_new(false)?;
    measure("created, listening to changes only", flows, || {
        put(&mut table, &records)
    })?;
    remove(&mut table, &records)?;
    drop(deaf);
    hear(&mut table, &records, flows)
}

/// What another socket of this namespace hears of flows that are put.
fn hear(table: &mut Table, records: &Records, flows: u32) -> Outcome {
    let mut events = Events::open(ROOM_BYTES, None)?;
    let (mut heard, mut recorder) = (0, Recorder::new());
    let mut hearing = Meter::default();
    for some in records.chunks(EVENTS_AT_ONCE) {
        put(table, some)?;
        hearing.add(|| {
            let each = |event: Result<Event<'_>, DecodeError>| {
                if let Ok(Event::Flow(_, flow)) = event {
                    let record = recorder.flow(&flow);
                    heard += u32::from(!record.value.is_empty());
                }
            };
            Ok(events.receive(usize::MAX, each).map(|_| ())?)
        })?;
    }
    hearing.report("heard into records", heard);
    assert_eq!(heard, flows, "events are missing");
    Ok(())
}

/// A TCP flow without NAT.
fn record(number: u32) -> Option<(Vec<u8>, Vec<u8>)> {
    let [_, high, middle, low] = number.to_be_bytes();
    let original = Tuple {
        addresses: Addresses::V4 {
            source: Ipv4Addr::new(10, 1, high, middle),
            destination: Ipv4Addr::new(10, 2, 0, 10),
        },
        protocol: 6,
        ports: Ports::Ports {
            source: 1024 + u16::from(low),
            destination: 443,
        },
    };
    let flow = FlowRef {
        status: CONFIRMED | SEEN_REPLY | ASSURED,
        timeout_s: Some(1000),
        state: Some(ProtocolState::Tcp {
            state: 3,
            scales: [7, 7],
            flags: [3, 3],
        }),
        ..FlowRef::new(original, original.inverse()?)
    };
    let mut recorder = Recorder::new();
    let record = recorder.flow(&flow);
    Some((record.key.to_vec(), record.value.to_vec()))
}

fn put(table: &mut Table, records: &Records) -> Outcome {
    in_batches(table, records, |batch, key, value| {
        batch.put(Kind::Flow, key, value, 1000)
    })
}

fn extend(table: &mut Table, records: &Records) -> Outcome {
    in_batches(table, records, |batch, key, _| batch.extend(key, 500))
}

fn remove(table: &mut Table, records: &Records) -> Outcome {
    in_batches(table, records, |batch, key, _| {
        batch.remove(Kind::Flow, key)
    })
}

fn in_batches(
    table: &mut Table,
    records: &Records,
    mut add: impl FnMut(&mut Batch, &[u8], &[u8]) -> Result<(), record::Error>,
) -> Outcome {
    let mut batch = Batch::new();
    for some in records.chunks(RECORDS_MAX) {
        for (key, value) in some {
            add(&mut batch, key, value)?;
        }
        table.apply(&mut batch)?;
        assert_eq!(batch.failures().next(), None, "the kernel refuses a flow");
        batch.clear();
    }
    Ok(())
}

fn dumped() -> Outcome {
    let mut dump = Dump::begin(Kind::Flow)?;
    let (mut recorder, mut bytes) = (Recorder::new(), 0);
    let mut progress = Progress::More;
    while progress == Progress::More {
        progress = dump.step(|event| {
            if let Event::Flow(_, flow) = event {
                bytes += recorder.flow(flow).key.len();
            }
        })?;
    }
    assert_ne!(bytes, 0, "nothing is listed");
    Ok(())
}

fn measure(what: &str, flows: u32, deed: impl FnOnce() -> Outcome) -> Outcome {
    let mut meter = Meter::default();
    meter.add(deed)?;
    meter.report(what, flows);
    Ok(())
}

/// Time on the clock, and CPU of ours and of the kernel's, in seconds.
#[derive(Default)]
struct Meter {
    wall_s: f64,
    ours_s: f64,
    kernel_s: f64,
}

impl Meter {
    fn add(&mut self, deed: impl FnOnce() -> Outcome) -> Outcome {
        let (wall, (ours_s, kernel_s)) = (Instant::now(), used_s()?);
        deed()?;
        self.wall_s += wall.elapsed().as_secs_f64();
        let (ours_now_s, kernel_now_s) = used_s()?;
        self.ours_s += ours_now_s - ours_s;
        self.kernel_s += kernel_now_s - kernel_s;
        Ok(())
    }

    fn report(&self, what: &str, flows: u32) {
        let flows = f64::from(flows);
        println!(
            "{what:33} {:8.0} flows/s, us of CPU each: {:5.2} kernel {:5.2} ours",
            flows / self.wall_s,
            self.kernel_s / flows * 1e6,
            self.ours_s / flows * 1e6,
        );
    }
}

/// CPU of this thread: ours, and the kernel's for us.
fn used_s() -> Outcome<(f64, f64)> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let seconds = |time: TimeVal| {
        // Far from what a float can't tell apart.
        #[expect(clippy::cast_precision_loss, reason = "some minutes at most")]
        let us = time.num_microseconds() as f64;
        us / 1e6
    };
    Ok((seconds(usage.user_time()), seconds(usage.system_time())))
}
