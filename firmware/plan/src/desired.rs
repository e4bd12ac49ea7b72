//! What the kernel of one box should hold: pure function of config, node, the devices that exist, and the
//! health of the servers. The same on the active and on the standby box, except for the virtual addresses,
//! which are the cluster worker's (design: no address before state).

use crate::config::{
    Attachment, Cast, CheckKind, Config, Device as Identity, Endpoint, Link, OnFailure, Scheduler,
    Service,
};
use crate::firewall;
use crate::kernel::{self, Address, Destination, Device, ServiceKey, State, Thresholds};
use crate::sysctl;
use crate::virtual_mac::{self, seat_of};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Which servers are up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    up: Vec<Vec<bool>>,
}

impl Health {
    /// At start: a server is down until a check has succeeded; one without a check is up.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let of_service = |service: &Service| alloc::vec![service.check.kind == CheckKind::None; service.servers.len()];
        Self {
            up: config.services.iter().map(of_service).collect(),
        }
    }

    /// Notes a verdict; positions are those of `Config::services` and `Service::servers`. Returns whether it
    /// changed anything; a position that does not exist changes nothing.
    pub fn set(&mut self, service: usize, server: usize, up: bool) -> bool {
        match self
            .up
            .get_mut(service)
            .and_then(|servers| servers.get_mut(server))
        {
            Some(known) => core::mem::replace(known, up) != up,
            None => false,
        }
    }

    /// Whether a server is up.
    #[must_use]
    pub fn is_up(&self, service: usize, server: usize) -> bool {
        self.up
            .get(service)
            .and_then(|servers| servers.get(server))
            .copied()
            .unwrap_or(false)
    }
}

/// What the kernel of node `node` should hold. Devices that do not exist (yet) are left out with all that
/// depends on them, so that a card found later is a matter of planning again.
#[must_use]
pub fn desired(config: &Config, node: usize, devices: &[Device], health: &Health) -> State {
    let ruleset = firewall::ruleset(config, node, devices);
    State {
        ruleset: Some(Arc::new(ruleset)),
        ..desired_but_ruleset(config, node, devices, health)
    }
}

/// The same without the ruleset, for those who keep it: it depends on neither health nor anything that devices do.
#[must_use]
pub fn desired_but_ruleset(
    config: &Config,
    node: usize,
    devices: &[Device],
    health: &Health,
) -> State {
    let attached: Vec<_> = attached(config, node, devices).collect();
    let services = config.services.iter().enumerate();
    State {
        devices: attached
            .iter()
            .map(|&(interface, _, device)| raised(config, interface, device))
            .collect(),
        addresses: attached
            .iter()
            .flat_map(|(_, attachment, device)| own_addresses(attachment, device))
            .collect(),
        virtual_addresses: virtual_addresses(config, node, devices),
        bearers: bearers(config, node, devices),
        routes: routes(config, &attached),
        services: services
            .map(|(position, service)| balanced(service, |server| health.is_up(position, server)))
            .collect(),
        sysctls: sysctls(config, &attached),
        ruleset: None,
    }
}

fn sysctls(config: &Config, attached: &[Attached<'_>]) -> Vec<(String, String)> {
    let is_unicast = |link: &Link, position: usize| match link {
        Link::Udp {
            interface, cast, ..
        } => usize::from(*interface) == position && *cast == Cast::Unicast,
        Link::Serial { .. } => false,
    };
    let carries_unicast = |position| config.links.iter().any(|link| is_unicast(link, position));
    let unicast = attached
        .iter()
        .filter(|(position, ..)| carries_unicast(*position));
    let devices = attached.iter().map(device_name);
    sysctl::settings(devices, unicast.map(device_name), config)
}

fn device_name<'a>((_, _, device): &Attached<'a>) -> &'a str {
    &device.name
}

/// The virtual addresses as node `node` would set them; those whose device does not exist are left out.
#[must_use]
pub fn virtual_addresses(config: &Config, node: usize, devices: &[Device]) -> Vec<Address> {
    let placed = config.virtual_addresses.iter().filter_map(|address| {
        let device = seat_of(config, node, usize::from(address.interface), devices)?;
        Some(Address {
            index: device.index,
            prefix: address.prefix,
        })
    });
    placed.collect()
}

/// The devices that bear nothing but virtual addresses, as far as they exist.
fn bearers(config: &Config, node: usize, devices: &[Device]) -> Vec<u32> {
    let wanted = (0..config.interfaces.len())
        .filter_map(|interface| virtual_mac::bearer(config, node, interface, devices));
    let existing = wanted.filter_map(|bearer| {
        let mut devices = devices.iter();
        devices.find(|device| device.name == bearer.name)
    });
    existing.map(|device| device.index).collect()
}

