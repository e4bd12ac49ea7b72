//! Whoever is balanced or translated sends its answers by way of a gateway, and only a virtual address moves with a
//! takeover. How hosts find their way is not in the config, so that all of this is a concern and no problem.

use super::Problems;
use super::network::own_addresses;
use crate::config::firewall::{Side, Translation, TranslationKind};
use crate::config::{Config, Forwarding, Prefix, Service};
use alloc::format;
use core::net::IpAddr;

/// Networks of servers and hosts that no virtual address leads out of, each once.
pub(super) fn weigh(config: &Config, concerns: &mut Problems) {
    for (position, interface) in config.interfaces.iter().enumerate() {
        for (is_ipv4, family) in [(true, "IPv4"), (false, "IPv6")] {
            let network = Network {
                config,
                position,
                is_ipv4,
            };
            if network.has_virtual() || !network.is_relied_on() {
                continue;
            }
            let fault = format!(
                "has no virtual {family} address, so that answers of balanced servers or translated hosts there find no way after a takeover"
            );
            concerns.add(
                format!("interfaces[{position}]"),
                &interface.name,
                &fault,
                "put a virtual address on it and make it the servers' default gateway",
            );
        }
    }
}

/// One family on one interface.
#[derive(Clone, Copy)]
struct Network<'a> {
    config: &'a Config,
    /// Of the interface.
    position: usize,
    is_ipv4: bool,
}

impl Network<'_> {
    fn has_virtual(self) -> bool {
        let virtual_addresses = self.config.virtual_addresses.iter();
        virtual_addresses
            .filter(|each| usize::from(each.interface) == self.position)
            .any(|each| each.prefix.address.is_ipv4() == self.is_ipv4)
    }

    /// Whether somebody here is balanced or translated.
    fn is_relied_on(self) -> bool {
        let mut services = self.config.services.iter();
        let mut translations = self.config.firewall.translations.iter();
        services.any(|service| self.has_server_of(service))
            || translations.any(|translation| self.has_host_of(translation))
    }

    fn has_server_of(self, service: &Service) -> bool {
        let servers = service.servers.iter().map(|server| server.endpoint);
        service.forwarding == Forwarding::Nat
            && servers
                .chain(service.fallback)
                .any(|endpoint| self.is_neighbour(endpoint.address))
    }

    fn has_host_of(self, translation: &Translation) -> bool {
        match translation.kind {
            TranslationKind::Masquerade { families } => {
                self.is_inside(translation, families.has(self.is_ipv4))
            }
            TranslationKind::Source { first, .. } => {
                self.is_inside(translation, first.is_ipv4() == self.is_ipv4)
            }
            TranslationKind::Destination { address, .. } => self.is_neighbour(address),
            TranslationKind::OneToOne { inside, .. } => self.is_neighbour(inside),
        }
    }

    /// Whether hosts here are translated on their way out.
    fn is_inside(self, translation: &Translation, is_of_family: bool) -> bool {
        let traffic = &translation.traffic;
        let mut zones = (0u8..).zip(&self.config.firewall.zones);
        let zone = zones.find(|(_, zone)| {
            let mut interfaces = zone.interfaces.iter();
            interfaces.any(|each| usize::from(*each) == self.position)
        });
        let Some(side) = zone.map(|(number, _)| Side::Zone(number)) else {
            return false;
        };
        let is_from = traffic.from.contains(&side)
            || traffic.from.contains(&Side::Any) && !traffic.to.contains(&side);
        is_of_family && is_from && self.own_has(has_room_for_hosts)
    }

    fn is_neighbour(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_ipv4 && self.own_has(|own| own.contains(address))
    }

    /// Whether a box's own address here, of this family, is so.
    fn own_has(self, is_so: impl Fn(Prefix) -> bool) -> bool {
        let mut own =
            (0..self.config.nodes.len()).flat_map(|node| own_addresses(self.config, node));
        own.any(|(position, own)| {
            position == self.position && own.address.is_ipv4() == self.is_ipv4 && is_so(own)
        })
    }
}

