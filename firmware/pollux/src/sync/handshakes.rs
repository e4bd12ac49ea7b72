//! Handshakes that a handover falls into the middle of: the server's answer to a client's SYN came by this box, and the
//! client's answer to that goes to the twin, which knows nothing of it, since the kernel tells of a connection only
//! once that answer has come. So a box that has let go looks for them itself, and tells the twin.

use super::balanced::{Balanced, Error, LINES_PER_TURN, Listing, Which};
use super::flows::instant;
use core::time::Duration;
use proto::sync::{Engine, Kind};

/// The second look finds what was on its way within this box at the first.
const LOOKS: u8 = 2;
/// From look to look.
const GAP: Duration = Duration::from_millis(50);

/// What is looked for, and when.
#[derive(Default)]
pub struct Handshakes {
    was_active: bool,
    looks_left: u8,
    look_at: Duration,
    listing: Option<Listing>,
}

impl Handshakes {
    /// When `turn` is due, whatever comes.
    pub fn wake_at(&self, now: Duration) -> Option<Duration> {
        match (&self.listing, self.looks_left) {
            (Some(_), _) => Some(now),
            (None, 0) => None,
            (None, _) => Some(self.look_at),
        }
    }

    /// Looks on, if this box has let go just now.
    ///
    /// # Errors
    /// A listing that could not be had; the next look begins anew.
    pub fn turn(
        &mut self,
        now: Duration,
        is_active: bool,
        balanced: &mut Balanced,
        engine: &mut Engine,
    ) -> Result<(), Error> {
        if is_active {
            *self = Handshakes {
                was_active: true,
                ..Handshakes::default()
            };
            return Ok(());
        }
        if core::mem::take(&mut self.was_active) {
            (self.looks_left, self.look_at) = (LOOKS, now);
        }
        if self.listing.is_none() && self.looks_left > 0 && self.look_at <= now {
            self.looks_left -= 1;
            self.look_at = now.saturating_add(GAP);
            self.listing = Some(balanced.list(Which::HalfOpen)?);
        }
        self.list_on(now, engine)
    }

    fn list_on(&mut self, now: Duration, engine: &mut Engine) -> Result<(), Error> {
        let Some(mut listing) = self.listing.take() else {
            return Ok(());
        };
        let mut goes_on = true;
        if engine.room() >= LINES_PER_TURN {
            goes_on = listing.advance(LINES_PER_TURN, |key, value, lifetime_s| {
                engine.note(instant(now), Kind::Ipvs, key, value, lifetime_s);
            })?;
        }
        self.listing = goes_on.then_some(listing);
        Ok(())
    }
}
