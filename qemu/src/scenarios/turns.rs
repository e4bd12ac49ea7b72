//! Boxes that start again and again, together or in turn: never two owners for longer than a dead time, and where
//! one box is well, never none for longer than the limit of an outage.

use super::sight::{Sight, WIDENED_OUTAGE_MAX};
use super::stage::Stage;
use crate::pair::{BOOT_TIMEOUT, Pair, is_standing};
use crate::vm::Machine;
use anyhow::Result;
use std::time::Instant;

const STARTS: usize = 10;

pub fn together(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let sight = Sight::open(stage)?;
    for _ in 0..STARTS {
        let marks = pair.marks();
        for machine in &pair.boxes {
            machine.power_cut();
        }
        pair.boxes.iter().try_for_each(Machine::power_on)?;
        pair.wait_settled(marks)?;
    }
    pair.wait_calm()?;
    sight.close()?.ensure_one_owner()
}

pub fn in_turn(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let sight = Sight::open(stage)?;
    let began = Instant::now();
    let mut turn = 0;
    while began.elapsed() < stage.endurance {
        restart(&pair, turn)?;
        turn += 1;
    }
    pair.wait_calm()?;
    let text = format!("{turn} restarts in turn");
    stage.world.timeline.note("testbed", text);
    let seen = sight.close()?;
    seen.ensure_one_owner()?;
    seen.ensure_outage_under(WIDENED_OUTAGE_MAX)
}

/// Box after box, by turns without a goodbye and by order.
fn restart(pair: &Pair, turn: usize) -> Result<()> {
    let machine = pair.machine(turn % 2)?;
    let mut mark = machine.console.mark();
    if turn % 4 < 2 {
        machine.power_cut();
        machine.power_on()?;
    } else {
        machine.forget_events();
        machine.console.send("reboot\r")?;
        machine.wait_reset(BOOT_TIMEOUT)?;
        mark = machine.console.mark();
    }
    machine
        .console
        .wait_for(mark, "a role, ready", BOOT_TIMEOUT, is_standing)?;
    // Both are well before the next one goes; that is all the rest they get.
    pair.wait_calm()
}