/// A network between two boxes and nobody else, as heartbeats have, has none.
fn has_room_for_hosts(own: Prefix) -> bool {
    own.length < if own.address.is_ipv4() { 30 } else { 127 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::super::{Problem, concerns};
    use super::*;
    use crate::config::VirtualAddress;
    use crate::config::firewall::{Addresses, Families, Peer, Traffic, Zone};
    use crate::samples::{endpoint, pair, prefix, service};
    use alloc::string::{String, ToString};
    use alloc::vec;
    use alloc::vec::Vec;

    const LAN: &str = "interfaces[1]: lan has no virtual IPv4 address, so that answers of balanced servers or translated hosts there find no way after a takeover: put a virtual address on it and make it the servers' default gateway";

    /// A pair without services, and with no address on the servers' network that moves.
    fn without_gateway() -> Config {
        let mut config = pair();
        config
            .virtual_addresses
            .retain(|address| address.interface != 1);
        config.services.clear();
        config
    }

    fn with_zones(translation: TranslationKind, destination: Vec<Peer>) -> Config {
        let mut config = without_gateway();
        let zone = |name: &str, interface| Zone {
            name: name.into(),
            interfaces: vec![interface],
            anti_spoofing: true,
        };
        config.firewall.zones = vec![zone("outside", 0), zone("inside", 1)];
        let is_to_inside = matches!(translation, TranslationKind::Destination { .. });
        let from = u8::from(!is_to_inside);
        config.firewall.translations = vec![Translation {
            name: String::new(),
            traffic: Traffic {
                from: vec![Side::Zone(from)],
                to: vec![Side::Zone(0)],
                destination,
                ..Traffic::default()
            },
            kind: translation,
        }];
        config
    }

    fn found(config: &Config) -> Vec<String> {
        concerns(config).iter().map(Problem::to_string).collect()
    }

    #[test]
    fn servers_of_nat_services_want_a_gateway_that_moves() {
        assert_eq!(found(&pair()), [""; 0]);
        let mut config = without_gateway();
        assert_eq!(found(&config), [""; 0]);
        config.services = vec![service("198.51.100.10:80", &["10.0.0.21:80"])];
        config.services.push(config.services[0].clone());
        assert_eq!(found(&config), [LAN]);
        for forwarding in [Forwarding::Direct, Forwarding::Tunnel] {
            for service in &mut config.services {
                service.forwarding = forwarding;
            }
            assert_eq!(found(&config), [""; 0]);
        }
        // Behind a router: how that finds its way back is its own affair.
        config.services = vec![service("198.51.100.10:80", &["172.31.0.1:80"])];
        assert_eq!(found(&config), [""; 0]);
        config.services[0].fallback = Some(endpoint("10.0.0.99:80"));
        assert_eq!(found(&config), [LAN]);
    }

    #[test]
    fn an_address_of_the_other_family_is_no_gateway() {
        let mut config = without_gateway();
        config.services = vec![service("198.51.100.10:80", &["10.0.0.21:80"])];
        let other = |text| VirtualAddress {
            prefix: prefix(text),
            interface: 1,
        };
        config.virtual_addresses.push(other("2001:db8:1::1/64"));
        assert_eq!(found(&config), [LAN]);
        config.virtual_addresses.push(other("10.0.0.1/24"));
        assert_eq!(found(&config), [""; 0]);
    }

    #[test]
    fn hosts_that_are_translated_want_one_too() {
        let masquerade = |families| TranslationKind::Masquerade { families };
        // No box has an IPv6 address there.
        for families in [Families::Ipv4, Families::Both] {
            assert_eq!(found(&with_zones(masquerade(families), vec![])), [LAN]);
        }
        let ipv6 = with_zones(masquerade(Families::Ipv6), vec![]);
        assert_eq!(found(&ipv6), [""; 0]);
        // Heartbeats alone, in a zone that `from = "any"` takes in.
        let mut between_two = with_zones(masquerade(Families::Ipv4), vec![]);
        between_two.firewall.translations[0].traffic.from = vec![Side::Any];
        assert_eq!(found(&between_two), [LAN]);
        for interface in &mut between_two.interfaces {
            for prefix in interface
                .on
                .iter_mut()
                .flatten()
                .flat_map(|on| &mut on.addresses)
            {
                prefix.length = 30;
            }
        }
        assert_eq!(found(&between_two), [""; 0]);
        let outside: IpAddr = [198, 51, 100, 10].into();
        let first = outside;
        let source = TranslationKind::Source {
            first,
            last: first,
            ports: None,
        };
        assert_eq!(found(&with_zones(source, vec![])), [LAN]);
        let destination = |address| TranslationKind::Destination {
            address,
            ports: None,
            hairpin: false,
        };
        let known = Peer::Addresses(Addresses::Network(Prefix {
            address: outside,
            length: 32,
        }));
        let near = destination([10, 0, 0, 30].into());
        assert_eq!(found(&with_zones(near, vec![known])), [LAN]);
        let far = destination([172, 31, 0, 1].into());
        assert_eq!(found(&with_zones(far, vec![known])), [""; 0]);
        let one_to_one = TranslationKind::OneToOne {
            outside,
            inside: [10, 0, 0, 30].into(),
            hairpin: false,
        };
        assert_eq!(found(&with_zones(one_to_one, vec![])), [LAN]);
    }
}
