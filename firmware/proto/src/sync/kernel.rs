//! What this box's own kernel tells: events as they come, and sweeps, which tell all there is. A dump is older than
//! the events beside it, so of a flow that had an event since the sweep began the dump is not believed.

use super::index::{
    DOOMED, ENDED, Entry, GONE, GUARD, MINE, NEEDED, PENDING, Place, SEEN, bucket_of,
};
use super::role::Authority;
use super::slab::Slot;
use super::wire::SETTLED;
use super::{Engine, KEY_BYTES_MAX, Kind, VALUE_BYTES_MAX, Verdict};
use crate::sabotage::{Sabotage, is_broken};
use crate::time::Instant;
use core::time::Duration;

/// From the end of a sweep to the next one, if nothing wants it sooner than that.
const SWEEP_GAP_MIN: Duration = Duration::from_millis(250);
/// The gap doubles up to this while sweeps follow on each other: a table of a million flows takes seconds.
const SWEEP_GAP_MAX: Duration = Duration::from_secs(4);
/// After so long without one the gap is the smallest again.
const SWEEP_CALM: Duration = Duration::from_secs(10);
/// What digests of states are hashed under; keys are under the number of their kind.
const VALUE_DOMAIN: u8 = 8;

/// How far the kernel's table of a kind was read.
#[derive(Default)]
pub(super) struct Reading {
    /// All of it once.
    pub(super) is_read: bool,
    pub(super) is_sweeping: bool,
    /// Events were lost since the last sweep began, or one is wanted for another reason.
    pub(super) is_stale: bool,
    /// The sweep makes up for lost events: states that the peer owns may have changed here, too.
    is_for_lost: bool,
    /// The next sweep begins no sooner.
    not_before: Instant,
    gap: Duration,
}

impl Reading {
    /// A peer that has joined waits for what it needs: sweeps of before are no reason to let it wait.
    pub(super) fn hurry(&mut self) {
        self.not_before = Instant::default();
        self.gap = Duration::ZERO;
    }

    fn end(&mut self, now: Instant) {
        let calm = now.since(self.not_before) > SWEEP_CALM;
        self.gap = if calm { SWEEP_GAP_MIN } else { self.gap * 2 };
        self.gap = self.gap.clamp(SWEEP_GAP_MIN, SWEEP_GAP_MAX);
        self.not_before = now + self.gap;
        self.is_sweeping = false;
    }
}

/// A flow as the kernel tells it.
pub(super) struct Flow<'a> {
    kind: Kind,
    hash: u64,
    digest: u32,
    key: &'a [u8],
    value: &'a [u8],
    lifetime_s: u32,
    /// Told by a sweep, not by an event.
    is_swept: bool,
}

impl Engine {
    /// An event: the newest state of a flow in this kernel, of which so many seconds are left. Injections of the
    /// engine's own making must not be noted.
    pub fn note(&mut self, now: Instant, kind: Kind, key: &[u8], value: &[u8], lifetime_s: u32) {
        if let Some(flow) = self.flow(kind, key, value, lifetime_s, false) {
            // Only sweeps remove.
            let _ = self.tell(now, &flow);
        }
    }

    /// An event: the flow is gone from this kernel. Of IPVS nothing is ever removed.
    pub fn forget(&mut self, now: Instant, kind: Kind, key: &[u8]) {
        if kind == Kind::Ipvs {
            return;
        }
        let hash = self.hash(kind, key);
        let is_sweeping = self.reading(kind).is_sweeping;
        let Some(place) = self.index.find(hash) else {
            return self.forget_unknown(hash, kind, is_sweeping);
        };
        let mut entry = self.index.at(place);
        if is_sweeping {
            entry.set(SEEN);
        }
        if is_broken(Sabotage::ForgetRemovals) {
            return self.drop_entry(place, entry);
        }
        if entry.is(GONE) {
            self.index.put(place, entry);
        } else {
            self.withdraw(now, place, entry, key);
            self.trim_ended();
        }
    }

    /// A flow ended of which this box did not know; the other one may.
    fn forget_unknown(&mut self, hash: u64, kind: Kind, is_sweeping: bool) {
        let mut entry = Entry::new(hash, kind, GONE);
        if is_sweeping {
            entry.set(SEEN);
        }
        self.ended.bury(&mut entry, self.rank);
        if entry.is(SEEN | ENDED) {
            self.index.insert(entry);
            self.trim_ended();
        }
    }

    /// Begins to tell all flows of a kind. Events go on to be noted in between. To keep the order, read the events that
    /// are ready after each part of a dump was read, and before it is told.
    pub fn sweep_begin(&mut self, _now: Instant, kind: Kind) {
        let reading = self.reading_mut(kind);
        reading.is_sweeping = true;
        reading.is_for_lost = core::mem::take(&mut reading.is_stale);
    }

