//! A pair that balances one service over two servers, for tests.

use crate::samples;
use plan::config::{
    Attachment, Check, CheckKind, Config, Device, Endpoint, Forwarding, Interface, OnFailure,
    Prefix, Protocol, RealServer, Scheduler, Service, VirtualAddress,
};

pub fn endpoint(text: &str) -> Endpoint {
    let socket: std::net::SocketAddr = text.parse().unwrap();
    Endpoint {
        address: socket.ip(),
        port: socket.port(),
    }
}

pub fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix {
        address: address.parse().unwrap(),
        length: length.parse().unwrap(),
    }
}

/// `castor` has `wan` at eth0 and `lan` at a card known by its MAC address.
pub fn balancer() -> Config {
    let attached = |device, address| {
        Some(Attachment {
            device,
            addresses: vec![prefix(address)],
        })
    };
    let interface = |name: &str, on| Interface {
        name: name.into(),
        mtu_bytes: None,
        on,
    };
    let eth0 = || Device::Name("eth0".into());
    let card = |node| Device::Mac([0x52, 0x54, 0, 0, node, 2]);
    let server = |text| RealServer {
        endpoint: endpoint(text),
        weight: 1,
        connections_max: None,
    };
    let wan = vec![
        attached(eth0(), "198.51.100.2/24"),
        attached(eth0(), "198.51.100.3/24"),
    ];
    let lan = vec![
        attached(card(1), "10.0.0.2/24"),
        attached(card(2), "10.0.0.3/24"),
    ];
    Config {
        interfaces: vec![interface("wan", wan), interface("lan", lan)],
        virtual_addresses: vec![VirtualAddress {
            prefix: prefix("198.51.100.10/24"),
            interface: 0,
        }],
        services: vec![Service {
            address: "198.51.100.10".parse().unwrap(),
            port: 80,
            protocol: Protocol::Tcp,
            scheduler: Scheduler::Wlc,
            forwarding: Forwarding::Nat,
            persistence_s: None,
            on_failure: OnFailure::Quiesce,
            check: Check {
                kind: CheckKind::Tcp { port: None },
                interval_ms: 2000,
                timeout_ms: 1000,
                failures_to_down: 3,
                successes_to_up: 2,
            },
            fallback: Some(endpoint("10.0.0.99:80")),
            servers: vec![server("10.0.0.21:80"), server("10.0.0.22:80")],
        }],
        ..samples::config()
    }
}
