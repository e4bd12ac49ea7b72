//! The scenarios on real kernels: each has a name, says what must hold, and can be run alone. Those that need
//! nothing but a healthy pair share one, which is mended between them and built anew after a failure.

use crate::pair::World;
use anyhow::{Result, bail};
use std::path::Path;

/// A scenario.
pub struct Scenario {
    name: &'static str,
    about: &'static str,
}

const ALL: [Scenario; 0] = [];

/// Prints names and what each is about.
pub fn list() {
    for Scenario { name, about } in &ALL {
        println!("{name:<24} {about}");
    }
}

/// The scenarios of these names.
pub fn choose(names: &[String]) -> Result<Vec<&'static Scenario>> {
    for name in names {
        if !ALL.iter().any(|scenario| scenario.name == name) {
            bail!("no scenario {name}: see `testbed test --list`");
        }
    }
    Ok(Vec::new())
}

/// Runs them.
pub fn run(_world: World, _chosen: &[&Scenario], _folder: &Path) -> Result<()> {
    Ok(())
}
