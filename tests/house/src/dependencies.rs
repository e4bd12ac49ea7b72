//! What may run on the box: the crates the firmware names as dependencies are those of the design and no others, and our
//! own are built without the features that only tests want. Licences are cargo-deny's business (deny.toml).

use crate::Finding;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
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

/// A crate of the workspace.
#[derive(Deserialize)]
pub(crate) struct Package {
    name: String,
    dependencies: Vec<Dependency>,
    /// By name, with what each turns on.
    features: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or none for what runs.
    kind: Option<String>,
    features: Vec<String>,
}

type Rule = (&'static str, fn(&[Package]) -> Vec<Finding>);

/// The rules on what runs on the box.
pub(crate) const RULES: [Rule; 2] = [
    ("on the box: the agreed crates only", agreed),
    ("on the box: nothing that only tests want", without_features),
];

/// The crates of the workspace, as cargo sees them.
pub(crate) fn packages() -> Result<Vec<Package>> {
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
    Ok(metadata.packages)
}

/// Every crate of the box depends on agreed crates only; tests may use what they like.
fn agreed(packages: &[Package]) -> Vec<Finding> {
    let strange = built(packages).filter(|(_, dependency)| {
        let name = dependency.name.as_str();
        !AGREED.contains(&name) && !BOX.contains(&name)
    });
    strange
        .map(|(package, Dependency { name, .. })| {
            let what = format!("depends on {name}, which is not on the list of crates for the box");
            finding(package, what)
        })
        .collect()
}

/// The features of our own crates are for the simulator and the fuzzers (`sabotage`, `fuzzing`): no crate of the box turns
/// one on, by itself or in another.
fn without_features(packages: &[Package]) -> Vec<Finding> {
    let own = built(packages).filter(|(_, dependency)| BOX.contains(&dependency.name.as_str()));
    let asked = own.flat_map(|(package, dependency)| {
        let names = dependency.features.iter();
        names.map(move |name| (package, format!("{}/{name}", dependency.name)))
    });
    let on_box = packages.iter().filter(|package| is_on_box(package));
    let default = on_box.flat_map(|package| {
        let names = package.features.get("default").into_iter().flatten();
        names.map(move |name| (package, name.clone()))
    });
    asked
        .chain(default)
        .map(|(package, feature)| {
            let what = format!("turns on {feature}, which is for tests; only they may ask for it");
            finding(package, what)
        })
        .collect()
}

fn is_on_box(package: &Package) -> bool {
    BOX.contains(&package.name.as_str())
}

/// What crates of the box are built with.
fn built(packages: &[Package]) -> impl Iterator<Item = (&Package, &Dependency)> {
    let on_box = packages.iter().filter(|package| is_on_box(package));
    let all = on_box.flat_map(|package| {
        let dependencies = package.dependencies.iter();
        dependencies.map(move |dependency| (package, dependency))
    });
    all.filter(|(_, dependency)| dependency.kind.as_deref() != Some("dev"))
}

fn finding(package: &Package, what: String) -> Finding {
    Finding {
        path: format!("firmware/{}/Cargo.toml", package.name),
        line: 0,
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependency: &str, kind: Option<&str>) -> [Package; 1] {
        let dependencies = vec![Dependency {
            name: dependency.into(),
            kind: kind.map(Into::into),
            features: Vec::new(),
        }];
        [Package {
            name: name.into(),
            dependencies,
            features: BTreeMap::new(),
        }]
    }

    fn with_feature(mut packages: [Package; 1], feature: &str) -> [Package; 1] {
        let dependencies = packages.iter_mut().flat_map(|it| &mut it.dependencies);
        dependencies.for_each(|dependency| dependency.features.push(feature.into()));
        packages
    }

    #[test]
    fn a_feature_for_tests_is_found_where_it_would_reach_the_box() {
        let asks = |name, kind| with_feature(package(name, "proto", kind), "sabotage");
        assert_eq!(without_features(&asks("pollux", None)).len(), 1);
        assert_eq!(without_features(&asks("pollux", Some("dev"))), []);
        assert_eq!(without_features(&asks("sim", None)), []);
        let crates = with_feature(package("plan", "serde", None), "alloc");
        assert_eq!(without_features(&crates), []);
        let mut default = package("proto", "crc", None);
        let features = default.iter_mut().map(|it| &mut it.features);
        features.for_each(|it| drop(it.insert("default".into(), vec!["sabotage".into()])));
        assert_eq!(without_features(&default).len(), 1);
    }

    #[test]
    fn a_stranger_on_the_box_is_found() {
        assert_eq!(agreed(&package("plan", "tokio", None)).len(), 1);
        assert_eq!(agreed(&package("plan", "tokio", Some("build"))).len(), 1);
        assert_eq!(agreed(&package("plan", "crc", None)), []);
        assert_eq!(agreed(&package("pollux", "plan", None)), []);
        assert_eq!(agreed(&package("plan", "proptest", Some("dev"))), []);
        assert_eq!(agreed(&package("board", "clap", None)), []);
    }
}
