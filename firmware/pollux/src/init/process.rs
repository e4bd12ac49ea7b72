//! One worker as PID 1 sees it: its wires, which outlive it, its log, and when it is to be started.

use super::backoff::Backoff;
use super::failure::Failure;
use super::lines::Lines;
use crate::ipc::control::{Level, WorkerStatus};
use crate::ipc::{Channel, FromWorker, ToWorker, Wire, WorkerKind};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};
use sys::process::{Spawn, Spawned, spawn};

/// A vital worker that says nothing for this long hangs; it is killed and started again.
const ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The first descriptor of a worker behind standard input, output and error.
const FIRST_WIRE: i32 = 3;

/// User and group of those who face people: nobody, and owner of nothing.
const NOBODY: (u32, u32) = (65534, 65534);

/// What a worker is.
pub struct Description {
    /// What it does.
    pub kind: WorkerKind,
    /// For a console.
    pub tty: Option<String>,
    /// Arguments besides kind, tty and wires.
    pub arguments: Vec<String>,
    /// Its ends of the wires to other workers; PID 1 keeps them open for the next start.
    pub wires: Vec<(Wire, OwnedFd)>,
}

/// Where a worker is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running {
        pid: i32,
        since: Instant,
        heard: Instant,
    },
    /// Killed because it hung, and not gone yet: what it still says counts for nothing.
    Dying {
        pid: i32,
        since: Instant,
    },
    Waiting {
        since: Instant,
        until: Instant,
    },
    Stopped {
        since: Instant,
    },
}

/// A worker.
pub struct Process {
    /// What it is.
    pub description: Description,
    /// PID 1's end of its lifeline.
    pub lifeline: Channel<ToWorker, FromWorker>,
    /// Next log line a console is to be sent, once it is attached.
    pub attached_from: Option<u64>,
    lifeline_end: OwnedFd,
    /// Standard error of the running process, `None` once it is closed.
    output: Option<File>,
    lines: Lines,
    life: Life,
    backoff: Backoff,
    restarts: u32,
    last_end: Option<String>,
}

impl Process {
    /// A worker that `start_if_due` will start at once.
    pub fn new(now: Instant, description: Description) -> Result<Self, Failure> {
        let (ours, lifeline_end) = sys::socket::pair()?;
        Ok(Process {
            description,
            lifeline: Channel::new(ours).map_err(Failure::during("making a lifeline"))?,
            attached_from: None,
            lifeline_end,
            output: None,
            lines: Lines::default(),
            life: Life::Waiting {
                since: now,
                until: now,
            },
            backoff: Backoff::default(),
            restarts: 0,
            last_end: None,
        })
    }

    /// `cluster`, `console ttyS0`.
    pub fn name(&self) -> String {
        let kind = self.description.kind;
        match &self.description.tty {
            Some(tty) => format!("{kind} {tty}"),
            None => kind.to_string(),
        }
    }

    /// Starts it if its time has come.
    pub fn start_if_due(&mut self, now: Instant) -> Result<(), Failure> {
        let Life::Waiting { until, .. } = self.life else {
            return Ok(());
        };
        if now < until {
            return Ok(());
        }
        match self.spawn() {
            Ok(Spawned { pid, output }) => {
                self.output = Some(output);
                self.life = Life::Running {
                    pid,
                    since: now,
                    heard: now,
                };
                Ok(())
            }
            Err(error) => {
                let until = now + self.backoff.after(Duration::ZERO);
                self.life = Life::Waiting { since: now, until };
                Err(error)
            }
        }
    }

    fn spawn(&self) -> Result<Spawned, Failure> {
        let Description {
            kind,
            tty,
            arguments,
            wires,
        } = &self.description;
        let mut argv: Vec<String> = vec!["pollux".into(), "worker".into(), kind.name().into()];
        argv.extend(arguments.iter().cloned());
        let lifeline = (Wire::Lifeline, self.lifeline_end.as_fd());
        let others = wires.iter().map(|(wire, end)| (*wire, end.as_fd()));
        let mut descriptors = Vec::new();
        for ((wire, end), number) in [lifeline].into_iter().chain(others).zip(FIRST_WIRE..) {
            argv.extend(["--wire".into(), format!("{}={number}", wire.name())]);
            descriptors.push((number, end));
        }
        let terminal = tty
            .as_deref()
            .map(|tty| sys::tty::open(&Path::new("/dev").join(tty)))
            .transpose()?;
        let arguments: Vec<&str> = argv.iter().map(String::as_str).collect();
        Ok(spawn(&Spawn {
            arguments: &arguments,
            descriptors: &descriptors,
            user: terminal.is_some().then_some(NOBODY),
            terminal: terminal.as_ref().map(AsFd::as_fd),
            input: None,
            no_new_privileges: true,
        })?)
    }

