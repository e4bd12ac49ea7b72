//! PID 1's loop, and that of a daemon. Each turn looks at everything there is; no readiness is remembered,
//! so none is lost.

use super::failure::Failure;
use super::journal::Journal;
use super::leave::{Destination, Leave};
use super::medium::Selected;
use super::process::Process;
use super::search::Search;
use crate::clock::wait;
use crate::ipc::control::Level;
use crate::ipc::{Answer, Ask, FromWorker, ToWorker, WorkerKind};
use crate::place::Place;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use sys::poll::{PollFd, readable};
use sys::signals::{Signal, Signals};
use sys::uevent::{Uevent, Uevents};
use sys::watchdog::Watchdog;

/// From one meal of the watchdog to the next; the loop turns at least this often.
pub(super) const FEED_INTERVAL: Duration = Duration::from_secs(2);

/// PID 1 overslept by this much: the box was stopped as a whole, and nobody may be blamed for silence.
const STALL: Duration = Duration::from_secs(2);

/// Messages taken from a worker in one turn, so that no worker keeps PID 1 from the others.
const TURN_MESSAGES_MAX: u32 = 64;

/// What the kernel tells PID 1: a child has ended, ctrl-alt-del, and what an operator's tool may send. The
/// last two come from the terminal of a daemon.
const SIGNALS: [Signal; 5] = [
    Signal::SIGCHLD,
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

/// To an operator who wants to reboot the machine of a daemon.
const NOT_OURS_TO_END: &str = "this is a daemon, the machine is not its own: reboot that, \
                               or end the daemon with SIGTERM (`systemctl stop pollux`)";

/// The state of the box.
pub struct Supervisor {
    pub(super) journal: Journal,
    pub(super) ttys: Vec<String>,
    pub(super) watchdog: Option<Watchdog>,
    pub(super) fed: Option<Instant>,
    pub(super) signals: Signals,
    /// News of media; a guest has its config in a file.
    pub(super) uevents: Option<Uevents>,
    pub(super) place: Place,
    pub(super) search: Search,
    pub(super) running: Option<Selected>,
    pub(super) team: Vec<Process>,
    pub(super) leaving: Option<Leave>,
    pub(super) resigned: bool,
}

impl Supervisor {
    /// A box without a config.
    pub fn on_box(
        journal: Journal,
        ttys: Vec<String>,
        watchdog: Option<Watchdog>,
    ) -> Result<Self, Failure> {
        // Before the devices are listed, so that none falls between.
        let uevents = Some(Uevents::open()?);
        Ok(Supervisor {
            ttys,
            watchdog,
            uevents,
            ..Self::new(journal, Place::on_box())?
        })
    }

    /// A daemon with its config.
    pub fn as_guest(journal: Journal, place: Place, selected: Selected) -> Result<Self, Failure> {
        let mut supervisor = Self::new(journal, place)?;
        supervisor.employ(Instant::now(), selected)?;
        Ok(supervisor)
    }

    fn new(journal: Journal, place: Place) -> Result<Self, Failure> {
        Ok(Supervisor {
            journal,
            ttys: Vec::new(),
            watchdog: None,
            fed: None,
            signals: Signals::open(&SIGNALS)?,
            uevents: None,
            place,
            search: Search::new(Instant::now()),
            running: None,
            team: Vec::new(),
            leaving: None,
            resigned: false,
        })
    }

    /// Looks at every block device there is.
    pub fn look_for_media(&mut self) {
        match sys::block::list() {
            Ok(devices) => devices.iter().for_each(|device| self.look_at(&device.name)),
            Err(error) => self.journal.say(Level::Error, &error.to_string()),
        }
    }

    fn look_at(&mut self, device: &str) {
        if let Err(error) = self.search.look_at(Instant::now(), device) {
            self.journal
                .say(Level::Error, &format!("looking at {device}: {error}"));
        }
    }

    /// Runs the box until it is to go.
    pub fn serve(mut self) -> Result<Destination, Failure> {
        loop {
            let timeout = self.timeout(Instant::now());
            let before = Instant::now();
            wait(&mut self.descriptors(), Some(timeout))?;
            let now = Instant::now();
            if now.saturating_duration_since(before) > timeout + STALL {
                self.team.iter_mut().for_each(|process| process.heard(now));
            }
            self.read_team(now);
            self.read_signals(now);
            self.read_uevents();
            self.search_on(now);
            self.start_due(now);
            self.send_log_lines();
            self.feed(now);
            if let Some(destination) = self.leave_on(now) {
                return Ok(destination);
            }
        }
    }

    fn descriptors(&self) -> Vec<PollFd<'_>> {
        let uevents = self.uevents.iter().map(AsFd::as_fd);
        let own = [self.signals.as_fd()].into_iter().chain(uevents);
        let team = self.team.iter().flat_map(Process::descriptors);
        own.chain(team).map(readable).collect()
    }

    fn timeout(&self, now: Instant) -> Duration {
        let due = self.team.iter().filter_map(Process::due);
        let leave = self.leaving.as_ref().map(Leave::deadline);
        let all = due.chain(leave).chain(self.search.deadline());
        let next = all.map(|at| at.saturating_duration_since(now)).min();
        next.unwrap_or(FEED_INTERVAL).min(FEED_INTERVAL)
    }

    fn read_team(&mut self, now: Instant) {
        let mut asked = Vec::new();
        for process in &mut self.team {
            for (level, text) in process.read_log() {
                let name = process.name();
                self.journal.say(level, &format!("{name}: {text}"));
            }
            for _ in 0..TURN_MESSAGES_MAX {
                let Ok(Some(message)) = process.lifeline.receive() else {
                    break;
                };
                process.heard(now);
                if !may_say(process.description.kind, &message) {
                    process.lifeline.refuse();
                    continue;
                }
                match message {
                    FromWorker::Alive => {}
                    FromWorker::Standing { role, ready } => {
                        let ready = if ready { "ready" } else { "not ready" };
                        self.journal.say(Level::Info, &format!("{role}, {ready}"));
                    }
                    FromWorker::Resigned => self.resigned = true,
                    FromWorker::Ask(number, ask) => asked.push((number, ask)),
                    FromWorker::Attached => {
                        let tty = process.description.tty.as_deref();
                        process.attached_from = tty.map(|tty| self.journal.attach(tty));
                    }
                }
            }
        }
        for (number, ask) in asked {
            self.answer(now, number, ask);
        }
    }

    fn answer(&mut self, now: Instant, number: u32, ask: Ask) {
        let answer = match ask {
            Ask::Workers => Answer::Workers {
                workers: self
                    .team
                    .iter()
                    .map(|process| process.status(now))
                    .collect(),
                watchdog: self
                    .watchdog
                    .as_ref()
                    .map(|watchdog| watchdog.identity().to_string()),
            },
            Ask::Log { from } => Answer::Log {
                lines: self.journal.ring().page(from),
                end: self.journal.ring().end(),
            },
            Ask::Restart(name) => self.restart(&name),
            Ask::Reboot | Ask::PowerOff if self.place.is_guest => {
                Answer::Refused(NOT_OURS_TO_END.into())
            }
            Ask::Reboot => self.leave(now, Destination::Reboot, "the operator asked for it"),
            Ask::PowerOff => self.leave(now, Destination::PowerOff, "the operator asked for it"),
        };
        for process in self.of_kind(WorkerKind::Control) {
            // Control times out and says so if there is no room.
            let _ = process
                .lifeline
                .send(&ToWorker::Answer(number, answer.clone()));
        }
    }

    pub(super) fn of_kind(&mut self, kind: WorkerKind) -> impl Iterator<Item = &mut Process> {
        self.team
            .iter_mut()
            .filter(move |process| process.description.kind == kind)
    }

    fn read_signals(&mut self, now: Instant) {
        while let Some((signal, _)) = self.signals.next() {
            match signal {
                Signal::SIGCHLD => self.reap(now),
                signal if self.place.is_guest => {
                    drop(self.leave(now, Destination::Stop, signal.as_str()));
                }
                Signal::SIGINT => drop(self.leave(now, Destination::Reboot, "ctrl-alt-del")),
                Signal::SIGTERM => drop(self.leave(now, Destination::PowerOff, "SIGTERM")),
                _ => {}
            }
        }
    }

    fn reap(&mut self, now: Instant) {
        while let Some((pid, end)) = sys::process::reap() {
            // A probe, or an orphan that the kernel gave to us, has nobody to be missed by.
            if self.search.ended(now, pid) {
                continue;
            }
            let restart = self.leaving.is_none();
            let how = end.to_string();
            for process in &mut self.team {
                for (level, text) in process.read_log() {
                    let name = process.name();
                    self.journal.say(level, &format!("{name}: {text}"));
                }
                let Some(sentence) = process.ended(now, pid, &how, restart) else {
                    continue;
                };
                if let Some(tty) = &process.description.tty {
                    self.journal.detach(tty);
                }
                let level = if restart { Level::Error } else { Level::Info };
                self.journal.say(level, &sentence);
            }
        }
    }

    fn read_uevents(&mut self) {
        // An error other than an overrun does not happen; the next turn asks again.
        while let Some(Ok(Some(Uevent {
            action,
            subsystem,
            device,
        }))) = self.uevents.as_mut().map(Uevents::next)
        {
            match (action.as_str(), subsystem.as_str()) {
                ("overrun", _) => self.look_for_media(),
                ("add" | "change", "block") if may_be_medium(&device) => self.look_at(&device),
                _ => {}
            }
        }
    }
}

