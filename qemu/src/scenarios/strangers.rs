//! Bytes on the links that the twin did not say now: frames of another key, replays of its own earlier frames,
//! and noise. They are told to both boxes on each link, and what was recorded on a link is told on that very
//! link. Each box must count every one of them among the rejected of the link in `status`, and nothing may move.

use super::flows_weather::PORT;
use super::stage::{Stage, ensure};
use crate::capture::Capture;
use crate::net::{INTRUDER, NODES, mac};
use crate::ns;
use crate::pair::Pair;
use anyhow::{Context, Result};
use std::net::UdpSocket;
use std::ops::Range;
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

/// Where castor and pollux hear of connections.
const TARGETS: [&str; 2] = ["172.16.0.2:695", "172.16.0.3:695"];
/// Datagrams about connections that are recorded, at least: boxes at rest say something each 200 ms.
const ABOUT_CONNECTIONS_MIN: usize = 5;
/// Header and MAC of one of them.
const WHOLE_BYTES: usize = 136;

/// Why a box drops such a datagram, as its `status` begins to say.
const TAKEN_BEFORE: &str = "datagram taken before";
const TOO_SHORT: &str = "datagram too short";
const OTHER_VERSION: &str = "datagram of another version";
const WRONG_KEY: &str = "authentication failed";

