//! One box of the pair, without I/O: links and failover composed. The driver feeds it frames, time,
//! inputs and commands, and after each call empties `poll_transmit` and `poll_action`, then sleeps until
//! `poll_timeout` at most. It must read what its sockets hold before it calls `handle_timeout`, so that
//! nobody is declared dead whose beat lies in a buffer.

mod decide;
mod io;
mod learn;
mod silence;

use crate::dead_time::DeadTime;
use crate::failover::{Command, Event, Preference, State};
use crate::link::Link;
use crate::report::{
    LinkStatus, PastTransition, PeerStatus, Report, Status, TRANSITIONS_MAX, Transition,
};
use crate::sabotage::{Sabotage, is_broken};
use crate::settings::{LINKS_MAX, Settings};
use crate::term;
use crate::time::{Instant, micros, millis};
use crate::wire::{Beat, Codec, Echo, Standing};
use core::time::Duration;
use heapless::{Deque, Vec};
use silence::Probes;

pub use crate::settings::{ConfigVersion, FailBack, Medium, Timing};
pub use io::{Action, Input, LinkIndex, Refusal, Transmit};
pub use silence::PROBES;

/// How long a box that starts hears out its links before it takes anything, at least; four times
/// the patience of its slowest link where that is longer. Less where it is past `State::Listening`, the peer being
/// active, and every link is up: there is nothing left to be heard.
pub const LISTEN_MIN: Duration = Duration::from_secs(1);
/// How long a planned handover may take before it is called off.
pub const HANDOVER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the driver has to set all addresses. Less than `HANDOVER_TIMEOUT`: the one that can't take
/// says so before the other gives up.
pub const TAKE_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long the driver has to remove all addresses before it is told again.
pub const RELEASE_RETRY: Duration = Duration::from_secs(1);
/// From one announcement to the next while the peer does not let go of the addresses.
pub const CONTEST_REPEAT: Duration = Duration::from_secs(5);
/// How long a returning box of higher priority must be fit before it is handed the addresses.
pub const FAIL_BACK_SETTLE: Duration = Duration::from_secs(3);
/// Reports that wait for the driver. When they are not fetched the newest are dropped and counted: the
/// first tell what began.
pub const REPORTS_MAX: usize = 32;
/// Earlier starts of the peer that are remembered, so that their frames stay dead. The oldest is
/// forgotten; its frames then fail by their old echo.
const RETIRED_MAX: usize = 8;

/// What a node remembers of its peer.
#[derive(Debug, Clone)]
struct Peer {
    incarnation: u64,
    standing: Standing,
    /// Some link to it is up, or it talks.
    alive: bool,
    /// When it was last heard, whether or not it hears this box, and where; not when that was too long ago.
    talked: Option<(Instant, LinkIndex)>,
}

/// An earlier start of the peer.
#[derive(Debug, Clone)]
struct Retired {
    incarnation: u64,
    /// What this box had sent when another start took its place: sequence numbers, in the links' order.
    sent: Vec<u64, LINKS_MAX>,
}

/// One box of the pair. A copy goes its own way from here on, which is how tests try what may follow.
#[derive(Clone)]
pub struct Node {
    settings: Settings,
    codec: Codec,
    incarnation: u64,
    now: Instant,
    links: Vec<Link, LINKS_MAX>,
    standing: Standing,
    /// Standing as the peer has been told it.
    told: Standing,
    since: Instant,
    deadline: Option<Instant>,
    dead: DeadTime,
    /// The dead time in force that was last reported, in milliseconds.
    dead_said_ms: u64,
    probes: Probes,
    peer: Option<Peer>,
    retired: Deque<Retired, RETIRED_MAX>,
    /// Highest term seen of either box.
    term_max: u64,
    /// See `View::abandoned`.
    abandoned: bool,
    /// The peer may have answered for the addresses since we last looked.
    peer_may_answer: bool,
    /// When to announce next because the peer does not let go; `None`: it has.
    contest: Option<Instant>,
    /// The operator chose this box, until the peer is gone: no fail-back, and so many carriers that the
    /// peer had more are no reason to hand over.
    chosen: Option<u8>,
    /// Vacant addresses are left alone until then: links are still being heard out.
    vacant_from: Instant,
    /// Vacant addresses and offers are left alone until then: this box stood still, and what it reads first was
    /// said before.
    stale_until: Instant,
    /// The peer would serve better, since when.
    better: Option<(Preference, Instant)>,
    differs: bool,
    order: Option<Action>,
    reports: Deque<Report, REPORTS_MAX>,
    reports_dropped: u64,
    transitions: Deque<(Instant, Transition), TRANSITIONS_MAX>,
}

