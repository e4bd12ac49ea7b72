//! The health worker: checks every real server, on both boxes at all times, in one poll loop, from when the
//! dataplane says that servers can be reached. It reads what strangers send, so it runs unprivileged behind
//! seccomp; it changes nothing and only tells the dataplane what it thinks (see `HealthToDataplane`).

pub mod http;
mod judge;
mod probe;
mod rhythm;
mod target;

use crate::clock::{now, wait_until};
use crate::ipc::{
    Channel, DataplaneToHealth, FromWorker, HealthToDataplane, SendError, ToWorker, Wire,
    checks_tag,
};
use crate::worker::{self, TURN_MESSAGES_MAX, WorkerContext, WorkerError};
use core::time::Duration;
use std::os::fd::AsFd;
use sys::poll::PollFd;
use target::Target;

/// Checks on their way at once, below the descriptors a process may open (1024); what is due beyond it
/// waits for one to end, which the timeouts bound.
const IN_FLIGHT_MAX: usize = 900;

/// Longest turn when nothing is due.
const TURN_MAX: Duration = Duration::from_secs(1);

/// Longest turn while a verdict waits for room on the wire.
const TELL_AGAIN: Duration = Duration::from_millis(20);

/// From a check that found no memory or descriptor to the next one.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(20);

/// Runs until PID 1 says stop or a failure that only a restart can mend.
pub fn run(mut context: WorkerContext) -> Result<(), WorkerError> {
    let dataplane = context.wire(Wire::HealthDataplane)?;
    confine()?;
    let targets = target::targets(&context.config);
    log::info!("checking {} servers", targets.len());
    let mut worker = Worker {
        checks: checks_tag(&context.config.services),
        targets,
        lifeline: context.lifeline,
        dataplane,
        shortage: Shortage::default(),
    };
    // The wire's first message, so it fits unless the dataplane hangs; when that starts it says `Begin` anyway.
    let _ = worker.dataplane.send(&HealthToDataplane::Started);
    while worker.turn()? {}
    Ok(())
}

/// Gives up all that this worker will not need: from here on it reads what strangers send.
fn confine() -> Result<(), WorkerError> {
    sys::sandbox::keep(&[]).map_err(|error| WorkerError::failed("entering the sandbox", error))?;
    if let Err(error) = sys::sandbox::confine(sys::sandbox::HEALTH) {
        log::error!("{error}: checks run without it; boot a kernel with CONFIG_SECCOMP_FILTER");
    }
    Ok(())
}

struct Worker {
    /// Of the services that `targets` are of.
    checks: u64,
    targets: Vec<Target>,
    lifeline: Channel<FromWorker, ToWorker>,
    dataplane: Channel<HealthToDataplane, DataplaneToHealth>,
    shortage: Shortage,
}

/// This box lacked what a check takes. No server is judged by that; checks wait until some may have ended.
#[derive(Debug, Default)]
struct Shortage {
    over_at: Duration,
    said: bool,
}

impl Shortage {
    fn note(&mut self, now: Duration, error: &sys::Error) {
        self.over_at = now.saturating_add(SHORTAGE_PAUSE);
        if !self.said {
            log::error!("{error}: checks wait for their turn; give this program more");
        }
        self.said = true;
    }
}

impl Worker {
    /// One turn of the loop; `false` once PID 1 said stop.
    fn turn(&mut self) -> Result<bool, WorkerError> {
        let ready = self.wait()?;
        for position in ready {
            if let Some(target) = self.targets.get_mut(position)
                && let Some(outcome) = target.advance()
            {
                target.conclude(&outcome);
            }
        }
        self.expire();
        self.hear_dataplane()?;
        self.begin_due();
        self.tell();
        Ok(!worker::is_to_stop(&mut self.lifeline)?)
    }

    /// Waits for the first thing to do. Returns the positions of targets whose sockets are ready.
    fn wait(&self) -> Result<Vec<usize>, WorkerError> {
        let probes = self.targets.iter().enumerate();
        let probes = probes.filter_map(|(position, target)| {
            let (probe, _) = target.probe.as_ref()?;
            let fd = probe.as_fd();
            let event = if probe.waits_to_write() {
                sys::poll::writable(fd)
            } else {
                sys::poll::readable(fd)
            };
            Some((position, event))
        });
        let (positions, mut events): (Vec<usize>, Vec<PollFd<'_>>) = probes.unzip();
        events.push(sys::poll::readable(self.lifeline.as_fd()));
        events.push(sys::poll::readable(self.dataplane.as_fd()));
        wait_until(&mut events, self.wake_at())
            .map_err(|error| WorkerError::failed("waiting for servers", error))?;
        let ready = positions.into_iter().zip(&events);
        Ok(ready
            .filter(|(_, event)| sys::poll::is_ready(event))
            .map(|(position, _)| position)
            .collect())
    }

    fn wake_at(&self) -> Duration {
        let full = self.in_flight() >= IN_FLIGHT_MAX;
        let over_at = self.shortage.over_at;
        let due = self
            .targets
            .iter()
            .filter_map(|target| match &target.probe {
                Some((_, deadline)) => Some(*deadline),
                None => (!full).then_some(target.next_at.max(over_at)),
            });
        let waits_for_room = self.targets.iter().any(|target| target.unsent);
        let turn_max = if waits_for_room { TELL_AGAIN } else { TURN_MAX };
        due.min()
            .unwrap_or(Duration::MAX)
            .min(now().saturating_add(turn_max))
    }

    fn in_flight(&self) -> usize {
        let under_way = self.targets.iter().filter(|target| target.probe.is_some());
        under_way.count()
    }

    fn expire(&mut self) {
        let now = now();
        for target in &mut self.targets {
            if let Some(outcome) = target.expired(now) {
                target.conclude(&outcome);
            }
        }
    }

    fn begin_due(&mut self) {
        let room = IN_FLIGHT_MAX.saturating_sub(self.in_flight());
        let now = now();
        if self.shortage.over_at > now {
            return;
        }
        let targets = self.targets.iter_mut();
        let mut due: Vec<_> = targets
            .filter(|target| target.probe.is_none() && target.next_at <= now)
            .collect();
        // Who waits longest goes first, so that a lack of room starves nobody.
        due.sort_by_key(|target| target.next_at);
        for target in due.into_iter().take(room) {
            match target.begin(now) {
                Ok(Some(outcome)) => target.conclude(&outcome),
                Ok(None) => {}
                Err(error) => {
                    self.shortage.note(now, &error);
                    return;
                }
            }
        }
    }

    fn hear_dataplane(&mut self) -> Result<(), WorkerError> {
        for _ in 0..TURN_MESSAGES_MAX {
            let heard = self.dataplane.receive();
            let Some(DataplaneToHealth::Begin) =
                heard.map_err(|error| WorkerError::failed("listening to dataplane", error))?
            else {
                break;
            };
            let now = now();
            for target in &mut self.targets {
                target.begin_or_repeat(now);
            }
        }
        Ok(())
    }

    /// Sends what has not been sent; what finds no room waits for the next turn.
    fn tell(&mut self) {
        for target in self.targets.iter_mut().filter(|target| target.unsent) {
            let Some(up) = target.verdict() else {
                continue;
            };
            let message = HealthToDataplane::Verdict {
                service: target.service,
                server: target.server,
                up,
                checks: self.checks,
            };
            match self.dataplane.send(&message) {
                Ok(()) => target.unsent = false,
                Err(SendError::Full | SendError::TooLong | SendError::Closed(_)) => return,
            }
        }
    }
}
