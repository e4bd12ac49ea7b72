//! Reading one block device for a config, in a process of its own: a stranger's filesystem, or a drive
//! that hangs, must not stop PID 1. Read only, unmounted at once; nothing but the three files of a
//! medium is opened.

use super::medium::Medium;
use crate::ipc::Channel;
use plan::image::IMAGE_BYTES_MAX;
use plan::medium::{DIRECTORY, NODE, SLOTS};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use sys::{block, mount};

/// Where probes mount, each at its device's name.
const MOUNT_POINT: &str = "/run/pollux/medium";

/// Longest NODE.TXT.
const NODE_BYTES_MAX: u64 = 4096;

/// From a probe to PID 1. The wire holds all of it at once; nothing is dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromProbe {
    /// A slot: index into `SLOTS`, and its bytes.
    Slot(u8, Vec<u8>),
    /// All else, last.
    Rest(Medium),
}

/// What this process does.
pub fn run(device: &str, wire: OwnedFd) -> Result<(), io::Error> {
    let mut channel = Channel::<FromProbe, ()>::new(wire)?;
    let mut medium = read(device).unwrap_or_else(|problem| Medium {
        place: device.into(),
        problems: vec![problem],
        ..Medium::default()
    });
    for (slot, bytes) in medium.slots.drain(..) {
        let sent = channel.send(&FromProbe::Slot(slot, bytes));
        sent.map_err(|error| io::Error::other(error.to_string()))?;
    }
    let sent = channel.send(&FromProbe::Rest(medium));
    sent.map_err(|error| io::Error::other(error.to_string()))
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
        // One byte more, so that a file that is too long is seen to be.
        let limit = u64::try_from(IMAGE_BYTES_MAX)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        match find(directory, name).map(|path| read_file(&path, limit)) {
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

/// A pipe would make us wait for ever, and a link may lead off the medium: only files are opened.
fn read_file(path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(limit_bytes)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
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
}
