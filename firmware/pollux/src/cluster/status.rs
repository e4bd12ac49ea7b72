//! The console's view of the pair: proto's status in names, with what each link lost below the protocol and
//! what the kernel holds of the virtual addresses. Pure; reading the kernel is `addresses`' work.

use super::settings;
use crate::ipc::control::{AddressStatus, ClusterStatus, LinkStatus, PeerStatus, TransitionStatus};
use plan::config::Config;
use proto::report;

/// What happened to a link below the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkFacts {
    /// `ttyS1 19200`.
    pub name: String,
    /// Stretches of a byte stream that were no frame.
    pub noise: u64,
    /// Frames that the kernel did not take.
    pub unsent: u64,
}

/// All that `status` shows of the pair.
pub fn cluster_status(
    config: &Config,
    node: usize,
    status: &report::Status,
    links: &[LinkFacts],
    virtual_addresses: Vec<AddressStatus>,
) -> ClusterStatus {
    let peer_name = settings::peer(config, node).map_or("?", |peer| peer.name.as_str());
    ClusterStatus {
        role: status.state.to_string(),
        ready: status.ready,
        term: status.term,
        since_ms: status.since_ms,
        peer: status
            .peer
            .as_ref()
            .map(|peer| peer_status(peer_name, peer)),
        links: status
            .links
            .iter()
            .zip(links)
            .map(|(link, facts)| link_status(link, facts))
            .collect(),
        virtual_addresses,
        transitions: status.transitions.iter().map(transition_status).collect(),
    }
}

fn peer_status(name: &str, peer: &report::PeerStatus) -> PeerStatus {
    PeerStatus {
        name: name.into(),
        alive: peer.alive,
        role: peer.state.to_string(),
        term: peer.term,
        ready: peer.ready,
        generation: peer.generation,
        digest: peer.digest,
    }
}

fn link_status(link: &report::LinkStatus, facts: &LinkFacts) -> LinkStatus {
    let by_protocol = link.rejected.iter();
    let mut rejected: Vec<_> = by_protocol
        .map(|(rejection, count)| (cause(&rejection.to_string()), *count))
        .collect();
    let below = [("line noise", facts.noise), ("not sent", facts.unsent)];
    let below = below.into_iter().filter(|(_, count)| *count > 0);
    rejected.extend(below.map(|(cause, count)| (cause.into(), count)));
    LinkStatus {
        name: facts.name.clone(),
        up: link.up,
        silent_ms: link.silent_ms,
        beat_ms: u32::try_from(link.beat_ms).unwrap_or(u32::MAX),
        sent: link.sent,
        received: link.received,
        lost: link.lost,
        rejected,
    }
}

/// The words before the advice: a table has no room for more.
fn cause(words: &str) -> String {
    words.split(';').next().unwrap_or_default().into()
}

fn transition_status(past: &report::PastTransition) -> TransitionStatus {
    let transition = &past.transition;
    TransitionStatus {
        ago_ms: past.ago_ms,
        from: transition.from.to_string(),
        to: transition.to.to_string(),
        term: transition.term,
        reason: transition.reason.to_string(),
    }
}
