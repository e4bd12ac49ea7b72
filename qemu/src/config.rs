//! The config of the pair under test, as an operator would write it. What a scenario changes is a field here;
//! all else is the same in every run.

use crate::flows::route;
use crate::net::{NETWORKS, NODES, VIRTUAL, VIRTUAL_V4, VIRTUAL_V6, mac};
use crate::servers::{PORT_DIRECT, PORT_NAT, PORT_TUNNEL};

/// The key of the pair. It guards nothing but these tests.
pub const KEY: &str = "706f6c6c75782d746573746265642d6b65792d706f6c6c75782d746573746265";

/// What scenarios vary.
#[derive(Debug, Clone)]
pub struct PairConfig {
    /// Key in hexadecimal.
    pub key: String,
    /// Value of `timing`.
    pub timing: &'static str,
    /// Value of `fail-back`.
    pub fail_back: &'static str,
    /// Priorities of castor and pollux.
    pub priorities: [u8; 2],
    /// Balance over every forwarding method and IP version, not only what the demo needs.
    pub has_all_services: bool,
    /// Balance long-lived flows too, TCP and UDP, over every forwarding method and IP version.
    pub has_flow_services: bool,
    /// Guard and translate: what flows need is open, all else is closed.
    pub has_firewall: bool,
    /// Room for a million connections that rest, beside `has_firewall`.
    pub has_crowd: bool,
    /// A rule of every kind, beside `has_firewall`: `scenarios/judge_firewall.rs` knows what they mean.
    pub has_matrix: bool,
    /// Bound of connections, beside `has_firewall`; `None`: as the kernel has it.
    pub connections_max: Option<u32>,
    /// One more TCP port that the firewall opens on hosts behind the pair.
    pub open_port: Option<u16>,
    /// Value of `persistence-s` of all services.
    pub persistence_s: Option<u32>,
    /// Value of `connections-max` of the first server behind NAT.
    pub server_limit: Option<u32>,
    /// Value of `on-failure`.
    pub on_failure: &'static str,
    /// Bits per second of the serial heartbeat link.
    pub baud: u32,
    /// Value of `virtual-mac`.
    pub has_virtual_mac: bool,
}

impl Default for PairConfig {
    fn default() -> Self {
        PairConfig {
            key: KEY.into(),
            timing: "default",
            fail_back: "off",
            priorities: [100, 100],
            has_all_services: false,
            has_flow_services: false,
            has_firewall: false,
            has_crowd: false,
            has_matrix: false,
            connections_max: Some(16_384),
            open_port: None,
            persistence_s: None,
            server_limit: None,
            on_failure: "quiesce",
            baud: 115_200,
            has_virtual_mac: false,
        }
    }
}

/// The boxes' own addresses, by network as in `NETWORKS`; `{n}` is 2 for castor and 3 for pollux.
const ADDRESSES: [&[&str]; 3] = [
    &["192.0.2.{n}/24", "2001:db8:1::{n}/64"],
    &["10.0.0.{n}/24", "fd00:a::{n}/64"],
    &["172.16.0.{n}/24"],
];

const LINKS: &str = r#"
[[link]]
udp = "unicast"
interface = "sync"

[[link]]
udp = "broadcast"
interface = "lan"

[[link]]
udp = "multicast"
group = "239.77.83.1"
interface = "lan"
port = 695
"#;

const FIREWALL: &str = r#"
[[zone]]
name = "outside"
interfaces = ["wan"]

[[zone]]
name = "inside"
interfaces = ["lan"]

[[rule]]
name = "flows"
from = "outside"
to = "inside"
protocol = ["tcp", "udp"]
ports = 9000
action = "accept"

[[policy]]
from = "inside"
to = "outside"
action = "accept"

[[nat]]
kind = "masquerade"
family = "both"
from = "inside"
to = "outside"
"#;

/// Flows that rest are forgotten soon. Those that have ended are remembered for two minutes, and the kernel of so small
/// a box would have room for 1024 in all.
const CONNECTIONS: &str = r#"
[connections]
timeouts-s = { tcp-established = 40, udp-stream = 40 }
"#;

/// Room for a million, none of which speaks for as long as a scenario lasts. Above 95 % of `max` the kernel ends those that
/// were never answered.
const CROWD: &str = r#"
[connections]
max = 1200000
timeouts-s = { udp = 7200, udp-stream = 7200 }
"#;

const MATRIX: &str = r#"
[[virtual-address]]
address = "192.0.2.11/24"
interface = "wan"

