//! One box of the pair, without I/O: links and failover composed. The driver feeds it frames, time,
//! inputs and commands, and after each call empties `poll_transmit` and `poll_action`, then sleeps until
//! `poll_timeout` at most. It must read what its sockets hold before it calls `handle_timeout`, so that
//! nobody is declared dead whose beat lies in a buffer.

mod learn;

use crate::failover::{Command, Event, Preference, State, Step, step};
use crate::link::Link;
use crate::report::{
    LinkStatus, PastTransition, PeerStatus, Report, Status, TRANSITIONS_MAX, Transition,
};
use crate::settings::{LINKS_MAX, Settings};
use crate::time::{Instant, millis};
use crate::view::{Member, View, can_take};
use crate::wire::{Beat, Codec, FrameBytes, Standing};
use core::fmt;
use core::time::Duration;
use heapless::{Deque, Vec};

pub use crate::settings::{ConfigVersion, FailBack, Medium, Timing};

/// How long a box that starts hears out its links before it takes anything, at least; four dead times
/// of its slowest link where that is longer.
pub const LISTEN_MIN: Duration = Duration::from_secs(1);
/// How long a planned handover may take before it is called off.
pub const HANDOVER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the driver has to set all addresses. Less than `HANDOVER_TIMEOUT`: the one that can't take
/// says so before the other gives up.
pub const TAKE_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long the driver has to remove all addresses before it is told again.
pub const RELEASE_RETRY: Duration = Duration::from_secs(1);
/// How long a returning box of higher priority must be fit before it is handed the addresses.
pub const FAIL_BACK_SETTLE: Duration = Duration::from_secs(3);
/// Reports that wait for the driver. When they are not fetched the newest are dropped and counted: the
/// first tell what began.
pub const REPORTS_MAX: usize = 32;
/// Earlier starts of the peer that are remembered, so that their frames stay dead. The oldest is
/// forgotten; its frames then fail by their old echo.
const RETIRED_MAX: usize = 8;
/// Events that one call can lead to before it is certain that they go round in circles.
const EVENTS_MAX: usize = 8;

/// Position of a link in `Settings::links`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkIndex(pub u8);

/// What the driver tells the node about its box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Interfaces under virtual addresses that have carrier.
    Fitness(u8),
    /// The dataplane has applied its plan. To be repeated now and then: after addresses that could not
    /// be set in time the node takes the box for not ready until it is told again.
    Ready(bool),
    /// The order `Action::TakeAddresses` of that term is done.
    AddressesTaken {
        /// As in the order.
        term: u64,
    },
    /// The order `Action::ReleaseAddresses` of that term is done.
    AddressesReleased {
        /// As in the order.
        term: u64,
    },
}

/// What the driver is to do. The first three are orders; the newest order replaces one not yet
/// fetched, since it alone says what the kernel should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Set all virtual addresses, announce each (gratuitous ARP, unsolicited NA), then answer
    /// `Input::AddressesTaken`. Addresses that are there already are announced all the same.
    TakeAddresses {
        /// To be repeated in the answer.
        term: u64,
    },
    /// Remove all virtual addresses, also such as an earlier run left, then answer
    /// `Input::AddressesReleased`.
    ReleaseAddresses {
        /// To be repeated in the answer.
        term: u64,
    },
    /// Announce all virtual addresses again: the other box may have answered for them.
    Announce,
    /// Say it in the log.
    Report(Report),
}

/// Why a command is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The box has just started.
    Listening,
    /// It is active already.
    AlreadyActive,
    /// It is not ready to take over.
    NotReady,
    /// Nobody could take over.
    NoPeer,
    /// The peer can't take over.
    PeerUnable,
    /// A change of roles is under way.
    Busy,
    /// It has resigned.
    Resigned,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Listening => "the box has just started; try again in a few seconds",
            Refusal::AlreadyActive => "this box is active already",
            Refusal::NotReady => {
                "this box is not ready: its dataplane has not applied the config; see `log`"
            }
            Refusal::NoPeer => {
                "the peer is not heard on any link, so nobody could take over; see `status`"
            }
            Refusal::PeerUnable => "the peer is not ready to take over; see `status` there",
            Refusal::Busy => "a change of roles is under way; see `status` and try again",
            Refusal::Resigned => "this box is going down",
        })
    }
}

/// A frame to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where.
    pub link: LinkIndex,
    /// As one datagram, or through `serial`.
    pub frame: FrameBytes,
}

/// What a node remembers of its peer.
#[derive(Debug, Clone)]
struct Peer {
    incarnation: u64,
    standing: Standing,
    /// Some link to it is up.
    alive: bool,
}

