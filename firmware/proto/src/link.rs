//! One heartbeat link, judged on its own. It is up only while the peer proves, on this very link, that
//! it hears us now: its frames echo our incarnation and our newest sequence numbers. Replays and links
//! that carry one way only prove nothing. A link knows nothing of what its frames say about the pair.

use crate::jitter::Worst;
use crate::report::LinkStatus;
use crate::sabotage::{Sabotage, is_broken};
use crate::serial::LINE_BYTES_USUAL;
use crate::settings::{Medium, Timing};
use crate::time::{Instant, micros, millis};
use crate::wire::{Beat, Rejection};
use core::time::Duration;
use heapless::Vec;

/// Frames over which loss is estimated.
const LOSS_WINDOW: u32 = u64::BITS;
/// Beats that the echo may lag on top of a dead time's worth: changes of state are told at once, probes
/// are asked and answered at once, each in a beat of its own.
const ECHO_SLACK: u64 = 12;
/// Silence of a serial line that means something, in airtimes of a beat. It is filled to a half, so beats
/// come every two; this bears the loss of one, and one that waited for another to leave the line.
const PATIENCE_AIRTIMES: u32 = 5;
/// For so long a start of the peer may talk without proving that it hears us: that is how every start
/// begins. From then on something is wrong.
const GREETING: Duration = Duration::from_secs(1);
/// Starts that are answered from beat to beat, if as many are heard.
const GREETINGS_PER_BEAT: u32 = 4;
/// Bits on the line for a byte, 8N1.
const BITS_PER_BYTE: u64 = 10;

/// One heartbeat link.
#[derive(Debug, Clone)]
pub struct Link {
    beat: Duration,
    /// Time that a beat takes on the line; none for datagrams.
    airtime: Duration,
    /// Silence after which it is down.
    patience: Duration,
    /// What the peer's beats come late by.
    jitter: Worst,
    /// This box woke up late by so much to take what is received now.
    late: Duration,
    /// The next beat asks for an answer at once.
    asks: bool,
    /// Of the last frame sent; 0 before the first.
    sequence: u64,
    sent_at: Option<Instant>,
    next_beat: Instant,
    /// Newest of our sequence numbers that the peer has echoed.
    echoed: u64,
    heard: Option<Heard>,
    fresh_at: Option<Instant>,
    /// The start of the peer that has proven here that it hears us, and was not replaced since.
    proven: Option<u64>,
    /// The link is up until then; `None`: it is down.
    up_until: Option<Instant>,
    reported_up: bool,
    /// The start that talks without proving that it hears us, and since when.
    unproven: Option<(u64, Instant)>,
    greetings: u64,
    probes: u64,
    received: u64,
    lost: u64,
    rejected: [u64; Rejection::COUNT],
}

/// What a link says in the next frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// Its sequence number.
    pub sequence: u64,
    /// Incarnation and sequence number of the newest frame heard.
    pub heard: Option<(u64, u64)>,
    /// It asks for an answer at once.
    pub asks: bool,
}

/// What a frame of the peer is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// What it says is believed.
    Proven,
    /// Its sender has only begun to talk and does not prove yet that it hears us: nothing is believed.
    Greeting,
    /// It was overtaken by a newer one: nothing is believed.
    Late,
    /// The peer does not hear us any more. What it says is no replay, being newer than all it has said here
    /// since it was proven.
    OneWay,
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

    /// What a newer frame of the same start comes late by. Beats that are sent early, for news, and beats
    /// that are lost make none late.
    fn lateness(&self, beat: &Beat, now: Instant, interval: Duration) -> Duration {
        let beats = beat.sequence.saturating_sub(self.sequence);
        let beats = u32::try_from(beats).unwrap_or(u32::MAX);
        now.since(self.at)
            .saturating_sub(interval.saturating_mul(beats))
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

    /// Takes a frame that is older than the newest; returns whether it was among those that are missing.
    fn fill_gap(&mut self, beat: &Beat) -> bool {
        let age = u32::try_from(self.sequence.saturating_sub(beat.sequence)).unwrap_or(u32::MAX);
        let bit = 1_u64.checked_shl(age).unwrap_or(0);
        let was_missing = age < self.history_bits && self.history & bit == 0;
        if was_missing {
            self.history |= bit;
        }
        was_missing
    }

    fn loss_permille(&self) -> u16 {
        let missing = self.history_bits.saturating_sub(self.history.count_ones());
        u16::try_from(missing * 1000 / self.history_bits.max(1)).unwrap_or(1000)
    }
}

