//! What the console lists of the kernel's two large tables: the rules in force, and the connections it tracks.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Part of the ruleset in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallPage {
    /// In the kernel's order.
    pub lines: Vec<FirewallLine>,
    /// How many there are in all.
    pub total: u32,
}

/// A line of the ruleset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FirewallLine {
    /// The rules that follow are its.
    Chain {
        /// Its name.
        name: String,
        /// Where packets enter it and what becomes of those that no rule decides; `None`: only by jump or goto.
        hook: Option<String>,
    },
    /// A rule.
    Rule {
        /// Which rule of the config it is, or what it is for.
        about: String,
        /// `accept`, `jump outside.inside`; empty where it goes on to the next.
        decision: String,
        /// Packets and bytes that it has seen; `None`: it does not count.
        counted: Option<(u64, u64)>,
    },
}

/// Which connections are wanted; what is `None` is no condition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionQuery {
    /// IP protocol number.
    pub protocol: Option<u8>,
    /// On either side, before or after translation.
    pub address: Option<IpAddr>,
    /// As `address`.
    pub port: Option<u16>,
}

impl ConnectionQuery {
    /// All are wanted.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

/// What was found; packets and bytes count both directions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionReport {
    /// Connections in the kernel.
    pub total: u64,
    /// Those that were wanted.
    pub matching: u64,
    /// IP protocol number and how many of those wanted, most first.
    pub protocols: Vec<(u8, u64)>,
    /// Bytes of those wanted.
    pub bytes: u64,
    /// Who opened most of them, most first.
    pub talkers: Vec<Talker>,
    /// Some openers were left out of `talkers`, or balanced connections of the sums: there are too many, or they could
    /// not be read.
    pub is_partial: bool,
    /// Some of those wanted.
    pub connections: Vec<ConnectionLine>,
}

/// An address that opened connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Talker {
    /// Its address, before translation.
    pub address: IpAddr,
    /// How many it opened.
    pub connections: u64,
    /// What they carried.
    pub bytes: u64,
}

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionLine {
    /// IP protocol number.
    pub protocol: u8,
    /// Who opened it, and from which port.
    pub from: (IpAddr, Option<u16>),
    /// Whom it called.
    pub to: (IpAddr, Option<u16>),
    /// Who really answers, and to whom, where addresses or ports are translated.
    pub translated: Option<[(IpAddr, Option<u16>); 2]>,
    /// The protocol's own word (`ESTABLISHED`), where it has one.
    pub state: Option<String>,
    /// Seconds that it is remembered without another packet.
    pub timeout_s: u32,
    /// What it carried; `None` for a balanced one, whose bytes the kernel counts by server.
    pub bytes: Option<u64>,
}
