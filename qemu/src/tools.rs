//! What the testbed is given: the image under test, its kernel and binary, and the host tool that writes
//! media. `qemu/demo` and `tests/run` build them and pass them in the environment.

use anyhow::{Context, Result, bail};
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Paths of what was built.
#[derive(Debug, Clone, Args)]
pub struct Tools {
    /// The ISO that both boxes boot.
    #[arg(long, env = "POLLUX_ISO", value_name = "PATH", default_value = "")]
    pub iso: PathBuf,
    /// `polluxctl`, which writes config media.
    #[arg(long, env = "POLLUX_CTL", value_name = "PATH", default_value = "")]
    pub polluxctl: PathBuf,
    /// The kernel in the ISO, to be booted directly in some scenarios.
    #[arg(long, env = "POLLUX_KERNEL", value_name = "PATH", default_value = "")]
    pub kernel: PathBuf,
    /// The initramfs in the ISO.
    #[arg(
        long,
        env = "POLLUX_INITRAMFS",
        value_name = "PATH",
        default_value = ""
    )]
    pub initramfs: PathBuf,
    /// The binary in that initramfs.
    #[arg(long, env = "POLLUX_INIT", value_name = "PATH", default_value = "")]
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
    /// Fails early where something is missing.
    pub fn check(&self) -> Result<()> {
        for path in [
            &self.iso,
            &self.polluxctl,
            &self.kernel,
            &self.initramfs,
            &self.init,
        ] {
            if path.as_os_str().is_empty() {
                bail!("what to test was not given: start this by qemu/testbed, which builds it");
            }
            if !path.is_file() {
                bail!("{} is not there: qemu/testbed builds it", path.display());
            }
        }
        Ok(())
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

/// Runs a command to its end and wants it to succeed.
pub fn finish(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed: {}", said.trim());
    }
    Ok(())
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
