//! The console's view of the pair: proto's status in names, with what each link lost below the protocol and
//! what the kernel holds of the virtual addresses. Pure; reading the kernel is `addresses`' work.

use super::settings;
use crate::ipc::control::{AddressStatus, ClusterStatus, LinkStatus, PeerStatus, TransitionStatus};
use plan::config::Config;
use proto::report;
use proto::wire::Rejection;

/// Why a byte stream holds what is no frame.
const LINE_NOISE: &str = "line noise; some is ordinary while the other box starts";

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
        dead_ms: status.dead_ms,
        dead_configured_ms: status.dead_configured_ms,
        silence_max_ms: status.silence_max_ms,
        delay_us: status.delay_us,
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
        in_sync: peer.in_sync,
        fail_back_waits: peer.fail_back_waits,
        dead_ms: peer.dead_ms,
        generation: peer.generation,
        digest: peer.digest,
    }
}

fn link_status(link: &report::LinkStatus, facts: &LinkFacts) -> LinkStatus {
    let by_protocol = link.rejected.iter();
    let mut rejected: Vec<_> = by_protocol
        .map(|(rejection, count)| (cause(*rejection), *count))
        .collect();
    if facts.noise > 0 {
        rejected.push((LINE_NOISE.into(), facts.noise));
    }
    LinkStatus {
        name: facts.name.clone(),
        up: link.up,
        silent_ms: link.silent_ms,
        beat_ms: link.beat_ms,
        dead_ms: link.dead_ms,
        jitter_us: link.jitter_us,
        loss_permille: link.loss_permille,
        sent: link.sent,
        received: link.received,
        lost: link.lost,
        rejected,
        unsent: facts.unsent,
    }
}

/// In words, what to do about it included.
fn cause(rejection: Rejection) -> String {
    match rejection.is_alarming() {
        true => rejection.to_string(),
        false => format!("{rejection}; no harm where others share the segment"),
    }
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
