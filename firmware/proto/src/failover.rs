//! Who holds the virtual addresses: the failover state machine of one box of a pair. It is one total
//! `match` on what this box is and what happened; it knows no time, no link and no term, so its whole
//! table is tested below. `view` turns the pair as seen from here into its events, `node` gives it time.
//!
//! ```text
//!  start ─► Listening ── vacant, offered ──► Taking ── taken ──► Active ◄─────────────────┐
//!               │                           ▲   │               │  │ told, asked, or     │ peer unable,
//!    outranked, │     ┌── vacant, offered ──┘   │               │  ▼ the peer is better  │ or timed out
//!    heard out  │     │                         │               │  Offering(goal) ───────┘
//!               ▼     │           outranked,    │               │  │
//!      Releasing(goal)◄── stalled, timed out ───┴───────────────┴──┘ when resigning, also
//!               │     │                                              peer unable or timed out
//!      released ├─► Standby ◄─── timed out ───┐
//!               │     ├─────── takeover ──► Asking
//!               ├─► Held ◄──── standby ───────┘
//!               └─► Resigned, until it is started again
//!
//!  Standby, Held and Asking alike: vacant, offered ──► Taking; resign ──► Resigned.
//! ```
//!
//! A planned handover, from the active box's side: Offering (it still holds and answers) until the
//! peer has taken, announced and says Active in a higher term; only then Releasing. From the other
//! side: Taking on sight of the offer. Nothing is negotiated in messages of their own: every beat
//! carries its sender's state, so a lost frame costs one beat and never a handover.

use core::fmt;
use serde::{Deserialize, Serialize};

/// What a box is to its pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    /// Just started: hears out its links before it judges. What an earlier run left in the kernel
    /// still stands.
    Listening,
    /// Holds no virtual address; takes them when they are vacant or offered.
    Standby,
    /// As Standby, by the operator's word: not offered the addresses for comfort, only for need.
    Held,
    /// Was told to take over and waits for the active peer to offer.
    Asking,
    /// Addresses are being set in the kernel.
    Taking,
    /// Holds the virtual addresses.
    Active,
    /// Holds them until the peer does.
    Offering(Goal),
    /// Addresses are being removed from the kernel.
    Releasing(Goal),
    /// Is leaving: takes nothing any more until it is started again.
    Resigned,
}

/// What a box that lets go of the addresses becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Goal {
    /// `State::Standby`.
    Standby,
    /// `State::Held`.
    Held,
    /// `State::Resigned`.
    Resigned,
}

/// What can happen to a box. The first nine describe the pair as seen from here (`view`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Nobody holds the addresses, and this box is ready and the one to take them.
    Vacant(Vacancy),
    /// The peer offers the addresses, and this box is ready.
    Offered,
    /// The peer holds the addresses and outranks this box.
    Outranked,
    /// The peer asks to be offered the addresses, and it is ready.
    Asked,
    /// The peer would serve better, and has for long enough.
    PeerBetter(Preference),
    /// The peer can't take what is offered: dead, resigned or not ready.
    PeerUnable,
    /// The peer holds the addresses, too, and this box outranks it.
    Contested,
    /// The peer may have answered for the addresses and does no longer.
    PeerLetGo,
    /// The peer was started anew: it knows nothing of what was under way.
    PeerRestarted,
    /// This box's own loop stood still for longer than the dead time.
    Stalled,
    /// The driver has set all addresses and announced them.
    Taken,
    /// The driver has removed all addresses.
    Released,
    /// The state's time is up (`node::patience`).
    Deadline,
    /// The operator, or PID 1 before a reboot.
    Told(Command),
}

/// Why the addresses are vacant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Vacancy {
    /// Nobody has been heard since the start.
    NobodyHeard,
    /// The peer has fallen silent on all links.
    PeerDead,
    /// The peer that held them has been started anew.
    PeerRestarted,
    /// The peer has resigned.
    PeerResigned,
    /// Neither box holds them, and this one comes first.
    Preferred,
}

