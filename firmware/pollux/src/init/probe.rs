//! Reading one block device for a config, in a process of its own: a stranger's filesystem, or a drive
//! that hangs, must not stop PID 1. Read only, unmounted at once; nothing but the three files of a
//! medium is opened.

use super::medium::Medium;
use crate::ipc::Channel;
use core::fmt;
use plan::image;
use plan::medium::{DIRECTORY, NODE, SLOTS};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use sys::{block, mount};

/// Where probes mount, each at its device's name.
const MOUNT_POINT: &str = "/run/pollux/medium";

/// Longest NODE.TXT.
const NODE_BYTES_MAX: u64 = 4096;

/// Address space of a probe. The largest valid config takes 60 MB while it is read; an image that is made to become
/// larger than that in memory ends the probe and nobody else.
const MEMORY_BYTES_MAX: u64 = 128 << 20;

/// What is read of a slot to learn how long its image is.
const HEAD_BYTES: u64 = 512;

/// From a probe to PID 1. The wire holds all of it at once; nothing is dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromProbe {
    /// The medium's newest valid image is in the file that both share; index into `SLOTS`.
    Image(u8),
    /// All else, last.
    Rest(Medium),
}

/// What this process does. The image goes to `file`: it may be far longer than a message.
pub fn run(device: &str, wire: OwnedFd, file: OwnedFd) -> Result<(), io::Error> {
    let failed = |error: &dyn fmt::Display| io::Error::other(error.to_string());
    sys::memory::bound(MEMORY_BYTES_MAX).map_err(|error| failed(&error))?;
    let mut channel = Channel::<FromProbe, ()>::new(wire)?;
    let mut medium = read(device).unwrap_or_else(|problem| Medium {
        place: device.into(),
        problems: vec![problem],
        ..Medium::default()
    });
    select(&mut medium);
    if let Some((slot, image)) = medium.slots.pop() {
        File::from(file).write_all(&image)?;
        let sent = channel.send(&FromProbe::Image(slot));
        sent.map_err(|error| failed(&error))?;
    }
    let sent = channel.send(&FromProbe::Rest(medium));
    sent.map_err(|error| failed(&error))
}

/// Keeps the newest valid image; what is wrong with another is a problem.
fn select(medium: &mut Medium) {
    let bytes: Vec<&[u8]> = medium.slots.iter().map(|(_, slot)| &**slot).collect();
    let image::Choice { newest, rejected } = image::newest(&bytes);
    for (position, error) in rejected {
        let name = medium.slot_name(position);
        medium.problems.push(format!("{name}: {error}"));
    }
    let newest = newest.map(|(position, _)| medium.slots.swap_remove(position));
    medium.slots = newest.into_iter().collect();
}

fn read(device: &str) -> Result<Medium, String> {
    let path = Path::new("/dev").join(device);
    match block::file_system(&path) {
        Ok(Some(_)) => {}
        Ok(None) => return Err("neither FAT nor ISO 9660".into()),
        Err(error) => return Err(error.to_string()),
    }
    let root = Path::new(MOUNT_POINT).join(device);
    let kind = mount::mount_medium(&path, &root).map_err(|error| error.to_string())?;
    let (directory, inside) = match find(&root, SLOTS[0]).or_else(|| find(&root, SLOTS[1])) {
        Some(_) => (root.clone(), String::new()),
        None => match find(&root, DIRECTORY) {
            Some(path) => (path, format!(", {DIRECTORY}/")),
            None => (root.clone(), String::new()),
        },
    };
    let mut medium = Medium {
        place: format!("{device} ({kind}{inside})"),
        ..Medium::default()
    };
    read_files(&directory, &mut medium);
    if let Err(error) = mount::unmount(&root) {
        medium.problems.push(error.to_string());
    }
    Ok(medium)
}

