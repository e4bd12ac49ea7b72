//! A flow that a helper expects (FTP's data connection, SIP's media), as the kernel tells of it
//! (`ctnetlink_exp_dump_expect`). The kernel does not tell its zone, so it is the default one.

use super::tuple::{self, Ports, Tuple};
use crate::error::DecodeError;
use crate::netfilter::{Attribute, Attributes};
use std::net::IpAddr;

/// enum ctattr_expect.
pub(super) const MASTER: u16 = 1;
pub(super) const TUPLE: u16 = 2;
pub(super) const MASK: u16 = 3;
pub(super) const TIMEOUT: u16 = 4;
pub(super) const HELP_NAME: u16 = 6;
pub(super) const FLAGS: u16 = 8;
pub(super) const CLASS: u16 = 9;
pub(super) const NAT: u16 = 10;
pub(super) const FUNCTION: u16 = 11;

/// enum ctattr_expect_nat.
pub(super) const NAT_DIRECTION: u16 = 1;
pub(super) const NAT_TUPLE: u16 = 2;

/// An expected flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectationRef<'a> {
    /// What its first packet will look like.
    pub tuple: Tuple,
    /// Which bits of the source address count; of the destination all do.
    pub mask_source: IpAddr,
    /// Which bits of the source port count; of the destination port all do.
    pub mask_port: u16,
    /// The flow whose helper expects it, in its original direction.
    pub master: Tuple,
    /// Whether it is the reply direction that is translated, and to what its source is.
    pub nat: Option<(bool, Tuple)>,
    /// Seconds that it is waited for.
    pub timeout_s: u32,
    /// NF_CT_EXPECT_*.
    pub flags: u32,
    /// Class of the helper's policy.
    pub class: u32,
    /// Name of the helper.
    pub helper: Option<&'a str>,
    /// Name of the function that sets up its NAT.
    pub function: Option<&'a str>,
}

#[derive(Default)]
struct Parts<'a> {
    tuple: Option<Tuple>,
    mask: Option<Tuple>,
    master: Option<Tuple>,
    nat: Option<(bool, Tuple)>,
    timeout_s: u32,
    flags: u32,
    class: u32,
    helper: Option<&'a str>,
    function: Option<&'a str>,
}

/// The expectation of a message's attributes.
pub(super) fn decode(attributes: Attributes<'_>) -> Result<ExpectationRef<'_>, DecodeError> {
    let mut parts = Parts::default();
    for attribute in attributes {
        parts.take(&attribute?)?;
    }
    let tuple = parts
        .tuple
        .ok_or(DecodeError("expectation without a tuple"))?;
    let mask = parts
        .mask
        .ok_or(DecodeError("expectation without a mask"))?;
    let master = parts
        .master
        .ok_or(DecodeError("expectation without a master"))?;
    let Ports::Ports { source, .. } = mask.ports else {
        return Err(DecodeError("mask of an expectation"));
    };
    if mask.family() != tuple.family() {
        return Err(DecodeError("mask of an expectation"));
    }
    Ok(ExpectationRef {
        tuple,
        mask_source: mask.source(),
        mask_port: source,
        master,
        nat: parts.nat,
        timeout_s: parts.timeout_s,
        flags: parts.flags,
        class: parts.class,
        helper: parts.helper,
        function: parts.function,
    })
}

impl<'a> Parts<'a> {
    fn take(&mut self, attribute: &Attribute<'a>) -> Result<(), DecodeError> {
        match attribute.kind {
            TUPLE => self.tuple = Some(tuple::decode(attribute)?.0),
            MASK => self.mask = Some(tuple::decode(attribute)?.0),
            MASTER => self.master = Some(tuple::decode(attribute)?.0),
            NAT => self.nat = Some(decode_nat(attribute)?),
            TIMEOUT => self.timeout_s = attribute.u32()?,
            FLAGS => self.flags = attribute.u32()?,
            CLASS => self.class = attribute.u32()?,
            HELP_NAME => self.helper = Some(attribute.text()?),
            FUNCTION => self.function = Some(attribute.text()?),
            _ => {}
        }
        Ok(())
    }
}

fn decode_nat(nest: &Attribute<'_>) -> Result<(bool, Tuple), DecodeError> {
    let (mut is_reply, mut tuple) = (None, None);
    for attribute in nest.nested() {
        let attribute = attribute?;
        match attribute.kind {
            NAT_DIRECTION => is_reply = Some(attribute.u32()? != 0),
            NAT_TUPLE => tuple = Some(tuple::decode(&attribute)?.0),
            _ => {}
        }
    }
    is_reply
        .zip(tuple)
        .ok_or(DecodeError("NAT of an expectation"))
}
