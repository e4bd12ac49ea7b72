//! What is known of one TCP transfer: what each end sent and got, how long it was silent, and how it went wrong.

use super::Pace;
use super::route::Route;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// An end of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Who began it.
    Client,
    /// Who was called.
    Server,
}

impl Side {
    /// The end across.
    pub fn other(self) -> Self {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// How a flow went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A byte was not the one that stands there.
    Corrupt(String),
    /// The connection broke: reset, refused, timed out, or ended before its time.
    Reset(String),
}

/// What one end of a flow has done.
#[derive(Debug, Clone, Copy)]
pub struct Half {
    /// Bytes that its kernel took.
    pub sent: u64,
    /// Bytes that came, each of them right.
    pub received: u64,
    /// When the last of them came, or the flow was made.
    pub last: Instant,
    /// How silent it was.
    pub silence: Silence,
    /// The other end has said that there is no more.
    pub has_ended: bool,
}

impl Half {
    fn new(now: Instant) -> Self {
        Half {
            sent: 0,
            received: 0,
            last: now,
            silence: Silence::from(now),
            has_ended: false,
        }
    }

    /// The longest silence, the one that still lasts included.
    pub fn silence(&self, now: Instant) -> Duration {
        let last = if self.has_ended { now } else { self.last };
        self.silence.longest(last, now)
    }
}

/// The longest of the silences since a moment.
#[derive(Debug, Clone, Copy)]
pub struct Silence {
    since: Instant,
    longest: Duration,
}

impl Silence {
    /// Measured from `since` on.
    pub fn from(since: Instant) -> Self {
        Silence {
            since,
            longest: Duration::ZERO,
        }
    }

    /// The one that began at `last` ends.
    pub fn end(&mut self, last: Instant, now: Instant) {
        self.longest = self.longest(last, now);
    }

    /// The longest, the one included that began at `last` and still lasts.
    pub fn longest(self, last: Instant, now: Instant) -> Duration {
        let lasting = now.saturating_duration_since(last.max(self.since));
        self.longest.max(lasting)
    }
}

/// Where a caller calls from, and whom: many may call from one port.
pub type Ends = (SocketAddr, SocketAddr);

/// A TCP transfer in both directions.
#[derive(Debug, Clone)]
pub struct Flow {
    /// Its way through the pair.
    pub route: Route,
    /// How fast it is.
    pub pace: Pace,
    /// Client and server.
    pub halves: [Half; 2],
    /// Why it is no more.
    pub fault: Option<Fault>,
    /// Whose it is.
    pub ends: Option<Ends>,
    /// It may break.
    pub is_excused: bool,
}

impl Flow {
    /// One that is about to begin.
    pub fn new(route: Route, pace: Pace, ends: Option<Ends>, now: Instant) -> Self {
        Flow {
            route,
            pace,
            ends,
            is_excused: false,
            halves: [Half::new(now); 2],
            fault: None,
        }
    }

    /// The half at this side.
    pub fn half(&mut self, side: Side) -> &mut Half {
        let [client, server] = &mut self.halves;
        match side {
            Side::Client => client,
            Side::Server => server,
        }
    }

    /// Notes that `count` right bytes came.
    pub fn note_received(&mut self, side: Side, count: usize, now: Instant) {
        let half = self.half(side);
        half.silence.end(half.last, now);
        half.last = now;
        half.received += count as u64;
    }

    /// Notes what went wrong; what came first counts.
    pub fn note_fault(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// Both ends have received something after `moment`.
    pub fn has_moved_since(&self, moment: Instant) -> bool {
        self.halves.iter().all(|half| half.last > moment)
    }

    /// One end has been silent for longer than the pace and `patience`.
    pub fn is_overdue(&self, patience: Duration, now: Instant) -> bool {
        let silences = self.halves.iter();
        let mut silences = silences.map(|half| now.saturating_duration_since(half.last));
        silences.any(|silence| silence > self.pace.interval + patience)
    }

    /// Each end has all that the other sent, and knows that there is no more.
    pub fn is_complete(&self) -> bool {
        let [client, server] = &self.halves;
        let is_whole = client.sent == server.received && server.sent == client.received;
        is_whole && client.has_ended && server.has_ended
    }

    /// The longest silence at either end.
    pub fn silence(&self, now: Instant) -> Duration {
        let [client, server] = &self.halves;
        client.silence(now).max(server.silence(now))
    }
}