impl Node {
    /// A box that has just started. `seed` is random and differs from start to start: it is the
    /// incarnation that tells this start's frames from those of any other.
    #[must_use]
    pub fn new(now: Instant, settings: Settings, seed: u64) -> Self {
        let links: Vec<Link, LINKS_MAX> = settings
            .links
            .iter()
            .map(|medium| Link::new(now, *medium, settings.timing))
            .collect();
        let slowest = links.iter().map(Link::patience).max();
        let listen = LISTEN_MIN.max(slowest.unwrap_or_default() * 4);
        let dead = DeadTime::new(now, settings.timing);
        let standing = Standing {
            revision: 0,
            term: 0,
            state: State::Listening,
            priority: settings.priority,
            fitness: 0,
            ready: false,
            in_sync: false,
            dead_ms: dead.wish_ms(),
            generation: settings.config.generation,
            digest: settings.config.digest,
        };
        Self {
            codec: Codec::new(settings.cluster, &settings.key),
            incarnation: seed,
            now,
            links,
            standing,
            told: standing,
            since: now,
            deadline: Some(now + listen),
            dead_said_ms: dead.wish_ms().into(),
            dead,
            probes: Probes::default(),
            peer: None,
            retired: Deque::new(),
            term_max: 0,
            abandoned: false,
            peer_may_answer: true,
            contest: None,
            chosen: None,
            vacant_from: now + listen,
            stale_until: now,
            better: None,
            differs: false,
            order: None,
            reports: Deque::new(),
            reports_dropped: 0,
            transitions: Deque::new(),
            settings,
        }
    }

    /// Takes a frame that came in on a link.
    pub fn handle_frame(&mut self, now: Instant, link: LinkIndex, frame: &[u8]) {
        self.wake(now);
        self.receive(link, frame);
        self.settle();
    }

