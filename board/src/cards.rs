//! Cards that stand in for those of a box that is not here, so that its ruleset can be made. The tests of the firewall,
//! which load that ruleset, give the box's cards the same names.

use plan::config::{Config, Device as Identity, Interface};
use plan::kernel::Device;

/// The cards of a node, all of them up; those known by MAC address are called as their interface.
pub(crate) fn cards(config: &Config, node: usize) -> Vec<Device> {
    let attached = config.interfaces.iter().filter_map(|interface| {
        let attachment = interface.on.get(node)?.as_ref()?;
        Some((interface, &attachment.device))
    });
    let card = |(index, (interface, identity)): (u32, (&Interface, &Identity))| Device {
        index,
        name: match identity {
            Identity::Name(name) => name.clone(),
            Identity::Mac(_) => interface.name.clone(),
        },
        mac: match identity {
            Identity::Name(_) => [0; 6],
            Identity::Mac(mac) => *mac,
        },
        permanent_mac: None,
        up: true,
        carrier: true,
        mtu_bytes: 1500,
    };
    (2..).zip(attached).map(card).collect()
}
