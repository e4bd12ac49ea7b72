//! One worker as PID 1 sees it: its wires, which outlive it, its log, and when it is to be started.

use super::failure::Failure;
use super::life::Life;
use super::lines::Lines;
use crate::ipc::control::{Level, WorkerStatus};
use crate::ipc::{Channel, FromWorker, ToWorker, Wire, WorkerKind};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Instant;
use sys::process::{Spawn, Spawned, spawn};
use sys::signals::Signal;

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

/// Kills it with all that it started; one that is gone already needs no killing.
pub fn kill(pid: i32) {
    let _ = sys::process::kill_group(pid, Signal::SIGKILL);
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
    /// How it fares.
    pub life: Life,
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
            life: Life::new(now),
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

    /// Starts it if its time has come; a worker without a terminal waits at the gate then.
    pub fn start_if_due(&mut self, now: Instant, gate: BorrowedFd<'_>) -> Result<(), Failure> {
        if self.life.due().is_none_or(|due| now < due) {
            return Ok(());
        }
        let Spawned { pid, output } = self
            .spawn(gate)
            .inspect_err(|_| self.life.did_not_start(now))?;
        self.output = Some(output);
        self.life.started(now, pid);
        Ok(())
    }

    fn spawn(&self, gate: BorrowedFd<'_>) -> Result<Spawned, Failure> {
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
            input: Some(gate),
            no_new_privileges: true,
        })?)
    }

    /// Takes note that process `pid` has ended; the sentence to be logged if it was this one.
    pub fn ended(&mut self, now: Instant, pid: i32, how: &str, restart: bool) -> Option<String> {
        if self.life.pid() != Some(pid) {
            return None;
        }
        self.attached_from = None;
        let name = self.name();
        let makes_way = self.life.makes_way();
        Some(match self.life.ended(now, how, restart) {
            Some(_) if makes_way => {
                format!("{name} (pid {pid}) makes way for one with the new config")
            }
            None => format!("{name}: {how}"),
            Some(wait) => {
                let wait_ms = wait.as_millis();
                format!("{name} (pid {pid}): {how}; it starts again in {wait_ms} ms")
            }
        })
    }

    /// It turns, as far as we can know.
    pub fn is_alive(&self, now: Instant) -> bool {
        !self.description.kind.gives_signs_of_life() || self.life.is_alive(now)
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
        let span = now.saturating_duration_since(self.life.since()).as_millis();
        WorkerStatus {
            name: self.name(),
            pid: self.life.pid().map(i32::unsigned_abs),
            since_ms: u64::try_from(span).unwrap_or(u64::MAX),
            restarts: self.life.restarts(),
            dropped: self.lifeline.dropped(),
            last_end: self.life.last_end().map(String::from),
        }
    }
}
