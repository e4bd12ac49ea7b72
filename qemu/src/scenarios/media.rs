//! Config media that are late, torn or corrupt. Damage is done to the image's bytes, as a pulled stick or a bad
//! floppy would do it.

use super::stage::{Carrier, Stage, ensure, line_with};
use crate::config::PairConfig;
use crate::net::NODES;
use crate::pair::{BOOT_TIMEOUT, is_active};
use crate::tools::Image;
use crate::vm::arguments::Medium;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

/// First bytes of a slot (see plan::image).
const MAGIC: &[u8] = b"PLXCONF\n";
/// Offset of a slot's generation, 8 bytes, little-endian.
const GENERATION_AT: usize = 16;
/// Somewhere in the payload of any config.
const PAYLOAD_AT: usize = 64;

pub fn late(stage: &mut Stage) -> Result<()> {
    let lone = stage.lone(&PairConfig::default(), Carrier::None, |_| ())?;
    let console = &lone.machine.console;
    let mark = console.mark();
    lone.machine.power_on()?;
    console.wait(mark, "no config: no medium holds a valid one", BOOT_TIMEOUT)?;
    console.wait(mark, "polluxctl media", BOOT_TIMEOUT)?;
    lone.machine.plug(&Medium::Usb(lone.medium.clone()))?;
    console.wait(mark, "config: generation 1 from sd", BOOT_TIMEOUT)?;
    console.wait_for(mark, "`active, ready`", BOOT_TIMEOUT, is_active)?;
    Ok(())
}

pub fn torn(stage: &mut Stage) -> Result<()> {
    let lone = stage.lone(&PairConfig::default(), Carrier::Floppy, |_| ())?;
    // The second write goes to the other slot.
    let tools = &stage.world.tools;
    tools.write_medium(&lone.config, NODES[0], Image::Floppy, &lone.medium)?;
    let slots = slots(&lone.medium)?;
    let newest = slots
        .iter()
        .max_by_key(|slot| slot.generation)
        .context("no slot on the medium")?;
    ensure(
        slots.len() == 2,
        "a medium written twice should have two slots",
        &slots.len().to_string(),
    )?;
    spoil(&lone.medium, newest)?;
    let mark = lone.boot()?;
    let lines: Vec<_> = lone
        .machine
        .console
        .lines_since(mark)
        .into_iter()
        .map(|line| line.text)
        .collect();
    line_with(
        &lines,
        &format!("config: generation {} from fd0", newest.generation - 1),
    )?;
    line_with(&lines, "fd0").and_then(|_| {
        let remark = lines.iter().find(|line| line.contains(".PLX: "));
        remark
            .map(drop)
            .with_context(|| format!("the torn slot is not mentioned in:\n{}", lines.join("\n")))
    })
}

pub fn corrupt(stage: &mut Stage) -> Result<()> {
    let lone = stage.lone(&PairConfig::default(), Carrier::Floppy, |_| ())?;
    let tools = &stage.world.tools;
    tools.write_medium(&lone.config, NODES[0], Image::Floppy, &lone.medium)?;
    for slot in slots(&lone.medium)? {
        spoil(&lone.medium, &slot)?;
    }
    let console = &lone.machine.console;
    let mark = console.mark();
    lone.machine.power_on()?;
    console.wait(mark, "no config: no medium holds a valid one", BOOT_TIMEOUT)?;
    for slot in ["SLOT-A.PLX", "SLOT-B.PLX"] {
        console.wait(mark, slot, BOOT_TIMEOUT)?;
    }
    // It stays up: a good stick, plugged in later, is taken.
    let good = lone.medium.with_file_name("good.img");
    tools.write_medium(&lone.config, NODES[0], Image::Usb, &good)?;
    lone.machine.plug(&Medium::Usb(good))?;
    console.wait_for(mark, "`active, ready`", BOOT_TIMEOUT, is_active)?;
    Ok(())
}

/// A slot in the bytes of a medium.
struct Slot {
    at: usize,
    generation: u64,
}

fn slots(medium: &Path) -> Result<Vec<Slot>> {
    let bytes = fs::read(medium)?;
    let starts = bytes
        .windows(MAGIC.len())
        .enumerate()
        .filter(|(_, window)| *window == MAGIC);
    let slot = |(at, _): (usize, &[u8])| {
        let generation = bytes.get(at + GENERATION_AT..)?.first_chunk()?;
        Some(Slot {
            at,
            generation: u64::from_le_bytes(*generation),
        })
    };
    Ok(starts.filter_map(slot).collect())
}

/// Turns the bits of one byte of the slot's payload over.
fn spoil(medium: &Path, slot: &Slot) -> Result<()> {
    let mut bytes = fs::read(medium)?;
    let Some(byte) = bytes.get_mut(slot.at + PAYLOAD_AT) else {
        bail!("a slot at the end of the medium")
    };
    *byte = !*byte;
    Ok(fs::write(medium, bytes)?)
}
