//! The ways through the pair that flows take, and where each end of them stands. Each is there once for IPv4 and once
//! for IPv6.

use crate::net::{CLIENT, FAR, HOSTS, HostKind, VIRTUAL_V4, VIRTUAL_V6};
use anyhow::Result;
use std::net::{IpAddr, SocketAddr};

/// Where servers listen that are reached by their own address.
pub const PORT_PLAIN: u16 = 9000;
/// Port of the virtual address that the firewall translates to PORT_PLAIN of `DNAT_HOST`.
pub const PORT_DNAT: u16 = 9001;
/// Last byte of the address of the host behind PORT_DNAT.
pub const DNAT_HOST: u8 = 12;
/// Balanced by NAT.
pub const PORT_NAT: u16 = 9080;
/// Balanced by direct routing.
pub const PORT_DIRECT: u16 = 9081;
/// Balanced by tunnel.
pub const PORT_TUNNEL: u16 = 9082;

/// How packets come from one end to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// From the client to hosts behind the pair, as they are.
    Routed,
    /// From hosts behind the pair to one that knows no way back to them.
    Masqueraded,
    /// From the client to a port of the virtual address, which the firewall gives to a host.
    Translated,
    /// IPVS by NAT.
    BalancedNat,
    /// IPVS by direct routing.
    BalancedDirect,
    /// IPVS by tunnel.
    BalancedTunnel,
}

/// All of them.
pub const WAYS: [Way; 6] = [
    Way::Routed,
    Way::Masqueraded,
    Way::Translated,
    Way::BalancedNat,
    Way::BalancedDirect,
    Way::BalancedTunnel,
];

/// A way over one version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Route {
    /// How.
    pub way: Way,
    /// IPv6.
    pub is_v6: bool,
}

/// These ways, over IPv4 and IPv6.
pub fn over_both(ways: &[Way]) -> Vec<Route> {
    let both = |way: &Way| [false, true].map(|is_v6| Route { way: *way, is_v6 });
    ways.iter().flat_map(both).collect()
}

impl Route {
    /// For reports: `balanced NAT IPv6`.
    pub fn name(self) -> String {
        let way = match self.way {
            Way::Routed => "routed",
            Way::Masqueraded => "masqueraded",
            Way::Translated => "dnat",
            Way::BalancedNat => "balanced NAT",
            Way::BalancedDirect => "balanced direct",
            Way::BalancedTunnel => "balanced tunnel",
        };
        format!("{way} {}", if self.is_v6 { "IPv6" } else { "IPv4" })
    }

    /// The namespace that flow `number` of this route begins in.
    pub fn source(self, number: usize) -> &'static str {
        match self.way {
            Way::Masqueraded => web(number).0,
            _ => CLIENT,
        }
    }

    /// Where it connects to.
    pub fn target(self, number: usize) -> Result<SocketAddr> {
        let of_virtual = if self.is_v6 { VIRTUAL_V6 } else { VIRTUAL_V4 }.to_owned();
        let (address, port) = match self.way {
            Way::Routed => (lan_address(web(number).1, self.is_v6), PORT_PLAIN),
            Way::Masqueraded => (far_address(self.is_v6).to_owned(), PORT_PLAIN),
            Way::Translated => (of_virtual, PORT_DNAT),
            Way::BalancedNat => (of_virtual, PORT_NAT),
            Way::BalancedDirect => (of_virtual, PORT_DIRECT),
            Way::BalancedTunnel => (of_virtual, PORT_TUNNEL),
        };
        Ok(SocketAddr::new(address.parse::<IpAddr>()?, port))
    }
}

/// Name and number of a web server, one after the other.
fn web(number: usize) -> (&'static str, u8) {
    let mut webs = HOSTS.iter().filter(|host| host.name.starts_with("web"));
    let count = webs.clone().count().max(1);
    let host = webs.nth(number % count).unwrap_or(&HOSTS[0]);
    (host.name, host.number)
}

fn lan_address(number: u8, is_v6: bool) -> String {
    if is_v6 {
        format!("fd00:a::{number}")
    } else {
        format!("10.0.0.{number}")
    }
}

fn far_address(is_v6: bool) -> &'static str {
    if is_v6 {
        "2001:db8:1::101"
    } else {
        "192.0.2.101"
    }
}

/// Where servers must listen: namespace and address.
pub fn listeners() -> Result<Vec<(&'static str, SocketAddr)>> {
    let any = "::".parse::<IpAddr>()?;
    let mut all = vec![(FAR, SocketAddr::new(any, PORT_PLAIN))];
    for host in HOSTS {
        let (ports, addresses): (&[u16], &[&str]) = match host.kind {
            HostKind::Nat => (&[PORT_PLAIN, PORT_NAT], &["::"]),
            // Bound to the virtual address, so that answers to datagrams carry it.
            HostKind::Direct => (&[PORT_DIRECT], &[VIRTUAL_V4, VIRTUAL_V6]),
            HostKind::Tunnel => (&[PORT_TUNNEL], &[VIRTUAL_V4, VIRTUAL_V6]),
        };
        for port in ports {
            for address in addresses {
                all.push((host.name, SocketAddr::new(address.parse()?, *port)));
            }
        }
    }
    Ok(all)
}
