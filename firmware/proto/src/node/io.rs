//! What goes into a node and what comes out of it, besides frames: the words that it and its driver
//! share.

use crate::report::Report;
use crate::settings::ConfigVersion;
use crate::wire::FrameBytes;
use core::fmt;

/// Position of a link in `Settings::links`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkIndex(pub u8);

/// What the driver tells the node about its box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// How much this box can serve, in a unit that both boxes share: carriers under virtual addresses, less what
    /// its kernel refuses. The box with the larger number can serve more, so it is handed the addresses; one
    /// that says 0 reaches nobody, and is handed none while the other one reaches somebody.
    Fitness(u8),
    /// The dataplane has applied its plan. To be repeated now and then: after addresses that could not
    /// be set in time the node takes the box for not ready until it is told again.
    Ready(bool),
    /// The kernel holds the connections that go through the peer; a pair that mirrors none says so at once. While
    /// it does not, a planned handover to this box waits. The peer's death never does.
    InSync(bool),
    /// This box runs another config from now on, which says the same of all that `Settings` holds.
    Config(ConfigVersion),
    /// The order `Action::TakeAddresses` of that term is done.
    AddressesTaken {
        /// As in the order.
        term: u64,
    },
    /// The order `Action::ReleaseAddresses` of that term is done.
    AddressesReleased {
        /// As in the order.
        term: u64,
    },
}

/// What the driver is to do. The first three are orders; the newest order replaces one not yet
/// fetched, since it alone says what the kernel should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Set all virtual addresses, announce each (gratuitous ARP, unsolicited NA), then answer
    /// `Input::AddressesTaken`. Addresses that are there already are announced all the same.
    TakeAddresses {
        /// To be repeated in the answer.
        term: u64,
    },
    /// Remove all virtual addresses, also such as an earlier run left, then answer
    /// `Input::AddressesReleased`.
    ReleaseAddresses {
        /// To be repeated in the answer.
        term: u64,
    },
    /// Announce all virtual addresses again: the other box may have answered for them.
    Announce,
    /// Say it in the log.
    Report(Report),
}

/// Why a command is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The box has just started.
    Listening,
    /// It is active already.
    AlreadyActive,
    /// It is not ready to take over.
    NotReady,
    /// It does not hold all connections that go through the peer; `Node::force_command` takes over all the same.
    NotInSync,
    /// It has no carrier under its virtual addresses, and the peer has some.
    NoCarrier,
    /// Nobody could take over.
    NoPeer,
    /// The peer can't take over.
    PeerUnable,
    /// The peer does not hold all connections that go through this box; `Node::force_command` hands over all the
    /// same.
    PeerNotInSync,
    /// The peer has no carrier under its virtual addresses, and this box has some.
    PeerNoCarrier,
    /// A change of roles is under way.
    Busy,
    /// It has resigned.
    Resigned,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Listening => "the box has just started; try again in a few seconds",
            Refusal::AlreadyActive => "this box is active already",
            Refusal::NotReady => {
                "this box is not ready: its dataplane has not applied the config; see `log`"
            }
            Refusal::NotInSync => {
                "this box does not hold the peer's connections yet, so some would break; see `status`, and say `takeover force` to have it so"
            }
            Refusal::NoCarrier => {
                "no interface under the virtual addresses has carrier here, and the peer has some: nobody could reach them; see to the cables"
            }
            Refusal::NoPeer => {
                "the peer is not heard on any link, so nobody could take over; see `status`"
            }
            Refusal::PeerUnable => "the peer is not ready to take over; see `status` there",
            Refusal::PeerNotInSync => {
                "the peer does not hold this box's connections yet, so some would break; see `status`, and say `standby force` to have it so"
            }
            Refusal::PeerNoCarrier => {
                "no interface under the virtual addresses has carrier on the peer, and this box has some: nobody could reach them; see to its cables"
            }
            Refusal::Busy => "a change of roles is under way; see `status` and try again",
            Refusal::Resigned => "this box is going down",
        })
    }
}

impl Refusal {
    /// It passes by itself once the boxes are in sync; nothing but connections is at stake.
    #[must_use]
    pub fn is_for_sync(self) -> bool {
        matches!(self, Refusal::NotInSync | Refusal::PeerNotInSync)
    }
}

/// A frame to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where.
    pub link: LinkIndex,
    /// As one datagram, or through `serial`.
    pub frame: FrameBytes,
}
