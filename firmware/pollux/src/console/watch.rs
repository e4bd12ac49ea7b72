//! `watch`: a live view of the box over the whole screen, without I/O. It asks control for everything in
//! turn, again only once the line has carried what there was to draw and at most every second; log lines
//! come in between. What to ask, what to write and when is told to whoever drives it.

mod balance;
mod events;
pub mod pace;
mod picture;
mod rates;
mod screen;
#[cfg(test)]
#[allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod vt100;

use super::keys::Key;
use crate::ipc::control::{LogLine, Request, Response, ServicePage, ServiceStatus};
use core::time::Duration;
use picture::Facts;
use screen::{Painter, Screen};
use std::time::Instant;
use sys::tty::Size;

/// From one round of questions to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// The same while the log tells of something.
const HASTE_INTERVAL: Duration = Duration::from_millis(250);

/// A round that took long is followed by so many times its length, so that watching costs the box little.
const REST_TIMES: u32 = 3;

/// But by no more than this: who looks at a picture takes it for the present.
const REST_MAX: Duration = Duration::from_secs(4);

/// A vt100, unless the terminal tells otherwise.
pub const SIZE_DEFAULT: Size = Size {
    columns: 80,
    rows: 24,
};

/// Larger ones are used in part.
const SIZE_MAX: Size = Size {
    columns: 200,
    rows: 100,
};

/// Asks the terminal for its size: to the far corner, where is the cursor, and home.
const ASK_SIZE: &str = "\x1b[999;999H\x1b[6n\x1b[1;1H";

/// What is being asked.
#[derive(Debug)]
enum Asking {
    Nothing,
    Status,
    Services(Vec<ServiceStatus>),
    /// Where the log ends, to begin near it.
    LogEnd,
    Log,
}

/// The view.
#[derive(Debug)]
pub struct Watch {
    facts: Facts,
    painter: Painter,
    wanted: Screen,
    scrollable: usize,
    asking: Asking,
    round_began: Instant,
    next_round: Instant,
}

impl Watch {
    /// A view on a terminal of this size, if it is known; the bytes to be written first, and the first request.
    pub fn begin(now: Instant, node: &str, size: Option<Size>) -> (Self, String, Request) {
        let facts = Facts {
            node: node.into(),
            ..Facts::default()
        };
        let painter = Painter::new(size.map_or(SIZE_DEFAULT, bounded));
        let (wanted, scrollable) = picture::draw(&facts, painter.size());
        let watch = Watch {
            facts,
            painter,
            wanted,
            scrollable,
            asking: Asking::Status,
            round_began: now,
            next_round: now,
        };
        let opening = if size.is_none() { ASK_SIZE } else { "" };
        (watch, opening.into(), Request::Status)
    }

    /// The request that is due, unless one is under way or the terminal still lags behind.
    pub fn poll(&mut self, now: Instant) -> Option<Request> {
        let is_due = now >= self.next_round && self.painter.is_done(&self.wanted);
        if !is_due || self.is_asking() {
            return None;
        }
        self.round_began = now;
        self.asking = Asking::Status;
        Some(Request::Status)
    }

    /// Whether an answer is to come.
    pub fn is_asking(&self) -> bool {
        !matches!(self.asking, Asking::Nothing)
    }

    /// When `poll` is worth calling again, if no answer comes and nothing is left to paint.
    pub fn next_round(&self) -> Instant {
        self.next_round
    }

    /// Takes an answer; the next question of this round, if there is one.
    pub fn answered(&mut self, now: Instant, response: Response) -> Option<Request> {
        let next = match (
            core::mem::replace(&mut self.asking, Asking::Nothing),
            response,
        ) {
            (Asking::Status, response) => {
                self.facts.status = Some(match response {
                    Response::Status(status) => Ok(status),
                    other => Err(why(other)),
                });
                self.ask(Asking::Services(Vec::new()), Request::Services { from: 0 })
            }
            (Asking::Services(have), Response::Services(page)) => {
                self.services_page(now, have, page)
            }
            (Asking::Services(_), response) => {
                self.facts.services_failed = Some(why(response));
                self.ask_log()
            }
            (Asking::LogEnd, Response::Log { end, .. }) => {
                let from = self.facts.events.next(end);
                self.ask(Asking::Log, Request::Log { from })
            }
            (Asking::Log, Response::Log { lines, end }) => {
                let had_lines = !lines.is_empty();
                lines
                    .into_iter()
                    .for_each(|line| self.facts.events.take(line));
                let from = self.facts.events.next(end);
                // None came although there are more: they are gone.
                match from < end && had_lines {
                    true => self.ask(Asking::Log, Request::Log { from }),
                    false => None,
                }
            }
            (Asking::LogEnd | Asking::Log | Asking::Nothing, _) => None,
        };
        if next.is_none() {
            let took = now.saturating_duration_since(self.round_began);
            self.next_round = now + INTERVAL.max(took * REST_TIMES).min(REST_MAX);
        }
        self.redraw();
        next
    }

