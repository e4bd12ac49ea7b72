//! Fuzz targets without the engine: lists them, writes what a run begins with, runs single inputs again,
//! and keeps what a run has found. `run` beside it is what people call.

use anyhow::{Context, Result, bail};
use fuzz::{TARGETS, Target};
use std::fs;
use std::path::Path;

const USAGE: &str =
    "fuzz list | fuzz starters TARGET FOLDER | fuzz replay TARGET FILE… | fuzz keep TARGET FOLDER";

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["list"] => list(),
        ["starters", name, folder] => return starters(named(name)?, Path::new(folder)),
        ["replay", name, ref files @ ..] if !files.is_empty() => {
            return replay(named(name)?, files);
        }
        ["keep", name, folder] => {
            let kept = fuzz::keep(named(name)?, Path::new(folder))?;
            println!("{name}: {kept} inputs kept");
        }
        _ => bail!(USAGE),
    }
    Ok(())
}

fn named(name: &str) -> Result<&'static Target> {
    fuzz::target(name).with_context(|| format!("no target {name}; `fuzz list` names them"))
}

fn list() {
    for target in &TARGETS {
        println!("{:<10} {}", target.name, target.about);
    }
}

fn starters(target: &Target, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    for (number, bytes) in fuzz::starters(target)?.iter().enumerate() {
        let file = folder.join(format!("starter-{number}"));
        fs::write(&file, bytes).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

fn replay(target: &Target, files: &[&str]) -> Result<()> {
    for file in files {
        let bytes = fs::read(file).with_context(|| format!("reading {file}"))?;
        println!("{}: {file}, {} bytes", target.name, bytes.len());
        (target.run)(&bytes);
    }
    println!("nothing was found");
    Ok(())
}
