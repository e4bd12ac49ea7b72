//! A session whose screen is `watch`: questions and keys go to it, and what it paints is fetched by whoever
//! knows what the line carries.

use super::{Caller, Shell, State};
use crate::console::keys::Key;
use crate::console::watch::Watch;
use crate::ipc::control::Response;
use std::time::Instant;
use sys::tty::Size;

impl Shell {
    /// Tells the time and, where it is known, the size of the terminal; before anything else in a turn.
    pub fn tick(&mut self, now: Instant, size: Option<Size>) {
        self.now = now;
        self.size = size;
        let State::Watching(watch) = &mut self.state else {
            return;
        };
        if let Some(size) = size {
            watch.resized(size);
        }
        if self.request.is_none() {
            self.request = watch.poll(now);
        }
    }

    /// The live view, while there is one.
    pub fn watch(&mut self) -> Option<&mut Watch> {
        match &mut self.state {
            State::Watching(watch) => Some(watch),
            _ => None,
        }
    }

    pub(super) fn begin_watch(&mut self) {
        if matches!(self.caller, Caller::Script(_)) {
            self.fail("watch wants a terminal: use `pollux console` without -c\n");
            return;
        }
        let node = self.hello.as_ref().map_or("", |hello| hello.node.as_str());
        let (watch, opening, request) = Watch::begin(self.now, node, self.size);
        self.print(&opening);
        self.request = Some(request);
        self.state = State::Watching(Box::new(watch));
    }

    pub(super) fn watch_answered(&mut self, mut watch: Box<Watch>, response: Response) {
        self.request = watch.answered(self.now, response);
        self.state = State::Watching(watch);
    }

    pub(super) fn pressed_in_watch(&mut self, key: Key) {
        if self.watch().is_some_and(|watch| watch.pressed(key)) {
            self.leave_watch();
            self.draw();
        }
    }

    /// Gives the terminal back. An answer that is still to come belongs to nobody.
    pub(super) fn leave_watch(&mut self) {
        let Some(watch) = self.watch() else { return };
        let (closing, is_asking) = (watch.closing(), watch.is_asking());
        if self.request.take().is_none() && is_asking {
            self.stale_answers += 1;
        }
        self.state = State::Prompt;
        self.print(&closing);
    }
}
