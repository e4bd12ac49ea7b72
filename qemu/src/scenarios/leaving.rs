//! Boxes that leave by order: they hand over first, so that the client is without an answer no longer than in
//! any planned handover.

use super::sight::Sight;
use super::stage::Stage;
use crate::pair::{BOOT_TIMEOUT, Pair, ROLE_TIMEOUT, is_active, is_standing};
use crate::vm::Machine;
use anyhow::Result;
use std::time::Duration;

const OFF_TIMEOUT: Duration = Duration::from_secs(30);

pub fn reboot(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    comes_back(&pair, stage, |machine| machine.console.send("reboot\r"))
}

pub fn ctrl_alt_del(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    comes_back(&pair, stage, Machine::press_ctrl_alt_del)
}

pub fn power_off(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let active = pair.active()?;
    let leaver = pair.machine(active)?;
    hands_over(&pair, stage, active, |machine| {
        machine.console.send("poweroff\r")
    })?;
    leaver.wait_off(OFF_TIMEOUT)?;
    // The pair is whole again for whoever comes next.
    let mark = leaver.console.mark();
    leaver.power_on()?;
    leaver
        .console
        .wait_for(mark, "`standby, ready`", BOOT_TIMEOUT, is_standing)?;
    pair.wait_calm()
}

fn comes_back(
    pair: &Pair,
    stage: &Stage,
    order: impl FnOnce(&Machine) -> Result<()>,
) -> Result<()> {
    let active = pair.active()?;
    let leaver = pair.machine(active)?;
    leaver.forget_events();
    hands_over(pair, stage, active, order)?;
    leaver.wait_reset(OFF_TIMEOUT)?;
    let mark = leaver.console.mark();
    leaver
        .console
        .wait_for(mark, "`standby, ready`", BOOT_TIMEOUT, is_standing)?;
    pair.wait_calm()?;
    pair.expect_active(1 - active)
}

/// Gives the order to the active box and watches until the other one has taken over.
fn hands_over(
    pair: &Pair,
    stage: &Stage,
    active: usize,
    order: impl FnOnce(&Machine) -> Result<()>,
) -> Result<()> {
    let heir = pair.machine(1 - active)?;
    let mark = heir.console.mark();
    let sight = Sight::open(stage)?;
    order(pair.machine(active)?)?;
    let line = heir
        .console
        .wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
    sight.wait_served(line.at)?;
    let seen = sight.close()?;
    seen.ensure_planned()?;
    seen.ensure_change(active, 1 - active)
}
