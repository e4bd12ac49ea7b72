//! The kernel settings a balancer with failover needs, and why each. Documented in the kernel's
//! `Documentation/networking/ip-sysctl.rst` and `ipvs-sysctl.rst`; how `all` and a device combine is in
//! `include/linux/inetdevice.h`. They are written before anything else, in this order.

mod tracking;

use crate::config::{Config, Scheduler, Timing};
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
    // A redirect is sent where either this or the device's own setting says so.
    ("net/ipv4/conf/all/send_redirects", "0"),
    // When an address goes, the others of its network stay; without it, removing an address of the box could
    // take a virtual address with it.
    ("net/ipv4/conf/all/promote_secondaries", "1"),
    // IPVS keeps its own connection table; a second entry in conntrack for each would be for nothing.
    ("net/ipv4/vs/conntrack", "0"),
    // A removed server's connections end at once instead of hanging until they time out.
    ("net/ipv4/vs/expire_nodest_conn", "1"),
    // A client that persists on a server that went quiescent moves on with its next connection.
    ("net/ipv4/vs/expire_quiescent_template", "1"),
    // Segments of connections that this box does not know are left to `firewall::orphans`: any scheduler but a
    // hash would give them to another server than they had, which resets them.
    SLOPPY,
];

/// Whether the balancer makes a connection of a segment in the middle of one.
const SLOPPY: (&str, &str) = ("net/ipv4/vs/sloppy_tcp", "0");
/// With sh and mh that connection leads to the same server as on the other box, mirrored or not.
const SLOPPY_FOR_HASHES: &str = "1";

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
        let value = match path {
            path if path == ASK_WITH_OWN.0 && config.virtual_mac => ASK_WITH_OWN.1,
            path if path == SLOPPY.0 && all_hash(config) => SLOPPY_FOR_HASHES,
            _ => value,
        };
        (path.into(), value.into())
    };
    let mut settings: Vec<_> = BOX.iter().map(of_box).collect();
    settings.extend(tracking::settings(&config.firewall));
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

/// The setting is one for all services.
fn all_hash(config: &Config) -> bool {
    let mut services = config.services.iter();
    services.all(|service| matches!(service.scheduler, Scheduler::Sh | Scheduler::Mh))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_picked_up_in_its_middle_only_where_every_service_hashes() {
        let mut config = crate::samples::pair();
        let none = core::iter::empty::<&str>;
        let schedulers = [
            (Scheduler::Wlc, "0"),
            (Scheduler::Sh, "1"),
            (Scheduler::Mh, "1"),
        ];
        for (scheduler, wanted) in schedulers {
            for service in &mut config.services {
                service.scheduler = scheduler;
            }
            let settings = settings(none(), none(), &config);
            assert!(
                settings.contains(&(SLOPPY.0.into(), wanted.into())),
                "{scheduler:?}"
            );
        }
    }

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

    /// `IN_DEV_TX_REDIRECTS` of the kernel's include/linux/inetdevice.h is true where `all` or the device is.
    #[test]
    fn no_setting_is_left_by_which_a_device_would_send_redirects() {
        let config = crate::samples::pair();
        let settings = settings(["eth0"].into_iter(), core::iter::empty(), &config);
        for device in ["all", "eth0"] {
            let path = format!("net/ipv4/conf/{device}/send_redirects");
            assert!(settings.contains(&(path, "0".into())), "{device}");
        }
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
