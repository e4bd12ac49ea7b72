//! What PID 1 does of itself in each turn of its loop: bring the box to its config, start who is due,
//! pass on log lines, feed the watchdog, leave.

use super::boot::phase;
use super::failure::Failure;
use super::leave::{Act, Destination, Leave};
use super::medium::Selected;
use super::process::Process;
use super::supervisor::{FEED_INTERVAL, Supervisor};
use super::team;
use crate::ipc::control::Level;
use crate::ipc::{Answer, ToWorker, WorkerKind};
use std::time::Instant;
use sys::signals::Signal;

/// Log lines a console may be behind before it is taken to the newest ones.
const CONSOLE_LAG_LINES_MAX: u64 = 200;

impl Supervisor {
    /// Goes on with the search for a config, and once there is one, with the box.
    pub(super) fn search_on(&mut self, now: Instant) {
        self.search.drain();
        if self.running.is_some() {
            self.mention_newer(now);
            return;
        }
        if let Some(remarks) = self.search.complaint(now) {
            self.complain(&remarks);
        }
        let Some(choice) = self.search.decide(now) else {
            return;
        };
        for remark in &choice.remarks {
            self.journal.say(Level::Warn, remark);
        }
        if let Some(selected) = choice.selected {
            self.settle(now, selected);
        }
    }

    fn complain(&mut self, remarks: &[String]) {
        let journal = &mut self.journal;
        journal.say(
            Level::Error,
            "no config: no medium holds a valid one for this box",
        );
        for remark in remarks {
            journal.say(Level::Error, &format!("  looked at {remark}"));
        }
        if remarks.is_empty() {
            journal.say(Level::Error, "  no block device is there to look at");
        }
        let help = "write one with `polluxctl media` (floppy, USB stick) and plug it in: \
                    it is taken at once";
        journal.say(Level::Error, help);
    }

    /// A medium plugged into a box that runs is looked at, but only a reboot takes it.
    fn mention_newer(&mut self, now: Instant) {
        let Some(choice) = self.search.decide(now) else {
            return;
        };
        self.search.settle();
        let running = self
            .running
            .as_ref()
            .map_or(0, |selected| selected.image.generation);
        let Some(found) = choice.selected else { return };
        if found.image.generation > running {
            let (place, generation) = (found.place, found.image.generation);
            let text = format!(
                "{place} holds generation {generation}, this box runs {running}: reboot to take it"
            );
            self.journal.say(Level::Warn, &text);
        }
    }

    fn settle(&mut self, now: Instant, selected: Selected) {
        if self.employ(now, selected).is_err() {
            // Said by the phase; without its workers the box is of no use.
            self.leave(now, Destination::Reboot, "the workers can't be set up");
        }
    }

    /// Takes a config, and gathers the workers that will serve it.
    pub(super) fn employ(&mut self, now: Instant, selected: Selected) -> Result<(), Failure> {
        self.search.settle();
        let (place, generation) = (&selected.place, selected.image.generation);
        let config = &selected.image.config;
        let text = format!(
            "config: generation {generation} from {place}; this is {} of cluster {}",
            team::node_name(&selected),
            config.cluster.name
        );
        self.journal.say(Level::Info, &text);
        let (place, ttys) = (&self.place, &self.ttys);
        let team = phase(&mut self.journal, "workers", |_| {
            team::settle(&selected, place).and_then(|()| team::gather(now, &selected, place, ttys))
        });
        self.team = team?;
        self.running = Some(selected);
        Ok(())
    }

    /// Starts whoever is due.
    pub(super) fn start_due(&mut self, now: Instant) {
        for process in &mut self.team {
            if let Err(error) = process.start_if_due(now) {
                let text = format!("starting {}: {error}", process.name());
                self.journal.say(Level::Error, &text);
            }
        }
    }

