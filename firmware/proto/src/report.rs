//! What a node says about itself: reports when something happened, and a status on demand. Plain
//! values with words for people; nothing here decides anything.

use crate::failover::{Reason, Role, State};
use crate::settings::LINKS_MAX;
use crate::wire::Rejection;
use core::fmt;
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Transitions kept for the status.
pub const TRANSITIONS_MAX: usize = 5;

/// Something an operator may want to know, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// This box changed its state.
    Transition(Transition),
    /// A link came up or went down.
    Link {
        /// Position in `Settings::links`.
        link: u8,
        /// Our frames are echoed fresh on it.
        up: bool,
    },
    /// The peer is heard (again), or is silent on all links.
    Peer {
        /// It is heard on some link.
        alive: bool,
    },
    /// The peer is a new start of the peer known before.
    PeerRestarted,
    /// A link throws frames away for this reason: said at the first, then at every doubling.
    Rejected {
        /// Position in `Settings::links`.
        link: u8,
        /// Why.
        rejection: Rejection,
        /// How many so far.
        total: u64,
    },
    /// The boxes run different configs, or the same again.
    Drift {
        /// They differ.
        differs: bool,
        /// Generation of the peer's config.
        peer_generation: u64,
    },
    /// The loop stood still for longer than the dead time.
    Stalled {
        /// For so long.
        gap_ms: u64,
    },
    /// Both boxes hold the addresses. This one outranks the other and announces them again; said once in
    /// `node::CONTEST_REPEAT` until the other has let go.
    Contested {
        /// The other one's term.
        peer_term: u64,
    },
    /// Another dead time is in force.
    DeadTime {
        /// Before, in milliseconds.
        from_ms: u64,
        /// From now on, in milliseconds.
        to_ms: u64,
        /// Why.
        cause: DeadTimeCause,
    },
}

/// Why the dead time changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadTimeCause {
    /// This box wakes up late.
    OwnDelay {
        /// By so much at worst, in milliseconds.
        late_ms: u64,
    },
    /// The peer's beats come late, on all links that are up; least so on this one.
    Jitter {
        /// Position in `Settings::links`.
        link: u8,
        /// By so much at worst, in milliseconds.
        late_ms: u64,
    },
    /// The peer asks for it.
    Peer,
    /// Delays have become less, for a while.
    Calm,
}

impl Report {
    /// It deserves a warning; all else is for information.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        match self {
            Report::Transition(_) | Report::PeerRestarted => false,
            Report::Link { up, .. } => !up,
            Report::Peer { alive } => !alive,
            Report::Drift { differs, .. } => *differs,
            Report::DeadTime { from_ms, to_ms, .. } => to_ms > from_ms,
            Report::Rejected { .. } | Report::Stalled { .. } | Report::Contested { .. } => true,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::Transition(it) => it.fmt(f),
            Report::Link { link, up: true } => write!(f, "link {link} is up"),
            Report::Link { link, up: false } => write!(f, "link {link} is down"),
            Report::Peer { alive: true } => f.write_str("the peer is alive"),
            Report::Peer { alive: false } => f.write_str("the peer is silent on all links"),
            Report::PeerRestarted => f.write_str("the peer was restarted"),
            Report::Rejected {
                link,
                rejection,
                total,
            } => write!(f, "link {link}: {rejection} ({total} so far)"),
            Report::Drift {
                differs: true,
                peer_generation,
            } => write!(
                f,
                "the peer runs another config (generation {peer_generation}); bring both boxes to the same one"
            ),
            Report::Drift { differs: false, .. } => f.write_str("both boxes run the same config"),
            Report::Stalled { gap_ms } => {
                write!(
                    f,
                    "this box stood still for {gap_ms} ms, longer than the dead time"
                )
            }
            Report::Contested { peer_term } => write!(
                f,
                "the peer holds the virtual addresses, too (term {peer_term}); this box outranks it and announces them again"
            ),
            Report::DeadTime {
                from_ms,
                to_ms,
                cause,
            } => write!(f, "dead time {from_ms} -> {to_ms} ms: {cause}"),
        }
    }
}