/// What is told to one box.
#[derive(Clone)]
struct Lies {
    /// By link as in UDP_LINKS.
    datagrams: [Vec<Vec<u8>>; 3],
    serial: Vec<u8>,
    /// About connections, with the reason for which they are dropped.
    connections: Vec<(&'static str, Vec<Vec<u8>>)>,
}

pub fn wrong_key(stage: &mut Stage) -> Result<()> {
    let other = "5a".repeat(32);
    let strangers = stage.fresh_pair(|config| config.key.clone_from(&other))?;
    let lies = record(&strangers, &stage.logs, WRONG_KEY)?;
    drop(strangers);
    let pair = stage.pair()?;
    tell(&pair, &lies)
}

pub fn replay(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let mut lies = record(&pair, &stage.logs, TAKEN_BEFORE)?;
    for Lies { connections, .. } in &mut lies {
        let whole: Vec<_> = connections
            .iter()
            .flat_map(|(_, said)| said.clone())
            .collect();
        let cut = whole.iter().filter_map(|said| said.get(..WHOLE_BYTES - 1));
        let cut = cut.map(<[u8]>::to_vec).collect();
        let longer = whole.iter().map(|said| [said, &[0][..]].concat()).collect();
        connections.extend([(TOO_SHORT, cut), (WRONG_KEY, longer)]);
    }
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
    let of_sizes = |bytes: Range<usize>| -> Vec<_> {
        let all = bytes.step_by(10).map(random_bytes);
        // Those that begin as the truth does are dropped for another reason.
        all.filter(|bytes| bytes.first() != Some(&1)).collect()
    };
    let lies = Lies {
        datagrams: [0, 1, 2].map(datagrams),
        serial,
        connections: vec![
            (TOO_SHORT, of_sizes(1..WHOLE_BYTES)),
            (OTHER_VERSION, of_sizes(WHOLE_BYTES..400)),
        ],
    };
    tell(&pair, &[lies.clone(), lies])
}

/// What the twin of each box says on each link, and of connections; why these would be dropped if they were said again.
fn record(pair: &Pair, logs: &Path, why: &'static str) -> Result<[Lies; 2]> {
    let start = |speaker: usize| -> Result<Vec<Capture>> {
        let links = UDP_LINKS.iter().map(|link| (link.network, link.port));
        let links = links.chain([("sync", PORT)]).map(|(network, port)| {
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
        let mut about_connections = Vec::new();
        let all = datagrams.iter_mut().chain([&mut about_connections]);
        for (said, capture) in all.zip(captures) {
            let frames = capture.finish()?;
            let payloads = frames
                .iter()
                .filter_map(|frame| frame.bytes.get(HEADER_BYTES..));
            said.extend(payloads.take(FRAMES).map(<[u8]>::to_vec));
        }
        let serial = pair.modem.heard(1 - victim);
        let count = about_connections.len();
        let what = "too few datagrams about connections were recorded";
        ensure(count >= ABOUT_CONNECTIONS_MIN, what, &count.to_string())?;
        Ok(Lies {
            datagrams,
            serial,
            connections: vec![(why, about_connections)],
        })
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

/// Says to each box what is meant for it, on every link; each must count it, nothing may move, and both stay in sync.
fn tell(pair: &Arc<Pair>, lies: &[Lies; 2]) -> Result<()> {
    pair.wait_in_sync()?;
    let active = pair.active()?;
    let marks = pair.marks();
    for (victim, lies) in lies.iter().enumerate() {
        for (link, datagrams) in UDP_LINKS.iter().zip(&lies.datagrams) {
            tell_on(pair, link, victim, datagrams)?;
        }
        tell_on_serial(pair, victim, &lies.serial)?;
        for (why, datagrams) in &lies.connections {
            tell_of_connections(pair, victim, why, datagrams)?;
        }
    }
    pair.expect_quiet(marks, WATCH)?;
    for (machine, mark) in pair.boxes.iter().zip(marks) {
        let mut lines = machine.console.lines_since(mark).into_iter();
        let lost = lines.find(|line| line.text.contains("not in sync"));
        ensure(
            lost.is_none(),
            "the boxes should stay in sync",
            &format!("{lost:?}"),
        )?;
    }
    pair.wait_in_sync()?;
    pair.expect_active(active)
}

fn tell_on(pair: &Pair, link: &Link, victim: usize, datagrams: &[Vec<u8>]) -> Result<()> {
    let what = format!("too few frames for {} were recorded", link.name);
    let count = datagrams.len();
    ensure(count == FRAMES, &what, &count.to_string())?;
    let before = rejected(pair, victim, link.name)?;
    let target = *link.targets.get(victim).context("a pair has two boxes")?;
    say(target, datagrams)?;
    let what = format!("rejected frames on {}", link.name);
    wait_counted(victim, &what, before + count as u64, || {
        rejected(pair, victim, link.name)
    })
}

/// The intruder sends these to an address.
fn say(target: &'static str, datagrams: &[Vec<u8>]) -> Result<()> {
    let datagrams = datagrams.to_vec();
    ns::within(INTRUDER, move || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_broadcast(true)?;
        datagrams
            .iter()
            .try_for_each(|lie| socket.send_to(lie, target).map(drop))?;
        Ok(())
    })
}

fn tell_of_connections(pair: &Pair, victim: usize, why: &str, datagrams: &[Vec<u8>]) -> Result<()> {
    let before = dropped(pair, victim, why)?;
    say(
        TARGETS.get(victim).context("a pair has two boxes")?,
        datagrams,
    )?;
    let what = format!("dropped: {why}");
    wait_counted(victim, &what, before + datagrams.len() as u64, || {
        dropped(pair, victim, why)
    })
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
    let what = "rejected frames on the null modem";
    wait_counted(victim, what, before + count as u64, || {
        rejected(pair, victim, SERIAL_LINK)
    })
}

fn wait_counted(
    node: usize,
    what: &str,
    wanted: u64,
    count: impl Fn() -> Result<u64>,
) -> Result<()> {
    let deadline = Instant::now() + COUNTED_TIMEOUT;
    loop {
        let count = count()?;
        if count >= wanted {
            return Ok(());
        }
        let name = NODES.get(node).copied().unwrap_or_default();
        let what = format!("{name} should count {wanted} {what}");
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

/// Datagrams about connections that a box has dropped for this reason; `status` leaves zeros out.
fn dropped(pair: &Pair, node: usize, why: &str) -> Result<u64> {
    let status = pair.status(node)?;
    let mut counts = status.iter().filter_map(|line| {
        let (count, cause) = line.trim().split_once(" dropped: ")?;
        cause.starts_with(why).then(|| count.parse::<u64>())
    });
    Ok(counts.next().transpose()?.unwrap_or(0))
}
