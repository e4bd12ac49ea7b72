//! When passwords are looked at. A wrong one slows all guesses, whichever connection they come from, and
//! whoever made it comes last the next time: so guessing gets one attempt per delay, and nobody waits longer
//! than one delay for each client there is.

use super::session::WRONG_PASSWORD_DELAY;
use core::ops::Range;
use std::time::Instant;

/// The guesses of all clients.
#[derive(Debug, Default)]
pub struct Guesses {
    next: Option<Instant>,
    /// Position of the client that is served first.
    first: usize,
}

impl Guesses {
    /// Whether a password may be looked at now.
    pub fn may(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now)
    }

    /// When one may be again, if one was wrong.
    pub fn next(&self) -> Option<Instant> {
        self.next
    }

    /// The client at this position guessed wrong.
    pub fn wrong(&mut self, now: Instant, client: usize) {
        self.next = Some(now + WRONG_PASSWORD_DELAY);
        self.first = client.saturating_add(1);
    }

    /// Positions of so many clients in the order in which they are served.
    pub fn turns(&self, clients: usize) -> core::iter::Chain<Range<usize>, Range<usize>> {
        let first = self.first.min(clients);
        (first..clients).chain(0..first)
    }
}
