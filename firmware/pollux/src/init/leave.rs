//! The way out: resign, stop the workers, go. Each stage is bounded, because a box that was told to
//! reboot must reboot whatever hangs.

use super::process;
use super::supervisor::Supervisor;
use crate::ipc::control::Level;
use crate::ipc::{Answer, RESIGN_SYNC_WAIT, ToWorker, WorkerKind};
use std::time::{Duration, Instant};

/// A planned handover takes well under 100 ms; a peer that does not answer gets 2 s, once this box has waited for it to
/// have all connections.
const RESIGN_TIMEOUT: Duration = RESIGN_SYNC_WAIT.saturating_add(Duration::from_secs(2));

/// Workers have little to put in order.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// What becomes of the box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// It starts again.
    Reboot,
    /// It is switched off.
    PowerOff,
    /// It goes on without us: we are its guest.
    Stop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Resigning,
    Stopping,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Wait.
    Nothing,
    /// Tell every worker to stop.
    StopWorkers,
    /// Kill what is left and go.
    Go(Destination),
}

/// A box on its way out, resigning first.
#[derive(Debug, Clone, Copy)]
pub struct Leave {
    to: Destination,
    stage: Stage,
    deadline: Instant,
}

impl Leave {
    /// Begins; the cluster worker is to be told to resign.
    pub fn begin(now: Instant, to: Destination) -> Self {
        Leave {
            to,
            stage: Stage::Resigning,
            deadline: now + RESIGN_TIMEOUT,
        }
    }

    /// When `step` has something to do at the latest.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Moves on: `resigned` once no virtual address is held here, `running` workers are alive.
    pub fn step(&mut self, now: Instant, resigned: bool, running: usize) -> Act {
        let late = now >= self.deadline;
        match self.stage {
            Stage::Resigning if resigned || late => {
                self.stage = Stage::Stopping;
                self.deadline = now + STOP_TIMEOUT;
                Act::StopWorkers
            }
            Stage::Stopping if running == 0 || late => Act::Go(self.to),
            Stage::Resigning | Stage::Stopping => Act::Nothing,
        }
    }
}

impl Supervisor {
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
            // Without a cluster worker that acts there is nobody to wait for.
            let asked = self.team.may_act()
                && self
                    .team
                    .of_kind(WorkerKind::Cluster)
                    .filter(|process| process.life.pid().is_some())
                    .any(|process| process.lifeline.send(&ToWorker::Resign).is_ok());
            self.resigned = !asked;
        }
        Answer::Done
    }

    /// Goes on with leaving; the destination once it is time to go there.
    pub(super) fn leave_on(&mut self, now: Instant) -> Option<Destination> {
        let running = self.team.running();
        match self.leaving.as_mut()?.step(now, self.resigned, running) {
            Act::Nothing => None,
            Act::StopWorkers => {
                for process in &mut self.team.processes {
                    process.life.retire(now);
                    // One that does not read is killed at the deadline.
                    let _ = process.lifeline.send(&ToWorker::Stop);
                }
                None
            }
            Act::Go(destination) => Some(self.go(destination)),
        }
    }

    fn go(&mut self, destination: Destination) -> Destination {
        for process in &self.team.processes {
            process.life.pid().into_iter().for_each(process::kill);
        }
        // Armed over a reboot, so that one which hangs ends; not over a power-off.
        if destination == Destination::PowerOff
            && let Err(error) = self.guard.disarm()
        {
            let text = format!("stopping the hardware watchdog: {error}");
            self.journal.say(Level::Error, &text);
        }
        self.journal.say(Level::Info, "all workers have stopped");
        destination
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resigns_then_stops_then_goes() {
        let now = Instant::now();
        let mut leave = Leave::begin(now, Destination::Reboot);
        assert_eq!(leave.step(now, false, 5), Act::Nothing);
        assert_eq!(leave.step(now, true, 5), Act::StopWorkers);
        assert_eq!(leave.step(now, true, 2), Act::Nothing);
        assert_eq!(leave.step(now, true, 0), Act::Go(Destination::Reboot));
    }

    #[test]
    fn nothing_that_hangs_keeps_it() {
        let now = Instant::now();
        let mut leave = Leave::begin(now, Destination::PowerOff);
        let later = now + RESIGN_TIMEOUT;
        assert_eq!(leave.step(later, false, 5), Act::StopWorkers);
        let later = later + STOP_TIMEOUT;
        assert_eq!(leave.step(later, false, 5), Act::Go(Destination::PowerOff));
    }
}
