//! Who owns what. A flow's rank is the term and role of the box whose kernel told it; the higher rank is believed.
//! Of the two boxes the active one of the higher rank owns the table: what it lists is what both should hold.

use super::Engine;
use super::index::{Entry, MINE};
use crate::sabotage::{Sabotage, is_broken};
use crate::time::Instant;

/// Twice the term, and one more for the active box: an active box outranks the others of its term, and all of
/// earlier ones. Terms count takeovers, so those beyond 2^31 are all alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(pub(super) u32);

impl Rank {
    fn new(is_active: bool, term: u64) -> Self {
        let twice = term.saturating_mul(2).min(u64::from(u32::MAX - 1));
        Self(u32::try_from(twice).unwrap_or(u32::MAX - 1) & !1 | u32::from(is_active))
    }

    pub(super) fn is_active(self) -> bool {
        self.0 & 1 == 1
    }

    /// A box of this rank says what the flow's state is.
    pub(super) fn owns(self, entry: &Entry) -> bool {
        let stems_from_earlier_term = entry.rank.saturating_add(1) < self.0;
        entry.is(MINE) || self.is_active() && stems_from_earlier_term
    }
}

/// Whose list counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Authority {
    Nobody,
    Own,
    Peer,
}

impl Engine {
    /// Whether this box is active, and the newest term that it knows of. Tell each change at once: a takeover before
    /// the addresses are taken.
    pub fn set_role(&mut self, now: Instant, is_active: bool, term: u64) {
        let rank = Rank::new(is_active, term);
        if rank == self.rank {
            return;
        }
        let before = self.authority();
        let was_asked = core::mem::take(&mut self.flush.asked_as_heir);
        self.is_heir = is_active && (self.is_heir || was_asked);
        self.rank = rank;
        self.begin_past();
        self.follow_authority(now, before);
        self.pace.speak_by(now);
    }

    /// Whether this box is active, and no active one of a higher term is known: what its kernel holds is what both should.
    #[must_use]
    pub fn owns_table(&self) -> bool {
        self.authority() == Authority::Own
    }

    pub(super) fn authority(&self) -> Authority {
        let peer = self.peer.as_ref().map(|peer| Rank(peer.says.rank));
        let peer = peer.filter(|rank| rank.is_active());
        match (self.rank.is_active(), peer) {
            (true, Some(peer)) if peer > self.rank => Authority::Peer,
            (true, _) => Authority::Own,
            (false, Some(_)) => Authority::Peer,
            (false, None) => Authority::Nobody,
        }
    }

    /// Agreement is earned anew when it is another box's table that counts.
    pub(super) fn follow_authority(&mut self, now: Instant, before: Authority) {
        if self.authority() != before {
            self.digests.begin(now);
        }
    }

    /// The rank that a flow has by now: an active box claims what stems from earlier terms.
    pub(super) fn rank_of(&self, entry: &Entry) -> u32 {
        if self.is_own(entry) && self.rank.is_active() {
            entry.rank.max(self.rank.0)
        } else {
            entry.rank
        }
    }

    /// This box says what the flow's state is.
    pub(super) fn is_own(&self, entry: &Entry) -> bool {
        self.rank.owns(entry)
    }

    /// Nothing is remembered of the balancer's flows by which old news of them would be known. So a box that took over
    /// from a silent one, which may have been frozen, hears of none from it any more.
    pub(super) fn hears_of_balanced(&self, sender: u32) -> bool {
        !self.rank.is_active()
            || self.is_heir
            || sender >= self.rank.0
            || is_broken(Sabotage::TakeAnyBalanced)
    }

    /// A record of that rank counts against what is known. Where both boxes say something of the same rank, as where one
    /// was told what it had said itself, the one that owns the table knows better, or the larger incarnation.
    pub(super) fn yields(&self, entry: &Entry, rank: u32) -> bool {
        let held = self.rank_of(entry);
        let peer = self.peer.as_ref().map_or(0, |peer| peer.incarnation);
        let is_lesser = match self.authority() {
            Authority::Own => false,
            Authority::Peer => true,
            Authority::Nobody => self.incarnation < peer,
        };
        is_broken(Sabotage::TakeAnyRank)
            || rank > held
            || rank == held && (!self.is_own(entry) || is_lesser)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_ordered_by_term_then_role_and_do_not_wrap() {
        let ranks = [(false, 0), (true, 0), (false, 1), (true, 1), (false, 2)]
            .map(|(is_active, term)| Rank::new(is_active, term));
        assert!(ranks.is_sorted());
        let last = Rank::new(true, u64::MAX);
        assert!(last.is_active() && last > Rank::new(false, u64::MAX));
        assert!(!Rank::new(false, u64::MAX).is_active());
    }
}
