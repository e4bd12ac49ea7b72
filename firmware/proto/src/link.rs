//! One heartbeat link, judged on its own. It is up only while the peer proves, on this very link, that
//! it hears us now: its frames echo our incarnation and our newest sequence numbers. Replays and links
//! that carry one way only prove nothing. A link knows nothing of what its frames say about the pair.

use crate::report::LinkStatus;
use crate::serial::LINE_BYTES_USUAL;
use crate::settings::{Medium, Timing};
use crate::time::{Instant, millis};
use crate::wire::{Beat, Echo, Rejection};
use core::time::Duration;
use heapless::Vec;

/// Frames over which loss is estimated.
const LOSS_WINDOW: u32 = u64::BITS;
/// Beats that the echo may lag on top of a dead time's worth: changes of state are told at once, each
/// in a beat of its own.
const ECHO_SLACK: u64 = 8;
/// Bits on the line for a byte, 8N1.
const BITS_PER_BYTE: u64 = 10;

/// One heartbeat link.
#[derive(Debug, Clone)]
pub struct Link {
    beat: Duration,
    dead: Duration,
    /// Time that a beat takes on the line; none for datagrams.
    airtime: Duration,
    /// Sequence numbers of ours that the echo may lag.
    echo_lag_max: u64,
    /// Of the last frame sent; 0 before the first.
    sequence: u64,
    sent_at: Option<Instant>,
    next_beat: Instant,
    /// Newest of our sequence numbers that the peer has echoed.
    echoed: u64,
    heard: Option<Heard>,
    fresh_at: Option<Instant>,
    /// The link is up until then; `None`: it is down.
    up_until: Option<Instant>,
    reported_up: bool,
    received: u64,
    lost: u64,
    rejected: [u64; Rejection::COUNT],
}

/// The start of the peer that this link listens to.
#[derive(Debug, Clone)]
struct Heard {
    incarnation: u64,
    sequence: u64,
    at: Instant,
    /// One bit for each of the last sequence numbers, the newest lowest: heard.
    history: u64,
    /// How many of those bits count.
    history_bits: u32,
}

impl Heard {
    fn first(beat: &Beat, now: Instant) -> Self {
        Self {
            incarnation: beat.incarnation,
            sequence: beat.sequence,
            at: now,
            history: 1,
            history_bits: 1,
        }
    }

    /// Takes a newer frame of the same start; returns how many are missing before it.
    fn next(&mut self, beat: &Beat, now: Instant) -> u64 {
        let step = beat.sequence.saturating_sub(self.sequence);
        let shift = u32::try_from(step).unwrap_or(LOSS_WINDOW);
        self.history = self.history.checked_shl(shift).unwrap_or(0) | 1;
        self.history_bits = self.history_bits.saturating_add(shift).min(LOSS_WINDOW);
        self.sequence = beat.sequence;
        self.at = now;
        step.saturating_sub(1)
    }

    fn loss_permille(&self) -> u16 {
        let missing = self.history_bits.saturating_sub(self.history.count_ones());
        u16::try_from(missing * 1000 / self.history_bits.max(1)).unwrap_or(1000)
    }
}

impl Link {
    /// A link that is down. A serial line is filled to a half at most, and three beats must fit its
    /// dead time; so a slow one beats slower than `timing` says, and is believed dead later.
    #[must_use]
    pub fn new(now: Instant, medium: Medium, timing: Timing) -> Self {
        let airtime = match medium {
            Medium::Datagram => Duration::ZERO,
            Medium::Serial { baud } => {
                let bits = (LINE_BYTES_USUAL as u64) * BITS_PER_BYTE; // lossless: 72
                Duration::from_micros(bits * 1_000_000 / u64::from(baud.max(1)))
            }
        };
        let beat = timing.beat.max(airtime * 2).max(Duration::from_micros(1));
        let dead = timing.dead.max(beat * 3);
        let beats_per_dead = dead.as_micros() / beat.as_micros().max(1);
        Self {
            beat,
            dead,
            airtime,
            echo_lag_max: u64::try_from(beats_per_dead).unwrap_or(u64::MAX) + ECHO_SLACK,
            sequence: 0,
            sent_at: None,
            next_beat: now,
            echoed: 0,
            heard: None,
            fresh_at: None,
            up_until: None,
            reported_up: false,
            received: 0,
            lost: 0,
            rejected: [0; Rejection::COUNT],
        }
    }

    /// From beat to beat.
    #[must_use]
    pub fn beat(&self) -> Duration {
        self.beat
    }

    /// Silence after which the link is down.
    #[must_use]
    pub fn dead(&self) -> Duration {
        self.dead
    }

