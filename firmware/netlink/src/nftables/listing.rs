//! Dumps to what a `firewall` listing shows: chains, rules with their counters, sets with their elements, named
//! counters. What a rule means is in its comment, which is ours; what is read here of its expressions is what
//! they counted and how it ends.

mod rule;
mod set;

pub use rule::{Decision, ListedRule, decode_rule};
pub use set::{ListedElement, ListedSet, decode_elements, decode_set};

use super::chain::hook_words;
use super::object::object_number;
use super::writer::Writer;
use super::{Kind, Told, ask, dump, find, text, told};
use crate::error::{DecodeError, EncodeError};
use crate::message::{Message, Request};
use crate::netfilter::{Attribute, Attributes};
use neli::consts::nl::NlmF;
use plan::ruleset::{Family, ObjectKind, Policy};

/// NFTA_*_TABLE of chains, rules, sets, elements and objects.
const OF_TABLE: u16 = 1;

/// NFTA_CHAIN_*, NFTA_HOOK_*.
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;

/// NFTA_RULE_CHAIN, NFTA_SET_ELEM_LIST_SET.
const RULE_CHAIN: u16 = 2;
const ELEMENTS_SET: u16 = 2;

/// NFTA_OBJ_*.
const OBJECT_NAME: u16 = 2;
const OBJECT_TYPE: u16 = 3;
const OBJECT_DATA: u16 = 4;

/// NFTA_COUNTER_*.
const COUNTER_BYTES: u16 = 1;
const COUNTER_PACKETS: u16 = 2;

/// NF_DROP.
const DROP: u32 = 0;

/// What went by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Bytes, headers of the network layer included.
    pub bytes: u64,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedChain {
    /// Of its table.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Where packets enter; `None`: only by jump or goto.
    pub base: Option<ListedBase>,
}

/// Where packets enter a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedBase {
    /// nft's chain type: `filter`, `nat`, `route`.
    pub kind: String,
    /// nft's word for the hook; the number where there is none.
    pub hook: String,
    /// Lower ones come first.
    pub priority: i32,
    /// For packets that no rule decided.
    pub policy: Policy,
}

/// A named object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// Of its table.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// What it counted; `None` for objects that do not count.
    pub counter: Option<Counter>,
}

/// Asks for all chains; answers are for `decode_chain`.
///
/// # Errors
/// None in practice.
pub fn chains() -> Result<Request, EncodeError> {
    dump("listing chains", Kind::GetChain)
}

/// Asks for the rules of a chain, in their order; answers are for `decode_rule`.
///
/// # Errors
/// None in practice.
pub fn rules(family: Family, table: &str, chain: &str) -> Result<Request, EncodeError> {
    let attributes = |writer: &mut Writer| {
        writer.text(OF_TABLE, table);
        writer.text(RULE_CHAIN, chain);
    };
    ask(
        "listing rules",
        Kind::GetRule,
        NlmF::DUMP,
        Some(family),
        attributes,
    )
}

/// Asks for all rules of a table: chain after chain in the order of `chains`, of each in their order; answers are for
/// `decode_rule`.
///
/// # Errors
/// None in practice.
pub fn rules_of_table(family: Family, table: &str) -> Result<Request, EncodeError> {
    let attributes = |writer: &mut Writer| writer.text(OF_TABLE, table);
    ask(
        "listing rules",
        Kind::GetRule,
        NlmF::DUMP,
        Some(family),
        attributes,
    )
}

/// Asks for all sets and maps; answers are for `decode_set`.
///
/// # Errors
/// None in practice.
pub fn sets() -> Result<Request, EncodeError> {
    dump("listing sets", Kind::GetSet)
}

/// Asks for the elements of a set or map; answers are for `decode_elements`.
///
/// # Errors
/// None in practice.
pub fn elements(family: Family, table: &str, set: &str) -> Result<Request, EncodeError> {
    let attributes = |writer: &mut Writer| {
        writer.text(OF_TABLE, table);
        writer.text(ELEMENTS_SET, set);
    };
    ask(
        "listing a set",
        Kind::GetElements,
        NlmF::DUMP,
        Some(family),
        attributes,
    )
}

/// Asks for all named objects; answers are for `decode_object`.
///
/// # Errors
/// None in practice.
pub fn objects() -> Result<Request, EncodeError> {
    dump("listing objects", Kind::GetObject)
}

/// The chain of an NFT_MSG_NEWCHAIN; `None` for any other message.
///
/// # Errors
/// A message that linux/netfilter/nf_tables.h does not allow.
pub fn decode_chain(message: &Message<'_>) -> Result<Option<ListedChain>, DecodeError> {
    let Some(Told {
        kind: Kind::NewChain,
        family,
        body,
    }) = told(message)?
    else {
        return Ok(None);
    };
    let base = find(body, CHAIN_HOOK)?.map(|hook| decode_base(family, body, hook.nested()));
    Ok(Some(ListedChain {
        family,
        table: text(body, OF_TABLE)?,
        name: text(body, CHAIN_NAME)?,
        base: base.transpose()?,
    }))
}

fn decode_base(
    family: Family,
    body: &[u8],
    attributes: Attributes<'_>,
) -> Result<ListedBase, DecodeError> {
    let (mut number, mut priority) = (None, None);
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            HOOK_NUMBER => number = Some(attribute.u32()?),
            HOOK_PRIORITY => priority = Some(attribute.u32()?.cast_signed()),
            _ => {}
        }
    }
    let number = number.ok_or(DecodeError("hook"))?;
    let policy = find(body, CHAIN_POLICY)?.map(|policy| policy.u32());
    Ok(ListedBase {
        kind: text(body, CHAIN_TYPE)?,
        hook: hook_words(family, number).map_or_else(|| number.to_string(), str::to_owned),
        priority: priority.ok_or(DecodeError("hook"))?,
        policy: match policy.transpose()? {
            Some(DROP) => Policy::Drop,
            _ => Policy::Accept,
        },
    })
}

/// The object of an NFT_MSG_NEWOBJ; `None` for any other message.
///
/// # Errors
/// A message that linux/netfilter/nf_tables.h does not allow.
pub fn decode_object(message: &Message<'_>) -> Result<Option<ListedObject>, DecodeError> {
    let Some(Told {
        kind: Kind::NewObject,
        family,
        body,
    }) = told(message)?
    else {
        return Ok(None);
    };
    let number = find(body, OBJECT_TYPE)?.ok_or(DecodeError("object type"))?;
    let data = find(body, OBJECT_DATA)?;
    let is_counter = number.u32()? == object_number(ObjectKind::Counter);
    let counter = data.filter(|_| is_counter).map(decode_counter);
    Ok(Some(ListedObject {
        family,
        table: text(body, OF_TABLE)?,
        name: text(body, OBJECT_NAME)?,
        counter: counter.transpose()?,
    }))
}

/// What a counter's data say.
fn decode_counter(data: Attribute<'_>) -> Result<Counter, DecodeError> {
    let mut counter = Counter::default();
    for attribute in data.nested() {
        let attribute = attribute?;
        match attribute.kind {
            COUNTER_BYTES => counter.bytes = attribute.u64()?,
            COUNTER_PACKETS => counter.packets = attribute.u64()?,
            _ => {}
        }
    }
    Ok(counter)
}

#[cfg(test)]
mod tests;
