//! Elements of sets and maps to messages, as many of them as one message takes. Keys of several parts may be
//! ranges in each part (the kernel's pipapo); in sets whose key has one part, ranges become the points where they
//! begin and end (its rbtree, see `interval`).

mod interval;

use super::Kind;
use super::batch::Draft;
use super::refusal::{Place, Why};
use super::value::{Value, bounds, network, value_of};
use super::writer::Writer;
use interval::Interval;
use neli::consts::nl::NlmF;
use plan::config::Prefix;
use plan::ruleset::{self, Datum, Element, Key, ObjectKind, Span, Table, Verdict};

/// NFTA_SET_ELEM_LIST_*.
const TABLE: u16 = 1;
const SET: u16 = 2;
const ELEMENTS: u16 = 3;
const SET_ID: u16 = 4;
const LIST_ELEMENT: u16 = 1;

/// NFTA_SET_ELEM_*.
const KEY: u16 = 1;
const DATA: u16 = 2;
const FLAGS: u16 = 3;
const TIMEOUT_MS: u16 = 4;
const OBJECT: u16 = 9;
const KEY_END: u16 = 10;

/// NFT_SET_ELEM_*.
const INTERVAL_END: u32 = 1;
const CATCHALL: u32 = 2;

/// NFTA_DATA_* and NFTA_VERDICT_*.
pub(super) const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;

/// The list of elements is one attribute, whose length field ends at 65,535; and an error brings the whole
/// message back, which should fit what is read at once. The largest element takes some 500 bytes.
const LIST_BYTES: usize = 24_000;

/// How a set was declared, as far as its elements depend on it.
pub(super) struct Layout {
    /// Its number in the batch.
    pub(super) number: u32,
    /// Kinds of the key's parts.
    pub(super) key: Vec<ruleset::Kind>,
    pub(super) has_intervals: bool,
}

