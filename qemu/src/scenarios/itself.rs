//! The testbed itself: whoever kills it leaves nothing running.

use super::stage::Stage;
use crate::ns;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const START_TIMEOUT: Duration = Duration::from_secs(60);
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// From look to look: processes come and go without a word to us.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
const QEMU: &str = "qemu-system-x86";

pub fn killed(stage: &mut Stage) -> Result<()> {
    let before = processes()?;
    let mut outer = Command::new(std::env::current_exe().context("finding this program")?);
    outer.arg("--target").arg(stage.logs.join("inner"));
    outer.args(["test", "same-instant"]).env_remove(ns::INSIDE);
    outer.stdin(Stdio::null()).stdout(Stdio::null());
    let mut outer = ns::Guard::new(outer.spawn().context("starting a testbed")?);
    let new = || -> Result<Vec<String>> {
        let now = processes()?;
        let new = now.difference(&before);
        Ok(new.map(|(_, name)| name.clone()).collect())
    };
    wait("start two boxes", START_TIMEOUT, || {
        Ok(new()?.iter().filter(|name| *name == QEMU).count() == 2)
    })?;
    outer.kill();
    wait("be gone with all it started", END_TIMEOUT, || {
        Ok(new()?.is_empty())
    })
}

fn wait(what: &str, timeout: Duration, is_so: impl Fn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + timeout;
    while !is_so()? {
        if Instant::now() > deadline {
            let left = processes()?
                .into_iter()
                .map(|(id, name)| format!("{id} {name}"));
            let left = left.collect::<Vec<_>>().join(", ");
            bail!("the testbed should {what} within {timeout:?}; there are: {left}");
        }
        thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}

/// Numbers and names of all processes that live; the dead whom nobody has waited for are none.
fn processes() -> Result<BTreeSet<(u32, String)>> {
    let mut processes = BTreeSet::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // One that ends meanwhile is none either.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let name = stat
            .split_once('(')
            .and_then(|(_, rest)| rest.rsplit_once(')'));
        if let Some((name, rest)) = name
            && !rest.trim_start().starts_with(['Z', 'X'])
        {
            processes.insert((id, name.to_owned()));
        }
    }
    Ok(processes)
}