    /// A flow that a sweep found, and what is to become of it.
    pub fn sweep_note(
        &mut self,
        now: Instant,
        kind: Kind,
        key: &[u8],
        value: &[u8],
        lifetime_s: u32,
    ) -> Verdict {
        self.flow(kind, key, value, lifetime_s, true)
            .map_or(Verdict::Keep, |flow| self.tell(now, &flow))
    }

    /// The sweep told all: what it did not tell is gone.
    pub fn sweep_end(&mut self, now: Instant, kind: Kind) {
        self.end_sweep(now, kind, true);
        self.reading_mut(kind).is_read = true;
        self.try_join(now);
        self.pace.speak_by(now);
    }

    /// The sweep broke off; another one is wanted.
    pub fn sweep_abort(&mut self, now: Instant, kind: Kind) {
        self.end_sweep(now, kind, false);
        self.reading_mut(kind).is_stale = true;
    }

    /// The kernel dropped events of this kind: a sweep is wanted.
    pub fn events_lost(&mut self, kind: Kind) {
        self.reading_mut(kind).is_stale = true;
        self.counters.overruns += 1;
    }

    /// Whether the kernel refuses flows for want of room. Until it has room again the boxes are not in sync, however
    /// often flows were refused; then all is read anew, so that what is missing is found and asked for.
    pub fn set_full(&mut self, is_full: bool) {
        let was_full = core::mem::replace(&mut self.is_full, is_full);
        if was_full && !is_full {
            self.reading_mut(Kind::Conntrack).is_stale = true;
        }
    }

    pub(super) fn hash(&self, kind: Kind, key: &[u8]) -> u64 {
        self.hasher.hash(kind as u8, key)
    }

    pub(super) fn digest(&self, value: &[u8]) -> u32 {
        (self.hasher.hash(VALUE_DOMAIN, value) >> 32) as u32 // lossless: 32 bits are left
    }

    pub(super) fn reading(&self, kind: Kind) -> &Reading {
        let [conntrack, expectation, ipvs] = &self.readings;
        match kind {
            Kind::Conntrack => conntrack,
            Kind::Expectation => expectation,
            Kind::Ipvs => ipvs,
        }
    }

    pub(super) fn reading_mut(&mut self, kind: Kind) -> &mut Reading {
        let [conntrack, expectation, ipvs] = &mut self.readings;
        match kind {
            Kind::Conntrack => conntrack,
            Kind::Expectation => expectation,
            Kind::Ipvs => ipvs,
        }
    }

    /// Events were lost, and no sweep has made up for them yet.
    pub(super) fn is_behind(&self) -> bool {
        [Kind::Conntrack, Kind::Expectation]
            .into_iter()
            .any(|kind| {
                let reading = self.reading(kind);
                reading.is_stale || reading.is_sweeping && reading.is_for_lost
            })
    }

    /// The table was read once, so what the peer says can be weighed against it.
    pub(super) fn is_ready(&self) -> bool {
        self.reading(Kind::Conntrack).is_read && self.reading(Kind::Expectation).is_read
    }

    /// The index is what the kernel holds, and all of it that the peer needs is on its way.
    pub(super) fn is_settled(&self) -> bool {
        let is_whole = |kind| {
            let reading = self.reading(kind);
            reading.is_read && !reading.is_stale && !reading.is_sweeping
        };
        // No digest compares what the balancer holds, so its listing for a peer that has joined must have come to its end.
        let balancer = self.reading(Kind::Ipvs);
        let is_listed = !balancer.is_stale && !balancer.is_sweeping;
        !self.is_full
            && is_whole(Kind::Conntrack)
            && is_whole(Kind::Expectation)
            && (is_listed || self.live_peer().is_none())
            && self.index.needed() == 0
    }

    /// When a sweep of that kind is wanted, if one is.
    pub(super) fn sweep_due(&self, kind: Kind) -> Option<Instant> {
        let reading = self.reading(kind);
        let totals = self.index.totals(kind);
        let is_first = !reading.is_read && kind != Kind::Ipvs;
        let is_needed = totals.needed > 0 && self.is_turn_to_tell();
        let is_stale = reading.is_stale && (kind != Kind::Ipvs || self.live_peer().is_some());
        let is_wanted = is_first || is_stale || is_needed || totals.doomed > 0;
        (is_wanted && !reading.is_sweeping).then_some(reading.not_before)
    }

    /// The peer takes what it needs. A box whose table does not count lets the other one finish first: then little is
    /// left for it to tell.
    fn is_turn_to_tell(&self) -> bool {
        self.live_peer()
            .is_some_and(|peer| self.authority() != Authority::Peer || peer.says.is(SETTLED))
    }

