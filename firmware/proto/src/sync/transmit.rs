//! Datagrams to the peer: records of what changed, what is to be compared, or nothing but the header, which
//! acknowledges and says who is there.

use super::flight::RECORDS_MAX;
use super::index::{ENDED, GONE, GUARD, NEEDED, PENDING, SEEN, bucket_of};
use super::item::{record_bytes, write_tag};
use super::slab::{Slab, Stored};
use super::wire::{ACTIVE, Header, READY, SETTLED, Taken, WANTS_ACK, Writer};
use super::{Engine, Kind, SILENCE_MAX, STALL_MAX};
use crate::sabotage::{Sabotage, is_broken};
use crate::time::Instant;
use core::time::Duration;

/// A change waits so long for others, to travel with them; what changes again meanwhile is sent once.
const LINGER: Duration = Duration::from_millis(5);
/// So many wait for no more: they fill a datagram.
const TOGETHER: usize = 32;
/// Datagrams sent in one go, and until the next millisecond.
const BURST_MAX: u32 = 64;
const BURST_INTERVAL: Duration = Duration::from_millis(1);
/// From datagram to datagram when there is nothing to tell.
const KEEPALIVE: Duration = Duration::from_millis(200);

/// When to speak, and how much at once.
pub(super) struct Pace {
    speak_at: Instant,
    /// Datagrams that wait to be acknowledged.
    owed: u32,
    burst_began: Instant,
    burst: u32,
    sent_controls: bool,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            speak_at: now,
            owed: 0,
            burst_began: now,
            burst: 0,
            sent_controls: false,
        }
    }

    /// Something is to be said by then, be it in an empty datagram.
    pub(super) fn speak_by(&mut self, at: Instant) {
        self.speak_at = self.speak_at.min(at);
    }

    /// One more datagram is to be acknowledged: at once when there are so many, else a little later.
    pub(super) fn owe(&mut self, now: Instant, together: u32, after: Duration) {
        self.owed += 1;
        let is_enough = self.owed >= together;
        self.speak_by(if is_enough { now } else { now + after });
    }

    fn spoke(&mut self, now: Instant) {
        self.owed = 0;
        self.speak_at = now + KEEPALIVE;
    }

    fn count_burst(&mut self, now: Instant) {
        if now.since(self.burst_began) >= BURST_INTERVAL {
            self.burst_began = now;
            self.burst = 0;
        }
        self.burst += 1;
    }

    /// When one more may be sent.
    fn burst_at(&self) -> Instant {
        if self.burst < BURST_MAX {
            Instant::default()
        } else {
            self.burst_began + BURST_INTERVAL
        }
    }
}