/// Why the peer would serve better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Preference {
    /// It has more carriers under the virtual addresses.
    Fitness,
    /// It has the higher priority, and fail-back is automatic.
    Priority,
}

/// What a box can be told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Command {
    /// Hand over to the peer and stay standby until the operator's takeover, the peer's death or a
    /// restart.
    Standby,
    /// Become active by planned handover.
    Takeover,
    /// Leave the pair before a reboot or power-off: hand over if somebody is there to take it. Done
    /// when the role is `Role::Resigned`.
    Resign,
}

/// Why a box changed its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// It takes what nobody holds.
    Vacant(Vacancy),
    /// It takes what the peer hands over.
    Offered,
    /// The peer is active in a higher term.
    Outranked,
    /// The peer asked for the addresses, by its operator's word.
    Asked,
    /// The peer serves better.
    PeerBetter(Preference),
    /// The peer is gone or not ready, so nobody can take over.
    PeerUnable,
    /// The peer was started anew in the midst of the handover.
    PeerRestarted,
    /// Its own loop stood still for longer than the dead time.
    Stalled,
    /// The kernel holds all virtual addresses.
    Taken,
    /// The kernel holds no virtual address.
    Released,
    /// It has listened long enough and others come first, or it is not ready.
    HeardOut,
    /// The driver did not report the addresses as taken in time.
    TakeTimedOut,
    /// The planned handover did not come about in time.
    HandoverTimedOut,
    /// It was told to.
    Told(Command),
}

/// What an event does to a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Stay,
    /// Announce the addresses again: somebody else may have answered for them.
    Announce,
    /// Give the driver the order of this state once more.
    Again,
    /// Change the state.
    Go(State, Reason),
}

