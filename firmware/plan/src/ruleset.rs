//! nf_tables rulesets, as values: what the kernel can hold (linux/netfilter/nf_tables.h), said in the words of
//! nft(8). `firewall` makes one from the config, the netlink crate's `nftables` turns it into one batch.
//! It knows nothing of registers, handles, ids or byte order, nor of the tests of family and protocol that a
//! field needs before it may be read: those are the encoder's business.

mod chain;
mod datum;
mod field;
mod object;
mod rule;
mod selector;
mod set;
mod statement;

pub use chain::{Base, Chain, Hook, NatHook, Policy, priority};
pub use datum::{
    AddressType, ConnectionStates, ConnectionStatus, Datum, Direction, InterfaceName, Kind,
    PacketType, TcpFlags,
};
pub use field::{Arp, Ether, Field, Icmp, Icmpv6, Ipv4, Ipv6, Tcp, Udp};
pub use object::{
    Flowtable, Helper, HelperProtocol, Object, ObjectContent, ObjectKind, TcpPhase, Timeouts,
    UdpPhase,
};
pub use rule::Rule;
pub use selector::{Ct, Fib, FibKey, FibResult, Meta, Selector, Spread, TupleEnd};
pub use set::{Element, Entries, Key, Map, Set, Shape, Span};
pub use statement::{
    Assignment, Burst, ConnectionLimit, DynamicOperation, Limit, LimitUnit, Log, LogLevel, LogTo,
    Members, Meter, NatFlags, NatTarget, Operand, Per, RejectWith, Statement, Synproxy, Test,
    UnreachableCode, Verdict, VerdictMap,
};

use alloc::string::String;
use alloc::vec::Vec;

/// Everything of ours that one kernel holds. Tables of others are not touched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// No two with the same family and name.
    pub tables: Vec<Table>,
}

/// One table: a name space for chains, sets, maps, flowtables and objects, which see packets of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Whose packets.
    pub family: Family,
    /// 1 to 31 characters of `[a-zA-Z0-9_./-]`, as are all names of this module.
    pub name: String,
    /// In any order; jumps may lead to chains further down, but never in a circle.
    pub chains: Vec<Chain>,
    /// Named sets; unnamed ones stand in the rule itself (`Members::These`).
    pub sets: Vec<Set>,
    /// Named maps: from keys to values, to verdicts or to objects.
    pub maps: Vec<Map>,
    /// Shortcuts past the forward path for settled connections.
    pub flowtables: Vec<Flowtable>,
    /// Helpers, timeouts, limits, counters, which rules name.
    pub objects: Vec<Object>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(family: Family, name: impl Into<String>) -> Self {
        Self {
            family,
            name: name.into(),
            chains: Vec::new(),
            sets: Vec::new(),
            maps: Vec::new(),
            flowtables: Vec::new(),
            objects: Vec::new(),
        }
    }
}

/// Which packets a table sees. The kernel refuses hooks that a family does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// ARP: only `Hook::Input` and `Hook::Output`.
    Arp,
    /// Whatever a device carries: only `Hook::Ingress` and `Hook::Egress`.
    Netdev,
}
