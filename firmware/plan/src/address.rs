//! Arithmetic of address prefixes, and how addresses of all kinds are written. RFC 4632 (CIDR), RFC 5952 (IPv6 text).

use crate::config::{Device, Endpoint, Prefix};
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

impl Prefix {
    /// Bits of an address of this family: 32 or 128.
    #[must_use]
    pub const fn length_max(self) -> u8 {
        match self.address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        }
    }

    /// The same prefix with its host bits cleared.
    #[must_use]
    pub fn network(self) -> Self {
        let host_bits = u32::from(self.length_max().saturating_sub(self.length));
        let address = match self.address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
        };
        Self { address, ..self }
    }

    /// The last address of the network.
    #[must_use]
    pub fn last(self) -> IpAddr {
        let length = u32::from(self.length);
        match self.address {
            IpAddr::V4(v4) => {
                let host_mask = u32::MAX.checked_shr(length).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() | host_mask))
            }
            IpAddr::V6(v6) => {
                let host_mask = u128::MAX.checked_shr(length).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() | host_mask))
            }
        }
    }

    /// Whether `address` is of this family and lies in this network.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && Self { address, ..self }.network() == self.network()
    }

    /// The directed broadcast address; `None` for IPv6 and for networks that have none (/31, /32, RFC 3021).
    #[must_use]
    pub fn broadcast(self) -> Option<Ipv4Addr> {
        match self.address {
            IpAddr::V4(v4) if self.length <= 30 => {
                let host_mask = u32::MAX.checked_shr(u32::from(self.length)).unwrap_or(0);
                Some(Ipv4Addr::from_bits(v4.to_bits() | host_mask))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Mac([a, b, c, d, e, g]) => {
                write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn prefix(address: &str, length: u8) -> Prefix {
        Prefix {
            address: address.parse().unwrap(),
            length,
        }
    }

    #[test]
    fn networks_clear_host_bits_at_every_edge() {
        assert_eq!(
            prefix("198.51.100.77", 24).network(),
            prefix("198.51.100.0", 24)
        );
        assert_eq!(
            prefix("198.51.100.77", 32).network(),
            prefix("198.51.100.77", 32)
        );
        assert_eq!(prefix("198.51.100.77", 0).network(), prefix("0.0.0.0", 0));
        assert_eq!(
            prefix("2001:db8::77", 64).network(),
            prefix("2001:db8::", 64)
        );
        assert_eq!(prefix("2001:db8::77", 0).network(), prefix("::", 0));
        assert_eq!(
            prefix("2001:db8::77", 128).network(),
            prefix("2001:db8::77", 128)
        );
    }

    #[test]
    fn the_last_address_has_all_host_bits() {
        let last = |address: &str, length| prefix(address, length).last().to_string();
        assert_eq!(last("198.51.100.77", 24), "198.51.100.255");
        assert_eq!(last("198.51.100.77", 32), "198.51.100.77");
        assert_eq!(last("0.0.0.0", 0), "255.255.255.255");
        assert_eq!(last("2001:db8::77", 112), "2001:db8::ffff");
    }

    #[test]
    fn contains_keeps_families_apart() {
        assert!(prefix("10.0.0.1", 8).contains("10.200.3.4".parse().unwrap()));
        assert!(!prefix("10.0.0.1", 8).contains("11.0.0.1".parse().unwrap()));
        assert!(!prefix("0.0.0.0", 0).contains("::1".parse().unwrap()));
        assert!(prefix("::", 0).contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn broadcast_exists_only_where_a_network_has_room() {
        assert_eq!(
            prefix("192.0.2.9", 24).broadcast(),
            Some("192.0.2.255".parse().unwrap())
        );
        assert_eq!(
            prefix("192.0.2.9", 30).broadcast(),
            Some("192.0.2.11".parse().unwrap())
        );
        assert_eq!(prefix("192.0.2.9", 31).broadcast(), None);
        assert_eq!(prefix("2001:db8::1", 64).broadcast(), None);
    }

    #[test]
    fn addresses_are_written_as_operators_write_them() {
        assert_eq!(prefix("2001:db8::77", 64).to_string(), "2001:db8::77/64");
        let endpoint = Endpoint {
            address: "2001:db8::1".parse().unwrap(),
            port: 80,
        };
        assert_eq!(endpoint.to_string(), "[2001:db8::1]:80");
    }
}
