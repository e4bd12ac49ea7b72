//! Network devices (RTM_GETLINK, RTM_NEWLINK, RTM_DELLINK of linux/if_link.h): list them, bring one up or
//! down, set its MTU, forget who was behind it, put one with another hardware address above a card (macvlan), and
//! make a cable with both its ends in this box (veth).

use crate::attribute::{Payloads, route_attribute};
use crate::error::{DecodeError, EncodeError};
use crate::message::{Message, Request};
use neli::FromBytesWithInput;
use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Iff, Ifla, RtAddrFamily, Rtm};
use neli::rtnl::{Ifinfomsg, IfinfomsgBuilder};
use neli::types::{Buffer, RtBuffer};
use plan::kernel::Device;
use std::io::Cursor;

/// IFLA_INFO_KIND, IFLA_INFO_DATA, and within it IFLA_MACVLAN_MODE or VETH_INFO_PEER.
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const MACVLAN_MODE: u16 = 1;
const VETH_PEER: u16 = 1;

/// AF_INET, for which IFLA_AF_SPEC may hold settings.
const IPV4: u16 = 2;

/// Bytes of `struct ifinfomsg`, all 0 where a device is to be made.
const HEADER_BYTES: usize = 16;

/// MACVLAN_MODE_PRIVATE: what comes in from outside by the device's own hardware address, as the other box
/// sends it, is not taken for ours.
const MODE_PRIVATE: u32 = 1;

/// RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h: counters would be half of each answer.
const SKIP_STATS: u32 = 1 << 3;

/// Asks for all devices; answers are for `decode`.
///
/// # Errors
/// None in practice.
pub fn dump() -> Result<Request, EncodeError> {
    let mask = route_attribute(Ifla::ExtMask, SKIP_STATS)?;
    let body = header(0)?.rtattrs(RtBuffer::from_iter([mask])).build();
    let body = body.map_err(|_| EncodeError("device"))?;
    Request::new("listing devices", Rtm::Getlink, NlmF::DUMP, &body)
}

/// Sets IFF_UP, and the MTU where one is given (bytes).
///
/// # Errors
/// None in practice.
pub fn set_up(index: u32, mtu_bytes: Option<u32>) -> Result<Request, EncodeError> {
    let mut attributes = RtBuffer::new();
    if let Some(mtu_bytes) = mtu_bytes {
        attributes.push(route_attribute(Ifla::Mtu, mtu_bytes)?);
    }
    let body = header(index)?.up().rtattrs(attributes).build();
    let body = body.map_err(|_| EncodeError("device"))?;
    Request::new("bringing up a device", Rtm::Newlink, NlmF::empty(), &body)
}

/// Clears IFF_UP: the device answers no more, and loses its IPv6 addresses.
///
/// # Errors
/// None in practice.
pub fn set_down(index: u32) -> Result<Request, EncodeError> {
    let body = header(index)?.down().build();
    let body = body.map_err(|_| EncodeError("device"))?;
    Request::new("taking down a device", Rtm::Newlink, NlmF::empty(), &body)
}

/// Has the kernel look at the device as it does when the carrier changes (NETDEV_CHANGE; `arp_netdev_event` in
/// net/ipv4/arp.c, `ndisc_netdev_event` in net/ipv6/ndisc.c). Without carrier it forgets all neighbours there but
/// permanent ones, and drops without a word what waits for them: to delete them one by one would tell senders that
/// they can't be reached. With carrier it forgets none. What makes it look are settings of IPv4 without any in them.
///
/// # Errors
/// None in practice.
pub fn forget_neighbours(index: u32) -> Result<Request, EncodeError> {
    let settings = route_attribute(Ifla::AfSpec, Buffer::from(nested(IPV4, &[])))?;
    let body = header(index)?
        .rtattrs(RtBuffer::from_iter([settings]))
        .build();
    let body = body.map_err(|_| EncodeError("device"))?;
    Request::new("forgetting neighbours", Rtm::Newlink, NlmF::empty(), &body)
}

