//! Agreement of the two tables. The box whose table counts sends sums over its buckets, slice by slice, and leaves out those
//! in which something is on its way; a datagram that is the newest when it arrives finds the other's bucket in the
//! very state that the sum was taken of, or with something of its own on its way, which leaves it out, too. So what
//! differs truly differs. It is then listed, and asked for or removed flow by flow. All of it may be lost: what still
//! differs is found again by the next pass.

use super::Engine;
use super::index::{BUCKETS, DOOMED, Entry, NEEDED, PENDING};
use super::item::{
    LIST_ENTRY_BYTES, LIST_HEADER_BYTES, List, Part, SLICE_BUCKETS, SLICES, Slice,
    write_bucket_request, write_flow_request, write_list, write_slice,
};
use super::role::Authority;
use super::wire::{Header, Writer};
use crate::sabotage::{Sabotage, is_broken};
use crate::time::Instant;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

/// From pass to pass over what is not yet agreed on.
const PASS_INTERVAL: Duration = Duration::from_millis(20);
/// From slice to slice when all agreed: a pass takes 6 s.
const SLICE_INTERVAL: Duration = Duration::from_millis(100);
/// Numbers in one request.
const REQUESTED_TOGETHER: usize = 100;
/// Flows that are waiting to be asked for; what does not fit is found again.
const FLOWS_ASKED_MAX: usize = 4096;
/// With more flows than that waiting to be sent, most buckets would be left out.
const QUEUED_MAX: usize = 4096;
/// All slices.
pub(super) const ALL_AGREED: u64 = u64::MAX;

/// A set of buckets.
pub(super) struct Buckets {
    words: Vec<u64>,
    count: usize,
}

impl Buckets {
    fn new() -> Self {
        Self {
            words: vec![0; BUCKETS / 64],
            count: 0,
        }
    }

    fn set(&mut self, bucket: usize, is_in: bool) {
        let Some(word) = self.words.get_mut(bucket / 64) else {
            return;
        };
        let bit = 1_u64 << (bucket % 64);
        match (*word & bit != 0, is_in) {
            (false, true) => self.count += 1,
            (true, false) => self.count -= 1,
            _ => return,
        }
        *word ^= bit;
    }

    fn first(&self) -> Option<usize> {
        if self.count == 0 {
            return None;
        }
        let (at, word) = self
            .words
            .iter()
            .enumerate()
            .find(|(_, word)| **word != 0)?;
        Some(at * 64 + usize::try_from(word.trailing_zeros()).ok()?)
    }

    fn clear(&mut self) {
        self.words.fill(0);
        self.count = 0;
    }

    /// Slices whose buckets are all in it, as bits.
    fn slices(&self) -> u64 {
        let slices = self.words.chunks(SLICE_BUCKETS / 64).zip(0..);
        let full = slices.filter(|(words, _)| words.iter().all(|word| *word == u64::MAX));
        full.fold(0, |slices, (_, number)| slices | 1_u64 << number)
    }
}

/// What is known of where the tables agree.
pub(super) struct Digests {
    /// Found equal to the peer's, whose table counts.
    equal: Buckets,
    /// Slices of which all is.
    agreed: u64,
    /// Lists to be asked for.
    differing: Buckets,
    /// Flows to be asked for.
    lacking: Vec<u64>,
    /// Lists that the peer asked for.
    listing: Buckets,
    /// Slices from which something vanished without a word: the peer is told so, and compares them anew.
    doubted: u64,
    /// The first datagram that says so.
    doubted_from: u64,
    next_slice: u32,
    slice_at: Instant,
    /// Buckets that differed, since the start.
    pub(super) mismatches: u64,
}

impl Digests {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            equal: Buckets::new(),
            agreed: 0,
            differing: Buckets::new(),
            lacking: Vec::new(),
            listing: Buckets::new(),
            doubted: 0,
            doubted_from: 0,
            next_slice: 0,
            slice_at: now,
            mismatches: 0,
        }
    }

    /// Nothing is known to agree.
    pub(super) fn begin(&mut self, now: Instant) {
        self.equal.clear();
        self.agreed = 0;
        self.differing.clear();
        self.lacking.clear();
        self.listing.clear();
        self.doubted = 0;
        self.next_slice = 0;
        self.slice_at = now;
    }

    /// Slices found equal.
    pub(super) fn agreed(&self) -> u64 {
        self.agreed
    }

    /// Slices of which the peer, if it compares, can't know that they changed.
    pub(super) fn doubted(&self) -> u64 {
        self.doubted
    }

    /// Something vanished from that bucket, and the peer is not told what; `next` is the next datagram.
    pub(super) fn vanish(&mut self, bucket: usize, next: u64) {
        if is_broken(Sabotage::HideVanished) {
            return;
        }
        self.doubted |= slice_bit(bucket);
        self.doubted_from = next;
    }

    /// The peer took that datagram, and all it says of what agrees comes after.
    fn heard(&mut self, highest: u64) {
        if highest >= self.doubted_from {
            self.doubted = 0;
        }
    }

    /// The peer, whose table counts, takes back those slices.
    fn distrust(&mut self, slices: u64) {
        if slices & self.agreed == 0 {
            return;
        }
        for number in (0..SLICES).filter(|number| slices >> number & 1 == 1) {
            for bucket in number * SLICE_BUCKETS..(number + 1) * SLICE_BUCKETS {
                self.equal.set(bucket, false);
            }
        }
        self.agreed &= !slices;
    }

    /// Takes back that this bucket was found equal: something in it changed that the peer knows nothing of.
    pub(super) fn doubt(&mut self, bucket: usize) {
        self.equal.set(bucket, false);
        self.agreed &= !slice_bit(bucket);
    }

    fn ask_for(&mut self, hash: u64) {
        if self.lacking.len() < FLOWS_ASKED_MAX {
            self.lacking.push(hash);
        }
    }

    fn has_requests(&self) -> bool {
        self.differing.count > 0 || !self.lacking.is_empty() || self.listing.count > 0
    }
}

