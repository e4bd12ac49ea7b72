//! The way out: resign, stop the workers, go. Each stage is bounded, because a box that was told to
//! reboot must reboot whatever hangs.

use std::time::{Duration, Instant};

/// A planned handover takes well under 100 ms; a peer that does not answer gets this long.
const RESIGN_TIMEOUT: Duration = Duration::from_secs(2);

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
