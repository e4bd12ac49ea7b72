//! Network devices (RTM_GETLINK, RTM_NEWLINK, RTM_DELLINK of linux/if_link.h): list them, bring one up or
//! down, set its MTU, and put one with another hardware address above a card (macvlan).

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

/// IFLA_INFO_KIND, IFLA_INFO_DATA and IFLA_MACVLAN_MODE.
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const MACVLAN_MODE: u16 = 1;

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
        mac: mac(Ifla::PermAddress)
            .or(mac(Ifla::Address))
            .unwrap_or_default(),
        up: info.ifi_flags().contains(Iff::UP),
        carrier: info.ifi_flags().contains(Iff::LOWERUP),
        mtu_bytes: attributes.u32(Ifla::Mtu).unwrap_or(0),
    }))
}

#[cfg(test)]
mod tests;
