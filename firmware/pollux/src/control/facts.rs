//! What the kernel says about the box: sysctls, memory, uptime, read when asked and never kept.

use std::fs;
use std::io::ErrorKind;

/// Below /proc/sys: what a balancer with failover stands on.
const SYSCTLS: [&str; 6] = [
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv4/conf/all/arp_ignore",
    "net/ipv4/conf/all/arp_announce",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/vs/conntrack",
];

/// Paths and values as the kernel has them now.
pub fn sysctls() -> Vec<(String, String)> {
    let read = |path: &str| fs::read_to_string(format!("/proc/sys/{path}"));
    let value = |path: &&str| match read(path) {
        Ok(text) => text.trim().to_string(),
        Err(error) if error.kind() == ErrorKind::NotFound => "not in this kernel".into(),
        Err(error) => format!("unreadable: {error}"),
    };
    let both = |path: &&str| ((*path).to_string(), value(path));
    SYSCTLS.iter().map(both).collect()
}

/// MemTotal and MemAvailable in KiB; zero where the kernel does not say.
pub fn memory_kib() -> (u64, u64) {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    (
        field(&text, "MemTotal:").unwrap_or(0),
        field(&text, "MemAvailable:").unwrap_or(0),
    )
}

/// Whole seconds since the kernel started.
pub fn uptime_s() -> u64 {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split('.').next().unwrap_or("");
    seconds.parse().unwrap_or(0)
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_meminfo() {
        let text = "MemTotal:          61234 kB\nMemFree: 1 kB\nMemAvailable:  40000 kB\n";
        assert_eq!(field(text, "MemTotal:"), Some(61234));
        assert_eq!(field(text, "MemAvailable:"), Some(40000));
        assert_eq!(field("MemTotal: x kB", "MemTotal:"), None);
    }
}
