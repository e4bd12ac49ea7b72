//! Network devices (RTM_GETLINK, RTM_NEWLINK of linux/if_link.h): list them, bring one up, set its MTU.

use crate::attribute::{Payloads, route_attribute};
use crate::error::{DecodeError, EncodeError};
use crate::message::{Message, Request};
use neli::FromBytesWithInput;
use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Iff, Ifla, RtAddrFamily, Rtm};
use neli::rtnl::{Ifinfomsg, IfinfomsgBuilder};
use neli::types::RtBuffer;
use plan::kernel::Device;
use std::io::Cursor;

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
