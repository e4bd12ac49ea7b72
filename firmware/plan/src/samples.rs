//! Configs for tests: one that uses everything, one of the largest size promised, and arbitrary ones.

use crate::config::*;
use crate::kernel;
use crate::password;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use core::num::NonZeroU32;
use proptest::collection;
use proptest::prelude::*;

pub(crate) fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix {
        address: address.parse().unwrap(),
        length: length.parse().unwrap(),
    }
}

pub(crate) fn endpoint(text: &str) -> Endpoint {
    let socket: core::net::SocketAddr = text.parse().unwrap();
    Endpoint {
        address: socket.ip(),
        port: socket.port(),
    }
}

fn node(name: &str, number: u8) -> Node {
    Node {
        name: name.into(),
        number,
        priority: 100,
    }
}

fn interface(name: &str, number: u8, addresses: [&[&str]; 2]) -> Interface {
    let attachment = |node: u8, addresses: &[&str]| {
        let device = Device::Mac([0x52, 0x54, 0, 0, node, number]);
        Some(Attachment {
            device,
            addresses: addresses.iter().map(|text| prefix(text)).collect(),
        })
    };
    let [castor, pollux] = addresses;
    Interface {
        name: name.into(),
        mtu_bytes: None,
        on: vec![attachment(1, castor), attachment(2, pollux)],
    }
}

fn http() -> Check {
    let kind = CheckKind::Http {
        port: Some(8080),
        path: "/health?\"deep\"".into(),
        host: Some("www".into()),
        status: 204,
    };
    Check {
        kind,
        interval_ms: 2000,
        timeout_ms: 1000,
        failures_to_down: 3,
        successes_to_up: 2,
    }
}

pub(crate) fn service(address: &str, servers: &[&str]) -> Service {
    let Endpoint { address, port } = endpoint(address);
    let server = |text: &&str| RealServer {
        endpoint: endpoint(text),
        weight: 1,
        connections_max: None,
    };
    Service {
        address,
        port,
        protocol: Protocol::Tcp,
        scheduler: Scheduler::Wlc,
        forwarding: Forwarding::Nat,
        persistence_s: None,
        on_failure: OnFailure::Quiesce,
        check: http(),
        fallback: None,
        servers: servers.iter().map(server).collect(),
    }
}

/// A pair with three networks and everything the schema knows.
pub(crate) fn pair() -> Config {
    let mut wan = interface(
        "wan",
        1,
        [
            &["198.51.100.2/24", "2001:db8::2/64"],
            &["198.51.100.3/24", "2001:db8::3/64"],
        ],
    );
    wan.mtu_bytes = Some(1500);
    let mut sync = interface("sync", 3, [&["192.0.2.1/30"], &["192.0.2.2/30"]]);
    if let Some(Some(attachment)) = sync.on.first_mut() {
        attachment.device = Device::Name("eth2".into());
    }
    let virtual_address = |text, interface| VirtualAddress {
        prefix: prefix(text),
        interface,
    };
    let udp = |interface, port, cast| Link::Udp {
        interface,
        port,
        cast,
    };
    let sticky = Service {
        scheduler: Scheduler::Sh,
        persistence_s: Some(300),
        on_failure: OnFailure::Remove,
        fallback: Some(endpoint("10.0.0.99:80")),
        ..service("198.51.100.10:80", &["10.0.0.21:80", "10.0.0.22:8080"])
    };
    let direct = Service {
        forwarding: Forwarding::Direct,
        check: Check {
            kind: CheckKind::Tcp { port: None },
            ..http()
        },
        ..service("10.0.0.1:443", &["10.0.0.21:443"])
    };
    let dns = Service {
        protocol: Protocol::Udp,
        check: Check::NONE,
        ..service("[2001:db8::10]:53", &["[2001:db8::21]:53"])
    };
    Config {
        cluster: Cluster {
            name: "dioscuri".into(),
            key: [7; 32],
            timing: Timing::Explicit {
                beat_ms: 20,
                dead_ms: 90,
            },
            fail_back: FailBack::Auto,
        },
        nodes: vec![node("castor", 1), node("pollux", 2)],
        interfaces: vec![
            wan,
            interface("lan", 2, [&["10.0.0.2/24"], &["10.0.0.3/24"]]),
            sync,
        ],
        routes: vec![
            Route {
                to: prefix("0.0.0.0/0"),
                via: "198.51.100.1".parse().unwrap(),
                interface: Some(0),
            },
            Route {
                to: prefix("10.9.0.0/16"),
                via: "10.0.0.254".parse().unwrap(),
                interface: None,
            },
        ],
        virtual_addresses: vec![
            virtual_address("198.51.100.10/24", 0),
            virtual_address("2001:db8::10/64", 0),
            virtual_address("10.0.0.1/24", 1),
        ],
        links: vec![
            Link::Serial {
                tty: "ttyS1".into(),
                baud: 115_200,
            },
            udp(2, 694, Cast::Unicast),
            udp(1, 694, Cast::Broadcast),
            udp(0, 694, Cast::Multicast(Ipv4Addr::new(239, 0, 0, 1))),
        ],
        services: vec![sticky, direct, dns],
        console: Console {
            password: Some(password::derive("geminis", [3; 16], 2)),
            log_level: LogLevel::Info,
        },
        virtual_mac: false,
        firewall: firewall::Firewall::default(),
    }
}