fn read_files(directory: &Path, medium: &mut Medium) {
    for (slot, name) in (0..).zip(SLOTS) {
        match find(directory, name).map(|path| read_slot(&path)) {
            Some(Ok(bytes)) => medium.slots.push((slot, bytes)),
            Some(Err(error)) => medium
                .problems
                .push(format!("{name} can't be read: {error}")),
            None => {}
        }
    }
    match find(directory, NODE).map(|path| read_file(&path, NODE_BYTES_MAX)) {
        Some(Ok(bytes)) => medium.node = Some(String::from_utf8_lossy(&bytes).into_owned()),
        Some(Err(error)) => medium
            .problems
            .push(format!("{NODE} can't be read: {error}")),
        None => {}
    }
}

/// The entry of this name, whatever its case.
fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    let same = |entry: &fs::DirEntry| entry.file_name().eq_ignore_ascii_case(OsStr::new(name));
    let mut entries = fs::read_dir(directory).ok()?.filter_map(Result::ok);
    entries.find(same).map(|entry| entry.path())
}

/// As much of a slot as its image takes, by its own word; of what is none, the beginning.
fn read_slot(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open(path)?;
    let mut bytes = Vec::new();
    Read::by_ref(&mut file)
        .take(HEAD_BYTES)
        .read_to_end(&mut bytes)?;
    let Some(image_bytes) = image::claimed_bytes(&bytes) else {
        return Ok(bytes);
    };
    let rest = u64::try_from(image_bytes.saturating_sub(bytes.len()));
    file.take(rest.unwrap_or(0)).read_to_end(&mut bytes)?;
    bytes.truncate(image_bytes);
    Ok(bytes)
}

fn read_file(path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(limit_bytes).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A pipe would make us wait for ever, and a link may lead off the medium: only files are opened.
fn open(path: &Path) -> io::Result<File> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    File::open(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::samples::config;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_files_are_read_and_no_more_than_the_limit() {
        let medium = std::env::temp_dir().join(format!("pollux-probe-{}", std::process::id()));
        fs::create_dir_all(medium.join("slot-a.plx")).unwrap();
        symlink("/dev/zero", medium.join("SLOT-B.PLX")).unwrap();
        fs::write(medium.join("node.txt"), vec![0xff; 100_000]).unwrap();
        let mut found = Medium::default();
        read_files(&medium, &mut found);
        fs::remove_dir_all(&medium).unwrap();
        let problems = [
            "SLOT-A.PLX can't be read: it is no file",
            "SLOT-B.PLX can't be read: it is no file",
        ];
        assert_eq!(
            (found.slots, found.problems),
            (vec![], problems.map(String::from).into())
        );
        assert_eq!(found.node.unwrap().chars().count(), 4096);
    }
    #[test]
    fn of_a_slot_only_its_image_is_read_and_of_a_medium_the_newest() {
        let medium = std::env::temp_dir().join(format!("pollux-slots-{}", std::process::id()));
        fs::create_dir_all(&medium).unwrap();
        let put = |name: &str, image: &[u8]| {
            let slot = [image, &[0xff; 70_000]].concat();
            fs::write(medium.join(name), slot).unwrap();
        };
        let image = |generation| image::encode(&config(), generation).unwrap();
        let read = || {
            let mut found = Medium::default();
            read_files(&medium, &mut found);
            select(&mut found);
            found
        };
        put("SLOT-A.PLX", &image(3));
        put("SLOT-B.PLX", &image(4));
        assert_eq!(read().slots, [(1, image(4))]);
        let mut torn = image(4);
        torn[100] ^= 1;
        put("SLOT-B.PLX", &torn);
        let found = read();
        assert_eq!(found.slots, [(0, image(3))]);
        assert!(found.problems[0].starts_with("SLOT-B.PLX: the image is damaged"));
        put("SLOT-A.PLX", b"PLXCONF\n\x03\0\0\0\xff\xff\xff\xff");
        let found = read();
        assert_eq!((found.slots.len(), found.problems.len()), (0, 2));
        fs::remove_dir_all(&medium).unwrap();
    }
}
