//! Sets and maps to messages, named and unnamed: what they hold and how, then their elements.

use super::Kind;
use super::batch::Draft;
use super::element::{self, Content, Layout};
use super::object::object_number;
use super::refusal::{Place, Why};
use super::value::{Form, Order, form};
use super::writer::Writer;
use neli::consts::nl::NlmF;
use plan::ruleset::{self, Entries, Family, Shape, Table};

/// NFTA_SET_*.
const TABLE: u16 = 1;
const NAME: u16 = 2;
const FLAGS: u16 = 3;
const KEY_TYPE: u16 = 4;
const KEY_BYTES: u16 = 5;
const DATA_TYPE: u16 = 6;
const DATA_BYTES: u16 = 7;
const DESCRIPTION: u16 = 9;
const ID: u16 = 10;
const TIMEOUT_MS: u16 = 11;
const USERDATA: u16 = 13;
const OBJECT_TYPE: u16 = 15;
const DESCRIPTION_SIZE: u16 = 1;
const DESCRIPTION_PARTS: u16 = 2;
const LIST_ELEMENT: u16 = 1;
const PART_BYTES: u16 = 1;

/// NFT_SET_*.
const ANONYMOUS: u32 = 0x1;
const CONSTANT: u32 = 0x2;
const INTERVAL: u32 = 0x4;
const MAP: u32 = 0x8;
const TIMEOUT: u32 = 0x10;
const EVAL: u32 = 0x20;
const OBJECT: u32 = 0x40;
const CONCAT: u32 = 0x80;

/// NFT_DATA_VERDICT.
const DATA_VERDICT: u32 = 0xffff_ff00;

/// NFT_DATA_VALUE_MAXLEN: bytes of a key, of a value.
const KEY_BYTES_MAX: u32 = 64;

/// nft packs the types of the parts of a key into one number, so many bits each.
const TYPE_BITS: u32 = 6;

/// What nft leaves for itself, to print a set as it was written (libnftnl's udata.h): in which order keys and
/// values lie, and that values are ranges.
const USERDATA_KEY_ORDER: u8 = 0;
const USERDATA_DATA_ORDER: u8 = 1;
const USERDATA_DATA_INTERVAL: u8 = 6;
const USERDATA_HOST_ORDER: u32 = 1;
const USERDATA_NETWORK_ORDER: u32 = 2;

/// By how much rules may fill a set that says no bound.
const DYNAMIC_ELEMENTS_MAX: u32 = 65_535;

/// The kernel's placeholder name for sets that live with a rule.
pub(super) const UNNAMED: &str = "__set%d";
pub(super) const UNNAMED_MAP: &str = "__map%d";

/// What a map holds.
pub(super) fn map_content(entries: &Entries) -> Content<'_> {
    match entries {
        Entries::Data { kinds, entries } => Content::Data(kinds, entries),
        Entries::Networks(entries) => Content::Networks(entries),
        Entries::Verdicts(entries) => Content::Verdicts(entries),
        Entries::Objects { kind, entries } => Content::Objects(*kind, entries),
    }
}

/// A named set or map without its elements.
pub(super) fn declare(
    draft: &mut Draft<'_>,
    place: Place,
    table: &Table,
    name: &str,
    shape: &Shape,
    content: &Content<'_>,
) -> Result<Layout, Why> {
    let mut flags = 0;
    let has_timeouts = shape.has_timeouts || shape.timeout_s.is_some();
    for (has, flag) in [
        (shape.has_intervals, INTERVAL),
        (has_timeouts, TIMEOUT),
        (shape.is_dynamic, EVAL),
    ] {
        flags |= if has { flag } else { 0 };
    }
    let size = match shape.elements_max {
        None if shape.is_dynamic => Some(DYNAMIC_ELEMENTS_MAX),
        bound => bound,
    };
    let declaration = Declaration {
        name,
        flags,
        key: &shape.key,
        size,
        timeout_s: shape.timeout_s,
    };
    declaration.write(draft, place, table.family, &table.name, content)
}

/// A set that lives with the rule behind it, elements and all; its number.
pub(super) fn add_unnamed(
    draft: &mut Draft<'_>,
    place: Place,
    table: &Table,
    key: &[ruleset::Kind],
    content: &Content<'_>,
) -> Result<u32, Why> {
    let count = u32::try_from(content.count()).unwrap_or(u32::MAX);
    if count == 0 {
        return Err(Why::Empty);
    }
    let has_intervals = (0..content.count()).any(|position| content.is_interval(position));
    let is_map = !matches!(content, Content::Spans(_) | Content::Elements(_));
    let declaration = Declaration {
        name: if is_map { UNNAMED_MAP } else { UNNAMED },
        flags: ANONYMOUS | CONSTANT | if has_intervals { INTERVAL } else { 0 },
        key,
        // An interval counts twice, by its ends.
        size: Some(count.saturating_mul(if has_intervals { 2 } else { 1 })),
        timeout_s: None,
    };
    let layout = declaration.write(draft, place, table.family, &table.name, content)?;
    let number = layout.number;
    element::add(draft, place, table, declaration.name, &layout, content)?;
    Ok(number)
}

struct Declaration<'a> {
    name: &'a str,
    flags: u32,
    key: &'a [ruleset::Kind],
    size: Option<u32>,
    timeout_s: Option<u32>,
}

