//! PID 1's loop, and that of a daemon. Each turn looks at everything there is; no readiness is remembered,
//! so none is lost.

use super::failure::Failure;
use super::guard::{FEED_INTERVAL, Guard};
use super::journal::Journal;
use super::leave::{Destination, Leave};
use super::media::Media;
use super::medium::{Choice, Selected};
use super::process::Process;
use super::reload::{ReadAgain, Reload};
use super::team::Team;
use crate::clock::wait;
use crate::ipc::control::Level;
use crate::ipc::{Answer, Ask, FromWorker, ToWorker, WorkerKind};
use crate::place::Place;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use sys::poll::{PollFd, readable};
use sys::signals::{Sender, Signal, Signals};

/// PID 1 overslept by this much: the box was stopped as a whole, and nobody may be blamed for silence.
const STALL: Duration = Duration::from_secs(2);

/// Messages taken from a worker in one turn, so that no worker keeps PID 1 from the others.
const WORKER_MESSAGES_MAX: u32 = 64;

/// What the kernel tells PID 1: a child has ended, ctrl-alt-del, and what an operator's tool may send. To a daemon
/// the last two come from its terminal, and SIGHUP from whoever wants its config read again.
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
    pub(super) guard: Guard,
    signals: Signals,
    /// Where a box finds its config; a guest has it in a file.
    pub(super) media: Option<Media>,
    pub(super) place: Place,
    /// The config the team is there for.
    pub(super) running: Option<Selected>,
    pub(super) team: Team,
    pub(super) leaving: Option<Leave>,
    pub(super) resigned: bool,
    /// Reads a guest's config again.
    pub(super) read_again: Option<ReadAgain>,
    pub(super) reload: Option<Reload>,
    /// The last one, where it was refused.
    pub(super) refused: Option<(Instant, String)>,
}

impl Supervisor {
    /// A box that looks for its config. Its ttys and watchdog are still to be given.
    pub fn on_box(journal: Journal) -> Result<Self, Failure> {
        // With its signals: the first probe may end before anything else happens.
        let mut supervisor = Self::new(journal, Place::on_box())?;
        let (media, problems) = Media::open(Instant::now())?;
        for problem in problems {
            supervisor.journal.say(Level::Error, &problem);
        }
        supervisor.media = Some(media);
        Ok(supervisor)
    }

    /// A daemon with its config, and how to read that again.
    pub fn as_guest(
        journal: Journal,
        place: Place,
        selected: Selected,
        read_again: ReadAgain,
    ) -> Result<Self, Failure> {
        let mut supervisor = Self::new(journal, place)?;
        supervisor.read_again = Some(read_again);
        let now = Instant::now();
        supervisor.employ(now, selected)?;
        supervisor.begin(&Choice::default());
        Ok(supervisor)
    }

    fn new(journal: Journal, place: Place) -> Result<Self, Failure> {
        Ok(Supervisor {
            journal,
            ttys: Vec::new(),
            guard: Guard::default(),
            signals: Signals::open(&SIGNALS)?,
            media: None,
            place,
            running: None,
            team: Team::none()?,
            leaving: None,
            resigned: false,
            read_again: None,
            reload: None,
            refused: None,
        })
    }

    /// Runs the box until it is to go.
    pub fn serve(mut self) -> Result<Destination, Failure> {
        loop {
            let timeout = self.timeout(Instant::now());
            let before = Instant::now();
            wait(&mut self.descriptors(), Some(timeout))?;
            let now = Instant::now();
            if now.saturating_duration_since(before) > timeout + STALL {
                let team = self.team.processes.iter_mut();
                team.for_each(|process| process.life.excuse(now));
            }
            self.read_team(now);
            self.read_signals(now);
            self.search_on(now);
            self.reload_on(now);
            self.start_due();
            self.send_log_lines();
            self.feed(now);
            if let Some(destination) = self.leave_on(now) {
                return Ok(destination);
            }
        }
    }

