//! The config as the TOML that an operator would write: what `polluxctl show` and the console's `config`
//! print. Reading it back gives the same config, bit for bit; only the password stays a hash.

mod firewall;

use crate::config::{
    Attachment, Cast, Check, CheckKind, Config, Console, Device, Interface, Link, PasswordHash,
    Service, Timing,
};
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::{self, Display};

/// The text of a config.
#[must_use]
pub fn to_toml(config: &Config) -> String {
    let mut text = Text(String::new());
    cluster(config, &mut text);
    console(&config.console, &mut text);
    for node in &config.nodes {
        text.section("[[node]]");
        text.string("name", &node.name);
        text.plain("number", &node.number);
        text.plain("priority", &node.priority);
    }
    for each in &config.interfaces {
        interface(config, each, &mut text);
    }
    for route in &config.routes {
        text.section("[[route]]");
        match route.to.length {
            0 => text.string("to", &"default"),
            _ => text.string("to", &route.to),
        }
        text.string("via", &route.via);
        if let Some(interface) = route.interface {
            text.string("interface", &interface_name(config, interface));
        }
    }
    for address in &config.virtual_addresses {
        text.section("[[virtual-address]]");
        text.string("address", &address.prefix);
        text.string("interface", &interface_name(config, address.interface));
    }
    for each in &config.links {
        link(config, each, &mut text);
    }
    for each in &config.services {
        service(each, &mut text);
    }
    firewall::firewall(config, &mut text);
    text.0
}

/// How a password hash is written: `pbkdf2-sha256$iterations$salt$hash`, the bytes in hexadecimal.
#[must_use]
pub fn password_hash(password: &PasswordHash) -> String {
    format!(
        "pbkdf2-sha256${}${}${}",
        password.iterations,
        Hex(&password.salt),
        Hex(&password.hash)
    )
}

fn cluster(config: &Config, text: &mut Text) {
    let cluster = &config.cluster;
    text.section("[cluster]");
    text.string("name", &cluster.name);
    text.string("key", &Hex(&cluster.key));
    match cluster.timing {
        Timing::Default => text.string("timing", &"default"),
        Timing::Fast => text.string("timing", &"fast"),
        Timing::Explicit { beat_ms, dead_ms } => {
            text.plain(
                "timing",
                &format_args!("{{ beat-ms = {beat_ms}, dead-ms = {dead_ms} }}"),
            );
        }
    }
    text.string("fail-back", &cluster.fail_back.name());
    if config.virtual_mac {
        text.plain("virtual-mac", &true);
    }
}

fn console(console: &Console, text: &mut Text) {
    text.section("[console]");
    if let Some(password) = &console.password {
        text.string("password-hash", &password_hash(password));
    }
    text.string("log-level", &console.log_level.name());
}

fn interface(config: &Config, interface: &Interface, text: &mut Text) {
    text.section("[[interface]]");
    text.string("name", &interface.name);
    if let Some(mtu_bytes) = interface.mtu_bytes {
        text.plain("mtu", &mtu_bytes);
    }
    for (node, attachment) in config.nodes.iter().zip(&interface.on) {
        if let Some(attachment) = attachment {
            text.plain(&format!("on.{}", node.name), &attachment_table(attachment));
        }
    }
}

fn attachment_table(attachment: &Attachment) -> String {
    let kind = match attachment.device {
        Device::Mac(_) => "mac",
        Device::Name(_) => "device",
    };
    let addresses = list(
        attachment
            .addresses
            .iter()
            .map(|own| Quoted(own).to_string()),
    );
    format!(
        "{{ {kind} = {}, addresses = [{addresses}] }}",
        Quoted(&attachment.device)
    )
}

fn interface_name(config: &Config, position: u8) -> &str {
    config
        .interfaces
        .get(usize::from(position))
        .map_or("", |interface| &interface.name)
}

