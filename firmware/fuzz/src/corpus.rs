//! Inputs that are kept, one a line: in `corpus/NAME.hex` those that together reach all that long runs reached,
//! chosen anew now and then; in `corpus/NAME-broke.hex` those that once broke something, for good. Text, so that
//! a change of one shows; small, since a run begins with them all.

use crate::Target;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of hex kept for a target; the shortest inputs go first.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// Behind the target's name: what reaches far, and what broke something.
const FAR: &str = "";
const BROKE: &str = "-broke";

fn file(target: &Target, which: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("corpus")
        .join(format!("{}{which}.hex", target.name))
}

/// What a run begins with: the target's seeds, and what was kept.
///
/// # Errors
/// A line that is no hex.
pub fn starters(target: &Target) -> Result<Vec<Vec<u8>>> {
    let mut starters = (target.seeds)();
    for file in [FAR, BROKE].map(|which| file(target, which)) {
        // A new target has kept nothing yet.
        let kept = fs::read_to_string(&file).unwrap_or_default();
        for line in kept.lines() {
            starters.push(bytes(line).with_context(|| format!("reading {}", file.display()))?);
        }
    }
    Ok(starters)
}

/// Keeps the inputs in a folder in place of those kept before, but for what broke something; says how many
/// found room.
///
/// # Errors
/// A folder that can't be read, a file that can't be written.
pub fn keep(target: &Target, folder: &Path) -> Result<usize> {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        inputs.push(fs::read(entry?.path()).context("reading an input")?);
    }
    inputs.sort_by_key(|input| (input.len(), input.clone()));
    let (mut text, mut kept) = (String::new(), 0);
    for input in inputs {
        if text.len() + 2 * input.len() < KEPT_BYTES_MAX {
            text.extend(input.iter().map(|byte| format!("{byte:02x}")));
            text.push('\n');
            kept += 1;
        }
    }
    let file = file(target, FAR);
    fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    Ok(kept)
}

/// The bytes of a line of hex.
pub(crate) fn bytes(line: &str) -> Result<Vec<u8>> {
    let (pairs, odd) = line.as_bytes().as_chunks::<2>();
    if !odd.is_empty() {
        bail!("a line of hex with an odd number of digits");
    }
    let byte = |pair: &[u8; 2]| Ok(u8::from_str_radix(core::str::from_utf8(pair)?, 16)?);
    pairs.iter().map(byte).collect()
}