fn slice_bit(bucket: usize) -> u64 {
    1_u64 << (bucket / SLICE_BUCKETS % SLICES)
}

impl Engine {
    /// What the newest header says of agreement.
    pub(super) fn take_doubts(&mut self, header: &Header) {
        self.digests.heard(header.taken.highest());
        // The peer takes it for heard, so it counts even while nothing is compared.
        self.digests.distrust(header.doubted);
    }

    /// Compares sums of the peer, whose table counts, with this box's.
    pub(super) fn compare_slice(&mut self, now: Instant, slice: &Slice<'_>) {
        if !self.is_comparing() {
            return;
        }
        for (bucket, sum) in slice.sums() {
            let (Some(theirs), Some(own)) = (sum, self.index.sum(bucket)) else {
                continue;
            };
            let is_equal = theirs == own || is_broken(Sabotage::IgnoreDigests);
            self.digests.equal.set(bucket, is_equal);
            self.digests.differing.set(bucket, !is_equal);
            self.digests.mismatches += u64::from(!is_equal);
        }
        let agreed = self.digests.equal.slices();
        if core::mem::replace(&mut self.digests.agreed, agreed) != agreed {
            self.pace.speak_by(now);
        }
    }

    /// Compares a list of the peer's: asks for what is not here, and marks what is here alone.
    pub(super) fn compare_list(&mut self, _now: Instant, list: &List<'_>) {
        if !self.is_comparing() {
            return;
        }
        let bucket = usize::from(list.bucket);
        let mut position = 0;
        while let Some(entry) = self.index.bucket(bucket).get(position).copied() {
            position += 1;
            let is_settled = entry.is_held() && !entry.is(PENDING | NEEDED | DOOMED);
            let is_listed = || list.entries().any(|(hash, _)| hash == entry.hash);
            if !is_settled || !list.part.has(entry.hash) || is_listed() {
                continue;
            }
            if let Some(place) = self.index.find(entry.hash) {
                let mut doomed = entry;
                doomed.set(DOOMED);
                self.index.put(place, doomed);
            }
        }
        for (hash, digest) in list.entries() {
            let entry = self.index.find(hash).map(|place| self.index.at(place));
            let is_lacking = entry.is_none_or(|entry| {
                !entry.is_held() || entry.digest != digest && !entry.is(PENDING | NEEDED)
            });
            if is_lacking {
                self.digests.ask_for(hash);
            }
        }
    }

    fn is_comparing(&self) -> bool {
        self.authority() == Authority::Peer && self.live_peer().is_some()
    }

    fn is_compared(&self) -> bool {
        self.authority() == Authority::Own && self.live_peer().is_some()
    }

    /// The peer asks for lists of buckets.
    pub(super) fn take_bucket_request(&mut self, buckets: &[u8]) {
        if !self.is_compared() {
            return;
        }
        let (buckets, _) = buckets.as_chunks::<2>();
        for bucket in buckets {
            self.digests
                .listing
                .set(usize::from(u16::from_le_bytes(*bucket)), true);
        }
    }

    /// The peer asks for flows: the next sweep tells them.
    pub(super) fn take_flow_request(&mut self, flows: &[u8]) {
        if !self.is_compared() {
            return;
        }
        let (flows, _) = flows.as_chunks::<8>();
        for flow in flows {
            let Some(place) = self.index.find(u64::from_le_bytes(*flow)) else {
                continue;
            };
            let mut entry = self.index.at(place);
            if entry.is_held() && !entry.is(PENDING) {
                entry.set(NEEDED);
                self.index.put(place, entry);
            }
        }
    }

    /// When there is something to compare, list or ask for.
    pub(super) fn controls_due(&self) -> Option<Instant> {
        if self.digests.has_requests() {
            return Some(Instant::default());
        }
        let may_compare = self.is_compared() && self.is_settled();
        (may_compare && self.slab.queued() < QUEUED_MAX).then_some(self.digests.slice_at)
    }

