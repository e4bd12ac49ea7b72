//! Boxes that stand still: frozen as a whole for longer than the dead time, as by a paused virtual machine, or
//! given so little processor time that they stand still again and again for less.

use super::sight::OUTAGE_MAX;
use super::stage::{Stage, ensure};
use crate::pair::{ROLE_TIMEOUT, is_active, is_standing};
use crate::vm::starved::Ration;
use crate::watch::{ASK_INTERVAL, Claim, Watch};
use anyhow::Result;
use std::time::{Duration, Instant};

/// While a box is frozen its card keeps all that is asked, and an emulated processor takes longer over a thousand
/// answers than what is judged: so few questions until the thaw. One that is starved has no time for more, either.
const RARELY: Duration = Duration::from_millis(100);
/// Once the heir answers.
const SELDOM: Duration = Duration::from_millis(400);
const FREEZE: Duration = Duration::from_secs(3);
/// From the thaw on a box may answer for what it lost for this long, and not one packet longer.
const LAST_WORDS: Duration = Duration::from_millis(50);
/// A quarter of a processor in slices that a dead time of 200 ms bears.
const RATION: Ration = Ration {
    run: Duration::from_millis(40),
    stop: Duration::from_millis(120),
};
const STARVED: Duration = Duration::from_secs(5);

pub fn active(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let active = pair.active()?;
    let (frozen, heir) = (pair.machine(active)?, pair.machine(1 - active)?);
    let mark = heir.console.mark();
    let watch = Watch::start(&stage.logs, RARELY)?;
    let stopped = Instant::now();
    frozen.pause()?;
    heir.console
        .wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
    watch.ask_every(SELDOM);
    std::thread::sleep(FREEZE.saturating_sub(stopped.elapsed()));
    let mark = frozen.console.mark();
    let preferred = frozen.prefer()?;
    watch.ask_every(ASK_INTERVAL);
    let thawed = frozen.resume()?;
    let is_standby = |line: &str| is_standing(line) && !is_active(line);
    frozen
        .console
        .wait_for(mark, "`standby, ready`", ROLE_TIMEOUT, is_standby)?;
    drop(preferred);
    pair.wait_calm()?;
    pair.expect_active(1 - active)?;
    let record = watch.finish()?;
    let vacancy = record.vacancy();
    let what = "the addresses should have an owner again in time";
    ensure(vacancy < OUTAGE_MAX, what, &format!("{vacancy:?}"))?;
    let is_early = |claim: &Claim| claim.at - thawed <= LAST_WORDS;
    let mut early = [0, 1]
        .into_iter()
        .flat_map(|node| record.after(thawed, node));
    let what = "one of the boxes should be asked and answer right after the thaw";
    ensure(early.any(|claim| is_early(&claim)), what, "silence")?;
    let words = record.after(thawed, active);
    let last = words.last().map(|claim| claim.at - thawed);
    let found = format!("{} answers, the last one after {last:?}", words.len());
    stage
        .world
        .timeline
        .note(frozen.name(), format!("after its thaw {found}"));
    let what = format!("a box that thaws should be silent after {LAST_WORDS:?}");
    ensure(last.is_none_or(|last| last <= LAST_WORDS), &what, &found)
}

pub fn starved(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let active = pair.active()?;
    for hungry in [vec![active], vec![1 - active], vec![0, 1]] {
        let marks = pair.marks();
        let watch = Watch::start(&stage.logs, RARELY)?;
        let starved = hungry
            .iter()
            .map(|node| pair.machine(*node)?.starve(RATION))
            .collect::<Result<Vec<_>>>()?;
        pair.expect_quiet(marks, STARVED)?;
        drop(starved);
        let record = watch.finish()?;
        let answers = record.after(Duration::ZERO, active).len();
        ensure(answers > 0, "the active box should answer", "silence")?;
        let strangers = record.after(Duration::ZERO, 1 - active);
        let what = "only the active box should answer";
        ensure(
            strangers.is_empty(),
            what,
            &format!("{} others", strangers.len()),
        )?;
    }
    pair.wait_calm()?;
    pair.expect_active(active)
}