[[set]]
name = "unwanted"
addresses = ["192.0.2.101", "2001:db8:1::101"]

[[rule]]
name = "unwanted"
from = "outside"
to = ["any", "box"]
source = "unwanted"
action = "drop"

[[rule]]
name = "ping"
from = "any"
to = ["any", "box"]
icmp = "echo-request"
action = "accept"

[[rule]]
name = "open"
from = "outside"
to = "inside"
protocol = ["tcp", "udp"]
ports = "9300-9301"
action = "accept"

[[rule]]
name = "refused"
from = "outside"
to = "inside"
protocol = ["tcp", "udp"]
ports = 9302
action = "reject"

[[nat]]
name = "hairpin"
kind = "destination"
from = "outside"
destination = "192.0.2.10"
protocol = "tcp"
ports = 9310
translate-to = "10.0.0.12"
translate-to-ports = 9300
hairpin = true

[[nat]]
name = "one to one"
kind = "one-to-one"
from = "inside"
to = "outside"
outside = "192.0.2.11"
inside = "10.0.0.13"
"#;

const HEALTH: &str = r#"{ http = "/health", status = 200, port = 80, interval-ms = 1000, timeout-ms = 1000, failures = 2, successes = 2 }"#;

impl PairConfig {
    /// The TOML text.
    pub fn to_toml(&self) -> String {
        let mut text = format!(
            "[cluster]\nname = \"testbed\"\nkey = \"{}\"\ntiming = {}\nfail-back = \"{}\"\nvirtual-mac = {}\n\n[console]\nlog-level = \"info\"\n",
            self.key,
            self.timing_value(),
            self.fail_back,
            self.has_virtual_mac
        );
        for (index, (node, priority)) in NODES.iter().zip(self.priorities).enumerate() {
            text += &format!(
                "\n[[node]]\nname = \"{node}\"\nnumber = {}\npriority = {priority}\n",
                index + 1
            );
        }
        for (network, addresses) in NETWORKS.iter().zip(ADDRESSES) {
            text += &interface(network, addresses);
        }
        for (address, length, interface) in VIRTUAL {
            text += &format!(
                "\n[[virtual-address]]\naddress = \"{address}/{length}\"\ninterface = \"{interface}\"\n"
            );
        }
        text += &format!(
            "\n[[link]]\nserial = \"ttyS1\"\nbaud = {}\n{LINKS}",
            self.baud
        );
        self.services(&mut text);
        if self.has_firewall {
            text += &firewall();
            text += if self.has_crowd { CROWD } else { CONNECTIONS };
            let max = self.connections_max.filter(|_| !self.has_crowd);
            text += &max.map_or_else(String::new, |max| format!("max = {max}\n"));
            text += &self.open_port.map_or_else(String::new, opened);
        }
        if self.has_matrix {
            text += MATRIX;
        }
        text
    }

    fn timing_value(&self) -> String {
        let is_table = self.timing.starts_with('{');
        if is_table {
            self.timing.into()
        } else {
            format!("\"{}\"", self.timing)
        }
    }

    fn services(&self, text: &mut String) {
        let web = [(11, 1), (12, 1), (13, 1)];
        let mut add = |service: Service| {
            *text += &service.to_toml(self.on_failure);
            if let Some(persistence_s) = self.persistence_s {
                *text += &format!("persistence-s = {persistence_s}\n");
            }
        };
        add(Service {
            first_limit: self.server_limit,
            ..Service::tcp(false, PORT_NAT, "nat", &web)
        });
        add(Service {
            protocol: "udp",
            ..Service::tcp(false, 7, "nat", &web)
        });
        if self.has_flow_services {
            flow_services().into_iter().for_each(&mut add);
        }
        if !self.has_all_services {
            return;
        }
        add(Service::tcp(true, PORT_NAT, "nat", &web));
        for is_v6 in [false, true] {
            add(Service {
                scheduler: "wlc",
                ..Service::tcp(is_v6, PORT_DIRECT, "direct", &[(21, 3), (22, 1)])
            });
            add(Service {
                scheduler: "wrr",
                ..Service::tcp(is_v6, PORT_TUNNEL, "tunnel", &[(31, 1), (32, 2)])
            });
        }
    }
}

