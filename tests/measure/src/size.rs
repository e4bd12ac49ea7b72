//! How large the product is: bytes of /init and of the ISO, and the least RAM with which the ISO becomes a box that is ready.

use crate::Built;
use crate::report::{Report, Row};
use crate::vm::{Machine, Twin, drive};
use anyhow::{Context, Result};
use std::path::Path;
use std::time::Duration;

const INIT_BYTES_MAX: f64 = 1024.0 * 1024.0;
const ISO_BYTES_MAX: f64 = 12.0 * 1024.0 * 1024.0;
const RAM_MIB_MAX: u32 = 64;
const RAM_MIB_STEP: usize = 4;
const RAM_MIB_MIN: u32 = 32;

/// A box that is not ready by then does not live in that much memory.
const LIMIT: Duration = Duration::from_secs(60);

/// Measures all three.
pub(crate) fn measure(built: &Built) -> Result<Report> {
    Ok(Report::new([
        Row::new("init", "release", "bytes", vec![bytes(&built.init)?])
            .map(|row| row.limit(INIT_BYTES_MAX)),
        Row::new("iso", "release", "bytes", vec![bytes(&built.iso)?])
            .map(|row| row.limit(ISO_BYTES_MAX)),
        Row::new("ram", "bios", "MiB", least_ram(built)?)
            .map(|row| row.limit(f64::from(RAM_MIB_MAX))),
    ]))
}

#[allow(clippy::cast_precision_loss)] // files are far smaller than 2^52 bytes
fn bytes(path: &Path) -> Result<f64> {
    let metadata = path
        .metadata()
        .with_context(|| format!("measuring {}", path.display()))?;
    Ok(metadata.len() as f64)
}

/// The least memory, in steps, with which a box gets ready; nothing when the allowed amount is too little.
fn least_ram(built: &Built) -> Result<Vec<f64>> {
    let mut least = None;
    for memory_mib in (RAM_MIB_MIN..=RAM_MIB_MAX).rev().step_by(RAM_MIB_STEP) {
        let mut arguments = drive("floppy", built.floppy.as_os_str()).to_vec();
        arguments.extend([
            "-cdrom".into(),
            built.iso.clone().into(),
            "-boot".into(),
            "d".into(),
        ]);
        // Without a twin, a box that is ready is soon active.
        let machine = Machine::boot(memory_mib, Twin::None, &arguments)?;
        let ready = machine.wait_for("active, ready", LIMIT).is_ok();
        eprintln!(
            "bench: {memory_mib} MiB: {}",
            if ready { "ready" } else { "not ready" }
        );
        if !ready {
            break;
        }
        least = Some(f64::from(memory_mib));
    }
    Ok(least.into_iter().collect())
}
