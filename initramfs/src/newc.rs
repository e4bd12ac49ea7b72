//! The newc cpio format as the kernel reads it (Documentation/driver-api/early-userspace/buffer-format.rst, init/initramfs.c).
//! Entries come out sorted, owned by root, dated 1970 and numbered in order: nothing of the building machine gets in.

use anyhow::{Result, bail};
use std::collections::BTreeMap;

const MAGIC: &str = "070701";
const TRAILER: &str = "TRAILER!!!";
const ALIGNMENT_BYTES: usize = 4;

const S_IFDIR: u32 = 0o040_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFREG: u32 = 0o100_000;

/// What is to be packed, by name. A folder sorts before what lies in it, which is the order the kernel needs.
#[derive(Default)]
pub(crate) struct Archive {
    entries: BTreeMap<String, Entry>,
}

#[derive(Default)]
struct Entry {
    mode: u32,
    device: (u32, u32),
    content: Vec<u8>,
}

impl Archive {
    /// Adds a folder; `permissions` are the nine bits of `chmod`.
    pub(crate) fn folder(&mut self, name: &str, permissions: u32) -> Result<()> {
        self.add(
            name,
            Entry {
                mode: S_IFDIR | permissions,
                ..Entry::default()
            },
        )
    }

    /// Adds a regular file with its content.
    pub(crate) fn file(&mut self, name: &str, permissions: u32, content: &[u8]) -> Result<()> {
        self.add(
            name,
            Entry {
                mode: S_IFREG | permissions,
                content: content.to_vec(),
                ..Entry::default()
            },
        )
    }

    /// Adds a character device node.
    pub(crate) fn character_device(
        &mut self,
        name: &str,
        permissions: u32,
        major: u32,
        minor: u32,
    ) -> Result<()> {
        self.add(
            name,
            Entry {
                mode: S_IFCHR | permissions,
                device: (major, minor),
                ..Entry::default()
            },
        )
    }

    fn add(&mut self, name: &str, entry: Entry) -> Result<()> {
        if name.is_empty() || name.starts_with('/') || name.contains('\0') {
            bail!("{name:?} is no name for an archive: write a relative path");
        }
        if self.entries.insert(name.to_owned(), entry).is_some() {
            bail!("{name} is in the archive twice");
        }
        Ok(())
    }

    /// The archive's bytes. Fails when a file is larger than the format can say (4 GiB).
    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        for (number, (name, entry)) in (1..).zip(&self.entries) {
            emit(&mut out, number, name, entry)?;
        }
        emit(&mut out, 0, TRAILER, &Entry::default())?;
        Ok(out)
    }
}

/// One entry: the header's thirteen numbers of eight hex digits, the name with its NUL, the content, each padded.
fn emit(out: &mut Vec<u8>, number: u32, name: &str, entry: &Entry) -> Result<()> {
    let links = if entry.mode & S_IFDIR == S_IFDIR {
        2
    } else {
        1
    };
    let (owner, group, date, checksum) = (0, 0, 0, 0);
    let (major, minor) = entry.device;
    let content_bytes = u32::try_from(entry.content.len())?;
    let name_bytes = u32::try_from(name.len() + 1)?;
    out.extend_from_slice(MAGIC.as_bytes());
    for field in [
        number,
        entry.mode,
        owner,
        group,
        links,
        date,
        content_bytes,
        0,
        0,
        major,
        minor,
        name_bytes,
        checksum,
    ] {
        out.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(&entry.content);
    pad(out);
    Ok(())
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(ALIGNMENT_BYTES), 0);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
pub(crate) mod tests {
    use super::*;

    const HEADER_BYTES: usize = 110;

    /// The names in an archive, in its order, without the trailer.
    pub(crate) fn names(archive: &[u8]) -> Vec<String> {
        let mut names = Vec::new();
        let mut rest = archive;
        loop {
            let field = |index: usize| {
                let digits = std::str::from_utf8(&rest[6 + index * 8..14 + index * 8]).unwrap();
                usize::from_str_radix(digits, 16).unwrap()
            };
            let (content_bytes, name_bytes) = (field(6), field(11));
            let name =
                std::str::from_utf8(&rest[HEADER_BYTES..HEADER_BYTES + name_bytes - 1]).unwrap();
            if name == TRAILER {
                return names;
            }
            names.push(name.to_owned());
            let content_at = (HEADER_BYTES + name_bytes).next_multiple_of(ALIGNMENT_BYTES);
            rest = &rest[(content_at + content_bytes).next_multiple_of(ALIGNMENT_BYTES)..];
        }
    }

    #[test]
    fn an_empty_archive_is_its_trailer() {
        let archive = Archive::default().finish().unwrap();
        // Number, mode, owner, group, links, date, content, device, device, device, device, name, checksum.
        let fields = [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 11, 0];
        let header: String = fields.iter().map(|field| format!("{field:08x}")).collect();
        assert_eq!(
            archive,
            format!("{MAGIC}{header}{TRAILER}\0\0\0\0").as_bytes()
        );
    }

    #[test]
    fn the_order_of_adding_does_not_matter() {
        let mut one = Archive::default();
        one.file("init", 0o755, b"abcde").unwrap();
        one.folder("dev", 0o755).unwrap();
        let mut other = Archive::default();
        other.folder("dev", 0o755).unwrap();
        other.file("init", 0o755, b"abcde").unwrap();
        let bytes = one.finish().unwrap();
        assert_eq!(bytes, other.finish().unwrap());
        assert_eq!(names(&bytes), ["dev", "init"]);
        assert_eq!(bytes.len() % ALIGNMENT_BYTES, 0);
    }

    #[test]
    fn names_that_would_leave_the_root_or_clash_are_refused() {
        let mut archive = Archive::default();
        assert!(archive.folder("/dev", 0o755).is_err());
        assert!(archive.folder("", 0o755).is_err());
        archive.folder("dev", 0o755).unwrap();
        assert!(archive.folder("dev", 0o755).is_err());
    }
}
