//! The config of the pair under test, as an operator would write it. What a scenario changes is a field here;
//! all else is the same in every run.

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
        let mut add = |service: Service| *text += &service.to_toml(self.on_failure);
        add(Service::tcp(false, PORT_NAT, "nat", &web));
        add(Service {
            protocol: "udp",
            ..Service::tcp(false, 7, "nat", &web)
        });
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
    /// Last byte of the address, and weight.
    servers: &'a [(u8, u16)],
}

impl<'a> Service<'a> {
    fn tcp(is_v6: bool, port: u16, forwarding: &'a str, servers: &'a [(u8, u16)]) -> Self {
        Service {
            is_v6,
            port,
            protocol: "tcp",
            scheduler: "rr",
            forwarding,
            servers,
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
            ..
        } = self;
        let address = if self.is_v6 {
            format!("[{VIRTUAL_V6}]:{port}")
        } else {
            format!("{VIRTUAL_V4}:{port}")
        };
        let servers = self.servers.iter().map(|(number, weight)| {
            format!(
                "  {{ address = \"{}\", weight = {weight} }},\n",
                self.server(*number)
            )
        });
        let servers: String = servers.collect();
        let fallback = match *protocol {
            "tcp" if *forwarding == "nat" => format!("fallback = \"{}\"\n", self.server(19)),
            _ => String::new(),
        };
        format!(
            "\n[[service]]\naddress = \"{address}\"\nprotocol = \"{protocol}\"\nscheduler = \"{scheduler}\"\n\
             forwarding = \"{forwarding}\"\non-failure = \"{on_failure}\"\ncheck = {HEALTH}\n{fallback}\
             servers = [\n{servers}]\n"
        )
    }
}