/// The failover state machine: total, without guards and without memory.
#[must_use]
pub fn step(state: State, event: Event) -> Step {
    use Event::{
        Asked, Contested, Deadline, Offered, Outranked, PeerBetter, PeerLetGo, PeerRestarted,
        PeerUnable, Released, Stalled, Taken, Told, Vacant,
    };
    use State::{Active, Asking, Held, Listening, Offering, Releasing, Resigned, Standby, Taking};
    use Step::{Again, Announce, Go, Stay};

    match (state, event) {
        // Hears out its links; whatever it becomes, the leftovers of an earlier run are settled.
        (Listening, Vacant(why)) => Go(Taking, Reason::Vacant(why)),
        (Listening, Offered) => Go(Taking, Reason::Offered),
        (Listening, Outranked) => Go(Releasing(Goal::Standby), Reason::Outranked),
        (Listening, Deadline) => Go(Releasing(Goal::Standby), Reason::HeardOut),
        (Listening, Told(Command::Standby)) => {
            Go(Releasing(Goal::Held), Reason::Told(Command::Standby))
        }
        (Listening, Told(Command::Resign)) => {
            Go(Releasing(Goal::Resigned), Reason::Told(Command::Resign))
        }
        (
            Listening,
            Asked
            | PeerBetter(_)
            | PeerUnable
            | Contested
            | PeerLetGo
            | PeerRestarted
            | Stalled
            | Taken
            | Released
            | Told(Command::Takeover),
        ) => Stay,

        // Holds nothing, and takes what is vacant or offered.
        (Standby | Held | Asking, Vacant(why)) => Go(Taking, Reason::Vacant(why)),
        (Standby | Held | Asking, Offered) => Go(Taking, Reason::Offered),
        (Asking, Deadline) => Go(Standby, Reason::HandoverTimedOut),
        (Standby | Asking, Told(Command::Standby)) => Go(Held, Reason::Told(Command::Standby)),
        (Standby | Held, Told(Command::Takeover)) => Go(Asking, Reason::Told(Command::Takeover)),
        (Standby | Held | Asking, Told(Command::Resign)) => {
            Go(Resigned, Reason::Told(Command::Resign))
        }
        (Standby | Held, Deadline)
        | (Held, Told(Command::Standby))
        | (Asking, Told(Command::Takeover))
        | (
            Standby | Held | Asking,
            Outranked | Asked | PeerBetter(_) | PeerUnable | Contested | PeerLetGo | PeerRestarted
            | Stalled | Taken | Released,
        ) => Stay,

        // Sets addresses: somebody who outranks it wins, so does a driver that can't.
        (Taking, Taken) => Go(Active, Reason::Taken),
        (Taking, Outranked) => Go(Releasing(Goal::Standby), Reason::Outranked),
        (Taking, Stalled) => Go(Releasing(Goal::Standby), Reason::Stalled),
        (Taking, Deadline) => Go(Releasing(Goal::Standby), Reason::TakeTimedOut),
        (Taking, Told(Command::Resign)) => {
            Go(Releasing(Goal::Resigned), Reason::Told(Command::Resign))
        }
        (
            Taking,
            Vacant(_)
            | Offered
            | Asked
            | PeerBetter(_)
            | PeerUnable
            | Contested
            | PeerLetGo
            | PeerRestarted
            | Released
            | Told(Command::Standby | Command::Takeover),
        ) => Stay,

        // Holds the addresses; gives them up to a higher rank, or in a planned handover.
        (Active, Outranked) => Go(Releasing(Goal::Standby), Reason::Outranked),
        (Active, Stalled) => Go(Releasing(Goal::Standby), Reason::Stalled),
        (Active, Asked) => Go(Offering(Goal::Standby), Reason::Asked),
        (Active, PeerBetter(why)) => Go(Offering(Goal::Standby), Reason::PeerBetter(why)),
        (Active, Told(Command::Standby)) => {
            Go(Offering(Goal::Held), Reason::Told(Command::Standby))
        }
        (Active, Told(Command::Resign)) => {
            Go(Offering(Goal::Resigned), Reason::Told(Command::Resign))
        }
        (Active, Contested | PeerLetGo) => Announce,
        (
            Active,
            Vacant(_)
            | Offered
            | PeerUnable
            | PeerRestarted
            | Taken
            | Released
            | Deadline
            | Told(Command::Takeover),
        ) => Stay,

        // Still holds the addresses; the offer is taken up, or called off. Only who leaves goes on to offer them
        // to a new start of the peer, which may have taken them before and can be told sooner to let go.
        (Offering(goal), Outranked) => Go(Releasing(goal), Reason::Outranked),
        (Offering(goal), Stalled) => Go(Releasing(goal), Reason::Stalled),
        (Offering(Goal::Resigned), PeerUnable) => Go(Releasing(Goal::Resigned), Reason::PeerUnable),
        (Offering(Goal::Resigned), Deadline) => {
            Go(Releasing(Goal::Resigned), Reason::HandoverTimedOut)
        }
        (Offering(Goal::Standby | Goal::Held), PeerUnable) => Go(Active, Reason::PeerUnable),
        (Offering(Goal::Standby | Goal::Held), PeerRestarted) => Go(Active, Reason::PeerRestarted),
        (Offering(Goal::Standby | Goal::Held), Deadline) => Go(Active, Reason::HandoverTimedOut),
        (Offering(Goal::Standby | Goal::Held), Told(Command::Resign)) => {
            Go(Offering(Goal::Resigned), Reason::Told(Command::Resign))
        }
        (Offering(_), Contested | PeerLetGo) => Announce,
        (Offering(Goal::Resigned), PeerRestarted | Told(Command::Resign))
        | (
            Offering(_),
            Vacant(_)
            | Offered
            | Asked
            | PeerBetter(_)
            | Taken
            | Released
            | Told(Command::Standby | Command::Takeover),
        ) => Stay,

        // Removes addresses; nothing else happens before that is done.
        (Releasing(Goal::Standby), Released) => Go(Standby, Reason::Released),
        (Releasing(Goal::Held), Released) => Go(Held, Reason::Released),
        (Releasing(Goal::Resigned), Released) => Go(Resigned, Reason::Released),
        (Releasing(_), Deadline) => Again,
        (Releasing(Goal::Standby | Goal::Held), Told(Command::Resign)) => {
            Go(Releasing(Goal::Resigned), Reason::Told(Command::Resign))
        }
        (Releasing(Goal::Resigned), Told(Command::Resign))
        | (
            Releasing(_),
            Vacant(_)
            | Offered
            | Outranked
            | Asked
            | PeerBetter(_)
            | PeerUnable
            | Contested
            | PeerLetGo
            | PeerRestarted
            | Stalled
            | Taken
            | Told(Command::Standby | Command::Takeover),
        ) => Stay,

        // Is about to reboot or power off.
        (
            Resigned,
            Vacant(_) | Offered | Outranked | Asked | PeerBetter(_) | PeerUnable | Contested
            | PeerLetGo | PeerRestarted | Stalled | Taken | Released | Deadline | Told(_),
        ) => Stay,
    }
}