    /// The peer proves that it hears us here.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up_until.is_some()
    }

    /// Next time at which something is to be done: a beat, or its end as an up link.
    #[must_use]
    pub fn timeout(&self) -> Instant {
        self.up_until
            .map_or(self.next_beat, |end| end.min(self.next_beat))
    }

    /// A beat is due. The caller sends one with what `number_frame` returns.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        now >= self.next_beat
    }

    /// Counts a frame as sent; returns its sequence number and echo.
    pub fn number_frame(&mut self, now: Instant) -> (u64, Option<Echo>) {
        self.sequence = self.sequence.saturating_add(1);
        self.sent_at = Some(now);
        self.next_beat = now + self.beat;
        let echo = self.heard.as_ref().map(|heard| Echo {
            incarnation: heard.incarnation,
            sequence: heard.sequence,
        });
        (self.sequence, echo)
    }

    /// Sends the next beat as soon as the line has carried the last one: there is news.
    pub fn hurry(&mut self, now: Instant) {
        let earliest = self
            .sent_at
            .map_or(now, |sent| now.max(sent + self.airtime));
        self.next_beat = self.next_beat.min(earliest);
    }

    /// Takes a frame of the peer that passed its MAC. `mine` is the incarnation of this box.
    ///
    /// # Errors
    /// It proves nothing about the present: it is no newer than another, or echoes nothing recent.
    pub fn receive(&mut self, now: Instant, beat: &Beat, mine: u64) -> Result<(), Rejection> {
        let fresh = self.is_fresh(beat, mine);
        let keeps_to_another = self.keeps_to_another(now, beat);
        match &mut self.heard {
            Some(heard) if heard.incarnation == beat.incarnation => {
                if beat.sequence <= heard.sequence {
                    return Err(Rejection::Replayed);
                }
                let missing = heard.next(beat, now);
                self.lost = self.lost.saturating_add(missing);
            }
            // Who proves that it hears us now is the peer; who does not may be a capture, and must not
            // turn our echo away from the one we know.
            Some(_) if keeps_to_another && !fresh => return Err(Rejection::Unproven),
            _ => self.heard = Some(Heard::first(beat, now)),
        }
        self.received = self.received.saturating_add(1);
        if fresh {
            self.echoed = beat.echo.map_or(self.echoed, |echo| echo.sequence);
            self.fresh_at = Some(now);
            self.up_until = Some(now + self.dead);
        }
        // News sent faster than ours come in echo nothing new. While the link is up they are believed,
        // being newer than what proved it; they don't keep it up.
        if self.is_up() {
            Ok(())
        } else {
            Err(Rejection::Unproven)
        }
    }

    /// The echo proves that the peer heard something of ours that it had not before, or all there is
    /// to hear; and lately.
    fn is_fresh(&self, beat: &Beat, mine: u64) -> bool {
        beat.echo.is_some_and(|echo| {
            echo.incarnation == mine
                && echo.sequence <= self.sequence
                && echo.sequence.saturating_add(self.echo_lag_max) >= self.sequence
                && (echo.sequence > self.echoed || echo.sequence == self.sequence)
        })
    }

    /// Another start of the peer than the beat's is proven, or was heard within the dead time.
    fn keeps_to_another(&self, now: Instant, beat: &Beat) -> bool {
        self.heard.as_ref().is_some_and(|heard| {
            heard.incarnation != beat.incarnation
                && (self.is_up() || now.since(heard.at) < self.dead)
        })
    }

    /// Counts a frame that was thrown away; returns how many there were for this reason.
    pub fn reject(&mut self, rejection: Rejection) -> u64 {
        let mut counters = self.rejected.iter_mut().zip(Rejection::ALL);
        match counters.find(|(_, cause)| *cause == rejection) {
            Some((counter, _)) => {
                *counter = counter.saturating_add(1);
                *counter
            }
            None => 0,
        }
    }

    /// Takes the link down if it was silent for its dead time.
    pub fn expire(&mut self, now: Instant) {
        if self.up_until.is_some_and(|end| now >= end) {
            self.up_until = None;
        }
    }

    /// The box stood still: gives the peer one beat each way to be heard again.
    pub fn grace(&mut self, now: Instant) {
        if let Some(end) = &mut self.up_until {
            *end = (*end).max(now + self.beat * 2);
        }
    }

    /// The peer was started anew, as another link knows: what this one heard of older starts is void.
    pub fn follow(&mut self, incarnation: u64) {
        if self
            .heard
            .as_ref()
            .is_some_and(|heard| heard.incarnation != incarnation)
        {
            self.heard = None;
            self.up_until = None;
        }
    }

    /// Whether it went up or down since last asked.
    pub fn poll_change(&mut self) -> Option<bool> {
        let up = self.is_up();
        (core::mem::replace(&mut self.reported_up, up) != up).then_some(up)
    }

    /// For the console.
    #[must_use]
    pub fn status(&self, now: Instant) -> LinkStatus {
        let counters = Rejection::ALL.into_iter().zip(self.rejected);
        LinkStatus {
            up: self.is_up(),
            silent_ms: self.fresh_at.map(|at| millis(now.since(at))),
            beat_ms: millis(self.beat),
            dead_ms: millis(self.dead),
            loss_permille: self.heard.as_ref().map_or(0, Heard::loss_permille),
            sent: self.sequence,
            received: self.received,
            lost: self.lost,
            rejected: counters
                .filter(|(_, count)| *count > 0)
                .collect::<Vec<_, _>>(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#[path = "link_tests.rs"]
mod tests;
