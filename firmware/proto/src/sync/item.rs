//! What a datagram carries behind its header: records of flows, or what the boxes tell each other to find
//! where their tables differ. Both are never in one datagram, so that a digest speaks of a moment.
//!
//! ```text
//! record    tag (kind, REMOVAL, RANKED), [rank 4], key length 1, key, [value length 2, value, lifetime 4]
//! slice     0x10, number 1, bitmap of buckets left out 32, sums 256 × 4
//! list      0x20, bucket 2, part 1, parts 1 (as a power of 2), count 1, count × (hash 8, digest 4)
//! buckets   0x30, count 1, count × bucket 2
//! flows     0x40, count 1, count × hash 8
//! ```

use super::index::BUCKETS;
use super::wire::{Reader, Writer};
use super::{KEY_BYTES_MAX, Kind, VALUE_BYTES_MAX};

const REMOVAL: u8 = 1 << 2;
const RANKED: u8 = 1 << 3;
const SLICE: u8 = 0x10;
const LIST: u8 = 0x20;
const BUCKET_REQUEST: u8 = 0x30;
const FLOW_REQUEST: u8 = 0x40;

/// Buckets whose sums travel together.
pub(super) const SLICE_BUCKETS: usize = 256;
/// Slices of the whole table: as many as a word has bits.
pub(super) const SLICES: usize = BUCKETS / SLICE_BUCKETS;
/// What a slice takes.
pub(super) const SLICE_BYTES: usize = 2 + SLICE_BUCKETS / 8 + SLICE_BUCKETS * 4;
/// What a list takes, but for its entries.
pub(super) const LIST_HEADER_BYTES: usize = 6;
/// What each entry takes.
pub(super) const LIST_ENTRY_BYTES: usize = 12;

/// A flow's state, or its removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) kind: Kind,
    /// Standing of its owner when he said so; that of the datagram's sender where it is left out.
    pub(super) rank: Option<u32>,
    pub(super) key: &'a [u8],
    /// Value and lifetime in seconds; none is a removal.
    pub(super) state: Option<(&'a [u8], u32)>,
}

/// Sums over the buckets of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice<'a> {
    pub(super) number: u8,
    left_out: &'a [u8],
    sums: &'a [u8],
}

/// All that is in a bucket, or in a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct List<'a> {
    pub(super) bucket: u16,
    pub(super) part: Part,
    entries: &'a [u8],
}

/// A part of a bucket, by the lowest bits of the hash: few buckets have so many flows that there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) number: u8,
    /// Parts are two to the power of this.
    pub(super) bits: u8,
}

impl Part {
    pub(super) fn has(self, hash: u64) -> bool {
        let mask = (1_u64 << self.bits.min(8)) - 1;
        hash & mask == u64::from(self.number)
    }
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Record(Record<'a>),
    Slice(Slice<'a>),
    List(List<'a>),
    /// Lists wanted, as bucket numbers.
    Buckets(&'a [u8]),
    /// States wanted, as hashes.
    Flows(&'a [u8]),
}

impl Slice<'_> {
    /// Buckets and their sums; those left out have none.
    pub(super) fn sums(&self) -> impl Iterator<Item = (usize, Option<u32>)> {
        let first = usize::from(self.number) * SLICE_BUCKETS;
        let (sums, _) = self.sums.as_chunks::<4>();
        let is_left_out = |at: usize| {
            let byte = self.left_out.get(at / 8).copied().unwrap_or(0xff);
            byte >> (at % 8) & 1 == 1
        };
        let sums = sums.iter().enumerate();
        sums.map(move |(at, sum)| {
            let sum = (!is_left_out(at)).then_some(u32::from_le_bytes(*sum));
            (first + at, sum)
        })
    }
}

impl List<'_> {
    /// Hash and digest of each flow.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u64, u32)> + Clone {
        let (entries, _) = self.entries.as_chunks::<LIST_ENTRY_BYTES>();
        entries.iter().filter_map(|entry| {
            let mut from = Reader::new(entry);
            Some((from.u64()?, from.u32()?))
        })
    }
}

/// Reads items one by one; what can't be read is `None`, and ends it.
pub(super) struct Items<'a>(Reader<'a>);

impl<'a> Items<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(Reader::new(bytes))
    }

    /// What is left to be read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0.rest()
    }

    fn item(&mut self) -> Option<Item<'a>> {
        let from = &mut self.0;
        Some(match from.u8()? {
            SLICE => Item::Slice(slice(from)?),
            LIST => Item::List(list(from)?),
            BUCKET_REQUEST => Item::Buckets(counted(from, 2)?),
            FLOW_REQUEST => Item::Flows(counted(from, 8)?),
            tag => Item::Record(record(tag, from)?),
        })
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Option<Item<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest().is_empty() {
            return None;
        }
        let item = self.item();
        if item.is_none() {
            self.0 = Reader::new(&[]);
        }
        Some(item)
    }
}

