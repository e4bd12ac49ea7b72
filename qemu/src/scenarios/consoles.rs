//! The console where an operator may sit: at the screen with a keyboard, and on a slow serial line.

use super::stage::{Carrier, Stage, ensure, line_with};
use crate::config::PairConfig;
use crate::door;
use crate::pair::{COMMAND_LINE, Pair, straight};
use crate::vm::arguments::Boot;
use anyhow::{Result, bail};
use std::time::{Duration, Instant};

const SCREEN_TIMEOUT: Duration = Duration::from_secs(10);
/// `help`, by somebody who mistypes it first: QEMU's names of the keys.
const KEYS: [&str; 7] = ["h", "e", "k", "backspace", "l", "p", "ret"];

pub fn screen(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let name = pair.machine(0)?.name();
    let prompt = format!("{name}> ");
    wait_screen(&pair, "a prompt", |screen| {
        screen
            .iter()
            .any(|line| line.starts_with(prompt.trim_end()))
    })?;
    for key in KEYS {
        pair.machine(0)?.press(&[key])?;
    }
    wait_screen(&pair, "`help`, its answer, and a prompt below", |screen| {
        let asked = screen
            .iter()
            .rposition(|line| line.trim_end() == format!("{prompt}help"));
        let answer = asked
            .and_then(|at| screen.get(at + 1..))
            .unwrap_or_default();
        let has = |word: &str| {
            answer
                .iter()
                .any(|line| line.trim_start().starts_with(word))
        };
        has("status") && has("takeover") && has("poweroff") && has(prompt.trim_end())
    })
}

/// What is on castor's screen, line by line, as its kernel shows it (vcs(4)).
fn wait_screen(pair: &Pair, what: &str, is_shown: impl Fn(&[String]) -> bool) -> Result<()> {
    let deadline = Instant::now() + SCREEN_TIMEOUT;
    loop {
        let screen = pair.shell(0, "fold -w 80 /dev/vcs1; echo")?;
        if is_shown(&screen) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!(
                "the screen should show {what}; it shows:\n{}",
                screen.join("\n")
            );
        }
    }
}

pub fn slow_line(stage: &mut Stage) -> Result<()> {
    let door = stage.door()?;
    let boot = straight(&stage.world.tools, &door);
    let lone = stage.lone(&PairConfig::default(), Carrier::Disk, |hardware| {
        hardware.boot = boot;
        hardware.has_back_door = true;
        if let Boot::Kernel { command_line, .. } = &mut hardware.boot {
            *command_line = COMMAND_LINE.replace("ttyS0,115200", "ttyS0,9600");
        }
    })?;
    let mark = lone.machine.door.mark();
    lone.boot()?;
    door::wait_open(&lone.machine.door, mark)?;
    let settings = door::shell(&lone.machine.door, "stty -F /dev/ttyS0")?;
    ensure(
        settings.iter().any(|line| line.contains("speed 9600 baud")),
        "the console should leave the line at 9600 baud",
        &settings.join("\n"),
    )?;
    line_with(&lone.status()?, "castor: active, ready")?;
    line_with(&lone.machine.console.ask("help")?, "poweroff").map(drop)
}