impl Declaration<'_> {
    fn write(
        &self,
        draft: &mut Draft<'_>,
        place: Place,
        family: Family,
        table: &str,
        content: &Content<'_>,
    ) -> Result<Layout, Why> {
        let has_intervals = self.flags & INTERVAL != 0;
        let layout = Layout {
            number: draft.number_set(),
            key: self.key.to_vec(),
            has_intervals,
        };
        let concat = if has_intervals && self.key.len() > 1 {
            CONCAT
        } else {
            0
        };
        let key_bytes = key_bytes(self.key)?;
        let host_ordered = |kind: &&ruleset::Kind| form(**kind).order == Order::Host;
        if let Some(kind) = self.key.iter().find(host_ordered).filter(|_| has_intervals) {
            return Err(Why::IntervalOf(*kind));
        }
        let flags = self.flags | concat | content_flags(content);
        draft.message(Kind::NewSet, NlmF::CREATE, family, place, |writer| {
            writer.text(TABLE, table);
            writer.text(NAME, self.name);
            writer.u32(FLAGS, flags);
            writer.u32(KEY_TYPE, type_number(self.key));
            writer.u32(KEY_BYTES, key_bytes);
            write_content(writer, content)?;
            writer.u32(ID, layout.number);
            if let Some(timeout_s) = self.timeout_s {
                writer.u64(TIMEOUT_MS, u64::from(timeout_s) * 1_000);
            }
            self.describe(writer, concat != 0);
            write_userdata(writer, self.key, content);
            Ok(())
        })?;
        Ok(layout)
    }

    fn describe(&self, writer: &mut Writer, is_concat: bool) {
        if self.size.is_none() && !is_concat {
            return;
        }
        writer.nest(DESCRIPTION, |writer| {
            if let Some(size) = self.size {
                writer.u32(DESCRIPTION_SIZE, size);
            }
            if is_concat {
                writer.nest(DESCRIPTION_PARTS, |writer| {
                    for kind in self.key {
                        let bytes = form(*kind).bytes;
                        writer.nest(LIST_ELEMENT, |writer| writer.u32(PART_BYTES, bytes.into()));
                    }
                });
            }
        });
    }
}

const fn content_flags(content: &Content<'_>) -> u32 {
    match content {
        Content::Spans(_) | Content::Elements(_) => 0,
        Content::Data(..) | Content::Networks(_) | Content::Verdicts(_) => MAP,
        Content::Objects(..) => OBJECT,
    }
}

fn write_content(writer: &mut Writer, content: &Content<'_>) -> Result<(), Why> {
    match content {
        Content::Spans(_) | Content::Elements(_) => {}
        Content::Data(kinds, _) => {
            writer.u32(DATA_TYPE, type_number(kinds));
            writer.u32(DATA_BYTES, key_bytes(kinds)?);
        }
        Content::Networks(_) => {
            let kind = content.network_kind();
            writer.u32(DATA_TYPE, form(kind).number);
            // First and last address.
            writer.u32(DATA_BYTES, 2 * form(kind).padded_bytes());
        }
        Content::Verdicts(_) => {
            writer.u32(DATA_TYPE, DATA_VERDICT);
        }
        Content::Objects(kind, _) => writer.u32(OBJECT_TYPE, object_number(*kind)),
    }
    Ok(())
}

fn write_userdata(writer: &mut Writer, key: &[ruleset::Kind], content: &Content<'_>) {
    let mut userdata = Vec::with_capacity(18);
    note(&mut userdata, USERDATA_KEY_ORDER, order_number(key));
    match content {
        Content::Data(kinds, _) => note(&mut userdata, USERDATA_DATA_ORDER, order_number(kinds)),
        Content::Networks(_) => {
            note(&mut userdata, USERDATA_DATA_ORDER, USERDATA_NETWORK_ORDER);
            note(&mut userdata, USERDATA_DATA_INTERVAL, 1);
        }
        _ => {}
    }
    writer.raw(USERDATA, &userdata);
}

fn note(userdata: &mut Vec<u8>, kind: u8, value: u32) {
    userdata.extend_from_slice(&[kind, 4]);
    userdata.extend_from_slice(&value.to_ne_bytes());
}

fn order_number(kinds: &[ruleset::Kind]) -> u32 {
    match kinds {
        [kind] if form(*kind).order == Order::Host => USERDATA_HOST_ORDER,
        _ => USERDATA_NETWORK_ORDER,
    }
}

/// Bytes of a key, or of a value, of these parts.
pub(super) fn key_bytes(kinds: &[ruleset::Kind]) -> Result<u32, Why> {
    let bytes = match kinds {
        [] => return Err(Why::Empty),
        [kind] => u32::from(form(*kind).bytes),
        kinds => kinds
            .iter()
            .copied()
            .map(form)
            .map(Form::padded_bytes)
            .sum(),
    };
    (bytes <= KEY_BYTES_MAX)
        .then_some(bytes)
        .ok_or(Why::KeyTooLong)
}

fn type_number(kinds: &[ruleset::Kind]) -> u32 {
    let append = |number: u32, kind: &ruleset::Kind| number << TYPE_BITS | form(*kind).number;
    kinds.iter().fold(0, append)
}
