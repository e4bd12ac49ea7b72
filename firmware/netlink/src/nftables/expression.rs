//! The kernel's expressions, one function for each: what registers they read and write is said here, and only
//! here and in the statements that are made of them. Registers are numbered by words of four bytes from 0; the
//! verdict has a register of its own.

use super::element::{write_value, write_verdict};
use super::value::Value;
use super::writer::Writer;
use plan::ruleset::Verdict;

/// NFTA_LIST_ELEM, NFTA_EXPR_*.
pub(super) const LIST_ELEMENT: u16 = 1;
const NAME: u16 = 1;
const DATA: u16 = 2;

/// NFT_REG32_00: registers of four bytes.
const FIRST_WORD: u32 = 8;

/// NFT_REG_VERDICT.
const VERDICT: u32 = 0;

/// NFTA_META_*, NFTA_CT_*, NFTA_PAYLOAD_*.
const META_TO: u16 = 1;
const META_KEY: u16 = 2;
const META_FROM: u16 = 3;
const CT_TO: u16 = 1;
const CT_KEY: u16 = 2;
const CT_DIRECTION: u16 = 3;
const CT_FROM: u16 = 4;
const PAYLOAD_TO: u16 = 1;
const PAYLOAD_BASE: u16 = 2;
const PAYLOAD_OFFSET: u16 = 3;
const PAYLOAD_BYTES: u16 = 4;

/// NFTA_CMP_*, NFTA_RANGE_*, NFTA_BITWISE_*, NFTA_BYTEORDER_*.
const COMPARE_FROM: u16 = 1;
const COMPARE_OPERATION: u16 = 2;
const COMPARE_DATA: u16 = 3;
const RANGE_FROM: u16 = 1;
const RANGE_OPERATION: u16 = 2;
const RANGE_FIRST: u16 = 3;
const RANGE_LAST: u16 = 4;
const BITWISE_FROM: u16 = 1;
const BITWISE_TO: u16 = 2;
const BITWISE_BYTES: u16 = 3;
const BITWISE_MASK: u16 = 4;
const BITWISE_XOR: u16 = 5;
const ORDER_FROM: u16 = 1;
const ORDER_TO: u16 = 2;
const ORDER_OPERATION: u16 = 3;
const ORDER_BYTES: u16 = 4;
const ORDER_UNIT_BYTES: u16 = 5;

/// NFTA_LOOKUP_*, NFTA_IMMEDIATE_*, NFTA_OBJREF_*.
const LOOKUP_SET: u16 = 1;
const LOOKUP_FROM: u16 = 2;
const LOOKUP_TO: u16 = 3;
const LOOKUP_SET_ID: u16 = 4;
const LOOKUP_FLAGS: u16 = 5;
const IMMEDIATE_TO: u16 = 1;
const IMMEDIATE_DATA: u16 = 2;
const OBJECT_TYPE: u16 = 1;
const OBJECT_NAME: u16 = 2;
const OBJECT_FROM: u16 = 3;
const OBJECT_MAP: u16 = 4;

/// NFT_RANGE_NEQ, NFT_BYTEORDER_HTON, NFT_LOOKUP_F_INV.
const RANGE_OUTSIDE: u32 = 1;
const TO_NETWORK: u32 = 1;
const INVERTED: u32 = 1;

/// NFT_CMP_*.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    Equal = 0,
    NotEqual = 1,
    Below = 2,
    AtMost = 3,
    Above = 4,
    AtLeast = 5,
}

/// The number of a register of four bytes; longer values go on in the next ones.
pub(super) const fn register(word: u32) -> u32 {
    FIRST_WORD + word
}

/// Any expression: its name, and its attributes.
pub(super) fn expression(writer: &mut Writer, name: &str, data: impl FnOnce(&mut Writer)) {
    let element = writer.open_nest(LIST_ELEMENT);
    expression_body(writer, name, data);
    writer.close_nest(element);
}

/// The same, within an attribute of another kind.
pub(super) fn expression_body(writer: &mut Writer, name: &str, data: impl FnOnce(&mut Writer)) {
    writer.text(NAME, name);
    let nest = writer.open_nest(DATA);
    data(writer);
    writer.close_nest(nest);
}

pub(super) fn load_meta(writer: &mut Writer, word: u32, key: u32) {
    expression(writer, "meta", |writer| {
        writer.u32(META_KEY, key);
        writer.u32(META_TO, register(word));
    });
}

pub(super) fn set_meta(writer: &mut Writer, key: u32) {
    expression(writer, "meta", |writer| {
        writer.u32(META_KEY, key);
        writer.u32(META_FROM, register(0));
    });
}

