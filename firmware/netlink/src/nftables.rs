//! nf_tables (linux/netfilter/nf_tables.h): a `plan::ruleset` to one atomic batch, the kernel's refusals to words
//! that name the rule, and dumps to listings with counters.
//! Attributes are written straight into one `Vec`: neli's builders allocate for each of them, and a ruleset of
//! 10,000 rules and 100,000 elements has half a million.

mod batch;
mod chain;
mod condition;
mod element;
mod expression;
mod guard;
mod held;
pub mod listing;
mod load;
mod nat;
mod object;
mod refusal;
mod replace;
mod rule;
mod set;
mod statement;
mod value;
mod writer;

pub use batch::Batch;
pub use held::{Held, Kept};
pub use refusal::{Refusal, Unsayable};
pub use replace::replace;

use crate::error::{DecodeError, EncodeError};
use crate::message::{self, Message, Request};
use crate::netfilter::{Attribute, attributes};
use neli::consts::nl::NlmF;
use neli::types::Buffer;
use plan::ruleset::Family;
use writer::Writer;

/// Types of nf_tables messages (`enum nf_tables_msg_types`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    NewTable = 0,
    GetTable = 1,
    DeleteTable = 2,
    NewChain = 3,
    GetChain = 4,
    DeleteChain = 5,
    NewRule = 6,
    GetRule = 7,
    DeleteRule = 8,
    NewSet = 9,
    GetSet = 10,
    DeleteSet = 11,
    NewElements = 12,
    GetElements = 13,
    NewGeneration = 15,
    GetGeneration = 16,
    NewObject = 18,
    GetObject = 19,
    DeleteObject = 20,
    NewFlowtable = 22,
    GetFlowtable = 23,
    DeleteFlowtable = 24,
}

/// NFNL_SUBSYS_NFTABLES.
const SUBSYSTEM: u16 = 10;

/// Bytes of `struct nfgenmsg`: family, version, resource.
const HEADER_BYTES: usize = 4;

/// NFTA_GEN_ID.
const GENERATION_ID: u16 = 1;

impl Kind {
    const fn number(self) -> u16 {
        SUBSYSTEM << 8 | self as u16
    }
}

/// NFNLGRP_NFTABLES: changes by anyone; each commit ends with one for `decode_generation`.
pub const GROUPS: [u32; 1] = [7];

/// Asks for the kernel's generation, which every change by anyone raises; the answer is for `decode_generation`.
///
/// # Errors
/// None in practice.
pub fn generation() -> Result<Request, EncodeError> {
    let attempt = "reading the generation of nf_tables";
    ask(attempt, Kind::GetGeneration, NlmF::empty(), None, |_| ())
}

/// The generation of an NFT_MSG_NEWGEN, in answer or as a notification; `None` for any other message.
///
/// # Errors
/// A message without it.
pub fn decode_generation(message: &Message<'_>) -> Result<Option<u32>, DecodeError> {
    if message.kind != Kind::NewGeneration.number() {
        return Ok(None);
    }
    let body = message
        .body
        .get(HEADER_BYTES..)
        .ok_or(DecodeError("generation"))?;
    let id = find(body, GENERATION_ID)?.ok_or(DecodeError("generation"))?;
    id.u32().map(Some)
}

/// A request for all objects of a kind, of all families and tables.
fn dump(attempt: &'static str, kind: Kind) -> Result<Request, EncodeError> {
    ask(attempt, kind, NlmF::DUMP, None, |_| ())
}

/// A request with these attributes; `None`: of all families.
fn ask(
    attempt: &'static str,
    kind: Kind,
    flags: NlmF,
    family: Option<Family>,
    attributes: impl FnOnce(&mut Writer),
) -> Result<Request, EncodeError> {
    let mut writer = Writer::default();
    let family = family.map_or(0, batch::family_number);
    writer.open_message(kind.number(), 0, 0, family, 0);
    attributes(&mut writer);
    let message = writer.finish().ok_or(EncodeError("name"))?;
    let body = message.get(message::HEADER_BYTES..).unwrap_or_default();
    Request::new(attempt, kind.number(), flags, &Buffer::from(body))
}

/// A message that tells of an object.
struct Told<'a> {
    kind: Kind,
    family: Family,
    /// Its attributes.
    body: &'a [u8],
}

/// What a message tells; `None` for messages of other kinds and families.
fn told<'a>(message: &Message<'a>) -> Result<Option<Told<'a>>, DecodeError> {
    const TOLD: [Kind; 7] = [
        Kind::NewTable,
        Kind::NewChain,
        Kind::NewRule,
        Kind::NewSet,
        Kind::NewElements,
        Kind::NewObject,
        Kind::NewFlowtable,
    ];
    let mut kinds = TOLD.into_iter();
    let Some(kind) = kinds.find(|kind| kind.number() == message.kind) else {
        return Ok(None);
    };
    let header = message.body.split_first_chunk::<HEADER_BYTES>();
    let ([family, ..], body) = header.ok_or(DecodeError("nf_tables message"))?;
    let mut families = FAMILIES.into_iter();
    let family = families.find(|known| batch::family_number(*known) == *family);
    Ok(family.map(|family| Told { kind, family, body }))
}

const FAMILIES: [Family; 5] = [
    Family::Inet,
    Family::Ip,
    Family::Ip6,
    Family::Arp,
    Family::Netdev,
];

/// The first attribute of a kind.
fn find(body: &[u8], kind: u16) -> Result<Option<Attribute<'_>>, DecodeError> {
    for attribute in attributes(body) {
        let attribute = attribute?;
        if attribute.kind == kind {
            return Ok(Some(attribute));
        }
    }
    Ok(None)
}

/// The text of an attribute that must be there.
fn text(body: &[u8], kind: u16) -> Result<String, DecodeError> {
    let attribute = find(body, kind)?.ok_or(DecodeError("name"))?;
    attribute.text().map(str::to_owned)
}
