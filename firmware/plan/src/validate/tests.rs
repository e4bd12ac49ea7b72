use super::*;
use crate::config::*;
use crate::samples::{endpoint, first_problem, large, pair, prefix};

#[test]
fn what_should_work_is_accepted() {
    assert_eq!(validate(&pair()), Ok(()));
    assert_eq!(validate(&large(100, 10)), Ok(()));
}

#[test]
fn an_interface_may_have_virtual_addresses_alone() {
    let mut config = pair();
    let alone = |config: &mut Config| {
        for attachment in config.interfaces[1].on.iter_mut().flatten() {
            attachment.addresses.clear();
        }
        config.routes.truncate(1);
        config.links.truncate(1);
        config.services.clear();
    };
    alone(&mut config);
    assert_eq!(validate(&config), Ok(()));
    config.interfaces[1].mtu_bytes = Some(1000);
    assert_eq!(validate(&config), Ok(()));
    config.virtual_addresses[2].prefix = prefix("2001:db8:1::1/64");
    let found = first_problem(&config);
    assert!(
        found.starts_with("interfaces[1].mtu_bytes: 1000 is out of range: write 1280"),
        "{found}"
    );
    config.interfaces[1].mtu_bytes = None;
    config.virtual_addresses[2].prefix = prefix("198.51.100.77/16");
    let found = first_problem(&config);
    let expected =
        "virtual_addresses[2].prefix: 198.51.100.77/16 is in the network of interface wan";
    assert!(found.starts_with(expected), "{found}");
}

