//! Which addresses a UDP heartbeat link of the config means on each box. Both boxes compute it from the
//! same config, so they cannot disagree; `validate` refuses links for which there is no answer.

use crate::config::{Cast, Config, Interface, Link, Prefix};
use core::net::IpAddr;

/// UDP port of state sync between the boxes' own addresses: one above the usual heartbeat's.
pub const SYNC_PORT: u16 = 695;

/// The addresses of one UDP heartbeat link, seen from one box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpPath {
    /// Our own address on that interface: the source of what we send.
    pub local: IpAddr,
    /// The peer's address in the same network: the source of what we may hear.
    pub peer: IpAddr,
    /// Where datagrams go: the peer, the network's broadcast address, or the group.
    pub to: IpAddr,
    /// UDP port, source and destination.
    pub port: u16,
}

/// Addresses of the UDP link at position `link` of `Config::links`, seen from node `node`; `None` for serial
/// links and for those that `validate` refuses.
#[must_use]
pub fn udp_path(config: &Config, node: usize, link: usize) -> Option<UdpPath> {
    let Link::Udp {
        interface,
        port,
        cast,
    } = *config.links.get(link)?
    else {
        return None;
    };
    let interface = config.interfaces.get(usize::from(interface))?;
    let (local, peer) = common_network(interface, node, |own| match cast {
        Cast::Unicast => true,
        Cast::Broadcast => own.broadcast().is_some(),
        Cast::Multicast(_) => own.address.is_ipv4(),
    })?;
    let to = match cast {
        Cast::Unicast => peer,
        Cast::Broadcast => IpAddr::V4(local.broadcast()?),
        Cast::Multicast(group) => IpAddr::V4(group),
    };
    Some(UdpPath {
        local: local.address,
        peer,
        to,
        port,
    })
}

/// First pair of addresses, ours and the peer's, that share a network which `suits` the link. The pair is
/// searched in the order of the lower node's addresses, so that both boxes find the same one.
fn common_network(
    interface: &Interface,
    node: usize,
    suits: impl Fn(Prefix) -> bool,
) -> Option<(Prefix, IpAddr)> {
    let [Some(first), Some(second)] = interface.on.as_slice() else {
        return None;
    };
    let (a, b) = first
        .addresses
        .iter()
        .filter(|a| suits(**a))
        .find_map(|&a| {
            let b = second
                .addresses
                .iter()
                .find(|b| b.network() == a.network())?;
            Some((a, *b))
        })?;
    match node {
        0 => Some((a, b.address)),
        1 => Some((b, a.address)),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::samples::pair;
    use alloc::string::ToString;

    #[test]
    fn both_boxes_see_the_same_path_from_their_end() {
        let config = pair();
        let seen = |node, link| {
            udp_path(&config, node, link)
                .map(|path| [path.local, path.peer, path.to].map(|address| address.to_string()))
        };
        assert_eq!(seen(0, 0), None);
        assert_eq!(seen(0, 1).unwrap(), ["192.0.2.1", "192.0.2.2", "192.0.2.2"]);
        assert_eq!(seen(1, 1).unwrap(), ["192.0.2.2", "192.0.2.1", "192.0.2.1"]);
        assert_eq!(seen(1, 2).unwrap(), ["10.0.0.3", "10.0.0.2", "10.0.0.255"]);
        assert_eq!(
            seen(0, 3).unwrap(),
            ["198.51.100.2", "198.51.100.3", "239.0.0.1"]
        );
        assert_eq!(seen(2, 1), None);
        assert_eq!(seen(0, 9), None);
    }
}
