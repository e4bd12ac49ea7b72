//! The load: TCP flows put into a kernel through ctnetlink, as fast as it takes them or at a pace; and what a twin's kernel
//! holds of them. Each flow has a number, which its tuple tells.

use crate::takeover::world::within;
use anyhow::{Context, Result, anyhow, bail, ensure};
use netlink::conntrack::record::Recorder;
use netlink::conntrack::{
    ASSURED, Addresses, Batch, CONFIRMED, Change, Event, FlowRef, Kind, Ports, ProtocolState,
    RECORDS_MAX, SEEN_REPLY, Tuple,
};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use sys::conntrack::{Dump, Events, Heard, Progress, Table};

/// No trial lasts so long.
const LIFETIME_S: u32 = 1000;
/// Whom all flows go to, outside of the nodes' own network.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 10);
const FIRST_PORT: u16 = 1024;
/// From one heap of paced flows to the next.
const TICK: Duration = Duration::from_millis(1);
/// The listener looks so often whether it is to end, in microseconds.
const LISTEN_US: u64 = 1000;
/// The listener's socket holds all events of a paced run, so that none is lost on this side.
const ROOM_BYTES: usize = 256 << 20;

/// Key and value of a flow.
pub(super) type Record = (Vec<u8>, Vec<u8>);

/// The first `count` flows, ready to be put.
pub(super) fn records(count: u32) -> Arc<Vec<Record>> {
    Arc::new((0..count).filter_map(record).collect())
}

