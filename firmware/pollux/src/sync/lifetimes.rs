//! How long a mirrored flow is to live on without a packet: as long as in its owner's kernel, which has the same settings. How
//! much of that is left there is not known here, for with each packet it begins anew, and no event says so.

use super::flows::LIFETIME_MIN_S;
use netlink::conntrack::{FlowRef, ProtocolState};
use std::fs;
use std::path::Path;

/// Where conntrack keeps its settings.
const DIRECTORY: &str = "/proc/sys/net/netfilter";
/// Number of a protocol, and the setting for its open flows.
const OPEN: [(u8, &str); 4] = [
    (6, "nf_conntrack_tcp_timeout_established"),
    (17, "nf_conntrack_udp_timeout_stream"),
    (47, "nf_conntrack_gre_timeout_stream"),
    (132, "nf_conntrack_sctp_timeout_established"),
];
/// The setting for flows of other protocols.
const OTHER: &str = "nf_conntrack_generic_timeout";
/// TCP_CONNTRACK_ESTABLISHED and SCTP_CONNTRACK_ESTABLISHED.
const TCP_ESTABLISHED: u8 = 3;
const SCTP_ESTABLISHED: u8 = 4;

/// Seconds by protocol.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    open: [(u8, u32); OPEN.len()],
    other: u32,
}

impl Lifetimes {
    /// As this kernel has them now.
    pub fn read() -> Self {
        Self::read_in(Path::new(DIRECTORY))
    }

    fn read_in(directory: &Path) -> Self {
        // What can't be read is no reason to let flows die sooner.
        let seconds = |name| {
            let text = fs::read_to_string(directory.join(name)).ok();
            text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
        };
        Lifetimes {
            open: OPEN.map(|(protocol, name)| (protocol, seconds(name))),
            other: seconds(OTHER),
        }
    }

    /// What a flow is to have. One that is ending has the least: its owner soon says that it ended.
    pub fn of(&self, flow: &FlowRef<'_>) -> u32 {
        let is_open = match flow.state {
            Some(ProtocolState::Tcp { state, .. }) => state == TCP_ESTABLISHED,
            Some(ProtocolState::Sctp { state, .. }) => state == SCTP_ESTABLISHED,
            Some(ProtocolState::Dccp { .. }) | None => true,
        };
        let is_of = |(protocol, _): &&(u8, u32)| *protocol == flow.original.protocol;
        let of_protocol = self.open.iter().find(is_of);
        let seconds = of_protocol.map_or(self.other, |(_, seconds)| *seconds);
        if is_open {
            seconds.max(LIFETIME_MIN_S)
        } else {
            LIFETIME_MIN_S
        }
    }
}
