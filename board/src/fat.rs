//! Whether a FAT volume is whole, before the crate that reads and writes such volumes is let near it: that one
//! believes every number on the disk. Sizes fit the disk, and each file of the root has clusters that exist and
//! are its own (Microsoft's fatgen103). Only reads.

use anyhow::{Context, Result, ensure};
use core::mem::replace;
use std::io::{Read, Seek, SeekFrom};

/// The first cluster has this number.
const FIRST: u32 = 2;
const ENTRY_BYTES: usize = 32;
/// From here on a FAT's value ends a chain, as far as it has so many bits.
const END: u32 = 0xffff_fff8;
/// Attributes of an entry that has no clusters: a label, or a part of a long name.
const LABEL: u8 = 0x08;

/// Where things are on a volume.
struct Layout {
    fat_bits: u64,
    /// The first FAT: where, and how long, in bytes.
    fat: (u64, u64),
    root: Root,
    /// Where the first cluster begins, in bytes.
    data: u64,
    cluster_bytes: u64,
    clusters: u32,
}

/// The root directory.
enum Root {
    /// Where, and how long, in bytes.
    Apart(u64, u64),
    /// In clusters, from this one on.
    Cluster(u32),
}

/// The clusters of a volume.
struct Clusters {
    fat_bits: u64,
    fat: Vec<u8>,
    /// Who has it, by number: somebody, or nobody so far.
    taken: Vec<bool>,
}

/// Makes sure that a volume is whole.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(disk: &mut (impl Read + Seek)) -> Result<()> {
    let disk_bytes = disk.seek(SeekFrom::End(0))?;
    let boot = read(disk, 0, 512)?;
    let layout = layout(&boot, disk_bytes).context("there is no FAT volume")?;
    check_files(disk, &layout)
        .context("its file system is damaged: make it anew, or read it where it can be mounted")
}

fn check_files(disk: &mut (impl Read + Seek), layout: &Layout) -> Result<()> {
    let mut clusters = Clusters {
        fat_bits: layout.fat_bits,
        fat: read(disk, layout.fat.0, layout.fat.1)?,
        taken: vec![false; usize::try_from(layout.clusters)?],
    };
    let root = read_root(disk, layout, &mut clusters).context("the root directory")?;
    for entry in root.as_chunks::<ENTRY_BYTES>().0 {
        let Some(first) = first_cluster(entry, layout.fat_bits) else {
            break;
        };
        if first > 0 {
            let name = entry.first_chunk::<11>().map(|name| name.escape_ascii());
            let name = name.map(|name| name.to_string()).unwrap_or_default();
            clusters.take(first).context(name)?;
        }
    }
    Ok(())
}

fn read_root(
    disk: &mut (impl Read + Seek),
    layout: &Layout,
    clusters: &mut Clusters,
) -> Result<Vec<u8>> {
    let first = match layout.root {
        Root::Apart(offset, length) => return read(disk, offset, length),
        Root::Cluster(first) => first,
    };
    let (mut root, chain) = (Vec::new(), clusters.take(first)?);
    ensure!(!chain.is_empty(), "cluster {first} is free");
    for cluster in chain {
        let offset = layout.data + u64::from(cluster - FIRST) * layout.cluster_bytes;
        root.extend(read(disk, offset, layout.cluster_bytes)?);
    }
    Ok(root)
}