/// The device by which node `node` is attached to the interface at position `interface` of
/// `Config::interfaces`; `None` when it is not attached or the device does not exist.
#[must_use]
pub fn device_of<'a>(
    config: &Config,
    node: usize,
    interface: usize,
    devices: &'a [Device],
) -> Option<&'a Device> {
    let attachment = config.interfaces.get(interface)?.on.get(node)?.as_ref()?;
    devices.iter().find(|device| match &attachment.device {
        Identity::Mac(mac) => device.known_by() == *mac,
        Identity::Name(name) => device.name == *name,
    })
}

type Attached<'a> = (usize, &'a Attachment, &'a Device);

fn attached<'a>(
    config: &'a Config,
    node: usize,
    devices: &'a [Device],
) -> impl Iterator<Item = Attached<'a>> {
    config
        .interfaces
        .iter()
        .enumerate()
        .filter_map(move |(position, interface)| {
            let attachment = interface.on.get(node)?.as_ref()?;
            Some((
                position,
                attachment,
                device_of(config, node, position, devices)?,
            ))
        })
}

fn raised(config: &Config, interface: usize, device: &Device) -> Device {
    let configured = config
        .interfaces
        .get(interface)
        .and_then(|interface| interface.mtu_bytes);
    let mtu_bytes = configured.map_or(device.mtu_bytes, u32::from);
    Device {
        up: true,
        mtu_bytes,
        ..device.clone()
    }
}

fn own_addresses(attachment: &Attachment, device: &Device) -> impl Iterator<Item = Address> {
    attachment.addresses.iter().map(|&prefix| Address {
        index: device.index,
        prefix,
    })
}

