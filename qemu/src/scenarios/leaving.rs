//! Boxes that leave by order: they hand over first, so that the client is without an answer no longer than in
//! any planned handover. A twin that lacks connections is waited for, and not for long.

use super::flows_weather::PORT;
use super::sight::Sight;
use super::stage::{Stage, ensure};
use crate::net;
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

/// Heartbeats by multicast use the same port.
pub const UNICAST: &str = "ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00";

/// What one that goes says while its twin lacks connections, and once it goes all the same.
const WAITS: &str = "waiting for the twin to have all connections";
const GOES: &str = "going without: the twin's sync worker is not heard";

pub fn reboot_unsynced(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    for (stays_cut, said) in [(false, WAITS), (true, GOES)] {
        pair.wait_in_sync()?;
        let console = &pair.machine(pair.active()?)?.console;
        let mark = console.mark();
        net::cut(&[format!("{UNICAST} udp dport {PORT}")])?;
        console.wait(mark, "not in sync any more", ROLE_TIMEOUT)?;
        comes_back(&pair, stage, |machine| {
            machine.console.send("reboot\r")?;
            let line = machine.console.wait(mark, said, ROLE_TIMEOUT)?;
            stage.world.timeline.note("testbed", line.text);
            if stays_cut { Ok(()) } else { net::mend() }
        })?;
        let mut lines = console.lines_since(mark).into_iter();
        let has_gone = lines.any(|line| line.text.contains(GOES));
        ensure(
            has_gone == stays_cut,
            "only one whose twin gets nothing should go without",
            &has_gone.to_string(),
        )?;
        net::mend()?;
    }
    Ok(())
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
