//! The cabling: three bridges (WAN, LAN, sync) with one tap per box, and namespaces for everyone who is not
//! a box. All of it lives in the testbed's own network namespace.
//!
//! ```text
//!   client ──┬─────────────── wan ──────────┐
//!   far ─────┤   castor       192.0.2.0/24  │  (own uplink of direct and tunnel servers)
//!            └── pollux       2001:db8:1::  │
//!   castor ──┬─ sync 172.16.0.0/24          │
//!   pollux ──┘                              │
//!   castor, pollux ── lan 10.0.0.0/24 fd00:a:: ── web1-3, sorry, direct1-2, tunnel1-2
//! ```

use crate::ns;
use anyhow::Result;
use std::process::Command;

/// The boxes, in the order of the config.
pub const NODES: [&str; 2] = ["castor", "pollux"];
/// The networks; each is a bridge of that name.
pub const NETWORKS: [&str; 3] = ["wan", "lan", "sync"];
/// Where clients knock.
pub const VIRTUAL_V4: &str = "192.0.2.10";
/// Where clients knock over IPv6.
pub const VIRTUAL_V6: &str = "2001:db8:1::10";
/// Namespace of the client; it reaches the LAN by way of the virtual address.
pub const CLIENT: &str = "client";
/// Namespace of a host on the WAN that knows no way to the LAN: who would speak to it from there needs masquerade.
pub const FAR: &str = "far";
/// Namespace of whoever should not be on the boxes' networks.
pub const INTRUDER: &str = "intruder";
/// Port of the UDP echo service on the virtual address.
pub const ECHO_PORT: u16 = 7;

/// Virtual addresses, their prefix length and the network each is on.
pub const VIRTUAL: [(&str, u8, &str); 4] = [
    (VIRTUAL_V4, 24, "wan"),
    (VIRTUAL_V6, 64, "wan"),
    ("10.0.0.1", 24, "lan"),
    ("fd00:a::1", 64, "lan"),
];

/// A namespace with a leg on the LAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// Name of the namespace, and what its web server says it is.
    pub name: &'static str,
    /// Last byte of its addresses.
    pub number: u8,
    /// How the boxes reach it.
    pub kind: HostKind,
}

/// How packets for a virtual address come to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKind {
    /// Rewritten; it answers through the box.
    Nat,
    /// As they are; it holds the virtual address and answers by its own uplink.
    Direct,
    /// In an IP packet; it unpacks them, then as `Direct`.
    Tunnel,
}

/// The servers on the LAN.
pub const HOSTS: [Host; 8] = [
    Host {
        name: "web1",
        number: 11,
        kind: HostKind::Nat,
    },
    Host {
        name: "web2",
        number: 12,
        kind: HostKind::Nat,
    },
    Host {
        name: "web3",
        number: 13,
        kind: HostKind::Nat,
    },
    Host {
        name: "sorry",
        number: 19,
        kind: HostKind::Nat,
    },
    Host {
        name: "direct1",
        number: 21,
        kind: HostKind::Direct,
    },
    Host {
        name: "direct2",
        number: 22,
        kind: HostKind::Direct,
    },
    Host {
        name: "tunnel1",
        number: 31,
        kind: HostKind::Tunnel,
    },
    Host {
        name: "tunnel2",
        number: 32,
        kind: HostKind::Tunnel,
    },
];

/// The tap of a box on a network, which is also its QEMU device id.
pub fn tap(node: &str, network: &str) -> String {
    format!("{node}-{network}")
}

/// Hardware address of a box on a network; always the same, so configs may name it.
pub fn mac(node: usize, network: &str) -> String {
    mac_bytes(node, network)
        .map(|byte| format!("{byte:02x}"))
        .join(":")
}

/// The same as bytes.
pub fn mac_bytes(node: usize, network: &str) -> [u8; 6] {
    let index = NETWORKS.iter().position(|name| *name == network);
    let byte = |number: usize| u8::try_from(number + 1).unwrap_or(u8::MAX);
    let index = byte(index.unwrap_or(usize::MAX - 1));
    [0x52, 0x54, 0, 0, byte(node), index]
}

