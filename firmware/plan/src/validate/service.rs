//! Checks of virtual services and their servers.

use super::network::{all_own, node_without};
use super::{Problems, Quoted, is_repeated};
use crate::config::{Check, CheckKind, Config, Endpoint, Forwarding, Service};
use alloc::format;
use alloc::string::String;
use core::net::IpAddr;

/// Longest HTTP path and host, so that a request fits one segment.
const HTTP_TEXT_BYTES_MAX: usize = 255;

pub(super) fn check(config: &Config, problems: &mut Problems) {
    for (position, service) in config.services.iter().enumerate() {
        check_service(config, position, service, problems);
        health_check(position, &service.check, problems);
        servers(config, position, service, problems);
    }
}

fn check_service(config: &Config, position: usize, service: &Service, problems: &mut Problems) {
    let path = |field| format!("services[{position}].{field}");
    let name = |service: &Service| (service.protocol, service.address, service.port);
    let endpoint = Endpoint {
        address: service.address,
        port: service.port,
    };
    problems.within(
        path("address"),
        service.port.into(),
        (1, 65_535),
        " as the port",
    );
    if is_repeated(config.services.iter().map(name), position, &name(service)) {
        problems.add(
            path("address"),
            &endpoint,
            "is the address of two services",
            "keep one, with the servers of both",
        );
    }
    if !is_virtual(config, service.address) {
        let advice = "write one of the virtual addresses, or add it as a [[virtual-address]]";
        problems.add(path("address"), &endpoint, "is no virtual address", advice);
    }
    if let Some(persistence_s) = service.persistence_s {
        problems.within(
            path("persistence_s"),
            persistence_s.into(),
            (1, 86_400),
            " seconds",
        );
    }
}

fn is_virtual(config: &Config, address: IpAddr) -> bool {
    config
        .virtual_addresses
        .iter()
        .any(|known| known.prefix.address == address)
}

fn servers(config: &Config, position: usize, service: &Service, problems: &mut Problems) {
    if service.servers.is_empty() {
        let endpoint = Endpoint {
            address: service.address,
            port: service.port,
        };
        problems.add(
            format!("services[{position}].servers"),
            &endpoint,
            "has no servers",
            "write servers = [{ address = \"…\" }]",
        );
    }
    for (order, server) in service.servers.iter().enumerate() {
        let path = format!("services[{position}].servers[{order}].endpoint");
        if is_repeated(
            service.servers.iter().map(|server| server.endpoint),
            order,
            &server.endpoint,
        ) {
            problems.add(
                path.clone(),
                &server.endpoint,
                "is there twice",
                "keep one, with the sum of their weights",
            );
        }
        destination(config, service, server.endpoint, path, problems);
        if server.connections_max == Some(0) {
            problems.add(
                format!("services[{position}].servers[{order}].connections_max"),
                &0,
                "lets no connection in",
                "write at least 1, leave it out for no limit, or write weight = 0 for no new connections",
            );
        }
    }
    if let Some(fallback) = service.fallback {
        let path = format!("services[{position}].fallback");
        if service
            .servers
            .iter()
            .any(|server| server.endpoint == fallback)
        {
            problems.add(
                path.clone(),
                &fallback,
                "is one of the servers",
                "write a server that is there when they are all down",
            );
        }
        destination(config, service, fallback, path, problems);
    }
}

/// What holds for servers and fallback alike.
fn destination(
    config: &Config,
    service: &Service,
    endpoint: Endpoint,
    path: String,
    problems: &mut Problems,
) {
    if endpoint.address.is_ipv4() != service.address.is_ipv4() {
        problems.add(
            path,
            &endpoint,
            "is of another family than the service",
            "write servers of the same family",
        );
        return;
    }
    problems.unicast(path.clone(), endpoint.address);
    problems.within(
        path.clone(),
        endpoint.port.into(),
        (1, 65_535),
        " as the port",
    );
    if is_virtual(config, endpoint.address) || all_own(config).any(|own| own == endpoint.address) {
        problems.add(
            path,
            &endpoint,
            "is an address of the boxes themselves",
            "write a server's own address",
        );
        return;
    }
    if service.forwarding != Forwarding::Nat && endpoint.port != service.port {
        let fault = format!(
            "has another port than the service, which {} forwarding cannot change",
            service.forwarding.name()
        );
        let advice = format!("write port {}, or forwarding = \"nat\"", service.port);
        problems.add(path.clone(), &endpoint, &fault, &advice);
    }
    if service.forwarding == Forwarding::Direct
        && let Some(node) = node_without(config, endpoint.address, None)
    {
        let fault =
            format!("is in no network of {node}, and direct forwarding reaches only neighbours");
        problems.add(
            path,
            &endpoint,
            &fault,
            "write a server of such a network, or forwarding = \"tunnel\"",
        );
    }
}

fn health_check(position: usize, check: &Check, problems: &mut Problems) {
    let path = |field| format!("services[{position}].check.{field}");
    match &check.kind {
        CheckKind::None => {
            if *check != Check::NONE {
                let advice = "leave out its times and counts, or say what is checked";
                problems.add(path("kind"), &"no check", "has times or counts", advice);
            }
            return;
        }
        CheckKind::Tcp { port } => check_port(path("port"), *port, problems),
        CheckKind::Http {
            port,
            path: target,
            host,
            status,
        } => {
            check_port(path("port"), *port, problems);
            if !target.starts_with('/') || !is_token(target) {
                problems.add(
                    path("path"),
                    &Quoted(target),
                    "is no path",
                    "write one that begins with / and has no blanks",
                );
            }
            if let Some(host) = host
                && (host.is_empty() || !is_token(host))
            {
                problems.add(
                    path("host"),
                    &Quoted(host),
                    "is no host",
                    "write a name without blanks",
                );
            }
            problems.within(path("status"), (*status).into(), (100, 599), "");
        }
    }
    problems.within(
        path("interval_ms"),
        check.interval_ms.into(),
        (100, 3_600_000),
        " ms",
    );
    problems.within(
        path("timeout_ms"),
        check.timeout_ms.into(),
        (10, 60_000),
        " ms",
    );
    if check.timeout_ms > check.interval_ms {
        let advice = format!("write {} or less", check.interval_ms);
        problems.add(
            path("timeout_ms"),
            &check.timeout_ms,
            "is longer than the interval",
            &advice,
        );
    }
    problems.within(
        path("failures_to_down"),
        check.failures_to_down.into(),
        (1, 255),
        "",
    );
    problems.within(
        path("successes_to_up"),
        check.successes_to_up.into(),
        (1, 255),
        "",
    );
}

fn check_port(path: String, port: Option<u16>, problems: &mut Problems) {
    problems.within(path, port.unwrap_or(1).into(), (1, 65_535), "");
}

/// Printable ASCII without blanks: it goes into a request as it is.
fn is_token(text: &str) -> bool {
    text.len() <= HTTP_TEXT_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
}
