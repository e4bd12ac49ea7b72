//! State sync: tells the other box of a pair every flow that this box's kernel tracks, and takes what that one
//! tells. It knows nothing of conntrack: a flow is a key, its state a value. `Engine` is the way in; it is told the
//! time, does no I/O, and allocates per table, not per flow.
//!
//! # How it works
//!
//! *Newest state wins; there is no log.* A change marks its flow and keeps its newest state in a bounded slab
//! (`slab`) until the peer acknowledged a datagram that carried it. Changes meanwhile replace it. A lost datagram
//! marks its flows again, and what is then sent is their newest state. What is settled costs 24 bytes (`index`): a
//! hash, a digest of the state, and who said so. Its state lies in the kernel; where it is needed again, the caller is
//! asked to sweep (`Want`).
//!
//! *Order.* Datagrams are numbered, and the receiver remembers of each flow which one it last took: a record that
//! was overtaken by a newer one is ignored. A removal is remembered for as long as older datagrams may still
//! arrive, which the sender tells in each (`floor`), so that none brings the flow back.
//!
//! *Who is believed.* Each flow bears a `Rank`: term and role of the box whose kernel told it. Of two boxes that
//! both claim a flow the higher rank wins, so a box that comes back never overwrites what happened without it. A box
//! that becomes active claims all that stems from earlier terms, without touching it. What only the other knows is
//! taken from any rank, unless it has ended here (`ended`).
//!
//! *Freshness.* Each start draws an incarnation. Nothing counts but datagrams that echo ours and come from the start
//! that proved to hear us now (`peer`); a replay, a stranger's bytes and another key are counted and change nothing.
//!
//! *Agreement.* The active box sends sums over the digests of each of 16384 buckets; those in which something is on
//! its way are left out, so that what is compared is exact. Where sums differ the other asks for the bucket's list, asks
//! for what it lacks, and removes what is not in it (`digests`). A join sends all in bulk, both ways, and agreement
//! is then earned bucket by bucket. `in_sync` is that all agreed once and nothing waits for a sweep.
//!
//! *Bounds.* Flows on their way: `slab::SLOTS_MAX`; whoever notes must stop when `room` says so, the kernel's
//! socket is the queue. Tombstones: `ended::TOMBSTONES_MAX`. Datagrams out: a window that shrinks when the path
//! queues. A burst: `BURST_MAX`. A peer that does not answer is let go (detached): changes are only marked, and swept
//! when it is back.

mod digests;
mod ended;
mod flight;
mod hash;
mod index;
mod item;
mod kernel;
mod peer;
mod receive;
mod role;
mod slab;
mod status;
mod transmit;
mod wire;

pub use status::{KindStatus, Rejection, Status};
pub use wire::{HEADER_BYTES, MAC_BYTES, VERSION};

use crate::jitter::Worst;
use crate::time::Instant;
use crate::wire::ClusterTag;
use alloc::collections::VecDeque;
use core::time::Duration;
use digests::Digests;
use ended::Ended;
use flight::Flights;
use hash::Hasher;
use index::Index;
use kernel::Reading;
use peer::{Candidates, Peer};
use receive::Inbox;
use role::Rank;
use slab::Slab;
use status::Counters;
use transmit::Pace;
use wire::Codec;

/// Longest datagram: fits every Ethernet, tunnels included.
pub const DATAGRAM_BYTES_MAX: usize = 1400;
/// Longest key of a flow.
pub const KEY_BYTES_MAX: usize = 96;
/// Longest value of a flow.
pub const VALUE_BYTES_MAX: usize = 512;
/// Silence after which a peer is let go until it speaks again.
const SILENCE_MAX: Duration = Duration::from_secs(1);
/// A peer that speaks and takes nothing is let go when the slab is full for so long.
const STALL_MAX: Duration = Duration::from_millis(250);
/// What the MAC's key is drawn for from the cluster's.
const MAC_PURPOSE: &[u8] = b"pollux state sync 1";
/// What the hashes' keys are drawn for.
const HASH_PURPOSE: &[u8] = b"pollux state sync 1 hashes";

