//! Sets, maps and their elements as the kernel tells of them.

use super::{Counter, OF_TABLE, decode_counter};
use crate::error::DecodeError;
use crate::message::Message;
use crate::netfilter::Attribute;
use crate::nftables::value::{datum, form};
use crate::nftables::{Kind, Told, find, text, told};
use plan::ruleset::{self, Datum, Family};

/// NFTA_SET_*, NFT_SET_*.
const NAME: u16 = 2;
const FLAGS: u16 = 3;
const ANONYMOUS: u32 = 0x1;
const MAP: u32 = 0x8;
const DYNAMIC: u32 = 0x20;
const OBJECT: u32 = 0x40;

/// NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_SET_ELEM_*, NFT_SET_ELEM_*.
const ELEMENTS: u16 = 3;
const KEY: u16 = 1;
const ELEMENT_FLAGS: u16 = 3;
const TIMEOUT_MS: u16 = 4;
const EXPIRES_MS: u16 = 5;
const EXPRESSION: u16 = 7;
const KEY_END: u16 = 10;
const EXPRESSIONS: u16 = 11;
const INTERVAL_END: u32 = 1;
const CATCHALL: u32 = 2;

/// NFTA_EXPR_*, NFTA_DATA_VALUE.
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;

/// A set or map that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSet {
    /// Of its table.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Its keys lead to something.
    pub is_map: bool,
    /// Rules fill it.
    pub is_dynamic: bool,
}

/// An element of a set or map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedElement {
    /// The key as the kernel holds it; of ranges, where it begins. `None`: everything that no other has.
    pub key: Option<Vec<u8>>,
    /// Where the range ends, in sets whose keys have several parts.
    pub end: Option<Vec<u8>>,
    /// It is no element but the first value behind the range that came before it.
    pub is_end: bool,
    /// How long it stays in all, ms; `None`: for ever, or as the set says.
    pub timeout_ms: Option<u64>,
    /// How long it stays from now, ms.
    pub expires_ms: Option<u64>,
    /// What it counted.
    pub counter: Option<Counter>,
}

impl ListedElement {
    /// The key's parts, of a set whose key has these kinds; `None` where they do not fit.
    #[must_use]
    pub fn parts(&self, kinds: &[ruleset::Kind]) -> Option<Vec<Datum>> {
        let mut rest = self.key.as_deref()?;
        let parts = kinds.iter().map(|kind| {
            let bytes = usize::from(form(*kind).bytes);
            let taken = if kinds.len() == 1 {
                bytes
            } else {
                bytes.next_multiple_of(4)
            };
            let (part, behind) = rest.split_at_checked(taken)?;
            rest = behind;
            datum(*kind, part.get(..bytes)?)
        });
        let parts: Option<Vec<Datum>> = parts.collect();
        parts.filter(|_| rest.is_empty())
    }
}

/// The set of an NFT_MSG_NEWSET; `None` for any other message and for sets that live with a rule.
///
/// # Errors
/// A message that linux/netfilter/nf_tables.h does not allow.
pub fn decode_set(message: &Message<'_>) -> Result<Option<ListedSet>, DecodeError> {
    let Some(Told {
        kind: Kind::NewSet,
        family,
        body,
    }) = told(message)?
    else {
        return Ok(None);
    };
    let flags = find(body, FLAGS)?.map_or(Ok(0), |flags| flags.u32())?;
    if flags & ANONYMOUS != 0 {
        return Ok(None);
    }
    Ok(Some(ListedSet {
        family,
        table: text(body, OF_TABLE)?,
        name: text(body, NAME)?,
        is_map: flags & (MAP | OBJECT) != 0,
        is_dynamic: flags & DYNAMIC != 0,
    }))
}

/// The elements of an NFT_MSG_NEWSETELEM, of which a large set has several; `None` for any other message.
///
/// # Errors
/// A message that linux/netfilter/nf_tables.h does not allow.
pub fn decode_elements(message: &Message<'_>) -> Result<Option<Vec<ListedElement>>, DecodeError> {
    let Some(Told {
        kind: Kind::NewElements,
        body,
        ..
    }) = told(message)?
    else {
        return Ok(None);
    };
    let Some(list) = find(body, ELEMENTS)? else {
        return Ok(Some(Vec::new()));
    };
    let elements = list.nested().map(|element| decode_element(element?));
    elements.collect::<Result<_, _>>().map(Some)
}

fn decode_element(element: Attribute<'_>) -> Result<ListedElement, DecodeError> {
    let mut listed = ListedElement {
        key: None,
        end: None,
        is_end: false,
        timeout_ms: None,
        expires_ms: None,
        counter: None,
    };
    let mut flags = 0;
    for attribute in element.nested() {
        let attribute = attribute?;
        match attribute.kind {
            KEY => listed.key = Some(value(&attribute)?),
            KEY_END => listed.end = Some(value(&attribute)?),
            ELEMENT_FLAGS => flags = attribute.u32()?,
            TIMEOUT_MS => listed.timeout_ms = Some(attribute.u64()?),
            EXPIRES_MS => listed.expires_ms = Some(attribute.u64()?),
            EXPRESSION => listed.note(attribute.payload)?,
            EXPRESSIONS => {
                for expression in attribute.nested() {
                    listed.note(expression?.payload)?;
                }
            }
            _ => {}
        }
    }
    listed.is_end = flags & INTERVAL_END != 0;
    if listed.key.is_none() && flags & CATCHALL == 0 {
        return Err(DecodeError("element without a key"));
    }
    Ok(listed)
}

impl ListedElement {
    fn note(&mut self, expression: &[u8]) -> Result<(), DecodeError> {
        let name = find(expression, EXPRESSION_NAME)?.ok_or(DecodeError("expression"))?;
        if let ("counter", Some(data)) = (name.text()?, find(expression, EXPRESSION_DATA)?) {
            self.counter = Some(decode_counter(data)?);
        }
        Ok(())
    }
}

fn value(attribute: &Attribute<'_>) -> Result<Vec<u8>, DecodeError> {
    let value = find(attribute.payload, DATA_VALUE)?.ok_or(DecodeError("value"))?;
    Ok(value.payload.to_vec())
}
