//! How a node measures time: its own delays, the peer's, and the silence between. Silence is judged over
//! all links together: the peer is dead when no link is up any more, and each link is up until it has been
//! silent for the dead time in force. A serial line that is too slow for that is given longer:
//!
//! ```text
//! baud      airtime of a beat   from beat to beat   silence that means something
//! 9600      80.2 ms             160.4 ms            401 ms
//! 19200     40.1 ms             80.2 ms             201 ms
//! 38400     20.1 ms             50 ms               101 ms, hence the default dead time of 200 ms
//! 115200    6.7 ms              13.4 ms (fast)      34 ms
//! ```
//!
//! Only that tells a dead peer from one whose other links were cut: a takeover that waits for less would
//! make a second active box. To ask on the line is no quicker: an answer takes four airtimes at worst, as
//! many as it takes for two of the beats that come anyway. All other links are asked for an answer in the
//! second half of the dead time, so that a few lost beats are no takeover.

use super::Node;
use crate::failover::{Event, State};
use crate::link::Link;
use crate::report::{DeadTimeCause, Report};
use crate::sabotage::{Sabotage, is_broken};
use crate::time::{Instant, millis};
use core::time::Duration;

/// Probes on each link in the second half of the dead time, evenly spread; then the peer counts as dead.
pub const PROBES: u8 = 3;

/// Probes of one silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Probes {
    /// When the silence began.
    since: Instant,
    sent: u8,
}

impl Node {
    /// Dead time in force: silence on all links after which the peer counts as dead, unless a serial line
    /// that is up needs longer to mean it (`silence_max`).
    #[must_use]
    pub fn dead_time(&self) -> Duration {
        self.dead.in_force(self.peer_dead_ms())
    }

    /// Silence after which the peer counts as dead, whichever links are up: that of the slowest.
    #[must_use]
    pub fn silence_max(&self) -> Duration {
        let up = self.links.iter().filter(|link| link.is_up());
        let longest = up.map(Link::patience).max();
        longest.unwrap_or_else(|| self.dead_time())
    }

    /// What the peer asks for; nothing while it was never heard.
    fn peer_dead_ms(&self) -> u16 {
        self.peer.as_ref().map_or(0, |peer| peer.standing.dead_ms)
    }

    /// Takes note of the time. A box that stood still steps down before it does anything else.
    pub(super) fn wake(&mut self, now: Instant) {
        let gap = now.since(self.now);
        let late = self.sent_at().map(|_| now.since(self.poll_timeout()));
        let late = late.unwrap_or_default();
        self.now = self.now.max(now);
        self.dead.note_delay(now, late);
        for link in &mut self.links {
            link.wake(now, late);
        }
        if self.stood_still(gap) && !is_broken(Sabotage::NoStallCheck) {
            self.stall(gap);
        }
    }

    /// The peer may have taken this box for dead: each link that it hears was sent nothing for as long as
    /// it may wait on it, and not longer. Only a gap in this box's own turns makes that a stall.
    fn stood_still(&self, gap: Duration) -> bool {
        let peer_ms = self.peer_dead_ms();
        let alive = self.peer.as_ref().is_some_and(|peer| peer.alive);
        let dead = if alive {
            self.dead.surely_in_force(peer_ms)
        } else {
            // Nobody waits; this box goes by its own measure.
            self.dead.in_force(peer_ms)
        };
        let any_up = self.links.iter().any(Link::is_up);
        let mut heard = self.links.iter().filter(|link| link.is_up() == any_up);
        let has_sent = self.sent_at().is_some();
        has_sent && gap > dead / 2 && heard.all(|link| link.is_overdue(self.now, dead))
    }

    /// Last frame sent on any link.
    fn sent_at(&self) -> Option<Instant> {
        self.links.iter().filter_map(Link::sent_at).max()
    }

    fn stall(&mut self, gap: Duration) {
        self.report(Report::Stalled {
            gap_ms: millis(gap),
        });
        // Before it takes anything each link that was up may bring one beat each way, the fastest one may
        // have been cut meanwhile; without one, every link.
        let up = self.links.iter().filter(|link| link.is_up());
        let beat = up.map(Link::beat).max();
        let beat = beat.or_else(|| self.links.iter().map(Link::beat).max());
        let grace = beat.unwrap_or_default() * 2;
        // Time in which this box did nothing counts neither against its driver nor as listening. What the
        // operator asked for has its time by the clock: nobody expects it long after.
        if self.standing.state != State::Asking {
            self.deadline = self.deadline.map(|deadline| deadline + gap);
        }
        self.vacant_from = self.vacant_from + gap;
        self.stale_until = self.now + grace;
        self.apply(Event::Stalled);
    }

