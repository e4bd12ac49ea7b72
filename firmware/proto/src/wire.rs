//! Heartbeat frames as they travel on every link. The MAC is checked before a byte behind the header
//! is looked at; what fails is counted by cause and never panics. The header stays in clear, so that a
//! later version, or a neighbouring cluster on the same segment, is told apart from a wrong key.
//!
//! ```text
//! 0        version                 1 byte, VERSION
//! 1        cluster tag             2 bytes, CRC-16 of the cluster's name
//! 3        Beat                    postcard
//! len-16   MAC                     HMAC-SHA256 of all before it, truncated to 128 bits (RFC 2104, section 5)
//! ```

use crate::failover::State;
use crate::sabotage::{Sabotage, is_broken};
use core::fmt;
use crc::{CRC_16_IBM_SDLC, Crc};
use heapless::Vec;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// First byte of every frame.
pub const VERSION: u8 = 3;
/// Version and cluster tag.
pub const HEADER_BYTES: usize = 3;
/// Truncated HMAC-SHA256.
pub const MAC_BYTES: usize = 16;
/// No frame is longer, whatever its counters say.
pub const FRAME_BYTES_MAX: usize = 106;
/// A frame of a pair that has run for years: sequence numbers below 2^28, revisions below 2^21, terms and
/// generations below 2^14.
pub const FRAME_BYTES_USUAL: usize = 73;

/// A frame as it goes into a datagram or into `serial`.
pub type FrameBytes = Vec<u8, FRAME_BYTES_MAX>;

/// Tells the frames of clusters on one segment apart. It proves nothing: the MAC does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterTag([u8; 2]);

impl ClusterTag {
    /// The tag of the cluster of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        Self(
            Crc::<u16>::new(&CRC_16_IBM_SDLC)
                .checksum(name.as_bytes())
                .to_be_bytes(),
        )
    }

    /// As it travels.
    pub(crate) fn bytes(self) -> [u8; 2] {
        self.0
    }
}

/// One heartbeat: who sends it, what it last heard here, and how it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Node number of the sender.
    pub sender: u8,
    /// Link it was sent on, so that it can't be replayed on another.
    pub link: u8,
    /// Random number of the sender's start.
    #[serde(with = "postcard::fixint::le")]
    pub incarnation: u64,
    /// Counts up by one with each frame of that start on that link, from 1.
    pub sequence: u64,
    /// What the sender last heard on that link.
    pub echo: Option<Echo>,
    /// The sender has heard nothing for a while: answer at once.
    pub asks: bool,
    /// How the sender stands.
    pub standing: Standing,
}

/// Proof of having heard a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// Incarnation of the frame heard.
    #[serde(with = "postcard::fixint::le")]
    pub incarnation: u64,
    /// Its sequence number.
    pub sequence: u64,
    /// Newest revision of that start's standing that is believed, 0 before the first; heard on any link.
    pub revision: u32,
}

/// How a box stands: all that its peer needs to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Counts up with every change of what follows, so that a slow link can't bring back the past.
    pub revision: u32,
    /// Term in which it holds, takes or last held the addresses: one of its own (`term`).
    pub term: u64,
    /// Its state.
    pub state: State,
    /// Its configured priority.
    pub priority: u8,
    /// Carriers under its virtual addresses.
    pub fitness: u8,
    /// Its kernel holds the plan.
    pub ready: bool,
    /// Its kernel holds the connections that go through the peer, so a handover to it breaks none.
    pub in_sync: bool,
    /// Dead time that it asks for, in milliseconds.
    pub dead_ms: u16,
    /// Generation of its config.
    pub generation: u64,
    /// Digest of its config.
    #[serde(with = "postcard::fixint::le")]
    pub digest: u64,
}

/// Why a frame was thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Rejection {
    /// Shorter than header and MAC.
    Truncated,
    /// Longer than any frame.
    TooLong,
    /// Of another version of this protocol.
    Version,
    /// Of another cluster.
    WrongCluster,
    /// Of another key, or damaged.
    BadMac,
    /// The MAC is right but what it protects can't be read.
    Malformed,
    /// Our own frame came back: a tty that echoes, or a broadcast heard by its sender.
    OwnEcho,
    /// Our own number, but another start: an old capture, or two boxes that have the same number.
    SameNumber,
    /// Of a node number that is not the peer's.
    UnknownSender,
    /// Sent on another link.
    WrongLink,
    /// Not newer than what was heard before.
    Replayed,
    /// Its sender does not prove that it hears us now, and has not for a while.
    Unproven,
}

