//! The config slots of a CD or its image (ECMA-119, also called ISO 9660): found by the plain names that every
//! such volume has, whatever further names lie beside them. Only reads; sizes and places are not believed.

use anyhow::{Context, Result, bail};
use plan::image::IMAGE_BYTES_MAX;
use plan::medium::{DIRECTORY, SLOTS};
use std::io::{Read, Seek, SeekFrom};

const SECTOR_BYTES: u64 = 2048;
/// Where the primary volume descriptor is.
const DESCRIPTOR_SECTOR: u64 = 16;
/// A descriptor that is a primary one, version 1.
const DESCRIPTOR: &[u8] = b"\x01CD001\x01";
/// The root directory's record in it.
const ROOT: usize = 156;
/// Far more than the directories of our CD take.
const DIRECTORY_BYTES_MAX: usize = 64 * 1024;

/// A file or directory: where it is, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    sector: u32,
    bytes: u32,
}

/// The slots on a CD; none where a file is missing.
pub(crate) fn slots(mut disc: impl Read + Seek) -> Result<[Vec<u8>; 2]> {
    let descriptor = Extent {
        sector: u32::try_from(DESCRIPTOR_SECTOR)?,
        bytes: u32::try_from(SECTOR_BYTES)?,
    };
    let descriptor = read(&mut disc, descriptor, DIRECTORY_BYTES_MAX)?;
    if !descriptor.starts_with(DESCRIPTOR) {
        bail!("there is no CD's volume");
    }
    let root = descriptor.get(ROOT..).and_then(record);
    let (root, _) = root.context("the CD has no root directory")?;
    let root = read(&mut disc, root, DIRECTORY_BYTES_MAX)?;
    let folder = match find(&root, DIRECTORY) {
        Some(folder) => read(&mut disc, folder, DIRECTORY_BYTES_MAX)?,
        None => bail!("the CD has no folder {DIRECTORY}, so no config"),
    };
    let mut slots = [Vec::new(), Vec::new()];
    for (slot, name) in slots.iter_mut().zip(SLOTS) {
        if let Some(file) = find(&folder, name) {
            *slot = read(&mut disc, file, IMAGE_BYTES_MAX)?;
        }
    }
    Ok(slots)
}

fn read(disc: &mut (impl Read + Seek), extent: Extent, bytes_max: usize) -> Result<Vec<u8>> {
    disc.seek(SeekFrom::Start(u64::from(extent.sector) * SECTOR_BYTES))?;
    let length = u64::from(extent.bytes).min(bytes_max as u64);
    let mut bytes = Vec::new();
    disc.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The entry of that name, in a directory's bytes. No record crosses the border of a sector: zeros fill it up.
fn find(directory: &[u8], name: &str) -> Option<Extent> {
    directory
        .chunks(usize::try_from(SECTOR_BYTES).ok()?)
        .find_map(|mut sector| {
            while let Some(length) = sector.first().filter(|length| **length > 0) {
                let (extent, found) = record(sector)?;
                if is_called(found, name) {
                    return Some(extent);
                }
                sector = sector.get(usize::from(*length)..)?;
            }
            None
        })
}

/// A directory record: where its file is, and what it is called.
fn record(bytes: &[u8]) -> Option<(Extent, &[u8])> {
    let number = |offset: usize| {
        let bytes = bytes.get(offset..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    };
    let extent = Extent {
        sector: number(2)?,
        bytes: number(10)?,
    };
    let name = bytes.get(33..)?.get(..usize::from(*bytes.get(32)?))?;
    Some((extent, name))
}

/// Without the version that files have behind a semicolon. The plain names know no hyphen: other characters
/// stand for it.
fn is_called(found: &[u8], name: &str) -> bool {
    let found = found.split(|byte| *byte == b';').next().unwrap_or_default();
    let alike = |(found, wanted): (&u8, u8)| found.eq_ignore_ascii_case(&wanted) || wanted == b'-';
    found.len() == name.len() && found.iter().zip(name.bytes()).all(alike)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn entry(name: &[u8], sector: u8, bytes: u16) -> Vec<u8> {
        let length = (33 + name.len()).next_multiple_of(2);
        let mut entry = vec![0; length];
        entry[0] = u8::try_from(length).unwrap();
        entry[2] = sector;
        entry[10..12].copy_from_slice(&bytes.to_le_bytes());
        entry[32] = u8::try_from(name.len()).unwrap();
        entry[33..33 + name.len()].copy_from_slice(name);
        entry
    }

    fn disc() -> Vec<u8> {
        let mut disc = vec![0; 24 * 2048];
        let mut put = |sector: usize, offset: usize, bytes: &[u8]| {
            let start = sector * 2048 + offset;
            disc[start..start + bytes.len()].copy_from_slice(bytes);
        };
        put(16, 0, DESCRIPTOR);
        put(16, ROOT, &entry(&[0], 18, 4096));
        // The wanted folder stands behind a sector that is filled up with zeros.
        put(18, 0, &entry(b"BOOT", 23, 2048));
        put(19, 0, &entry(b"POLLUX", 20, 2048));
        put(
            20,
            0,
            &[entry(&[0], 20, 2048), entry(b"SLOT_A.PLX;1", 21, 5)].concat(),
        );
        put(21, 0, b"image and more");
        disc
    }

    #[test]
    fn a_slot_is_found_by_its_plain_name() {
        let slots = slots(Cursor::new(disc())).unwrap();
        assert_eq!(slots, [b"image".to_vec(), Vec::new()]);
    }

    #[test]
    fn what_is_no_cd_says_so() {
        for length in [0, 100, 17 * 2048] {
            assert!(slots(Cursor::new(vec![0; length])).is_err());
        }
        let mut without = disc();
        without[19 * 2048 + 34] = b'X';
        let error = slots(Cursor::new(without)).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("the CD has no folder {DIRECTORY}, so no config")
        );
    }

    #[test]
    fn no_byte_of_a_torn_cd_leads_astray() {
        for position in (16 * 2048..21 * 2048).step_by(7) {
            let mut torn = disc();
            torn[position] ^= 0xff;
            let _ = slots(Cursor::new(torn));
        }
    }
}
