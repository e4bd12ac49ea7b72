//! A small pair for tests.

use plan::config::firewall::Firewall;
use plan::config::{
    Attachment, Cluster, Config, Console, Device, FailBack, Interface, Link, LogLevel, Node,
    Prefix, Timing,
};
use std::net::Ipv4Addr;

/// Castor and pollux, one serial link.
pub fn config() -> Config {
    let node = |name: &str, number| Node {
        name: name.into(),
        number,
        priority: 100,
    };
    let at = |host| Attachment {
        device: Device::Name("eth0".into()),
        addresses: vec![Prefix {
            address: Ipv4Addr::new(192, 0, 2, host).into(),
            length: 24,
        }],
    };
    Config {
        cluster: Cluster {
            name: "edge".into(),
            key: [7; 32],
            timing: Timing::Default,
            fail_back: FailBack::Off,
        },
        nodes: vec![node("castor", 1), node("pollux", 2)],
        interfaces: vec![Interface {
            name: "lan".into(),
            mtu_bytes: None,
            on: vec![Some(at(1)), Some(at(2))],
        }],
        routes: Vec::new(),
        virtual_addresses: Vec::new(),
        links: vec![Link::Serial {
            tty: "ttyS1".into(),
            baud: 19200,
        }],
        services: Vec::new(),
        console: Console {
            password: None,
            log_level: LogLevel::Info,
        },
        virtual_mac: false,
        firewall: Firewall::default(),
    }
}