/// What a set or map holds.
pub(super) enum Content<'a> {
    Spans(&'a [Span]),
    Elements(&'a [Element]),
    Data(&'a [ruleset::Kind], &'a [(Element, Vec<Datum>)]),
    Networks(&'a [(Element, Prefix)]),
    Verdicts(&'a [(Element, Verdict)]),
    Objects(ObjectKind, &'a [(Element, String)]),
}

/// What a key leads to.
enum Target<'a> {
    Nothing,
    Data(&'a [Datum]),
    Network(Prefix),
    Verdict(&'a Verdict),
    Object(&'a str),
}

/// One entry.
struct Entry<'a> {
    key: EntryKey<'a>,
    timeout_s: Option<u32>,
    target: Target<'a>,
}

enum EntryKey<'a> {
    Parts(&'a [Span]),
    Any,
}

impl<'a> Content<'a> {
    pub(super) fn count(&self) -> usize {
        match self {
            Content::Spans(entries) => entries.len(),
            Content::Elements(entries) => entries.len(),
            Content::Data(_, entries) => entries.len(),
            Content::Networks(entries) => entries.len(),
            Content::Verdicts(entries) => entries.len(),
            Content::Objects(_, entries) => entries.len(),
        }
    }

    fn entry(&self, position: usize) -> Option<Entry<'a>> {
        let of = |element: &'a Element, target| Entry {
            key: match &element.key {
                Key::One(span) => EntryKey::Parts(std::slice::from_ref(span)),
                Key::Several(spans) => EntryKey::Parts(spans),
                Key::Any => EntryKey::Any,
            },
            timeout_s: element.timeout_s,
            target,
        };
        Some(match *self {
            Content::Spans(entries) => Entry {
                key: EntryKey::Parts(std::slice::from_ref(entries.get(position)?)),
                timeout_s: None,
                target: Target::Nothing,
            },
            Content::Elements(entries) => of(entries.get(position)?, Target::Nothing),
            Content::Data(_, entries) => {
                let (element, data) = entries.get(position)?;
                of(element, Target::Data(data))
            }
            Content::Networks(entries) => {
                let (element, prefix) = entries.get(position)?;
                of(element, Target::Network(*prefix))
            }
            Content::Verdicts(entries) => {
                let (element, verdict) = entries.get(position)?;
                of(element, Target::Verdict(verdict))
            }
            Content::Objects(_, entries) => {
                let (element, object) = entries.get(position)?;
                of(element, Target::Object(object))
            }
        })
    }

    /// Whether the entry's key holds more than one value.
    pub(super) fn is_interval(&self, position: usize) -> bool {
        let is_many = |span: &Span| !matches!(span, Span::One(_));
        matches!(self.entry(position), Some(Entry { key: EntryKey::Parts(spans), .. })
            if spans.iter().any(is_many))
    }

    /// The kind of the addresses that a map to networks leads to.
    pub(super) fn network_kind(&self) -> ruleset::Kind {
        match self {
            Content::Networks([(_, prefix), ..]) => Span::Network(*prefix).kind(),
            _ => ruleset::Kind::Ipv4,
        }
    }

    /// Kinds of the parts of each value.
    fn data_kinds(&self) -> &'a [ruleset::Kind] {
        match self {
            Content::Data(kinds, _) => kinds,
            _ => &[],
        }
    }

    /// Entries may be joined to one, since all of them mean the same.
    fn is_plain(&self) -> bool {
        match self {
            Content::Spans(_) => true,
            Content::Elements(elements) => elements.iter().all(|one| one.timeout_s.is_none()),
            _ => false,
        }
    }
}

/// All elements of a set.
pub(super) fn add(
    draft: &mut Draft<'_>,
    place: Place,
    table: &Table,
    name: &str,
    layout: &Layout,
    content: &Content<'_>,
) -> Result<(), Why> {
    let mut elements = Elements {
        layout,
        content,
        first: Vec::with_capacity(64),
        last: Vec::with_capacity(64),
    };
    let intervals = match layout.key.as_slice() {
        [kind] if layout.has_intervals => Some(interval::sorted(content, *kind)?),
        _ => None,
    };
    let count = intervals.as_ref().map_or(content.count(), Vec::len);
    let mut position = 0;
    while position < count {
        let flags = NlmF::CREATE;
        position = draft.message(Kind::NewElements, flags, table.family, place, |writer| {
            writer.text(TABLE, &table.name);
            writer.text(SET, name);
            writer.u32(SET_ID, layout.number);
            let list = writer.open_nest(ELEMENTS);
            let mut next = position;
            while next < count && writer.position() - list < LIST_BYTES {
                match &intervals {
                    Some(intervals) => elements.write_interval(writer, intervals.get(next))?,
                    None => elements.write_entry(writer, next)?,
                }
                next += 1;
            }
            writer.close_nest(list);
            Ok(next)
        })?;
    }
    Ok(())
}

struct Elements<'a> {
    layout: &'a Layout,
    content: &'a Content<'a>,
    /// The key's first and last value, while an element is written.
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Elements<'_> {
    fn write_entry(&mut self, writer: &mut Writer, position: usize) -> Result<(), Why> {
        let Some(entry) = self.content.entry(position) else {
            return Ok(());
        };
        match entry.key {
            EntryKey::Any => self.write_any(writer, &entry),
            EntryKey::Parts(spans) => {
                self.collect_key(spans)?;
                let element = writer.open_nest(LIST_ELEMENT);
                write_value(writer, KEY, &self.first);
                if self.layout.has_intervals {
                    write_value(writer, KEY_END, &self.last);
                }
                self.write_rest(writer, &entry)?;
                writer.close_nest(element);
                Ok(())
            }
        }
    }

    fn collect_key(&mut self, spans: &[Span]) -> Result<(), Why> {
        let wanted = self.layout.key.len();
        if spans.len() != wanted {
            let given = spans.len();
            return Err(Why::WrongParts { wanted, given });
        }
        self.first.clear();
        self.last.clear();
        for (span, kind) in spans.iter().zip(&self.layout.key) {
            let (first, last) = bounds(span, *kind)?;
            if first != last && !self.layout.has_intervals {
                return Err(Why::IntervalInExactSet);
            }
            append_part(&mut self.first, &first, wanted);
            append_part(&mut self.last, &last, wanted);
        }
        Ok(())
    }

    /// The two elements of an interval: where it begins, and the first value behind it.
    fn write_interval(
        &mut self,
        writer: &mut Writer,
        interval: Option<&Interval>,
    ) -> Result<(), Why> {
        let Some(interval) = interval else {
            return Ok(());
        };
        let Some(entry) = self.content.entry(interval.entry) else {
            return Ok(());
        };
        if matches!(entry.key, EntryKey::Any) {
            return self.write_any(writer, &entry);
        }
        let element = writer.open_nest(LIST_ELEMENT);
        write_value(writer, KEY, interval.first().as_slice());
        self.write_rest(writer, &entry)?;
        writer.close_nest(element);
        if let Some(end) = interval.end() {
            let element = writer.open_nest(LIST_ELEMENT);
            write_value(writer, KEY, end.as_slice());
            writer.u32(FLAGS, INTERVAL_END);
            writer.close_nest(element);
        }
        Ok(())
    }

    fn write_any(&mut self, writer: &mut Writer, entry: &Entry<'_>) -> Result<(), Why> {
        let element = writer.open_nest(LIST_ELEMENT);
        writer.u32(FLAGS, CATCHALL);
        self.write_rest(writer, entry)?;
        writer.close_nest(element);
        Ok(())
    }

    fn write_rest(&mut self, writer: &mut Writer, entry: &Entry<'_>) -> Result<(), Why> {
        if let Some(timeout_s) = entry.timeout_s {
            writer.u64(TIMEOUT_MS, u64::from(timeout_s) * 1_000);
        }
        match entry.target {
            Target::Nothing => {}
            Target::Object(name) => writer.text(OBJECT, name),
            Target::Verdict(verdict) => write_verdict(writer, DATA, verdict),
            Target::Network(prefix) => {
                if Span::Network(prefix).kind() != self.content.network_kind() {
                    return Err(Why::MixedFamilies);
                }
                let (first, last) = network(prefix);
                let both = [first.padded(), last.padded()].concat();
                write_value(writer, DATA, &both);
            }
            Target::Data(data) => {
                let kinds = self.content.data_kinds();
                let (wanted, given) = (kinds.len(), data.len());
                if wanted != given {
                    return Err(Why::WrongParts { wanted, given });
                }
                self.last.clear();
                for (datum, kind) in data.iter().zip(kinds) {
                    append_part(&mut self.last, &value_of(datum, *kind)?, wanted);
                }
                write_value(writer, DATA, &self.last);
            }
        }
        Ok(())
    }
}

/// A part of a key that has so many: padded unless it is the only one.
fn append_part(key: &mut Vec<u8>, part: &Value, parts: usize) {
    let bytes = if parts == 1 {
        part.as_slice()
    } else {
        part.padded()
    };
    key.extend_from_slice(bytes);
}

/// An attribute that holds a value.
pub(super) fn write_value(writer: &mut Writer, kind: u16, value: &[u8]) {
    let nest = writer.open_nest(kind);
    writer.raw(DATA_VALUE, value);
    writer.close_nest(nest);
}

/// An attribute that holds a verdict (NF_* of linux/netfilter.h, NFT_* of nf_tables.h).
pub(super) fn write_verdict(writer: &mut Writer, kind: u16, verdict: &Verdict) {
    let (code, chain): (i32, Option<&str>) = match verdict {
        Verdict::Drop => (0, None),
        Verdict::Accept => (1, None),
        Verdict::Continue => (-1, None),
        Verdict::Jump(chain) => (-3, Some(chain)),
        Verdict::Goto(chain) => (-4, Some(chain)),
        Verdict::Return => (-5, None),
    };
    writer.nest(kind, |writer| {
        writer.nest(DATA_VERDICT, |writer| {
            writer.u32(VERDICT_CODE, code.cast_unsigned());
            if let Some(chain) = chain {
                writer.text(VERDICT_CHAIN, chain);
            }
        });
    });
}
