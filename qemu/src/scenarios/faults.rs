//! Faults of a healthy pair that stay: who is active afterwards, and who is not. What must not happen is watched
//! for many times the dead time.

use super::sight::Sight;
use super::stage::Stage;
use crate::net;
use crate::pair::{BOOT_TIMEOUT, Pair, ROLE_TIMEOUT, is_active, is_standing};
use anyhow::Result;
use std::time::Duration;

/// Six dead times of the shared pair.
pub const WATCH: Duration = Duration::from_secs(3);

pub fn same_instant(stage: &mut Stage) -> Result<()> {
    stage.without_pair();
    let pair = Pair::assemble(&stage.world, &stage.order())?;
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
    pair.expect_quiet(marks, Duration::ZERO)
}

pub fn heartbeats(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let active = pair.active()?;
    let marks = pair.marks();
    net::cut_heartbeats()?;
    for link in ["sync", "lan udp 694", "lan udp 695"] {
        pair.wait_link(0, link, "DOWN")?;
    }
    pair.expect_quiet(marks, WATCH)?;
    pair.expect_active(active)?;
    net::mend()?;
    pair.wait_link(0, "sync", "up")
}

pub fn carrier(stage: &mut Stage) -> Result<()> {
    ["lan", "wan"]
        .into_iter()
        .try_for_each(|network| carrier_of(stage, network))
}

fn carrier_of(stage: &mut Stage, network: &str) -> Result<()> {
    let pair = stage.pair()?;
    let active = pair.active()?;
    let (loser, heir) = (pair.machine(active)?, pair.machine(1 - active)?);
    let mark = heir.console.mark();
    let sight = Sight::open(stage)?;
    loser.set_cable(network, false)?;
    heir.console
        .wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
    pair.expect_active(1 - active)?;
    loser.set_cable(network, true)?;
    pair.wait_calm()?;
    // Fail-back is off: getting the cable back moves nothing.
    pair.expect_active(1 - active)?;
    let seen = sight.close()?;
    seen.ensure_outage()?;
    seen.ensure_change(active, 1 - active)
}

pub fn power_cut(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let active = pair.active()?;
    let (dead, heir) = (pair.machine(active)?, pair.machine(1 - active)?);
    let mark = heir.console.mark();
    let sight = Sight::open(stage)?;
    let cut = dead.power_cut();
    sight.wait_served(cut)?;
    heir.console
        .wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
    let mark = dead.console.mark();
    dead.power_on()?;
    dead.console
        .wait_for(mark, "`standby, ready`", BOOT_TIMEOUT, is_standing)?;
    pair.wait_calm()?;
    pair.expect_active(1 - active)?;
    let seen = sight.close()?;
    seen.ensure_outage()?;
    seen.ensure_change(active, 1 - active)
}
