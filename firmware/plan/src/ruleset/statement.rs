//! What a rule does, step by step: tests, things done in passing (count, log, mark), and decisions.

use super::{ConnectionStates, Ct, Datum, Element, ObjectKind, Selector, Span};
use crate::config::Prefix;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::num::NonZeroU32;

/// One step of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// Goes on if the selector passes the test; the test's constants are of the selector's kind.
    Match(Selector, Test),
    /// Goes on if these, together, are in the set (or are not).
    Lookup {
        /// As many as the set's key has parts, of the same kinds.
        key: Vec<Selector>,
        /// Where to look.
        members: Members,
        /// Goes on if they are not in it.
        inverted: bool,
    },
    /// Counts packets and bytes in this rule.
    Counter,
    /// Hands the packet to a named object: counts in a counter, tests a limit, assigns a helper or timeouts
    /// to the connection, answers by SYN proxy.
    Object(ObjectKind, String),
    /// The same, the object being found in a map.
    ObjectOf {
        /// Of which kind the map's objects are.
        kind: ObjectKind,
        /// As the map's key.
        key: Vec<Selector>,
        /// Its name.
        map: String,
    },
    /// Goes on while packets are within the limit (or only above it).
    Limit(Limit),
    /// Goes on while the connections that came by here are within the limit (or only above it).
    ConnectionLimit(ConnectionLimit),
    /// Writes a line of log.
    Log(Log),
    /// Sets a mark or a zone.
    Assign(Assignment, Operand),
    /// Adds to a dynamic set, and there does per element what `meters` say.
    Update {
        /// What is done.
        operation: DynamicOperation,
        /// Name of a dynamic set.
        set: String,
        /// As the set's key.
        key: Vec<Selector>,
        /// `None`: as the set says.
        timeout_s: Option<u32>,
        /// Each element has its own; one that is not passed ends the rule.
        meters: Vec<Meter>,
    },
    /// No connection tracking for this packet (`priority::RAW`).
    Notrack,
    /// Has the flowtable of this name take the connection from now on (forward chains).
    Offload(String),
    /// Lowers the segment size that a SYN offers to what the route carries (`tcp option maxseg size set rt
    /// mtu`); tests for TCP by itself, but for SYN the rule must.
    ClampSegmentSize,
    /// Decides by what the key leads to; goes on if it leads nowhere.
    Dispatch {
        /// As the map's key.
        key: Vec<Selector>,
        /// Where to look.
        map: VerdictMap,
    },
    /// Decides.
    Verdict(Verdict),
    /// Refuses, and tells the sender.
    Reject(RejectWith),
    /// Answers SYNs in the server's place; packets must be untracked or invalid.
    Synproxy(Synproxy),
    /// Source becomes the address of the device it leaves by (`NatHook::Postrouting`).
    Masquerade {
        /// First and last source port to choose from.
        ports: Option<(u16, u16)>,
        /// How to choose.
        flags: NatFlags,
    },
    /// Source is replaced (`NatHook::Postrouting`, `NatHook::Input`).
    SourceNat(NatTarget, NatFlags),
    /// Destination is replaced (`NatHook::Prerouting`, `NatHook::Output`).
    DestinationNat(NatTarget, NatFlags),
    /// Destination becomes this box (`NatHook::Prerouting`, `NatHook::Output`).
    Redirect {
        /// First and last port to choose from; `None`: as it was.
        ports: Option<(u16, u16)>,
        /// How to choose.
        flags: NatFlags,
    },
}

impl Statement {
    /// `ct state …`: any of these.
    #[must_use]
    pub fn state(states: ConnectionStates) -> Self {
        Self::Match(Selector::Ct(Ct::State), Test::Any(Datum::States(states)))
    }

    /// Goes on if `selector` is in the named set.
    #[must_use]
    pub fn in_set(selector: impl Into<Selector>, set: impl Into<String>) -> Self {
        Self::Lookup {
            key: alloc::vec![selector.into()],
            members: Members::Named(set.into()),
            inverted: false,
        }
    }
}

/// What a selector's value must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// This.
    Is(Datum),
    /// Anything else.
    IsNot(Datum),
    /// Less, in numbers.
    Below(Datum),
    /// Not more.
    AtMost(Datum),
    /// More.
    Above(Datum),
    /// Not less.
    AtLeast(Datum),
    /// In this range, both ends included, or this network.
    Within(Span),
    /// Not in it.
    Outside(Span),
    /// One of these: an unnamed set, which lives with the rule. At least one.
    OneOf(Vec<Span>),
    /// None of these.
    NoneOf(Vec<Span>),
    /// Has at least one of these bits (states, status, flags, mark).
    Any(Datum),
    /// Has none of them.
    No(Datum),
    /// Of the bits in `mask`, has just those of `value` (`tcp flags & (syn | ack) == syn`).
    Masked {
        /// Which bits count.
        mask: Datum,
        /// What they must be.
        value: Datum,
    },
}

/// Where a lookup looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Members {
    /// A set or map of the table.
    Named(String),
    /// An unnamed set, which lives with the rule.
    These(Vec<Element>),
}

