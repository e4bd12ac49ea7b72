//! Tombstones: flows that ended in this kernel since its box became active, while the other box may still tell an
//! older state of them. What one box alone knows is taken from any rank, for it may be a connection of the other's last
//! moments; by its tombstone one that has ended here is told apart from those.
//!
//! They are needed until the other box has become passive in this box's term and then confirms a flush: it has told all
//! there was, and what it tells later it has learnt from here. That takes milliseconds where it is alive. While it is
//! not, they are kept up to a bound, and the oldest gives way to a new one: of a flow so long gone the other box can
//! bring back no more than an entry that times out.

use super::Engine;
use super::index::{DOOMED, ENDED, Entry, GONE, GUARD, MINE, NEEDED, PENDING, SEEN};
use super::role::Rank;
use super::wire::Header;
use crate::sabotage::{Sabotage, is_broken};
use crate::time::Instant;
use alloc::collections::VecDeque;

/// Tombstones that are kept: with their entries in the index 2 MiB.
const TOMBSTONES_MAX: usize = 1 << 16;

/// What the other box may still tell of the time before this one became active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Past {
    /// Anything.
    Untold,
    /// What comes before a flush that was asked for is confirmed.
    Asked,
    /// Nothing; or this box is passive, and the other one claims what it tells.
    Told,
}

/// Flows that ended here, oldest first.
pub(super) struct Ended {
    hashes: VecDeque<u64>,
    past: Past,
}

impl Ended {
    pub(super) fn new() -> Self {
        Self {
            hashes: VecDeque::new(),
            past: Past::Told,
        }
    }

    /// A flow that this box owns, of that rank, has ended: its entry is to stay where that must be remembered. Call
    /// `Engine::trim_ended` afterwards.
    pub(super) fn bury(&mut self, entry: &mut Entry, rank: Rank) {
        if self.past == Past::Told || is_broken(Sabotage::ForgetEnded) {
            return;
        }
        entry.rank = entry.rank.max(rank.0);
        entry.set(GONE | ENDED | MINE);
        entry.clear(NEEDED | DOOMED);
        self.hashes.push_back(entry.hash);
    }
}

impl Engine {
    /// This box has another role or term: nobody knows yet what the other box has still to tell.
    pub(super) fn begin_past(&mut self) {
        self.ended.past = if self.rank.is_active() {
            Past::Untold
        } else {
            Past::Told
        };
        self.keep_ended(0);
    }

    /// What the newest header of the peer says of the past.
    pub(super) fn follow_past(&mut self, now: Instant, header: &Header) {
        let is_passive_in_our_term = header.rank ^ 1 == self.rank.0;
        if !is_passive_in_our_term || self.live_peer().is_none() {
            return;
        }
        match self.ended.past {
            Past::Untold => {
                self.ended.past = Past::Asked;
                self.request_flush(now);
            }
            Past::Asked if self.is_flushed() => {
                self.ended.past = Past::Told;
                self.guard_ended();
                self.keep_ended(0);
            }
            Past::Asked | Past::Told => {}
        }
    }

    /// What the peer told before its word that it has told all may come after that.
    fn guard_ended(&mut self) {
        for at in 0..self.ended.hashes.len() {
            let hash = self.ended.hashes.get(at).copied();
            let Some(place) = hash.and_then(|hash| self.index.find(hash)) else {
                continue;
            };
            let mut entry = self.index.at(place);
            // One that is on its way is guarded when it has arrived.
            if entry.is(ENDED) && !entry.is(PENDING) {
                self.guard(&mut entry);
                self.index.put(place, entry);
            }
        }
    }

    /// Gives up the oldest tombstones beyond the bound.
    pub(super) fn trim_ended(&mut self) {
        self.keep_ended(TOMBSTONES_MAX);
    }

    fn keep_ended(&mut self, most: usize) {
        while self.ended.hashes.len() > most
            && let Some(hash) = self.ended.hashes.pop_front()
        {
            self.forget_ended(hash);
        }
    }

    /// Lets go of a tombstone, unless the flow is back.
    fn forget_ended(&mut self, hash: u64) {
        let Some(place) = self.index.find(hash) else {
            return;
        };
        let mut entry = self.index.at(place);
        if !entry.is(ENDED) {
            return;
        }
        entry.clear(ENDED);
        if entry.is(PENDING | SEEN | GUARD) {
            self.index.put(place, entry);
        } else {
            self.index.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Settings};
    use super::*;
    use crate::wire::ClusterTag;

    #[test]
    fn tombstones_are_bounded_and_all_go_with_the_role() {
        let now = Instant::from_micros(1);
        let settings = Settings {
            cluster: ClusterTag::of_name("edge"),
            key: &[7; 32],
            incarnation: 7,
            table: 1,
        };
        let mut engine = Engine::new(now, &settings);
        engine.set_role(now, true, 3);
        let excess = 10;
        for flow in 0..TOMBSTONES_MAX + excess {
            let key = flow.to_le_bytes();
            engine.note(now, Kind::Conntrack, &key, b"state", 1);
            engine.forget(now, Kind::Conntrack, &key);
        }
        assert_eq!(engine.ended.hashes.len(), TOMBSTONES_MAX);
        let is_known = |engine: &Engine, flow: usize| {
            let hash = engine.hash(Kind::Conntrack, &flow.to_le_bytes());
            engine.index.find(hash).is_some()
        };
        assert!(!is_known(&engine, excess - 1) && is_known(&engine, excess));
        engine.set_role(now, false, 4);
        assert!(engine.ended.hashes.is_empty() && !is_known(&engine, excess));
    }
}