/// Zones, and what flows on every way need. Idle ones pause for half of the timeouts.
fn firewall() -> String {
    let mut text = FIREWALL.to_owned();
    for (name, address, host) in [
        ("IPv4", VIRTUAL_V4, format!("10.0.0.{}", route::DNAT_HOST)),
        ("IPv6", VIRTUAL_V6, format!("fd00:a::{}", route::DNAT_HOST)),
    ] {
        text += &format!(
            "\n[[nat]]\nname = \"flows {name}\"\nkind = \"destination\"\nfrom = \"outside\"\n\
             destination = \"{address}\"\nprotocol = [\"tcp\", \"udp\"]\nports = {}\n\
             translate-to = \"{host}\"\ntranslate-to-ports = {}\n",
            route::PORT_DNAT,
            route::PORT_PLAIN
        );
    }
    text
}

fn opened(port: u16) -> String {
    format!(
        "\n[[rule]]\nname = \"one more\"\nfrom = \"outside\"\nto = \"inside\"\nprotocol = \"tcp\"\n\
         ports = {port}\naction = \"accept\"\n"
    )
}

/// Services that carry long-lived flows. Their servers always count as well: checks are not what they test.
fn flow_services() -> Vec<Service<'static>> {
    let methods: [(_, _, &[(u8, u16)]); 3] = [
        (route::PORT_NAT, "nat", &[(11, 1), (12, 1), (13, 1)]),
        (route::PORT_DIRECT, "direct", &[(21, 1), (22, 1)]),
        (route::PORT_TUNNEL, "tunnel", &[(31, 1), (32, 1)]),
    ];
    let mut all = Vec::new();
    for (port, forwarding, servers) in methods {
        for protocol in ["tcp", "udp"] {
            all.extend([false, true].map(|is_v6| Service {
                protocol,
                check: "\"none\"",
                has_fallback: false,
                ..Service::tcp(is_v6, port, forwarding, servers)
            }));
        }
    }
    all
}

fn interface(network: &str, addresses: &[&str]) -> String {
    let mut text = format!("\n[[interface]]\nname = \"{network}\"\n");
    for (node, name) in NODES.iter().enumerate() {
        let own = addresses.iter().map(|address| {
            let address = address.replace("{n}", &(node + 2).to_string());
            format!("\"{address}\"")
        });
        let own: Vec<_> = own.collect();
        let mac = mac(node, network);
        text += &format!(
            "on.{name} = {{ mac = \"{mac}\", addresses = [{}] }}\n",
            own.join(", ")
        );
    }
    text
}

struct Service<'a> {
    is_v6: bool,
    port: u16,
    protocol: &'a str,
    scheduler: &'a str,
    forwarding: &'a str,
    check: &'a str,
    /// A server that answers when no other is up.
    has_fallback: bool,
    /// Last byte of the address, and weight.
    servers: &'a [(u8, u16)],
    /// Most connections of the first of them.
    first_limit: Option<u32>,
}

impl<'a> Service<'a> {
    fn tcp(is_v6: bool, port: u16, forwarding: &'a str, servers: &'a [(u8, u16)]) -> Self {
        Service {
            is_v6,
            port,
            protocol: "tcp",
            scheduler: "rr",
            forwarding,
            check: HEALTH,
            has_fallback: forwarding == "nat",
            servers,
            first_limit: None,
        }
    }

    fn server(&self, number: u8) -> String {
        let port = self.port;
        if self.is_v6 {
            format!("[fd00:a::{number}]:{port}")
        } else {
            format!("10.0.0.{number}:{port}")
        }
    }

    fn to_toml(&self, on_failure: &str) -> String {
        let Service {
            port,
            protocol,
            scheduler,
            forwarding,
            check,
            ..
        } = self;
        let address = if self.is_v6 {
            format!("[{VIRTUAL_V6}]:{port}")
        } else {
            format!("{VIRTUAL_V4}:{port}")
        };
        let limit = |position| self.first_limit.filter(|_| position == 0);
        let servers = self.servers.iter().enumerate();
        let servers = servers.map(|(position, (number, weight))| {
            let limit = limit(position).map(|limit| format!(", connections-max = {limit}"));
            format!(
                "  {{ address = \"{}\", weight = {weight}{} }},\n",
                self.server(*number),
                limit.unwrap_or_default()
            )
        });
        let servers: String = servers.collect();
        let fallback = match *protocol {
            "tcp" if self.has_fallback => format!("fallback = \"{}\"\n", self.server(19)),
            _ => String::new(),
        };
        format!(
            "\n[[service]]\naddress = \"{address}\"\nprotocol = \"{protocol}\"\nscheduler = \"{scheduler}\"\n\
             forwarding = \"{forwarding}\"\non-failure = \"{on_failure}\"\ncheck = {check}\n{fallback}\
             servers = [\n{servers}]\n"
        )
    }
}