pub(super) fn load_ct(writer: &mut Writer, word: u32, key: u32, direction: Option<u8>) {
    expression(writer, "ct", |writer| {
        writer.u32(CT_KEY, key);
        writer.u32(CT_TO, register(word));
        if let Some(direction) = direction {
            writer.u8(CT_DIRECTION, direction);
        }
    });
}

pub(super) fn set_ct(writer: &mut Writer, key: u32) {
    expression(writer, "ct", |writer| {
        writer.u32(CT_KEY, key);
        writer.u32(CT_FROM, register(0));
    });
}

pub(super) fn load_payload(writer: &mut Writer, word: u32, base: u32, offset: u32, bytes: u32) {
    expression(writer, "payload", |writer| {
        writer.u32(PAYLOAD_TO, register(word));
        writer.u32(PAYLOAD_BASE, base);
        writer.u32(PAYLOAD_OFFSET, offset);
        writer.u32(PAYLOAD_BYTES, bytes);
    });
}

pub(super) fn compare(writer: &mut Writer, operation: Compare, with: &[u8]) {
    expression(writer, "cmp", |writer| {
        writer.u32(COMPARE_FROM, register(0));
        writer.u32(COMPARE_OPERATION, operation as u32);
        write_value(writer, COMPARE_DATA, with);
    });
}

pub(super) fn compare_equal(writer: &mut Writer, with: &[u8]) {
    compare(writer, Compare::Equal, with);
}

pub(super) fn outside(writer: &mut Writer, first: &Value, last: &Value) {
    expression(writer, "range", |writer| {
        writer.u32(RANGE_FROM, register(0));
        writer.u32(RANGE_OPERATION, RANGE_OUTSIDE);
        write_value(writer, RANGE_FIRST, first.as_slice());
        write_value(writer, RANGE_LAST, last.as_slice());
    });
}

/// Clears the bits that `mask` does not have.
pub(super) fn mask(writer: &mut Writer, mask: &Value) {
    expression(writer, "bitwise", |writer| {
        writer.u32(BITWISE_FROM, register(0));
        writer.u32(BITWISE_TO, register(0));
        writer.u32(BITWISE_BYTES, mask.length().into());
        write_value(writer, BITWISE_MASK, mask.as_slice());
        write_value(writer, BITWISE_XOR, Value::zero(mask.length()).as_slice());
    });
}

/// Turns a number of so many bytes from the host's order to the network's.
pub(super) fn to_network_order(writer: &mut Writer, bytes: u8) {
    expression(writer, "byteorder", |writer| {
        writer.u32(ORDER_FROM, register(0));
        writer.u32(ORDER_TO, register(0));
        writer.u32(ORDER_OPERATION, TO_NETWORK);
        writer.u32(ORDER_BYTES, bytes.into());
        writer.u32(ORDER_UNIT_BYTES, bytes.into());
    });
}

/// A set or map: by name, and by its number where it is made by the same batch and has no name of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct SetName<'a> {
    pub(super) name: &'a str,
    pub(super) number: Option<u32>,
}

/// What a lookup does with what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    GoesOn,
    Ends,
    IsVerdict,
    IsValue,
}

pub(super) fn lookup(writer: &mut Writer, set: SetName<'_>, found: Found) {
    expression(writer, "lookup", |writer| {
        writer.text(LOOKUP_SET, set.name);
        if let Some(number) = set.number {
            writer.u32(LOOKUP_SET_ID, number);
        }
        writer.u32(LOOKUP_FROM, register(0));
        match found {
            Found::GoesOn => {}
            Found::Ends => writer.u32(LOOKUP_FLAGS, INVERTED),
            Found::IsVerdict => writer.u32(LOOKUP_TO, VERDICT),
            Found::IsValue => writer.u32(LOOKUP_TO, register(0)),
        }
    });
}

pub(super) fn immediate(writer: &mut Writer, word: u32, value: &Value) {
    expression(writer, "immediate", |writer| {
        writer.u32(IMMEDIATE_TO, register(word));
        write_value(writer, IMMEDIATE_DATA, value.as_slice());
    });
}

pub(super) fn verdict(writer: &mut Writer, verdict: &Verdict) {
    expression(writer, "immediate", |writer| {
        writer.u32(IMMEDIATE_TO, VERDICT);
        write_verdict(writer, IMMEDIATE_DATA, verdict);
    });
}

pub(super) fn object(writer: &mut Writer, kind: u32, name: &str) {
    expression(writer, "objref", |writer| {
        writer.u32(OBJECT_TYPE, kind);
        writer.text(OBJECT_NAME, name);
    });
}

pub(super) fn object_of_map(writer: &mut Writer, map: &str) {
    expression(writer, "objref", |writer| {
        writer.u32(OBJECT_FROM, register(0));
        writer.text(OBJECT_MAP, map);
    });
}
