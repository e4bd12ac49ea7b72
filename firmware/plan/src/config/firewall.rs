//! The firewall as the operator writes it: zones, sets of addresses, rules, address translation, limits. A rule
//! speaks of connections: of the one who opens it, and of the real one who answers, whatever address
//! translation makes of them on the way. Field order is wire order, as in `config`.

mod traffic;

pub use traffic::{
    Addresses, ConnectionState, IcmpKind, Peer, PortRange, Side, Traffic, Transport,
};

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// All of it. Without zones nothing is filtered or translated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {
    /// Groups of interfaces, which rules speak of.
    pub zones: Vec<Zone>,
    /// Groups of addresses, by name.
    pub sets: Vec<AddressSet>,
    /// What happens to connections that no rule speaks of; refused without a word where there is none.
    pub policies: Vec<Policy>,
    /// Asked in this order; the first that speaks of a connection decides.
    pub rules: Vec<Rule>,
    /// Address translation, asked in this order.
    pub translations: Vec<Translation>,
    /// Protocols that are read to foresee their further connections.
    pub helpers: Vec<Helper>,
    /// Packets that belong to no connection and can't open one are dropped before any rule.
    pub drop_invalid: bool,
    /// What no rule allowed is logged, ten lines a second at most.
    pub log_refused: bool,
    /// Connection tracking.
    pub connections: Connections,
}

impl Default for Firewall {
    fn default() -> Self {
        Self {
            zones: Vec::new(),
            sets: Vec::new(),
            policies: Vec::new(),
            rules: Vec::new(),
            translations: Vec::new(),
            helpers: Vec::new(),
            drop_invalid: true,
            log_refused: false,
            connections: Connections::default(),
        }
    }
}

/// Networks that are trusted alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// 1 to 12 characters of `[a-z0-9-]`, begins with a letter; neither `box` nor `any`.
    pub name: String,
    /// Indices into `Config::interfaces`; each interface is in one zone at most.
    pub interfaces: Vec<u8>,
    /// Packets are dropped whose source the routing table would answer through another zone.
    pub anti_spoofing: bool,
}

/// Addresses under a name, of both families as they come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressSet {
    /// 1 to 24 characters of `[a-z0-9-]`, begins with a letter.
    pub name: String,
    /// They may overlap.
    pub addresses: Vec<Addresses>,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// It passes.
    Accept,
    /// It is gone without a word.
    Drop,
    /// It is gone, and the sender is told.
    Reject,
}

/// What happens to connections between two sides that no rule speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Where they come from.
    pub from: Side,
    /// Where they go.
    pub to: Side,
    /// What happens.
    pub action: Action,
    /// They are logged, ten lines a second at most.
    pub log: bool,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// For listings and logs; may be empty.
    pub name: String,
    /// What it speaks of.
    pub traffic: Traffic,
    /// States; empty: any.
    pub states: Vec<ConnectionState>,
    /// It speaks of no more than that.
    pub limit: Option<Limit>,
    /// It speaks of no more than that.
    pub connections_max: Option<ConnectionsMax>,
    /// What opens a line of log for each connection, ten a second at most.
    pub log: Option<String>,
    /// What happens.
    pub action: Action,
}

/// How many new connections a rule speaks of in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// At least 1.
    pub count: u32,
    /// In which time.
    pub per: Period,
    /// How many at once, at least 1.
    pub burst: u32,
    /// Each source address has its own.
    pub per_source: bool,
}

/// A time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Period {
    /// 1 s
    Second,
    /// 60 s
    Minute,
    /// 3,600 s
    Hour,
    /// 86,400 s
    Day,
}

/// How many connections may be open at once that came by a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionsMax {
    /// At least 1.
    pub count: u32,
    /// Each source address has its own.
    pub per_source: bool,
}

/// A rule of address translation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Translation {
    /// For listings; may be empty.
    pub name: String,
    /// What it speaks of; protocols are only TCP, UDP and SCTP, and there are no source ports and no ICMP.
    pub traffic: Traffic,
    /// What it makes of it.
    pub kind: TranslationKind,
}

