//! What the README shows is what `polluxctl` takes: its two pieces of a config make one that is in order, and its command
//! lines run, as they stand, in a folder that holds it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The line that whoever copies the config has to fill in.
const KEY: &str = "key = \"…\"";

/// Makes a CD of a kernel that is built elsewhere: `tests/run image` has it made.
const NEEDS_KERNEL: &str = "polluxctl iso ";

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    std::fs::read_to_string(path).unwrap()
}

/// Runs a command line that has nothing to warn of; gives what it printed.
fn run(folder: &Path, line: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_polluxctl"))
        .current_dir(folder)
        .args(line.split_whitespace().skip(1))
        .output()
        .unwrap();
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {why}");
    assert!(!why.contains("warning"), "{line}: {why}");
    String::from_utf8(output.stdout).unwrap()
}

/// The README's config, in a folder of this test's own.
fn folder_with_config(readme: &str, name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let blocks = readme.split("```toml\n").skip(1);
    let config: String = blocks
        .map(|rest| rest.split_once("```").unwrap().0)
        .collect();
    assert!(config.contains(KEY) && config.contains("[[zone]]"));
    let config = config.replace(KEY, &run(&folder, "polluxctl keygen"));
    std::fs::write(folder.join("pair.toml"), config).unwrap();
    folder
}

/// Whole command lines: a line of code without its comment, or what stands in backticks.
fn commands(readme: &str) -> Vec<String> {
    let lines = readme.lines().filter_map(|line| {
        let code = line.strip_prefix("    ")?;
        Some(code.split(" #").next().unwrap_or(code).trim().to_owned())
    });
    let text = readme.replace("```", "");
    // Backticks come in pairs within a paragraph, not within a line.
    let spans = text
        .split("\n\n")
        .flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2))
        .map(str::to_owned);
    let all = lines.chain(spans);
    all.filter(|line| line.starts_with("polluxctl ") && !line.starts_with(NEEDS_KERNEL))
        .collect()
}

#[test]
fn its_config_is_in_order() {
    let readme = readme();
    let folder = folder_with_config(&readme, "readme-config");
    assert!(run(&folder, "polluxctl check pair.toml").contains("in order"));
}

#[test]
fn its_command_lines_run() {
    let readme = readme();
    let folder = folder_with_config(&readme, "readme-commands");
    let commands = commands(&readme);
    for verb in ["check", "keygen", "media", "rules"] {
        let is_of = |line: &String| line.split(' ').nth(1) == Some(verb);
        assert!(commands.iter().any(is_of), "no {verb}");
    }
    for line in commands {
        run(&folder, &line);
    }
}
