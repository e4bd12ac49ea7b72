//! Heartbeat links that carry one way only, or badly: each is judged on its own, none of them moves anything while
//! another one lives.

use super::faults::WATCH;
use super::stage::{DEAD_TIME, Stage};
use crate::modem::Quality;
use crate::net::{self, NODES, tap};
use crate::pair::Pair;
use anyhow::Result;
use std::time::Duration;

/// The serial link as `status` names it.
const SERIAL: &str = "ttyS1";
/// The UDP links: as `status` names them, network and port.
const UDP: [(&str, &str, u16); 3] = [
    ("sync udp 694", "sync", 694),
    ("lan udp 694", "lan", 694),
    ("lan udp 695", "lan", 695),
];
const SLOW_BAUD: u32 = 9600;
/// A long cable beside a motor: one frame in four is spoilt.
const NOISE_EVERY_BYTES: u32 = 200;

pub fn one_way(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let active = pair.active()?;
    let marks = pair.marks();
    for speaker in 0..NODES.len() {
        pair.modem.cut_from(speaker);
        is_down_for_both(&pair, SERIAL)?;
        pair.modem.mend();
        for (link, network, port) in UDP {
            let node = pair.machine(speaker)?.name();
            let from = tap(node, network);
            net::cut(&[format!("iifname \"{from}\" udp dport {port}")])?;
            is_down_for_both(&pair, link)?;
            net::mend()?;
        }
    }
    pair.wait_calm()?;
    pair.expect_quiet(marks, DEAD_TIME)?;
    pair.expect_active(active)
}

/// The box that hears nothing knows at once; the other one by what its twin's frames no longer prove.
fn is_down_for_both(pair: &Pair, link: &str) -> Result<()> {
    (0..NODES.len()).try_for_each(|node| pair.wait_link(node, link, "DOWN"))
}

pub fn slow_and_noisy(stage: &mut Stage) -> Result<()> {
    let pair = stage.fresh_pair(|config| config.baud = SLOW_BAUD)?;
    let active = pair.active()?;
    let marks = pair.marks();
    pair.modem.set_quality(Quality {
        baud: SLOW_BAUD,
        noise_every_bytes: NOISE_EVERY_BYTES,
    });
    pair.expect_quiet(marks, WATCH)?;
    (0..NODES.len()).try_for_each(|node| pair.wait_link(node, SERIAL, "up"))?;
    pair.expect_active(active)?;
    // Without noise the slow line carries the pair alone.
    pair.modem.set_quality(Quality {
        baud: SLOW_BAUD,
        noise_every_bytes: 0,
    });
    net::cut_heartbeats()?;
    let outcome = alone(&pair, active, marks);
    net::mend()?;
    outcome
}

fn alone(pair: &Pair, active: usize, marks: [crate::console::Mark; 2]) -> Result<()> {
    for (link, ..) in UDP {
        pair.wait_link(1 - active, link, "DOWN")?;
    }
    pair.expect_quiet(marks, Duration::from_secs(5))?;
    pair.expect_active(active)
}
