//! The receiving end of IPVS's tunnel forwarding: takes IP-in-IP (RFC 2003, and IPv6 in IPv6, RFC 2473) from a
//! raw socket and hands the inner packet to the namespace's own stack, as the ipip and ip6_tunnel modules
//! would. It is here because hosts of the testbed need not have those modules.

use crate::ns;
use anyhow::{Context, Result};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// IPPROTO_IPIP.
const IP_IN_IP: i32 = 4;
/// IPPROTO_IPV6.
const IPV6_IN_IP: i32 = 41;
/// IPPROTO_RAW: the sender writes the IP header.
const RAW: i32 = 255;
const PACKET_BYTES_MAX: usize = 65_535;

/// Unpacks in the namespace `name` for as long as the testbed lives.
pub fn unpack(name: &str) -> Result<()> {
    for (domain, protocol) in [(Domain::IPV4, IP_IN_IP), (Domain::IPV6, IPV6_IN_IP)] {
        ns::serve(name, move || pump(domain, protocol))?;
    }
    Ok(())
}

fn pump(domain: Domain, protocol: i32) -> Result<()> {
    let mut from_wire = Socket::new(domain, Type::RAW, Some(Protocol::from(protocol)))
        .context("opening a raw socket")?;
    let to_stack = Socket::new(domain, Type::RAW, Some(Protocol::from(RAW)))?;
    let mut bytes = vec![0; PACKET_BYTES_MAX];
    loop {
        let count = from_wire.read(&mut bytes)?;
        let packet = bytes.get(..count).unwrap_or_default();
        let Some((inner, destination)) = inner(domain, packet) else {
            continue;
        };
        // The destination is one of our own addresses, so this loops back into our stack. Where it is
        // not, nobody misses the packet.
        let to = SockAddr::from(SocketAddr::new(destination, 0));
        let _ = to_stack.send_to(inner, &to);
    }
}

/// The inner packet and its destination. Raw IPv4 sockets show the outer header, IPv6 ones do not.
fn inner(domain: Domain, packet: &[u8]) -> Option<(&[u8], IpAddr)> {
    if domain == Domain::IPV6 {
        let destination: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
        return Some((packet, IpAddr::V6(Ipv6Addr::from(destination))));
    }
    let header_bytes = usize::from(packet.first()? & 0x0f) * 4;
    let inner = packet.get(header_bytes..)?;
    let destination: [u8; 4] = inner.get(16..20)?.try_into().ok()?;
    Some((inner, IpAddr::V4(Ipv4Addr::from(destination))))
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn the_inner_packet_starts_behind_the_outer_header_and_its_options() {
        let mut packet = vec![0x46; 24];
        packet.extend([0x45; 16]);
        packet.extend([192, 0, 2, 10]);
        let (inner, destination) = inner(Domain::IPV4, &packet).expect("a whole packet");
        assert_eq!(inner.len(), 20);
        assert_eq!(destination.to_string(), "192.0.2.10");
    }

    #[test]
    fn a_packet_too_short_for_an_address_is_nothing() {
        assert!(inner(Domain::IPV4, &[0x45; 30]).is_none());
        assert!(inner(Domain::IPV6, &[0; 39]).is_none());
        assert!(inner(Domain::IPV4, &[]).is_none());
    }
}