impl Link {
    /// A link that is down. A serial line is filled to a half at most, so a slow one beats slower than
    /// `timing` says.
    #[must_use]
    pub fn new(now: Instant, medium: Medium, timing: Timing) -> Self {
        let airtime = match medium {
            Medium::Datagram => Duration::ZERO,
            Medium::Serial { baud } => {
                let bits = (LINE_BYTES_USUAL as u64) * BITS_PER_BYTE; // lossless: 77
                Duration::from_micros(bits * 1_000_000 / u64::from(baud.max(1)))
            }
        };
        let beat = timing.beat.max(airtime * 2).max(Duration::from_micros(1));
        Self {
            beat,
            airtime,
            patience: timing.dead.max(airtime * PATIENCE_AIRTIMES),
            jitter: Worst::new(now),
            late: Duration::ZERO,
            asks: false,
            sequence: 0,
            sent_at: None,
            next_beat: now,
            echoed: 0,
            heard: None,
            fresh_at: None,
            proven: None,
            up_until: None,
            reported_up: false,
            unproven: None,
            greetings: 0,
            probes: 0,
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
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Silence that means something on this link, whatever the dead time: none but on a serial line.
    #[must_use]
    pub fn patience_min(&self) -> Duration {
        self.airtime * PATIENCE_AIRTIMES
    }

    /// Follows the dead time in force, which is `spare` above the configured one. What was heard before
    /// counts by the new one, too.
    pub fn follow_dead_time(&mut self, dead: Duration, spare: Duration) {
        let line = self.patience_min().saturating_add(spare);
        let before = core::mem::replace(&mut self.patience, dead.max(line));
        if before == self.patience {
            return;
        }
        self.up_until = self.up_until.map(|end| end + self.patience - before);
    }

    /// What the peer's beats come late by, at worst, in the last seconds.
    #[must_use]
    pub fn jitter(&self) -> Duration {
        self.jitter.value()
    }

    /// Last fresh frame, while the link is up.
    #[must_use]
    pub fn fresh_at(&self) -> Option<Instant> {
        self.fresh_at.filter(|_| self.is_up())
    }

    /// Sequence number of the last frame sent; 0 before the first.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Last frame sent.
    #[must_use]
    pub fn sent_at(&self) -> Option<Instant> {
        self.sent_at
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

    /// Counts a frame as sent; returns what is the link's to say in it.
    pub fn number_frame(&mut self, now: Instant) -> Numbered {
        self.sequence = self.sequence.saturating_add(1);
        self.sent_at = Some(now);
        self.next_beat = now + self.beat;
        Numbered {
            sequence: self.sequence,
            heard: self
                .heard
                .as_ref()
                .map(|heard| (heard.incarnation, heard.sequence)),
            asks: core::mem::take(&mut self.asks),
        }
    }

    /// Sends the next beat as soon as the line has carried the last one: there is news.
    pub fn hurry(&mut self, now: Instant) {
        self.send_after(now, self.airtime);
    }

    /// Answers a start that was not heard before soon, while it is the last one heard: captures of others that come
    /// oftener than our beats would take the echo from it for as long as they come.
    fn greet(&mut self, now: Instant) {
        let pause = self.airtime.max(self.beat / GREETINGS_PER_BEAT);
        self.send_after(now, pause);
    }

    /// Sends the next beat no later than so long after the last one.
    fn send_after(&mut self, now: Instant, pause: Duration) {
        let earliest = self.sent_at.map_or(now, |sent| now.max(sent + pause));
        self.next_beat = self.next_beat.min(earliest);
    }

    /// The peer, which waits for `dead` at least, may have taken this link for silent: so long ago is the
    /// last frame that was sent.
    #[must_use]
    pub fn is_overdue(&self, now: Instant, dead: Duration) -> bool {
        self.sent_at
            .is_some_and(|sent| now.since(sent) > dead.max(self.patience_min()))
    }

    /// Sends a beat at once that asks for an answer at once.
    pub fn probe(&mut self, now: Instant) {
        self.asks = true;
        self.probes = self.probes.saturating_add(1);
        self.hurry(now);
    }

    /// The box wakes up, later than it had asked to. What it could not read meanwhile is not held against
    /// the peer: silence goes on to count where it stopped, but for two beats at most; after a whole dead
    /// time, for two beats in any case.
    pub fn wake(&mut self, now: Instant, late: Duration) {
        self.jitter.pass(now);
        self.late = late;
        // Less is ordinary.
        if late >= self.beat / 2
            && let Some(end) = &mut self.up_until
        {
            let grace = (*end).max(now + self.beat * 2);
            *end = if late < self.patience {
                grace.min(*end + late)
            } else {
                grace
            };
        }
    }

    /// Takes a frame of the peer that passed its MAC. `mine` is the incarnation of this box.
    ///
    /// # Errors
    /// It proves nothing about the present: it is no newer than another, or echoes nothing recent.
    pub fn receive(&mut self, now: Instant, beat: &Beat, mine: u64) -> Result<Trust, Rejection> {
        let fresh = self.is_fresh(beat, mine) || is_broken(Sabotage::NoEchoCheck);
        let keeps_to_another = self.keeps_to_another(now, beat);
        let was_proven = self.proven == Some(beat.incarnation);
        match &mut self.heard {
            Some(heard) if heard.incarnation == beat.incarnation => {
                if beat.sequence <= heard.sequence {
                    let was_missing = heard.fill_gap(beat);
                    self.lost = self.lost.saturating_sub(u64::from(was_missing));
                    return was_missing
                        .then_some(Trust::Late)
                        .ok_or(Rejection::Replayed);
                }
                let arrived = now - self.late;
                let late = heard.lateness(beat, arrived, self.beat);
                self.jitter.note(now, late);
                let missing = heard.next(beat, now);
                self.lost = self.lost.saturating_add(missing);
            }
            // Who proves that it hears us now is the peer; who does not may be a capture, and must not
            // turn our echo away from the one we know.
            Some(_) if keeps_to_another && !fresh => return self.distrust(now, beat),
            _ => {
                self.heard = Some(Heard::first(beat, now));
                self.proven = None;
                self.greet(now);
            }
        }
        self.received = self.received.saturating_add(1);
        if fresh {
            self.echoed = beat.echo.map_or(self.echoed, |echo| echo.sequence);
            self.fresh_at = Some(now);
            self.up_until = Some(now + self.patience);
            self.proven = Some(beat.incarnation);
            self.unproven = None;
        }
        // News sent faster than ours come in echo nothing new. While the link is up they are believed,
        // being newer than what proved it; they don't keep it up.
        if self.is_up() {
            Ok(Trust::Proven)
        } else if was_proven {
            Ok(Trust::OneWay)
        } else {
            self.distrust(now, beat)
        }
    }

    /// The sender does not prove that it hears us: for a moment that is ordinary.
    ///
    /// # Errors
    /// It has been so for longer.
    pub fn distrust(&mut self, now: Instant, beat: &Beat) -> Result<Trust, Rejection> {
        let since = match self.unproven {
            Some((incarnation, since)) if incarnation == beat.incarnation => since,
            _ => now,
        };
        self.unproven = Some((beat.incarnation, since));
        if now.since(since) >= GREETING {
            return Err(Rejection::Unproven);
        }
        self.greetings = self.greetings.saturating_add(1);
        Ok(Trust::Greeting)
    }

    /// The echo proves that the peer heard something of ours that it had not before, or all there is
    /// to hear; and lately.
    fn is_fresh(&self, beat: &Beat, mine: u64) -> bool {
        beat.echo.is_some_and(|echo| {
            echo.incarnation == mine
                && echo.sequence <= self.sequence
                && echo.sequence.saturating_add(self.echo_lag_max()) >= self.sequence
                && (echo.sequence > self.echoed || echo.sequence == self.sequence)
        })
    }

    /// Sequence numbers of ours that a fresh echo may lag.
    fn echo_lag_max(&self) -> u64 {
        let beats = self.patience.as_micros() / self.beat.as_micros().max(1);
        u64::try_from(beats)
            .unwrap_or(u64::MAX)
            .saturating_add(ECHO_SLACK)
    }

    /// Another start of the peer than the beat's is proven, now or within the dead time. Of those that never
    /// were, captures among them, the last one heard is echoed: nobody keeps the peer out by talking first.
    fn keeps_to_another(&self, now: Instant, beat: &Beat) -> bool {
        self.heard.as_ref().is_some_and(|heard| {
            let is_recent = now.since(heard.at) < self.patience;
            let was_proven = self.proven == Some(heard.incarnation);
            heard.incarnation != beat.incarnation && (self.is_up() || was_proven && is_recent)
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

    /// Takes the link down if it was silent for too long.
    pub fn expire(&mut self, now: Instant) {
        if self.up_until.is_some_and(|end| now >= end) {
            self.up_until = None;
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
            self.proven = None;
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
            dead_ms: millis(self.patience),
            jitter_us: micros(self.jitter()),
            loss_permille: self.heard.as_ref().map_or(0, Heard::loss_permille),
            sent: self.sequence,
            received: self.received,
            lost: self.lost,
            greetings: self.greetings,
            probes: self.probes,
            rejected: counters
                .filter(|(_, count)| *count > 0)
                .collect::<Vec<_, _>>(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