    /// Does what is due; the only call that judges silence. To be called at `poll_timeout`, after the
    /// sockets have been read empty.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.wake(now);
        self.judge_silence();
        self.settle();
    }

    /// Takes news of this box.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.wake(now);
        match input {
            Input::Fitness(carriers) => self.standing.fitness = carriers,
            Input::Ready(ready) => self.standing.ready = ready,
            Input::InSync(in_sync) => self.standing.in_sync = in_sync,
            Input::Config(version) => self.change_config(version),
            Input::AddressesTaken { term } if term == self.standing.term => {
                self.apply(Event::Taken);
            }
            Input::AddressesReleased { term } if term == self.standing.term => {
                self.apply(Event::Released);
            }
            // The answer to an order that a newer one has replaced.
            Input::AddressesTaken { .. } | Input::AddressesReleased { .. } => {}
        }
        self.settle();
    }

    /// Takes a command. What becomes of it is seen in the status and in reports.
    ///
    /// # Errors
    /// Why it can't be carried out now; nothing has changed then.
    pub fn handle_command(&mut self, now: Instant, command: Command) -> Result<(), Refusal> {
        self.wake(now);
        let refusal = self.refusal(command).or_else(|| self.misgiving(command));
        self.obey(command, refusal)
    }

    /// As `handle_command`, whatever becomes of connections.
    ///
    /// # Errors
    /// As there.
    pub fn force_command(&mut self, now: Instant, command: Command) -> Result<(), Refusal> {
        self.wake(now);
        let refusal = self.refusal(command);
        self.obey(command, refusal)
    }

    fn obey(&mut self, command: Command, refusal: Option<Refusal>) -> Result<(), Refusal> {
        if refusal.is_none() {
            self.apply(Event::Told(command));
        }
        self.settle();
        refusal.map_or(Ok(()), Err)
    }

    /// The next frame that is due, made of the newest there is to say. No frame ever waits: the queue
    /// is one mark per link.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let now = self.now;
        let mut links = self.links.iter_mut().zip(0..);
        let (link, index) = links.find(|(link, _)| link.is_due(now))?;
        let numbered = link.number_frame(now);
        let echo = numbered.heard.map(|(incarnation, sequence)| Echo {
            incarnation,
            sequence,
            revision: self.believed_revision(incarnation),
        });
        let frame = self.codec.encode(&Beat {
            sender: self.settings.number,
            link: index,
            incarnation: self.incarnation,
            sequence: numbered.sequence,
            echo,
            asks: numbered.asks,
            standing: self.standing,
        })?;
        Some(Transmit {
            link: LinkIndex(index),
            frame,
        })
    }

    /// The newest revision that is believed of that start of the peer.
    fn believed_revision(&self, incarnation: u64) -> u32 {
        let peer = self.peer.as_ref();
        let peer = peer.filter(|peer| peer.incarnation == incarnation);
        peer.map_or(0, |peer| peer.standing.revision)
    }

    /// The next thing the driver is to do: orders first.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.order
            .take()
            .or_else(|| self.reports.pop_front().map(Action::Report))
    }

    /// When `handle_timeout` is to be called at the latest. After `handle_timeout`, and once
    /// `poll_transmit` ran empty, it lies ahead.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        let links = self.links.iter().map(Link::timeout);
        let waits = [self.vacant_from, self.stale_until];
        let waits = waits.into_iter().filter(|from| *from > self.now);
        let better = self
            .better
            .map(|(why, since)| since + self.settle_time(why));
        let idle = self.now + self.settings.timing.beat;
        links
            .chain(self.deadline)
            .chain(self.probe_at())
            .chain(waits)
            .chain(self.contest)
            .chain(self.talks_until())
            .chain(better)
            .min()
            .unwrap_or(idle)
    }

    /// All it knows, for the console.
    #[must_use]
    pub fn status(&self, now: Instant) -> Status {
        let standing = &self.standing;
        Status {
            number: self.settings.number,
            role: standing.state.role(),
            state: standing.state,
            since_ms: millis(now.since(self.since)),
            term: standing.term,
            newest_term: self.term_max,
            newest_term_by: term::taker(self.term_max, self.settings.number, self.settings.peer),
            ready: standing.ready,
            in_sync: standing.in_sync,
            fitness: standing.fitness,
            dead_ms: millis(self.dead_time()),
            dead_configured_ms: millis(self.settings.timing.dead),
            silence_max_ms: millis(self.silence_max()),
            delay_us: micros(self.dead.delay()),
            peer: self.peer.as_ref().map(|peer| self.peer_status(peer)),
            links: self
                .links
                .iter()
                .map(|link| link.status(now))
                .collect::<Vec<LinkStatus, LINKS_MAX>>(),
            transitions: self
                .transitions
                .iter()
                .map(|(at, transition)| PastTransition {
                    ago_ms: millis(now.since(*at)),
                    transition: *transition,
                })
                .collect(),
            reports_dropped: self.reports_dropped,
        }
    }

    fn peer_status(&self, peer: &Peer) -> PeerStatus {
        let standing = &peer.standing;
        PeerStatus {
            number: self.settings.peer,
            incarnation: peer.incarnation,
            alive: peer.alive,
            role: standing.state.role(),
            state: standing.state,
            term: standing.term,
            priority: standing.priority,
            fitness: standing.fitness,
            ready: standing.ready,
            in_sync: standing.in_sync,
            fail_back_waits: self.fail_back_waits(),
            dead_ms: standing.dead_ms.into(),
            generation: standing.generation,
            digest: standing.digest,
            same_config: !self.differs_from(standing),
        }
    }
}

/// How long a box may be in a state before `Event::Deadline`; `None`: for ever. `State::Listening` is
/// entered at the start only, with a time that depends on the links.
#[must_use]
pub fn patience(state: State) -> Option<Duration> {
    match state {
        State::Asking | State::Offering(_) => Some(HANDOVER_TIMEOUT),
        State::Taking => Some(TAKE_TIMEOUT),
        State::Releasing(_) if is_broken(Sabotage::ReleaseOnce) => None,
        State::Releasing(_) => Some(RELEASE_RETRY),
        State::Listening | State::Standby | State::Held | State::Active | State::Resigned => None,
    }
}