impl Rejection {
    /// How many causes there are.
    pub const COUNT: usize = 12;

    /// All of them, in the order of their counters.
    pub const ALL: [Rejection; Self::COUNT] = [
        Rejection::Truncated,
        Rejection::TooLong,
        Rejection::Version,
        Rejection::WrongCluster,
        Rejection::BadMac,
        Rejection::Malformed,
        Rejection::OwnEcho,
        Rejection::SameNumber,
        Rejection::UnknownSender,
        Rejection::WrongLink,
        Rejection::Replayed,
        Rejection::Unproven,
    ];

    /// It never happens on a healthy pair that shares its segment with others.
    #[must_use]
    pub fn is_alarming(self) -> bool {
        !matches!(self, Rejection::OwnEcho | Rejection::WrongCluster)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rejection::Truncated => "frame too short",
            Rejection::TooLong => "frame too long",
            Rejection::Version => "frame of another version; run the same version on both boxes",
            Rejection::WrongCluster => "frame of another cluster",
            Rejection::BadMac => {
                "authentication failed; give both boxes the same config, hence the same key"
            }
            Rejection::Malformed => "frame can't be read",
            Rejection::OwnEcho => "own frame came back",
            Rejection::SameNumber => {
                "frame with this box's own number; see that each medium names its own node"
            }
            Rejection::UnknownSender => "frame of an unknown node number",
            Rejection::WrongLink => "frame of another link; see that cables match the config",
            Rejection::Replayed => "frame not newer than one heard before",
            Rejection::Unproven => {
                "the peer is heard and does not hear us; see that frames reach it on this link"
            }
        })
    }
}

/// Writes and reads the frames of one cluster.
#[derive(Clone)]
pub struct Codec {
    cluster: ClusterTag,
    /// Keyed once; a copy is cheaper than hashing the key for each frame.
    keyed: Hmac<Sha256>,
}

impl Codec {
    /// For the cluster of that tag and key.
    #[must_use]
    pub fn new(cluster: ClusterTag, key: &[u8; 32]) -> Self {
        // A key of a block's length or less is taken as it is, padded with zeros (RFC 2104, section 2).
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        for (to, from) in block.iter_mut().zip(key) {
            *to = *from;
        }
        Self {
            cluster,
            keyed: <Hmac<Sha256> as hmac::digest::KeyInit>::new(&block),
        }
    }

    /// The frame that says `beat`. `None` can't be: the bound holds for all values (tested).
    #[must_use]
    pub fn encode(&self, beat: &Beat) -> Option<FrameBytes> {
        let mut body = [0; FRAME_BYTES_MAX];
        let body = postcard::to_slice(beat, &mut body).ok()?;
        let [high, low] = self.cluster.0;
        let mut frame = FrameBytes::new();
        frame.extend_from_slice(&[VERSION, high, low]).ok()?;
        frame.extend_from_slice(body).ok()?;
        let mac = self.keyed.clone().chain_update(&frame).finalize();
        let mac = mac.into_bytes();
        frame.extend_from_slice(mac.get(..MAC_BYTES)?).ok()?;
        Some(frame)
    }

    /// What a frame says.
    ///
    /// # Errors
    /// Why it is not one of this cluster's.
    pub fn decode(&self, frame: &[u8]) -> Result<Beat, Rejection> {
        if frame.len() > FRAME_BYTES_MAX {
            return Err(Rejection::TooLong);
        }
        let (signed, mac) = frame
            .split_last_chunk::<MAC_BYTES>()
            .ok_or(Rejection::Truncated)?;
        let ([version, tag @ ..], body) = signed
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(Rejection::Truncated)?;
        if *version != VERSION {
            return Err(Rejection::Version);
        }
        if *tag != self.cluster.0 {
            return Err(Rejection::WrongCluster);
        }
        self.keyed
            .clone()
            .chain_update(signed)
            .verify_truncated_left(mac)
            .or_else(|wrong| is_broken(Sabotage::NoMac).then_some(()).ok_or(wrong))
            .map_err(|_| Rejection::BadMac)?;
        match postcard::take_from_bytes(body) {
            Ok((beat, [])) => Ok(beat),
            _ => Err(Rejection::Malformed),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
