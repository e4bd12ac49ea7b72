//! Chains: lists of rules, where they hook into the path of a packet, and in which order.

use super::{InterfaceName, Rule};
use alloc::string::String;
use alloc::vec::Vec;

/// A list of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Unique in its table.
    pub name: String,
    /// Where packets enter it; `None`: only by jump or goto.
    pub base: Option<Base>,
    /// Asked in this order.
    pub rules: Vec<Rule>,
}

impl Chain {
    /// An empty chain that is reached by jump or goto.
    #[must_use]
    pub fn regular(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            base: None,
            rules: Vec::new(),
        }
    }

    /// An empty chain that packets enter at `hook`, the lower `priority` (see `priority`) the earlier.
    #[must_use]
    pub fn base(name: impl Into<String>, hook: Hook, priority: i32, policy: Policy) -> Self {
        Self {
            base: Some(Base {
                hook,
                priority,
                policy,
            }),
            ..Self::regular(name)
        }
    }
}

/// What makes a chain a base chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Where packets enter.
    pub hook: Hook,
    /// Lower ones come first; see `priority`.
    pub priority: i32,
    /// For packets that no rule decided.
    pub policy: Policy,
}

/// Where packets enter a base chain, and what the chain may do there (nft's chain types).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// Type filter: whatever arrives, before routing.
    Prerouting,
    /// Type filter: for this box.
    Input,
    /// Type filter: passing through.
    Forward,
    /// Type filter: made by this box.
    Output,
    /// Type filter: whatever leaves, after routing.
    Postrouting,
    /// Type filter: whatever these devices receive, before all else. Family netdev; inet too, with one device.
    Ingress(Vec<InterfaceName>),
    /// Type filter: whatever these devices are about to send. Family netdev.
    Egress(Vec<InterfaceName>),
    /// Type nat: asked for the first packet of a connection only.
    Nat(NatHook),
    /// Type route, hook output: a changed mark or address has the packet routed again.
    Reroute,
}

/// Where a chain of type nat may hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NatHook {
    /// Destination NAT and redirect of what arrives.
    Prerouting,
    /// Source NAT of what is for this box.
    Input,
    /// Destination NAT and redirect of what this box made.
    Output,
    /// Source NAT and masquerade of what leaves.
    Postrouting,
}

/// What happens to packets that no rule decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// They pass.
    Accept,
    /// They are gone, without a word.
    Drop,
}

/// nft's names for priorities (`NF_IP_PRI_*` of linux/netfilter_ipv4.h).
pub mod priority {
    /// Before connection tracking: notrack goes here.
    pub const RAW: i32 = -300;
    /// Between tracking and destination NAT.
    pub const MANGLE: i32 = -150;
    /// Where destination NAT happens (prerouting, output).
    pub const DESTINATION_NAT: i32 = -100;
    /// The usual place of filters.
    pub const FILTER: i32 = 0;
    /// Where source NAT happens (postrouting, input).
    pub const SOURCE_NAT: i32 = 100;
}