/// An established TCP flow.
fn record(number: u32) -> Option<Record> {
    let [_, high, middle, low] = number.to_be_bytes();
    let original = Tuple {
        addresses: Addresses::V4 {
            source: Ipv4Addr::new(10, 1, high, middle),
            destination: SERVER,
        },
        protocol: 6,
        ports: Ports::Ports {
            source: FIRST_PORT + u16::from(low),
            destination: 443,
        },
    };
    let flow = FlowRef {
        status: CONFIRMED | SEEN_REPLY | ASSURED,
        timeout_s: Some(LIFETIME_S),
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

/// Which of ours a flow is; `None` where it is another's.
fn number(flow: &FlowRef<'_>) -> Option<usize> {
    match (flow.original.addresses, flow.original.ports) {
        (
            Addresses::V4 {
                source,
                destination: SERVER,
            },
            Ports::Ports { source: port, .. },
        ) => {
            let [_, _, high, middle] = source.octets();
            let low = port.checked_sub(FIRST_PORT)?;
            let number = u32::from_be_bytes([0, high, middle, u8::try_from(low).ok()?]);
            usize::try_from(number).ok()
        }
        _ => None,
    }
}

/// Puts all flows into the kernel of this thread's namespace as fast as it takes them.
pub(super) fn put_all(records: &[Record]) -> Result<()> {
    let (mut table, mut batch) = (open()?, Batch::new());
    records
        .chunks(RECORDS_MAX)
        .try_for_each(|some| put(&mut table, &mut batch, some))
}

/// Puts them into that of the namespace `name`, `per_s` flows a second. Returns when each was put: the moment before, so that
/// the kernel's own work counts.
pub(super) fn put_paced(
    name: &str,
    records: &Arc<Vec<Record>>,
    per_s: u32,
) -> Result<Vec<Instant>> {
    let records = Arc::clone(records);
    within(name, move || {
        let (mut table, mut batch) = (open()?, Batch::new());
        let mut put_at = Vec::with_capacity(records.len());
        let begin = Instant::now();
        while put_at.len() < records.len() {
            let due = begin.elapsed().as_millis() * u128::from(per_s) / 1000;
            let due = usize::try_from(due)?.min(records.len());
            while put_at.len() < due {
                let until = due.min(put_at.len() + RECORDS_MAX);
                let some = records.get(put_at.len()..until).unwrap_or_default();
                let at = Instant::now();
                put(&mut table, &mut batch, some)?;
                put_at.resize(until, at);
            }
            thread::sleep(TICK);
        }
        Ok(put_at)
    })
}

fn open() -> Result<Table> {
    Table::open().map_err(|error| anyhow!("{error}"))
}

fn put(table: &mut Table, batch: &mut Batch, records: &[Record]) -> Result<()> {
    for (key, value) in records {
        let put = batch.put(Kind::Flow, key, value, LIFETIME_S);
        put.map_err(|error| anyhow!("{error}"))?;
    }
    table.apply(batch).map_err(|error| anyhow!("{error}"))?;
    let refused = batch.failures().next().map(|(_, _, errno)| errno);
    ensure!(
        refused.is_none(),
        "the kernel refuses a flow (errno {refused:?}); net.netfilter.nf_conntrack_max must exceed --flows"
    );
    batch.clear();
    Ok(())
}

/// How many flows the kernel of this thread's namespace holds, strangers included.
pub(super) fn count_here() -> Result<u32> {
    const PATH: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
    let text = std::fs::read_to_string(PATH).with_context(|| format!("reading {PATH}"))?;
    Ok(text.trim().parse()?)
}

/// How many of the first `count` flows are not in the kernel of this thread's namespace.
pub(super) fn missing(count: u32) -> Result<u32> {
    let mut is_there = vec![false; usize::try_from(count)?];
    let mut dump = Dump::begin(Kind::Flow).map_err(|error| anyhow!("{error}"))?;
    let mut see = |event: &Event<'_>| {
        let Event::Flow(_, flow) = event else { return };
        let place = number(flow).and_then(|number| is_there.get_mut(number));
        if let Some(place) = place {
            *place = true;
        }
    };
    while dump.step(&mut see).map_err(|error| anyhow!("{error}"))? == Progress::More {}
    let missing = is_there.iter().filter(|is_there| !**is_there).count();
    Ok(u32::try_from(missing)?)
}

/// Hears flows come into a kernel.
pub(super) struct Listener {
    thread: JoinHandle<Result<Vec<Option<Instant>>>>,
    ends: Arc<AtomicBool>,
}

impl Listener {
    /// Listens in the namespace `name` for the first `count` flows.
    pub(super) fn start(name: &'static str, count: usize) -> Result<Self> {
        let ends = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ends);
        let events = within(name, || {
            Events::open(ROOM_BYTES, None).map_err(|error| anyhow!("{error}"))
        })?;
        let thread = thread::spawn(move || listen(events, count, &seen));
        Ok(Self { thread, ends })
    }

    /// When each flow came, as far as they have.
    pub(super) fn end(self) -> Result<Vec<Option<Instant>>> {
        self.ends.store(true, Ordering::Release);
        match self.thread.join() {
            Ok(heard) => heard,
            Err(_) => bail!("the listener panicked"),
        }
    }
}

fn listen(mut events: Events, count: usize, ends: &AtomicBool) -> Result<Vec<Option<Instant>>> {
    let mut came_at = vec![None; count];
    loop {
        let last = ends.load(Ordering::Acquire);
        let until_us = sys::clock::monotonic_us() + LISTEN_US;
        sys::poll::until(&mut [sys::poll::readable(events.as_fd())], Some(until_us))
            .map_err(|error| anyhow!("{error}"))?;
        let at = Instant::now();
        let heard = events.receive(RECORDS_MAX, |event| {
            let Ok(Event::Flow(Change::New | Change::Updated, flow)) = event else {
                return;
            };
            let place = number(&flow).and_then(|number| came_at.get_mut(number));
            if let Some(place) = place {
                place.get_or_insert(at);
            }
        });
        match heard.map_err(|error| anyhow!("{error}"))? {
            Heard::Overrun => bail!("the benchmark's own listener lost events"),
            Heard::All if last => return Ok(came_at),
            Heard::All | Heard::More => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_flow_is_another() {
        let records = records(70_000);
        let keys: HashSet<_> = records.iter().map(|(key, _)| key).collect();
        assert_eq!(keys.len(), 70_000);
    }
}
