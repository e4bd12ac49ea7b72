//! Netlink attributes (`struct nlattr`) as they lie in a message, read and written without an allocation: the
//! kernel may tell of 200,000 flows a second. Integers are in network order, as all of ctnetlink's and
//! nf_tables' are.

use crate::error::DecodeError;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Bytes of `struct nlattr`: length and type.
const HEADER_BYTES: usize = 4;

/// NLA_F_NESTED.
const NESTED: u16 = 1 << 15;

/// Without NLA_F_NESTED and NLA_F_NET_BYTEORDER.
const TYPE_MASK: u16 = 0x3fff;

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attribute<'a> {
    pub(crate) kind: u16,
    pub(crate) payload: &'a [u8],
}

/// The attributes that lie in `bytes`, one behind the other. One that lies about its length ends them with
/// an error.
pub(crate) fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes(bytes)
}

/// Made by `attributes`.
pub(crate) struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let Some((attribute, rest)) = split(self.0) else {
            self.0 = &[];
            return Some(Err(DecodeError("attribute length")));
        };
        self.0 = rest;
        Some(Ok(attribute))
    }
}

fn split(bytes: &[u8]) -> Option<(Attribute<'_>, &[u8])> {
    let (&[l0, l1, k0, k1], _) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let length = usize::from(u16::from_ne_bytes([l0, l1]));
    let attribute = Attribute {
        kind: u16::from_ne_bytes([k0, k1]) & TYPE_MASK,
        payload: bytes.get(HEADER_BYTES..length)?,
    };
    // The last one need not be padded.
    let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((attribute, rest))
}

impl<'a> Attribute<'a> {
    /// Exactly so many bytes.
    pub(crate) fn bytes<const N: usize>(&self) -> Result<[u8; N], DecodeError> {
        <[u8; N]>::try_from(self.payload).map_err(|_| DecodeError("attribute size"))
    }

    pub(crate) fn u8(&self) -> Result<u8, DecodeError> {
        self.bytes().map(|[byte]| byte)
    }

    pub(crate) fn u16(&self) -> Result<u16, DecodeError> {
        self.bytes().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&self) -> Result<u32, DecodeError> {
        self.bytes().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&self) -> Result<u64, DecodeError> {
        self.bytes().map(u64::from_be_bytes)
    }

    pub(crate) fn v4(&self) -> Result<Ipv4Addr, DecodeError> {
        self.bytes::<4>().map(Ipv4Addr::from)
    }

    pub(crate) fn v6(&self) -> Result<Ipv6Addr, DecodeError> {
        self.bytes::<16>().map(Ipv6Addr::from)
    }

    /// A string up to its NUL.
    pub(crate) fn text(&self) -> Result<&'a str, DecodeError> {
        let bytes = self.payload.split(|byte| *byte == 0).next();
        core::str::from_utf8(bytes.unwrap_or_default()).map_err(|_| DecodeError("attribute text"))
    }

    /// The attributes in this one.
    pub(crate) fn nested(&self) -> Attributes<'a> {
        attributes(self.payload)
    }
}

/// Appends an attribute.
pub(crate) fn put(bytes: &mut Vec<u8>, kind: u16, payload: &[u8]) {
    put_header(bytes, kind, payload.len());
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// Appends a string and its NUL.
pub(crate) fn put_text(bytes: &mut Vec<u8>, kind: u16, text: &str) {
    put_header(bytes, kind, text.len() + 1);
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// Appends an attribute that holds what `inner` appends.
pub(crate) fn put_nest(bytes: &mut Vec<u8>, kind: u16, inner: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    put_header(bytes, kind | NESTED, 0);
    inner(bytes);
    let length = field(bytes.len() - start);
    if let Some(place) = bytes.get_mut(start..start + 2) {
        place.copy_from_slice(&length.to_ne_bytes());
    }
}

fn put_header(bytes: &mut Vec<u8>, kind: u16, payload_bytes: usize) {
    let length = field(HEADER_BYTES + payload_bytes);
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
}

/// No flow takes more than some hundred bytes, far from the 64 KiB of the field.
fn field(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}
