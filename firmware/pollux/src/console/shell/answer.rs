//! Answers to commands: printed, or the next page asked for.

use super::{Running, Shell, State};
use crate::console::view;
use crate::ipc::control::{LogLine, Request, Response};

impl Shell {
    /// Takes the answer to a command, or a part of it.
    pub(super) fn answer(&mut self, running: Running, response: Response) {
        match (running, response) {
            (Running::Services(mut have), Response::Services(page)) => {
                let more = !page.services.is_empty();
                have.extend(page.services);
                match u16::try_from(have.len()) {
                    Ok(from) if more && from < page.total => {
                        self.run(Running::Services(have), Request::Services { from });
                    }
                    _ => self.print(&view::services(&have)),
                }
            }
            (Running::LogEnd { lines }, Response::Log { end, .. }) => {
                let from = end.saturating_sub(lines).max(1);
                if from < end {
                    self.run(Running::Log, Request::Log { from });
                }
            }
            (Running::Log, Response::Log { lines, end }) => self.log_page(&lines, end),
            (Running::Config { had_bytes }, Response::Config { text, total_bytes }) => {
                self.print(&text);
                let had = had_bytes.saturating_add(u32::try_from(text.len()).unwrap_or(u32::MAX));
                if !text.is_empty() && had < total_bytes {
                    let running = Running::Config { had_bytes: had };
                    self.run(running, Request::Config { from: had });
                }
            }
            (Running::One, Response::Status(status)) => {
                let node = self.hello.as_ref().map_or("", |hello| hello.node.as_str());
                let text = view::status(node, &status);
                self.print(&text);
            }
            (Running::One, Response::Accepted) => self.print("accepted; the log tells the rest\n"),
            (_, Response::Failed(why)) => self.fail(&format!("{why}\n")),
            (_, Response::NotAuthenticated) => self.state = State::Password,
            (_, _) => self.print("unexpected answer from control\n"),
        }
    }

    fn log_page(&mut self, lines: &[LogLine], end: u64) {
        for line in lines {
            self.print(&format!("{line}\n"));
        }
        let next = lines.last().map_or(end, |line| line.sequence + 1);
        if next < end {
            self.run(Running::Log, Request::Log { from: next });
        }
    }
}