impl fmt::Display for DeadTimeCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeadTimeCause::OwnDelay { late_ms } => {
                write!(f, "this box wakes up late, by {late_ms} ms at worst")
            }
            DeadTimeCause::Jitter { link, late_ms } => {
                write!(
                    f,
                    "beats come late, by {late_ms} ms at worst on link {link}"
                )
            }
            DeadTimeCause::Peer => f.write_str("the peer asks for it"),
            DeadTimeCause::Calm => f.write_str("it has been calm"),
        }
    }
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// Before.
    pub from: State,
    /// After.
    pub to: State,
    /// Term after.
    pub term: u64,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Transition {
            from,
            to,
            term,
            reason,
        } = self;
        write!(f, "{from} -> {to} (term {term}): {reason}")
    }
}

/// All a node knows; spans are before the time it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its number.
    pub number: u8,
    /// Which of the boxes it is.
    pub role: Role,
    /// Its state in full.
    pub state: State,
    /// Milliseconds in this state.
    pub since_ms: u64,
    /// Term in which it holds or last held the addresses, 0 before the first.
    pub term: u64,
    /// Highest term heard of or taken.
    pub newest_term: u64,
    /// Number of the node that took the highest term, `None` before the first (`term::taker`).
    pub newest_term_by: Option<u8>,
    /// The dataplane has applied its plan, so this box may take over.
    pub ready: bool,
    /// Its kernel holds the connections that go through the peer.
    pub in_sync: bool,
    /// Carriers under the virtual addresses.
    pub fitness: u8,
    /// Dead time in force, in milliseconds: the larger of what both boxes ask for.
    pub dead_ms: u64,
    /// Dead time as configured, in milliseconds.
    pub dead_configured_ms: u64,
    /// Milliseconds of silence on all links after which the peer counts as dead: the dead time in force,
    /// or the patience of the slowest serial line that is up, where that is longer.
    pub silence_max_ms: u64,
    /// Microseconds that this box woke up late by, at worst, in the last 10 to 20 s.
    pub delay_us: u64,
    /// The other box, `None` while never heard.
    pub peer: Option<PeerStatus>,
    /// In the order of `Settings::links`.
    pub links: Vec<LinkStatus, LINKS_MAX>,
    /// The last ones, newest first.
    pub transitions: Vec<PastTransition, TRANSITIONS_MAX>,
    /// Reports thrown away because the driver did not fetch them.
    pub reports_dropped: u64,
}

/// The other box, as its last fresh beat said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its number.
    pub number: u8,
    /// Random number of its start.
    pub incarnation: u64,
    /// Heard on some link.
    pub alive: bool,
    /// Which of the boxes it is.
    pub role: Role,
    /// Its state in full.
    pub state: State,
    /// Its term.
    pub term: u64,
    /// Its priority.
    pub priority: u8,
    /// Its carriers under the virtual addresses.
    pub fitness: u8,
    /// It may take over.
    pub ready: bool,
    /// Its kernel holds the connections that go through this box.
    pub in_sync: bool,
    /// The addresses will fail back to it once it is in sync.
    pub fail_back_waits: bool,
    /// Dead time that it asks for, in milliseconds.
    pub dead_ms: u64,
    /// Generation of its config.
    pub generation: u64,
    /// Digest of its config.
    pub digest: u64,
    /// It runs the same config as this box.
    pub same_config: bool,
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Our frames are echoed fresh.
    pub up: bool,
    /// Milliseconds since the last fresh frame, `None` before the first.
    pub silent_ms: Option<u64>,
    /// Milliseconds from beat to beat.
    pub beat_ms: u64,
    /// Milliseconds of silence after which it is down.
    pub dead_ms: u64,
    /// Microseconds that the peer's beats came late by, at worst, in the last 10 to 20 s.
    pub jitter_us: u64,
    /// Frames missing among the last 64, in thousandths.
    pub loss_permille: u16,
    /// Frames sent.
    pub sent: u64,
    /// Good frames received, fresh or not.
    pub received: u64,
    /// Frames missing by their sequence numbers.
    pub lost: u64,
    /// First frames of a start of the peer that did not hear us yet: ordinary, and not believed.
    pub greetings: u64,
    /// Frames sent that ask for an answer at once, because no link brought anything.
    pub probes: u64,
    /// Frames thrown away, by reason; zeros left out.
    pub rejected: Vec<(Rejection, u64), { Rejection::COUNT }>,
}

/// A change of state in the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastTransition {
    /// Milliseconds ago.
    pub ago_ms: u64,
    /// What changed, and why.
    pub transition: Transition,
}
