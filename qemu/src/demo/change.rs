//! The changes of role that the demo brings about, each with what the client saw of it.

use super::load::Load;
use crate::pair::{BOOT_TIMEOUT, Pair, ROLE_TIMEOUT, is_active, is_standing};
use crate::probe::http::Request;
use crate::probe::udp::Outage;
use crate::timeline::Timeline;
use anyhow::Result;
use std::time::{Duration, Instant};

/// A change of role.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// When the power was cut or the command typed.
    pub begun: Instant,
    /// When the new active box said that it is.
    pub done: Instant,
    /// What the client saw.
    pub outage: Outage,
}

impl Change {
    /// Milliseconds without an answer.
    pub fn outage_ms(&self) -> f64 {
        milliseconds(self.outage.duration())
    }

    /// The request began before the new active box said that it is, and was not over when the change began.
    /// Only such a one may fail: what begins after the takeover must succeed, and a connection that was open
    /// while the addresses moved is known to the old active box alone.
    pub fn touches(&self, request: &Request) -> bool {
        request.began <= self.done && request.ended >= self.begun
    }
}

/// Cuts the power of box `active`.
pub fn power_cut(pair: &Pair, active: usize, load: &Load, timeline: &Timeline) -> Result<Change> {
    let console = &pair.machine(1 - active)?.console;
    let mark = console.mark();
    let begun = pair.machine(active)?.power_cut();
    let outage = load.outage_after(begun)?;
    let done = console
        .wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?
        .at;
    let change = Change {
        begun,
        done,
        outage,
    };
    let text = format!("outage of {:.1} ms by the power cut", change.outage_ms());
    timeline.note("client", text);
    Ok(change)
}

/// Powers box `dead` on and waits until it is standby, with `survivor` still active.
pub fn rejoin(pair: &Pair, dead: usize, survivor: usize) -> Result<Duration> {
    let machine = pair.machine(dead)?;
    let mark = machine.console.mark();
    let began = Instant::now();
    machine.power_on()?;
    let line = machine
        .console
        .wait_for(mark, "`standby, ready`", BOOT_TIMEOUT, is_standing)?;
    pair.expect_active(survivor)?;
    Ok(line.at.duration_since(began))
}

/// Types `command` at box `at` and waits until box `heir` is active.
pub fn handover(
    pair: &Pair,
    (at, command): (usize, &str),
    heir: usize,
    load: &Load,
    timeline: &Timeline,
) -> Result<Change> {
    let typed = pair.machine(at)?;
    let console = &pair.machine(heir)?.console;
    let mark = console.mark();
    let begun = timeline.note(typed.name(), format!("typed `{command}`"));
    typed.console.ask(command)?;
    let done = console
        .wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?
        .at;
    let outage = load.outage_after(begun)?;
    pair.expect_active(heir)?;
    let change = Change {
        begun,
        done,
        outage,
    };
    let text = format!(
        "outage of {:.1} ms by the handover (`{command}`)",
        change.outage_ms()
    );
    timeline.note("client", text);
    Ok(change)
}

/// For reports.
pub fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}
