//! Short words for what every codec does with attributes: build one, read one. Payloads are read with
//! checks of their own, since neli's string and integer readers trust the length.

use crate::error::EncodeError;
use neli::attr::AttrHandle;
use neli::consts::genl::NlAttrType;
use neli::consts::rtnl::RtaType;
use neli::genl::{AttrTypeBuilder, Nlattr, NlattrBuilder};
use neli::rtnl::{Rtattr, RtattrBuilder};
use neli::types::{Buffer, GenlBuffer, RtBuffer};
use neli::{Size, ToBytes};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An rtnetlink attribute.
pub(crate) fn route_attribute<T, P>(kind: T, payload: P) -> Result<Rtattr<T, Buffer>, EncodeError>
where
    T: RtaType + Size,
    P: Size + ToBytes,
{
    let attribute = RtattrBuilder::default()
        .rta_type(kind)
        .rta_payload(payload)
        .build();
    attribute.map_err(|_| EncodeError("attribute"))
}

/// A generic netlink attribute.
pub(crate) fn generic_attribute<T, P>(kind: T, payload: P) -> Result<Nlattr<T, Buffer>, EncodeError>
where
    T: NlAttrType + Size,
    P: Size + ToBytes,
{
    let failed = EncodeError("attribute");
    let kind = AttrTypeBuilder::default()
        .nla_type(kind)
        .build()
        .map_err(|_| failed)?;
    NlattrBuilder::default()
        .nla_type(kind)
        .nla_payload(payload)
        .build()
        .map_err(|_| failed)
}

/// A generic netlink attribute that holds others.
pub(crate) fn nest<T, S>(
    kind: T,
    inner: impl IntoIterator<Item = Result<Nlattr<S, Buffer>, EncodeError>>,
) -> Result<Nlattr<T, Buffer>, EncodeError>
where
    T: NlAttrType + Size,
    S: NlAttrType,
{
    let mut outer = generic_attribute(kind, Buffer::new())?;
    for attribute in inner {
        outer = outer
            .nest(&attribute?)
            .map_err(|_| EncodeError("nested attribute"))?;
    }
    Ok(outer)
}

/// An address's bytes in network order: 4 or 16.
pub(crate) fn address_bytes(address: IpAddr) -> Buffer {
    match address {
        IpAddr::V4(address) => Buffer::from(address.octets().as_slice()),
        IpAddr::V6(address) => Buffer::from(address.octets().as_slice()),
    }
}

/// An address of 4 or 16 bytes.
pub(crate) fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(bytes)
        .ok()
        .map(|octets| Ipv6Addr::from(octets).into())
}

/// A string up to its NUL.
pub(crate) fn text(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.split(|byte| *byte == 0).next()?;
    core::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// Attributes of a message, to be read by kind, whichever of neli's two families of types they are.
pub(crate) trait Payloads<T> {
    /// The payload of the first one of that kind.
    fn bytes(&self, kind: T) -> Option<&[u8]>;

    /// An integer in host order.
    fn u32(&self, kind: T) -> Option<u32> {
        self.bytes(kind)?.try_into().ok().map(u32::from_ne_bytes)
    }

    /// An integer in host order.
    fn u16(&self, kind: T) -> Option<u16> {
        self.bytes(kind)?.try_into().ok().map(u16::from_ne_bytes)
    }

    /// An integer in network order, for ports.
    fn u16_be(&self, kind: T) -> Option<u16> {
        self.bytes(kind)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// An IPv4 or IPv6 address by its length.
    fn address(&self, kind: T) -> Option<IpAddr> {
        address_of(self.bytes(kind)?)
    }

    /// A string.
    fn text(&self, kind: T) -> Option<String> {
        text(self.bytes(kind)?)
    }
}

impl<T: RtaType> Payloads<T> for RtBuffer<T, Buffer> {
    fn bytes(&self, kind: T) -> Option<&[u8]> {
        let found = self
            .iter()
            .find(|attribute| *attribute.rta_type() == kind)?;
        Some(found.rta_payload().as_ref())
    }
}

impl<T: NlAttrType> Payloads<T> for AttrHandle<'_, GenlBuffer<T, Buffer>, Nlattr<T, Buffer>> {
    fn bytes(&self, kind: T) -> Option<&[u8]> {
        let found = self
            .iter()
            .find(|attribute| *attribute.nla_type().nla_type() == kind)?;
        Some(found.nla_payload().as_ref())
    }
}
