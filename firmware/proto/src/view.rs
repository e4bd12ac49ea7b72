//! The pair as seen from one box, turned into events of the failover machine. Every judgement about
//! who should hold the addresses is made here, from what both boxes last said; none of it is kept, so
//! it is made anew whenever something changed and nothing is missed by having been said once.

use crate::failover::{Event, Preference, State, Vacancy};
use crate::sabotage::{Sabotage, is_broken};
use crate::settings::FailBack;
use crate::wire::Standing;
use core::cmp::Reverse;

/// A box of the pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its number: the lower one wins ties.
    pub number: u8,
    /// How it stands.
    pub standing: Standing,
}

/// The pair as seen from one box.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// This box.
    pub own: Member,
    /// The other one, while some link to it is up.
    pub peer: Option<Member>,
    /// The other one has been heard at some time since the start.
    pub peer_was_heard: bool,
    /// The other one held the addresses, and was started anew before this box took them.
    pub abandoned: bool,
}

impl View {
    /// What there is to do about the addresses. `Vacant` and `Offered` only while this box is ready:
    /// no address before its state.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        match self.own.standing.state {
            State::Listening | State::Standby | State::Held | State::Asking => self.as_idle(),
            State::Taking | State::Active | State::Offering(_) => self.as_holder(),
            State::Releasing(_) | State::Resigned => None,
        }
    }

    /// As a box that holds nothing.
    fn as_idle(&self) -> Option<Event> {
        let ready = self.own.standing.ready || is_broken(Sabotage::TakeUnready);
        let Some(peer) = &self.peer else {
            let why = if self.peer_was_heard {
                Vacancy::PeerDead
            } else {
                Vacancy::NobodyHeard
            };
            return ready.then_some(Event::Vacant(why));
        };
        let vacancy = match peer.standing.state {
            State::Offering(_) if ready => return Some(Event::Offered),
            State::Offering(_) | State::Active => return Some(Event::Outranked),
            // On its way to hold the addresses, or not yet rid of them.
            State::Taking | State::Releasing(_) => None,
            State::Resigned => Some(Vacancy::PeerResigned),
            State::Listening | State::Standby | State::Held | State::Asking => {
                if self.abandoned {
                    Some(Vacancy::PeerRestarted)
                } else {
                    (claim(&self.own) > claim(peer)).then_some(Vacancy::Preferred)
                }
            }
        };
        vacancy.filter(|_| ready).map(Event::Vacant)
    }

    /// As a box that holds the addresses or is about to.
    fn as_holder(&self) -> Option<Event> {
        let state = self.own.standing.state;
        let unable = matches!(state, State::Offering(_)).then_some(Event::PeerUnable);
        let Some(peer) = &self.peer else {
            return unable;
        };
        // Two boxes never take the same term (`term`), so one of two holders gives way.
        let higher = peer.standing.term > self.own.standing.term;
        let outranked = higher && !is_broken(Sabotage::NoTermCheck);
        match peer.standing.state {
            State::Active | State::Offering(_) if outranked => Some(Event::Outranked),
            // Until the other one holds them, only who does not hold them either gives way.
            State::Taking if outranked && state == State::Taking => Some(Event::Outranked),
            State::Taking if is_broken(Sabotage::LetGoEarly) => Some(Event::Outranked),
            State::Active | State::Offering(_) | State::Taking => None,
            State::Asking if state == State::Active && peer.standing.ready => {
                (!loses_all(&self.own.standing, &peer.standing)).then_some(Event::Asked)
            }
            _ if !can_take(&peer.standing) => unable,
            _ => None,
        }
    }

    /// Why the peer would serve better than this box, which is active.
    #[must_use]
    pub fn preference(&self, fail_back: FailBack) -> Option<Preference> {
        let merit = self.merit(fail_back);
        merit.filter(|why| !self.would_break(*why) || is_broken(Sabotage::FailBackUnsynced))
    }

    /// Whether the addresses would fail back to the peer if it held the connections that go through this box.
    #[must_use]
    pub fn fail_back_waits(&self, fail_back: FailBack) -> bool {
        let merit = self.merit(fail_back);
        merit.is_some_and(|why| self.would_break(why))
    }

    /// For comfort no connection is broken; carriers are a need.
    fn would_break(&self, why: Preference) -> bool {
        let holds_all = self.peer.as_ref().is_some_and(|peer| peer.standing.in_sync);
        why == Preference::Priority && !holds_all
    }

    /// What speaks for the peer, connections aside.
    fn merit(&self, fail_back: FailBack) -> Option<Preference> {
        let own = &self.own.standing;
        let peer = &self.peer.as_ref()?.standing;
        let may_be_offered = match peer.state {
            State::Standby => true,
            // The operator's word stands until there is need.
            State::Held => own.fitness == 0 || is_broken(Sabotage::ForgetStandby),
            _ => false,
        };
        if own.state != State::Active || !may_be_offered || !peer.ready {
            return None;
        }
        if peer.fitness > own.fitness && !is_broken(Sabotage::IgnoreCarriers) {
            return Some(Preference::Fitness);
        }
        let fails_back = fail_back == FailBack::Auto || is_broken(Sabotage::FailBackAlways);
        let returns = fails_back && peer.priority > own.priority;
        (returns && peer.fitness == own.fitness).then_some(Preference::Priority)
    }
}

/// The box would take addresses that it is offered.
#[must_use]
pub fn can_take(standing: &Standing) -> bool {
    standing.ready
        && matches!(
            standing.state,
            State::Listening | State::Standby | State::Held | State::Asking
        )
}

/// To hand over from the one to the other would leave the addresses without any carrier.
#[must_use]
pub fn loses_all(from: &Standing, to: &Standing) -> bool {
    to.fitness == 0 && from.fitness > 0
}

/// When no box holds the addresses, the higher one takes them.
fn claim(member: &Member) -> (bool, bool, u8, u8, u8, Reverse<u8>) {
    let standing = &member.standing;
    let operator = match standing.state {
        State::Asking => 2,
        State::Held => 0,
        _ => 1,
    };
    (
        standing.ready,
        standing.fitness > 0,
        operator,
        standing.fitness,
        standing.priority,
        Reverse(member.number),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
