//! Workers that are killed, once or again and again, or stand still, and a box that hangs as a whole: what the kernel holds stands,
//! traffic flows, and where the box itself is in doubt, its twin has the addresses.

use super::judge::{hold_addresses, programmed};
use super::sight::Sight;
use super::stage::{DEAD_TIME, Stage, ensure, line_with};
use crate::pair::{BOOT_TIMEOUT, Pair, ROLE_TIMEOUT, is_active, is_standing};
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// PID 1 waits up to 5 s before it starts a worker that dies again and again.
const RESTART_TIMEOUT: Duration = Duration::from_secs(20);
/// Those whose death is no concern of the twin's.
const HELPERS: [&str; 6] = [
    "dataplane",
    "sync",
    "health",
    "control",
    "console tty1",
    CONSOLE,
];
/// The one that these tests type at.
const CONSOLE: &str = "console ttyS0";
/// Kills in a crash loop, one every KILL_INTERVAL_US and what finding the worker takes.
const KILLS: u32 = 200;
const KILL_INTERVAL_US: u32 = 2_000;
const RESTARTS_MIN: u32 = 4;

pub fn killed(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let active = pair.active()?;
    let sight = Sight::open(stage)?;
    for worker in HELPERS {
        kill(&pair, active, worker)?;
    }
    stop(&pair, active, "sync")?;
    // A standby box may lose its cluster worker and nobody else notices.
    kill(&pair, 1 - active, "cluster")?;
    let seen = sight.close()?;
    seen.ensure_planned()?;
    ensure(
        seen.record.after(Duration::ZERO, 1 - active).is_empty(),
        "only the active box should answer",
        &seen.record.story(DEAD_TIME),
    )?;
    pair.wait_calm()?;
    pair.expect_active(active)?;
    programmed(&pair)?;
    killed_cluster(stage, &pair, active)
}

/// The active box's cluster worker: a new start of it owns nothing, so the twin takes over.
fn killed_cluster(stage: &Stage, pair: &Pair, active: usize) -> Result<()> {
    let heir = pair.machine(1 - active)?;
    let mark = heir.console.mark();
    let sight = Sight::open(stage)?;
    kill(pair, active, "cluster")?;
    heir.console
        .wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
    pair.wait_calm()?;
    let seen = sight.close()?;
    seen.ensure_outage()?;
    seen.ensure_change(active, 1 - active)?;
    hold_addresses(pair, 1 - active)?;
    programmed(pair)
}

pub fn crash_loop(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let active = pair.active()?;
    let (loser, heir) = (pair.machine(active)?, pair.machine(1 - active)?);
    let mark = heir.console.mark();
    let sight = Sight::open(stage)?;
    let began = Instant::now();
    let door = loser.door.mark();
    loser.door.send(&format!(
        "i=0; while [ $i -lt {KILLS} ]; do \
         kill -9 $(ps | sed -n 's/^ *\\([0-9]*\\) .*worker [c]luster.*/\\1/p'); \
         usleep {KILL_INTERVAL_US}; i=$((i+1)); done 2>/dev/null; echo spared\n"
    ))?;
    heir.console
        .wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
    sight.wait_served(began)?;
    loser.door.wait(door, "spared", BOOT_TIMEOUT)?;
    let row = worker_row(&pair, active, "cluster")?;
    let restarts = row.get(3).and_then(|cell| cell.parse::<u32>().ok());
    ensure(
        restarts.is_some_and(|count| count >= RESTARTS_MIN),
        "the worker should have died again and again",
        &row.join("  "),
    )?;
    hold_addresses(&pair, 1 - active)?;
    pair.wait_calm()?;
    let seen = sight.close()?;
    seen.ensure_outage()?;
    seen.ensure_change(active, 1 - active)?;
    pair.expect_active(1 - active)?;
    hold_addresses(&pair, 1 - active)
}

pub fn hang(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let active = pair.active()?;
    let (stuck, heir) = (pair.machine(active)?, pair.machine(1 - active)?);
    let status = pair.status(active)?;
    let line = line_with(&status, "watchdog:")?;
    let what = "status should name the i6300ESB watchdog";
    ensure(line.contains("i6300ESB"), what, line)?;
    let mark = heir.console.mark();
    let sight = Sight::open(stage)?;
    stuck.forget_events();
    // A loop above every other priority on the only processor: PID 1 feeds nothing any more.
    stuck.door.send(
        "echo -1 >/proc/sys/kernel/sched_rt_runtime_us; chrt -f 99 sh -c 'while :; do :; done'\n",
    )?;
    heir.console
        .wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
    let mark = stuck.console.mark();
    stuck.wait_watchdog(BOOT_TIMEOUT)?;
    stuck
        .console
        .wait_for(mark, "`standby, ready`", BOOT_TIMEOUT, is_standing)?;
    pair.wait_calm()?;
    let seen = sight.close()?;
    seen.ensure_outage()?;
    pair.expect_active(1 - active)
}

/// Kills a worker and waits until PID 1 has said why it ended and has it back.
fn kill(pair: &Pair, node: usize, worker: &str) -> Result<()> {
    let machine = pair.machine(node)?;
    let row = worker_row(pair, node, worker)?;
    let pid = row.get(1).context("a worker has a pid")?;
    let console = &machine.console;
    let mark = console.mark();
    pair.shell(node, &format!("kill -9 {pid}"))?;
    let what = format!("why {worker} ended");
    console.wait_for(mark, &what, RESTART_TIMEOUT, |line| {
        line.contains(&format!("{worker} (pid"))
    })?;
    if worker == CONSOLE {
        // It greets anew, and only then listens.
        console.wait(mark, "Pollux ", RESTART_TIMEOUT)?;
    }
    wait_restarted(pair, node, worker, pid)
}

/// Has a worker stand still, and waits until PID 1 has noticed and has it back.
fn stop(pair: &Pair, node: usize, worker: &str) -> Result<()> {
    let machine = pair.machine(node)?;
    let row = worker_row(pair, node, worker)?;
    let pid = row.get(1).context("a worker has a pid")?;
    let mark = machine.console.mark();
    pair.shell(node, &format!("kill -STOP {pid}"))?;
    let words = format!("{worker} gives no sign of life");
    machine.console.wait(mark, &words, RESTART_TIMEOUT)?;
    wait_restarted(pair, node, worker, pid)
}

/// The cells of a worker's row in a box's `status`: name, pid, state, restarts and more.
fn worker_row(pair: &Pair, node: usize, worker: &str) -> Result<Vec<String>> {
    let status = pair.status(node)?;
    let rows = status.iter().map(|line| {
        let cells = line.split("  ").map(|cell| cell.trim().to_owned());
        cells.filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
    });
    let row = rows
        .into_iter()
        .find(|cells| cells.first().is_some_and(|name| name == worker));
    row.with_context(|| format!("no worker {worker} in:\n{}", status.join("\n")))
}

fn wait_restarted(pair: &Pair, node: usize, worker: &str, old_pid: &str) -> Result<()> {
    let deadline = Instant::now() + RESTART_TIMEOUT;
    loop {
        // While control or the console itself is down, there is no status to show.
        if let Ok(row) = worker_row(pair, node, worker) {
            let is_new = row.get(1).is_some_and(|pid| pid != old_pid && pid != "-");
            if is_new && row.get(2).is_some_and(|state| state.starts_with("up")) {
                return Ok(());
            }
        }
        let what = format!("{worker} should come back");
        ensure(Instant::now() < deadline, &what, "it did not")?;
    }
}