    /// Ends the listening of a box that has found its place beside an active peer once every link is up: from then
    /// on silence means what it always means. Two that start together listen on, so that the one that is ready
    /// first is not the one that serves whatever their priorities are.
    pub(super) fn hear_out(&mut self) {
        let is_placed = self.standing.state != State::Listening;
        if is_placed && self.links.iter().all(Link::is_up) {
            self.vacant_from = self.vacant_from.min(self.now);
        }
    }

    /// Takes down the links that were silent for too long; asks for an answer where it comes to that.
    pub(super) fn judge_silence(&mut self) {
        for link in &mut self.links {
            link.expire(self.now);
        }
        let talks = self.talks_until().is_some_and(|end| end > self.now);
        if let Some(peer) = &mut self.peer {
            peer.talked = peer.talked.filter(|_| talks);
        }
        let mut asks = false;
        while let Some(at) = self.probe_at()
            && at <= self.now
        {
            let since = self.heard_at().unwrap_or_default();
            let sent = self.probes_sent(since).saturating_add(1);
            self.probes = Probes { since, sent };
            asks = !is_broken(Sabotage::NoProbes);
        }
        if asks {
            for link in &mut self.links {
                link.probe(self.now);
            }
        }
    }

    /// Until when the peer counts as heard, whether or not it hears this box: by the patience that is in force
    /// now, as with links.
    pub(super) fn talks_until(&self) -> Option<Instant> {
        let (at, index) = self.peer.as_ref()?.talked?;
        let link = self.links.get(usize::from(index.0))?;
        Some(at + link.patience())
    }

    /// Last fresh frame on any link that is up.
    fn heard_at(&self) -> Option<Instant> {
        self.links.iter().filter_map(Link::fresh_at).max()
    }

    /// Probes sent in the silence that began then.
    fn probes_sent(&self, heard_at: Instant) -> u8 {
        if heard_at == self.probes.since {
            self.probes.sent
        } else {
            0
        }
    }

    /// When to ask for an answer next: at 3, 4 and 5 sixths of what the most impatient link waits.
    pub(super) fn probe_at(&self) -> Option<Instant> {
        let heard_at = self.heard_at()?;
        let sent = self.probes_sent(heard_at);
        if sent >= PROBES {
            return None;
        }
        let up = self.links.iter().filter(|link| link.is_up());
        let patience = up.map(Link::patience).min()?;
        let sixth = patience / (u32::from(PROBES) * 2);
        Some(heard_at + sixth * u32::from(PROBES + sent))
    }

    /// Derives the dead time from what delays there are, and says when another one is in force.
    pub(super) fn judge_dead_time(&mut self) {
        let (jitter, jitter_cause) = self.jitter();
        self.dead.judge(self.now, jitter);
        self.standing.dead_ms = self.dead.wish_ms();
        let dead = self.dead_time();
        let spare = dead.saturating_sub(self.settings.timing.dead);
        for link in &mut self.links {
            link.follow_dead_time(dead, spare);
        }
        self.say_dead_time(millis(dead), jitter, jitter_cause);
    }

    /// Says that another dead time is in force: when it is half as much again, as much less, or back to
    /// the configured one.
    fn say_dead_time(&mut self, to_ms: u64, jitter: Duration, jitter_cause: DeadTimeCause) {
        let from_ms = self.dead_said_ms;
        let is_news = to_ms * 2 >= from_ms * 3
            || from_ms * 2 >= to_ms * 3
            || to_ms == millis(self.settings.timing.dead);
        if from_ms == to_ms || !is_news {
            return;
        }
        self.dead_said_ms = to_ms;
        let own_ms = u64::from(self.dead.wish_ms());
        let cause = if to_ms < from_ms {
            DeadTimeCause::Calm
        } else if own_ms < to_ms {
            DeadTimeCause::Peer
        } else if self.dead.delay() >= jitter {
            let late_ms = millis(self.dead.delay());
            DeadTimeCause::OwnDelay { late_ms }
        } else {
            jitter_cause
        };
        self.report(Report::DeadTime {
            from_ms,
            to_ms,
            cause,
        });
    }

    /// What the peer's beats come late by on the best link that is up: one link that is late alone
    /// delays nobody's judgement.
    fn jitter(&self) -> (Duration, DeadTimeCause) {
        let up = self.links.iter().zip(0..).filter(|(link, _)| link.is_up());
        let least = up.map(|(link, index)| (link.jitter(), index)).min();
        let (jitter, link) = least.unwrap_or_default();
        let late_ms = millis(jitter);
        (jitter, DeadTimeCause::Jitter { link, late_ms })
    }
}