    fn ask(&mut self, asking: Asking, request: Request) -> Option<Request> {
        self.asking = asking;
        Some(request)
    }

    fn services_page(
        &mut self,
        now: Instant,
        mut have: Vec<ServiceStatus>,
        page: ServicePage,
    ) -> Option<Request> {
        let is_more = !page.services.is_empty();
        have.extend(page.services);
        match u16::try_from(have.len()) {
            Ok(from) if is_more && from < page.total => {
                self.ask(Asking::Services(have), Request::Services { from })
            }
            _ => {
                self.facts.rates.take(now, &have);
                self.facts.services = have;
                self.facts.services_failed = None;
                self.ask_log()
            }
        }
    }

    fn ask_log(&mut self) -> Option<Request> {
        if self.facts.events.is_empty() {
            // Nothing is that far on: the answer tells only where the end is.
            return self.ask(Asking::LogEnd, Request::Log { from: u64::MAX });
        }
        let from = self.facts.events.next(u64::MAX);
        self.ask(Asking::Log, Request::Log { from })
    }

    /// A line of the log that came by itself.
    pub fn log_line(&mut self, line: &LogLine) {
        // Lines before it were not told yet, unless it follows on: they are asked for.
        let follows = self.facts.events.next(u64::MAX) == line.sequence;
        if follows && !self.facts.events.is_empty() {
            self.facts.events.take(line.clone());
            self.redraw();
        }
        // What it tells of is shown soon.
        self.next_round = self.next_round.min(self.round_began + HASTE_INTERVAL);
    }

    /// The terminal has this size.
    pub fn resized(&mut self, size: Size) {
        let size = bounded(size);
        if size != self.painter.size() {
            self.painter.resize(size);
            self.redraw();
        }
    }

    /// Takes a key; whether it ends the view.
    pub fn pressed(&mut self, key: Key) -> bool {
        match key {
            Key::Char('q' | 'Q') | Key::Cancel | Key::EndOfInput => return true,
            Key::Clear => self.painter.forget(),
            Key::Up => self.scroll_to(self.facts.scrolled.saturating_sub(1)),
            Key::Down => self.scroll_to(self.facts.scrolled.saturating_add(1)),
            Key::CursorAt { row, column } => self.resized(Size {
                columns: column,
                rows: row,
            }),
            _ => {}
        }
        false
    }

    fn scroll_to(&mut self, row: usize) {
        self.facts.scrolled = row.min(self.scrollable);
        self.redraw();
    }

    fn redraw(&mut self) {
        (self.wanted, self.scrollable) = picture::draw(&self.facts, self.painter.size());
    }

    /// Whether there is something to write.
    pub fn is_behind(&self) -> bool {
        !self.painter.is_done(&self.wanted)
    }

    /// Bytes to write, at most so many.
    pub fn paint(&mut self, bytes_max: usize) -> String {
        self.painter.paint(&self.wanted, bytes_max)
    }

    /// Bytes that give the terminal back: plain, and on a fresh line below the picture.
    pub fn closing(&self) -> String {
        format!("\x1b[0m\x1b[{};1H\n", self.painter.size().rows)
    }
}

fn bounded(size: Size) -> Size {
    Size {
        columns: size
            .columns
            .clamp(SIZE_DEFAULT.columns / 2, SIZE_MAX.columns),
        rows: size.rows.clamp(SIZE_DEFAULT.rows / 2, SIZE_MAX.rows),
    }
}

fn why(response: Response) -> String {
    match response {
        Response::Failed(why) => why,
        _ => "control gave an unexpected answer".into(),
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests;
