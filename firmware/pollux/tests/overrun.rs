//! A daemon that has next to no room for events of connections loses most of what its kernel tells, again and again, and
//! the twin's kernel holds the same in the end; a transfer that went on amid all that goes on by the twin. All of it
//! happens in namespaces that end with the test.

#![allow(clippy::unwrap_used, clippy::panic)]
// What is shared is `pub`, and not every test needs all of it.
#![allow(unreachable_pub, dead_code)]

mod daemons;
#[path = "daemons/transfer.rs"]
mod transfer;

use daemons::{LIMIT, order};
use netlink::conntrack::record::Recorder;
use netlink::conntrack::{
    ASSURED, Addresses, Batch, CONFIRMED, Event, FlowRef, Kind, Ports, ProtocolState, SEEN_REPLY,
    Tuple,
};
use nix::sched::{CloneFlags, setns};
use std::collections::BTreeMap;
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::Command;
use std::thread;
use std::time::Instant;
use sys::conntrack::{Dump, Events, Progress, Table};
use transfer::{Transfer, cut_power, furnish, power_on};

/// Many times what there is room for.
const FLOWS: u16 = 5000;
/// As many of them end again, and as many go on to another state.
const ENDED: u16 = 1000;
const CHANGED: u16 = 2000;
const LIFETIME_S: u32 = 1000;
/// Whom all flows go to but the transfer.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 10);
/// TCP_CONNTRACK_ESTABLISHED and _CLOSE_WAIT.
const ESTABLISHED: u8 = 3;
const CLOSE_WAIT: u8 = 5;

/// A kernel's flows, by key.
type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Does `work` at a node.
fn at<T: Send + 'static>(node: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let namespace = File::open(format!("/run/netns/{node}")).unwrap();
    let thread = thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
        work()
    });
    thread.join().unwrap()
}

/// A TCP connection through the pair.
fn flow(number: u16, state: u8) -> FlowRef<'static> {
    let original = Tuple {
        addresses: Addresses::V4 {
            source: Ipv4Addr::new(10, 1, 0, 10),
            destination: SERVER,
        },
        protocol: 6,
        ports: Ports::Ports {
            source: 1024 + number,
            destination: 443,
        },
    };
    FlowRef {
        status: CONFIRMED | SEEN_REPLY | ASSURED,
        timeout_s: Some(LIFETIME_S),
        state: Some(ProtocolState::Tcp {
            state,
            scales: [7, 7],
            flags: [3, 3],
        }),
        ..FlowRef::new(original, original.inverse().unwrap())
    }
}

/// Flows come, go on, and end, all at once.
fn live() {
    let (mut table, mut batch, mut recorder) =
        (Table::open().unwrap(), Batch::new(), Recorder::new());
    let mut send = |batch: &mut Batch| {
        table.apply(batch).unwrap();
        assert_eq!(batch.failures().count(), 0);
        batch.clear();
    };
    let begun = (0..FLOWS).map(|number| (number, ESTABLISHED));
    let changed = (0..CHANGED).map(|number| (number, CLOSE_WAIT));
    for (number, state) in begun.chain(changed) {
        let flow = flow(number, state);
        let record = recorder.flow(&flow);
        let put = batch.put(Kind::Flow, record.key, record.value, LIFETIME_S);
        put.unwrap();
        if batch.is_full() {
            send(&mut batch);
        }
    }
    for number in FLOWS - ENDED..FLOWS {
        let flow = flow(number, ESTABLISHED);
        let removed = batch.remove(Kind::Flow, recorder.flow_key(&flow));
        removed.unwrap();
        if batch.is_full() {
            send(&mut batch);
        }
    }
    send(&mut batch);
}

/// The flows to the server in this namespace's kernel.
fn records() -> Records {
    let mut dump = Dump::begin(Kind::Flow).unwrap();
    let (mut recorder, mut records) = (Recorder::new(), Records::new());
    let mut add = |event: &Event<'_>| {
        if let Event::Flow(_, flow) = event
            && flow.original.destination() == SERVER
        {
            let record = recorder.flow(flow);
            records.insert(record.key.to_vec(), record.value.to_vec());
        }
    };
    while dump.step(&mut add).unwrap() == Progress::More {}
    records
}

/// Waits, event by event, until this namespace's kernel holds just these flows.
fn wait_until_held(wanted: &Records) {
    let mut events = Events::open(1 << 20, None).unwrap();
    let begin = Instant::now();
    let mut held = records();
    while held != *wanted {
        let (count, wanted) = (held.len(), wanted.len());
        assert!(
            begin.elapsed() < LIMIT,
            "{count} flows, not the {wanted} of the active box"
        );
        let limit_us = u64::try_from(LIMIT.as_micros()).unwrap();
        let until_us = sys::clock::monotonic_us() + limit_us;
        let mut fds = [sys::poll::readable(events.as_fd())];
        sys::poll::until(&mut fds, Some(until_us)).unwrap();
        events.receive(usize::MAX, |_| ()).unwrap();
        held = records();
    }
}

fn status(node: &str) -> String {
    order(node, "status").1
}

#[test]
#[ignore = "started by the test below, in namespaces of its own"]
fn inside_what_was_not_heard_is_mirrored() {
    assert_eq!(std::process::id(), 1, "not in a namespace of its own");
    furnish();
    let castor = power_on("castor", &["--event-room", "1"]);
    castor.wait_for("active, ready");
    let pollux = power_on("pollux", &[]);
    pollux.wait_for("in sync");
    let transfer = Transfer::start();

    at("castor", live);
    let wanted = at("castor", records);
    assert_eq!(wanted.len(), usize::from(FLOWS - ENDED));
    at("pollux", move || wait_until_held(&wanted));

    let says = status("castor");
    assert!(
        says.contains("times that the kernel dropped events"),
        "{says}"
    );
    let begin = Instant::now();
    while !status("castor").contains("connections: in sync") {
        assert!(begin.elapsed() < LIMIT, "{}", status("castor"));
    }
    transfer.goes_on();
    cut_power(castor);
    pollux.wait_for("active, ready");
    transfer.goes_on();
    transfer.end();
}

#[test]
fn what_was_not_heard_is_mirrored() {
    if Command::new("nft").arg("--version").output().is_err() {
        daemons::skip("nft is not installed");
        return;
    }
    daemons::run_inside("inside_what_was_not_heard_is_mirrored");
}
