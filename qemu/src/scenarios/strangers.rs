//! Bytes on the links that the twin did not say now: frames of another key, replays of its own earlier frames,
//! and noise. They are told to both boxes on each link, and what was recorded on a link is told on that very
//! link. Each box must count every one of them among the rejected of the link in `status`, and nothing may move.

use super::stage::{Stage, ensure};
use crate::capture::Capture;
use crate::net::{INTRUDER, NODES, mac};
use crate::ns;
use crate::pair::Pair;
use anyhow::{Context, Result};
use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the truth is recorded.
const RECORD: Duration = Duration::from_secs(2);
const WATCH: Duration = Duration::from_secs(2);
const COUNTED_TIMEOUT: Duration = Duration::from_secs(10);
/// Lies told to a box on each UDP link.
const FRAMES: usize = 20;
/// What ends a frame on the serial line (COBS).
const FRAME_END: u8 = 0;
/// Ethernet, IPv4 and UDP headers.
const HEADER_BYTES: usize = 42;
const SERIAL_LINK: &str = "ttyS1";

/// A UDP link of the config.
struct Link {
    /// As `status` names it.
    name: &'static str,
    network: &'static str,
    port: u16,
    /// Where castor and pollux hear it.
    targets: [&'static str; 2],
}

const UDP_LINKS: [Link; 3] = [
    Link {
        name: "sync udp 694",
        network: "sync",
        port: 694,
        targets: ["172.16.0.2:694", "172.16.0.3:694"],
    },
    Link {
        name: "lan udp 694",
        network: "lan",
        port: 694,
        targets: ["10.0.0.255:694"; 2],
    },
    Link {
        name: "lan udp 695",
        network: "lan",
        port: 695,
        targets: ["239.77.83.1:695"; 2],
    },
];

/// What is told to one box.
#[derive(Clone)]
struct Lies {
    /// By link as in UDP_LINKS.
    datagrams: [Vec<Vec<u8>>; 3],
    serial: Vec<u8>,
}

pub fn wrong_key(stage: &mut Stage) -> Result<()> {
    let other = "5a".repeat(32);
    let strangers = stage.fresh_pair(|config| config.key.clone_from(&other))?;
    let lies = record(&strangers, &stage.logs)?;
    drop(strangers);
    let pair = stage.pair()?;
    tell(&pair, &lies)
}

pub fn replay(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let lies = record(&pair, &stage.logs)?;
    tell(&pair, &lies)
}

pub fn noise(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let datagrams = |link: usize| {
        let sizes = (0..FRAMES).map(|number| number * 7 % 300 + link + 1);
        sizes.map(random_bytes).collect()
    };
    let mut serial = random_bytes(4000);
    // Something the framer takes for frames.
    serial
        .iter_mut()
        .step_by(40)
        .for_each(|byte| *byte = FRAME_END);
    let lies = Lies {
        datagrams: [0, 1, 2].map(datagrams),
        serial,
    };
    tell(&pair, &[lies.clone(), lies])
}

/// What the twin of each box says on each link.
fn record(pair: &Pair, logs: &Path) -> Result<[Lies; 2]> {
    let start = |speaker: usize| -> Result<Vec<Capture>> {
        let links = UDP_LINKS.iter().map(|link| {
            let Link { network, port, .. } = link;
            let filter = format!(
                "ether src {} and udp dst port {port}",
                mac(speaker, network)
            );
            let file = format!("recorded-{network}-{port}-{speaker}.pcap");
            Capture::start(network, &filter, &logs.join(file))
        });
        links.collect()
    };
    let [of_castor, of_pollux] = [start(0)?, start(1)?];
    std::thread::sleep(RECORD);
    let to = |victim: usize, captures: Vec<Capture>| -> Result<Lies> {
        let mut datagrams: [Vec<Vec<u8>>; 3] = Default::default();
        for (said, capture) in datagrams.iter_mut().zip(captures) {
            let frames = capture.finish()?;
            let payloads = frames
                .iter()
                .filter_map(|frame| frame.bytes.get(HEADER_BYTES..));
            said.extend(payloads.take(FRAMES).map(<[u8]>::to_vec));
        }
        let serial = pair.modem.heard(1 - victim);
        Ok(Lies { datagrams, serial })
    };
    Ok([to(0, of_pollux)?, to(1, of_castor)?])
}

/// The same bytes in each run (xorshift64), so that a failure can be had again.
fn random_bytes(count: usize) -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15 ^ (count as u64 + 1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..count).map(|_| next()).collect()
}

/// Says to each box what is meant for it, on every link; each must count it, and nothing may move.
fn tell(pair: &Arc<Pair>, lies: &[Lies; 2]) -> Result<()> {
    let active = pair.active()?;
    let marks = pair.marks();
    for (victim, lies) in lies.iter().enumerate() {
        for (link, datagrams) in UDP_LINKS.iter().zip(&lies.datagrams) {
            tell_on(pair, link, victim, datagrams)?;
        }
        tell_on_serial(pair, victim, &lies.serial)?;
    }
    pair.expect_quiet(marks, WATCH)?;
    pair.expect_active(active)
}

fn tell_on(pair: &Pair, link: &Link, victim: usize, datagrams: &[Vec<u8>]) -> Result<()> {
    let what = format!("too few frames for {} were recorded", link.name);
    let count = datagrams.len();
    ensure(count == FRAMES, &what, &count.to_string())?;
    let before = rejected(pair, victim, link.name)?;
    let target = *link.targets.get(victim).context("a pair has two boxes")?;
    let datagrams = datagrams.to_vec();
    ns::within(INTRUDER, move || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_broadcast(true)?;
        datagrams
            .iter()
            .try_for_each(|lie| socket.send_to(lie, target).map(drop))?;
        Ok(())
    })?;
    wait_counted(pair, victim, link.name, before + count as u64)
}

fn tell_on_serial(pair: &Pair, victim: usize, bytes: &[u8]) -> Result<()> {
    let chunks = bytes.split(|byte| *byte == FRAME_END);
    let whole = chunks.filter(|chunk| !chunk.is_empty()).skip(1);
    let frames: Vec<_> = whole.take(FRAMES).collect();
    let count = frames.len();
    let what = "too few frames were recorded on the null modem";
    ensure(count == FRAMES, what, &count.to_string())?;
    let mut line = vec![FRAME_END];
    for frame in frames {
        line.extend(frame);
        line.push(FRAME_END);
    }
    let before = rejected(pair, victim, SERIAL_LINK)?;
    pair.modem.inject(victim, &line)?;
    wait_counted(pair, victim, SERIAL_LINK, before + count as u64)
}

fn wait_counted(pair: &Pair, node: usize, link: &str, wanted: u64) -> Result<()> {
    let deadline = Instant::now() + COUNTED_TIMEOUT;
    loop {
        let count = rejected(pair, node, link)?;
        if count >= wanted {
            return Ok(());
        }
        let name = NODES.get(node).copied().unwrap_or_default();
        let what = format!("{name} should count {wanted} rejected frames on {link}");
        ensure(Instant::now() < deadline, &what, &count.to_string())?;
    }
}

/// The `rejected` column of a link, the last one of its row.
fn rejected(pair: &Pair, node: usize, link: &str) -> Result<u64> {
    let row = pair.link_row(node, link)?;
    let last = row.split_whitespace().next_back();
    let count = last.and_then(|cell| cell.parse().ok());
    count.with_context(|| format!("no number of rejected frames in: {row}"))
}
