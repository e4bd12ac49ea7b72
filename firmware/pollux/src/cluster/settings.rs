//! From the config of the pair to what proto's node wants to be told, and the names by which links appear
//! in the log and on the console. Pure.

use core::fmt;
use core::time::Duration;
use plan::config::{self, Cast, Config, Link, Node};
use proto::settings::{ConfigVersion, FailBack, LINKS_MAX, Medium, Settings, Timing};
use proto::wire::ClusterTag;

/// What cannot be mapped although `validate` has accepted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// There are not two nodes.
    Nodes,
    /// There are more links than a node can have.
    Links,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Nodes => f.write_str("the config must name two nodes"),
            Mismatch::Links => write!(f, "the config may name {LINKS_MAX} links at most"),
        }
    }
}

/// What the node at position `node` of `Config::nodes` is told at its start.
pub fn settings(
    config: &Config,
    node: usize,
    version: ConfigVersion,
) -> Result<Settings, Mismatch> {
    let own = config.nodes.get(node).ok_or(Mismatch::Nodes)?;
    let peer = peer(config, node).ok_or(Mismatch::Nodes)?;
    if config.links.len() > LINKS_MAX {
        return Err(Mismatch::Links);
    }
    Ok(Settings {
        cluster: ClusterTag::of_name(&config.cluster.name),
        key: config.cluster.key,
        number: own.number,
        peer: peer.number,
        priority: own.priority,
        timing: timing(config.cluster.timing),
        fail_back: match config.cluster.fail_back {
            config::FailBack::Off => FailBack::Off,
            config::FailBack::Auto => FailBack::Auto,
        },
        config: version,
        links: config.links.iter().take(LINKS_MAX).map(medium).collect(),
    })
}

/// The other node.
pub fn peer(config: &Config, node: usize) -> Option<&Node> {
    let mut others = config.nodes.iter().enumerate();
    let (_, peer) = others.find(|(position, _)| *position != node)?;
    Some(peer)
}

/// `ttyS1 19200`, `sync udp 694 multicast`.
pub fn link_name(config: &Config, link: &Link) -> String {
    match link {
        Link::Serial { tty, baud } => format!("{tty} {baud}"),
        Link::Udp {
            interface,
            port,
            cast,
        } => {
            let interface = config.interfaces.get(usize::from(*interface));
            let interface = interface.map_or("?", |interface| interface.name.as_str());
            let cast = match cast {
                Cast::Unicast => "unicast",
                Cast::Broadcast => "broadcast",
                Cast::Multicast(_) => "multicast",
            };
            format!("{interface} udp {port} {cast}")
        }
    }
}

fn timing(timing: config::Timing) -> Timing {
    match timing {
        config::Timing::Default => Timing::DEFAULT,
        config::Timing::Fast => Timing::FAST,
        config::Timing::Explicit { beat_ms, dead_ms } => Timing {
            beat: Duration::from_millis(beat_ms.into()),
            dead: Duration::from_millis(dead_ms.into()),
        },
    }
}

fn medium(link: &Link) -> Medium {
    match link {
        Link::Serial { baud, .. } => Medium::Serial { baud: *baud },
        Link::Udp { .. } => Medium::Datagram,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::dataplane::samples::balancer;
    use std::net::Ipv4Addr;

    const VERSION: ConfigVersion = ConfigVersion {
        generation: 3,
        digest: 7,
    };

    fn udp(interface: u8, cast: Cast) -> Link {
        Link::Udp {
            interface,
            port: 694,
            cast,
        }
    }

    #[test]
    fn each_box_is_told_of_itself_and_of_the_other() {
        let mut config = balancer();
        config.nodes[1].priority = 200;
        config.links.push(udp(1, Cast::Unicast));
        let castor = settings(&config, 0, VERSION).unwrap();
        let pollux = settings(&config, 1, VERSION).unwrap();
        assert_eq!((castor.number, castor.peer, castor.priority), (1, 2, 100));
        assert_eq!((pollux.number, pollux.peer, pollux.priority), (2, 1, 200));
        assert_eq!(castor.cluster, pollux.cluster);
        assert_eq!(castor.config, VERSION);
        let links = [Medium::Serial { baud: 19_200 }, Medium::Datagram];
        assert_eq!(castor.links.as_slice(), links);
    }

    #[test]
    fn timing_profiles_keep_their_numbers() {
        assert_eq!(timing(config::Timing::Default), Timing::DEFAULT);
        assert_eq!(timing(config::Timing::Fast).dead, Duration::from_millis(30));
        let explicit = config::Timing::Explicit {
            beat_ms: 20,
            dead_ms: 90,
        };
        assert_eq!(timing(explicit).beat, Duration::from_millis(20));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let mut config = balancer();
        config.links = vec![udp(0, Cast::Unicast); LINKS_MAX + 1];
        let refused = |config: &Config, node| settings(config, node, VERSION).err();
        assert_eq!(refused(&config, 0), Some(Mismatch::Links));
        assert_eq!(refused(&config, 9), Some(Mismatch::Nodes));
        config.nodes.truncate(1);
        assert_eq!(refused(&config, 0), Some(Mismatch::Nodes));
    }

    #[test]
    fn links_have_readable_names() {
        let config = balancer();
        assert_eq!(link_name(&config, &config.links[0]), "ttyS1 19200");
        let group = Ipv4Addr::new(239, 0, 0, 1);
        let multicast = udp(1, Cast::Multicast(group));
        assert_eq!(link_name(&config, &multicast), "lan udp 694 multicast");
        assert_eq!(
            link_name(&config, &udp(9, Cast::Broadcast)),
            "? udp 694 broadcast"
        );
    }
}
