//! What a kernel can hold, in the words of this project: the vocabulary shared by `desired` (what it
//! should hold), `observed` (what it holds) and the codecs of the netlink crate.

use crate::config::{Endpoint, Forwarding, Prefix, Protocol, Scheduler};
use crate::ruleset::Ruleset;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

/// A network device as rtnetlink shows it (RTM_NEWLINK).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Interface index, from 1.
    pub index: u32,
    /// `eth0`.
    pub name: String,
    /// Hardware address that it answers to; all zero for none.
    pub mac: [u8; 6],
    /// The one it was made with, by which configs name it, where it tells that (IFLA_PERM_ADDRESS).
    pub permanent_mac: Option<[u8; 6]>,
    /// IFF_UP: set by the administrator.
    pub up: bool,
    /// IFF_LOWER_UP: the cable has a signal.
    pub carrier: bool,
    /// Bytes.
    pub mtu_bytes: u32,
}

impl Device {
    /// The hardware address by which configs name it: it stays when somebody gives the card another.
    #[must_use]
    pub fn known_by(&self) -> [u8; 6] {
        self.permanent_mac.unwrap_or(self.mac)
    }
}

/// An address on a device (RTM_NEWADDR).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Interface index.
    pub index: u32,
    /// The address and its prefix length.
    pub prefix: Prefix,
}

/// A route in the main table (RTM_NEWROUTE).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// Destination; length 0 is the default route.
    pub to: Prefix,
    /// Next hop.
    pub via: IpAddr,
    /// Interface index; `None` where the kernel chooses.
    pub index: Option<u32>,
}

/// What names an IPVS service in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Virtual address and port.
    pub endpoint: Endpoint,
}

/// An IPVS virtual service (IPVS_CMD_NEW_SERVICE) with its destinations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub key: ServiceKey,
    /// Scheduling algorithm; `None` where the kernel holds one we do not know.
    pub scheduler: Option<Scheduler>,
    /// IP_VS_SVC_F_SCHED1 (sh: fallback; mh: fallback): skip servers of weight 0.
    pub schedule_fallback: bool,
    /// Seconds; `None`: not persistent.
    pub persistence_s: Option<u32>,
    /// By endpoint, ascending, no two alike.
    pub destinations: Vec<Destination>,
}

/// A real server of a virtual service (IPVS_CMD_NEW_DEST).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// 0: no new connections.
    pub weight: u16,
    /// When it is full, and when it takes clients again.
    pub thresholds: Thresholds,
}

/// Connections at which a real server gets no new clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Thresholds {
    /// From so many on it is full (IPVS_DEST_ATTR_U_THRESH); 0: never.
    pub upper: u32,
    /// Below so many it no longer is (IPVS_DEST_ATTR_L_THRESH), never above `upper`; 0: below three quarters of it.
    pub lower: u32,
}

impl Thresholds {
    /// At most `connections` at a time; `None`: no limit. Both are alike, so that whoever leaves makes room for one
    /// (ip_vs_unbind_dest).
    pub fn at_most(connections: Option<u32>) -> Self {
        let connections = connections.unwrap_or(0);
        Self {
            upper: connections,
            lower: connections,
        }
    }

    /// Most connections at a time; `None`: no limit.
    pub fn connections_max(self) -> Option<u32> {
        (self.upper != 0).then_some(self.upper)
    }
}

/// What the kernel counts for a destination, for the console only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DestinationCounters {
    /// Established connections (IPVS_DEST_ATTR_ACTIVE_CONNS).
    pub active_connections: u32,
    /// Others (IPVS_DEST_ATTR_INACT_CONNS).
    pub inactive_connections: u32,
    /// Connections since it was added (IPVS_STATS_ATTR_CONNS).
    pub connections_total: u64,
    /// Packets to it since then (IPVS_STATS_ATTR_INPKTS).
    pub packets_in_total: u64,
    /// Bytes to it since then (IPVS_STATS_ATTR_INBYTES).
    pub bytes_in_total: u64,
    /// Bytes from it since then, none where they do not come by here: direct, tunnel
    /// (IPVS_STATS_ATTR_OUTBYTES).
    pub bytes_out_total: u64,
}

/// Everything that plans are made about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Devices that exist.
    pub devices: Vec<Device>,
    /// Addresses that are set (global scope).
    pub addresses: Vec<Address>,
    /// Addresses that may stand but need not: in a desired state the virtual ones, which the cluster worker
    /// sets and removes and a plan leaves alone. Empty in an observed state.
    pub virtual_addresses: Vec<Address>,
    /// Indices of devices that bear nothing but virtual addresses: they are the cluster worker's, and a plan
    /// removes only addresses from them. Empty in an observed state.
    pub bearers: Vec<u32>,
    /// Routes that we own (protocol RTPROT_POLLUX).
    pub routes: Vec<Route>,
    /// IPVS services.
    pub services: Vec<Service>,
    /// Path below /proc/sys and value, both as text.
    pub sysctls: Vec<(String, String)>,
    /// The firewall; `None` in a desired state: leave it alone, in an observed one: unknown, or others changed it.
    /// Shared, so that a large one that nobody changed is known for the same without a look at it.
    pub ruleset: Option<Arc<Ruleset>>,
}

/// One change to the kernel. Steps are carried out in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// One atomic batch of nf_tables, in the place of all tables that are ours.
    LoadRuleset(Arc<Ruleset>),
    /// Write a value below /proc/sys.
    SetSysctl {
        /// `net/ipv4/ip_forward`.
        path: String,
        /// `1`.
        value: String,
    },
    /// Set a device's MTU and IFF_UP.
    SetLink {
        /// Interface index.
        index: u32,
        /// Bytes; `None` leaves it.
        mtu_bytes: Option<u32>,
    },
    /// RTM_NEWADDR.
    AddAddress(Address),
    /// RTM_DELADDR.
    DeleteAddress(Address),
    /// RTM_NEWROUTE, NLM_F_REPLACE.
    AddRoute(Route),
    /// RTM_DELROUTE.
    DeleteRoute(Route),
    /// IPVS_CMD_NEW_SERVICE; its destinations follow as steps of their own.
    AddService(Service),
    /// IPVS_CMD_SET_SERVICE.
    EditService(Service),
    /// IPVS_CMD_DEL_SERVICE, with all its destinations.
    DeleteService(ServiceKey),
    /// IPVS_CMD_NEW_DEST.
    AddDestination(ServiceKey, Destination),
    /// IPVS_CMD_SET_DEST.
    EditDestination(ServiceKey, Destination),
    /// IPVS_CMD_DEL_DEST.
    DeleteDestination(ServiceKey, Endpoint),
}
