//! Pairs and their networks, as configs name them.

use super::samples;
use plan::config::{
    Attachment, Cast, Config, Device, Interface, Link, Prefix, Timing, VirtualAddress,
};

/// Of an address in a network of 256.
pub fn prefix(address: &str) -> Prefix {
    Prefix {
        address: address.parse().unwrap(),
        length: 24,
    }
}

/// With host 1 at castor and host 2 at pollux.
pub fn interface(name: &str, device: &str, network: &str) -> Interface {
    Interface {
        name: name.into(),
        mtu_bytes: None,
        on: [1, 2]
            .map(|host| {
                Some(Attachment {
                    device: Device::Name(device.into()),
                    addresses: vec![prefix(&format!("{network}.{host}"))],
                })
            })
            .into(),
    }
}

/// Of heartbeats on an interface.
pub fn link(interface: u8) -> Link {
    Link::Udp {
        interface,
        port: 694,
        cast: Cast::Unicast,
    }
}

/// An address that moves.
pub fn virtual_address(address: &str, interface: u8) -> VirtualAddress {
    VirtualAddress {
        prefix: prefix(address),
        interface,
    }
}

/// With a dead time that a busy machine does not exceed.
pub fn patient() -> Config {
    let mut config = samples::config();
    config.cluster.timing = Timing::Explicit {
        beat_ms: 100,
        dead_ms: 1000,
    };
    config
}

/// One wire, and one address that moves on it.
pub fn pair() -> Config {
    let mut config = patient();
    config.virtual_addresses = vec![virtual_address("192.0.2.10", 0)];
    config.links = vec![link(0)];
    config
}
