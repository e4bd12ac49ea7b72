//! What people are told of state sync, and why datagrams are thrown away.

use super::digests::ALL_AGREED;
use super::role::Authority;
use super::{Engine, Kind};
use crate::time::{Instant, micros, millis};
use core::fmt;

/// Why a datagram was thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// Shorter than header and MAC.
    Truncated,
    /// Longer than any.
    TooLong,
    /// Of another version of this protocol.
    Version,
    /// Of another cluster.
    WrongCluster,
    /// Of another key, or damaged.
    BadMac,
    /// The MAC is right but what it protects can't be read.
    Malformed,
    /// This box's own came back.
    OwnEcho,
    /// Its sender does not prove that it hears this start now: so every start begins, and so a capture looks.
    Unproven,
    /// Taken before, or older than what is waited for.
    Replayed,
    /// Further ahead than any that may be on its way.
    TooFarAhead,
    /// It has records, and this box has not read its own kernel's table yet; or not again after it lost events, and the
    /// records are an older owner's.
    NotReady,
    /// The one before was not applied yet: the caller broke the order. It will be sent again.
    Busy,
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
        Rejection::Unproven,
        Rejection::Replayed,
        Rejection::TooFarAhead,
        Rejection::NotReady,
        Rejection::Busy,
    ];
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rejection::Truncated => "datagram too short",
            Rejection::TooLong => "datagram too long",
            Rejection::Version => "datagram of another version; run the same version on both boxes",
            Rejection::WrongCluster => "datagram of another cluster",
            Rejection::BadMac => {
                "authentication failed; give both boxes the same config, hence the same key"
            }
            Rejection::Malformed => "datagram can't be read",
            Rejection::OwnEcho => "own datagram came back",
            Rejection::Unproven => "sender does not prove yet that it hears this box",
            Rejection::Replayed => "datagram taken before, or too late",
            Rejection::TooFarAhead => "datagram numbered too far ahead",
            Rejection::NotReady => "this box is still reading its own connections",
            Rejection::Busy => "the datagram before was not applied yet",
        })
    }
}

/// Counted since the start.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters {
    pub(super) noted: u64,
    pub(super) sent: u64,
    pub(super) sent_bytes: u64,
    pub(super) sent_records: u64,
    pub(super) settled: u64,
    pub(super) resent: u64,
    pub(super) received: u64,
    pub(super) applied: u64,
    pub(super) overtaken: u64,
    pub(super) outranked: u64,
    pub(super) refused: u64,
    pub(super) strays: u64,
    pub(super) oversized: u64,
    pub(super) overruns: u64,
    pub(super) sessions: u64,
    pub(super) joined_us: Option<u64>,
    rejected: [u64; Rejection::COUNT],
}

impl Counters {
    pub(super) fn reject(&mut self, rejection: Rejection) {
        let mut counters = self.rejected.iter_mut().zip(Rejection::ALL);
        if let Some((counter, _)) = counters.find(|(_, cause)| *cause == rejection) {
            *counter += 1;
        }
    }
}

/// How one kind stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KindStatus {
    /// Flows in this kernel; of IPVS as many as `set_balanced` was told.
    pub here: u32,
    /// Of these, told by this kernel; the others by the peer. Of IPVS: 0.
    pub own: u32,
    /// Flows in the peer's kernel, as it says.
    pub there: u32,
    /// Flows that wait for a sweep, to be told to the peer.
    pub needed: u32,
    /// Flows that wait for a sweep, to be removed here.
    pub doomed: u32,
}

