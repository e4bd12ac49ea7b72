//! What may run on the box: the crates the firmware names as dependencies are those of the design and no others.
//! Licences are cargo-deny's business (deny.toml).

use crate::Finding;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::process::Command;

/// The design's list ("Dependencies").
const AGREED: [&str; 12] = [
    "crc",
    "embedded-io",
    "heapless",
    "hmac",
    "log",
    "neli",
    "nix",
    "postcard",
    "serde",
    "serialport",
    "sha2",
    "simplelog",
];

/// Those of our own crates that run on the box. One here may depend on another here, never on a host tool.
const BOX: [&str; 5] = ["netlink", "plan", "pollux", "proto", "sys"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or none for what runs.
    kind: Option<String>,
}

/// Every crate of the box depends on agreed crates only; tests may use what they like.
pub(crate) fn agreed() -> Result<Vec<Finding>> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .context("asking cargo for the workspace's crates")?;
    ensure!(
        output.status.success(),
        "cargo metadata failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("reading cargo's metadata")?;
    Ok(judge(&metadata.packages))
}

fn judge(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages
        .iter()
        .filter(|package| BOX.contains(&package.name.as_str()))
    {
        let ours = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind.as_deref() != Some("dev"));
        for dependency in ours {
            let name = dependency.name.as_str();
            if !AGREED.contains(&name) && !BOX.contains(&name) {
                let what =
                    format!("depends on {name}, which is not on the list of crates for the box");
                findings.push(Finding {
                    path: format!("firmware/{}/Cargo.toml", package.name),
                    line: 0,
                    what,
                });
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependency: &str, kind: Option<&str>) -> [Package; 1] {
        let dependencies = vec![Dependency {
            name: dependency.into(),
            kind: kind.map(Into::into),
        }];
        [Package {
            name: name.into(),
            dependencies,
        }]
    }

    #[test]
    fn a_stranger_on_the_box_is_found() {
        assert_eq!(judge(&package("plan", "tokio", None)).len(), 1);
        assert_eq!(judge(&package("plan", "tokio", Some("build"))).len(), 1);
        assert_eq!(judge(&package("plan", "crc", None)), []);
        assert_eq!(judge(&package("pollux", "plan", None)), []);
        assert_eq!(judge(&package("plan", "proptest", Some("dev"))), []);
        assert_eq!(judge(&package("board", "clap", None)), []);
    }
}
