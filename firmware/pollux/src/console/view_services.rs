//! The table of virtual services, in the manner of `ipvsadm -L -n` with the checks' verdicts beside it.

use super::table::Table;
use crate::ipc::control::{ServerStatus, ServiceStatus};
use core::fmt::Write;
use plan::config::{Endpoint, Scheduler};
use std::net::IpAddr;

/// All services, or a sentence that there are none.
pub fn services(services: &[ServiceStatus]) -> String {
    let mut out = String::new();
    if services.is_empty() {
        out.push_str("no virtual services, neither configured nor in the kernel\n");
    }
    for service in services {
        head(service, &mut out);
        let mut table = Table::new(
            2,
            &[
                "server", "method", "weight", "check", "active", "inactive", "limit", "total",
            ],
        );
        for server in &service.servers {
            table.row(row(server));
        }
        out.push_str(&table.render());
    }
    out
}

fn head(service: &ServiceStatus, out: &mut String) {
    let protocol = service.protocol.name();
    let endpoint = endpoint(service.endpoint);
    let scheduler = service.scheduler.map_or("?", Scheduler::name);
    let missing = if service.in_kernel {
        ""
    } else {
        "  MISSING IN THE KERNEL"
    };
    let _ = writeln!(out, "{protocol} {endpoint} {scheduler}{missing}");
}

/// What a server's check says, in a word.
pub fn check(server: &ServerStatus) -> &'static str {
    match (server.fallback, server.up) {
        (true, _) => "fallback",
        (false, Some(true)) => "up",
        (false, Some(false)) => "DOWN",
        (false, None) => "unchecked",
    }
}

fn row(server: &ServerStatus) -> [String; 8] {
    [
        endpoint(server.endpoint),
        server.forwarding.name().into(),
        server
            .weight
            .map_or("absent".into(), |weight| weight.to_string()),
        check(server).into(),
        server.active_connections.to_string(),
        server.inactive_connections.to_string(),
        server
            .connections_max
            .map_or("-".into(), |limit| limit.to_string()),
        server.connections_total.to_string(),
    ]
}

/// As in the config.
pub fn endpoint(endpoint: Endpoint) -> String {
    match endpoint.address {
        IpAddr::V4(address) => format!("{address}:{}", endpoint.port),
        IpAddr::V6(address) => format!("[{address}]:{}", endpoint.port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::samples::service;

    #[test]
    fn services_look_like_this() {
        assert_eq!(
            services(&[service()]),
            "tcp 10.0.0.100:80 wlc\n  \
             server        method  weight  check  active  inactive  limit  total\n  \
             10.0.0.11:80  nat     0       DOWN   3       12        1000   4711\n"
        );
    }
}