/// What the operator cares about: which of the boxes it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Holds no virtual address, or not all of them yet.
    Standby,
    /// Holds the virtual addresses, or some of them still.
    Active,
    /// Has left the pair.
    Resigned,
}

impl State {
    /// Which of the boxes it is.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            State::Listening | State::Standby | State::Held | State::Asking | State::Taking => {
                Role::Standby
            }
            State::Active | State::Offering(_) | State::Releasing(_) => Role::Active,
            State::Resigned => Role::Resigned,
        }
    }

    /// All virtual addresses are set in its kernel and are to stay there.
    #[must_use]
    pub fn holds(self) -> bool {
        matches!(self, State::Active | State::Offering(_))
    }

    /// The addresses are its business: it holds them, or is about to, or not yet rid of them.
    #[must_use]
    pub fn is_in_office(self) -> bool {
        match self {
            State::Taking | State::Active | State::Offering(_) | State::Releasing(_) => true,
            State::Listening | State::Standby | State::Held | State::Asking | State::Resigned => {
                false
            }
        }
    }

    /// Its kernel may answer for some virtual address, if only by what an earlier run left there.
    #[must_use]
    pub fn may_answer(self) -> bool {
        self.is_in_office() || self == State::Listening
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Standby => "standby",
            Role::Active => "active",
            Role::Resigned => "resigned",
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Listening => "listening",
            State::Standby => "standby",
            State::Held => "held standby",
            State::Asking => "asking for handover",
            State::Taking => "taking over",
            State::Active => "active",
            State::Offering(_) => "handing over",
            State::Releasing(_) => "releasing",
            State::Resigned => "resigned",
        })
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Command::Standby => "standby",
            Command::Takeover => "takeover",
            Command::Resign => "resign",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Vacant(Vacancy::NobodyHeard) => "nobody else was heard",
            Reason::Vacant(Vacancy::PeerDead) => "the peer fell silent on all links",
            Reason::Vacant(Vacancy::PeerRestarted) => "the active peer was restarted",
            Reason::Vacant(Vacancy::PeerResigned) => "the peer resigned",
            Reason::Vacant(Vacancy::Preferred) => "neither box is active and this one comes first",
            Reason::Offered => "the peer hands over",
            Reason::Outranked => "the peer is active and outranks this box",
            Reason::Asked => "the peer was told to take over",
            Reason::PeerBetter(Preference::Fitness) => "the peer has more carriers",
            Reason::PeerBetter(Preference::Priority) => "the peer of higher priority is back",
            Reason::PeerUnable => "the peer is gone or not ready",
            Reason::PeerRestarted => "the peer was restarted meanwhile",
            Reason::Stalled => "this box stood still for longer than the dead time",
            Reason::Taken => "all virtual addresses are set",
            Reason::Released => "no virtual address is left",
            Reason::HeardOut => "listened long enough",
            Reason::TakeTimedOut => "the virtual addresses could not be set in time",
            Reason::HandoverTimedOut => "the planned handover took too long",
            Reason::Told(Command::Standby) => "the operator said standby",
            Reason::Told(Command::Takeover) => "the operator said takeover",
            Reason::Told(Command::Resign) => "the box is going down",
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
