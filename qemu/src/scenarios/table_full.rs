//! A kernel's table of connections without room: its box says so and says when it has passed, and a standby that could not
//! take all connections is not called in sync.

use super::stage::{Stage, ensure, line_with};
use crate::flows::route::{Way, over_both};
use crate::flows::{Flows, Group, Pace};
use crate::pair::{Pair, ROLE_TIMEOUT};
use anyhow::{Context, Result};

/// Transfers on each of six routes, beside a stream of datagrams, and as few as there is room for.
const FLOWS: usize = 20;
const ROUTES: usize = 6;
const ROOM: u32 = 40;
/// Below what a box holds at rest: its own checks find no room.
const NO_ROOM: u32 = 2;
/// The twin is asked so often for a connection that the kernel refuses (`REFUSALS_MAX` in `proto::sync`).
const REFUSALS_EACH: usize = 3;
/// At least so many refusals come of it, however few connections of its own the standby has.
const REFUSALS: usize = (ROUTES * (FLOWS + 1) - ROOM as usize) * REFUSALS_EACH;

pub fn run(stage: &mut Stage) -> Result<()> {
    // A box would bring the bound back to what its config says.
    let pair = stage.fresh_pair(|config| {
        config.has_firewall = true;
        config.has_flow_services = true;
        config.connections_max = None;
    })?;
    pair.wait_in_sync()?;
    let active = pair.active()?;
    standby(&pair, 1 - active)?;
    stage
        .world
        .timeline
        .note("testbed", "the standby had its turn");
    one_that_is_active(&pair, active)
}

fn standby(pair: &Pair, standby: usize) -> Result<()> {
    let before = bound(pair, standby)?;
    let marks = pair.marks();
    let console = &pair.machine(standby)?.console;
    let mark = console.mark();
    set_bound(pair, standby, ROOM)?;
    let flows = Flows::start(&[Group {
        routes: over_both(&[Way::Routed, Way::Masqueraded, Way::Translated]),
        count: FLOWS,
        pace: Pace::default(),
    }])?;
    console.wait(mark, "the table of connections is full: ", ROLE_TIMEOUT)?;
    for (machine, mark) in pair.boxes.iter().zip(marks) {
        let what = "not in sync any more";
        machine.console.wait(mark, what, ROLE_TIMEOUT)?;
    }
    let full = pair.marks();
    let what = format!("the standby's kernel should refuse connections {REFUSALS} times");
    pair.wait_status(&what, ROLE_TIMEOUT, |status| {
        status.iter().any(|lines| refused(lines) >= REFUSALS)
    })?;
    for index in [0, 1] {
        line_with(&pair.status(index)?, "connections: NOT YET in sync")?;
    }
    line_with(&pair.status(standby)?, &format!(" of {ROOM} flows (1"))?;
    for (machine, mark) in pair.boxes.iter().zip(full) {
        let said = machine.console.lines_since(mark);
        let claim = said.iter().find(|line| line.text.contains("sync: in sync"));
        let what = "nobody should say in sync while the standby has no room";
        ensure(claim.is_none(), what, &format!("{claim:?}"))?;
    }
    set_bound(pair, standby, before)?;
    console.wait(
        mark,
        "the table of connections has room again: ",
        ROLE_TIMEOUT,
    )?;
    pair.wait_in_sync()?;
    let outcome = flows.finish()?;
    let what = "flows through the active box should not notice";
    ensure(outcome.is_clean(), what, &outcome.story())
}

/// `258 dropped: states that this kernel refused`.
fn refused(status: &[String]) -> usize {
    let mut counts = status.iter().filter_map(|line| {
        let (count, cause) = line.split_once(" dropped: ")?;
        count
            .trim()
            .parse()
            .ok()
            .filter(|_| cause == "states that this kernel refused")
    });
    counts.next().unwrap_or(0)
}

fn one_that_is_active(pair: &Pair, active: usize) -> Result<()> {
    let before = bound(pair, active)?;
    let console = &pair.machine(active)?.console;
    let mark = console.mark();
    set_bound(pair, active, NO_ROOM)?;
    let said = console.wait(mark, " new ones dropped", ROLE_TIMEOUT);
    let status = pair.status(active);
    set_bound(pair, active, before)?;
    let said = said?.text;
    let what = "the log should say that the table is full";
    ensure(
        said.contains("the table of connections is full: "),
        what,
        &said,
    )?;
    line_with(&status?, " new ones dropped")?;
    console.wait(
        mark,
        "the table of connections has room again: ",
        ROLE_TIMEOUT,
    )?;
    pair.wait_calm()
}

const BOUND: &str = "/proc/sys/net/netfilter/nf_conntrack_max";

fn bound(pair: &Pair, index: usize) -> Result<u32> {
    let lines = pair.shell(index, &format!("cat {BOUND}"))?;
    let number = lines.iter().find_map(|line| line.trim().parse().ok());
    number.with_context(|| format!("no number in {BOUND}: {}", lines.join("; ")))
}

fn set_bound(pair: &Pair, index: usize, flows: u32) -> Result<()> {
    pair.shell(index, &format!("echo {flows} > {BOUND}"))
        .map(drop)
}
