//! Addresses on devices (RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR of linux/if_addr.h).

use crate::attribute::{Payloads, address_bytes, route_attribute};
use crate::error::{DecodeError, EncodeError};
use crate::message::{Message, Request};
use neli::FromBytesWithInput;
use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Ifa, IfaF, RtAddrFamily, RtScope, Rtm};
use neli::rtnl::{Ifaddrmsg, IfaddrmsgBuilder};
use neli::types::{Buffer, RtBuffer};
use plan::config::Prefix;
use plan::kernel::Address;
use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr};

/// Asks for all addresses, IPv4 and IPv6; answers are for `decode`.
///
/// # Errors
/// None in practice.
pub fn dump() -> Result<Request, EncodeError> {
    let body = body(
        RtAddrFamily::Unspecified,
        0,
        0,
        IfaF::empty(),
        RtBuffer::new(),
    )?;
    Request::new("listing addresses", Rtm::Getaddr, NlmF::DUMP, &body)
}

/// Sets an address, with the broadcast address of its network for IPv4 and without duplicate address
/// detection for IPv6 (who holds an address is decided before, and a second of silence is not ours to
/// spend). One that is set already is as good.
///
/// # Errors
/// None in practice.
pub fn add(address: &Address) -> Result<Request, EncodeError> {
    set(address, local(address, broadcast(address.prefix))?)
}

/// The same for a virtual address, which must never be the source of what the box itself says: IPv6 would prefer it
/// when it resembles the destination most (RFC 6724, rule 8), so it is deprecated from the start (rule 3). IPv4 takes
/// the first address of a network.
///
/// # Errors
/// None in practice.
pub fn add_virtual(address: &Address) -> Result<Request, EncodeError> {
    let mut attributes = local(address, broadcast(address.prefix))?;
    if address.prefix.address.is_ipv6() {
        attributes.push(route_attribute(Ifa::Cacheinfo, deprecated())?);
    }
    set(address, attributes)
}

/// `struct ifa_cacheinfo`: preferred for no time, valid for ever.
fn deprecated() -> Buffer {
    let (preferred_s, valid_s) = (0, u32::MAX);
    let fields: [u32; 4] = [preferred_s, valid_s, 0, 0];
    let bytes: Vec<u8> = fields.into_iter().flat_map(u32::to_ne_bytes).collect();
    bytes.into()
}

fn set(address: &Address, attributes: RtBuffer<Ifa, Buffer>) -> Result<Request, EncodeError> {
    let flags = if address.prefix.address.is_ipv6() {
        IfaF::NODAD
    } else {
        IfaF::empty()
    };
    let (family, length) = (family(address.prefix.address), address.prefix.length);
    let body = body(family, length, address.index, flags, attributes)?;
    Request::new(
        "adding an address",
        Rtm::Newaddr,
        NlmF::CREATE | NlmF::REPLACE,
        &body,
    )
}

/// Removes an address; the kernel says EADDRNOTAVAIL for one that is not set.
///
/// # Errors
/// None in practice.
pub fn delete(address: &Address) -> Result<Request, EncodeError> {
    let (family, length) = (family(address.prefix.address), address.prefix.length);
    let body = body(
        family,
        length,
        address.index,
        IfaF::empty(),
        local(address, None)?,
    )?;
    Request::new("deleting an address", Rtm::Deladdr, NlmF::empty(), &body)
}

/// The address of an RTM_NEWADDR or RTM_DELADDR; `None` for any other message and for addresses that
/// are not of global scope (loopback, link-local).
///
/// # Errors
/// A message that linux/if_addr.h does not allow.
pub fn decode(message: &Message<'_>) -> Result<Option<Address>, DecodeError> {
    if !matches!(Rtm::from(message.kind), Rtm::Newaddr | Rtm::Deladdr) {
        return Ok(None);
    }
    let mut body = Cursor::new(message.body);
    let info = Ifaddrmsg::from_bytes_with_input(&mut body, message.body.len())
        .map_err(|_| DecodeError("address"))?;
    if *info.ifa_scope() != RtScope::Universe {
        return Ok(None);
    }
    // IFA_ADDRESS is the far end on point-to-point devices; IFA_LOCAL is ours where it is given.
    let attributes = info.rtattrs();
    let address = attributes
        .address(Ifa::Local)
        .or_else(|| attributes.address(Ifa::Address));
    let address = address.ok_or(DecodeError("address"))?;
    let prefix = Prefix {
        address,
        length: *info.ifa_prefixlen(),
    };
    Ok(Some(Address {
        index: *info.ifa_index(),
        prefix,
    }))
}

/// The address as both ends of the link, and its network's broadcast address.
fn local(
    address: &Address,
    broadcast: Option<Ipv4Addr>,
) -> Result<RtBuffer<Ifa, Buffer>, EncodeError> {
    let own = |kind| route_attribute(kind, address_bytes(address.prefix.address));
    let broadcast = broadcast.map(|to| route_attribute(Ifa::Broadcast, to.octets()));
    let attributes = [Some(own(Ifa::Local)), broadcast, Some(own(Ifa::Address))];
    attributes
        .into_iter()
        .flatten()
        .collect::<Result<Vec<_>, _>>()
        .map(RtBuffer::from_iter)
}

/// Every host bit set; none for IPv6 and where there are no host bits to set (RFC 3021).
fn broadcast(prefix: Prefix) -> Option<Ipv4Addr> {
    match prefix.address {
        IpAddr::V4(address) if prefix.length < 31 => {
            let hosts = u32::MAX.checked_shr(prefix.length.into()).unwrap_or(0);
            Some(Ipv4Addr::from_bits(address.to_bits() | hosts))
        }
        _ => None,
    }
}

pub(crate) fn family(address: IpAddr) -> RtAddrFamily {
    if address.is_ipv4() {
        RtAddrFamily::Inet
    } else {
        RtAddrFamily::Inet6
    }
}

fn body(
    family: RtAddrFamily,
    length: u8,
    index: u32,
    flags: IfaF,
    attributes: RtBuffer<Ifa, Buffer>,
) -> Result<Ifaddrmsg, EncodeError> {
    IfaddrmsgBuilder::default()
        .ifa_family(family)
        .ifa_prefixlen(length)
        .ifa_flags(flags)
        .ifa_scope(RtScope::Universe)
        .ifa_index(index)
        .rtattrs(attributes)
        .build()
        .map_err(|_| EncodeError("address"))
}

#[cfg(test)]
mod tests;
