//! The console's list of services: what the kernel holds just now, laid beside what the config names and
//! what the checks say. Pure; reading the kernel is `kernel`'s work.

use super::verdicts::Verdicts;
use crate::ipc::control::{PAGE_BYTES, ServerStatus, ServicePage, ServiceStatus};
use plan::config::{Config, Endpoint, Service};
use plan::kernel::{self, Destination, DestinationCounters, ServiceKey};

/// What a service costs in a message beside its servers, in bytes, generously.
const SERVICE_BYTES: usize = 40;

/// What a server costs in a message, in bytes, generously.
const SERVER_BYTES: usize = 96;

/// A service in the kernel.
#[derive(Debug, Clone)]
pub struct Held {
    /// As the kernel shows it.
    pub service: kernel::Service,
    /// In the order of its destinations.
    pub counters: Vec<DestinationCounters>,
}

impl Held {
    fn destinations(&self) -> impl Iterator<Item = (&Destination, DestinationCounters)> {
        let counters = self.counters.iter().copied();
        let counters = counters.chain(core::iter::repeat(DestinationCounters::default()));
        self.service.destinations.iter().zip(counters)
    }
}

/// All services: those of the config in its order, strangers last.
pub fn all(config: &Config, held: &[Held], verdicts: &Verdicts) -> Vec<ServiceStatus> {
    let configured = config.services.iter().enumerate().map(|(at, service)| {
        let in_kernel = held.iter().find(|held| held.service.key == key(service));
        let verdict = |server| verdicts.of(at, server);
        of_config(service, in_kernel, verdict)
    });
    let is_stranger = |held: &&Held| {
        !config
            .services
            .iter()
            .any(|service| key(service) == held.service.key)
    };
    let strangers = held.iter().filter(is_stranger).map(stranger);
    configured.chain(strangers).collect()
}

/// As many as fit a message, from position `from` on.
pub fn page(all: Vec<ServiceStatus>, from: u16) -> ServicePage {
    let total = u16::try_from(all.len()).unwrap_or(u16::MAX);
    let mut bytes: usize = 0;
    let fits = |(position, service): &(usize, ServiceStatus)| {
        bytes += SERVICE_BYTES + service.servers.len() * SERVER_BYTES;
        *position == 0 || bytes <= PAGE_BYTES
    };
    let wanted = all.into_iter().skip(from.into()).enumerate();
    let services = wanted.take_while(fits).map(|(_, service)| service);
    ServicePage {
        services: services.collect(),
        total,
    }
}

/// What names a service of the config in the kernel.
pub fn key(service: &Service) -> ServiceKey {
    ServiceKey {
        protocol: service.protocol,
        endpoint: Endpoint {
            address: service.address,
            port: service.port,
        },
    }
}

fn of_config(
    service: &Service,
    held: Option<&Held>,
    verdict: impl Fn(usize) -> Option<bool>,
) -> ServiceStatus {
    let key = key(service);
    let present = |endpoint| {
        let mut destinations = held.into_iter().flat_map(Held::destinations);
        destinations.find(|(destination, _)| destination.endpoint == endpoint)
    };
    let row = |endpoint, up, fallback| match present(endpoint) {
        Some((destination, counters)) => ServerStatus {
            up,
            fallback,
            ..in_kernel(destination, counters)
        },
        None => ServerStatus {
            endpoint,
            forwarding: service.forwarding,
            weight: None,
            connections_max: None,
            up,
            fallback,
            active_connections: 0,
            inactive_connections: 0,
            connections_total: 0,
            packets_in_total: 0,
            bytes_in_total: 0,
            bytes_out_total: 0,
        },
    };
    let named = service.servers.iter().enumerate();
    let mut servers: Vec<_> = named
        .map(|(position, server)| row(server.endpoint, verdict(position), false))
        .collect();
    servers.extend(service.fallback.map(|endpoint| row(endpoint, None, true)));
    let strangers = held.into_iter().flat_map(Held::destinations);
    for (destination, counters) in strangers {
        if !servers
            .iter()
            .any(|server| server.endpoint == destination.endpoint)
        {
            servers.push(in_kernel(destination, counters));
        }
    }
    ServiceStatus {
        protocol: key.protocol,
        endpoint: key.endpoint,
        scheduler: held.map_or(Some(service.scheduler), |held| held.service.scheduler),
        in_kernel: held.is_some(),
        servers,
    }
}