    fn descriptors(&self) -> Vec<PollFd<'_>> {
        let media = self.media.iter().map(AsFd::as_fd);
        let own = [self.signals.as_fd()].into_iter().chain(media);
        let team = self.team.processes.iter().flat_map(Process::descriptors);
        own.chain(team).map(readable).collect()
    }

    fn timeout(&self, now: Instant) -> Duration {
        let leave = self.leaving.as_ref().map(Leave::deadline);
        let search = self.media.as_ref();
        let search = search.and_then(|media| media.search.deadline());
        let reload = self.reload.as_ref().map(Reload::deadline);
        let all = [self.team.due(), leave, search, reload];
        let all = all.into_iter().flatten();
        let next = all.map(|at| at.saturating_duration_since(now)).min();
        next.unwrap_or(FEED_INTERVAL).min(FEED_INTERVAL)
    }

    fn read_team(&mut self, now: Instant) {
        let (mut asked, mut tried) = (Vec::new(), None);
        for process in &mut self.team.processes {
            for (level, text) in process.read_log() {
                let name = process.name();
                self.journal.say(level, &format!("{name}: {text}"));
            }
            for _ in 0..WORKER_MESSAGES_MAX {
                let Ok(Some(message)) = process.lifeline.receive() else {
                    break;
                };
                process.life.heard(now);
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
                    FromWorker::Tried { digest, refusal } => tried = Some((digest, refusal)),
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
        if let Some((digest, refusal)) = tried {
            self.tried(now, digest, refusal);
        }
    }

    fn answer(&mut self, now: Instant, number: u32, ask: Ask) {
        let answer = match ask {
            Ask::Workers => Answer::Workers {
                workers: self
                    .team
                    .processes
                    .iter()
                    .map(|process| process.status(now))
                    .collect(),
                watchdog: self.guard.identity().map(str::to_string),
                refused_reload: self.refused_reload(now),
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
            Ask::Reload => return self.reload(now, Some(number)),
        };
        self.tell_control(number, &answer);
    }

    pub(super) fn tell_control(&mut self, number: u32, answer: &Answer) {
        for process in self.team.of_kind(WorkerKind::Control) {
            // Control times out and says so if there is no room.
            let _ = process
                .lifeline
                .send(&ToWorker::Answer(number, answer.clone()));
        }
    }

    fn read_signals(&mut self, now: Instant) {
        while let Some((signal, sender)) = self.signals.next() {
            match signal {
                Signal::SIGCHLD => self.reap(now),
                // From the kernel it says that the terminal is gone.
                Signal::SIGHUP if self.place.is_guest && sender == Sender::Process => {
                    self.reload(now, None);
                }
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
        let mut judge_ended = false;
        while let Some((pid, end)) = sys::process::reap() {
            // A probe, or an orphan that the kernel gave to us, has nobody to be missed by.
            let search = self.media.as_mut().map(|media| &mut media.search);
            if search.is_some_and(|search| search.ended(now, pid)) {
                continue;
            }
            let restart = self.leaving.is_none();
            let how = end.to_string();
            for process in &mut self.team.processes {
                for (level, text) in process.read_log() {
                    let name = process.name();
                    self.journal.say(level, &format!("{name}: {text}"));
                }
                let makes_way = process.life.makes_way();
                let Some(sentence) = process.ended(now, pid, &how, restart) else {
                    continue;
                };
                if let Some(tty) = &process.description.tty {
                    self.journal.detach(tty);
                }
                let level = if restart && !makes_way {
                    Level::Error
                } else {
                    Level::Info
                };
                self.journal.say(level, &sentence);
                judge_ended |= process.description.kind == WorkerKind::Dataplane;
            }
        }
        if judge_ended {
            self.give_up_trial(now, "the dataplane worker ended meanwhile: see `log`");
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
        FromWorker::Tried { .. } => kind == WorkerKind::Dataplane,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_control_commands_pid_1() {
        let kinds = [
            WorkerKind::Cluster,
            WorkerKind::Dataplane,
            WorkerKind::Sync,
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
