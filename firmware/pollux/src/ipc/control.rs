//! The control protocol on the run directory's `control` (SOCK_SEQPACKET, one postcard message per datagram):
//! a client sends a `Request` and gets one `Response`. Lists come in pages that each fit a message;
//! the client asks for the next by position, so nothing is queued for a slow one.

pub mod tables;

use core::fmt;
use plan::config::{Endpoint, Forwarding, Prefix, Protocol, Scheduler};
use serde::{Deserialize, Serialize};
use tables::{ConnectionQuery, ConnectionReport, FirewallPage};

/// Bytes of list entries after which a page is closed, well below `MESSAGE_BYTES_MAX`.
pub const PAGE_BYTES: usize = 16 * 1024;

/// What a client may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Cluster, node and version, and whether a password is wanted; open to all.
    Hello,
    /// The console password. All below wants it once per connection where one is configured.
    Authenticate(String),
    /// What the box is and does.
    Status,
    /// Services as the kernel holds them, from this position on.
    Services {
        /// Position of the first one wanted.
        from: u16,
    },
    /// The ruleset in force, from this line on.
    Firewall {
        /// Position of the first line wanted.
        from: u32,
    },
    /// Connections as the kernel tracks them.
    Connections(ConnectionQuery),
    /// Log lines from this sequence number on.
    Log {
        /// First sequence number wanted.
        from: u64,
    },
    /// The config as TOML, from this byte on; secrets are left out.
    Config {
        /// Bytes already had.
        from: u32,
    },
    /// Hand over to the peer and stay standby.
    Standby {
        /// Whatever becomes of connections.
        force: bool,
    },
    /// Become active by planned handover.
    Takeover {
        /// Whatever becomes of connections.
        force: bool,
    },
    /// Kill the worker of this name; it starts again.
    Restart(String),
    /// Resign, stop, reboot.
    Reboot,
    /// Resign, stop, power off.
    PowerOff,
    /// Read the config again and live by it.
    Reload,
}

/// What a client gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// To `Hello`.
    Hello(Hello),
    /// To `Authenticate`: whether it was right.
    Authenticated(bool),
    /// The password comes first.
    NotAuthenticated,
    /// To `Status`.
    Status(Box<Status>),
    /// To `Services`.
    Services(ServicePage),
    /// To `Firewall`.
    Firewall(FirewallPage),
    /// To `Connections`.
    Connections(Box<ConnectionReport>),
    /// To `Log`.
    Log {
        /// Ascending.
        lines: Vec<LogLine>,
        /// Sequence number that the next line will have.
        end: u64,
    },
    /// To `Config`.
    Config {
        /// From the byte asked for.
        text: String,
        /// Bytes of the whole.
        total_bytes: u32,
    },
    /// The command was accepted; the log tells how it went.
    Accepted,
    /// It was accepted and waits: for what, and how not to.
    Waits(String),
    /// It could not be done: why, and what to do about it.
    Failed(String),
    /// It was done: what came of it.
    Said(String),
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// `CARGO_PKG_VERSION`.
    pub version: String,
    /// Name of the cluster.
    pub cluster: String,
    /// Name of this box.
    pub node: String,
    /// `Authenticate` comes first.
    pub wants_password: bool,
}

/// What the box is and does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// From the cluster worker, or why there is nothing.
    pub cluster: Result<ClusterStatus, String>,
    /// From the sync worker, or why there is nothing.
    pub sync: Result<SyncStatus, String>,
    /// From PID 1, in the order they were started.
    pub workers: Vec<WorkerStatus>,
    /// Identity of the hardware watchdog, `None` where there is none.
    pub watchdog: Option<String>,
    /// Generation of this box's config.
    pub generation: u64,
    /// First bytes of its digest.
    pub digest: u64,
    /// The last reload, where it was refused: that config is still in force.
    pub refused_reload: Option<RefusedReload>,
    /// `/proc/sys` paths and values, as the kernel has them now.
    pub sysctls: Vec<(String, String)>,
    /// Seconds since the kernel started.
    pub uptime_s: u64,
    /// RAM in KiB: MemTotal.
    pub memory_total_kib: u64,
    /// RAM in KiB: MemAvailable.
    pub memory_available_kib: u64,
}

/// A reload that changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedReload {
    /// Milliseconds since then.
    pub ago_ms: u64,
    /// Why.
    pub why: String,
}

