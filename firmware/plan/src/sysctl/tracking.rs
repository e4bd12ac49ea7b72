//! Settings of connection tracking (the kernel's `Documentation/networking/nf_conntrack-sysctl.rst`), for configs that
//! filter. Helpers read nothing unless the config says so: since Linux 6.0 there is no setting that would assign
//! them by themselves. Loose pickup stays on as the kernel has it: a connection that was not mirrored in time goes on
//! with the next packet of whoever opened it, if the rules allow it.

use crate::config::firewall::{Firewall, Phase};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Path below /proc/sys, value.
const ALWAYS: [(&str, &str); 2] = [
    // State sync hears of every connection; with the kernel's 2 those that began before it listens stay unheard.
    ("net/netfilter/nf_conntrack_events", "1"),
    // Listings say who uses the line.
    ("net/netfilter/nf_conntrack_acct", "1"),
];

/// Settings, in the order in which they are made.
pub(super) fn settings(firewall: &Firewall) -> Vec<(String, String)> {
    if firewall.zones.is_empty() {
        return Vec::new();
    }
    let always = ALWAYS
        .iter()
        .map(|&(path, value)| (path.into(), value.into()));
    let mut settings: Vec<_> = always.collect();
    if let Some(max) = firewall.connections.max {
        // Two entries for each connection, one for each direction: chains stay two long. Before the bound, which
        // a kernel that sets the table anew would change with it.
        let buckets = max.next_power_of_two();
        settings.push((
            "net/netfilter/nf_conntrack_buckets".into(),
            buckets.to_string(),
        ));
        settings.push(("net/netfilter/nf_conntrack_max".into(), max.to_string()));
    }
    for (phase, seconds) in &firewall.connections.timeouts_s {
        let path = format!("net/netfilter/nf_conntrack_{}", suffix(*phase));
        settings.push((path, seconds.to_string()));
    }
    settings
}

const fn suffix(phase: Phase) -> &'static str {
    match phase {
        Phase::TcpSynSent => "tcp_timeout_syn_sent",
        Phase::TcpSynReceived => "tcp_timeout_syn_recv",
        Phase::TcpEstablished => "tcp_timeout_established",
        Phase::TcpFinWait => "tcp_timeout_fin_wait",
        Phase::TcpCloseWait => "tcp_timeout_close_wait",
        Phase::TcpLastAck => "tcp_timeout_last_ack",
        Phase::TcpTimeWait => "tcp_timeout_time_wait",
        Phase::TcpClose => "tcp_timeout_close",
        Phase::TcpMaxRetransmissions => "tcp_timeout_max_retrans",
        Phase::TcpUnacknowledged => "tcp_timeout_unacknowledged",
        Phase::Udp => "udp_timeout",
        Phase::UdpStream => "udp_timeout_stream",
        Phase::Icmp => "icmp_timeout",
        Phase::Icmpv6 => "icmpv6_timeout",
        Phase::SctpEstablished => "sctp_timeout_established",
        Phase::Gre => "gre_timeout",
        Phase::GreStream => "gre_timeout_stream",
        Phase::Generic => "generic_timeout",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::firewall::Zone;

    #[test]
    fn a_config_without_zones_leaves_tracking_alone() {
        let mut firewall = Firewall::default();
        firewall.connections.max = Some(100_000);
        assert_eq!(settings(&firewall), []);
        firewall.zones.push(Zone {
            name: "inside".into(),
            interfaces: Vec::new(),
            anti_spoofing: true,
        });
        firewall.connections.timeouts_s = Phase::ALL.iter().map(|&phase| (phase, 7)).collect();
        let settings = settings(&firewall);
        let has = |path: &str, value: &str| {
            let path = format!("net/netfilter/nf_conntrack_{path}");
            settings.contains(&(path, value.into()))
        };
        assert!(has("events", "1") && has("acct", "1"));
        assert!(has("buckets", "131072") && has("max", "100000"));
        assert!(has("udp_timeout_stream", "7") && has("tcp_timeout_syn_recv", "7"));
        assert_eq!(settings.len(), 4 + Phase::ALL.len());
    }

    /// Names that this kernel knows, where its modules are there.
    #[test]
    fn settings_are_the_kernels() {
        let here = |name: &str| std::path::Path::new("/proc/sys/net/netfilter").join(name);
        for &phase in Phase::ALL {
            let path = here(&format!("nf_conntrack_{}", suffix(phase)));
            let is_module = matches!(
                phase,
                Phase::Gre | Phase::GreStream | Phase::SctpEstablished
            );
            assert!(
                is_module || path.exists() || !here("nf_conntrack_max").exists(),
                "{path:?}"
            );
        }
    }
}