fn link(config: &Config, link: &Link, text: &mut Text) {
    text.section("[[link]]");
    match link {
        Link::Serial { tty, baud } => {
            text.string("serial", tty);
            text.plain("baud", baud);
        }
        Link::Udp {
            interface,
            port,
            cast,
        } => {
            let name = match cast {
                Cast::Unicast => "unicast",
                Cast::Broadcast => "broadcast",
                Cast::Multicast(_) => "multicast",
            };
            text.string("udp", &name);
            if let Cast::Multicast(group) = cast {
                text.string("group", group);
            }
            text.string("interface", &interface_name(config, *interface));
            text.plain("port", port);
        }
    }
}

fn service(service: &Service, text: &mut Text) {
    let endpoint = crate::config::Endpoint {
        address: service.address,
        port: service.port,
    };
    text.section("[[service]]");
    text.string("address", &endpoint);
    text.string("protocol", &service.protocol.name());
    text.string("scheduler", &service.scheduler.name());
    text.string("forwarding", &service.forwarding.name());
    if let Some(persistence_s) = service.persistence_s {
        text.plain("persistence-s", &persistence_s);
    }
    text.string("on-failure", &service.on_failure.name());
    text.plain("check", &check(&service.check));
    if let Some(fallback) = service.fallback {
        text.string("fallback", &fallback);
    }
    let server = |server: &crate::config::RealServer| {
        let limit = server.connections_max;
        let limit = limit.map(|limit| format!(", connections-max = {limit}"));
        format!(
            "    {{ address = {}, weight = {}{} }},\n",
            Quoted(&server.endpoint),
            server.weight,
            limit.unwrap_or_default()
        )
    };
    let servers: String = service.servers.iter().map(server).collect();
    text.plain("servers", &format_args!("[\n{servers}]"));
}

fn check(check: &Check) -> String {
    let mut table = Table(String::new());
    let port = match &check.kind {
        CheckKind::None => return Quoted(&"none").to_string(),
        CheckKind::Tcp { port } => {
            table.entry("tcp", &true);
            port
        }
        CheckKind::Http {
            port,
            path,
            host,
            status,
        } => {
            table.entry("http", &Quoted(path));
            if let Some(host) = host {
                table.entry("host", &Quoted(host));
            }
            table.entry("status", status);
            port
        }
    };
    if let Some(port) = port {
        table.entry("port", port);
    }
    table.entry("interval-ms", &check.interval_ms);
    table.entry("timeout-ms", &check.timeout_ms);
    table.entry("failures", &check.failures_to_down);
    table.entry("successes", &check.successes_to_up);
    format!("{{ {} }}", table.0)
}

/// Lines of a TOML file.
struct Text(String);

impl Text {
    fn section(&mut self, header: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(header);
        self.0.push('\n');
    }

    fn plain(&mut self, key: &str, value: &dyn Display) {
        self.0.push_str(&format!("{key} = {value}\n"));
    }

    fn string(&mut self, key: &str, value: &dyn Display) {
        self.plain(key, &Quoted(value));
    }

    /// A list of strings.
    fn strings(&mut self, key: &str, values: impl Iterator<Item = impl Display>) {
        let values = list(values.map(|value| Quoted(&value).to_string()));
        self.plain(key, &format_args!("[{values}]"));
    }

    /// One string as it is, several as a list, none not at all.
    fn words(&mut self, key: &str, values: impl ExactSizeIterator<Item = impl Display>) {
        let mut values = values.peekable();
        if values.len() == 1
            && let Some(value) = values.peek()
        {
            self.string(key, value);
        } else if values.len() > 1 {
            self.strings(key, values);
        }
    }
}

/// Entries of an inline table.
struct Table(String);

impl Table {
    fn entry(&mut self, key: &str, value: &dyn Display) {
        let comma = if self.0.is_empty() { "" } else { ", " };
        self.0.push_str(&format!("{comma}{key} = {value}"));
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for item in items {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&item);
    }
    text
}

/// A TOML basic string (TOML 1.0, "String").
struct Quoted<'a>(&'a dyn Display);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for character in self.0.to_string().chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                control if control.is_control() => write!(f, "\\u{:04x}", u32::from(control))?,
                other => write!(f, "{other}")?,
            }
        }
        f.write_str("\"")
    }
}

/// Bytes in hexadecimal.
struct Hex<'a>(&'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
