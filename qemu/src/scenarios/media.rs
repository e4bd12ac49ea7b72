//! Config media that are late, torn or corrupt. Damage is done to the image's bytes, as a pulled stick or a bad
//! floppy would do it.

use super::stage::{Carrier, Lone, Stage, ensure, line_with};
use crate::config::PairConfig;
use crate::net::NODES;
use crate::pair::{BOOT_TIMEOUT, is_active, straight};
use crate::tools::Image;
use crate::vm::arguments::Medium;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

/// First bytes of a slot (see plan::image).
const MAGIC: &[u8] = b"PLXCONF\n";
/// Offset of the payload's length, 4 bytes, little-endian.
const LENGTH_AT: usize = 12;
/// Offset of a slot's generation, 8 bytes, little-endian.
const GENERATION_AT: usize = 16;
/// Header and CRC.
const OVERHEAD_BYTES: usize = 28;
/// Somewhere in the payload of any config.
const PAYLOAD_AT: usize = 64;
const SECTOR_BYTES: usize = 512;

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

/// One byte of the newer slot is bad.
pub fn spoilt(stage: &mut Stage) -> Result<()> {
    let lone = stage.lone(&PairConfig::default(), Carrier::Floppy, |_| ())?;
    write_again(stage, &lone)?;
    let slots = slots(&lone.medium)?;
    let newest = newest(&slots)?;
    ensure(
        slots.len() == 2,
        "a medium written twice should have two slots",
        &slots.len().to_string(),
    )?;
    spoil(&lone.medium, newest)?;
    falls_back(&lone, newest.generation - 1)
}

/// The stick was pulled while its older slot was written anew: up to some byte it has the new image, behind that
/// what was there. At each such byte one generation is left, and the box takes it.
pub fn torn(stage: &mut Stage) -> Result<()> {
    let straight = straight(&stage.world.tools, &stage.world.tools.initramfs);
    let lone = stage.lone(&PairConfig::default(), Carrier::Disk, |hardware| {
        hardware.boot = straight;
    })?;
    write_again(stage, &lone)?;
    let before = fs::read(&lone.medium)?;
    // A longer config, so that the old image's end does not lie where the new one's does.
    let longer = PairConfig {
        has_all_services: true,
        ..PairConfig::default()
    };
    fs::write(&lone.config, longer.to_toml())?;
    write_again(stage, &lone)?;
    let after = fs::read(&lone.medium)?;
    let slots = slots(&lone.medium)?;
    let slot = newest(&slots)?;
    let tear = |bytes: usize| -> Result<()> {
        let end = slot.at + bytes;
        let torn = [after.get(slot.at..end), before.get(end..)];
        let [Some(new), Some(old)] = torn else {
            bail!("a slot at the end of the medium");
        };
        let start = before.get(..slot.at).unwrap_or_default();
        Ok(fs::write(&lone.medium, [start, new, old].concat())?)
    };
    // Wherever it is cut, polluxctl reads what the box would: the same code.
    let size = slot.bytes;
    let mut cuts: Vec<_> = (0..size).step_by(SECTOR_BYTES).skip(1).collect();
    cuts.extend([
        LENGTH_AT + 2,
        GENERATION_AT + 1,
        PAYLOAD_AT,
        size / 2,
        size - 1,
    ]);
    for bytes in cuts {
        tear(bytes)?;
        let text = stage.world.tools.show(&lone.medium)?;
        let what = format!("cut at byte {bytes} of {size}, the older config should be left");
        ensure(!text.contains("2001:db8:1::10]:81"), &what, &text)?;
    }
    for bytes in [PAYLOAD_AT, size - 1] {
        tear(bytes)?;
        falls_back(&lone, slot.generation - 1)?;
        lone.machine.power_cut();
    }
    Ok(())
}

pub fn corrupt(stage: &mut Stage) -> Result<()> {
    let lone = stage.lone(&PairConfig::default(), Carrier::Floppy, |_| ())?;
    write_again(stage, &lone)?;
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
    let tools = &stage.world.tools;
    tools.write_medium(&lone.config, NODES[0], Image::Usb, &good)?;
    lone.machine.plug(&Medium::Usb(good))?;
    console.wait_for(mark, "`active, ready`", BOOT_TIMEOUT, is_active)?;
    Ok(())
}

/// Puts the config into the older slot.
fn write_again(stage: &Stage, lone: &Lone) -> Result<()> {
    let tools = &stage.world.tools;
    // The kind of an existing medium is its own.
    tools.write_medium(&lone.config, NODES[0], Image::Usb, &lone.medium)
}

/// The box runs with that generation, and says what is wrong with the other.
fn falls_back(lone: &Lone, generation: u64) -> Result<()> {
    let mark = lone.boot()?;
    let lines = lone.lines_since(mark);
    line_with(&lines, &format!("config: generation {generation} from "))?;
    line_with(&lines, ".PLX: ").map(drop)
}

/// Spoils the newer slot of a medium.
pub fn spoil_newest(medium: &Path) -> Result<()> {
    spoil(medium, newest(&slots(medium)?)?)
}

/// A slot in the bytes of a medium.
struct Slot {
    at: usize,
    generation: u64,
    /// Header, payload and CRC.
    bytes: usize,
}

fn newest(slots: &[Slot]) -> Result<&Slot> {
    let newest = slots.iter().max_by_key(|slot| slot.generation);
    newest.context("no slot on the medium")
}

fn slots(medium: &Path) -> Result<Vec<Slot>> {
    let bytes = fs::read(medium)?;
    let starts = bytes
        .windows(MAGIC.len())
        .enumerate()
        .filter(|(_, window)| *window == MAGIC);
    let slot = |(at, _): (usize, &[u8])| {
        let generation = bytes.get(at + GENERATION_AT..)?.first_chunk()?;
        let payload = bytes.get(at + LENGTH_AT..)?.first_chunk()?;
        let payload = usize::try_from(u32::from_le_bytes(*payload)).ok()?;
        Some(Slot {
            at,
            generation: u64::from_le_bytes(*generation),
            bytes: payload + OVERHEAD_BYTES,
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
