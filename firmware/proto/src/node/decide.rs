//! What a node decides: it turns what it knows now into events of the failover machine, and the
//! machine's steps into orders, deadlines and reports. It is run to its end after each call.

use super::{Action, FAIL_BACK_SETTLE, Node, Refusal, patience};
use crate::failover::{Command, Event, Preference, State, Step, Vacancy, step};
use crate::report::{Report, Transition};
use crate::sabotage::{Sabotage, is_broken};
use crate::term;
use crate::view::{Member, View, can_take, loses_all};
use core::time::Duration;

/// Events that one call can lead to before it is certain that they go round in circles.
const EVENTS_MAX: usize = 8;

impl Node {
    /// Brings everything to what is known now.
    pub(super) fn settle(&mut self) {
        self.judge_dead_time();
        self.judge_links();
        self.hear_out();
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
        let premature = match event {
            Event::Vacant(_) => self.now < self.vacant_from.max(self.stale_until),
            Event::Offered => self.now < self.stale_until,
            _ => false,
        };
        let is_left = is_broken(Sabotage::NoTakeover) && event == Event::Vacant(Vacancy::PeerDead);
        let goes_on = !premature || is_broken(Sabotage::NoGrace);
        (goes_on && !is_left).then_some(event)
    }

    pub(super) fn view(&self) -> View {
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
        let preference = self.view().preference(self.settings.fail_back);
        let preference = preference.filter(|why| !self.is_chosen(*why));
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

    /// The peer is to have the addresses back, and first must be told of all connections.
    pub(super) fn fail_back_waits(&self) -> bool {
        let waits = self.view().fail_back_waits(self.settings.fail_back);
        waits && !self.is_chosen(Preference::Priority)
    }

    /// The operator chose this box in spite of that. Carriers lost since then, or gained by the peer, are
    /// another matter.
    fn is_chosen(&self, why: Preference) -> bool {
        self.chosen.is_some_and(|accepted| match why {
            Preference::Priority => true,
            Preference::Fitness => self.standing.fitness > 0 && self.carriers_behind() <= accepted,
        })
    }

    /// Carriers that the peer has more than this box.
    fn carriers_behind(&self) -> u8 {
        let peer = self.peer.as_ref();
        let fitness = peer.map_or(0, |peer| peer.standing.fitness);
        fitness.saturating_sub(self.standing.fitness)
    }

    /// Long enough that a fault common to both boxes has shown itself on both.
    pub(super) fn settle_time(&self, why: Preference) -> Duration {
        match why {
            Preference::Fitness => self.silence_max(),
            Preference::Priority => FAIL_BACK_SETTLE,
        }
    }

    /// Tells the state machine that its time is up.
    pub(super) fn expire(&mut self) {
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
        if self.standing.dead_ms != self.told.dead_ms {
            self.dead.tell(self.standing.revision);
        }
        self.told = self.standing;
        for link in &mut self.links {
            link.hurry(self.now);
        }
    }

    /// Gives the state machine an event; says whether the state changed.
    pub(super) fn apply(&mut self, event: Event) -> bool {
        match step(self.standing.state, event) {
            Step::Stay => false,
            Step::Announce if is_broken(Sabotage::AnnounceOnce) => false,
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
                if from.holds() && to == State::Active {
                    // Who was to take the addresses may have announced them already.
                    self.order.get_or_insert(Action::Announce);
                }
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
                self.chosen = (from == State::Asking).then(|| self.carriers_behind());
            }
            // Not again at once: somebody else may be able to.
            Event::Deadline if from == State::Taking => self.standing.ready = false,
            _ => {}
        }
    }

    /// Enters a state, or enters it anew: with its order, and the time it may take.
    fn enter(&mut self, state: State) {
        if state == State::Taking {
            let (own, peer) = (self.settings.number, self.settings.peer);
            self.term_max = term::next(self.term_max, own, peer);
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

    pub(super) fn report(&mut self, report: Report) {
        if self.reports.push_back(report).is_err() {
            self.reports_dropped = self.reports_dropped.saturating_add(1);
        }
    }

    /// Why it had better wait: a planned handover breaks no connection.
    pub(super) fn misgiving(&self, command: Command) -> Option<Refusal> {
        let view = self.view();
        let (own, peer) = (&self.standing, &view.peer?.standing);
        match command {
            Command::Standby if own.state == State::Active && !peer.in_sync => {
                Some(Refusal::PeerNotInSync)
            }
            // A peer that could not take over anyway is no reason to stay.
            Command::Resign if own.state == State::Active && !peer.in_sync && can_take(peer) => {
                Some(Refusal::PeerNotInSync)
            }
            Command::Takeover if peer.state.holds() && !own.in_sync => Some(Refusal::NotInSync),
            Command::Standby | Command::Takeover | Command::Resign => None,
        }
    }

    pub(super) fn refusal(&self, command: Command) -> Option<Refusal> {
        match (command, self.standing.state) {
            (Command::Resign, _) => None,
            (_, State::Resigned) => Some(Refusal::Resigned),
            (_, State::Taking | State::Offering(_) | State::Releasing(_)) => Some(Refusal::Busy),
            (Command::Standby, State::Active) => match &self.view().peer {
                None => Some(Refusal::NoPeer),
                Some(peer) if !can_take(&peer.standing) => Some(Refusal::PeerUnable),
                Some(peer) if loses_all(&self.standing, &peer.standing) => {
                    Some(Refusal::PeerNoCarrier)
                }
                Some(_) => None,
            },
            (Command::Standby, _) => None,
            (Command::Takeover, State::Listening) => Some(Refusal::Listening),
            (Command::Takeover, State::Active) => Some(Refusal::AlreadyActive),
            (Command::Takeover, State::Asking) => Some(Refusal::Busy),
            (Command::Takeover, State::Standby | State::Held) if !self.standing.ready => {
                Some(Refusal::NotReady)
            }
            (Command::Takeover, State::Standby | State::Held) => {
                let peer = self.view().peer;
                let strands = peer.is_some_and(|it| loses_all(&it.standing, &self.standing));
                strands.then_some(Refusal::NoCarrier)
            }
        }
    }
}