fn stranger(held: &Held) -> ServiceStatus {
    ServiceStatus {
        protocol: held.service.key.protocol,
        endpoint: held.service.key.endpoint,
        scheduler: held.service.scheduler,
        in_kernel: true,
        servers: held
            .destinations()
            .map(|(destination, counters)| in_kernel(destination, counters))
            .collect(),
    }
}

fn in_kernel(destination: &Destination, counters: DestinationCounters) -> ServerStatus {
    ServerStatus {
        endpoint: destination.endpoint,
        forwarding: destination.forwarding,
        weight: Some(destination.weight),
        connections_max: destination.thresholds.connections_max(),
        up: None,
        fallback: false,
        active_connections: counters.active_connections,
        inactive_connections: counters.inactive_connections,
        connections_total: counters.connections_total,
        packets_in_total: counters.packets_in_total,
        bytes_in_total: counters.bytes_in_total,
        bytes_out_total: counters.bytes_out_total,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::dataplane::samples::{balancer, endpoint};
    use plan::config::Forwarding;
    use plan::kernel::Thresholds;

    fn held(service: &Service, servers: &[(&str, u16)]) -> Held {
        let destination = |&(server, weight): &(&str, u16)| Destination {
            endpoint: endpoint(server),
            forwarding: Forwarding::Nat,
            weight,
            thresholds: Thresholds::default(),
        };
        let counters = DestinationCounters {
            active_connections: 3,
            ..DestinationCounters::default()
        };
        Held {
            service: kernel::Service {
                key: key(service),
                scheduler: Some(service.scheduler),
                schedule_fallback: false,
                persistence_s: None,
                destinations: servers.iter().map(destination).collect(),
            },
            counters: vec![counters; servers.len()],
        }
    }

    #[test]
    fn what_the_kernel_lacks_and_what_is_foreign_both_show() {
        let config = balancer();
        let mut verdicts = Verdicts::new(&config);
        verdicts.note(0, 0, true);
        let servers = [("10.0.0.21:80", 1), ("10.0.0.66:80", 5)];
        let held = held(&config.services[0], &servers);
        let all = all(&config, &[held], &verdicts);
        let rows: Vec<_> = all[0]
            .servers
            .iter()
            .map(|row| (row.endpoint.to_string(), row.weight, row.up, row.fallback))
            .collect();
        let expected = [
            ("10.0.0.21:80", Some(1), Some(true), false),
            ("10.0.0.22:80", None, None, false),
            ("10.0.0.99:80", None, None, true),
            ("10.0.0.66:80", Some(5), None, false),
        ];
        assert_eq!(
            rows,
            expected.map(|(at, w, up, f)| (at.to_string(), w, up, f))
        );
        assert_eq!(all[0].servers[0].active_connections, 3);
    }

    #[test]
    fn a_service_missing_in_the_kernel_and_a_stranger_are_told_apart() {
        let config = balancer();
        let mut foreign = config.services[0].clone();
        foreign.port = 8080;
        let stranger = held(&foreign, &[("10.0.0.21:80", 1)]);
        let all = all(&config, &[stranger], &Verdicts::new(&config));
        let rows: Vec<_> = all
            .iter()
            .map(|row| (row.endpoint.port, row.in_kernel))
            .collect();
        assert_eq!(rows, [(80, false), (8080, true)]);
    }

    #[test]
    fn pages_lead_through_everything_and_fit_a_message() {
        let config = balancer();
        let one = all(&config, &[], &Verdicts::new(&config)).remove(0);
        let all = vec![one; 300];
        let mut from = 0;
        while usize::from(from) < all.len() {
            let page = page(all.clone(), from);
            assert!(postcard::to_allocvec(&page).unwrap().len() <= PAGE_BYTES);
            assert_eq!(page.total, 300);
            from += u16::try_from(page.services.len()).unwrap();
        }
        assert_eq!(page(all, 300).services, []);
    }
}