/// What the cluster worker knows; times are spans before now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The role's name: `standby`, `active`.
    pub role: String,
    /// The dataplane holds its plan.
    pub ready: bool,
    /// Term of this role.
    pub term: u64,
    /// Milliseconds in this role.
    pub since_ms: u64,
    /// Milliseconds of silence after which the peer counts as dead, as delays have it now.
    pub dead_ms: u64,
    /// As the config has it.
    pub dead_configured_ms: u64,
    /// The same for all links that are up: longer where a serial line is slow.
    pub silence_max_ms: u64,
    /// Microseconds that this box woke up late by, at worst, in the last 10 to 20 s.
    pub delay_us: u64,
    /// The other box, `None` while never heard of.
    pub peer: Option<PeerStatus>,
    /// In the order of `Config::links`.
    pub links: Vec<LinkStatus>,
    /// In the order of `Config::virtual_addresses`.
    pub virtual_addresses: Vec<AddressStatus>,
    /// The last five, newest first.
    pub transitions: Vec<TransitionStatus>,
}

/// How the boxes keep each other's connections.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SyncStatus {
    /// This box's kernel holds the connections that go through the twin.
    pub in_sync: bool,
    /// Both engines have greeted each other.
    pub joined: bool,
    /// Where datagrams go now, as `sync 10.0.0.2`; `None`: nothing is mirrored.
    pub way: Option<String>,
    /// Why nothing is mirrored, where it should be; with a way, why no connections of services are.
    pub failure: Option<String>,
    /// One for each kind of connections.
    pub kinds: Vec<SyncKind>,
    /// Slices of both tables, of all that are compared, whose digests are equal; `None`: the twin is not heard.
    pub equal_slices: Option<(u32, u32)>,
    /// From an event in the owner's kernel to the twin's acknowledgement, in milliseconds, at worst of late.
    pub lag_ms: u64,
    /// States of connections sent a second, of late.
    pub sent_per_s: u64,
    /// States of connections received a second, of late.
    pub received_per_s: u64,
    /// States sent again because a datagram was lost.
    pub resent: u64,
    /// Datagrams, events and states dropped, by cause; zeros left out.
    pub dropped: Vec<(String, u64)>,
    /// The last time that everything was sent or received.
    pub last_bulk: Option<BulkStatus>,
    /// The kernel's table of connections, of all kinds; `None` where it does not say.
    pub table: Option<TableStatus>,
}

/// How full the kernel's table of connections is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TableStatus {
    /// Connections in it.
    pub count: u64,
    /// As many have room; 0: no bound.
    pub max: u64,
    /// Packets of new connections that the kernel dropped for want of room, as far as the sync worker saw it.
    pub dropped: u64,
    /// Connections without an answer that the kernel ended early to make room, seen likewise.
    pub ended_early: u64,
}

impl fmt::Display for TableStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TableStatus { count, max, .. } = self;
        match (count * 100).checked_div(*max) {
            Some(percent) => write!(f, "{count} of {max} flows ({percent} %)")?,
            None => write!(f, "{count} flows, no bound")?,
        }
        if self.dropped > 0 {
            write!(f, ", {} new ones dropped", self.dropped)?;
        }
        if self.ended_early > 0 {
            write!(f, ", {} ended early", self.ended_early)?;
        }
        Ok(())
    }
}

/// Connections of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncKind {
    /// `connections`, `expected`, `balanced`.
    pub name: String,
    /// Held in this box's kernel.
    pub here: u64,
    /// Held in the twin's, as it said last.
    pub there: u64,
}

/// A time when everything was sent or received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkStatus {
    /// Milliseconds since it began.
    pub ago_ms: u64,
    /// Milliseconds that it took, so far where it goes on.
    pub took_ms: u64,
    /// Connections.
    pub flows: u64,
    /// It goes on.
    pub goes_on: bool,
}

/// The other box, as its beats say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its name.
    pub name: String,
    /// Fresh beats come in on some link.
    pub alive: bool,
    /// Its role's name.
    pub role: String,
    /// Its term.
    pub term: u64,
    /// It could take over.
    pub ready: bool,
    /// Its kernel holds the connections that go through this box.
    pub in_sync: bool,
    /// The addresses will fail back to it once it is in sync.
    pub fail_back_waits: bool,
    /// Dead time that it asks for, in milliseconds.
    pub dead_ms: u64,
    /// Generation of its config.
    pub generation: u64,
    /// First bytes of its config's digest; differs: drift.
    pub digest: u64,
}

