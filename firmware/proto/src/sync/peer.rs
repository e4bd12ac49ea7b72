//! Whom this box talks to. A start of the peer is believed once it proves that it hears this very start now: it
//! echoes our incarnation and acknowledges a datagram that was sent after it was first heard. A replayed capture,
//! be it of this start of ours and an earlier one of the peer's, can't know such a number, and changes nothing.

use super::Rejection;
use super::wire::{Header, READY, Taken, WINDOW};
use crate::time::Instant;
use core::time::Duration;
use heapless::Vec;

/// Starts that talk without proof are remembered, so that one played again can't push out the true one.
const CANDIDATES_MAX: usize = 4;
/// From answer to answer to those.
const ANSWER_INTERVAL: Duration = Duration::from_millis(20);

/// The start of the peer that proved itself.
pub(super) struct Peer {
    pub(super) incarnation: u64,
    /// Its datagrams that were taken.
    pub(super) taken: Taken,
    /// The newest header.
    pub(super) says: Header,
    pub(super) heard: Instant,
    /// Both have read their kernels' tables, and what each needs was marked.
    pub(super) is_joined: bool,
    /// It answers; else what changes is only marked.
    pub(super) is_attached: bool,
    /// Once it took this one of ours it is attached again.
    pub(super) attach_after: u64,
}

impl Peer {
    /// `is_taken`: what proves it carries nothing else, so it counts as taken, and the peer has its proof in turn.
    fn new(now: Instant, header: &Header, is_taken: bool) -> Self {
        let first = header.floor.max(header.sequence.saturating_sub(WINDOW - 1));
        let mut taken = Taken {
            base: first.min(header.sequence).saturating_sub(1),
            ..Taken::default()
        };
        if is_taken {
            taken.take(header.sequence);
        }
        Self {
            incarnation: header.sender,
            taken,
            says: *header,
            heard: now,
            is_joined: false,
            is_attached: true,
            attach_after: 0,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.says.is(READY)
    }

    /// Whether a datagram of that header is news.
    ///
    /// # Errors
    /// It was taken before, or its time is over.
    pub(super) fn check(&self, header: &Header) -> Result<(), Rejection> {
        let mut taken = self.taken;
        taken.advance(header.floor.min(header.sequence).saturating_sub(1));
        if taken.has(header.sequence) {
            return Err(Rejection::Replayed);
        }
        if header.sequence - taken.base > WINDOW {
            return Err(Rejection::TooFarAhead);
        }
        Ok(())
    }

    /// Takes it; says whether it is the newest one.
    pub(super) fn accept(&mut self, now: Instant, header: &Header) -> bool {
        let is_newest = header.sequence > self.taken.highest();
        self.taken
            .advance(header.floor.min(header.sequence).saturating_sub(1));
        self.taken.take(header.sequence);
        self.heard = now;
        if is_newest {
            self.says = *header;
        }
        is_newest
    }
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    incarnation: u64,
    /// Newest number heard of it.
    heard: u64,
    /// It must acknowledge this one of ours, or a later one.
    challenge: u64,
    answer_at: Option<Instant>,
    answered: Instant,
}

/// Starts that have not proved themselves.
#[derive(Default)]
pub(super) struct Candidates(Vec<Candidate, CANDIDATES_MAX>);

impl Candidates {
    /// Hears one whose header is not that of the proven peer; returns the peer that it turns out to be. `next` is the
    /// number that our next datagram will have.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        header: &Header,
        is_empty: bool,
        own: u64,
        next: u64,
    ) -> Option<Peer> {
        let known = self
            .0
            .iter_mut()
            .find(|candidate| candidate.incarnation == header.sender);
        let Some(candidate) = known else {
            self.add(now, header, next);
            return None;
        };
        if header.echo == own && header.taken.highest() >= candidate.challenge {
            self.0
                .retain(|candidate| candidate.incarnation != header.sender);
            return Some(Peer::new(now, header, is_empty));
        }
        candidate.heard = candidate.heard.max(header.sequence);
        let earliest = candidate.answered + ANSWER_INTERVAL;
        candidate.answer_at.get_or_insert(now.max(earliest));
        None
    }

    fn add(&mut self, now: Instant, header: &Header, challenge: u64) {
        if self.0.is_full() {
            self.0.remove(0);
        }
        let candidate = Candidate {
            incarnation: header.sender,
            heard: header.sequence,
            challenge,
            answer_at: Some(now),
            answered: now,
        };
        // There is room for it.
        let _ = self.0.push(candidate);
    }

    /// Whom to answer now: incarnation, and what was heard of it.
    pub(super) fn poll_answer(&mut self, now: Instant) -> Option<(u64, Taken)> {
        let due = |candidate: &&mut Candidate| candidate.answer_at.is_some_and(|at| at <= now);
        let candidate = self.0.iter_mut().find(due)?;
        candidate.answer_at = None;
        candidate.answered = now;
        let taken = Taken {
            base: candidate.heard,
            ..Taken::default()
        };
        Some((candidate.incarnation, taken))
    }

    /// When the next one is to be answered.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let answers = self.0.iter().filter_map(|candidate| candidate.answer_at);
        answers.min()
    }
}
