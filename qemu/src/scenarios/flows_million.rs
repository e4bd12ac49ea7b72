//! A million flows through boxes of 1 GiB, each of them in both kernels. The first 300,000 begin while the standby is off:
//! it comes back and is told of all; of the others it hears as they begin. Then the active box dies: the far ends of a
//! thousand flows, which are translated, speak first, and only an heir that knows each of them can carry that to its
//! beginning.

use super::stage::{Stage, ensure};
use crate::console::{Mark, is_news};
use crate::crowd::Crowd;
use crate::net::VIRTUAL_V4;
use crate::pair::{BOOT_TIMEOUT, Pair, ROLE_TIMEOUT, is_active, is_standing};
use crate::timeline::Timeline;
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};

/// Emulated boxes have all hands full for minutes, on machines that stand still now and then: this is about room, not about
/// haste.
const TIMING: &str = "{ beat-ms = 50, dead-ms = 2000 }";
/// Of each box.
const MEMORY_MIB: u32 = 1024;
/// Flows in the end.
const ALL: u32 = 1_000_000;
/// Flows that stand when the standby comes back.
const FIRST: u32 = 300_000;
/// Flows that must go on by themselves.
const WATCHED: u32 = 1000;
/// From word to word in the timeline.
const STEP: u32 = 100_000;
/// How long emulated boxes may take to tell each other of all flows, once all have begun.
const SYNC_TIMEOUT: Duration = Duration::from_secs(120);
/// How long all that are watched may take to go on.
const GO_ON_TIMEOUT: Duration = Duration::from_secs(15);
/// A million connections are counted one by one.
const COUNT_TIMEOUT: Duration = Duration::from_secs(60);
/// From question to question.
const ASK_INTERVAL: Duration = Duration::from_secs(1);
/// What the sync worker says when both hold everything.
const IN_SYNC: &str = "in sync: both boxes hold all connections";

pub fn run(stage: &mut Stage) -> Result<()> {
    let mut order = stage.order().with(|config| {
        config.timing = TIMING;
        config.has_firewall = true;
        config.has_crowd = true;
    });
    order.memory_mib = MEMORY_MIB;
    let pair = stage.pair_of(order)?;
    let mut act = Act {
        pair,
        crowd: Crowd::gather(ALL, WATCHED)?,
        timeline: stage.world.timeline.clone(),
    };
    let active = act.pair.active()?;
    let marks = act.pair.marks();
    act.pair.machine(1 - active)?.power_cut();
    act.grow(0, FIRST)?;
    act.rejoin(1 - active)?;
    act.grow(FIRST, ALL)?;
    act.wait_mirrored(ALL)?;
    act.converse("before the cut")?;
    act.expect_unmoved(active, marks)?;
    act.count()?;
    act.power_cut(active)
}

struct Act {
    pair: Pair,
    crowd: Crowd,
    timeline: Timeline,
}

impl Act {
    /// Lets the crowd grow from `from` to `to`.
    fn grow(&mut self, from: u32, to: u32) -> Result<()> {
        let mut count = from;
        while count < to {
            let began = Instant::now();
            let next = to.min(count + STEP);
            self.crowd.grow(next)?;
            let per_s = f64::from(next - count) / began.elapsed().as_secs_f64();
            count = next;
            let lost = self.crowd.lost;
            let text = format!("{count} flows, {per_s:.0} new ones/s, {lost} began twice");
            self.timeline.note("client", text);
        }
        Ok(())
    }

    /// Waits until both boxes say that both hold so many and the same, and says what that costs them.
    fn wait_mirrored(&self, count: u32) -> Result<()> {
        let began = Instant::now();
        loop {
            let mark = self.pair.boxes[0].console.mark();
            let status = [self.pair.status(0)?, self.pair.status(1)?];
            if status.iter().all(|lines| holds(lines, count)) {
                break;
            }
            if began.elapsed() > SYNC_TIMEOUT {
                let [castor, pollux] = status.map(|lines| lines.join("\n"));
                bail!("both boxes should hold {count} connections:\n{castor}\n\n{pollux}");
            }
            // Nobody announces it.
            let console = &self.pair.boxes[0].console;
            let _ = console.wait_for(mark, "news", ASK_INTERVAL, is_news);
        }
        let text = format!("{count} flows are in both boxes");
        let took = began.elapsed().as_secs_f64();
        self.timeline.note(
            "testbed",
            format!("{text}, {took:.1} s after the last began"),
        );
        self.note_boxes()
    }

    /// What each box says of its connections and its memory.
    fn note_boxes(&self) -> Result<()> {
        for (node, machine) in self.pair.boxes.iter().enumerate() {
            let status = self.pair.status(node)?;
            for part in ["last bulk", "sent again", "dropped: ", "; RAM "] {
                for line in status.iter().filter(|line| line.contains(part)) {
                    self.timeline.note(machine.name(), line.trim());
                }
            }
            let mut rows = status.iter().map(|line| line.split_whitespace());
            let pid = rows.find_map(|mut row| match (row.next(), row.next()) {
                (Some("sync"), Some(pid)) => pid.parse::<u32>().ok(),
                _ => None,
            });
            let pid = pid.context("`status` should name the sync worker")?;
            let command =
                format!("grep -E '^(MemAvailable|Slab|VmRSS)' /proc/meminfo /proc/{pid}/status");
            let kernel = self.pair.shell(node, &command)?;
            let words = kernel.iter().flat_map(|line| line.split_whitespace());
            let text = words.collect::<Vec<_>>().join(" ");
            self.timeline.note(machine.name(), text);
        }
        Ok(())
    }