/// Where a dispatch looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerdictMap {
    /// A map of the table, to verdicts.
    Named(String),
    /// An unnamed map, which lives with the rule.
    These(Vec<(Element, Verdict)>),
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It passes this hook's chain; chains of higher priority still see it.
    Accept,
    /// It is gone.
    Drop,
    /// Back to the chain that jumped here; in a base chain, its policy.
    Return,
    /// On to the next rule.
    Continue,
    /// To a chain of the table, and back when that has not decided.
    Jump(String),
    /// To a chain of the table, for good.
    Goto(String),
}

/// A rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many.
    pub rate: NonZeroU32,
    /// Of what.
    pub unit: LimitUnit,
    /// In which time.
    pub per: Per,
    /// How many at once.
    pub burst: Burst,
    /// Goes on above the limit, rather than within.
    pub above: bool,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitUnit {
    /// Packets.
    Packets,
    /// Bytes.
    Bytes,
}

/// How many a limit lets through at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Burst {
    /// nft's: 5 packets; no bytes beyond the rate.
    Usual,
    /// As many, of the limit's unit.
    Of(u32),
}

/// A time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// 1 s
    Second,
    /// 60 s
    Minute,
    /// 3,600 s
    Hour,
    /// 86,400 s
    Day,
    /// 604,800 s
    Week,
}

/// How many connections may be open at once (`ct count`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimit {
    /// So many are within.
    pub connections: u32,
    /// Goes on above the limit, rather than within.
    pub above: bool,
}

/// A line of log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Opens the line; at most 127 bytes.
    pub prefix: Option<String>,
    /// Where it goes.
    pub to: LogTo,
}

/// Where a line of log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTo {
    /// The kernel's log.
    Kernel(LogLevel),
    /// Readers of this nfnetlink_log group.
    Group {
        /// Its number.
        group: u16,
        /// Bytes of the packet that go with it; `None`: all.
        packet_bytes: Option<u32>,
        /// Packets that are collected before they are handed over; `None`: each at once.
        queue_packets: Option<u16>,
    },
}

/// syslog's levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// 0
    Emergency,
    /// 1
    Alert,
    /// 2
    Critical,
    /// 3
    Error,
    /// 4, what nft takes unless told otherwise
    Warning,
    /// 5
    Notice,
    /// 6
    Info,
    /// 7
    Debug,
}

/// What can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignment {
    /// The packet's mark; a `Kind::Mark`.
    Mark,
    /// The connection's mark; a `Kind::Mark`.
    ConnectionMark,
    /// The connection's zone, before it is tracked; a `Kind::Zone`.
    Zone,
}

/// A value: a constant or one that depends on the packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// A constant.
    Is(Datum),
    /// What the packet has (`meta mark set ct mark`).
    Of(Selector),
    /// What the key leads to in a map of the table; the rule ends where it leads nowhere.
    Mapped {
        /// As the map's key.
        key: Vec<Selector>,
        /// Its name.
        map: String,
    },
}

/// What a rule does to a dynamic set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DynamicOperation {
    /// Adds an element unless it is there.
    Add,
    /// Adds an element, or starts its time anew.
    Update,
    /// Takes it away.
    Delete,
}

/// What each element of a dynamic set keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meter {
    /// Packets and bytes.
    Counter,
    /// A rate.
    Limit(Limit),
    /// Connections.
    ConnectionLimit(ConnectionLimit),
}

/// How a packet is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectWith {
    /// A TCP reset; the encoder tests for TCP.
    TcpReset,
    /// An ICMP or ICMPv6 error, as the packet needs.
    Unreachable(UnreachableCode),
}

/// Why a packet is refused, in words that ICMP and ICMPv6 both have (nft: icmpx).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnreachableCode {
    /// No way there.
    NoRoute,
    /// Nobody listens.
    Port,
    /// The host does not answer.
    Host,
    /// Forbidden.
    AdminProhibited,
}

/// What is told to clients in the server's place; it should be what the server itself would say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synproxy {
    /// Segment size, bytes.
    pub segment_bytes_max: u16,
    /// Window scale, 0 to 14; `None`: not offered.
    pub window_scale: Option<u8>,
    /// Timestamps.
    pub has_timestamps: bool,
    /// Selective acknowledgements.
    pub has_selective_acks: bool,
}

/// How NAT chooses among ports and addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NatFlags {
    /// Ports are drawn.
    pub fully_random: bool,
    /// A client keeps its address for all its connections.
    pub persistent: bool,
}

/// What an address, a port or both become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NatTarget {
    /// One address of these and, where given, one port of those; first and last, both addresses of one family.
    Addresses {
        /// First and last address.
        addresses: (IpAddr, IpAddr),
        /// First and last port; `None`: as it was, where that is free.
        ports: Option<(u16, u16)>,
    },
    /// The address stays, the port becomes one of these; first and last.
    Ports(u16, u16),
    /// The same host in this network (1:1, `prefix to`).
    Network(Prefix),
    /// What the key leads to in a map of the table: `Entries::Data` of one part, an address, or of two,
    /// address and port, or `Entries::Networks`. Where it leads nowhere, the rule ends.
    Mapped {
        /// As the map's key.
        key: Vec<Selector>,
        /// Its name.
        map: String,
    },
}
