//! Ranges of a set whose key has one part, as the kernel's rbtree wants them: by ascending value, none
//! overlapping another.

use super::{Content, EntryKey};
use crate::nftables::refusal::Why;
use crate::nftables::value::{Value, bounds, form};
use plan::ruleset::{Kind, Span};

/// From one value to another, both included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interval {
    first: u128,
    last: u128,
    /// Bytes of a value.
    length: u8,
    /// The entry that it comes from.
    pub(super) entry: usize,
}

impl Interval {
    pub(super) fn first(&self) -> Value {
        Value::from_ordinal(self.first, self.length)
    }

    /// The first value behind it; `None` where there is none.
    pub(super) fn end(&self) -> Option<Value> {
        let highest = u128::MAX
            .checked_shr(128 - 8 * u32::from(self.length))
            .unwrap_or(0);
        (self.last < highest).then(|| Value::from_ordinal(self.last + 1, self.length))
    }
}

/// The ranges of a set or map. Where they may be, those that touch or overlap are joined.
pub(super) fn sorted(content: &Content<'_>, kind: Kind) -> Result<Vec<Interval>, Why> {
    let mut intervals = Vec::with_capacity(content.count());
    for position in 0..content.count() {
        let Some(entry) = content.entry(position) else {
            continue;
        };
        let (first, last) = match entry.key {
            EntryKey::Parts([span]) => ends(span, kind)?,
            // Behind all others, where nothing overlaps it.
            EntryKey::Any => (u128::MAX, u128::MAX),
            EntryKey::Parts(spans) => {
                let given = spans.len();
                return Err(Why::WrongParts { wanted: 1, given });
            }
        };
        intervals.push(Interval {
            first,
            last,
            length: form(kind).bytes,
            entry: position,
        });
    }
    intervals.sort_unstable_by_key(|interval| interval.first);
    if content.is_plain() {
        intervals.dedup_by(|next, kept| joined(kept, next));
        return Ok(intervals);
    }
    let overlap = |(one, next): (&Interval, &Interval)| next.first <= one.last;
    if intervals.iter().zip(intervals.iter().skip(1)).any(overlap) {
        return Err(Why::Overlap);
    }
    Ok(intervals)
}

fn ends(span: &Span, kind: Kind) -> Result<(u128, u128), Why> {
    let (first, last) = bounds(span, kind)?;
    Ok((first.ordinal(), last.ordinal()))
}

/// Whether `next`, which does not begin before `kept`, became part of it.
fn joined(kept: &mut Interval, next: &Interval) -> bool {
    // `*` stands for itself.
    let touches = next.first != u128::MAX && next.first <= kept.last.saturating_add(1);
    if touches {
        kept.last = kept.last.max(next.last);
    }
    touches
}