    /// Sends every attached console the lines it has not had.
    pub(super) fn send_log_lines(&mut self) {
        let ring = self.journal.ring();
        for process in &mut self.team {
            let Some(next) = process.attached_from else {
                continue;
            };
            let newest = ring.end().saturating_sub(CONSOLE_LAG_LINES_MAX);
            let mut next = next.max(newest);
            for line in ring.page(next) {
                let after = line.sequence.saturating_add(1);
                if process.lifeline.send(&ToWorker::LogLine(line)).is_err() {
                    break;
                }
                next = after;
            }
            process.attached_from = Some(next);
        }
    }

    /// Feeds the hardware watchdog if every vital worker turns; one that hangs is killed first, so that
    /// the watchdog bites only where that does not help.
    pub(super) fn feed(&mut self, now: Instant) {
        let mut all_turn = true;
        for process in self
            .team
            .iter_mut()
            .filter(|process| !process.is_alive(now))
        {
            all_turn = false;
            if let Some(pid) = process.give_up() {
                let text = format!("{} gives no sign of life: killing it", process.name());
                self.journal.say(Level::Error, &text);
                kill(pid);
            }
        }
        let Some(watchdog) = &mut self.watchdog else {
            return;
        };
        let due = self
            .fed
            .is_none_or(|fed| now.saturating_duration_since(fed) >= FEED_INTERVAL / 2);
        if !due || !all_turn {
            return;
        }
        self.fed = Some(now);
        if let Err(error) = watchdog.feed() {
            let text = format!("feeding the hardware watchdog: {error}");
            self.journal.say(Level::Error, &text);
        }
    }

    /// Kills a worker, so that it starts again.
    pub(super) fn restart(&mut self, name: &str) -> Answer {
        let Some(process) = self.team.iter().find(|process| process.name() == name) else {
            let names: Vec<String> = self.team.iter().map(Process::name).collect();
            return Answer::Refused(format!(
                "no worker {name}: write one of {}",
                names.join(", ")
            ));
        };
        process.pid().into_iter().for_each(kill);
        Answer::Done
    }

    /// Begins to leave, unless that has begun; for `answer`.
    pub(super) fn leave(&mut self, now: Instant, to: Destination, why: &str) -> Answer {
        if self.leaving.is_none() {
            let what = match to {
                Destination::Reboot => "rebooting",
                Destination::PowerOff => "switching off",
                Destination::Stop => "stopping",
            };
            self.journal.say(Level::Warn, &format!("{what}: {why}"));
            self.leaving = Some(Leave::begin(now, to));
            // Without a cluster worker there is nobody to wait for.
            let asked = self
                .of_kind(WorkerKind::Cluster)
                .filter(|process| process.pid().is_some())
                .any(|process| process.lifeline.send(&ToWorker::Resign).is_ok());
            self.resigned = !asked;
        }
        Answer::Done
    }

    /// Goes on with leaving; the destination once it is time to go there.
    pub(super) fn leave_on(&mut self, now: Instant) -> Option<Destination> {
        let running = self
            .team
            .iter()
            .filter(|process| process.pid().is_some())
            .count();
        match self.leaving.as_mut()?.step(now, self.resigned, running) {
            Act::Nothing => None,
            Act::StopWorkers => {
                for process in &mut self.team {
                    process.retire(now);
                    // One that does not read is killed at the deadline.
                    let _ = process.lifeline.send(&ToWorker::Stop);
                }
                None
            }
            Act::Go(destination) => Some(self.go(destination)),
        }
    }

    fn go(&mut self, destination: Destination) -> Destination {
        for process in &self.team {
            process.pid().into_iter().for_each(kill);
        }
        // Armed over a reboot, so that one which hangs ends; not over a power-off.
        let disarm = self
            .watchdog
            .take()
            .filter(|_| destination == Destination::PowerOff);
        if let Some(Err(error)) = disarm.map(sys::watchdog::Watchdog::disarm) {
            let text = format!("stopping the hardware watchdog: {error}");
            self.journal.say(Level::Error, &text);
        }
        self.journal.say(Level::Info, "all workers have stopped");
        destination
    }
}

/// A process that is gone already needs no killing.
fn kill(pid: i32) {
    let _ = sys::process::kill_group(pid, Signal::SIGKILL);
}