    /// Takes note that process `pid` has ended; the sentence to be logged if it was this one.
    pub fn ended(&mut self, now: Instant, pid: i32, how: &str, restart: bool) -> Option<String> {
        let (Life::Running {
            pid: own, since, ..
        }
        | Life::Dying { pid: own, since }) = self.life
        else {
            return None;
        };
        if own != pid {
            return None;
        }
        self.attached_from = None;
        self.last_end = Some(how.into());
        if !restart {
            self.life = Life::Stopped { since: now };
            return Some(format!("{}: {how}", self.name()));
        }
        let wait = self.backoff.after(now.saturating_duration_since(since));
        self.restarts = self.restarts.saturating_add(1);
        self.life = Life::Waiting {
            since: now,
            until: now + wait,
        };
        let name = self.name();
        Some(format!(
            "{name} (pid {pid}): {how}; it starts again in {} ms",
            wait.as_millis()
        ))
    }

    /// It gave a sign of life.
    pub fn heard(&mut self, now: Instant) {
        if let Life::Running { heard, .. } = &mut self.life {
            *heard = now;
        }
    }

    /// It turns, as far as we must care: what the hardware watchdog hangs on.
    pub fn is_alive(&self, now: Instant) -> bool {
        match self.life {
            _ if !self.description.kind.is_vital() => true,
            Life::Running { heard, .. } => now.saturating_duration_since(heard) < ALIVE_TIMEOUT,
            Life::Dying { .. } => false,
            Life::Waiting { since, .. } => now.saturating_duration_since(since) < ALIVE_TIMEOUT,
            Life::Stopped { .. } => true,
        }
    }

    /// Gives it up if it runs: the process to be killed, once. Not alive until that has ended.
    pub fn give_up(&mut self) -> Option<i32> {
        let Life::Running { pid, since, .. } = self.life else {
            return None;
        };
        self.life = Life::Dying { pid, since };
        Some(pid)
    }

    /// Its process.
    pub fn pid(&self) -> Option<i32> {
        match self.life {
            Life::Running { pid, .. } | Life::Dying { pid, .. } => Some(pid),
            Life::Waiting { .. } | Life::Stopped { .. } => None,
        }
    }

    /// When it is to be started.
    pub fn due(&self) -> Option<Instant> {
        match self.life {
            Life::Waiting { until, .. } => Some(until),
            Life::Running { .. } | Life::Dying { .. } | Life::Stopped { .. } => None,
        }
    }

    /// It is not to be started again.
    pub fn retire(&mut self, now: Instant) {
        if matches!(self.life, Life::Waiting { .. }) {
            self.life = Life::Stopped { since: now };
        }
    }

    /// Complete lines that it has logged.
    pub fn read_log(&mut self) -> Vec<(Level, String)> {
        let Some(output) = &mut self.output else {
            return Vec::new();
        };
        let (lines, open) = self.lines.read(output);
        if !open {
            self.output = None;
        }
        lines
    }

    /// What PID 1 waits for.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let output = self.output.iter().map(AsFd::as_fd);
        output.chain([self.lifeline.as_fd()])
    }

    /// For the console.
    pub fn status(&self, now: Instant) -> WorkerStatus {
        let (Life::Running { since, .. }
        | Life::Dying { since, .. }
        | Life::Waiting { since, .. }
        | Life::Stopped { since }) = self.life;
        let span = now.saturating_duration_since(since).as_millis();
        WorkerStatus {
            name: self.name(),
            pid: self.pid().map(i32::unsigned_abs),
            since_ms: u64::try_from(span).unwrap_or(u64::MAX),
            restarts: self.restarts,
            dropped: self.lifeline.dropped(),
            last_end: self.last_end.clone(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_that_hangs_and_cannot_be_killed_is_left_to_the_watchdog() {
        let now = Instant::now();
        let description = Description {
            kind: WorkerKind::Cluster,
            tty: None,
            arguments: Vec::new(),
            wires: Vec::new(),
        };
        let mut process = Process::new(now, description).unwrap();
        process.life = Life::Running {
            pid: 7,
            since: now,
            heard: now,
        };
        assert!(process.is_alive(now));
        let later = now + ALIVE_TIMEOUT;
        assert!(!process.is_alive(later));
        assert_eq!((process.give_up(), process.give_up()), (Some(7), None));
        process.heard(later);
        assert!(!process.is_alive(later));
        assert!(process.ended(later, 7, "killed", true).is_some());
        assert!(process.is_alive(later));
    }
}
