//! The kernel settings a balancer with failover needs, and why each. Documented in the kernel's
//! `Documentation/networking/ip-sysctl.rst` and `ipvs-sysctl.rst`; how `all` and a device combine is in
//! `include/linux/inetdevice.h`. They are written before anything else, in this order.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Settings of the whole box: path below /proc/sys, value.
const BOX: &[(&str, &str)] = &[
    // First, because changing it resets other settings of `conf/*`.
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    // Answer ARP only on the interface that holds the address, and ask with an address of the network asked
    // in: otherwise the standby, or the wrong interface, draws a virtual address to itself.
    ("net/ipv4/conf/all/arp_ignore", "1"),
    // Ask with the source of the packet that waits, not with the card's first address (2): that may be a
    // virtual one, and a twin that holds it, too, would never answer, nor hear that it has to let go.
    ("net/ipv4/conf/all/arp_announce", "1"),
    // Sources must be reachable through some interface (RFC 3704, loose). Not strict: a server may reach the
    // standby through the active box, which arrives at another interface than the way back takes.
    ("net/ipv4/conf/all/rp_filter", "2"),
    // Nobody on the wire changes our routes.
    ("net/ipv4/conf/all/accept_redirects", "0"),
    // When an address goes, the others of its network stay; without it, removing an address of the box could
    // take a virtual address with it.
    ("net/ipv4/conf/all/promote_secondaries", "1"),
    // IPVS keeps its own connection table; a second entry in conntrack for each would be for nothing.
    ("net/ipv4/vs/conntrack", "0"),
    // A removed server's connections end at once instead of hanging until they time out.
    ("net/ipv4/vs/expire_nodest_conn", "1"),
    // A client that persists on a server that went quiescent moves on with its next connection.
    ("net/ipv4/vs/expire_quiescent_template", "1"),
    // Connections that began on the other box are picked up in their middle; with sh and mh they reach the
    // same server as before.
    ("net/ipv4/vs/sloppy_tcp", "1"),
];

/// Settings of each configured device: directory below `net`, name, value.
const DEVICE: &[(&str, &str, &str)] = &[
    // With one network for clients and servers a redirect would lead the servers' answers past the balancer.
    ("ipv4", "send_redirects", "0"),
    // The config says which addresses and routes there are, not a router's advertisement.
    ("ipv6", "accept_ra", "0"),
    // No duplicate address detection: a virtual address must work at once, not a second later; that the peer
    // has let go of it is the cluster's business.
    ("ipv6", "accept_dad", "0"),
];

/// All settings for a box whose configured devices are called `devices`.
pub(crate) fn settings<'a>(devices: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    let mut settings: Vec<_> = BOX
        .iter()
        .map(|&(path, value)| (path.into(), value.into()))
        .collect();
    for device in devices {
        let of_device = |&(family, name, value): &(&str, &str, &str)| {
            (format!("net/{family}/conf/{device}/{name}"), value.into())
        };
        settings.extend(DEVICE.iter().map(of_device));
    }
    settings
}
