//! What rules refer to by name: helpers, timeouts, limits, counters and their like, and flowtables.

use super::{InterfaceName, Limit, Synproxy};
use alloc::string::String;
use alloc::vec::Vec;

/// A named object of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Unique among the objects of its kind.
    pub name: String,
    /// What it is.
    pub content: ObjectContent,
}

/// What an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectContent {
    /// Counts packets and bytes, from 0.
    Counter,
    /// One limit for all rules that name it.
    Limit(Limit),
    /// Reads a protocol to foresee its further connections.
    Helper(Helper),
    /// How long a connection stays without a packet.
    Timeouts(Timeouts),
    /// Answers SYNs in the server's place.
    Synproxy(Synproxy),
}

impl ObjectContent {
    /// Of which kind.
    #[must_use]
    pub const fn kind(&self) -> ObjectKind {
        match self {
            Self::Counter => ObjectKind::Counter,
            Self::Limit(_) => ObjectKind::Limit,
            Self::Helper(_) => ObjectKind::Helper,
            Self::Timeouts(_) => ObjectKind::Timeouts,
            Self::Synproxy(_) => ObjectKind::Synproxy,
        }
    }
}

/// Kinds of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// `ObjectContent::Counter`
    Counter,
    /// `ObjectContent::Limit`
    Limit,
    /// `ObjectContent::Helper`
    Helper,
    /// `ObjectContent::Timeouts`
    Timeouts,
    /// `ObjectContent::Synproxy`
    Synproxy,
}

/// Which helper reads a connection. Assigned by a rule to the first packet of the connection, behind
/// connection tracking (`priority::MANGLE` in prerouting and output, or any later filter).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Helper {
    /// What it reads.
    pub protocol: HelperProtocol,
}

/// What helpers read. All of them know IPv4 and IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelperProtocol {
    /// `ftp`, over TCP.
    Ftp,
    /// `sip`, over UDP.
    SipUdp,
    /// `sip`, over TCP.
    SipTcp,
    /// `tftp`, over UDP.
    Tftp,
    /// `pptp`, over TCP; IPv4 only.
    Pptp,
}

/// How long a connection stays without a packet, in seconds; what is not said here stays as sysctl has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timeouts {
    /// By phase of a TCP connection.
    Tcp(Vec<(TcpPhase, u32)>),
    /// By phase of a UDP flow.
    Udp(Vec<(UdpPhase, u32)>),
}

/// Phases of a TCP connection as conntrack sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpPhase {
    /// A SYN was seen.
    SynSent,
    /// And its answer.
    SynReceived,
    /// Open.
    Established,
    /// One side is done.
    FinWait,
    /// The other has heard of it.
    CloseWait,
    /// Both are done, the last acknowledgement is missing.
    LastAck,
    /// Both are done.
    TimeWait,
    /// Broken off.
    Close,
}

/// Phases of a UDP flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UdpPhase {
    /// No answer yet.
    Unreplied,
    /// Packets in both directions.
    Replied,
}

/// A shortcut at these devices' ingress for connections that rules put into it (`Statement::Offload`): their
/// packets see no other chain any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flowtable {
    /// Unique in its table.
    pub name: String,
    /// Lower ones come first.
    pub priority: i32,
    /// Each must exist when this is loaded.
    pub devices: Vec<InterfaceName>,
    /// Packets still count in conntrack's counters.
    pub has_counters: bool,
}