fn record<'a>(tag: u8, from: &mut Reader<'a>) -> Option<Record<'a>> {
    let kind = Kind::of_bits(u16::from(tag & 0b11))?;
    if tag & !(0b11 | REMOVAL | RANKED) != 0 {
        return None;
    }
    let rank = if tag & RANKED != 0 {
        Some(from.u32()?)
    } else {
        None
    };
    let key_bytes = usize::from(from.u8()?);
    let key = from.take(key_bytes)?;
    let state = if tag & REMOVAL != 0 {
        None
    } else {
        let value_bytes = usize::from(from.u16()?);
        Some((from.take(value_bytes)?, from.u32()?))
    };
    let is_bounded =
        key.len() <= KEY_BYTES_MAX && state.is_none_or(|(value, _)| value.len() <= VALUE_BYTES_MAX);
    is_bounded.then_some(Record {
        kind,
        rank,
        key,
        state,
    })
}

fn slice<'a>(from: &mut Reader<'a>) -> Option<Slice<'a>> {
    let number = from.u8()?;
    let slice = Slice {
        number,
        left_out: from.take(SLICE_BUCKETS / 8)?,
        sums: from.take(SLICE_BUCKETS * 4)?,
    };
    (usize::from(number) < SLICES).then_some(slice)
}

fn list<'a>(from: &mut Reader<'a>) -> Option<List<'a>> {
    let bucket = from.u16()?;
    let part = Part {
        number: from.u8()?,
        bits: from.u8()?,
    };
    let is_right = usize::from(bucket) < BUCKETS && part.bits <= 8;
    let entries = counted(from, LIST_ENTRY_BYTES)?;
    is_right.then_some(List {
        bucket,
        part,
        entries,
    })
}

/// A count of things of so many bytes each, and they.
fn counted<'a>(from: &mut Reader<'a>, bytes_each: usize) -> Option<&'a [u8]> {
    let count = usize::from(from.u8()?);
    from.take(count * bytes_each)
}

/// Bytes that a record takes.
pub(super) fn record_bytes(key: usize, value: Option<usize>) -> usize {
    2 + 4 + key + value.map_or(0, |value| 2 + value + 4)
}

/// Writes the beginning of a record: all before the key.
pub(super) fn write_tag(
    out: &mut Writer<'_>,
    kind: Kind,
    is_removal: bool,
    rank: Option<u32>,
) -> Option<()> {
    let flags = [(is_removal, REMOVAL), (rank.is_some(), RANKED)];
    let flags = flags.iter().filter(|(is_set, _)| *is_set);
    let tag = flags.fold(kind as u8, |tag, (_, flag)| tag | flag);
    out.put(&[tag])?;
    match rank {
        Some(rank) => out.put(&rank.to_le_bytes()),
        None => Some(()),
    }
}

/// Writes the sums of a slice; `sum` says that of a bucket, or that it is left out.
pub(super) fn write_slice(
    out: &mut Writer<'_>,
    number: u8,
    sum: impl Fn(usize) -> Option<u32>,
) -> Option<()> {
    if out.room() < SLICE_BYTES {
        return None;
    }
    out.put(&[SLICE, number])?;
    let first = usize::from(number) * SLICE_BUCKETS;
    for byte in 0..SLICE_BUCKETS / 8 {
        let is_left_out = |bit: &usize| sum(first + byte * 8 + bit).is_none();
        let left_out = (0..8)
            .filter(is_left_out)
            .fold(0, |byte, bit| byte | 1 << bit);
        out.put(&[left_out])?;
    }
    for bucket in first..first + SLICE_BUCKETS {
        out.put(&sum(bucket).unwrap_or(0).to_le_bytes())?;
    }
    Some(())
}

/// Writes a list of so many flows.
pub(super) fn write_list(
    out: &mut Writer<'_>,
    bucket: u16,
    part: Part,
    count: u8,
    entries: impl Iterator<Item = (u64, u32)>,
) -> Option<()> {
    out.put(&[LIST])?;
    out.put(&bucket.to_le_bytes())?;
    out.put(&[part.number, part.bits, count])?;
    for (hash, digest) in entries {
        out.put(&hash.to_le_bytes())?;
        out.put(&digest.to_le_bytes())?;
    }
    Some(())
}

/// Asks for the lists of buckets; `buckets` are their numbers.
pub(super) fn write_bucket_request(out: &mut Writer<'_>, buckets: &[u16]) -> Option<()> {
    out.put(&[BUCKET_REQUEST, u8::try_from(buckets.len()).ok()?])?;
    buckets.iter().try_for_each(|it| out.put(&it.to_le_bytes()))
}

/// Asks for the states of flows; `flows` are their hashes.
pub(super) fn write_flow_request(out: &mut Writer<'_>, flows: &[u64]) -> Option<()> {
    out.put(&[FLOW_REQUEST, u8::try_from(flows.len()).ok()?])?;
    flows.iter().try_for_each(|it| out.put(&it.to_le_bytes()))
}