/// Makes a macvlan device above the card of that index, down.
///
/// # Errors
/// None in practice.
pub fn add_macvlan(name: &str, card: u32, mac: [u8; 6]) -> Result<Request, EncodeError> {
    let mode = nested(MACVLAN_MODE, &MODE_PRIVATE.to_ne_bytes());
    let information = [nested(INFO_KIND, b"macvlan"), nested(INFO_DATA, &mode)].concat();
    let attributes = [
        route_attribute(Ifla::Address, Buffer::from(mac.as_slice()))?,
        route_attribute(Ifla::Link, card)?,
        route_attribute(Ifla::Ifname, name)?,
        route_attribute(Ifla::Linkinfo, Buffer::from(information))?,
    ];
    let body = header(0)?.rtattrs(RtBuffer::from_iter(attributes)).build();
    let body = body.map_err(|_| EncodeError("device"))?;
    let flags = NlmF::CREATE | NlmF::EXCL;
    Request::new(
        "making a device for a virtual MAC",
        Rtm::Newlink,
        flags,
        &body,
    )
}

/// Makes a pair of devices, down, of which either receives what the other sends.
///
/// # Errors
/// None in practice.
pub fn add_veth(name: &str, peer: &str) -> Result<Request, EncodeError> {
    let peer = [peer.as_bytes(), &[0]].concat();
    let mut far_end = vec![0; HEADER_BYTES];
    far_end.extend(nested(Ifla::Ifname.into(), &peer));
    let data = nested(VETH_PEER, &far_end);
    let information = [nested(INFO_KIND, b"veth"), nested(INFO_DATA, &data)].concat();
    let attributes = [
        route_attribute(Ifla::Ifname, name)?,
        route_attribute(Ifla::Linkinfo, Buffer::from(information))?,
    ];
    let body = header(0)?.rtattrs(RtBuffer::from_iter(attributes)).build();
    let body = body.map_err(|_| EncodeError("device"))?;
    let flags = NlmF::CREATE | NlmF::EXCL;
    Request::new("making a pair of devices", Rtm::Newlink, flags, &body)
}

/// Removes a device that was made.
///
/// # Errors
/// None in practice.
pub fn delete(index: u32) -> Result<Request, EncodeError> {
    let body = header(index)?.build().map_err(|_| EncodeError("device"))?;
    Request::new("removing a device", Rtm::Dellink, NlmF::empty(), &body)
}

/// An attribute within another: length, kind, payload, padding. Payloads here have some ten bytes.
fn nested(kind: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + payload.len()).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn header(index: u32) -> Result<IfinfomsgBuilder, EncodeError> {
    let index = i32::try_from(index).map_err(|_| EncodeError("device index"))?;
    Ok(IfinfomsgBuilder::default()
        .ifi_family(RtAddrFamily::Unspecified)
        .ifi_index(index))
}

/// The device of an RTM_NEWLINK or RTM_DELLINK; `None` for any other message and for the device parts
/// that bridges send for their ports.
///
/// # Errors
/// A message that linux/if_link.h does not allow.
pub fn decode(message: &Message<'_>) -> Result<Option<Device>, DecodeError> {
    if !matches!(Rtm::from(message.kind), Rtm::Newlink | Rtm::Dellink) {
        return Ok(None);
    }
    let mut body = Cursor::new(message.body);
    let info = Ifinfomsg::from_bytes_with_input(&mut body, message.body.len())
        .map_err(|_| DecodeError("device"))?;
    if *info.ifi_family() != RtAddrFamily::Unspecified {
        return Ok(None);
    }
    let attributes = info.rtattrs();
    let mac = |kind| {
        attributes
            .bytes(kind)
            .and_then(|bytes| <[u8; 6]>::try_from(bytes).ok())
    };
    Ok(Some(Device {
        index: u32::try_from(*info.ifi_index()).map_err(|_| DecodeError("device index"))?,
        name: attributes
            .text(Ifla::Ifname)
            .ok_or(DecodeError("device name"))?,
        mac: mac(Ifla::Address).unwrap_or_default(),
        permanent_mac: mac(Ifla::PermAddress),
        up: info.ifi_flags().contains(Iff::UP),
        carrier: info.ifi_flags().contains(Iff::LOWERUP),
        mtu_bytes: attributes.u32(Ifla::Mtu).unwrap_or(0),
    }))
}

#[cfg(test)]
mod tests;