/// Builds the cabling.
pub fn build() -> Result<()> {
    let mut lines = String::new();
    for network in NETWORKS {
        lines +=
            &format!("link add {network} type bridge mcast_snooping 0\nlink set {network} up\n");
        for node in NODES {
            let tap = tap(node, network);
            lines +=
                &format!("tuntap add dev {tap} mode tap\nlink set {tap} master {network} up\n");
        }
    }
    ns::ip(&lines)?;
    add_host(CLIENT, "wan", &["192.0.2.100/24", "2001:db8:1::100/64"])?;
    let routes =
        format!("route add 10.0.0.0/24 via {VIRTUAL_V4}\nroute add fd00:a::/64 via {VIRTUAL_V6}\n");
    ns::ip_in(CLIENT, &routes)?;
    add_host(FAR, "wan", &["192.0.2.101/24", "2001:db8:1::101/64"])?;
    add_host(INTRUDER, "sync", &["172.16.0.99/24"])?;
    plug(INTRUDER, "lan", &["10.0.0.99/24"])?;
    plug(INTRUDER, "wan", &[])?;
    ns::ip_in(INTRUDER, "route add 239.0.0.0/8 dev lan\n")?;
    for host in HOSTS {
        build_host(host)?;
    }
    Ok(())
}

fn add_host(name: &str, network: &str, addresses: &[&str]) -> Result<()> {
    ns::create(name)?;
    plug(name, network, addresses)
}

/// A veth pair from the namespace `name` (device called like the network) to a bridge.
fn plug(name: &str, network: &str, addresses: &[&str]) -> Result<()> {
    let port = format!("{network}-{name}");
    ns::ip(&format!(
        "link add {port} type veth peer name {network} netns {name}\nlink set {port} master {network} up\n"
    ))?;
    let mut lines = format!("link set {network} up\n");
    for address in addresses {
        let nodad = if address.contains(':') { " nodad" } else { "" };
        lines += &format!("addr add {address} dev {network}{nodad}\n");
    }
    ns::ip_in(name, &lines)
}

fn build_host(host: Host) -> Result<()> {
    let Host { name, number, kind } = host;
    let lan = [
        format!("10.0.0.{number}/24"),
        format!("fd00:a::{number}/64"),
    ];
    add_host(name, "lan", &lan.each_ref().map(String::as_str))?;
    if kind == HostKind::Nat {
        // Answers must pass the box again, so that it can put the virtual address back.
        return ns::ip_in(
            name,
            "route add default via 10.0.0.1\nroute add ::/0 via fd00:a::1\n",
        );
    }
    let wan = [
        format!("192.0.2.{number}/24"),
        format!("2001:db8:1::{number}/64"),
    ];
    plug(name, "wan", &wan.each_ref().map(String::as_str))?;
    // As in any LVS-DR howto: hold the virtual address, but never speak ARP for it.
    sysctl(name, "net/ipv4/conf/all/arp_ignore", "1")?;
    sysctl(name, "net/ipv4/conf/all/arp_announce", "2")?;
    // Requests come in on the LAN from clients whose route points to the WAN.
    for device in ["all", "default", "lan", "wan"] {
        sysctl(name, &format!("net/ipv4/conf/{device}/rp_filter"), "0")?;
    }
    ns::ip_in(
        name,
        &format!("addr add {VIRTUAL_V4}/32 dev lo\naddr add {VIRTUAL_V6}/128 dev lo nodad\n"),
    )
}

/// Writes a value below /proc/sys as seen from the namespace `name`.
pub fn sysctl(name: &str, path: &str, value: &str) -> Result<()> {
    let (path, value) = (format!("/proc/sys/{path}"), value.to_owned());
    ns::within(name, move || {
        std::fs::write(&path, value).map_err(|error| anyhow::anyhow!("writing {path}: {error}"))
    })
}

/// UDP ports of the Ethernet heartbeats.
pub const HEARTBEAT_PORTS: &str = "{ 694, 695 }";

/// Makes the bridges lose the frames that one of `matches` describes, as nftables writes it
/// (`iifname "castor-lan" udp dport 694`), and no others.
pub fn cut(matches: &[String]) -> Result<()> {
    let rules: String = matches
        .iter()
        .map(|each| format!("ether type {{ ip, ip6 }} {each} drop; "))
        .collect();
    let table = format!(
        "table bridge cut\ndelete table bridge cut\n\
         table bridge cut {{ chain forward {{ type filter hook forward priority 0; {rules}}}; }}\n"
    );
    ns::feed(Command::new("nft").args(["-f", "-"]), &table)
}

/// Every Ethernet heartbeat cut, and nothing else.
pub fn cut_heartbeats() -> Result<()> {
    cut(&[format!("udp dport {HEARTBEAT_PORTS}")])
}

/// Undoes every `cut`.
pub fn mend() -> Result<()> {
    cut(&[])
}