/// How state sync stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// A takeover by either box would lose no more than what changed in the last milliseconds.
    pub in_sync: bool,
    /// The peer has proved itself and answers, and both have read their tables.
    pub joined: bool,
    /// The peer's incarnation, 0 before the first.
    pub peer: u64,
    /// Since the peer was heard, in milliseconds.
    pub silent_ms: Option<u64>,
    /// Since the last join, which sends all in bulk, in milliseconds.
    pub joined_ms: Option<u64>,
    /// By kind, in the order of `Kind::ALL`.
    pub kinds: [KindStatus; Kind::COUNT],
    /// Slices, of `SLICES`, in which both tables were found equal.
    pub agreed_slices: u32,
    /// Buckets that differed.
    pub mismatches: u64,
    /// Flows on their way to the peer.
    pub pending: usize,
    /// From an event here to the peer's word that it was taken: the worst of the last 10 to 20 s, in milliseconds.
    pub lag_ms: u64,
    /// To the peer and back, in microseconds.
    pub round_trip_us: Option<u64>,
    /// Flows that this kernel told, by events and sweeps.
    pub noted: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Records sent.
    pub sent_records: u64,
    /// Records that the peer took.
    pub settled: u64,
    /// Flows sent again because a datagram was lost.
    pub resent: u64,
    /// Datagrams lost.
    pub lost: u64,
    /// Datagrams taken.
    pub received: u64,
    /// Changes handed out to be applied.
    pub applied: u64,
    /// Records ignored, for newer ones came first.
    pub overtaken: u64,
    /// Records ignored, for this box knows better.
    pub outranked: u64,
    /// Changes that this kernel refused.
    pub refused: u64,
    /// Events of flows that the peer owns.
    pub strays: u64,
    /// Flows too large for a record.
    pub oversized: u64,
    /// Times that the kernel dropped events.
    pub overruns: u64,
    /// Starts of the peer that were met.
    pub sessions: u64,
    /// Datagrams thrown away, by cause, in the order of `Rejection::ALL`.
    pub rejected: [u64; Rejection::COUNT],
}

impl Status {
    /// Slices that a table is compared in.
    pub const SLICES: u32 = ALL_AGREED.count_ones();
}

impl Engine {
    /// For the console.
    #[must_use]
    pub fn status(&self, now: Instant) -> Status {
        let counters = &self.counters;
        let peer = self.peer.as_ref();
        let agreed = match self.authority() {
            Authority::Own => peer.map_or(0, |peer| peer.says.agreed),
            Authority::Peer | Authority::Nobody => self.digests.agreed(),
        };
        Status {
            in_sync: self.in_sync(),
            joined: self.live_peer().is_some(),
            peer: peer.map_or(0, |peer| peer.incarnation),
            silent_ms: peer.map(|peer| millis(now.since(peer.heard))),
            joined_ms: counters
                .joined_us
                .map(|us| millis(now.since(Instant::from_micros(us)))),
            kinds: Kind::ALL.map(|kind| self.kind_status(kind)),
            agreed_slices: agreed.count_ones(),
            mismatches: self.digests.mismatches,
            pending: self.slab.used(),
            lag_ms: millis(self.lag.value()),
            round_trip_us: self.flights.round_trip().map(micros),
            noted: counters.noted,
            sent: counters.sent,
            sent_bytes: counters.sent_bytes,
            sent_records: counters.sent_records,
            settled: counters.settled,
            resent: counters.resent,
            lost: self.flights.lost,
            received: counters.received,
            applied: counters.applied,
            overtaken: counters.overtaken,
            outranked: counters.outranked,
            refused: counters.refused,
            strays: counters.strays,
            oversized: counters.oversized,
            overruns: counters.overruns,
            sessions: counters.sessions,
            rejected: counters.rejected,
        }
    }

    /// Tells how many connections this kernel's balancer holds, of which the engine keeps no account.
    pub fn set_balanced(&mut self, count: u32) {
        self.balanced = count;
    }

    /// Flows in this kernel.
    pub(super) fn held(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Conntrack | Kind::Expectation => self.index.totals(kind).held,
            Kind::Ipvs => self.balanced,
        }
    }

    fn kind_status(&self, kind: Kind) -> KindStatus {
        let totals = self.index.totals(kind);
        let there = self.peer.as_ref().map(|peer| peer.says.held);
        let there = there.and_then(|held| held.get(kind as usize).copied());
        KindStatus {
            here: self.held(kind),
            own: totals.own,
            there: there.unwrap_or_default(),
            needed: totals.needed,
            doomed: totals.doomed,
        }
    }
}
