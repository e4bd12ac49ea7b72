//! The kernel settings a balancer with failover needs, and why each. Documented in the kernel's
//! `Documentation/networking/ip-sysctl.rst` and `ipvs-sysctl.rst`; how `all` and a device combine is in
//! `include/linux/inetdevice.h`. They are written before anything else, in this order.

use crate::config::{Config, Timing};
use alloc::format;
use alloc::string::{String, ToString};
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

/// From one question for the twin's hardware address to the next, in milliseconds, where heartbeats go to it
/// alone: while it is not known none goes out. With the kernel's second two boxes that just met would stay
/// deaf for so long, and both active; half the dead time is soon enough. Of 20 ms the kernel's ticks make a
/// whole number.
fn neighbour_retry_ms(timing: Timing) -> u16 {
    let dead_ms = match timing {
        Timing::Default => 200,
        Timing::Fast => 30,
        Timing::Explicit { dead_ms, .. } => dead_ms,
    };
    (dead_ms / 2).clamp(20, 1000) / 20 * 20
}

/// Where virtual addresses have a MAC address of their own, no card has one of them: asking with the card's own
/// address is safe there, and with theirs it would teach neighbours the card's MAC address.
const ASK_WITH_OWN: (&str, &str) = ("net/ipv4/conf/all/arp_announce", "2");

/// All settings for a box whose configured devices are called `devices`, of which `unicast` carry heartbeats
/// by unicast.
pub(crate) fn settings<'a>(
    devices: impl Iterator<Item = &'a str>,
    unicast: impl Iterator<Item = &'a str>,
    config: &Config,
) -> Vec<(String, String)> {
    let timing = config.cluster.timing;
    let of_box = |&(path, value): &(&str, &str)| {
        let is_other = config.virtual_mac && path == ASK_WITH_OWN.0;
        let value = if is_other { ASK_WITH_OWN.1 } else { value };
        (path.into(), value.into())
    };
    let mut settings: Vec<_> = BOX.iter().map(of_box).collect();
    for device in devices {
        let of_device = |&(family, name, value): &(&str, &str, &str)| {
            (format!("net/{family}/conf/{device}/{name}"), value.into())
        };
        settings.extend(DEVICE.iter().map(of_device));
    }
    for device in unicast {
        let of_device = |family| {
            let path = format!("net/{family}/neigh/{device}/retrans_time_ms");
            (path, neighbour_retry_ms(timing).to_string())
        };
        settings.extend(["ipv4", "ipv6"].map(of_device));
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twin_is_asked_for_twice_in_a_dead_time_at_least() {
        let explicit = |dead_ms| Timing::Explicit {
            beat_ms: 1,
            dead_ms,
        };
        let asked = [
            Timing::Default,
            Timing::Fast,
            explicit(3),
            explicit(90),
            explicit(u16::MAX),
        ];
        assert_eq!(asked.map(neighbour_retry_ms), [100, 20, 20, 40, 1000]);
    }

    #[test]
    fn cards_ask_with_their_own_addresses_where_virtual_ones_have_a_mac_of_their_own() {
        let mut config = crate::samples::pair();
        let none = core::iter::empty::<&str>;
        for (virtual_mac, wanted) in [(false, "1"), (true, "2")] {
            config.virtual_mac = virtual_mac;
            let settings = settings(none(), none(), &config);
            let mut values = settings.iter().filter(|(path, _)| path == ASK_WITH_OWN.0);
            assert_eq!(values.next().map(|(_, value)| value.as_str()), Some(wanted));
        }
    }
}
