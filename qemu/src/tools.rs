//! What the testbed is given: the image under test, its kernel and binary, and the host tool that writes
//! media. `qemu/demo` and `tests/run` build them and pass them in the environment.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Paths of what was built.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The ISO that both boxes boot.
    pub iso: PathBuf,
    /// `polluxctl`, which writes config media.
    pub polluxctl: PathBuf,
    /// The kernel in the ISO, to be booted directly in some scenarios.
    pub kernel: PathBuf,
    /// The initramfs in the ISO.
    pub initramfs: PathBuf,
    /// The binary in that initramfs.
    pub init: PathBuf,
}

/// Kind of image that `polluxctl media` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// 1.44 MB.
    Floppy,
    /// With a partition table.
    Usb,
}

impl Tools {
    /// From the environment: POLLUX_ISO, POLLUX_CTL, POLLUX_KERNEL, POLLUX_INITRAMFS and POLLUX_INIT.
    pub fn from_environment() -> Result<Self> {
        Ok(Tools {
            iso: built("POLLUX_ISO")?,
            polluxctl: built("POLLUX_CTL")?,
            kernel: built("POLLUX_KERNEL")?,
            initramfs: built("POLLUX_INITRAMFS")?,
            init: built("POLLUX_INIT")?,
        })
    }

    /// Writes a config medium for `node`; an existing one gets the config in its older slot.
    pub fn write_medium(&self, config: &Path, node: &str, image: Image, out: &Path) -> Result<()> {
        let kind = match image {
            _ if out.exists() => "--update",
            Image::Floppy => "--floppy",
            Image::Usb => "--usb",
        };
        let mut command = Command::new(&self.polluxctl);
        command
            .args(["media", "--node", node, kind])
            .arg(out)
            .arg(config);
        finish(&mut command)
    }

    /// The config on a medium, as polluxctl reads it.
    pub fn show(&self, medium: &Path) -> Result<String> {
        let mut command = Command::new(&self.polluxctl);
        command.arg("show").arg(medium);
        said(&mut command)
    }

    /// The ruleset of `node` in the words of nft(8), as polluxctl makes it of a config.
    pub fn rules(&self, config: &Path, node: &str) -> Result<String> {
        let mut command = Command::new(&self.polluxctl);
        command.args(["rules", "--node", node]).arg(config);
        said(&mut command)
    }

    /// Makes an ISO that carries the config for `node`.
    pub fn write_iso(&self, config: &Path, node: &str, out: &Path) -> Result<()> {
        let mut command = Command::new(&self.polluxctl);
        command
            .args(["iso", "--node", node, "--config"])
            .arg(config)
            .arg("--out")
            .arg(out);
        command
            .arg("--kernel")
            .arg(&self.kernel)
            .arg("--initramfs")
            .arg(&self.initramfs);
        finish(&mut command)
    }
}

/// The file that a variable names.
fn built(variable: &str) -> Result<PathBuf> {
    let Some(path) = std::env::var_os(variable) else {
        bail!("{variable} is not set: start this by qemu/testbed, which builds what is tested");
    };
    let path = PathBuf::from(path);
    if !path.is_file() {
        bail!(
            "{variable}: {} is not there; qemu/testbed builds it",
            path.display()
        );
    }
    Ok(path)
}

/// Runs a command to its end and wants it to succeed.
pub fn finish(command: &mut Command) -> Result<()> {
    said(command).map(drop)
}

/// The same; gives what it printed.
fn said(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed: {}", said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Makes a folder empty and there.
pub fn fresh_folder(path: &Path) -> Result<PathBuf> {
    if path.exists() {
        fs::remove_dir_all(path).with_context(|| format!("removing {}", path.display()))?;
    }
    fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
    path.canonicalize()
        .with_context(|| format!("finding {}", path.display()))
}
