//! Datagrams on their way: which flows each carries, when it counts as lost, and how many may be out at once.
//! The window grows while the path stays quick and shrinks when it queues or loses (as LEDBAT does, RFC 6817),
//! so that a bulk over a slow line does not hold up the heartbeats beside it.

use super::wire::{Taken, WINDOW};
use crate::time::Instant;
use alloc::collections::VecDeque;
use core::time::Duration;

/// Records in a datagram at most; its bytes hold fewer.
pub(super) const RECORDS_MAX: usize = 96;
/// Datagrams out at once, whatever the path does.
const OUT_MIN: usize = 8;
const OUT_MAX: usize = 192;
const OUT_FIRST: usize = 32;
/// Time that datagrams may wait in queues of the path before the window shrinks.
const QUEUE_TARGET: Duration = Duration::from_millis(5);
/// A datagram is lost when so many later ones have arrived.
const OVERTAKEN_MAX: u64 = 16;
const TIMEOUT_FIRST: Duration = Duration::from_millis(100);
/// What a receiver may wait before it acknowledges, and a timer may be late.
const SPARE: Duration = Duration::from_millis(5);
const TIMEOUT_MIN: Duration = Duration::from_millis(10);
const TIMEOUT_MAX: Duration = Duration::from_millis(500);
/// Numbers that may lie between the oldest datagram out and the next one: what the receiver remembers, less a
/// margin for those that wait for no acknowledgement.
const SPAN_MAX: u64 = WINDOW - 16;

struct Flight {
    sequence: u64,
    sent: Instant,
    is_done: bool,
    slots: heapless::Vec<u32, RECORDS_MAX>,
}

/// All datagrams that wait for an acknowledgement, oldest first.
pub(super) struct Flights {
    ring: VecDeque<Flight>,
    out: usize,
    out_max: usize,
    round_trip: Option<Duration>,
    deviation: Duration,
    /// Of the last seconds.
    quickest: Duration,
    quickest_at: Instant,
    /// Doubles the timeout while nothing comes back.
    backoff: u32,
    progress_at: Instant,
    pub(super) lost: u64,
}

impl Flights {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            ring: VecDeque::new(),
            out: 0,
            out_max: OUT_FIRST,
            round_trip: None,
            deviation: Duration::ZERO,
            quickest: Duration::MAX,
            quickest_at: now,
            backoff: 0,
            progress_at: now,
            lost: 0,
        }
    }

    /// Forgets all that is out.
    pub(super) fn clear(&mut self, now: Instant) {
        let lost = self.lost;
        *self = Self::new(now);
        self.lost = lost;
    }

    /// Oldest number that is still waited for.
    pub(super) fn floor(&self, next: u64) -> u64 {
        self.ring.front().map_or(next, |flight| flight.sequence)
    }

    /// One more may go out.
    pub(super) fn has_room(&self, next: u64) -> bool {
        let out_max = if self.backoff > 0 { 2 } else { self.out_max };
        self.out < out_max && next - self.floor(next) < SPAN_MAX
    }

    /// The receiver would no longer remember the oldest one.
    pub(super) fn is_stretched(&self, next: u64) -> bool {
        next - self.floor(next) >= WINDOW - 1
    }

    /// Last time that something was acknowledged while something was out.
    pub(super) fn progress_at(&self) -> Instant {
        self.progress_at
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    pub(super) fn sent(
        &mut self,
        now: Instant,
        sequence: u64,
        slots: heapless::Vec<u32, RECORDS_MAX>,
    ) {
        if self.out == 0 {
            self.progress_at = now;
        }
        self.out += 1;
        self.ring.push_back(Flight {
            sequence,
            sent: now,
            is_done: false,
            slots,
        });
    }

    /// Takes what the peer says to have taken; `each` hears of each datagram that is news.
    pub(super) fn acknowledge(
        &mut self,
        now: Instant,
        taken: &Taken,
        mut each: impl FnMut(u64, &[u32]),
    ) {
        let mut newest = None;
        let highest = taken.highest();
        for flight in &mut self.ring {
            if flight.sequence > highest {
                break;
            }
            if !flight.is_done && taken.has(flight.sequence) {
                flight.is_done = true;
                self.out -= 1;
                newest = Some(flight.sent);
                each(flight.sequence, &flight.slots);
            }
        }
        if let Some(sent) = newest {
            self.backoff = 0;
            self.progress_at = now;
            self.measure(now, now.since(sent));
        }
        self.trim();
    }

    /// Takes off what is lost by now; `each` hears of it. `highest` is the newest number taken.
    pub(super) fn expire(&mut self, now: Instant, highest: u64, mut each: impl FnMut(u64, &[u32])) {
        let timeout = self.timeout();
        let mut is_late = false;
        for flight in &mut self.ring {
            let has_expired = now.since(flight.sent) >= timeout;
            let is_overtaken = flight.sequence.saturating_add(OVERTAKEN_MAX) <= highest;
            if !(has_expired || is_overtaken) {
                // Nor are those that were sent later.
                break;
            }
            if flight.is_done {
                continue;
            }
            is_late |= has_expired;
            flight.is_done = true;
            self.out -= 1;
            self.lost += 1;
            self.out_max = (self.out_max - 1).max(OUT_MIN);
            each(flight.sequence, &flight.slots);
        }
        if is_late && now.since(self.progress_at) >= timeout {
            self.backoff = (self.backoff + 1).min(6);
        }
        self.trim();
    }

    /// Gives up the oldest one.
    pub(super) fn give_up_oldest(&mut self, mut each: impl FnMut(u64, &[u32])) {
        if let Some(flight) = self.ring.front_mut() {
            flight.is_done = true;
            self.out -= 1;
            self.lost += 1;
            each(flight.sequence, &flight.slots);
        }
        self.trim();
    }

    /// When the oldest one counts as lost.
    pub(super) fn deadline(&self) -> Option<Instant> {
        Some(self.ring.front()?.sent + self.timeout())
    }

    fn timeout(&self) -> Duration {
        let usual = self.round_trip.map_or(TIMEOUT_FIRST, |round_trip| {
            round_trip.saturating_add(self.deviation.saturating_mul(4).max(SPARE))
        });
        let usual = usual.clamp(TIMEOUT_MIN, TIMEOUT_MAX);
        usual.saturating_mul(1 << self.backoff).min(TIMEOUT_MAX)
    }

    /// RFC 6298, section 2, and the window by what the path adds to its quickest.
    fn measure(&mut self, now: Instant, sample: Duration) {
        match self.round_trip {
            None => {
                self.round_trip = Some(sample);
                self.deviation = sample / 2;
            }
            Some(usual) => {
                self.deviation = (self.deviation * 3 + usual.abs_diff(sample)) / 4;
                self.round_trip = Some((usual * 7 + sample) / 8);
            }
        }
        if sample <= self.quickest || now.since(self.quickest_at) > Duration::from_secs(10) {
            self.quickest = sample;
            self.quickest_at = now;
        }
        self.out_max = if sample > self.quickest.saturating_add(QUEUE_TARGET) {
            (self.out_max - 1).max(OUT_MIN)
        } else {
            (self.out_max + 1).min(OUT_MAX)
        };
    }

    fn trim(&mut self) {
        while self.ring.front().is_some_and(|flight| flight.is_done) {
            self.ring.pop_front();
        }
    }
}
