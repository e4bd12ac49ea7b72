//! The devices that bear virtual addresses under a virtual MAC (`plan::virtual_mac`): made above their cards,
//! up while this box is active and down otherwise, so that two boxes never take frames for one MAC address.

use netlink::{EncodeError, Request};
use plan::config::Config;
use plan::kernel::Device;
use plan::virtual_mac::{self, Bearer};
use std::path::Path;
use sys::netlink::{Error, Netlink};

/// What the kernel is told about each, as it is made: paths below `/proc/sys/net`, with the name for `*`.
/// The rest it takes over from `all`.
const SETTINGS: [(&str, &str); 6] = [
    // No link-local address: the other box would have the same.
    ("ipv6/conf/*/addr_gen_mode", "1"),
    ("ipv6/conf/*/accept_ra", "0"),
    // What comes in here goes out by the card.
    ("ipv4/conf/*/rp_filter", "2"),
    ("ipv4/conf/*/arp_ignore", "1"),
    // It asks with its own addresses alone: neighbours would seek the box's own ones here otherwise.
    ("ipv4/conf/*/arp_announce", "2"),
    ("ipv4/conf/*/send_redirects", "0"),
];

/// A device that exists, with the requests made beforehand.
pub struct Raised {
    name: String,
    is_up: bool,
    raise: Request,
    lower: Request,
    remove: Request,
}

impl Raised {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As the kernel last told.
    pub fn is_up(&self) -> bool {
        self.is_up
    }

    /// The request that sets it up, with its card's MTU.
    pub fn raise(&self) -> &Request {
        &self.raise
    }

    /// The request that takes it down: from then on nothing there is answered.
    pub fn lower(&self) -> &Request {
        &self.lower
    }

    /// The request that removes it for good.
    pub fn remove(&self) -> &Request {
        &self.remove
    }
}

/// Those that exist.
pub fn existing(
    config: &Config,
    node: usize,
    devices: &[Device],
) -> Result<Vec<Raised>, EncodeError> {
    let existing = wanted(config, node, devices).filter_map(|bearer| {
        let device = devices.iter().find(|device| device.name == bearer.name)?;
        Some((bearer, device))
    });
    let raised = existing.map(|(bearer, device)| {
        Ok(Raised {
            is_up: device.up,
            raise: netlink::link::set_up(device.index, Some(bearer.card.mtu_bytes))?,
            lower: netlink::link::set_down(device.index)?,
            remove: netlink::link::delete(device.index)?,
            name: bearer.name,
        })
    });
    raised.collect()
}

/// Makes those that are missing, or have another MAC address than they should. Returns whether any was made;
/// where one can't be, its addresses are set on the card itself.
pub fn make_missing(
    route: &mut Netlink,
    config: &Config,
    node: usize,
    devices: &[Device],
) -> Result<bool, Error> {
    let mut made = false;
    for bearer in wanted(config, node, devices) {
        match devices.iter().find(|device| device.name == bearer.name) {
            Some(device) if device.mac == bearer.mac => continue,
            Some(stale) => route.execute(&netlink::link::delete(stale.index)?)?,
            None => {}
        }
        let Bearer { name, mac, card } = bearer;
        route.execute(&netlink::link::add_macvlan(&name, card.index, mac)?)?;
        set_up(&name);
        made = true;
        let mac = plan::config::Device::Mac(mac);
        log::info!("{name} bears virtual MAC address {mac} above {}", card.name);
    }
    Ok(made)
}

fn wanted<'a>(
    config: &'a Config,
    node: usize,
    devices: &'a [Device],
) -> impl Iterator<Item = Bearer<'a>> {
    let interfaces = 0..config.interfaces.len();
    interfaces.filter_map(move |interface| virtual_mac::bearer(config, node, interface, devices))
}

fn set_up(name: &str) {
    for (pattern, value) in SETTINGS {
        let path = Path::new("/proc/sys/net").join(pattern.replace('*', name));
        // A kernel without IPv6 has none of its settings and needs none.
        if let Err(error) = std::fs::write(&path, value) {
            log::debug!("setting {}: {error}", path.display());
        }
    }
}