/// One box of the pair.
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
    peer: Option<Peer>,
    retired: Deque<u64, RETIRED_MAX>,
    /// Highest term seen of either box.
    term_max: u64,
    /// See `View::abandoned`.
    abandoned: bool,
    /// The peer may have answered for the addresses since we last looked.
    peer_may_answer: bool,
    /// The operator chose this box: no fail-back until the peer was gone.
    chosen: bool,
    /// Vacant addresses are left alone until then: links are still being heard out.
    vacant_from: Instant,
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
        let slowest = links.iter().map(Link::dead).max();
        let listen = LISTEN_MIN.max(slowest.unwrap_or_default() * 4);
        let standing = Standing {
            revision: 0,
            term: 0,
            state: State::Listening,
            priority: settings.priority,
            fitness: 0,
            ready: false,
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
            peer: None,
            retired: Deque::new(),
            term_max: 0,
            abandoned: false,
            peer_may_answer: true,
            chosen: false,
            vacant_from: now + listen,
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

    /// Does what is due. To be called at `poll_timeout`, after the sockets have been read empty.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.wake(now);
        self.settle();
    }

    /// Takes news of this box.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.wake(now);
        match input {
            Input::Fitness(carriers) => self.standing.fitness = carriers,
            Input::Ready(ready) => self.standing.ready = ready,
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
        let refusal = self.refusal(command);
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
        let (sequence, echo) = link.number_frame(now);
        let frame = self.codec.encode(&Beat {
            sender: self.settings.number,
            link: index,
            incarnation: self.incarnation,
            sequence,
            echo,
            standing: self.standing,
        })?;
        Some(Transmit {
            link: LinkIndex(index),
            frame,
        })
    }

    /// The next thing the driver is to do: orders first.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.order
            .take()
            .or_else(|| self.reports.pop_front().map(Action::Report))
    }

    /// When `handle_timeout` is to be called at the latest. Asked after `poll_transmit` ran empty, it
    /// lies ahead.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        let links = self.links.iter().map(Link::timeout);
        let vacant = (self.vacant_from > self.now).then_some(self.vacant_from);
        let better = self
            .better
            .map(|(why, since)| since + self.settle_time(why));
        let idle = self.now + self.settings.timing.beat;
        links
            .chain(self.deadline)
            .chain(vacant)
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
            ready: standing.ready,
            fitness: standing.fitness,
            dead_ms: millis(self.dead_time()),
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

    /// Silence after which the peer counts as dead: that of the slowest link that is up.
    #[must_use]
    pub fn dead_time(&self) -> Duration {
        let up = self.links.iter().filter(|link| link.is_up());
        up.map(Link::dead)
            .max()
            .unwrap_or(self.settings.timing.dead)
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
            generation: standing.generation,
            digest: standing.digest,
            same_config: !self.differs_from(standing),
        }
    }

    /// Takes note of the time. A box that stood still steps down before it does anything else.
    fn wake(&mut self, now: Instant) {
        let gap = now.since(self.now);
        self.now = self.now.max(now);
        if gap <= self.dead_time() {
            return;
        }
        self.report(Report::Stalled {
            gap_ms: millis(gap),
        });
        // Time in which this box did nothing counts neither against its peer nor against its driver.
        let mut grace = Duration::ZERO;
        for link in &mut self.links {
            link.grace(now);
            grace = grace.max(link.beat() * 2);
        }
        self.deadline = self.deadline.map(|deadline| deadline + gap);
        self.vacant_from = (self.vacant_from + gap).max(now + grace);
        self.apply(Event::Stalled);
    }

    /// Brings everything to what is known now.
    fn settle(&mut self) {
        self.judge_links();
        self.judge_peer();
        for _ in 0..EVENTS_MAX {
            let Some(event) = self.next_event() else {
                break;
            };
            if !self.apply(event) {
                break;
            }
        }
        self.prefer();
        self.expire();
        self.tell();
    }

    /// What the pair looks like, as an event.
    fn next_event(&self) -> Option<Event> {
        let event = self.view().event()?;
        let premature = matches!(event, Event::Vacant(_)) && self.now < self.vacant_from;
        (!premature).then_some(event)
    }

    fn view(&self) -> View {
        let alive = self.peer.as_ref().filter(|peer| peer.alive);
        View {
            own: Member {
                number: self.settings.number,
                standing: self.standing,
            },
            peer: alive.map(|peer| Member {
                number: self.settings.peer,
                standing: peer.standing,
            }),
            peer_was_heard: self.peer.is_some(),
            abandoned: self.abandoned,
        }
    }

    /// Offers the addresses to a peer that has been the better one for long enough.
    fn prefer(&mut self) {
        let mut preference = self.view().preference(self.settings.fail_back);
        if self.chosen && preference == Some(Preference::Priority) {
            preference = None;
        }
        self.better = match (preference, self.better) {
            (Some(why), Some((before, since))) if why == before => Some((why, since)),
            (Some(why), _) => Some((why, self.now)),
            (None, _) => None,
        };
        if let Some((why, since)) = self.better
            && self.now.since(since) >= self.settle_time(why)
        {
            self.better = None;
            self.apply(Event::PeerBetter(why));
        }
    }

    /// Long enough that a fault common to both boxes has shown itself on both.
    fn settle_time(&self, why: Preference) -> Duration {
        match why {
            Preference::Fitness => self.dead_time(),
            Preference::Priority => FAIL_BACK_SETTLE,
        }
    }

    /// Tells the state machine that its time is up.
    fn expire(&mut self) {
        if self.deadline.is_some_and(|deadline| self.now >= deadline) {
            self.deadline = None;
            self.apply(Event::Deadline);
        }
    }

    /// Tells the peer at once when something changed.
    fn tell(&mut self) {
        if self.standing == self.told {
            return;
        }
        self.standing.revision = self.standing.revision.wrapping_add(1);
        self.told = self.standing;
        for link in &mut self.links {
            link.hurry(self.now);
        }
    }

    /// Gives the state machine an event; says whether the state changed.
    fn apply(&mut self, event: Event) -> bool {
        match step(self.standing.state, event) {
            Step::Stay => false,
            Step::Announce => {
                self.order.get_or_insert(Action::Announce);
                false
            }
            Step::Again => {
                self.enter(self.standing.state);
                false
            }
            Step::Go(to, reason) => {
                let from = self.standing.state;
                self.keep_in_mind(from, event);
                self.enter(to);
                self.since = self.now;
                let term = self.standing.term;
                self.note(Transition {
                    from,
                    to,
                    term,
                    reason,
                });
                true
            }
        }
    }

    /// What a change of state means for the next ones.
    fn keep_in_mind(&mut self, from: State, event: Event) {
        match event {
            Event::Vacant(_) | Event::Offered => {
                self.abandoned = false;
                self.chosen = from == State::Asking;
            }
            // Not again at once: somebody else may be able to.
            Event::Deadline if from == State::Taking => self.standing.ready = false,
            _ => {}
        }
    }

    /// Enters a state, or enters it anew: with its order, and the time it may take.
    fn enter(&mut self, state: State) {
        if state == State::Taking {
            self.term_max = self.term_max.saturating_add(1);
            self.standing.term = self.term_max;
        }
        self.standing.state = state;
        let term = self.standing.term;
        match state {
            State::Taking => self.order = Some(Action::TakeAddresses { term }),
            State::Releasing(_) => self.order = Some(Action::ReleaseAddresses { term }),
            _ => {}
        }
        self.deadline = patience(state).map(|span| self.now + span);
    }

    fn note(&mut self, transition: Transition) {
        if self.transitions.is_full() {
            self.transitions.pop_back();
        }
        // There is room now.
        let _ = self.transitions.push_front((self.now, transition));
        self.report(Report::Transition(transition));
    }

    fn report(&mut self, report: Report) {
        if self.reports.push_back(report).is_err() {
            self.reports_dropped = self.reports_dropped.saturating_add(1);
        }
    }

    fn refusal(&self, command: Command) -> Option<Refusal> {
        match (command, self.standing.state) {
            (Command::Resign, _) => None,
            (_, State::Resigned) => Some(Refusal::Resigned),
            (_, State::Taking | State::Offering(_) | State::Releasing(_)) => Some(Refusal::Busy),
            (Command::Standby, State::Active) => match &self.view().peer {
                None => Some(Refusal::NoPeer),
                Some(peer) if !can_take(&peer.standing) => Some(Refusal::PeerUnable),
                Some(_) => None,
            },
            (Command::Standby, _) => None,
            (Command::Takeover, State::Listening) => Some(Refusal::Listening),
            (Command::Takeover, State::Active) => Some(Refusal::AlreadyActive),
            (Command::Takeover, State::Asking) => Some(Refusal::Busy),
            (Command::Takeover, State::Standby | State::Held) => {
                (!self.standing.ready).then_some(Refusal::NotReady)
            }
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
        State::Releasing(_) => Some(RELEASE_RETRY),
        State::Listening | State::Standby | State::Held | State::Active | State::Resigned => None,
    }
}