/// The routes whose next hop this box can reach, each with the interface it leaves by.
fn routes(config: &Config, attached: &[Attached<'_>]) -> Vec<kernel::Route> {
    let leaves_by = |via: IpAddr, interface: Option<u8>| {
        let reaches =
            |attachment: &Attachment| attachment.addresses.iter().any(|own| own.contains(via));
        let mut candidates = attached.iter().filter(|(position, _, _)| {
            interface.is_none_or(|wanted| usize::from(wanted) == *position)
        });
        candidates
            .find(|(_, attachment, _)| reaches(attachment))
            .map(|(_, _, device)| device.index)
    };
    let reachable = config.routes.iter().filter_map(|route| {
        let index = leaves_by(route.via, route.interface)?;
        Some(kernel::Route {
            to: route.to,
            via: route.via,
            index: Some(index),
        })
    });
    reachable.collect()
}

fn balanced(service: &Service, is_up: impl Fn(usize) -> bool) -> kernel::Service {
    let key = ServiceKey {
        protocol: service.protocol,
        endpoint: Endpoint {
            address: service.address,
            port: service.port,
        },
    };
    let destination = |endpoint, weight, limit| Destination {
        endpoint,
        forwarding: service.forwarding,
        weight,
        thresholds: Thresholds::at_most(limit),
    };
    let servers = service.servers.iter().enumerate();
    let mut destinations: Vec<_> = servers
        .filter_map(|(position, server)| {
            let weight = match (is_up(position), service.on_failure) {
                (true, _) => server.weight,
                (false, OnFailure::Quiesce) => 0,
                (false, OnFailure::Remove) => return None,
            };
            Some(destination(server.endpoint, weight, server.connections_max))
        })
        .collect();
    if destinations.iter().all(|server| server.weight == 0) {
        destinations.extend(
            service
                .fallback
                .map(|endpoint| destination(endpoint, 1, None)),
        );
    }
    destinations.sort_by_key(|destination| destination.endpoint);
    kernel::Service {
        key,
        scheduler: Some(service.scheduler),
        // The hashing schedulers would otherwise turn away the clients of a quiescent server.
        schedule_fallback: matches!(service.scheduler, Scheduler::Sh | Scheduler::Mh),
        persistence_s: service.persistence_s,
        destinations,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::samples::{devices, endpoint, pair, prefix};
    use alloc::vec;

    fn state(config: &Config, health: &Health) -> State {
        desired(config, 0, &devices(), health)
    }

    fn weights(state: &State, service: usize) -> Vec<(Endpoint, u16)> {
        state.services[service]
            .destinations
            .iter()
            .map(|server| (server.endpoint, server.weight))
            .collect()
    }

    #[test]
    fn devices_are_raised_with_own_addresses_and_routes() {
        let config = pair();
        let state = state(&config, &Health::new(&config));
        assert!(state.devices.iter().all(|device| device.up));
        let own = |index, text| Address {
            index,
            prefix: prefix(text),
        };
        assert_eq!(
            state.addresses,
            [
                own(2, "198.51.100.2/24"),
                own(2, "2001:db8::2/64"),
                own(3, "10.0.0.2/24"),
                own(4, "192.0.2.1/30")
            ]
        );
        assert_eq!(
            state.virtual_addresses,
            [
                own(2, "198.51.100.10/24"),
                own(2, "2001:db8::10/64"),
                own(3, "10.0.0.1/24")
            ]
        );
        let leaves_by: Vec<_> = state.routes.iter().map(|route| route.index).collect();
        assert_eq!(leaves_by, [Some(2), Some(3)]);
        assert_eq!(state.sysctls[0], ("net/ipv4/ip_forward".into(), "1".into()));
        assert!(
            state
                .sysctls
                .contains(&("net/ipv6/conf/eth2/accept_dad".into(), "0".into()))
        );
    }

    #[test]
    fn the_twin_is_sought_in_haste_where_heartbeats_go_to_it_alone() {
        let config = pair();
        let settings = state(&config, &Health::new(&config)).sysctls;
        let sought = settings.into_iter().map(|(path, _)| path);
        let sought: Vec<_> = sought.filter(|path| path.contains("/neigh/")).collect();
        let expected = ["ipv4", "ipv6"]
            .map(|family| alloc::format!("net/{family}/neigh/eth2/retrans_time_ms"));
        assert_eq!(sought, expected);
    }

    #[test]
    fn virtual_addresses_sit_on_their_bearer_and_go_from_it_when_orphaned() {
        let mut config = pair();
        config.virtual_mac = true;
        let mut devices = devices();
        devices.push(Device {
            index: 9,
            name: "vmac0-2".into(),
            mac: [2; 6],
            up: false,
            ..devices[0].clone()
        });
        let mut wanted = desired(&config, 0, &devices, &Health::new(&config));
        let on = |state: &State| -> Vec<u32> {
            let addresses = state.virtual_addresses.iter();
            addresses.map(|address| address.index).collect()
        };
        assert_eq!((on(&wanted), &wanted.bearers), (vec![9, 9, 3], &vec![9]));
        // It is for the cluster worker to set it up and down.
        assert!(wanted.devices.iter().all(|device| device.index != 9));
        let mut held = wanted.clone();
        held.addresses.extend(&wanted.virtual_addresses);
        assert_eq!(crate::diff(&wanted, &held), []);
        wanted.virtual_addresses.clear();
        assert_eq!(crate::diff(&wanted, &held).len(), 3);
    }

    #[test]
    fn a_missing_card_takes_only_what_depends_on_it() {
        let config = pair();
        let without_wan = &devices()[1..];
        let state = desired(&config, 0, without_wan, &Health::new(&config));
        assert_eq!(state.devices.len(), 2);
        assert_eq!(state.routes.len(), 1);
        assert_eq!(state.virtual_addresses.len(), 1);
        assert_eq!(state.services.len(), config.services.len());
    }

    #[test]
    fn a_failed_server_is_removed_or_quiesced_as_configured() {
        let mut config = pair();
        let mut health = Health::new(&config);
        assert!(health.set(0, 0, true));
        assert!(!health.set(0, 0, true));
        assert!(!health.set(0, 9, true));
        assert_eq!(
            weights(&state(&config, &health), 0),
            [(endpoint("10.0.0.21:80"), 1)]
        );
        config.services[0].on_failure = OnFailure::Quiesce;
        assert_eq!(
            weights(&state(&config, &health), 0),
            [
                (endpoint("10.0.0.21:80"), 1),
                (endpoint("10.0.0.22:8080"), 0)
            ]
        );
    }

    #[test]
    fn the_fallback_stands_while_nobody_else_takes_connections() {
        let mut config = pair();
        let mut health = Health::new(&config);
        assert_eq!(
            weights(&state(&config, &health), 0),
            [(endpoint("10.0.0.99:80"), 1)]
        );
        health.set(0, 1, true);
        assert_eq!(
            weights(&state(&config, &health), 0),
            [(endpoint("10.0.0.22:8080"), 1)]
        );
        config.services[0].servers[1].weight = 0;
        assert_eq!(
            weights(&state(&config, &health), 0),
            [
                (endpoint("10.0.0.22:8080"), 0),
                (endpoint("10.0.0.99:80"), 1)
            ]
        );
    }

    #[test]
    fn servers_without_a_check_are_up() {
        let config = pair();
        let state = state(&config, &Health::new(&config));
        assert_eq!(weights(&state, 2), [(endpoint("[2001:db8::21]:53"), 1)]);
        assert!(state.services[0].schedule_fallback && !state.services[1].schedule_fallback);
    }
}
