//! Bytes on the links that the twin did not say now: frames of another key, replays of its own earlier frames,
//! and noise. Each must show up among the rejected of its link in `status`, and move nothing.

use super::stage::{Carrier, Stage, ensure};
use crate::capture::Capture;
use crate::config::PairConfig;
use crate::net::INTRUDER;
use crate::ns;
use crate::pair::Pair;
use anyhow::Result;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Who is lied to: pollux.
const VICTIM: usize = 1;
/// How long the truth is recorded.
const RECORD: Duration = Duration::from_secs(2);
const WATCH: Duration = Duration::from_secs(2);
const COUNTED_TIMEOUT: Duration = Duration::from_secs(10);
/// Lies told on each link.
const FRAMES: usize = 60;
/// Ethernet, IPv4 and UDP headers.
const HEADER_BYTES: usize = 42;
/// The links of the config: as `status` names them, and where lies about each are sent.
const UDP_LINKS: [(&str, &str); 3] = [
    ("sync udp 694", "172.16.0.3:694"),
    ("lan udp 694", "10.0.0.255:694"),
    ("lan udp 695", "239.77.83.1:695"),
];
const SERIAL_LINK: &str = "ttyS1";

/// What is said on the links.
struct Lies {
    datagrams: Vec<Vec<u8>>,
    serial: Vec<u8>,
}

pub fn wrong_key(stage: &mut Stage) -> Result<()> {
    let other: String = "5a".repeat(32);
    let config = PairConfig {
        key: other,
        ..PairConfig::default()
    };
    let lone = stage.lone(&config, Carrier::Floppy, |_| ())?;
    let capture = record(&stage.logs)?;
    lone.boot()?;
    std::thread::sleep(RECORD);
    let lies = Lies {
        datagrams: datagrams(capture)?,
        serial: lone.modem.heard(0),
    };
    drop(lone);
    let pair = stage.pair()?;
    tell(&pair, &lies)
}

pub fn replay(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let capture = record(&stage.logs)?;
    std::thread::sleep(RECORD);
    let lies = Lies {
        datagrams: datagrams(capture)?,
        serial: pair.modem.heard(0),
    };
    tell(&pair, &lies)
}

pub fn noise(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let datagrams = (0..FRAMES)
        .map(|number| random_bytes(number * 7 % 300))
        .collect();
    let mut serial = random_bytes(4000);
    // Something the framer takes for frames.
    serial.iter_mut().step_by(40).for_each(|byte| *byte = 0);
    tell(&pair, &Lies { datagrams, serial })
}

fn record(logs: &Path) -> Result<Capture> {
    let filter = "src host 10.0.0.2 and udp and (port 694 or port 695)";
    Capture::start("lan", filter, &logs.join("recorded.pcap"))
}

fn datagrams(capture: Capture) -> Result<Vec<Vec<u8>>> {
    let frames = capture.finish()?;
    let payloads = frames
        .iter()
        .filter_map(|frame| frame.get(HEADER_BYTES..))
        .map(<[u8]>::to_vec);
    Ok(payloads.take(FRAMES).collect())
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

/// Says it on every link; each must count it, and nothing may move.
fn tell(pair: &Arc<Pair>, lies: &Lies) -> Result<()> {
    let found = format!(
        "{} datagrams, {} bytes of serial line",
        lies.datagrams.len(),
        lies.serial.len()
    );
    ensure(
        lies.datagrams.len() >= FRAMES / 2 && !lies.serial.is_empty(),
        "too little was recorded",
        &found,
    )?;
    let active = pair.active()?;
    let names = || UDP_LINKS.iter().map(|(name, _)| *name).chain([SERIAL_LINK]);
    let before: Vec<u64> = names()
        .map(|name| rejected(pair, name))
        .collect::<Result<_>>()?;
    let marks = pair.marks();
    for (_, target) in UDP_LINKS {
        let lies = lies.datagrams.clone();
        ns::within(INTRUDER, move || {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.set_broadcast(true)?;
            lies.iter()
                .try_for_each(|lie| socket.send_to(lie, target).map(drop))?;
            Ok(())
        })?;
    }
    pair.modem.inject(VICTIM, &lies.serial)?;
    for (name, before) in names().zip(before) {
        wait_counted(pair, name, before)?;
    }
    pair.expect_quiet(marks, WATCH)?;
    pair.expect_active(active)
}

fn wait_counted(pair: &Pair, link: &str, before: u64) -> Result<()> {
    let deadline = Instant::now() + COUNTED_TIMEOUT;
    while rejected(pair, link)? <= before {
        ensure(
            Instant::now() < deadline,
            &format!("{link} should count what it rejects"),
            &format!("still {before}"),
        )?;
    }
    Ok(())
}

/// The sum of the `rejected` column of a link.
fn rejected(pair: &Pair, link: &str) -> Result<u64> {
    let row = pair.link_row(VICTIM, link)?;
    let cells = row
        .split("  ")
        .map(str::trim)
        .filter(|cell| !cell.is_empty());
    let reasons: Vec<_> = cells.skip(6).collect();
    let numbers = reasons.join(" ");
    let numbers = numbers
        .split([' ', ','])
        .filter_map(|word| word.parse::<u64>().ok());
    Ok(numbers.sum())
}