    /// Fills a datagram with requests, lists or sums, as many as are due; says whether there were any.
    pub(super) fn write_controls(&mut self, now: Instant, out: &mut Writer<'_>) -> bool {
        let start = out.mark();
        self.write_requests(out);
        self.write_lists(out);
        if out.mark() == start && self.controls_due().is_some_and(|at| at <= now) {
            self.write_next_slice(now, out);
        }
        out.mark() > start
    }

    fn write_requests(&mut self, out: &mut Writer<'_>) -> Option<()> {
        let mut buckets = heapless::Vec::<u16, REQUESTED_TOGETHER>::new();
        while !buckets.is_full()
            && let Some(bucket) = self.digests.differing.first()
        {
            self.digests.differing.set(bucket, false);
            buckets.push(u16::try_from(bucket).ok()?).ok()?;
        }
        if !buckets.is_empty() {
            write_bucket_request(out, &buckets)?;
        }
        let lacking = &mut self.digests.lacking;
        let from = lacking.len().saturating_sub(REQUESTED_TOGETHER);
        if !lacking.is_empty() {
            write_flow_request(out, lacking.get(from..)?)?;
            lacking.truncate(from);
        }
        Some(())
    }

    /// Lists of buckets as they are now; one that is not settled is asked for again by itself.
    fn write_lists(&mut self, out: &mut Writer<'_>) {
        while let Some(bucket) = self.digests.listing.first() {
            if self.is_compared() && self.index.sum(bucket).is_some() {
                let mark = out.mark();
                if self.write_bucket(out, bucket).is_none() {
                    out.rewind(mark);
                    return;
                }
            }
            self.digests.listing.set(bucket, false);
        }
    }

    /// Lists a bucket, in several parts where it is large. Those that fit no datagram together are picked by chance:
    /// the others come when it is asked for again.
    fn write_bucket(&self, out: &mut Writer<'_>, bucket: usize) -> Option<()> {
        let number = u16::try_from(bucket).ok()?;
        let held = || self.index.bucket(bucket).iter().filter(|it| it.is_held());
        let most = (out.room() - out.room().min(LIST_HEADER_BYTES)) / LIST_ENTRY_BYTES;
        let count = held().count();
        if count <= most {
            let entries = held().map(|entry| (entry.hash, entry.digest));
            let whole = Part { number: 0, bits: 0 };
            return write_list(out, number, whole, u8::try_from(count).ok()?, entries);
        }
        if out.room() < DATAGRAM_ROOM_MIN {
            return None;
        }
        let bits = (1..=8).find(|bits| count >> bits <= most / 2).unwrap_or(8);
        let part = Part {
            number: self.any_byte() & ((1_u16 << bits) - 1).to_le_bytes()[0],
            bits,
        };
        let entries = || held().filter(move |entry| part.has(entry.hash));
        let pairs = entries().map(|entry: &Entry| (entry.hash, entry.digest));
        write_list(
            out,
            number,
            part,
            u8::try_from(entries().count()).ok()?,
            pairs,
        )
    }

    /// The next slice that is not agreed on, or any in turn once all is.
    fn write_next_slice(&mut self, now: Instant, out: &mut Writer<'_>) -> Option<()> {
        let agreed = self
            .peer
            .as_ref()
            .map_or(ALL_AGREED, |peer| peer.says.agreed);
        let open = !agreed | self.digests.doubted;
        let ahead = open.checked_shr(self.digests.next_slice).unwrap_or(0);
        let slice = match (open, ahead) {
            (0, _) => self.digests.next_slice % 64,
            (_, 0) => open.trailing_zeros(),
            (_, ahead) => self.digests.next_slice + ahead.trailing_zeros(),
        };
        write_slice(out, u8::try_from(slice).ok()?, |bucket| {
            self.index.sum(bucket)
        })?;
        self.digests.next_slice = slice + 1;
        let is_last = open.checked_shr(slice + 1).unwrap_or(0) == 0;
        let round_trip = self.flights.round_trip().unwrap_or_default();
        self.digests.slice_at = match (open, is_last) {
            (0, _) => now + SLICE_INTERVAL,
            (_, true) => now + PASS_INTERVAL.max(round_trip * 2),
            (_, false) => now,
        };
        Some(())
    }

    /// All that both hold was found equal, and nothing waits for a sweep on either side. Changes on their way do not
    /// count: they are what a takeover may lose, by milliseconds.
    #[must_use]
    pub fn in_sync(&self) -> bool {
        let agreed = |peer: &super::peer::Peer| match self.authority() {
            Authority::Own => peer.says.agreed == ALL_AGREED && self.digests.doubted == 0,
            Authority::Peer => self.digests.agreed() == ALL_AGREED && self.index.doomed() == 0,
            Authority::Nobody => false,
        };
        self.is_settled()
            && self
                .live_peer()
                .is_some_and(|peer| peer.says.is(super::wire::SETTLED) && agreed(peer))
    }

    fn any_byte(&self) -> u8 {
        let [low, ..] = self.next_sequence.to_le_bytes();
        low
    }
}

/// A part of a large bucket is listed at the beginning of a datagram only.
const DATAGRAM_ROOM_MIN: usize = 1200;
