//! What PID 1 does of itself in each turn of its loop: start who is due, pass on log lines, look after
//! those that hang, feed the watchdog.

use super::process::{self, Process};
use super::supervisor::Supervisor;
use crate::ipc::control::Level;
use crate::ipc::{Answer, ToWorker};
use std::time::Instant;

/// Log lines a console may be behind before it is taken to the newest ones.
const CONSOLE_LAG_LINES_MAX: u64 = 200;

impl Supervisor {
    /// Starts whoever is due.
    pub(super) fn start_due(&mut self) {
        for problem in self.team.start_due() {
            self.journal.say(Level::Error, &problem);
        }
    }

    /// Sends every attached console the lines it has not had.
    pub(super) fn send_log_lines(&mut self) {
        let ring = self.journal.ring();
        for process in &mut self.team.processes {
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

    /// Feeds the hardware watchdog if every vital worker turns. Any that hangs is killed first, so that the watchdog
    /// bites only where that does not help.
    pub(super) fn feed(&mut self, now: Instant) {
        let mut all_turn = true;
        let team = self.team.processes.iter_mut();
        for process in team.filter(|process| !process.is_alive(now)) {
            all_turn &= !process.description.kind.is_vital();
            if let Some(pid) = process.life.give_up(now) {
                let text = format!("{} gives no sign of life: killing it", process.name());
                self.journal.say(Level::Error, &text);
                process::kill(pid);
            }
        }
        if all_turn && let Err(error) = self.guard.feed(now) {
            let text = format!("feeding the hardware watchdog: {error}");
            self.journal.say(Level::Error, &text);
        }
    }

    /// Kills a worker, so that it starts again.
    pub(super) fn restart(&mut self, name: &str) -> Answer {
        let mut team = self.team.processes.iter();
        let Some(process) = team.find(|process| process.name() == name) else {
            let names: Vec<String> = self.team.processes.iter().map(Process::name).collect();
            return Answer::Refused(format!(
                "no worker {name}: write one of {}",
                names.join(", ")
            ));
        };
        process.life.pid().into_iter().for_each(process::kill);
        Answer::Done
    }
}
