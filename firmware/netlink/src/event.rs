//! What the kernel tells of itself (rtnetlink multicast groups): devices, addresses and routes that come,
//! change and go. After an overrun of the socket events are missing: dump again.

use crate::error::DecodeError;
use crate::message::Message;
use crate::{address, link, route};
use neli::consts::rtnl::Rtm;
use plan::kernel::{Address, Device, Route};

/// The groups that carry all of `Event` (RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE,
/// RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE of linux/rtnetlink.h).
pub const GROUPS: [u32; 5] = [1, 5, 7, 9, 11];

/// Devices and addresses, without routes (RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR).
pub const GROUPS_ADDRESS: [u32; 3] = [1, 5, 9];

/// Something has changed in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A device is there, or is other than before: carrier, MTU, name.
    Device(Device),
    /// A device is gone.
    DeviceGone(Device),
    /// An address was set.
    Address(Address),
    /// An address was removed.
    AddressGone(Address),
    /// A route of ours was set.
    Route(Route),
    /// A route of ours was removed.
    RouteGone(Route),
}

/// The event of a notification; `None` for one that tells of nothing we keep.
///
/// # Errors
/// As `link::decode`, `address::decode` and `route::decode`.
pub fn decode(message: &Message<'_>) -> Result<Option<Event>, DecodeError> {
    Ok(match Rtm::from(message.kind) {
        Rtm::Newlink => link::decode(message)?.map(Event::Device),
        Rtm::Dellink => link::decode(message)?.map(Event::DeviceGone),
        Rtm::Newaddr => address::decode(message)?.map(Event::Address),
        Rtm::Deladdr => address::decode(message)?.map(Event::AddressGone),
        Rtm::Newroute => route::decode(message)?.map(Event::Route),
        Rtm::Delroute => route::decode(message)?.map(Event::RouteGone),
        _ => None,
    })
}
