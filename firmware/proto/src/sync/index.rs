//! The index: what this box's kernel holds, as hashes. A settled flow costs one `Entry` of 24 bytes and no
//! more; its state lies in the kernel. The entries of one bucket are a short list in the order of their hashes, and each
//! bucket keeps the sum of its digests, so that two boxes compare a million flows by 16384 numbers.

use super::Kind;
use alloc::vec::Vec;

/// Buckets, by the upper bits of the hash: at a million flows 61 in each, whose list fits one datagram.
pub(super) const BUCKETS: usize = 1 << BUCKET_BITS;
const BUCKET_BITS: u32 = 14;

/// This box says what the flow's state is; else the peer does, or nobody has yet.
pub(super) const MINE: u16 = 1 << 3;
/// The kernel does not hold it: its removal is on its way, or an older state of it may still come.
pub(super) const GONE: u16 = 1 << 4;
/// Its newest state, or removal, waits in the slot `link` until the peer has it.
pub(super) const PENDING: u16 = 1 << 5;
/// The peer needs its state, which must be read from the kernel first.
pub(super) const NEEDED: u16 = 1 << 6;
/// Told by the kernel since the sweep began.
pub(super) const SEEN: u16 = 1 << 7;
/// The box that owns the table does not hold it: out of this kernel with it, once a sweep tells its key.
pub(super) const DOOMED: u16 = 1 << 8;
/// Kept only until the peer's older datagrams can no longer arrive.
pub(super) const GUARD: u16 = 1 << 9;
/// It ended here since this box became active, and the other one may still tell of it (`ended`).
pub(super) const ENDED: u16 = 1 << 12;
const FAILURES_SHIFT: u32 = 10;
const FAILURES: u16 = 0b11 << FAILURES_SHIFT;
const KIND: u16 = 0b11;

/// One flow. The kind is part of what is hashed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) hash: u64,
    /// Of its state.
    pub(super) digest: u32,
    /// Standing of the box that said so, as it was then.
    pub(super) rank: u32,
    /// Slot while it is `PENDING`; else, of what the peer said, the end of the datagram's number.
    pub(super) link: u32,
    flags: u16,
}

impl Entry {
    pub(super) fn new(hash: u64, kind: Kind, flags: u16) -> Self {
        Self {
            hash,
            flags: kind as u16 | flags,
            ..Self::default()
        }
    }

    pub(super) fn is(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn set(&mut self, flags: u16) {
        self.flags |= flags;
    }

    pub(super) fn clear(&mut self, flags: u16) {
        self.flags &= !flags;
    }

    pub(super) fn kind(&self) -> Kind {
        Kind::of_bits(self.flags & KIND).unwrap_or(Kind::Conntrack)
    }

    /// How often this kernel refused this state, up to 3.
    pub(super) fn failures(&self) -> u16 {
        (self.flags & FAILURES) >> FAILURES_SHIFT
    }

    pub(super) fn count_failure(&mut self) {
        let failures = (self.failures() + 1).min(3);
        self.flags = self.flags & !FAILURES | failures << FAILURES_SHIFT;
    }

    pub(super) fn forget_failures(&mut self) {
        self.flags &= !FAILURES;
    }

    /// It stands in this kernel, and should in the other.
    pub(super) fn is_held(&self) -> bool {
        !self.is(GONE | GUARD) && self.kind() != Kind::Ipvs
    }

    fn weight(&self) -> Weight {
        let is_held = self.is_held();
        let mixed = (self.hash ^ u64::from(self.digest)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Weight {
            sum: if is_held { (mixed >> 32) as u32 } else { 0 }, // lossless: 32 bits are left
            unsettled: u32::from(self.is(PENDING | NEEDED | DOOMED) && self.kind() != Kind::Ipvs),
            held: u32::from(is_held),
            own: u32::from(is_held && self.is(MINE)),
            needed: u32::from(self.is(NEEDED)),
            doomed: u32::from(self.is(DOOMED)),
        }
    }
}

/// What an entry adds to the sums of its bucket and of all.
struct Weight {
    sum: u32,
    unsettled: u32,
    held: u32,
    own: u32,
    needed: u32,
    doomed: u32,
}

/// Flows of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) held: u32,
    pub(super) own: u32,
    pub(super) needed: u32,
    pub(super) doomed: u32,
}

#[derive(Default)]
struct Bucket {
    entries: Vec<Entry>,
    sum: u32,
    unsettled: u32,
}

/// Where an entry is, until the next one is inserted or removed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    bucket: usize,
    position: usize,
}

/// All flows that this box knows of.
pub(super) struct Index {
    buckets: Vec<Bucket>,
    totals: [Totals; Kind::COUNT],
}