/// Each row breaks one thing in a valid config.
#[test]
fn what_cannot_work_is_refused_where_it_stands() {
    type Row = (fn(&mut Config), &'static str);
    let rows: &[Row] = &[
        (
            |c| c.cluster.name = "Dioscuri".into(),
            "cluster.name: \"Dioscuri\" is no name",
        ),
        (
            |c| c.cluster.key = [0; 32],
            "cluster.key: the key is all zeros",
        ),
        (
            |c| {
                c.cluster.timing = Timing::Explicit {
                    beat_ms: 50,
                    dead_ms: 149,
                }
            },
            "cluster.timing.dead_ms: 149 ms is less than three",
        ),
        (
            |c| {
                c.cluster.timing = Timing::Explicit {
                    beat_ms: 0,
                    dead_ms: 10,
                }
            },
            "cluster.timing.beat_ms: 0 is out of range",
        ),
        (|c| c.nodes.truncate(1), "nodes: 1 nodes are no pair"),
        (
            |c| c.nodes[1].name = "castor".into(),
            "nodes[1].name: castor names two",
        ),
        (|c| c.nodes[1].number = 1, "nodes[1].number: 1 numbers two"),
        (
            |c| c.nodes.reverse(),
            "nodes: the list is not in ascending order",
        ),
        (
            |c| c.interfaces[1].name = "wan".into(),
            "interfaces[1].name: wan names two",
        ),
        (
            |c| c.interfaces[0].mtu_bytes = Some(1000),
            "interfaces[0].mtu_bytes: 1000 is out of range: write 1280 to 9216",
        ),
        (
            |c| c.interfaces[1].on = alloc::vec![None, None],
            "interfaces[1].on: lan is attached to no box",
        ),
        (
            |c| device(c, 1, Device::Name("../x".into())),
            "interfaces[1].on[0].device: \"../x\" is no device",
        ),
        (
            |c| {
                c.virtual_mac = true;
                device(c, 1, Device::Name("vmac0-2".into()));
            },
            "interfaces[1].on[0].device: \"vmac0-2\" is called like the devices",
        ),
        (
            |c| device(c, 1, Device::Mac([1, 0, 0, 0, 0, 0])),
            "interfaces[1].on[0].device: 01:00:00:00:00:00 is no card",
        ),
        (
            |c| device(c, 0, Device::Name("eth2".into())),
            "interfaces[2].on[0].device: eth2 is attached twice",
        ),
        (
            |c| own(c, 0, "198.51.100.3/24"),
            "interfaces[0].on[1].addresses[0]: 198.51.100.3/24 is set twice",
        ),
        (
            |c| own(c, 0, "198.51.100.0/24"),
            "interfaces[0].on[0].addresses[0]: 198.51.100.0/24 is the first or last",
        ),
        (
            |c| own(c, 0, "198.51.100.2/33"),
            "interfaces[0].on[0].addresses[0]: 198.51.100.2/33 has no such prefix",
        ),
        (
            |c| own(c, 0, "127.0.0.1/8"),
            "interfaces[0].on[0].addresses[0]: 127.0.0.1 is a loopback",
        ),
        (
            |c| own(c, 1, "192.0.2.2/30"),
            "interfaces[2].on[0].addresses[0]: 192.0.2.1/30 is in the same network as interface lan",
        ),
        (
            |c| c.routes[1].to = prefix("10.9.1.0/16"),
            "routes[1].to: 10.9.1.0/16 has bits behind its prefix: write 10.9.0.0/16",
        ),
        (
            |c| c.routes[1].to = prefix("0.0.0.0/0"),
            "routes[1].to: 0.0.0.0/0 has two routes",
        ),
        (
            |c| c.routes[1].to = prefix("2001:db8:1::/48"),
            "routes[1].via: 10.0.0.254 is of another family",
        ),
        (
            |c| c.routes[1].via = endpoint("10.7.0.1:1").address,
            "routes[1].via: 10.7.0.1 is in no network of either",
        ),
        (
            |c| c.routes[1].via = endpoint("10.0.0.3:1").address,
            "routes[1].via: 10.0.0.3 is an address of the boxes",
        ),
        (
            |c| c.routes[0].interface = Some(1),
            "routes[0].via: 198.51.100.1 is in no network of castor on this",
        ),
        (
            |c| c.routes[0].interface = Some(9),
            "routes[0].interface: 9 is no interface",
        ),
        (
            |c| c.virtual_addresses[0].prefix = prefix("198.51.100.2/24"),
            "virtual_addresses[0].prefix: 198.51.100.2/24 is a box's own",
        ),
        (
            |c| c.virtual_addresses[0].prefix = prefix("10.1.0.1/24"),
            "virtual_addresses[0].prefix: 10.1.0.1/24 is in no network of castor on interface wan",
        ),
        (
            |c| c.virtual_addresses[0].interface = 9,
            "virtual_addresses[0].interface: number 9 is not an interface of both",
        ),
        (
            |c| c.virtual_addresses.push(c.virtual_addresses[0]),
            "virtual_addresses[3].prefix: 198.51.100.10/24 is there twice",
        ),
        (|c| c.links.clear(), "links: [[link]] is missing"),
        (
            |c| {
                c.links[0] = Link::Serial {
                    tty: "/dev/ttyS1".into(),
                    baud: 9600,
                }
            },
            "links[0].tty: \"/dev/ttyS1\" is no serial port",
        ),
        (
            |c| {
                c.links[0] = Link::Serial {
                    tty: "ttyS0".into(),
                    baud: 9600,
                }
            },
            "links[0].tty: ttyS0 is the console",
        ),
        (
            |c| {
                c.links[0] = Link::Serial {
                    tty: "ttyS1".into(),
                    baud: 9601,
                }
            },
            "links[0].baud: 9601 is no usual speed",
        ),
        (
            |c| c.links.push(c.links[0].clone()),
            "links[4].tty: ttyS1 carries two links",
        ),
        (
            |c| c.links.push(c.links[1].clone()),
            "links[4].port: 694 is used by two links",
        ),
        (
            |c| {
                c.links[3] = Link::Udp {
                    interface: 0,
                    port: 694,
                    cast: Cast::Multicast([10, 0, 0, 1].into()),
                }
            },
            "links[3].group: 10.0.0.1 is no multicast group",
        ),
        (
            |c| {
                c.links[1] = Link::Udp {
                    interface: 2,
                    port: 695,
                    cast: Cast::Unicast,
                }
            },
            "links[1].port: 695 is the port of state sync",
        ),
        (
            |c| c.interfaces[2].on[1].as_mut().unwrap().addresses.clear(),
            "links[1].interface: sync has no network in which both",
        ),
        (
            |c| c.interfaces[2].on[1] = None,
            "links[1].interface: sync is not an interface of both boxes",
        ),
        (
            |c| c.services[0].address = endpoint("198.51.100.11:1").address,
            "services[0].address: 198.51.100.11:80 is no virtual address",
        ),
        (
            |c| c.services[0].port = 0,
            "services[0].address: 0 is out of range: write 1 to 65535 as the port",
        ),
        (
            |c| c.services.push(c.services[0].clone()),
            "services[3].address: 198.51.100.10:80 is the address of two",
        ),
        (
            |c| c.services[0].persistence_s = Some(0),
            "services[0].persistence_s: 0 is out of range",
        ),
        (
            |c| c.services[0].servers.clear(),
            "services[0].servers: 198.51.100.10:80 has no servers",
        ),
        (
            |c| c.services[0].servers[1] = c.services[0].servers[0],
            "services[0].servers[1].endpoint: 10.0.0.21:80 is there twice",
        ),
        (
            |c| server(c, "[2001:db8::21]:80"),
            "services[1].servers[0].endpoint: [2001:db8::21]:80 is of another family",
        ),
        (
            |c| server(c, "10.0.0.21:80"),
            "services[1].servers[0].endpoint: 10.0.0.21:80 has another port than the service, which direct",
        ),
        (
            |c| server(c, "10.9.0.21:443"),
            "services[1].servers[0].endpoint: 10.9.0.21:443 is in no network of castor, and direct",
        ),
        (
            |c| server(c, "10.0.0.3:443"),
            "services[1].servers[0].endpoint: 10.0.0.3:443 is an address of the boxes",
        ),
        (
            |c| c.services[0].fallback = Some(endpoint("10.0.0.21:80")),
            "services[0].fallback: 10.0.0.21:80 is one of the servers",
        ),
        (
            |c| c.services[0].check.timeout_ms = 2001,
            "services[0].check.timeout_ms: 2001 is longer than the interval",
        ),
        (
            |c| c.services[0].check.failures_to_down = 0,
            "services[0].check.failures_to_down: 0 is out of range",
        ),
        (
            |c| c.services[0].check.kind = CheckKind::None,
            "services[0].check.kind: no check has times or counts",
        ),
        (
            |c| c.services[1].check.kind = CheckKind::Tcp { port: Some(0) },
            "services[1].check.port: 0 is out of range",
        ),
        (
            |c| http_path(c, "health"),
            "services[0].check.path: \"health\" is no path",
        ),
        (
            |c| http_path(c, "/a b"),
            "services[0].check.path: \"/a b\" is no path",
        ),
        (
            |c| c.console.password.as_mut().unwrap().iterations = u32::MAX,
            "console.password.iterations: 4294967295 is out of range",
        ),
    ];
    for (number, (break_it, expected)) in rows.iter().enumerate() {
        let mut config = pair();
        break_it(&mut config);
        let found = first_problem(&config);
        assert!(
            found.starts_with(expected),
            "row {number}:\n expected {expected}…\n found    {found}"
        );
    }
}

#[test]
fn all_problems_are_found() {
    let mut config = pair();
    config.cluster.key = [0; 32];
    config.services[0].servers.clear();
    config.links[0] = Link::Serial {
        tty: "ttyS0".into(),
        baud: 1,
    };
    let paths: Vec<_> = validate(&config)
        .unwrap_err()
        .into_iter()
        .map(|problem| problem.path)
        .collect();
    assert_eq!(
        paths,
        [
            "cluster.key",
            "links[0].tty",
            "links[0].baud",
            "services[0].servers"
        ]
    );
}

fn device(config: &mut Config, interface: usize, device: Device) {
    config.interfaces[interface].on[0].as_mut().unwrap().device = device;
}

fn own(config: &mut Config, interface: usize, address: &str) {
    config.interfaces[interface].on[0]
        .as_mut()
        .unwrap()
        .addresses[0] = prefix(address);
}

fn server(config: &mut Config, address: &str) {
    config.services[1].servers[0].endpoint = endpoint(address);
}

fn http_path(config: &mut Config, new: &str) {
    if let CheckKind::Http { path, .. } = &mut config.services[0].check.kind {
        *path = new.into();
    }
}

#[test]
fn a_group_may_use_the_port_of_state_sync() {
    let mut config = pair();
    config.links[1] = Link::Udp {
        interface: 2,
        port: 695,
        cast: Cast::Multicast([239, 192, 6, 94].into()),
    };
    assert_eq!(validate(&config), Ok(()));
}

#[test]
fn a_line_slower_than_the_fast_profile_is_a_concern_and_no_problem() {
    let mut config = pair();
    let line = |baud| Link::Serial {
        tty: "ttyS1".into(),
        baud,
    };
    config.links[0] = line(9600);
    assert_eq!(concerns(&config), []);
    config.cluster.timing = Timing::Fast;
    assert_eq!(validate(&config), Ok(()));
    let found: Vec<String> = concerns(&config).iter().map(Problem::to_string).collect();
    let expected = "links[0].baud: 9600 baud makes a takeover wait for 402 ms of silence on ttyS1, the fast profile for 30 ms: write 115200 or more, or leave the default profile";
    assert_eq!(found, [expected]);
    config.links[0] = line(115_200);
    assert_eq!(concerns(&config), []);
}

#[test]
fn a_firewall_larger_than_a_box_takes_is_refused() {
    use crate::config::firewall::{Action, Rule, Side, Traffic, Zone};
    let mut config = pair();
    let zone = |interface: u8| Zone {
        name: alloc::format!("zone-{interface}"),
        interfaces: alloc::vec![interface],
        anti_spoofing: true,
    };
    config.firewall.zones = (0..3).map(zone).collect();
    let rule = Rule {
        name: String::new(),
        traffic: Traffic {
            from: alloc::vec![Side::Any],
            to: alloc::vec![Side::Any],
            ..Traffic::default()
        },
        states: Vec::new(),
        limit: None,
        connections_max: None,
        log: None,
        action: Action::Accept,
    };
    config.firewall.rules = alloc::vec![rule; 2222];
    assert_eq!(validate(&config), Ok(()));
    config.firewall.rules.push(config.firewall.rules[0].clone());
    let found = first_problem(&config);
    let expected = "firewall.rules: 20007 pairs of zones, over all rules and translations, are more than a box takes: write 20000 at most";
    assert!(found.starts_with(expected), "{found}");
}

#[test]
fn masquerading_without_an_address_that_moves_is_a_concern() {
    use crate::config::firewall::{Families, Side, Traffic, Translation, TranslationKind, Zone};
    let mut config = pair();
    let zone = |name: &str, interface| Zone {
        name: name.into(),
        interfaces: alloc::vec![interface],
        anti_spoofing: true,
    };
    config.firewall.zones = alloc::vec![zone("outside", 0), zone("inside", 1)];
    config.firewall.translations = alloc::vec![Translation {
        name: String::new(),
        traffic: Traffic {
            from: alloc::vec![Side::Zone(1)],
            to: alloc::vec![Side::Zone(0)],
            ..Traffic::default()
        },
        kind: TranslationKind::Masquerade {
            families: Families::Both,
        },
    }];
    assert_eq!((validate(&config), concerns(&config)), (Ok(()), Vec::new()));
    config.virtual_addresses.remove(0);
    config.services.clear();
    let found: Vec<String> = concerns(&config).iter().map(Problem::to_string).collect();
    let expected = "firewall.translations[0]: wan has no virtual address, so that masqueraded connections end with a takeover: add a [[virtual-address]] there";
    assert_eq!(found, [expected]);
}

#[test]
fn bounds_of_connections_that_nothing_tracks_are_a_concern() {
    use crate::config::firewall::{Phase, Zone};
    let expected = "firewall.connections: [connections] is without effect, since without zones nothing is filtered and no connection tracked: write a [[zone]] for each kind of network, or leave it out";
    let mut config = pair();
    config.firewall.connections.max = Some(100_000);
    let mut other = pair();
    other.firewall.connections.timeouts_s = alloc::vec![(Phase::Udp, 10)];
    for config in [&config, &other] {
        assert_eq!(validate(config), Ok(()));
        let found: Vec<String> = concerns(config).iter().map(Problem::to_string).collect();
        assert_eq!(found, [expected]);
    }
    config.firewall.zones = alloc::vec![Zone {
        name: "inside".into(),
        interfaces: alloc::vec![0, 1, 2],
        anti_spoofing: true,
    }];
    assert_eq!(concerns(&config), []);
}

/// TOML has each key once and is read in the order of the phases; an image might be otherwise.
#[test]
fn a_timeout_stands_once_and_in_its_place() {
    use crate::config::firewall::Phase;
    let refused = |timeouts_s: &[(Phase, u32)]| {
        let mut config = pair();
        config.firewall.connections.timeouts_s = timeouts_s.to_vec();
        let problems = validate(&config).unwrap_err();
        problems.iter().map(Problem::to_string).collect::<String>()
    };
    assert_eq!(
        refused(&[(Phase::Udp, 10), (Phase::Udp, 20)]),
        "firewall.connections.timeouts_s.udp: udp is there twice: keep one"
    );
    assert_eq!(
        refused(&[(Phase::Icmp, 10), (Phase::Udp, 20)]),
        "firewall.connections.timeouts_s.udp: udp is out of order: make the image anew with `polluxctl`"
    );
}
