//! Answers to commands: printed, or the next page asked for.

use super::{Running, Shell, State};
use crate::console::{view, view_tables};
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
            (Running::Firewall { had_lines }, Response::Firewall(page)) => {
                let lines = u32::try_from(page.lines.len()).unwrap_or(u32::MAX);
                let from = had_lines.saturating_add(lines);
                if lines > 0 || page.total == 0 {
                    self.print(&view_tables::firewall(&page.lines));
                }
                if lines > 0 && from < page.total {
                    let running = Running::Firewall { had_lines: from };
                    self.run(running, Request::Firewall { from });
                }
            }
            (Running::One, Response::Connections(report)) => {
                self.print(&view_tables::connections(&report));
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
            (Running::One, Response::Waits(why)) => {
                self.print(&format!("accepted; it waits: {why}\n"));
            }
            (Running::One, Response::Said(what)) => self.print(&format!("{what}\n")),
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
