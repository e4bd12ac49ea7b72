//! Block devices, as /sys/class/block lists them, and what kind of file system the first sectors of one
//! speak of. Partitions are listed like whole disks: a config medium may be either.

use crate::Error;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A block device or a partition of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockDevice {
    /// The kernel's name: `sda1`, `fd0`, `sr0`.
    pub name: String,
    /// 0 for an empty drive; a floppy drive has a size without a floppy too.
    pub size_bytes: u64,
    /// The medium can be taken out, or the device can.
    pub is_removable: bool,
    /// A part of another device.
    pub is_partition: bool,
}

impl BlockDevice {
    /// `/dev/sda1`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }
}

/// What the first sectors speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// FAT12, FAT16, FAT32.
    Fat,
    /// A CD, or a USB stick written with the ISO.
    Iso9660,
}

/// Every block device that can hold a medium (no RAM disks, no loops), by name, ascending.
///
/// # Errors
/// ENOENT where sysfs is not mounted.
pub fn list() -> Result<Vec<BlockDevice>, Error> {
    list_below(Path::new("/sys/class/block"))
}

fn list_below(directory: &Path) -> Result<Vec<BlockDevice>, Error> {
    let failed = |error| Error::io("listing")(error).on(directory.display());
    let mut devices = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        // One that goes away while we look is not there.
        let Ok(entry) = entry else { continue };
        let name = entry.file_name().to_string_lossy().into_owned();
        if !["ram", "loop", "zram", "nbd", "dm-"]
            .iter()
            .any(|kind| name.starts_with(kind))
        {
            devices.push(device(&entry.path(), name));
        }
    }
    devices.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(devices)
}

fn device(directory: &Path, name: String) -> BlockDevice {
    let is_partition = directory.join("partition").exists();
    // A partition's entry links into its disk's: the disk's word counts for both.
    let disk = fs::canonicalize(directory).ok();
    let disk = disk.as_deref().and_then(|path| {
        if is_partition {
            path.parent()
        } else {
            Some(path)
        }
    });
    let sectors = number(&directory.join("size")).unwrap_or(0);
    BlockDevice {
        name,
        size_bytes: sectors.saturating_mul(512),
        is_removable: disk.and_then(|disk| number(&disk.join("removable"))) == Some(1),
        is_partition,
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Looks at the first sectors; `None`: neither, or blank.
///
/// # Errors
/// ENXIO or ENOMEDIUM for an empty drive, EIO for an unreadable one.
pub fn file_system(device: &Path) -> Result<Option<FileSystem>, Error> {
    let failed = |error| Error::io("reading")(error).on(device.display());
    let mut file = File::open(device).map_err(failed)?;
    // A floppy drive takes a second for what the kernel would read ahead. It may refuse to do without.
    let _ = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_RANDOM);
    let (mut boot, mut volume) = ([0; 512], [0; 6]);
    read_at(&mut file, 0, &mut boot).map_err(failed)?;
    // ECMA-119: volume descriptors begin at sector 16 of 2048 bytes.
    read_at(&mut file, 16 * 2048, &mut volume).map_err(failed)?;
    Ok(recognise(&boot, &volume))
}

/// Reads what there is; a device may end before.
fn read_at(file: &mut File, at: u64, mut bytes: &mut [u8]) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    while !bytes.is_empty() {
        match file.read(bytes) {
            Ok(0) => return Ok(()),
            Ok(got) => bytes = bytes.get_mut(got..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The file system that the boot sector and the start of sector 16 (of 2048 bytes) speak of.
#[must_use]
pub fn recognise(boot: &[u8; 512], volume: &[u8; 6]) -> Option<FileSystem> {
    // A hybrid ISO has a boot sector too, so its own mark goes first.
    if volume == b"\x01CD001" {
        return Some(FileSystem::Iso9660);
    }
    // The FAT boot sector (Microsoft's fatgen103): a jump, 512 to 4096 bytes a sector, one or two FATs,
    // a media byte, 55 AA.
    let [
        jump,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        size_low,
        size_high,
        _,
        _,
        _,
        fats,
        ..,
    ] = *boot;
    let media = boot.get(21).copied().unwrap_or(0);
    let sector_bytes = u16::from_le_bytes([size_low, size_high]);
    let is_fat = matches!(jump, 0xeb | 0xe9)
        && matches!(sector_bytes, 512 | 1024 | 2048 | 4096)
        && matches!(fats, 1 | 2)
        && media >= 0xf0
        && boot.ends_with(&[0x55, 0xaa]);
    is_fat.then_some(FileSystem::Fat)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn fat_iso_and_blank_are_told_apart() {
        let mut boot = [0; 512];
        boot[..3].copy_from_slice(&[0xeb, 0x3c, 0x90]);
        boot[11..13].copy_from_slice(&512_u16.to_le_bytes());
        (boot[16], boot[21], boot[510], boot[511]) = (2, 0xf0, 0x55, 0xaa);
        assert_eq!(recognise(&boot, &[0; 6]), Some(FileSystem::Fat));
        assert_eq!(recognise(&boot, b"\x01CD001"), Some(FileSystem::Iso9660));
        assert_eq!(recognise(&[0; 512], &[0; 6]), None);
        boot[16] = 3;
        assert_eq!(recognise(&boot, &[0; 6]), None);
    }

    #[test]
    fn sysfs_is_read_as_it_lies() {
        let root = std::env::temp_dir().join(format!("pollux-block-{}", std::process::id()));
        for (file, text) in [
            ("devices/sda/size", "2048\n"),
            ("devices/sda/removable", "1\n"),
            ("devices/sda/sda1/size", "1024\n"),
            ("devices/sda/sda1/partition", "1\n"),
            ("devices/loop0/size", "8\n"),
        ] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), text).unwrap();
        }
        let class = root.join("class");
        fs::create_dir_all(&class).unwrap();
        for (name, to) in [("sda", "sda"), ("sda1", "sda/sda1"), ("loop0", "loop0")] {
            std::os::unix::fs::symlink(root.join("devices").join(to), class.join(name)).unwrap();
        }
        let seen = list_below(&class).unwrap();
        fs::remove_dir_all(&root).unwrap();
        let expect = |name: &str, size_bytes, is_partition| BlockDevice {
            name: name.into(),
            size_bytes,
            is_removable: true,
            is_partition,
        };
        assert_eq!(
            seen,
            [expect("sda", 1 << 20, false), expect("sda1", 1 << 19, true)]
        );
    }
}
