//! Routes of the main table (RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE of linux/rtnetlink.h). Ours carry
//! a protocol number of their own, so that what the kernel or a person adds is never taken for ours.

use crate::address::family;
use crate::attribute::{Payloads, address_bytes, route_attribute};
use crate::error::{DecodeError, EncodeError};
use crate::message::{Message, Request};
use neli::FromBytesWithInput;
use neli::consts::nl::NlmF;
use neli::consts::rtnl::{RtAddrFamily, RtScope, RtTable, Rta, Rtm, RtmF, Rtn, Rtprot};
use neli::rtnl::{Rtmsg, RtmsgBuilder};
use neli::types::{Buffer, RtBuffer};
use plan::config::Prefix;
use plan::kernel::Route;
use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// RTPROT_POLLUX: `P`, above those that linux/rtnetlink.h reserves (0 to 4) and not among those that
/// iproute2's rt_protos names.
pub const PROTOCOL: u8 = b'P';

/// Asks for all IPv4 routes; answers are for `decode`.
///
/// # Errors
/// None in practice.
pub fn dump_v4() -> Result<Request, EncodeError> {
    dump(RtAddrFamily::Inet)
}

/// Asks for all IPv6 routes; answers are for `decode`.
///
/// # Errors
/// None in practice.
pub fn dump_v6() -> Result<Request, EncodeError> {
    dump(RtAddrFamily::Inet6)
}

/// The kernel filters by table and protocol (strict checking); `decode` checks again.
fn dump(family: RtAddrFamily) -> Result<Request, EncodeError> {
    let body = body(family, 0, Rtn::Unspec, RtBuffer::new())?;
    Request::new("listing routes", Rtm::Getroute, NlmF::DUMP, &body)
}

/// Sets a route, in place of another to the same destination.
///
/// # Errors
/// None in practice.
pub fn add(route: &Route) -> Result<Request, EncodeError> {
    let body = of(route)?;
    Request::new(
        "adding a route",
        Rtm::Newroute,
        NlmF::CREATE | NlmF::REPLACE,
        &body,
    )
}

/// Removes a route; the kernel says ESRCH for one that is not there.
///
/// # Errors
/// None in practice.
pub fn delete(route: &Route) -> Result<Request, EncodeError> {
    Request::new(
        "deleting a route",
        Rtm::Delroute,
        NlmF::empty(),
        &of(route)?,
    )
}

/// The route of an RTM_NEWROUTE or RTM_DELROUTE; `None` for any other message and for a route that is
/// not ours.
///
/// # Errors
/// A message that linux/rtnetlink.h does not allow.
pub fn decode(message: &Message<'_>) -> Result<Option<Route>, DecodeError> {
    if !matches!(Rtm::from(message.kind), Rtm::Newroute | Rtm::Delroute) {
        return Ok(None);
    }
    let mut body = Cursor::new(message.body);
    let info = Rtmsg::from_bytes_with_input(&mut body, message.body.len())
        .map_err(|_| DecodeError("route"))?;
    let ours = *info.rtm_protocol() == Rtprot::from(PROTOCOL)
        && *info.rtm_table() == RtTable::Main
        && *info.rtm_type() == Rtn::Unicast;
    if !ours {
        return Ok(None);
    }
    let attributes = info.rtattrs();
    let everywhere = match info.rtm_family() {
        RtAddrFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        RtAddrFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return Ok(None),
    };
    let address = attributes.address(Rta::Dst).unwrap_or(everywhere);
    // Without a gateway it is none that `add` made.
    Ok(attributes.address(Rta::Gateway).map(|via| Route {
        to: Prefix {
            address,
            length: *info.rtm_dst_len(),
        },
        via,
        index: attributes.u32(Rta::Oif),
    }))
}

fn of(route: &Route) -> Result<Rtmsg, EncodeError> {
    let mut attributes = RtBuffer::new();
    if route.to.length > 0 {
        attributes.push(route_attribute(Rta::Dst, address_bytes(network(route.to)))?);
    }
    attributes.push(route_attribute(Rta::Gateway, address_bytes(route.via))?);
    if let Some(index) = route.index {
        attributes.push(route_attribute(Rta::Oif, index)?);
    }
    body(
        family(route.to.address),
        route.to.length,
        Rtn::Unicast,
        attributes,
    )
}

/// Without host bits: the kernel takes no IPv4 destination with them.
fn network(prefix: Prefix) -> IpAddr {
    let kept = |width: u8| u32::from(width.saturating_sub(prefix.length));
    match prefix.address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(kept(32)).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(kept(128)).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

fn body(
    family: RtAddrFamily,
    length: u8,
    kind: Rtn,
    attributes: RtBuffer<Rta, Buffer>,
) -> Result<Rtmsg, EncodeError> {
    RtmsgBuilder::default()
        .rtm_family(family)
        .rtm_dst_len(length)
        .rtm_src_len(0)
        .rtm_tos(0)
        .rtm_table(RtTable::Main)
        .rtm_protocol(Rtprot::from(PROTOCOL))
        .rtm_scope(RtScope::Universe)
        .rtm_type(kind)
        .rtm_flags(RtmF::empty())
        .rtattrs(attributes)
        .build()
        .map_err(|_| EncodeError("route"))
}

#[cfg(test)]
mod tests;