/// The bucket of a hash.
pub(super) fn bucket_of(hash: u64) -> usize {
    usize::try_from(hash >> (u64::BITS - BUCKET_BITS)).unwrap_or_default()
}

impl Index {
    pub(super) fn new() -> Self {
        let mut buckets = Vec::new();
        buckets.resize_with(BUCKETS, Bucket::default);
        Self {
            buckets,
            totals: Default::default(),
        }
    }

    pub(super) fn totals(&self, kind: Kind) -> Totals {
        self.totals.get(kind as usize).copied().unwrap_or_default()
    }

    /// Flows whose state the peer needs, of all kinds.
    pub(super) fn needed(&self) -> u32 {
        self.totals.iter().map(|totals| totals.needed).sum()
    }

    /// Flows that must leave this kernel, of all kinds.
    pub(super) fn doomed(&self) -> u32 {
        self.totals.iter().map(|totals| totals.doomed).sum()
    }

    pub(super) fn find(&self, hash: u64) -> Option<Place> {
        let bucket = bucket_of(hash);
        let position = self.buckets.get(bucket)?.search(hash).ok()?;
        Some(Place { bucket, position })
    }

    pub(super) fn at(&self, place: Place) -> Entry {
        let bucket = self.buckets.get(place.bucket);
        let entry = bucket.and_then(|bucket| bucket.entries.get(place.position));
        entry.copied().unwrap_or_default()
    }

    /// Replaces the entry there; it keeps its hash and kind.
    pub(super) fn put(&mut self, place: Place, entry: Entry) {
        let Some(bucket) = self.buckets.get_mut(place.bucket) else {
            return;
        };
        let Some(old) = bucket.entries.get_mut(place.position) else {
            return;
        };
        let before = core::mem::replace(old, entry);
        bucket.account(&before, &entry);
        self.totals_of(entry.kind())
            .account(&before.weight(), &entry.weight());
    }

    /// Adds an entry whose hash is not there yet.
    pub(super) fn insert(&mut self, entry: Entry) {
        let Some(bucket) = self.buckets.get_mut(bucket_of(entry.hash)) else {
            return;
        };
        // Doubling would leave half of all memory unused.
        if bucket.entries.len() == bucket.entries.capacity() {
            let more = (bucket.entries.len() / 4).max(4);
            bucket.entries.reserve_exact(more);
        }
        let position = bucket
            .search(entry.hash)
            .unwrap_or_else(|position| position);
        bucket.entries.insert(position, entry);
        let nothing = Entry::new(entry.hash, entry.kind(), GONE);
        bucket.account(&nothing, &entry);
        self.totals_of(entry.kind())
            .account(&nothing.weight(), &entry.weight());
    }

    pub(super) fn remove(&mut self, place: Place) {
        let mut entry = self.at(place);
        entry.clear(PENDING | NEEDED | DOOMED);
        entry.set(GONE);
        self.put(place, entry);
        let Some(bucket) = self.buckets.get_mut(place.bucket) else {
            return;
        };
        if place.position < bucket.entries.len() {
            bucket.entries.remove(place.position);
        }
        if bucket.entries.len() < bucket.entries.capacity() / 4 {
            bucket.entries.shrink_to(bucket.entries.len() * 2);
        }
    }

    /// Goes through all entries; those for which `keep` says no are removed. Costs a few milliseconds per
    /// million flows, so it is for sweeps and joins.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&mut Entry) -> bool) {
        for number in 0..self.buckets.len() {
            let mut position = 0;
            while let Some(mut entry) = self.entry(number, position) {
                let place = Place {
                    bucket: number,
                    position,
                };
                if keep(&mut entry) {
                    self.put(place, entry);
                    position += 1;
                } else {
                    self.remove(place);
                }
            }
        }
    }

    fn entry(&self, bucket: usize, position: usize) -> Option<Entry> {
        self.buckets.get(bucket)?.entries.get(position).copied()
    }

    /// The sum over the digests of a bucket; `None` while something in it is on its way.
    pub(super) fn sum(&self, bucket: usize) -> Option<u32> {
        let bucket = self.buckets.get(bucket)?;
        (bucket.unsettled == 0).then_some(bucket.sum)
    }

    /// The entries of a bucket.
    pub(super) fn bucket(&self, bucket: usize) -> &[Entry] {
        self.buckets
            .get(bucket)
            .map_or(&[], |bucket| bucket.entries.as_slice())
    }

    fn totals_of(&mut self, kind: Kind) -> &mut Totals {
        let [conntrack, expectation, ipvs] = &mut self.totals;
        match kind {
            Kind::Conntrack => conntrack,
            Kind::Expectation => expectation,
            Kind::Ipvs => ipvs,
        }
    }
}

