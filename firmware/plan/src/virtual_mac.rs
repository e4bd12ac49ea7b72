//! Virtual MAC addresses: with them a takeover moves a hardware address from one switch port to another, and
//! no neighbour has anything to learn anew. The virtual addresses of an interface then live on a device of
//! their own above its card (macvlan), with a MAC address that is the same on both boxes. Pure.

use crate::config::Config;
use crate::desired::device_of;
use crate::kernel::Device;
use alloc::format;
use alloc::string::String;
use sha2::{Digest, Sha256};

/// What the names of such devices begin with; no card may be called so.
pub const PREFIX: &str = "vmac";

/// A device that bears the virtual addresses of one interface, as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer<'a> {
    /// Tells interface and card: another card has another one. At most 15 characters, as the kernel wants it.
    pub name: String,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// The card below it.
    pub card: &'a Device,
}

/// The device that bears the virtual addresses of the interface at position `interface`, on node `node`;
/// `None` without virtual MAC addresses, without a virtual address there, or while there is no card.
#[must_use]
pub fn bearer<'a>(
    config: &Config,
    node: usize,
    interface: usize,
    devices: &'a [Device],
) -> Option<Bearer<'a>> {
    let mut virtual_addresses = config.virtual_addresses.iter();
    let is_wanted = config.virtual_mac
        && virtual_addresses.any(|address| usize::from(address.interface) == interface);
    let card = device_of(config, node, interface, devices).filter(|_| is_wanted)?;
    Some(Bearer {
        name: format!("{PREFIX}{interface}-{}", card.index),
        mac: mac(config, interface),
        card,
    })
}

/// The device that the virtual addresses of an interface are set on: its bearer where there is one, else
/// its card.
#[must_use]
pub fn seat_of<'a>(
    config: &Config,
    node: usize,
    interface: usize,
    devices: &'a [Device],
) -> Option<&'a Device> {
    let bearer = bearer(config, node, interface, devices)
        .and_then(|bearer| devices.iter().find(|device| device.name == bearer.name));
    bearer.or_else(|| device_of(config, node, interface, devices))
}

/// Unicast and locally administered (IEEE 802c), of the cluster's name and the interface's position: clusters
/// that share a segment have different ones, and so have two interfaces on one switch.
fn mac(config: &Config, interface: usize) -> [u8; 6] {
    let digest = Sha256::digest(config.cluster.name.as_bytes());
    let [a, b, c, d, ..]: [u8; 32] = digest.into();
    // At most `validate::INTERFACES_MAX` interfaces.
    let position = u8::try_from(interface).unwrap_or(u8::MAX);
    [0x02, a, b, c, d, position]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::samples::{devices, pair};

    #[test]
    fn both_boxes_bear_the_same_address_and_neighbours_another() {
        let mut config = pair();
        assert_eq!(bearer(&config, 0, 0, &devices()), None);
        config.virtual_mac = true;
        let devices = devices();
        let wan = bearer(&config, 0, 0, &devices).unwrap();
        assert_eq!((wan.name.as_str(), wan.card.index), ("vmac0-2", 2));
        assert_eq!(wan.mac[0] & 3, 2, "unicast, local");
        assert_eq!(mac(&config, 0), wan.mac);
        assert_ne!(bearer(&config, 0, 1, &devices).unwrap().mac, wan.mac);
        // The sync network has no virtual address.
        assert_eq!(bearer(&config, 0, 2, &devices), None);
        config.cluster.name = "neighbours".into();
        assert_ne!(mac(&config, 0), wan.mac);
    }

    #[test]
    fn addresses_sit_on_the_card_until_their_bearer_is_there() {
        let mut config = pair();
        config.virtual_mac = true;
        let mut devices = devices();
        let seat = |devices: &[Device]| seat_of(&config, 0, 0, devices).map(|seat| seat.index);
        assert_eq!(seat(&devices), Some(2));
        devices.push(Device {
            index: 9,
            name: "vmac0-2".into(),
            mac: [2; 6],
            ..devices[0].clone()
        });
        assert_eq!(seat(&devices), Some(9));
        assert_eq!(seat(&devices[1..]), None);
    }
}