impl Engine {
    /// The next datagram for the peer, and its length. Ask until there is none.
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        self.expire(now);
        if let Some((incarnation, taken)) = self.candidates.poll_answer(now) {
            return self.answer(buffer, incarnation, taken);
        }
        if self.work_at().is_some_and(|at| at <= now)
            && let Some(length) = self.transmit_work(now, buffer)
        {
            return Some(length);
        }
        if self.pace.speak_at > now {
            return None;
        }
        self.pace.spoke(now);
        let (echo, taken) = self.heard();
        let header = self.header(echo, taken, false);
        self.speak(buffer, &header)
    }

    /// A datagram for a start that has not proved itself: what it brings is heard and thrown away, so it is not to begin.
    fn answer(&mut self, buffer: &mut [u8], echo: u64, taken: Taken) -> Option<usize> {
        let mut header = self.header(echo, taken, false);
        header.flags &= !(READY | SETTLED);
        self.speak(buffer, &header)
    }

    /// Whom we hear, and what of it was taken.
    fn heard(&self) -> (u64, Taken) {
        let peer = self.peer.as_ref();
        peer.map_or((0, Taken::default()), |peer| (peer.incarnation, peer.taken))
    }

    /// A datagram that carries nothing but its header.
    fn speak(&mut self, buffer: &mut [u8], header: &Header) -> Option<usize> {
        let mut out = self.codec.begin(buffer, header)?;
        let length = self.codec.finish(&mut out)?;
        self.count_sent(length);
        Some(length)
    }

    fn count_sent(&mut self, bytes: usize) {
        self.next_sequence += 1;
        self.counters.sent += 1;
        self.counters.sent_bytes += bytes as u64;
    }

    fn header(&self, echo: u64, taken: Taken, wants_ack: bool) -> Header {
        let flags = [
            (self.rank.is_active(), ACTIVE),
            (self.is_ready(), READY),
            (self.is_ready() && self.is_settled(), SETTLED),
            (wants_ack, WANTS_ACK),
        ];
        let flags = flags.iter().filter(|(is_set, _)| *is_set);
        Header {
            flags: flags.fold(0, |flags, (_, flag)| flags | flag),
            sender: self.incarnation,
            echo,
            table: self.table,
            sequence: self.next_sequence,
            floor: self.flights.floor(self.next_sequence),
            rank: self.rank.0,
            taken,
            agreed: self.digests.agreed(),
            doubted: self.digests.doubted(),
            held: Kind::ALL.map(|kind| self.held(kind)),
            flush_asked: self.flush.asked,
            flush_done: self.flush.done,
        }
    }

    /// When records or comparisons may be sent next.
    fn work_at(&self) -> Option<Instant> {
        self.live_peer()?;
        if !self.flights.has_room(self.next_sequence) {
            return None;
        }
        let due = [self.records_due(), self.controls_due()];
        let due = due.into_iter().flatten().min()?;
        Some(due.max(self.pace.burst_at()))
    }

    fn records_due(&self) -> Option<Instant> {
        let first = self.slab.first_queued()?;
        let is_hurried = self.slab.queued() >= TOGETHER || self.flush.serving.is_some();
        let noted = Instant::from_micros(first.noted_us);
        Some(if is_hurried {
            Instant::default()
        } else {
            noted + LINGER
        })
    }

    /// When this box speaks next by itself.
    pub(super) fn transmit_at(&self) -> Option<Instant> {
        let speak_at = self.pace.speak_at;
        Some(self.work_at().map_or(speak_at, |at| at.min(speak_at)))
    }

    /// Records and comparisons take turns where both are due.
    fn transmit_work(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        let (echo, taken) = self.heard();
        let header = self.header(echo, taken, true);
        let mut out = self.codec.begin(buffer, &header)?;
        let mut slots = heapless::Vec::new();
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let (records, controls) = (is_due(self.records_due()), is_due(self.controls_due()));
        let sends_controls = controls && !(records && self.pace.sent_controls);
        self.pace.sent_controls = sends_controls;
        if sends_controls {
            if !self.write_controls(now, &mut out) {
                return None;
            }
        } else {
            slots = self.write_records(&mut out, header.sequence);
        }
        let length = self.codec.finish(&mut out)?;
        self.flights.sent(now, header.sequence, slots);
        self.count_sent(length);
        self.pace.spoke(now);
        self.pace.count_burst(now);
        Some(length)
    }

    /// Fills a datagram with what waits longest; returns the slots.
    fn write_records(
        &mut self,
        out: &mut Writer<'_>,
        sequence: u64,
    ) -> heapless::Vec<u32, RECORDS_MAX> {
        let mut slots = heapless::Vec::new();
        while let Some((number, slot)) = self.slab.front() {
            let least = if self.rank.is_active() {
                self.rank.0
            } else {
                0
            };
            let rank = slot.rank.max(least);
            let rank = (rank != self.rank.0).then_some(rank);
            let mark = out.mark();
            if slots.is_full() || write_record(out, &self.slab, number, rank).is_none() {
                out.rewind(mark);
                break;
            }
            // There is room for it.
            let _ = slots.push(number);
            self.slab.send_front(number, sequence);
            self.counters.sent_records += 1;
        }
        slots
    }

    /// What the peer has taken is settled; what it has not for long is to be sent again.
    pub(super) fn acknowledge(&mut self, now: Instant, header: &Header) {
        let mut flights = core::mem::replace(&mut self.flights, super::flight::Flights::new(now));
        flights.acknowledge(now, &header.taken, |sequence, slots| {
            for number in slots {
                self.settle(now, *number, sequence);
            }
        });
        self.flights = flights;
        self.lose_expired(now, header.taken.highest());
        self.finish_flush(now);
    }

    fn settle(&mut self, now: Instant, number: u32, sequence: u64) {
        let Some(slot) = self.slab.get(number).filter(|it| it.sequence == sequence) else {
            return;
        };
        self.lag
            .note(now, now.since(Instant::from_micros(slot.noted_us)));
        self.counters.settled += 1;
        self.slab.free(number);
        let Some(place) = self.index.find(slot.hash) else {
            return;
        };
        let mut entry = self.index.at(place);
        if !entry.is(PENDING) || entry.link != number {
            return;
        }
        entry.clear(PENDING);
        if entry.is(GONE) {
            // What the peer had told before it knew of the end may come after its word that it does.
            self.guard(&mut entry);
        }
        if entry.is_held() || entry.is(SEEN | ENDED | GUARD) {
            self.index.put(place, entry);
        } else {
            self.index.remove(place);
        }
    }

    fn lose_expired(&mut self, now: Instant, highest: u64) {
        let (slab, counters) = (&mut self.slab, &mut self.counters);
        self.flights.expire(now, highest, |sequence, slots| {
            lose(slab, &mut counters.resent, sequence, slots);
        });
        if self.flights.is_stretched(self.next_sequence) {
            self.flights.give_up_oldest(|sequence, slots| {
                lose(slab, &mut counters.resent, sequence, slots);
            });
        }
    }

    /// What time alone brings about: losses, and a peer that does not answer.
    fn expire(&mut self, now: Instant) {
        self.lose_expired(now, 0);
        // What was freed while it waited makes room.
        let _ = self.slab.front();
        let Some(peer) = self.peer.as_ref().filter(|peer| peer.is_attached) else {
            return;
        };
        let is_silent = now.since(peer.heard) >= SILENCE_MAX;
        let is_stalled =
            self.slab.room() == 0 && now.since(self.flights.progress_at()) >= STALL_MAX;
        if is_silent || is_stalled {
            self.let_go(now);
        }
    }

    /// Gives up all that is on its way: what is held is marked, and what was removed will be found by its absence.
    pub(super) fn let_go(&mut self, now: Instant) {
        let mut slab = core::mem::replace(&mut self.slab, Slab::new());
        slab.clear(|slot| {
            let Some(place) = self.index.find(slot.hash) else {
                return;
            };
            let mut entry = self.index.at(place);
            entry.clear(PENDING);
            if entry.is(GONE) || slot.kind == Kind::Ipvs {
                self.reading_mut(Kind::Ipvs).is_stale |= slot.kind == Kind::Ipvs;
                self.digests
                    .vanish(bucket_of(entry.hash), self.next_sequence);
                self.drop_entry(place, entry);
            } else {
                entry.set(NEEDED);
                self.index.put(place, entry);
            }
        });
        self.flights.clear(now);
        self.flush.serving = None;
        // Last words come at once; what comes after a silence may be of before.
        self.is_heir = false;
        if let Some(peer) = &mut self.peer {
            peer.is_attached = false;
            peer.attach_after = self.next_sequence;
        }
    }
}