    fn flow<'a>(
        &mut self,
        kind: Kind,
        key: &'a [u8],
        value: &'a [u8],
        lifetime_s: u32,
        is_swept: bool,
    ) -> Option<Flow<'a>> {
        if key.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
            self.counters.oversized += 1;
            return None;
        }
        Some(Flow {
            kind,
            hash: self.hash(kind, key),
            digest: self.digest(value),
            key,
            value,
            lifetime_s,
            is_swept,
        })
    }

    fn tell(&mut self, now: Instant, flow: &Flow<'_>) -> Verdict {
        self.counters.noted += 1;
        let is_sweeping = self.reading(flow.kind).is_sweeping;
        let Some(place) = self.index.find(flow.hash) else {
            self.tell_new(now, flow, is_sweeping);
            return Verdict::Keep;
        };
        let mut entry = self.index.at(place);
        if flow.is_swept && entry.is(SEEN) && !is_broken(Sabotage::BelieveDumps) {
            return Verdict::Keep;
        }
        if is_sweeping {
            entry.set(SEEN);
        }
        if entry.is(DOOMED) && self.rank.is_active() && self.is_news(&entry, flow) {
            // Packets pass here: whatever its owner before had said, it lives.
            entry.clear(DOOMED);
        }
        if entry.is(DOOMED) && flow.is_swept {
            self.index.remove(place);
            return Verdict::Remove;
        }
        let entry = self.tell_known(now, entry, flow);
        self.index.put(place, entry);
        Verdict::Keep
    }

    /// A sweep of a passive box finds what the peer told an earlier start of this one: nobody's claim.
    fn tell_new(&mut self, now: Instant, flow: &Flow<'_>, is_sweeping: bool) {
        let is_active = self.rank.is_active();
        if flow.kind == Kind::Ipvs && self.live_peer().is_none() {
            // All are listed for a peer that is heard again.
            self.reading_mut(Kind::Ipvs).is_stale |= is_active;
            return;
        }
        if flow.kind == Kind::Ipvs && flow.is_swept && !is_active {
            // What a passive box has of these it was told.
            return;
        }
        let seen = if is_sweeping { SEEN } else { 0 };
        let mut entry = Entry::new(flow.hash, flow.kind, seen);
        entry.digest = flow.digest;
        if !flow.is_swept || is_active {
            entry.set(MINE);
            entry.rank = self.rank.0;
            entry = self.send(now, entry, flow, true);
        } else {
            self.digests.doubt(bucket_of(flow.hash));
        }
        self.index.insert(entry);
    }

    /// An event tells what happened here, and a sweep for lost events what differs; in any other a state may differ from
    /// what was told only in how the kernel puts it.
    fn is_news(&self, entry: &Entry, flow: &Flow<'_>) -> bool {
        !flow.is_swept || self.reading(flow.kind).is_for_lost && entry.digest != flow.digest
    }

    fn tell_known(&mut self, now: Instant, mut entry: Entry, flow: &Flow<'_>) -> Entry {
        let is_event = !flow.is_swept;
        let is_back = entry.is(GONE) && (is_event || !entry.is(GUARD));
        let is_claimed = is_event && self.rank.is_active() && self.rank.0 > entry.rank;
        let is_changed = entry.is(GONE) || entry.digest != flow.digest;
        // What the peer asked for is told by whoever is asked.
        let is_told = self.is_own(&entry) || is_back || is_claimed || entry.is(NEEDED);
        if !is_told {
            if is_changed && self.is_news(&entry, flow) {
                // What its owner says of it is then news here.
                entry.digest = flow.digest;
                self.digests.doubt(bucket_of(flow.hash));
                self.counters.strays += 1;
            }
            return entry;
        }
        let is_repeated = !is_changed && flow.kind != Kind::Ipvs;
        if is_repeated && !entry.is(NEEDED) {
            return entry;
        }
        if is_back {
            // Another flow of that name: what the peer said of the one before is no claim on it.
            entry.rank = self.rank.0;
        } else if is_event || self.rank.is_active() {
            entry.rank = entry.rank.max(self.rank.0);
        }
        entry.digest = flow.digest;
        entry.clear(GONE | GUARD | NEEDED | ENDED);
        entry.set(MINE);
        self.send(now, entry, flow, false)
    }

    /// Puts a flow's newest state on its way, as far as there is anybody to send it to.
    fn send(&mut self, now: Instant, mut entry: Entry, flow: &Flow<'_>, is_unsent: bool) -> Entry {
        let mut slot = Slot::new(flow.hash, flow.kind, now.us);
        slot.lifetime_s = flow.lifetime_s;
        slot.is_unsent = is_unsent;
        self.put_on_way(&mut entry, slot, flow.key, flow.value);
        entry
    }

    fn put_on_way(&mut self, entry: &mut Entry, mut slot: Slot, key: &[u8], value: &[u8]) {
        slot.rank = entry.rank;
        if self.authority() == Authority::Peer {
            // The peer may know better.
            self.digests.doubt(bucket_of(entry.hash));
        }
        if entry.is(PENDING) {
            if self.slab.replace(entry.link, slot, key, value) {
                return;
            }
            self.slab.free(entry.link);
            entry.clear(PENDING);
        }
        let is_joined = self.peer.as_ref().is_some_and(|peer| peer.is_joined);
        if !is_joined {
            return;
        }
        let is_live = self.live_peer().is_some();
        let number = if is_live {
            self.slab.insert(slot, key, value)
        } else {
            None
        };
        match number {
            Some(number) => {
                entry.link = number;
                entry.set(PENDING);
            }
            None => self.mark_needed(entry),
        }
    }

    /// Its state is to be had from a sweep.
    pub(super) fn mark_needed(&mut self, entry: &mut Entry) {
        match entry.kind() {
            // No sweep tells what is needed of these: all are listed again.
            Kind::Ipvs => {
                entry.set(GONE);
                self.reading_mut(Kind::Ipvs).is_stale = true;
            }
            _ => entry.set(NEEDED),
        }
    }

    /// The kernel no longer holds a flow: its owner tells the peer, of others' nobody asks.
    fn withdraw(&mut self, now: Instant, place: Place, mut entry: Entry, key: &[u8]) {
        let is_claimed = self.rank.is_active() && self.rank.0 > entry.rank;
        let is_own = (self.is_own(&entry) || is_claimed) && !entry.is(DOOMED);
        let slot = self.slab.get(entry.link).filter(|_| entry.is(PENDING));
        let is_unsent = slot.is_some_and(|slot| slot.is_unsent);
        if is_own {
            self.ended.bury(&mut entry, self.rank);
        }
        if !is_own || is_unsent || self.live_peer().is_none() {
            if !is_own {
                self.digests.doubt(bucket_of(entry.hash));
                self.guard(&mut entry);
            } else if !is_unsent {
                self.digests
                    .vanish(bucket_of(entry.hash), self.next_sequence);
            }
            self.drop_entry(place, entry);
            return;
        }
        entry.rank = entry.rank.max(self.rank.0);
        entry.set(GONE | MINE);
        entry.clear(NEEDED | DOOMED);
        let mut slot = Slot::new(entry.hash, entry.kind(), now.us);
        slot.is_removal = true;
        self.put_on_way(&mut entry, slot, key, &[]);
        if entry.is(PENDING) {
            self.index.put(place, entry);
        } else {
            // What finds no room is found by its absence.
            self.digests
                .vanish(bucket_of(entry.hash), self.next_sequence);
            self.drop_entry(place, entry);
        }
    }

    /// Forgets an entry; while a sweep goes on, it is remembered that it is gone.
    pub(super) fn drop_entry(&mut self, place: Place, mut entry: Entry) {
        if entry.is(PENDING) {
            self.slab.free(entry.link);
        }
        let is_sweeping = entry.is(SEEN) && self.reading(entry.kind()).is_sweeping;
        if is_sweeping || entry.is(GUARD | ENDED) {
            entry.clear(PENDING | NEEDED | DOOMED);
            entry.set(GONE);
            if !entry.is(ENDED) {
                entry.clear(MINE);
            }
            self.index.put(place, entry);
        } else {
            self.index.remove(place);
        }
    }

    fn end_sweep(&mut self, now: Instant, kind: Kind, is_whole: bool) {
        self.reading_mut(kind).end(now);
        let (slab, digests, next) = (&mut self.slab, &mut self.digests, self.next_sequence);
        let (ended, rank) = (&mut self.ended, self.rank);
        self.index.retain(|entry| {
            if entry.kind() != kind {
                return true;
            }
            let is_missing = is_whole && !entry.is(SEEN) && entry.is_held();
            entry.clear(SEEN);
            if is_missing {
                if entry.is(PENDING) {
                    slab.free(entry.link);
                    entry.clear(PENDING);
                }
                digests.vanish(bucket_of(entry.hash), next);
                digests.doubt(bucket_of(entry.hash));
                if rank.owns(entry) {
                    ended.bury(entry, rank);
                }
                return entry.is(ENDED);
            }
            !entry.is(GONE) || entry.is(PENDING | GUARD | ENDED)
        });
        self.trim_ended();
    }
}
