//! The config of the pair, as the box holds it: one value, the same on both boxes, decoded from the
//! postcard image (see `image`). It is made only by `polluxctl` and is valid once `validate` has
//! accepted it; the code behind it does not check again. Field order is the wire order of format
//! version 3: append, never reorder.

pub mod firewall;

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use serde::{Deserialize, Serialize};

/// Everything the two boxes must agree on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// What makes two boxes a pair.
    pub cluster: Cluster,
    /// The boxes, by ascending number; two in this version.
    pub nodes: Vec<Node>,
    /// The networks the boxes stand in.
    pub interfaces: Vec<Interface>,
    /// Static routes of both boxes.
    pub routes: Vec<Route>,
    /// Addresses that the active box answers for.
    pub virtual_addresses: Vec<VirtualAddress>,
    /// Paths for heartbeats, at least one.
    pub links: Vec<Link>,
    /// IPVS virtual services.
    pub services: Vec<Service>,
    /// Console access and log level.
    pub console: Console,
    /// Virtual addresses have hardware addresses of their own, the same on both boxes (`virtual_mac`).
    pub virtual_mac: bool,
    /// What may pass, and how addresses are translated.
    pub firewall: firewall::Firewall,
}

/// What makes two boxes a pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Shown in the banner; 1 to 32 characters of `[a-z0-9-]`.
    pub name: String,
    /// Shared secret of the heartbeat's HMAC-SHA256.
    pub key: [u8; 32],
    /// How fast silence is believed.
    pub timing: Timing,
    /// What a returning box of higher priority does.
    pub fail_back: FailBack,
}

/// How often a beat is sent and how long silence lasts before the peer counts as dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Timing {
    /// 50 ms beat, 200 ms dead time.
    Default,
    /// 5 ms beat, 30 ms dead time.
    Fast,
    /// As the operator wrote it; `dead_ms` is at least three beats.
    Explicit {
        /// Milliseconds from beat to beat.
        beat_ms: u16,
        /// Milliseconds of silence on all links.
        dead_ms: u16,
    },
}

/// What a returning box of higher priority does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailBack {
    /// It stays standby until the operator or a fault says otherwise.
    Off,
    /// It takes over in a planned handover once it is in sync.
    Auto,
}

/// One box. Its position in `Config::nodes` indexes `Interface::on`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// As on its medium's `node` line; `[a-z0-9-]`, 1 to 32 characters.
    pub name: String,
    /// 1 to 255, unique; the last tie-break (lower wins).
    pub number: u8,
    /// 0 to 255; higher is preferred.
    pub priority: u8,
}

/// One network, and how each box is attached to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// The name the rest of the config uses; not the kernel's. The box renames nothing.
    pub name: String,
    /// MTU in bytes; `None` leaves the driver's.
    pub mtu_bytes: Option<u16>,
    /// One per node, in the order of `Config::nodes`; `None`: that box has no such interface.
    pub on: Vec<Option<Attachment>>,
}

/// How one box is attached to one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// How the device is found.
    pub device: Device,
    /// The box's own addresses, always present.
    pub addresses: Vec<Prefix>,
}

/// How a network device is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Device {
    /// By permanent hardware address.
    Mac([u8; 6]),
    /// By the kernel's name (`eth0`).
    Name(String),
}

/// An address with the length of its network prefix (`192.0.2.1/24`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Prefix {
    /// The address, host bits included.
    pub address: IpAddr,
    /// Bits of the network part: at most 32 or 128.
    pub length: u8,
}

/// A static route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Destination network; length 0 is the default route.
    pub to: Prefix,
    /// Next hop, of the same family.
    pub via: IpAddr,
    /// Index into `Config::interfaces`; `None` lets the kernel resolve `via`.
    pub interface: Option<u8>,
}

/// An address that the active box answers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualAddress {
    /// The address as it is set on the interface.
    pub prefix: Prefix,
    /// Index into `Config::interfaces`.
    pub interface: u8,
}

/// A path for heartbeats. The position in `Config::links` is its `LinkId` on both boxes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Link {
    /// Null-modem cable.
    Serial {
        /// `ttyS1`, the same on both boxes.
        tty: String,
        /// Bits a second.
        baud: u32,
    },
    /// UDP over one of the networks.
    Udp {
        /// Index into `Config::interfaces`.
        interface: u8,
        /// Destination port, 694 unless told.
        port: u16,
        /// Who gets the datagrams.
        cast: Cast,
    },
}

