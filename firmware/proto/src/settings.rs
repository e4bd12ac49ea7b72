//! What a node is told once, at its start: who it is, who its peer is, how fast silence is believed
//! and which links there are. Plain values; the driver maps its config to them.

use crate::wire::ClusterTag;
use core::time::Duration;
use heapless::Vec;

/// Links a node can have; more are refused by the config's validation.
pub const LINKS_MAX: usize = 8;

/// Everything a node is told at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Tells the frames of neighbouring clusters apart before their keys are tried.
    pub cluster: ClusterTag,
    /// Shared secret of the HMAC-SHA256 in each frame.
    pub key: [u8; 32],
    /// Number of this node, 1 to 255.
    pub number: u8,
    /// Number of the other node, 1 to 255.
    pub peer: u8,
    /// Priority of this node: the higher one is preferred.
    pub priority: u8,
    /// Beat and dead time.
    pub timing: Timing,
    /// What happens when a box of higher priority returns.
    pub fail_back: FailBack,
    /// The config this box runs, told to the peer in every beat.
    pub config: ConfigVersion,
    /// The links, in the order that gives them their `LinkIndex`, the same on both boxes.
    pub links: Vec<Medium, LINKS_MAX>,
}

/// How often a beat is sent and how long silence lasts before the peer counts as dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From beat to beat, on links that can carry it.
    pub beat: Duration,
    /// Silence on all links; at least three beats.
    pub dead: Duration,
}

impl Timing {
    /// 50 ms beat, 200 ms dead time.
    pub const DEFAULT: Self = Self {
        beat: Duration::from_millis(50),
        dead: Duration::from_millis(200),
    };

    /// 5 ms beat, 30 ms dead time.
    pub const FAST: Self = Self {
        beat: Duration::from_millis(5),
        dead: Duration::from_millis(30),
    };
}

/// What happens when a box of higher priority returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailBack {
    /// It stays standby until the operator or a fault says otherwise.
    Off,
    /// It is handed the addresses once it is ready and has stayed so for `node::FAIL_BACK_SETTLE`.
    Auto,
}

/// The config a box runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigVersion {
    /// Counts up with every image built.
    pub generation: u64,
    /// First bytes of the image's digest: the same config has the same digest.
    pub digest: u64,
}

/// What a link's frames travel on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// One frame is one datagram.
    Datagram,
    /// Frames go through `serial`; 8N1, so a byte takes ten bits.
    Serial {
        /// Bits a second.
        baud: u32,
    },
}
