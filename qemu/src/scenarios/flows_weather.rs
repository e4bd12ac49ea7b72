//! Flows while the boxes hardly hear each other's news of them: datagrams lost, doubled and late, then none at all for
//! a while, in which flows end and others begin. Once the boxes say that they are in sync, a power cut must break nothing.

use super::flows::Act;
use super::stage::{Stage, ensure};
use crate::flows::route::WAYS;
use crate::net;
use crate::weather::Weather;
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// UDP port of the news.
pub const PORT: u16 = 695;
/// Of a hundred datagrams so many are lost, as many doubled and as many late.
const PERCENT: u64 = 10;
/// How long none passes.
const CUT: Duration = Duration::from_secs(5);

pub fn bad(stage: &mut Stage) -> Result<()> {
    let pair = stage.firewall_pair()?;
    let weather = Weather::start("sync", PORT, PERCENT)?;
    let act = Act::begin(stage, pair, &WAYS)?;
    act.pair.wait_in_sync()?;
    let first = act.pair.active()?;
    act.power_cut(first)?;
    act.rejoin(first)?;
    act.pair.wait_in_sync()?;
    // Else the handover is blamed for what the boxes could not carry before it.
    act.go_on(Instant::now())
        .context("with both boxes in sync, before the handover")?;
    act.hand_over(first)?;
    let tally = weather.tally();
    stage.world.timeline.note("testbed", tally.to_string());
    weather.clear()?;
    let is_bad = [tally.lost, tally.doubled, tally.overtaken]
        .iter()
        .all(|count| *count > 0);
    let what = "news should be lost, doubled and overtaken";
    ensure(is_bad, what, &tally.to_string())?;
    act.end()
}

pub fn none(stage: &mut Stage) -> Result<()> {
    let pair = stage.firewall_pair()?;
    let before = Act::begin(stage, pair.clone(), &WAYS)?;
    let marks = pair.marks();
    net::cut(&[format!("udp dport {PORT}")])?;
    let cut = Instant::now();
    before.end()?;
    let act = Act::begin(stage, pair, &WAYS)?;
    let outcome = act.go_on(cut + CUT);
    // An heir that was told nothing could not save what began here.
    act.pair
        .expect_unmoved(marks)
        .context("while no news passed")?;
    outcome?;
    net::mend()?;
    act.pair.wait_in_sync()?;
    let first = act.pair.active()?;
    act.power_cut(first)?;
    act.rejoin(first)?;
    act.end()
}
