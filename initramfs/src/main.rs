//! Writes the initramfs of a box: `/init`, and the console node that the kernel opens before it starts `/init`.
//! It must stay reproducible: the same binary gives the same bytes, whoever builds it, wherever and whenever.

mod newc;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use newc::Archive;
use std::path::{Path, PathBuf};

/// The kernel's number of `/dev/console` (Documentation/admin-guide/devices.txt).
const CONSOLE_DEVICE: (u32, u32) = (5, 1);

/// Writes the uncompressed newc cpio archive that holds /init.
#[derive(Parser)]
struct Arguments {
    /// The static binary that becomes /init.
    #[arg(long)]
    init: PathBuf,
    /// Where to write the archive.
    #[arg(long)]
    out: PathBuf,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let init = std::fs::read(&arguments.init)
        .with_context(|| format!("reading {}", arguments.init.display()))?;
    let archive =
        initramfs(&init).with_context(|| format!("packing {}", arguments.init.display()))?;
    write_whole(&arguments.out, &archive)
        .with_context(|| format!("writing {}", arguments.out.display()))
}

/// The archive for one `/init`, as the kernel unpacks it into its root.
fn initramfs(init: &[u8]) -> Result<Vec<u8>> {
    ensure!(
        init.starts_with(b"\x7fELF"),
        "this is no ELF binary: give the static /init that board/init/build prints"
    );
    let mut archive = Archive::default();
    archive.folder("dev", 0o755)?;
    let (major, minor) = CONSOLE_DEVICE;
    archive.character_device("dev/console", 0o600, major, minor)?;
    archive.file("init", 0o755, init)?;
    archive.finish()
}

/// Writes through a temporary name, so that an interrupted run leaves no half archive behind.
fn write_whole(out: &Path, bytes: &[u8]) -> Result<()> {
    let mut part = out.as_os_str().to_owned();
    part.push(".part");
    std::fs::write(&part, bytes)?;
    Ok(std::fs::rename(&part, out)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_same_init_gives_the_same_bytes() {
        assert_eq!(
            initramfs(b"\x7fELF one").unwrap(),
            initramfs(b"\x7fELF one").unwrap()
        );
        assert_ne!(
            initramfs(b"\x7fELF one").unwrap(),
            initramfs(b"\x7fELF two").unwrap()
        );
    }

    #[test]
    fn what_is_no_binary_is_refused() {
        assert!(
            initramfs(b"#!/bin/sh\n")
                .unwrap_err()
                .to_string()
                .contains("no ELF binary")
        );
    }

    #[test]
    fn it_holds_init_and_its_console() {
        let archive = initramfs(b"\x7fELF").unwrap();
        assert_eq!(newc::tests::names(&archive), ["dev", "dev/console", "init"]);
    }
}