/// What is mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Kind {
    /// Connections tracked by the kernel.
    Conntrack,
    /// Expectations of helpers.
    Expectation,
    /// Connections of the balancer. They are never removed nor compared: each ages out where it is.
    Ipvs,
}

impl Kind {
    /// How many kinds there are.
    pub const COUNT: usize = 3;

    /// All of them, in the order of their numbers.
    pub const ALL: [Kind; Self::COUNT] = [Kind::Conntrack, Kind::Expectation, Kind::Ipvs];

    fn of_bits(bits: u16) -> Option<Self> {
        Self::ALL.get(usize::from(bits)).copied()
    }
}

/// What an engine is told at its start.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// Of the cluster.
    pub cluster: ClusterTag,
    /// The cluster's key; the engine draws its own ones from it.
    pub key: &'a [u8; 32],
    /// Random number of this start, not 0.
    pub incarnation: u64,
    /// Names the life of the kernel's table: the same after a restart of the worker, another after a reboot (a hash
    /// of boot id and network namespace). Tells the peer whether what it had mirrored from here still stands here.
    pub table: u64,
}

/// What is to be done in this kernel. Borrowed from the datagram that said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply<'a> {
    /// Create the flow, or bring it to this state.
    Put {
        /// What is mirrored.
        kind: Kind,
        /// Names the flow.
        key: &'a [u8],
        /// Its state.
        value: &'a [u8],
        /// Seconds that it still had.
        lifetime_s: u32,
    },
    /// Delete the flow.
    Remove {
        /// What is mirrored.
        kind: Kind,
        /// Names the flow.
        key: &'a [u8],
    },
}

/// What the engine needs from its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Tell all flows of this kind: `sweep_begin`, `sweep_note` for each, `sweep_end`. Asked until it begins.
    Sweep(Kind),
    /// Read all events that the kernel has ready now, then call `drained`: the peer is taking over. Asked until then.
    Drain,
}

/// What is to become of a flow that a sweep told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It stays.
    Keep,
    /// Delete it from this kernel: the box that owns the table no longer has it.
    Remove,
}

/// State sync of one box.
pub struct Engine {
    codec: Codec,
    hasher: Hasher,
    incarnation: u64,
    table: u64,
    index: Index,
    /// Connections in this kernel's balancer.
    balanced: u32,
    slab: Slab,
    flights: Flights,
    next_sequence: u64,
    rank: Rank,
    /// Took over from a peer that let go, and that still tells what it has not told yet.
    is_heir: bool,
    readings: [Reading; Kind::COUNT],
    peer: Option<Peer>,
    /// Table of the peer that was joined last.
    joined_table: Option<u64>,
    candidates: Candidates,
    inbox: Inbox,
    /// Entries that are kept for order's sake until older datagrams are out of the way, as number and hash.
    guards: VecDeque<(u64, u64)>,
    ended: Ended,
    digests: Digests,
    /// The kernel has no room for more flows.
    is_full: bool,
    pace: Pace,
    flush: Flush,
    lag: Worst,
    counters: Counters,
}

/// Requests for a flush, ours and the peer's.
#[derive(Default)]
struct Flush {
    /// Ours, counted.
    asked: u16,
    /// The last one was asked for as a passive box, since the last change of roles: it is about to take over.
    asked_as_heir: bool,
    /// The peer's that are fulfilled.
    done: u16,
    /// The peer's that is being fulfilled: what was pending is being sent.
    serving: Option<u16>,
}

