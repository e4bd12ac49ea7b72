//! The numbers of linux/ip_vs.h that we speak, as neli's enums; others are `UnrecognizedConst`.
#![allow(missing_docs, reason = "each is the header's own name")]

use neli::consts::genl::{Cmd, NlAttrType};
use neli::neli_enum;

/// IPVS_CMD_*.
#[neli_enum(serialized_type = "u8")]
pub(crate) enum Command {
    NewService = 1,
    SetService = 2,
    DelService = 3,
    GetService = 4,
    NewDest = 5,
    SetDest = 6,
    DelDest = 7,
    GetDest = 8,
    NewDaemon = 9,
    DelDaemon = 10,
    GetDaemon = 11,
    Flush = 17,
}
impl Cmd for Command {}

/// IPVS_CMD_ATTR_*.
#[neli_enum(serialized_type = "u16")]
pub(crate) enum CommandAttribute {
    Service = 1,
    Dest = 2,
    Daemon = 3,
}
impl NlAttrType for CommandAttribute {}

/// IPVS_SVC_ATTR_*.
#[neli_enum(serialized_type = "u16")]
pub(crate) enum ServiceAttribute {
    Family = 1,
    Protocol = 2,
    Address = 3,
    Port = 4,
    Fwmark = 5,
    Scheduler = 6,
    Flags = 7,
    Timeout = 8,
    Netmask = 9,
}
impl NlAttrType for ServiceAttribute {}

/// IPVS_DEST_ATTR_*.
#[neli_enum(serialized_type = "u16")]
pub(crate) enum DestinationAttribute {
    Address = 1,
    Port = 2,
    Forwarding = 3,
    Weight = 4,
    UpperThreshold = 5,
    LowerThreshold = 6,
    ActiveConnections = 7,
    InactiveConnections = 8,
    Stats = 10,
    Family = 11,
    Stats64 = 12,
}
impl NlAttrType for DestinationAttribute {}

/// IPVS_DAEMON_ATTR_*.
#[neli_enum(serialized_type = "u16")]
pub(crate) enum DaemonAttribute {
    State = 1,
    Interface = 2,
    SyncId = 3,
    MessageBytesMax = 4,
    Group = 5,
    Port = 7,
    Ttl = 8,
}
impl NlAttrType for DaemonAttribute {}

/// IPVS_STATS_ATTR_*.
#[neli_enum(serialized_type = "u16")]
pub(crate) enum StatsAttribute {
    Connections = 1,
    PacketsIn = 2,
    BytesIn = 4,
    BytesOut = 5,
}
impl NlAttrType for StatsAttribute {}
