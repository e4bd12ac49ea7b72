//! Boot paths: each value of firmware, boot medium and config medium in a combination that people use. A box
//! without a twin must find its config and become active.

use super::stage::{Carrier, Lone, Stage, ensure, line_with, uefi};
use crate::config::PairConfig;
use crate::vm::arguments::{Boot, Hardware};
use anyhow::Result;
use std::path::PathBuf;

pub fn bios_cd_floppy(stage: &mut Stage) -> Result<()> {
    check(stage, Carrier::Floppy, "fd0", |_, _| ())
}

pub fn bios_usb_stick(stage: &mut Stage) -> Result<()> {
    check(stage, Carrier::Stick, "sd", from_usb)
}

pub fn uefi_cd_stick(stage: &mut Stage) -> Result<()> {
    check(stage, Carrier::Stick, "sd", |hardware, _| uefi(hardware))
}

pub fn uefi_usb_floppy(stage: &mut Stage) -> Result<()> {
    check(stage, Carrier::Floppy, "fd0", |hardware, iso| {
        uefi(hardware);
        from_usb(hardware, iso);
    })
}

pub fn uefi_usb_disk(stage: &mut Stage) -> Result<()> {
    check(stage, Carrier::Disk, "vda", |hardware, iso| {
        uefi(hardware);
        from_usb(hardware, iso);
    })
}

pub fn bios_cd_cd(stage: &mut Stage) -> Result<()> {
    let config = PairConfig::default();
    let iso = stage.iso_with_config(&config)?;
    let lone = stage.lone(&config, Carrier::None, |hardware| {
        hardware.boot = Boot::Cd(iso);
    })?;
    boots_from(&lone, "sr0")
}

pub fn small_memory(stage: &mut Stage) -> Result<()> {
    let config = PairConfig {
        has_all_services: true,
        ..PairConfig::default()
    };
    let lone = stage.lone(&config, Carrier::Floppy, |hardware| {
        hardware.memory_mib = 64;
    })?;
    lone.boot()?;
    let status = lone.status()?;
    line_with(&status, "RAM").map(drop)
}

fn from_usb(hardware: &mut Hardware, iso: PathBuf) {
    hardware.boot = Boot::Usb(iso);
}

fn check(
    stage: &mut Stage,
    carrier: Carrier,
    place: &str,
    change: impl FnOnce(&mut Hardware, PathBuf),
) -> Result<()> {
    let iso = stage.world.tools.iso.clone();
    let lone = stage.lone(&PairConfig::default(), carrier, |hardware| {
        change(hardware, iso);
    })?;
    boots_from(&lone, place)
}

/// The box is active and says that its config came from `place`.
fn boots_from(lone: &Lone, place: &str) -> Result<()> {
    let mark = lone.boot()?;
    let lines = lone.lines_since(mark);
    let line = line_with(&lines, "config: generation")?;
    ensure(
        line.contains(&format!("from {place}")),
        &format!("the config should come from {place}"),
        line,
    )?;
    let status = lone.status()?;
    line_with(&status, "castor: active, ready").map(drop)
}