fn read(disk: &mut (impl Read + Seek), offset: u64, length: u64) -> Result<Vec<u8>> {
    disk.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    disk.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A number of up to four bytes, the lowest first; nothing behind the end.
fn number(bytes: &[u8], offset: usize, length: usize) -> u32 {
    let bytes = bytes.iter().skip(offset).take(length).rev();
    bytes.fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// From the boot sector; `None`: there is none, or it tells of more than the disk holds.
fn layout(boot: &[u8], disk_bytes: u64) -> Option<Layout> {
    let field = |offset, length| u64::from(number(boot, offset, length));
    let either = |short: u64, long: u64| if short > 0 { short } else { long };
    let (sector_bytes, per_cluster) = (field(11, 2), field(13, 1));
    let (reserved, fats, root_entries) = (field(14, 2), field(16, 1), field(17, 2));
    let sectors = either(field(19, 2), field(32, 4));
    let fat_sectors = either(field(22, 2), field(36, 4));
    let is_size = matches!(sector_bytes, 512 | 1024 | 2048 | 4096) && per_cluster > 0;
    if !is_size || sectors.checked_mul(sector_bytes)? > disk_bytes {
        return None;
    }
    let root_sector = reserved + fats * fat_sectors;
    let root_bytes = root_entries * ENTRY_BYTES as u64;
    let data_sector = root_sector + root_bytes.div_ceil(sector_bytes);
    let clusters = u32::try_from(sectors.checked_sub(data_sector)? / per_cluster).ok()?;
    let fat_bits = match clusters {
        0..4085 => 12,
        4085..65_525 => 16,
        _ => 32,
    };
    let fat_bytes = fat_sectors * sector_bytes;
    let has_room = (u64::from(clusters) + u64::from(FIRST)) * fat_bits <= fat_bytes * 8;
    // Else one of several FATs counts, which nobody writes.
    let are_alike = fat_bits < 32 || field(40, 2) & 0x80 == 0;
    let root = match fat_bits {
        32 => Root::Cluster(number(boot, 44, 4)),
        _ => Root::Apart(root_sector * sector_bytes, root_bytes),
    };
    (has_room && are_alike && fats > 0 && reserved > 0).then_some(Layout {
        fat_bits,
        fat: (reserved * sector_bytes, fat_bytes),
        root,
        data: data_sector * sector_bytes,
        cluster_bytes: per_cluster * sector_bytes,
        clusters,
    })
}

/// Where an entry's file begins, 0 if it has no clusters; `None` behind the last entry.
fn first_cluster(entry: &[u8; ENTRY_BYTES], fat_bits: u64) -> Option<u32> {
    let [state, ..] = *entry;
    let is_label = number(entry, 11, 1) & u32::from(LABEL) != 0;
    match state {
        0 => None,
        0xe5 => Some(0),
        _ if is_label => Some(0),
        _ if fat_bits == 32 => Some(number(entry, 20, 2) << 16 | number(entry, 26, 2)),
        _ => Some(number(entry, 26, 2)),
    }
}

impl Clusters {
    /// All clusters from this one on; nobody else may have them. None if the first is free: whoever was about to
    /// replace the file was interrupted.
    fn take(&mut self, first: u32) -> Result<Vec<u32>> {
        let (mut chain, mut cluster) = (Vec::new(), first);
        loop {
            let next = self.value(cluster)?;
            let place = cluster
                .checked_sub(FIRST)
                .map(usize::try_from)
                .transpose()?;
            let taken = place.and_then(|place| self.taken.get_mut(place));
            let taken = taken.with_context(|| format!("there is no cluster {cluster}"))?;
            if next == 0 && cluster == first {
                return Ok(chain);
            }
            ensure!(!replace(taken, true), "cluster {cluster} is there twice");
            chain.push(cluster);
            if next >= END & self.mask() {
                return Ok(chain);
            }
            cluster = next;
        }
    }

    /// What the FAT says of a cluster: the one behind, 0 for free, or `END`.
    fn value(&self, cluster: u32) -> Result<u32> {
        let (cluster, bits) = (u64::from(cluster), self.fat_bits);
        let offset = usize::try_from(cluster * bits / 8)?;
        let value = number(&self.fat, offset, 4);
        // Of 12 bits, those of odd clusters begin in the middle of a byte.
        let shift = cluster * bits % 8;
        Ok(value >> shift & self.mask())
    }

    /// Of 32 bits, the upper four say nothing.
    fn mask(&self) -> u32 {
        match self.fat_bits {
            12 => 0xfff,
            16 => 0xffff,
            _ => 0x0fff_ffff,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// FAT12 as on a floppy: a FAT of one sector, a root of 16 entries, a file of clusters 2 and 3.
    fn floppy() -> Vec<u8> {
        let mut disk = vec![0; 32 * 512];
        let boot = [0, 2, 1, 1, 0, 1, 16, 0, 32, 0, 0xf0, 1, 0];
        disk[11..24].copy_from_slice(&boot);
        disk[512..518].copy_from_slice(&[0xf0, 0xff, 0xff, 0x03, 0xf0, 0xff]);
        disk[1024..1035].copy_from_slice(b"A       TXT");
        (disk[1024 + 26], disk[1024 + 28]) = (2, 200);
        disk
    }

    /// FAT32, as long as it has to be, its root in cluster 2.
    fn stick() -> Vec<u8> {
        let mut disk = vec![0; 66_600 * 512];
        disk[11..17].copy_from_slice(&[0, 2, 1, 32, 0, 1]);
        disk[32..36].copy_from_slice(&66_600_u32.to_le_bytes());
        disk[36..40].copy_from_slice(&520_u32.to_le_bytes());
        disk[44] = 2;
        disk[32 * 512 + 8..32 * 512 + 12].copy_from_slice(&0x0fff_ffff_u32.to_le_bytes());
        disk
    }

    fn problem(disk: &[u8]) -> String {
        let error = check(&mut Cursor::new(disk)).unwrap_err();
        let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
        chain[1..].join(": ")
    }

    fn is_none(disk: &[u8]) -> bool {
        let error = check(&mut Cursor::new(disk)).unwrap_err();
        error.to_string() == "there is no FAT volume"
    }

    #[test]
    fn a_whole_volume_is_let_through() {
        for disk in [floppy(), stick()] {
            check(&mut Cursor::new(disk)).unwrap();
        }
    }

    #[test]
    fn a_file_in_a_cluster_that_is_not_there_is_found() {
        for (cluster, what) in [(1, 1), (200, 200)] {
            let mut disk = floppy();
            disk[1024 + 26] = cluster;
            let expected = format!("A       TXT: there is no cluster {what}");
            assert_eq!(problem(&disk), expected);
        }
        let mut disk = floppy();
        // Found by fuzzing (target `volume`): the chain goes on in cluster 1.
        disk[515] = 1;
        assert_eq!(problem(&disk), "A       TXT: there is no cluster 1");
    }

    #[test]
    fn a_chain_that_ends_in_free_clusters_is_found_but_not_a_file_about_to_be_replaced() {
        let mut disk = floppy();
        // Found by fuzzing (target `volume`): somebody else could get cluster 3.
        disk[516..518].fill(0);
        assert_eq!(problem(&disk), "A       TXT: there is no cluster 0");
        disk[515..518].fill(0);
        check(&mut Cursor::new(disk)).unwrap();
    }

    #[test]
    fn chains_without_end_and_shared_ones_are_found() {
        let mut disk = floppy();
        disk[515] = 2;
        assert_eq!(problem(&disk), "A       TXT: cluster 2 is there twice");
        let mut disk = floppy();
        disk.copy_within(1024..1056, 1056);
        assert_eq!(problem(&disk), "A       TXT: cluster 2 is there twice");
        let mut disk = stick();
        disk[32 * 512 + 8..32 * 512 + 12].copy_from_slice(&2_u32.to_le_bytes());
        assert_eq!(
            problem(&disk),
            "the root directory: cluster 2 is there twice"
        );
    }

    #[test]
    fn a_volume_larger_than_its_disk_or_unlike_any_is_none() {
        for length in [0, 100, 31 * 512] {
            assert!(is_none(&floppy()[..length]));
        }
        for (offset, byte) in [(12, 3), (13, 0), (14, 0), (16, 0), (18, 9), (22, 0)] {
            let mut disk = floppy();
            disk[offset] = byte;
            assert!(is_none(&disk), "byte {offset}");
        }
        let mut disk = stick();
        disk[40] = 0x81;
        assert!(is_none(&disk));
    }
}
