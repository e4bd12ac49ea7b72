//! Faults of a healthy pair: who is active afterwards, and who is not. What must not happen is watched for many
//! times the dead time.

use super::stage::{CALM_TIMING, Stage, ensure};
use crate::config::PairConfig;
use crate::net::{self, CLIENT, ECHO_PORT, VIRTUAL_V4};
use crate::pair::{BOOT_TIMEOUT, Order, Pair, ROLE_TIMEOUT, is_active, is_standing};
use crate::probe::udp::UdpProbe;
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Six dead times of the shared pair.
const WATCH: Duration = Duration::from_secs(3);
/// Hard limit for an unplanned takeover.
const OUTAGE_MAX: Duration = Duration::from_secs(1);
const STALL: Duration = Duration::from_secs(2);

pub fn same_instant(stage: &mut Stage) -> Result<()> {
    stage.without_pair();
    let order = Order::new("same-instant", &stage.logs)
        .with(|config: &mut PairConfig| config.timing = CALM_TIMING);
    let pair = Pair::assemble(&stage.world, &order)?;
    let active = pair.boot()?;
    let marks = pair.marks();
    pair.expect_quiet(marks, WATCH)?;
    pair.expect_active(active)
}

pub fn null_modem(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let active = pair.active()?;
    let marks = pair.marks();
    pair.modem.cut();
    pair.expect_quiet(marks, WATCH)?;
    pair.expect_active(active)?;
    pair.wait_link(0, "ttyS1", "DOWN")?;
    pair.modem.mend();
    pair.wait_link(0, "ttyS1", "up")?;
    pair.expect_quiet(marks, WATCH)
}

pub fn heartbeats(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let active = pair.active()?;
    let marks = pair.marks();
    net::cut_heartbeats()?;
    pair.wait_link(0, "sync", "DOWN")?;
    pair.expect_quiet(marks, WATCH)?;
    pair.expect_active(active)?;
    net::mend_heartbeats()?;
    pair.wait_link(0, "sync", "up")
}

pub fn carrier(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let active = pair.active()?;
    let (loser, heir) = (pair.machine(active)?, pair.machine(1 - active)?);
    let mark = heir.console.mark();
    loser.set_cable("lan", false)?;
    heir.console
        .wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
    pair.expect_active(1 - active)?;
    loser.set_cable("lan", true)?;
    pair.wait_calm()?;
    // Fail-back is off: getting the cable back moves nothing.
    pair.expect_active(1 - active)
}

pub fn stall(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let active = pair.active()?;
    let (stalled, heir) = (pair.machine(active)?, pair.machine(1 - active)?);
    let marks = pair.marks();
    let [stalled_mark, heir_mark] = if active == 0 {
        marks
    } else {
        [marks[1], marks[0]]
    };
    stalled.pause()?;
    heir.console
        .wait_for(heir_mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
    std::thread::sleep(STALL);
    stalled.resume()?;
    let is_standby = |line: &str| is_standing(line) && !is_active(line);
    stalled
        .console
        .wait_for(stalled_mark, "`standby, ready`", ROLE_TIMEOUT, is_standby)?;
    pair.wait_calm()?;
    pair.expect_active(1 - active)
}

pub fn power_cut(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let active = pair.active()?;
    let heir = pair.machine(1 - active)?;
    let probe = UdpProbe::start(CLIENT, SocketAddr::new(VIRTUAL_V4.parse()?, ECHO_PORT))?;
    let first = probe.wait_answer(Instant::now(), ROLE_TIMEOUT);
    let before = first.context("waiting for the UDP service")?;
    let mark = heir.console.mark();
    let cut = pair.machine(active)?.power_cut();
    probe.wait_answer(cut, ROLE_TIMEOUT)?;
    let outage = probe.outage_since(before).duration();
    stage
        .world
        .timeline
        .note("client", format!("outage of {outage:?}"));
    ensure(
        outage < OUTAGE_MAX,
        "the outage should be under a second",
        &format!("{outage:?}"),
    )?;
    heir.console
        .wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
    let dead = pair.machine(active)?;
    let mark = dead.console.mark();
    dead.power_on()?;
    dead.console
        .wait_for(mark, "`standby, ready`", BOOT_TIMEOUT, is_standing)?;
    pair.wait_calm()?;
    pair.expect_active(1 - active)
}