/// Whether such a message is for this kind of worker to send. Those who face strangers could command
/// PID 1 past the password otherwise, once taken over.
fn may_say(kind: WorkerKind, message: &FromWorker) -> bool {
    match message {
        FromWorker::Alive => true,
        FromWorker::Standing { .. } | FromWorker::Resigned => kind == WorkerKind::Cluster,
        FromWorker::Ask(..) => kind == WorkerKind::Control,
        FromWorker::Attached => kind == WorkerKind::Console,
    }
}

/// Not one of those that the kernel makes of memory or of other devices.
fn may_be_medium(device: &str) -> bool {
    let never = ["ram", "loop", "zram", "nbd", "dm-"];
    !device.is_empty() && !never.iter().any(|kind| device.starts_with(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_control_commands_pid_1() {
        let kinds = [
            WorkerKind::Cluster,
            WorkerKind::Dataplane,
            WorkerKind::Health,
            WorkerKind::Control,
            WorkerKind::Console,
        ];
        let reboot = FromWorker::Ask(1, Ask::Reboot);
        let allowed = |message| {
            kinds
                .into_iter()
                .filter(move |kind| may_say(*kind, message))
        };
        assert!(allowed(&reboot).eq([WorkerKind::Control]));
        assert!(allowed(&FromWorker::Resigned).eq([WorkerKind::Cluster]));
        assert!(allowed(&FromWorker::Alive).eq(kinds));
    }
}