/// A heartbeat link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// `ttyS1 19200`, `sync udp 694 multicast`.
    pub name: String,
    /// Our frames are echoed fresh.
    pub up: bool,
    /// Milliseconds since the last fresh frame, `None` before the first.
    pub silent_ms: Option<u64>,
    /// Milliseconds from beat to beat.
    pub beat_ms: u64,
    /// Milliseconds of silence after which it is down.
    pub dead_ms: u64,
    /// Microseconds that the peer's beats came late by, at worst, in the last 10 to 20 s.
    pub jitter_us: u64,
    /// Frames missing among the last 64, in thousandths.
    pub loss_permille: u16,
    /// Frames sent.
    pub sent: u64,
    /// Good frames received.
    pub received: u64,
    /// Frames missing by their sequence numbers.
    pub lost: u64,
    /// Frames thrown away, and why, with what to do about it; zeros left out.
    pub rejected: Vec<(String, u64)>,
    /// Frames that the kernel did not take.
    pub unsent: u64,
}

/// A virtual address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressStatus {
    /// The address.
    pub prefix: Prefix,
    /// The kernel's name of the device it belongs on, `None` while there is none.
    pub device: Option<String>,
    /// The kernel holds it there, asked just now.
    pub held: bool,
    /// Why the kernel would not set it; `None`: it was not asked, or has set it.
    pub refusal: Option<String>,
    /// Who else claimed it while it was held here.
    pub rival: Option<RivalStatus>,
}

/// Somebody on the wire who claimed a virtual address that this box holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RivalStatus {
    /// By which hardware address.
    pub mac: [u8; 6],
    /// How often.
    pub claims: u64,
    /// Milliseconds ago, the last time.
    pub ago_ms: u64,
}

/// A change of role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitionStatus {
    /// Milliseconds ago.
    pub ago_ms: u64,
    /// The role's name before.
    pub from: String,
    /// The role's name after.
    pub to: String,
    /// Term after.
    pub term: u64,
    /// Why.
    pub reason: String,
}

/// A worker process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// `cluster`, `console ttyS0`.
    pub name: String,
    /// `None` while it waits for its restart.
    pub pid: Option<u32>,
    /// Milliseconds since it started, or since it died.
    pub since_ms: u64,
    /// Restarts since boot.
    pub restarts: u32,
    /// Messages between it and PID 1 that were dropped.
    pub dropped: u32,
    /// How the last one ended.
    pub last_end: Option<String>,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// From 1, without gaps.
    pub sequence: u64,
    /// Milliseconds since the kernel started.
    pub at_ms: u64,
    /// Severity.
    pub level: Level,
    /// `cluster: standby -> active …`, without line end or control characters.
    pub text: String,
}

/// As it is printed: `[    12.345] warn  cluster: ...`.
impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.at_ms / 1000, self.at_ms % 1000);
        write!(
            f,
            "[{seconds:>5}.{millis:03}] {:<5} {}",
            self.level.name(),
            self.text
        )
    }
}

/// Severity of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something looks wrong.
    Warn,
    /// Something changed.
    Info,
    /// Why it changed.
    Debug,
}

impl Level {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

/// Services as the kernel holds them, in the order of the config, strangers last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePage {
    /// Up to `PAGE_BYTES` of them, at least one where there are more.
    pub services: Vec<ServiceStatus>,
    /// How many there are in all.
    pub total: u16,
}

/// A virtual service in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Address and port clients speak to.
    pub endpoint: Endpoint,
    /// `None`: one we do not know.
    pub scheduler: Option<Scheduler>,
    /// The kernel holds it.
    pub in_kernel: bool,
    /// Its real servers.
    pub servers: Vec<ServerStatus>,
}

/// A real server in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// As in the kernel; `None`: not there.
    pub weight: Option<u16>,
    /// Most connections at a time, as in the kernel; `None`: no limit.
    pub connections_max: Option<u32>,
    /// Its check's verdict; `None`: not checked, or not one of the config.
    pub up: Option<bool>,
    /// It is the service's fallback.
    pub fallback: bool,
    /// Established connections.
    pub active_connections: u32,
    /// Others.
    pub inactive_connections: u32,
    /// Connections since it was added.
    pub connections_total: u64,
    /// Packets to it since then.
    pub packets_in_total: u64,
    /// Bytes to it since then.
    pub bytes_in_total: u64,
    /// Bytes from it since then, none where they do not come by here: direct, tunnel.
    pub bytes_out_total: u64,
}
