//! The record of an expectation. Its key is what its first packet looks like, with the mask of that; its value opens
//! with a byte that says what follows.

use super::bytes::{Error, Reader, is_name, put_address, put_name, put_tuple};
use crate::conntrack::{Addresses, ExpectationRef, Tuple, Zone};
use std::net::IpAddr;

const HAS_NAT: u8 = 1 << 0;
/// It is the reply direction that is translated; only with `HAS_NAT`.
const IS_NAT_OF_REPLY: u8 = 1 << 1;
const HAS_HELPER: u8 = 1 << 2;
const HAS_FUNCTION: u8 = 1 << 3;
const HEAD_MASK: u8 = 0b1111;

/// NF_CT_EXPECT_MASK: what the kernel takes.
const FLAGS_MASK: u8 = 0b111;

/// Appends the key.
pub(super) fn encode_key(bytes: &mut Vec<u8>, expectation: &ExpectationRef<'_>) {
    put_tuple(bytes, &expectation.tuple, Zone::DEFAULT);
    put_address(bytes, expectation.mask_source);
    bytes.extend_from_slice(&expectation.mask_port.to_be_bytes());
}

/// Appends the value.
pub(super) fn encode_value(bytes: &mut Vec<u8>, expectation: &ExpectationRef<'_>) {
    let nat = match expectation.nat {
        None => 0,
        Some((false, _)) => HAS_NAT,
        Some((true, _)) => HAS_NAT | IS_NAT_OF_REPLY,
    };
    let helper = expectation.helper.filter(|name| is_name(name));
    let function = expectation.function.filter(|name| is_name(name));
    let helper_bit = helper.map_or(0, |_| HAS_HELPER);
    let function_bit = function.map_or(0, |_| HAS_FUNCTION);
    let [.., flags] = expectation.flags.to_be_bytes();
    bytes.extend_from_slice(&[nat | helper_bit | function_bit, flags & FLAGS_MASK]);
    bytes.extend_from_slice(&expectation.class.to_be_bytes());
    put_tuple(bytes, &expectation.master, Zone::DEFAULT);
    if let Some((_, tuple)) = expectation.nat {
        put_tuple(bytes, &tuple, Zone::DEFAULT);
    }
    for name in [helper, function].into_iter().flatten() {
        put_name(bytes, name);
    }
}

/// The expectation that a key names: its tuple, and the mask of its source address and port.
///
/// # Errors
/// A key that this version does not write.
pub fn decode_expectation_key(key: &[u8]) -> Result<(Tuple, IpAddr, u16), Error> {
    let mut reader = Reader(key);
    let tuple = reader.plain_tuple()?;
    let is_v6 = matches!(tuple.addresses, Addresses::V6 { .. });
    let mask_source = reader.address(is_v6)?;
    let mask_port = reader.u16("a mask")?;
    reader.end()?;
    Ok((tuple, mask_source, mask_port))
}

/// The expectation of a record, without its timeout.
///
/// # Errors
/// A record that this version does not write.
pub fn decode_expectation<'a>(key: &[u8], value: &'a [u8]) -> Result<ExpectationRef<'a>, Error> {
    let (tuple, mask_source, mask_port) = decode_expectation_key(key)?;
    let mut reader = Reader(value);
    let head = reader.u8("a value")?;
    let flags = reader.u8("flags")?;
    let is_orphan = head & (HAS_NAT | IS_NAT_OF_REPLY) == IS_NAT_OF_REPLY;
    if head & !HEAD_MASK != 0 || is_orphan || flags & !FLAGS_MASK != 0 {
        return Err(Error::Value("head of an expectation"));
    }
    let class = reader.u32("a class")?;
    let master = reader.plain_tuple()?;
    let nat = match head & HAS_NAT {
        0 => None,
        _ => Some((head & IS_NAT_OF_REPLY != 0, reader.plain_tuple()?)),
    };
    let helper = match head & HAS_HELPER {
        0 => None,
        _ => Some(reader.name()?),
    };
    let function = match head & HAS_FUNCTION {
        0 => None,
        _ => Some(reader.name()?),
    };
    reader.end()?;
    Ok(ExpectationRef {
        tuple,
        mask_source,
        mask_port,
        master,
        nat,
        timeout_s: 0,
        flags: flags.into(),
        class,
        helper,
        function,
    })
}