impl Bucket {
    /// Where the entry of that hash is, or belongs. Hashes are spread evenly, so it is looked for where it should be:
    /// that is one or two cache lines of a list of dozens, which lies anywhere in memory.
    fn search(&self, hash: u64) -> Result<usize, usize> {
        let share = (hash << BUCKET_BITS) >> 32; // of 2^32
        let place = (share * self.entries.len() as u64) >> 32;
        let mut position = usize::try_from(place).unwrap_or_default();
        let is = |position: usize, test: fn(u64, u64) -> bool| {
            let entry = self.entries.get(position);
            entry.is_some_and(|entry| test(entry.hash, hash))
        };
        while position > 0 && is(position - 1, |there, wanted| there >= wanted) {
            position -= 1;
        }
        while is(position, |there, wanted| there < wanted) {
            position += 1;
        }
        if is(position, |there, wanted| there == wanted) {
            Ok(position)
        } else {
            Err(position)
        }
    }

    fn account(&mut self, before: &Entry, after: &Entry) {
        let (before, after) = (before.weight(), after.weight());
        self.sum ^= before.sum ^ after.sum;
        self.unsettled = self.unsettled + after.unsettled - before.unsettled;
    }
}

impl Totals {
    fn account(&mut self, before: &Weight, after: &Weight) {
        self.held = self.held + after.held - before.held;
        self.own = self.own + after.own - before.own;
        self.needed = self.needed + after.needed - before.needed;
        self.doomed = self.doomed + after.doomed - before.doomed;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeSet, HashSet};

    fn entry(hash: u64, digest: u32) -> Entry {
        let mut entry = Entry::new(hash, Kind::Conntrack, MINE);
        entry.digest = digest;
        entry
    }

    #[test]
    fn an_entry_takes_24_bytes() {
        assert_eq!(size_of::<Entry>(), 24);
    }

    #[test]
    fn sums_depend_on_what_is_held_and_not_on_the_order() {
        let (mut one, mut other) = (Index::new(), Index::new());
        for hash in [1, 2, 3] {
            one.insert(entry(hash, 7));
        }
        for hash in [3, 4, 2, 1] {
            other.insert(entry(hash, 7));
        }
        assert_ne!(one.sum(0), other.sum(0));
        other.remove(other.find(4).unwrap());
        assert_eq!(one.sum(0), other.sum(0));
        one.put(one.find(2).unwrap(), entry(2, 8));
        assert_ne!(one.sum(0), other.sum(0));
        assert_eq!(
            (one.totals(Kind::Conntrack).held, one.bucket(0).len()),
            (3, 3)
        );
    }

    proptest! {
        /// Hashes of the pair's own key are even; those that are not are found as well.
        #[test]
        fn what_was_inserted_is_found_until_it_is_removed(hashes: BTreeSet<u64>, few: [u8; 40], removed: [bool; 30]) {
            let few = few.map(u64::from).into_iter().map(|low| low << 40 | low);
            let hashes: Vec<u64> = few.chain(hashes).collect::<HashSet<u64>>().into_iter().collect();
            let mut index = Index::new();
            for hash in &hashes {
                index.insert(entry(*hash, 1));
            }
            let (out, kept) = hashes.split_at(removed.len().min(hashes.len()));
            for (hash, _) in out.iter().zip(removed).filter(|(_, is_removed)| *is_removed) {
                index.remove(index.find(*hash).unwrap());
            }
            for (hash, is_removed) in out.iter().zip(removed) {
                prop_assert_eq!(index.find(*hash).is_none(), is_removed);
            }
            for hash in kept {
                prop_assert_eq!(index.at(index.find(*hash).unwrap()).hash, *hash);
            }
            let is_sorted = |bucket: &Bucket| bucket.entries.is_sorted_by_key(|entry| entry.hash);
            prop_assert!(index.buckets.iter().all(is_sorted));
        }
    }

    #[test]
    fn what_is_on_its_way_is_not_summed() {
        let mut index = Index::new();
        let mut needed = entry(u64::MAX, 1);
        needed.set(NEEDED);
        index.insert(needed);
        assert_eq!((index.sum(BUCKETS - 1), index.needed()), (None, 1));
        index.retain(|entry| {
            entry.clear(NEEDED);
            true
        });
        assert_eq!(index.needed(), 0);
        assert!(index.sum(BUCKETS - 1).is_some_and(|sum| sum != 0));
        index.retain(|_| false);
        assert_eq!(index.sum(BUCKETS - 1), Some(0));
    }

    #[test]
    fn what_is_gone_is_known_and_not_held() {
        let mut index = Index::new();
        index.insert(Entry::new(5, Kind::Expectation, GONE));
        assert_eq!(
            (index.totals(Kind::Expectation).held, index.sum(0)),
            (0, Some(0))
        );
        assert!(index.find(5).is_some());
    }
}