fn lose(slab: &mut Slab, resent: &mut u64, sequence: u64, slots: &[u32]) {
    if is_broken(Sabotage::ForgetLosses) {
        return;
    }
    for number in slots {
        *resent += u64::from(slab.lose(*number, sequence));
    }
}

fn write_record(out: &mut Writer<'_>, slab: &Slab, number: u32, rank: Option<u32>) -> Option<()> {
    let stored = slab.record(number)?;
    let (key_bytes, value_bytes) = stored.lengths();
    let value = (!stored.slot.is_removal).then_some(value_bytes);
    if out.room() < record_bytes(key_bytes, value) {
        return None;
    }
    write_tag(out, stored.slot.kind, stored.slot.is_removal, rank)?;
    out.put(&[u8::try_from(key_bytes).ok()?])?;
    write_pieces(out, &stored, 0, key_bytes)?;
    if let Some(value_bytes) = value {
        out.put(&u16::try_from(value_bytes).ok()?.to_le_bytes())?;
        write_pieces(out, &stored, key_bytes, key_bytes + value_bytes)?;
        out.put(&stored.slot.lifetime_s.to_le_bytes())?;
    }
    Some(())
}

/// Writes the bytes of a stored record from one place to another.
fn write_pieces(out: &mut Writer<'_>, stored: &Stored<'_>, from: usize, to: usize) -> Option<()> {
    let mut at = 0;
    for piece in stored.pieces() {
        let start = from.saturating_sub(at).min(piece.len());
        let end = to.saturating_sub(at).min(piece.len());
        out.put(piece.get(start..end)?)?;
        at += piece.len();
    }
    Some(())
}