/// The size that must fit one slot: services × servers.
pub(crate) fn large(services: u16, servers: u8) -> Config {
    let one = |number: u16| {
        let servers: Vec<String> = (0..servers)
            .map(|server| format!("10.0.0.{}:{}", 20 + server, 20_000 + number))
            .collect();
        let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
        Service {
            fallback: Some(endpoint("10.0.0.99:80")),
            ..service(&format!("198.51.100.10:{}", 10_000 + number), &servers)
        }
    };
    Config {
        services: (0..services).map(one).collect(),
        ..pair()
    }
}

/// A pair that guards: so many rules, and so many addresses in two sets that every other rule names.
pub(crate) fn guarding(rules: u32, addresses: u32) -> Config {
    use crate::config::firewall::*;
    let zone = |name: &str, interface| Zone {
        name: name.into(),
        interfaces: vec![interface],
        anti_spoofing: true,
    };
    let network = |bits: u32, length| {
        let address = Ipv4Addr::from_bits(bits).into();
        Addresses::Network(Prefix { address, length })
    };
    let set = |name: &str, addresses| AddressSet {
        name: name.into(),
        addresses,
    };
    let hosts = (0..addresses / 2).map(|number| network(0x0b00_0000 + 3 * number, 32));
    let networks = (0..addresses / 2).map(|number| network(0x6400_0000 + 32 * number, 28));
    let rule = |number: u32| Rule {
        name: format!("customer {number}"),
        traffic: Traffic {
            from: vec![Side::Zone(0)],
            to: vec![Side::Zone(1)],
            source: match number % 4 {
                1 => vec![Peer::Set(0)],
                3 => vec![Peer::Set(1)],
                _ => vec![],
            },
            destination: vec![Peer::Addresses(network(0xc000_0200 + number, 32))],
            protocols: vec![Transport::Tcp],
            ports: vec![PortRange {
                first: 443,
                last: 443,
            }],
            ..Traffic::default()
        },
        states: vec![],
        limit: None,
        connections_max: None,
        log: None,
        action: Action::Accept,
    };
    let mut config = pair();
    config.firewall.zones = vec![zone("outside", 0), zone("inside", 1)];
    config.firewall.sets = vec![
        set("hosts", hosts.collect()),
        set("networks", networks.collect()),
    ];
    config.firewall.rules = (0..rules).map(rule).collect();
    config
}

/// The devices of node 0 of `pair()`, as the kernel would show them before anything is configured.
pub(crate) fn devices() -> Vec<kernel::Device> {
    let device = |index: u8| kernel::Device {
        index: index.into(),
        name: format!("eth{}", index - 2),
        mac: [0x52, 0x54, 0, 0, 1, index - 1],
        permanent_mac: None,
        up: false,
        carrier: true,
        mtu_bytes: 1500,
    };
    vec![device(2), device(3), device(4)]
}

/// Valid configs: `pair()` with services that vary in all that varies.
pub(crate) fn configs() -> impl Strategy<Value = Config> {
    (
        any::<[u8; 32]>(),
        collection::vec(services(), 0..4),
        any::<bool>(),
    )
        .prop_map(|(key, services, has_password)| {
            let mut config = pair();
            if key != [0; 32] {
                config.cluster.key = key;
            }
            config.services = services;
            for (position, service) in (0u16..).zip(&mut config.services) {
                service.port = 1000 + position;
            }
            config.console.password = config.console.password.filter(|_| has_password);
            config
        })
}

fn services() -> impl Strategy<Value = Service> {
    let servers = collection::btree_map(
        (1u8..=250, 1u16..),
        any::<(u16, Option<NonZeroU32>)>(),
        1..5,
    );
    let choices = (
        prop::sample::select(Scheduler::ALL),
        prop::sample::select(OnFailure::ALL),
        prop::sample::select(Protocol::ALL),
    );
    (
        servers,
        choices,
        prop::option::of(1u32..=86_400),
        checks(),
        any::<bool>(),
    )
        .prop_map(
            |(servers, (scheduler, on_failure, protocol), persistence_s, check, has_fallback)| {
                let server =
                    |((host, port), (weight, limit)): ((u8, u16), (u16, Option<NonZeroU32>))| {
                        let address = IpAddr::V4(Ipv4Addr::new(10, 9, 1, host));
                        RealServer {
                            endpoint: Endpoint { address, port },
                            weight,
                            connections_max: limit.map(NonZeroU32::get),
                        }
                    };
                let mut service = service("198.51.100.10:1", &[]);
                service.servers = servers.into_iter().map(server).collect();
                service.fallback = has_fallback.then(|| endpoint("10.9.2.1:80"));
                Service {
                    scheduler,
                    on_failure,
                    protocol,
                    persistence_s,
                    check,
                    ..service
                }
            },
        )
}

fn checks() -> impl Strategy<Value = Check> {
    let port = || prop::option::of(1u16..);
    let kind = prop_oneof![
        port().prop_map(|port| CheckKind::Tcp { port }),
        (
            port(),
            "/[!-~]{0,20}",
            prop::option::of("[!-~]{1,20}"),
            100u16..600
        )
            .prop_map(|(port, path, host, status)| CheckKind::Http {
                port,
                path,
                host,
                status
            }),
    ];
    let timed = (kind, 100u32..=10_000, 10u32..=100, 1u8.., 1u8..).prop_map(
        |(kind, interval_ms, timeout_ms, failures_to_down, successes_to_up)| Check {
            kind,
            interval_ms,
            timeout_ms,
            failures_to_down,
            successes_to_up,
        },
    );
    prop_oneof![Just(Check::NONE), timed]
}

/// `path: value` of the first problem, for tests of validation.
pub(crate) fn first_problem(config: &Config) -> String {
    crate::validate(config).map_or_else(
        |problems| problems.first().unwrap().to_string(),
        |()| "valid".into(),
    )
}