/// What a translation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TranslationKind {
    /// Sources become the virtual address of the interface they leave by, which moves with the connections;
    /// where it has none, the box's own.
    Masquerade {
        /// Whose.
        families: Families,
    },
    /// Sources become one of these.
    Source {
        /// First address.
        first: IpAddr,
        /// Last address.
        last: IpAddr,
        /// Ports to choose from; `None`: as it was, where that is free.
        ports: Option<PortRange>,
    },
    /// Destinations become this, and what is translated may pass.
    Destination {
        /// The real server.
        address: IpAddr,
        /// Its port, or as many as `Traffic::ports` has; `None`: the same.
        ports: Option<PortRange>,
        /// Its own neighbours may use the address from outside, too.
        hairpin: bool,
    },
    /// `inside` is known as `outside` to the sides `Traffic::to`, in both directions.
    OneToOne {
        /// How others know it.
        outside: IpAddr,
        /// Its own address.
        inside: IpAddr,
        /// Its own neighbours may use the address from outside, too.
        hairpin: bool,
    },
}

/// Which family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Families {
    /// IPv4 alone.
    Ipv4,
    /// IPv6 alone.
    Ipv6,
    /// Both.
    Both,
}

/// Connections of a protocol are read to foresee those that they announce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Helper {
    /// Which one.
    pub protocol: HelperProtocol,
    /// Where the connections come from.
    pub from: Vec<Side>,
    /// Ports that servers of this protocol listen on, at least one.
    pub ports: Vec<u16>,
}

/// Protocols that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HelperProtocol {
    /// File transfer, over TCP.
    Ftp,
    /// Telephony, over UDP and TCP.
    Sip,
    /// Trivial file transfer, over UDP.
    Tftp,
}

/// Connection tracking.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// Most connections; `None`: as the kernel chose for this box's memory.
    pub max: Option<u32>,
    /// How long a connection is remembered without a packet, in seconds; the kernel's for those not named.
    /// Each phase once, in the order of [`Phase`], so that equal configs are equal images.
    pub timeouts_s: Vec<(Phase, u32)>,
}

/// What a connection is in while it waits for packets (sysctl `net.netfilter.nf_conntrack_*_timeout*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    /// A SYN was seen.
    TcpSynSent,
    /// And its answer.
    TcpSynReceived,
    /// Open.
    TcpEstablished,
    /// One side is done.
    TcpFinWait,
    /// The other has heard of it.
    TcpCloseWait,
    /// The last acknowledgement is missing.
    TcpLastAck,
    /// Both are done.
    TcpTimeWait,
    /// Broken off.
    TcpClose,
    /// Data is sent again and again.
    TcpMaxRetransmissions,
    /// Data is not acknowledged.
    TcpUnacknowledged,
    /// UDP, no answer yet.
    Udp,
    /// UDP, packets in both directions.
    UdpStream,
    /// A ping.
    Icmp,
    /// A ping over IPv6.
    Icmpv6,
    /// SCTP, open.
    SctpEstablished,
    /// GRE, no answer yet.
    Gre,
    /// GRE, packets in both directions.
    GreStream,
    /// Protocols that conntrack does not know.
    Generic,
}

impl TranslationKind {
    /// The word it is written as.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Masquerade { .. } => "masquerade",
            Self::Source { .. } => "source",
            Self::Destination { .. } => "destination",
            Self::OneToOne { .. } => "one-to-one",
        }
    }
}

impl Families {
    /// Whether IPv4 is meant, or with `false` IPv6.
    #[must_use]
    pub const fn has(self, is_ipv4: bool) -> bool {
        match self {
            Self::Ipv4 => is_ipv4,
            Self::Ipv6 => !is_ipv4,
            Self::Both => true,
        }
    }
}

impl HelperProtocol {
    /// The port its servers usually listen on (IANA).
    #[must_use]
    pub const fn usual_port(self) -> u16 {
        match self {
            Self::Ftp => 21,
            Self::Sip => 5060,
            Self::Tftp => 69,
        }
    }
}
