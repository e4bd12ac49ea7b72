//! The rows of services and servers: health, and what they do in a second.

use super::events::Row;
use super::rates::{Counts, Rates};
use crate::console::view_services::{check, endpoint};
use crate::ipc::control::{ServerStatus, ServiceStatus};

/// Longest name shown; what is longer is cut.
const NAME_CHARS_MAX: usize = 30;

/// The heads of the columns.
pub fn head(services: &[ServiceStatus]) -> String {
    let heads = ["active", "conn/s", "pkt/s", "B/s in", "B/s out"];
    line("service", width(services), "health", heads)
}

/// A row for each service, each followed by one for each of its servers.
pub fn rows(services: &[ServiceStatus], rates: &Rates) -> Vec<Row> {
    let width = width(services);
    let mut rows = Vec::new();
    for service in services {
        rows.push(service_row(service, rates, width));
        let servers = service.servers.iter();
        rows.extend(servers.map(|server| {
            let name = format!("  {}", endpoint(server.endpoint));
            let rate = rates.server(service, server);
            let cells = cells(server.active_connections.into(), rate);
            let (health, is_loud) = server_health(server);
            (
                line(&name, width, &health, cells.each_ref().map(String::as_str)),
                is_loud,
            )
        }));
    }
    rows
}

fn service_row(service: &ServiceStatus, rates: &Rates, width: usize) -> Row {
    let named = service.servers.iter().filter(|server| !server.fallback);
    let all = named.clone().count();
    let taking = named.filter(|server| takes_clients(server)).count();
    let health = match service.in_kernel {
        true => format!("{taking}/{all} up"),
        false => "MISSING".into(),
    };
    let active = service.servers.iter();
    let active = active.map(|server| u64::from(server.active_connections));
    let cells = cells(active.sum(), rates.service(service));
    let text = line(
        &name(service),
        width,
        &health,
        cells.each_ref().map(String::as_str),
    );
    (text, !service.in_kernel || taking == 0)
}

fn takes_clients(server: &ServerStatus) -> bool {
    server.up != Some(false) && server.weight.is_some_and(|weight| weight > 0)
}

/// `up w10`, `DOWN`; whether it deserves attention.
fn server_health(server: &ServerStatus) -> (String, bool) {
    let verdict = check(server);
    let is_loud = server.up == Some(false);
    match server.weight {
        _ if is_loud => (verdict.into(), true),
        Some(weight) => (format!("{verdict} w{weight}"), false),
        // A fallback is there only while it is needed.
        None => (format!("{verdict} idle"), false),
    }
}

fn name(service: &ServiceStatus) -> String {
    let protocol = service.protocol.name();
    format!("{protocol} {}", endpoint(service.endpoint))
}

fn width(services: &[ServiceStatus]) -> usize {
    let servers = services.iter().flat_map(|service| &service.servers);
    let servers = servers.map(|server| endpoint(server.endpoint).len() + 2);
    let all = services.iter().map(|service| name(service).len());
    let widest = all.chain(servers).max().unwrap_or(0);
    widest.clamp("service".len(), NAME_CHARS_MAX)
}

fn line(name: &str, width: usize, health: &str, numbers: [&str; 5]) -> String {
    let [active, connections, packets, bytes_in, bytes_out] = numbers;
    format!(
        "{name:<width$.width$} {health:<13}{active:>6}{connections:>8}{packets:>7}{bytes_in:>7}{bytes_out:>8}"
    )
}

fn cells(active: u64, rate: Option<Counts>) -> [String; 5] {
    let number = |of: fn(&Counts) -> u64| rate.as_ref().map_or("-".into(), |rate| short(of(rate)));
    let connections = rate.map_or("-".into(), |rate| {
        let tenths = rate.connections;
        match tenths < 1000 {
            true => format!("{}.{}", tenths / 10, tenths % 10),
            false => short(tenths / 10),
        }
    });
    [
        short(active),
        connections,
        number(|rate| rate.packets_in),
        number(|rate| rate.bytes_in),
        number(|rate| rate.bytes_out),
    ]
}

/// At most five characters: `999`, `12.3k`, `456M`.
fn short(number: u64) -> String {
    if number < 1000 {
        return number.to_string();
    }
    let mut thousandths = number;
    for unit in ["k", "M", "G", "T", "P"] {
        match thousandths {
            0..100_000 => {
                let (whole, tenth) = (thousandths / 1000, thousandths % 1000 / 100);
                return format!("{whole}.{tenth}{unit}");
            }
            100_000..1_000_000 => return format!("{}{unit}", thousandths / 1000),
            _ => thousandths /= 1000,
        }
    }
    format!("{}E", thousandths / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::samples::service;
    use core::time::Duration;
    use std::time::Instant;

    #[test]
    fn numbers_are_short() {
        let numbers = [
            0,
            999,
            1000,
            12_345,
            456_789,
            1_000_000,
            7_000_000_000,
            u64::MAX,
        ];
        let texts = numbers.map(short);
        assert_eq!(
            texts.each_ref().map(String::as_str),
            ["0", "999", "1.0k", "12.3k", "456k", "1.0M", "7.0G", "18E"]
        );
    }

    #[test]
    fn a_service_and_its_servers_with_rates() {
        let start = Instant::now();
        let mut rates = Rates::default();
        let mut services = [service()];
        rates.take(start, &services);
        for server in services.iter_mut().flat_map(|service| &mut service.servers) {
            server.connections_total += 32;
            server.packets_in_total += 1_234;
            server.up = Some(true);
            server.weight = Some(10);
        }
        rates.take(start + Duration::from_secs(10), &services);
        assert_eq!(
            head(&services),
            "service           health       active  conn/s  pkt/s B/s in B/s out"
        );
        assert_eq!(
            rows(&services, &rates),
            [
                (
                    "tcp 10.0.0.100:80 1/1 up            3     3.2    123      0       0".into(),
                    false
                ),
                (
                    "  10.0.0.11:80    up w10            3     3.2    123      0       0".into(),
                    false
                ),
            ]
        );
    }

    #[test]
    fn what_is_down_is_loud() {
        let rows = rows(&[service()], &Rates::default());
        assert!(rows.iter().all(|(_, is_loud)| *is_loud), "{rows:?}");
        let health: Vec<_> = rows
            .iter()
            .filter_map(|(text, _)| text.get(18..25))
            .collect();
        assert_eq!(health, ["0/1 up ", "DOWN   "]);
    }
}
