//! Automatic fail-back: the preferred box dies and comes back under flows. While nobody tells it of them it stays standby
//! and says so; once it knows all of them it takes over by itself, and none breaks.

use super::flows::Act;
use super::flows_weather::PORT;
use super::leaving::UNICAST;
use super::stage::{Stage, ensure, line_with};
use crate::flows::route::Way;
use crate::net;
use crate::pair::{ROLE_TIMEOUT, is_active};
use anyhow::{Context, Result};
use std::sync::Arc;
use std::time::Instant;

const WAYS: [Way; 2] = [Way::Masqueraded, Way::Translated];
const PREFERRED: usize = 0;
const HEIR: usize = 1;
/// Why the heir hands over, as its log says.
const REASON: &str = "the peer of higher priority is back";

pub fn run(stage: &mut Stage) -> Result<()> {
    let pair = stage.fresh_pair(|config| {
        config.has_firewall = true;
        config.fail_back = "auto";
        config.priorities = [150, 100];
    })?;
    let what = "the preferred box should be active, whichever started first";
    pair.wait_status(what, ROLE_TIMEOUT, |status| {
        let mut lines = status.iter().flatten();
        lines.any(|line| line.starts_with("castor: active, ready"))
    })?;
    pair.wait_calm()?;
    let act = Act::begin(stage, Arc::new(pair), &WAYS)?;
    act.pair.wait_in_sync()?;
    act.power_cut(PREFERRED)?;
    net::cut(&[format!("{UNICAST} udp dport {PORT}")])?;
    act.rejoin(PREFERRED)?;
    stays_standby(&act)?;

    let marks = act.pair.marks();
    net::mend()?;
    let console = &act.pair.machine(PREFERRED)?.console;
    let line = console.wait_for(marks[PREFERRED], "`active, ready`", ROLE_TIMEOUT, is_active)?;
    let heir = &act.pair.machine(HEIR)?.console;
    heir.wait(marks[HEIR], REASON, ROLE_TIMEOUT)?;
    act.go_on(line.at)?;
    act.pair.wait_calm()?;
    act.pair.expect_active(PREFERRED)?;
    act.end()
}

/// Both boxes are ready and hear each other on every link: nothing but connections keeps the preferred one back.
fn stays_standby(act: &Act) -> Result<()> {
    let marks = act.pair.marks();
    let status = act.pair.status(PREFERRED)?;
    let connections = line_with(&status, "connections: ")?;
    let says_not = connections.starts_with("connections: NOT ");
    ensure(
        says_not,
        "a box that is told of nothing should say so",
        connections,
    )?;
    let status = act.pair.status(HEIR)?;
    let peer = line_with(&status, "peer: ")?;
    let says_why = peer.ends_with(", fail-back waits for sync");
    ensure(
        says_why,
        "the heir should say what fail-back waits for",
        peer,
    )?;
    act.go_on(Instant::now())?;
    act.pair
        .expect_unmoved(marks)
        .context("while the preferred box was told of nothing")?;
    act.pair.expect_active(HEIR)
}