/// Destination of a UDP heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cast {
    /// To the peer's first address on that interface.
    Unicast,
    /// To the IPv4 broadcast address of that interface's network.
    Broadcast,
    /// To a group, TTL 1.
    Multicast(Ipv4Addr),
}

/// An IPVS virtual service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Address clients speak to; one of the virtual addresses.
    pub address: IpAddr,
    /// Port clients speak to.
    pub port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Scheduling algorithm.
    pub scheduler: Scheduler,
    /// How packets reach the real servers.
    pub forwarding: Forwarding,
    /// Seconds a client stays with its server; `None`: not persistent.
    pub persistence_s: Option<u32>,
    /// What happens to a server that fails its check.
    pub on_failure: OnFailure,
    /// How servers are checked.
    pub check: Check,
    /// Where clients go when no server is up.
    pub fallback: Option<Endpoint>,
    /// The real servers.
    pub servers: Vec<RealServer>,
}

/// Transport protocol of a virtual service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// IPPROTO_TCP.
    Tcp,
    /// IPPROTO_UDP.
    Udp,
}

/// IPVS scheduling algorithms, by the kernel's names in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scheduler {
    /// Round robin.
    Rr,
    /// Weighted round robin.
    Wrr,
    /// Least connections.
    Lc,
    /// Weighted least connections.
    Wlc,
    /// Source hashing.
    Sh,
    /// Maglev hashing.
    Mh,
}

/// IPVS forwarding methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Forwarding {
    /// Network address translation (`ipvsadm -m`).
    Nat,
    /// Direct routing, by MAC address (`-g`).
    Direct,
    /// IP-in-IP tunnel (`-i`).
    Tunnel,
}

/// What happens to a server that fails its check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFailure {
    /// Weight 0: no new connections, old ones may end.
    Quiesce,
    /// Removed: its connections are cut off at once.
    Remove,
}

/// How real servers are checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What counts as alive.
    pub kind: CheckKind,
    /// Milliseconds from check to check.
    pub interval_ms: u32,
    /// Milliseconds before a check has failed.
    pub timeout_ms: u32,
    /// Failures in a row until the server is down.
    pub failures_to_down: u8,
    /// Successes in a row until it is up again.
    pub successes_to_up: u8,
}

/// What counts as alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckKind {
    /// Always up.
    None,
    /// A TCP connection is accepted.
    Tcp {
        /// `None`: the real server's own port.
        port: Option<u16>,
    },
    /// An HTTP/1.1 GET is answered with the status expected.
    Http {
        /// `None`: the real server's own port.
        port: Option<u16>,
        /// Path with query, beginning with `/`.
        path: String,
        /// Host header; `None`: the server's address.
        host: Option<String>,
        /// Status code expected.
        status: u16,
    },
}

/// An address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// IPv4 or IPv6 address.
    pub address: IpAddr,
    /// TCP or UDP port.
    pub port: u16,
}

/// A server behind a virtual service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServer {
    /// Where it listens. Direct and tunnel keep the service's port.
    pub endpoint: Endpoint,
    /// 0 to 65535; 0 takes no new connections.
    pub weight: u16,
    /// Most connections at a time, those included that ended minutes ago at most; the next go to other servers, and are
    /// refused where all are full. Clients that `persistence_s` keeps here come in all the same. `None`: no limit.
    pub connections_max: Option<u32>,
}

/// Console access and log level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Console {
    /// `None`: whoever has the cable has the box.
    pub password: Option<PasswordHash>,
    /// Least severe level that is kept.
    pub log_level: LogLevel,
}

/// PBKDF2-HMAC-SHA256 (RFC 8018) of the console password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash {
    /// Random, one per password.
    pub salt: [u8; 16],
    /// Rounds.
    pub iterations: u32,
    /// First block of the derived key.
    pub hash: [u8; 32],
}

/// Severity of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogLevel {
    /// Failures only.
    Error,
    /// And what looks wrong.
    Warn,
    /// And what changed.
    Info,
    /// And why.
    Debug,
}

impl Config {
    /// Position of the node called `name`, which indexes `nodes` and `Interface::on`.
    #[must_use]
    pub fn node_index(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == name)
    }
}

impl Check {
    /// No check: the server counts as up.
    pub const NONE: Self = Self {
        kind: CheckKind::None,
        interval_ms: 0,
        timeout_ms: 0,
        failures_to_down: 0,
        successes_to_up: 0,
    };
}
