//! Datagrams of the peer: what they acknowledge, and the records in them, taken one by one as they are applied.

use super::index::{DOOMED, ENDED, Entry, GONE, GUARD, MINE, NEEDED, PENDING, SEEN, bucket_of};
use super::item::{Item, Items, Record};
use super::peer::Peer;
use super::role::Authority;
use super::wire::{Header, WANTS_ACK};
use super::{Apply, DATAGRAM_BYTES_MAX, Engine, Kind, Rejection};
use crate::sabotage::{Sabotage, is_broken};
use crate::time::Instant;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

/// Datagrams that are acknowledged together.
const ACKNOWLEDGED_TOGETHER: u32 = 4;
/// Fewer wait so long for others.
const ACKNOWLEDGE_AFTER: Duration = Duration::from_millis(2);
/// A state that the kernel refused so often is asked for no more until it changes.
const REFUSALS_MAX: u16 = 3;

/// The records of one datagram that were not yet applied.
#[derive(Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    at: usize,
    sequence: u64,
    rank: u32,
}

impl Inbox {
    fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }
}

/// A record that is to be applied: where key and value lie in the inbox.
struct Due {
    kind: Kind,
    key: Range<usize>,
    state: Option<(Range<usize>, u32)>,
}

impl Engine {
    /// Takes a datagram from any link. Apply what it brought (`poll_apply` until it has no more) before the next one.
    ///
    /// # Errors
    /// It changed nothing, and was counted: why.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), Rejection> {
        let result = self.take_datagram(now, datagram);
        if let Err(rejection) = result {
            self.counters.reject(rejection);
        }
        result
    }

    fn take_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), Rejection> {
        let (header, items) = self.codec.open(datagram)?;
        if header.sender == self.incarnation {
            return Err(Rejection::OwnEcho);
        }
        if self.peer.as_ref().map(|peer| peer.incarnation) != Some(header.sender) {
            return self.greet(now, &header, items.is_empty());
        }
        if header.echo != self.incarnation {
            return Err(Rejection::Unproven);
        }
        if !self.inbox.is_empty() {
            return Err(Rejection::Busy);
        }
        let has_records = matches!(Items::new(items).next(), Some(Some(Item::Record(_))));
        // An older owner's word is weighed against what packets did here, so all of that must be known.
        let is_older = self.rank.is_active() && header.rank < self.rank.0;
        if has_records && (!self.is_ready() || is_older && self.is_behind()) {
            return Err(Rejection::NotReady);
        }
        // Not with this one taken: its records may be what they guard against.
        self.release_guards();
        let before = self.authority();
        let peer = self.peer.as_mut().ok_or(Rejection::Unproven)?;
        peer.check(&header)?;
        let is_newest = peer.accept(now, &header);
        if header.taken.highest() >= peer.attach_after {
            peer.is_attached = true;
        }
        self.take(now, &header, is_newest, before);
        if has_records {
            self.fill_inbox(&header, items);
        } else {
            self.take_controls(now, items, is_newest);
        }
        Ok(())
    }

    /// What a datagram says besides its items.
    fn take(&mut self, now: Instant, header: &Header, is_newest: bool, before: Authority) {
        self.counters.received += 1;
        if header.is(WANTS_ACK) {
            self.pace.owe(now, ACKNOWLEDGED_TOGETHER, ACKNOWLEDGE_AFTER);
        }
        self.acknowledge(now, header);
        if is_newest {
            self.follow_authority(now, before);
            self.take_doubts(header);
            self.try_join(now);
            self.follow_past(now, header);
        }
    }

    fn take_controls(&mut self, now: Instant, items: &[u8], is_newest: bool) {
        for item in Items::new(items).flatten() {
            match item {
                // What a late one says of a moment is no longer so.
                Item::Slice(slice) if is_newest => self.compare_slice(now, &slice),
                Item::List(list) if is_newest => self.compare_list(now, &list),
                Item::Buckets(buckets) => self.take_bucket_request(buckets),
                Item::Flows(flows) => self.take_flow_request(flows),
                Item::Slice(_) | Item::List(_) | Item::Record(_) => {}
            }
        }
    }

    /// A start that is not the peer's speaks: it has to prove itself.
    fn greet(&mut self, now: Instant, header: &Header, is_empty: bool) -> Result<(), Rejection> {
        let (own, next) = (self.incarnation, self.next_sequence);
        let found = self.candidates.hear(now, header, is_empty, own, next);
        let Some(peer) = found else {
            return Err(Rejection::Unproven);
        };
        self.meet(now, peer);
        Ok(())
    }

    /// A new start of the peer: nothing of what was on its way to the old one counts.
    fn meet(&mut self, now: Instant, peer: Peer) {
        self.let_go(now);
        self.inbox.at = self.inbox.bytes.len();
        self.guards.clear();
        self.flush.done = 0;
        self.peer = Some(peer);
        self.counters.sessions += 1;
        self.digests.begin(now);
        self.pace.speak_by(now);
        self.try_join(now);
    }

    /// Both have read their tables: marks all that the peer needs of this one. What a peer that was rebooted had
    /// told is now this box's to tell.
    pub(super) fn try_join(&mut self, now: Instant) {
        let is_ready = self.is_ready();
        let is_active = self.rank.is_active();
        let Some(peer) = &mut self.peer else { return };
        if peer.is_joined || !is_ready || !peer.is_ready() {
            return;
        }
        peer.is_joined = true;
        let is_orphaned = self.joined_table.replace(peer.says.table) != Some(peer.says.table);
        self.index.retain(|entry| {
            if !entry.is_held() {
                return entry.is(SEEN | ENDED);
            }
            if is_orphaned && entry.rank > 0 {
                entry.set(MINE);
            }
            // A kernel that stands has had all that it was told; what it lacks since has ended there.
            if is_active || is_orphaned && entry.is(MINE) {
                entry.set(NEEDED);
            }
            true
        });
        self.reading_mut(Kind::Ipvs).is_stale = is_active;
        for reading in &mut self.readings {
            reading.hurry();
        }
        self.counters.joined_us = Some(now.us);
        self.digests.begin(now);
        self.pace.speak_by(now);
    }

    fn fill_inbox(&mut self, header: &Header, items: &[u8]) {
        self.inbox.bytes.clear();
        self.inbox.bytes.reserve_exact(DATAGRAM_BYTES_MAX);
        self.inbox.bytes.extend_from_slice(items);
        self.inbox.at = 0;
        self.inbox.sequence = header.sequence;
        self.inbox.rank = header.rank;
    }

    /// The next change for this kernel, in order; flows that have newer state here are left out.
    pub fn poll_apply(&mut self, _now: Instant) -> Option<Apply<'_>> {
        let due = self.next_due()?;
        let bytes = &self.inbox.bytes;
        let (kind, key) = (due.kind, bytes.get(due.key)?);
        self.counters.applied += 1;
        Some(match due.state {
            Some((value, lifetime_s)) => Apply::Put {
                kind,
                key,
                value: bytes.get(value)?,
                lifetime_s,
            },
            None => Apply::Remove { kind, key },
        })
    }

    fn next_due(&mut self) -> Option<Due> {
        // Lent out, for taking a record changes the engine.
        let bytes = core::mem::take(&mut self.inbox.bytes);
        let mut due = None;
        while due.is_none() && self.inbox.at < bytes.len() {
            let mut items = Items::new(bytes.get(self.inbox.at..).unwrap_or_default());
            let Some(Some(item)) = items.next() else {
                self.inbox.at = bytes.len();
                break;
            };
            let end = bytes.len() - items.rest().len();
            self.inbox.at = end;
            if let Item::Record(record) = item
                && self.take_record(&record)
            {
                due = Some(Due::ending_at(end, &record));
            }
        }
        self.inbox.bytes = bytes;
        due
    }

    /// Weighs a record against what is known; says whether it is to be applied.
    fn take_record(&mut self, record: &Record<'_>) -> bool {
        if record.kind == Kind::Ipvs && !self.hears_of_balanced(self.inbox.rank) {
            self.counters.outranked += 1;
            return false;
        }
        let hash = self.hash(record.kind, record.key);
        let rank = record.rank.unwrap_or(self.inbox.rank);
        let digest = record.state.map(|(value, _)| self.digest(value));
        let Some(place) = self.index.find(hash) else {
            let entry = Entry::new(hash, record.kind, GONE | GUARD);
            let entry = self.told(entry, rank, digest);
            if entry.is_held() || entry.is(GUARD) {
                self.index.insert(entry);
            }
            return digest.is_some();
        };
        let before = self.index.at(place);
        if self.is_overtaken(&before) {
            self.counters.overtaken += 1;
            return false;
        }
        if !self.yields(&before, rank) {
            self.counters.outranked += 1;
            return false;
        }
        if before.is(PENDING) {
            self.slab.free(before.link);
        }
        let after = self.told(before, rank, digest);
        if after.is_held() || after.is(GUARD | SEEN) {
            self.index.put(place, after);
        } else {
            self.index.remove(place);
        }
        let is_news = before.is(GONE) || digest != Some(before.digest);
        match digest {
            Some(_) => is_news || record.kind == Kind::Ipvs,
            None => before.is_held(),
        }
    }

    /// The entry once the peer has told of it. What is not held is kept as a guard while older datagrams may come.
    fn told(&mut self, mut entry: Entry, rank: u32, digest: Option<u32>) -> Entry {
        let sequence = self.inbox.sequence;
        entry.clear(MINE | PENDING | NEEDED | DOOMED | GONE | GUARD | ENDED);
        if self.reading(entry.kind()).is_sweeping {
            entry.set(SEEN);
        }
        entry.rank = rank;
        entry.link = low_half(sequence);
        // One that the kernel refused stands there as its inverse.
        let is_known = |digest| [entry.digest, !entry.digest].contains(&digest);
        if !digest.is_some_and(is_known) {
            entry.forget_failures();
        }
        match digest {
            Some(digest) => entry.digest = digest,
            None => entry.set(GONE),
        }
        if !entry.is_held() {
            self.guard_until(&mut entry, sequence);
        }
        entry
    }

    /// What is dropped here must not come back by what is older than now.
    pub(super) fn guard(&mut self, entry: &mut Entry) {
        let newest = self.peer.as_ref().map_or(0, |peer| peer.taken.highest());
        entry.link = low_half(newest);
        self.guard_until(entry, newest);
    }

    /// Keeps an entry for as long as datagrams before that one may come.
    fn guard_until(&mut self, entry: &mut Entry, sequence: u64) {
        let peer = self.peer.as_ref();
        let is_gap = peer.is_some_and(|peer| peer.taken.base < sequence);
        if is_gap && !is_broken(Sabotage::ForgetGuards) {
            entry.set(GUARD);
            self.guards.push_back((sequence, entry.hash));
        }
    }

    /// A newer datagram has told of it, too.
    fn is_overtaken(&self, entry: &Entry) -> bool {
        let sequence = self.inbox.sequence;
        let newest = self.peer.as_ref().map_or(0, |peer| peer.taken.highest());
        let ahead = u64::from(entry.link.wrapping_sub(low_half(sequence)));
        let is_older = ahead > 0 && ahead <= newest.saturating_sub(sequence);
        !entry.is(MINE) && is_older && !is_broken(Sabotage::TakeOvertaken)
    }

    /// Lets go of guards against datagrams that can no longer come.
    fn release_guards(&mut self) {
        let Some(base) = self.peer.as_ref().map(|peer| peer.taken.base) else {
            return;
        };
        while let Some((sequence, hash)) = self.guards.front().copied()
            && sequence <= base
        {
            self.guards.pop_front();
            let Some(place) = self.index.find(hash) else {
                continue;
            };
            let mut entry = self.index.at(place);
            if entry.is(GUARD) && entry.link == low_half(sequence) {
                entry.clear(GUARD);
                self.drop_entry(place, entry);
            }
        }
    }

    /// The kernel refused what `poll_apply` told: the peer is asked again, a few times.
    pub fn applied_failed(&mut self, _now: Instant, kind: Kind, key: &[u8]) {
        self.counters.refused += 1;
        let Some(place) = self.index.find(self.hash(kind, key)) else {
            return;
        };
        let mut entry = self.index.at(place);
        if entry.is(MINE) || !entry.is_held() {
            return;
        }
        entry.count_failure();
        if entry.failures() < REFUSALS_MAX {
            // Any digest but the right one.
            entry.digest = !entry.digest;
            self.digests.doubt(bucket_of(entry.hash));
        }
        self.index.put(place, entry);
    }
}

impl Due {
    /// Where the parts of a record lie that ends there.
    fn ending_at(end: usize, record: &Record<'_>) -> Self {
        let state = record.state.map(|(value, lifetime_s)| {
            let value_end = end.saturating_sub(4);
            (value_end.saturating_sub(value.len())..value_end, lifetime_s)
        });
        let key_end = state
            .as_ref()
            .map_or(end, |(value, _)| value.start.saturating_sub(2));
        Self {
            kind: record.kind,
            key: key_end.saturating_sub(record.key.len())..key_end,
            state,
        }
    }
}

/// The end of a datagram's number: enough to tell apart those that are about.
fn low_half(sequence: u64) -> u32 {
    let [a, b, c, d, ..] = sequence.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