    /// Box `node` comes back, and is told of all flows.
    fn rejoin(&self, node: usize) -> Result<()> {
        let machine = self.pair.machine(node)?;
        let mark = machine.console.mark();
        machine.power_on()?;
        let console = &machine.console;
        let standing = console.wait_for(mark, "`standby, ready`", BOOT_TIMEOUT, is_standing)?;
        let line = console.wait(mark, IN_SYNC, SYNC_TIMEOUT)?;
        let after = line.at.saturating_duration_since(standing.at).as_secs_f64();
        let text = format!("in sync {after:.1} s after it was ready");
        self.timeline.note(machine.name(), text);
        self.wait_mirrored(FIRST)
    }

    /// The watched flows' far ends speak, and are answered.
    fn converse(&mut self, when: &str) -> Result<Instant> {
        let began = Instant::now();
        let words = self.crowd.speak(GO_ON_TIMEOUT).context(when.to_owned())?;
        let took = words.last.saturating_duration_since(began).as_secs_f64();
        let text = format!("{WATCHED} flows go on, {when}: all within {took:.2} s");
        self.timeline.note("client", text);
        Ok(words.first)
    }

    /// The active box has been active all the time, with nobody else.
    fn expect_unmoved(&self, active: usize, marks: [Mark; 2]) -> Result<()> {
        let console = &self.pair.machine(active)?.console;
        let lines = marks.get(active).map(|mark| console.lines_since(*mark));
        let lines = lines.unwrap_or_default();
        let moved = lines.iter().find(|line| is_news(&line.text));
        let moved = moved.map_or("nothing", |line| &line.text);
        ensure(moved == "nothing", "no role should change", moved)?;
        self.pair.expect_active(active)
    }

    /// Each kernel holds each flow, as its own box counts.
    fn count(&self) -> Result<()> {
        for machine in &self.pair.boxes {
            let began = Instant::now();
            let command = format!(
                "connections udp {VIRTUAL_V4} port {}",
                crate::flows::route::PORT_DNAT
            );
            let said = machine.console.ask_patiently(&command, COUNT_TIMEOUT)?;
            let first = said.first().map_or("nothing", String::as_str);
            let took = began.elapsed().as_secs_f64();
            self.timeline
                .note(machine.name(), format!("{first} (counted in {took:.1} s)"));
            let whole = format!("{ALL} of ");
            ensure(
                first.starts_with(&whole),
                "no flow should be missing",
                first,
            )?;
        }
        Ok(())
    }

    /// The active box dies.
    fn power_cut(&mut self, active: usize) -> Result<()> {
        let heir = self.pair.machine(1 - active)?;
        let mark = heir.console.mark();
        let cut = self.pair.machine(active)?.power_cut();
        let first = self.converse("after the power cut")?;
        let gap = first.saturating_duration_since(cut).as_millis();
        let heir = self.pair.machine(1 - active)?;
        let console = &heir.console;
        let line = console.wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
        let took = line.at.saturating_duration_since(cut).as_millis();
        let text = format!("active {took} ms after the cut, first word carried after {gap} ms");
        self.timeline.note(heir.name(), text);
        let held = self
            .pair
            .shell(1 - active, "cat /proc/sys/net/netfilter/nf_conntrack_count")?;
        let held = held.first().map_or("nothing", String::as_str);
        let is_whole = held.trim().parse::<u32>().is_ok_and(|held| held >= ALL);
        ensure(
            is_whole,
            "the heir's kernel should still hold all flows",
            held,
        )
    }
}

/// Both boxes hold `count` connections or more, and the same, as this `status` says.
fn holds(status: &[String], count: u32) -> bool {
    let is_in_sync = |line: &String| line.starts_with("connections: in sync");
    let is_full = |held: &str| held.parse::<u32>().is_ok_and(|held| held >= count);
    let is_row = |line: &String| {
        let words: Vec<_> = line.split_whitespace().collect();
        matches!(words.as_slice(), ["connections", here, there] if is_full(here) && is_full(there))
    };
    let is_equal = |line: &String| line.trim() == "digests: equal";
    status.iter().any(is_in_sync) && status.iter().any(is_row) && status.iter().any(is_equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_boxes_must_hold_as_many_and_the_same() {
        let status = |state: &str, digests: &str| {
            let lines = [
                format!("connections: {state}; by sync 10.0.0.2"),
                " connections  300012  300007".into(),
                format!("  digests: {digests}"),
            ];
            lines.to_vec()
        };
        assert!(holds(&status("in sync", "equal"), 300_007));
        assert!(!holds(&status("in sync", "equal"), 300_008));
        assert!(!holds(&status("NOT YET in sync", "equal"), 300_000));
        let differs = status("in sync", "equal in 63 of 64 slices");
        assert!(!holds(&differs, 300_000));
    }
}