impl Engine {
    /// An engine that knows nothing yet and wants sweeps.
    #[must_use]
    pub fn new(now: Instant, settings: &Settings<'_>) -> Self {
        let hash_key = wire::derive(settings.key, HASH_PURPOSE);
        Self {
            codec: Codec::new(settings.cluster, &wire::derive(settings.key, MAC_PURPOSE)),
            hasher: Hasher::of_key(&hash_key),
            incarnation: settings.incarnation,
            table: settings.table,
            index: Index::new(),
            balanced: 0,
            slab: Slab::new(),
            flights: Flights::new(now),
            // Numbers of different starts lie apart, so that what is remembered of an earlier one means nothing.
            next_sequence: (settings.incarnation >> 33).max(1),
            rank: Rank::default(),
            is_heir: false,
            readings: Default::default(),
            peer: None,
            joined_table: None,
            candidates: Candidates::default(),
            inbox: Inbox::default(),
            guards: VecDeque::new(),
            ended: Ended::new(),
            is_full: false,
            digests: Digests::new(now),
            pace: Pace::new(now),
            flush: Flush::default(),
            lag: Worst::new(now),
            counters: Counters::default(),
        }
    }

    /// Flows that may be noted before the caller must stop reading events. One that is noted beyond is only marked, and
    /// a sweep wanted.
    #[must_use]
    pub fn room(&self) -> usize {
        self.slab.room()
    }

    /// Asks the peer, which is alive, to send all that it has not yet sent: this box is about to take over. A peer that
    /// has to sweep does that first, so the caller should wait no longer than it can bear.
    pub fn request_flush(&mut self, now: Instant) {
        self.flush.asked = self.flush.asked.wrapping_add(1);
        self.flush.asked_as_heir = !self.rank.is_active();
        self.pace.speak_by(now);
    }

    /// The peer has sent all that was pending when it heard the last request, and it was taken here.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        let asked = self.flush.asked;
        self.live_peer()
            .is_some_and(|peer| peer.says.flush_done == asked)
    }

    /// All events that the kernel had ready were noted (`Want::Drain`): what is pending now is the flush. Where some of them
    /// turned out to be lost it is wanted again, after the sweep that makes up for them.
    pub fn drained(&mut self, now: Instant) {
        let is_wanted = self.is_drain_wanted();
        let Some(peer) = self.live_peer().filter(|_| is_wanted) else {
            return;
        };
        self.flush.serving = Some(peer.says.flush_asked);
        for slot in self.slab.iter_mut() {
            slot.is_awaited = true;
        }
        self.pace.speak_by(now);
        self.finish_flush(now);
    }

    /// Tells the peer once all that it waits for was taken.
    fn finish_flush(&mut self, now: Instant) {
        let Some(serving) = self.flush.serving else {
            return;
        };
        if !self.slab.iter_mut().any(|slot| slot.is_awaited) {
            self.flush.serving = None;
            self.flush.done = serving;
            self.pace.speak_by(now);
        }
    }

    /// The peer waits for a flush that has not begun. What waits for a sweep is to be on its way first.
    fn is_drain_wanted(&self) -> bool {
        let is_asked = |peer: &Peer| {
            let asked = peer.says.flush_asked;
            asked != self.flush.done && self.flush.serving != Some(asked)
        };
        self.live_peer().is_some_and(is_asked) && self.is_settled()
    }

    /// The peer, while it is joined and answers: what changes is sent at once.
    fn live_peer(&self) -> Option<&Peer> {
        self.peer
            .as_ref()
            .filter(|peer| peer.is_joined && peer.is_attached)
    }

    /// What the caller is to do, if anything.
    #[must_use]
    pub fn poll_want(&self, now: Instant) -> Option<Want> {
        if self.is_drain_wanted() {
            return Some(Want::Drain);
        }
        Kind::ALL
            .into_iter()
            .find(|kind| self.sweep_due(*kind).is_some_and(|at| at <= now))
            .map(Want::Sweep)
    }

    /// When the engine has something to do by itself: call `poll_transmit` and `poll_want` then.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let sweeps = Kind::ALL
            .into_iter()
            .filter_map(|kind| self.sweep_due(kind));
        let others = [
            self.flights.deadline(),
            self.candidates.deadline(),
            self.transmit_at(),
        ];
        sweeps.chain(others.into_iter().flatten()).min()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
