//! Rates of services and servers from the kernel's totals, as two questions about them tell.

use crate::ipc::control::{ServerStatus, ServiceStatus};
use core::iter::Sum;
use plan::config::{Endpoint, Protocol};
use std::collections::BTreeMap;
use std::time::Instant;

/// What happened since it was added, or in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Connections, in tenths where it is a rate.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients, as far as they come by here.
    pub bytes_out: u64,
}

impl Counts {
    fn of(server: &ServerStatus) -> Self {
        Counts {
            connections: server.connections_total,
            packets_in: server.packets_in_total,
            bytes_in: server.bytes_in_total,
            bytes_out: server.bytes_out_total,
        }
    }

    /// `None` where a total went back: the server was added anew.
    fn rate_since(self, before: Counts, elapsed_ms: u64) -> Option<Self> {
        let rate = |now: u64, before: u64, unit: u64| {
            let more = u128::from(now.checked_sub(before)?);
            let rate = (more * u128::from(unit)).checked_div(elapsed_ms.into())?;
            u64::try_from(rate).ok()
        };
        Some(Counts {
            connections: rate(self.connections, before.connections, 10_000)?,
            packets_in: rate(self.packets_in, before.packets_in, 1000)?,
            bytes_in: rate(self.bytes_in, before.bytes_in, 1000)?,
            bytes_out: rate(self.bytes_out, before.bytes_out, 1000)?,
        })
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Counts::default(), |a, b| Counts {
            connections: a.connections.saturating_add(b.connections),
            packets_in: a.packets_in.saturating_add(b.packets_in),
            bytes_in: a.bytes_in.saturating_add(b.bytes_in),
            bytes_out: a.bytes_out.saturating_add(b.bytes_out),
        })
    }
}

type Key = (Protocol, Endpoint, Endpoint);

/// The last two questions.
#[derive(Debug, Default)]
pub struct Rates {
    asked_at: Option<Instant>,
    totals: BTreeMap<Key, Counts>,
    rates: BTreeMap<Key, Counts>,
}

impl Rates {
    /// Takes the totals of all services.
    pub fn take(&mut self, now: Instant, services: &[ServiceStatus]) {
        let servers = services.iter().flat_map(|service| {
            let servers = service.servers.iter();
            servers.map(move |server| (key(service, server), Counts::of(server)))
        });
        let totals: BTreeMap<_, _> = servers.collect();
        let elapsed = self.asked_at.map(|at| now.saturating_duration_since(at));
        let elapsed_ms = elapsed.and_then(|span| u64::try_from(span.as_millis()).ok());
        let rate = |(key, counts): (&Key, &Counts)| {
            let before = self.totals.get(key)?;
            Some((*key, counts.rate_since(*before, elapsed_ms?)?))
        };
        self.rates = totals.iter().filter_map(rate).collect();
        self.totals = totals;
        self.asked_at = Some(now);
    }

    /// Of one server, `None` while it was asked about once only.
    pub fn server(&self, service: &ServiceStatus, server: &ServerStatus) -> Option<Counts> {
        self.rates.get(&key(service, server)).copied()
    }

    /// Of all servers of a service.
    pub fn service(&self, service: &ServiceStatus) -> Option<Counts> {
        let rates = service
            .servers
            .iter()
            .map(|server| self.server(service, server));
        let known: Vec<_> = rates.flatten().collect();
        (!known.is_empty()).then(|| known.into_iter().sum())
    }
}

fn key(service: &ServiceStatus, server: &ServerStatus) -> Key {
    (service.protocol, service.endpoint, server.endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::samples::service;
    use core::time::Duration;

    fn counted(connections: u64, packets: u64) -> ServiceStatus {
        let mut service = service();
        for server in &mut service.servers {
            server.connections_total = connections;
            server.packets_in_total = packets;
        }
        service
    }

    #[test]
    fn a_rate_takes_two_questions() {
        let start = Instant::now();
        let mut rates = Rates::default();
        rates.take(start, &[counted(100, 1000)]);
        assert_eq!(rates.service(&service()), None);
        rates.take(start + Duration::from_secs(2), &[counted(105, 1300)]);
        let rate = rates.service(&service());
        let rate = rate.map(|rate| (rate.connections, rate.packets_in, rate.bytes_in));
        assert_eq!(rate, Some((25, 150, 0)));
    }

    #[test]
    fn totals_that_go_back_are_no_rate() {
        let start = Instant::now();
        let mut rates = Rates::default();
        rates.take(start, &[counted(100, 1000)]);
        rates.take(start + Duration::from_secs(1), &[counted(3, 30)]);
        assert_eq!(rates.service(&service()), None);
        rates.take(start + Duration::from_secs(2), &[counted(4, 30)]);
        assert!(rates.service(&service()).is_some());
        rates.take(start + Duration::from_secs(2), &[counted(5, 30)]);
        assert_eq!(rates.service(&service()), None, "no time has passed");
    }
}
