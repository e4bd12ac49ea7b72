//! The ISO: collects kernel, initramfs and, where wanted, a config for the CD itself, and hands them to
//! `board/iso/build`, which knows boot loaders.

use crate::Iso;
use crate::source::Source;
use anyhow::{Context, Result, ensure};
use plan::image;
use plan::medium::{CONFIG, NODE, SLOTS, node_text};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes an ISO.
pub(crate) fn run(options: &Iso) -> Result<()> {
    // Before anything that takes minutes.
    let config = options.config.as_deref().map(Source::open).transpose()?;
    let node = options.node.as_deref().unwrap_or_default();
    if let Some(source) = &config {
        source.require_node(node)?;
    }
    let root = source_tree()?;
    let work = WorkFolder::new()?;
    let kernel = match &options.kernel {
        Some(kernel) => kernel.clone(),
        None => printed_path(Command::new(root.join("board/kernel/build")))?,
    };
    let initramfs = match &options.initramfs {
        Some(initramfs) => initramfs.clone(),
        None => printed_path(Command::new(root.join("initramfs/build")))?,
    };
    let mut command = Command::new(root.join("board/iso/build"));
    command
        .arg("--kernel")
        .arg(kernel)
        .arg("--initramfs")
        .arg(initramfs)
        .arg("--out")
        .arg(&options.out);
    if let Some(source) = &config {
        let folder = work.0.join("pollux");
        write_config(&folder, source, node)?;
        command.arg("--pollux-dir").arg(folder);
    }
    complete(command)
}

/// The folder above this program, or above the working directory, that is the source tree.
fn source_tree() -> Result<PathBuf> {
    let starts = [std::env::current_exe(), std::env::current_dir()]
        .into_iter()
        .flatten();
    let candidates: Vec<PathBuf> = starts
        .flat_map(|start| start.ancestors().map(Path::to_owned).collect::<Vec<_>>())
        .collect();
    let found = candidates
        .into_iter()
        .find(|folder| folder.join("board/iso/build").is_file());
    found.context("board/iso/build is not found: run polluxctl iso inside the source tree")
}

/// Puts the files of a medium into a folder.
fn write_config(folder: &Path, source: &Source, node: &str) -> Result<()> {
    let image = image::encode(&source.config, 1)?;
    let [first, _] = SLOTS;
    let files = [
        (first, image),
        (NODE, node_text(node).into_bytes()),
        (CONFIG, source.text.clone().into_bytes()),
    ];
    std::fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

/// Runs a build script, which prints the path of what it built as its last line.
fn printed_path(mut command: Command) -> Result<PathBuf> {
    let program = command.get_program().display().to_string();
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    ensure!(output.status.success(), "{program} failed");
    let text = String::from_utf8_lossy(&output.stdout);
    let path = text
        .lines()
        .last()
        .with_context(|| format!("{program} printed no path"))?;
    Ok(PathBuf::from(path))
}

fn complete(mut command: Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let status = command
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    ensure!(status.success(), "{program} failed");
    Ok(())
}

/// A folder for parts, removed at the end.
struct WorkFolder(PathBuf);

impl WorkFolder {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("polluxctl-iso-{}", std::process::id()));
        std::fs::create_dir(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        // What is left of it hurts nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
