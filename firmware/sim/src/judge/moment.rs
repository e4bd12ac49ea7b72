//! Rules about single moments: addresses taken, a state changed, a box that goes on after a standstill.

use super::{Rule, SLACK_US};
use crate::machine::Sleep;
use crate::schedule::{Condition, Freeze};
use crate::world::{World, micros};
use proto::failover::{Reason, State, Vacancy};
use proto::link::Link;
use proto::node::HANDOVER_TIMEOUT;
use proto::report::Transition;
use proto::time::Instant;

/// A fast clock and a start on the way of a frame make listening end so much early.
const LISTEN_SLACK_US: u64 = 3_000;
/// For so long, news of an earlier start of a box may be on their way.
const OLD_NEWS_US: u64 = 1_000_000;

impl World {
    /// A box is about to take the addresses.
    pub(crate) fn judge_take(&mut self, of: usize, term: u64) {
        let machine = &self.machines[of];
        if !machine.believes_ready {
            self.violate(
                of,
                Rule::NotReady,
                "takes the addresses before its dataplane is ready".into(),
            );
        }
        let takers = &mut self.pairs[of / 2].books.takers;
        let newest = takers.last_key_value().map_or(0, |(term, _)| *term);
        let taker = *takers.entry(term).or_insert(of);
        if taker != of {
            self.violate(of, Rule::SameTerm, format!("both took term {term}"));
        } else if term > newest + 2 {
            self.violate(
                of,
                Rule::StrayTerm,
                format!("takes term {term}, and the newest was {newest}"),
            );
        }
    }

    /// A box that takes addresses has said why: it believes them to be vacant, or they are offered.
    pub(crate) fn judge_vacant(&mut self, of: usize) {
        let Some(Reason::Vacant(why)) = self.machines[of].reason else {
            return;
        };
        let own = &self.machines[of];
        if self.now_us + LISTEN_SLACK_US < own.listens_until_us {
            let text = "takes the addresses before it has heard out its links".into();
            self.violate(of, Rule::TakenUnheard, text);
        }
        let own = &self.machines[of];
        let has_asked = own.probes() > own.probes_before;
        if why == Vacancy::PeerDead && own.is_brisk(self.now_us) && !has_asked {
            let text = "takes the addresses of a silent peer that it has not asked".into();
            self.violate(of, Rule::NotProbed, text);
        }
        if self.peer_serves_well(of) && self.should_know(of, why) {
            let text = "takes the addresses of a healthy peer".into();
            self.violate(of, Rule::TakenUnasked, text);
        }
    }

    /// The peer serves and is well, and so is a link that joins them.
    fn peer_serves_well(&self, of: usize) -> bool {
        let now_us = self.now_us;
        let (own, peer) = (&self.machines[of], &self.machines[of ^ 1]);
        let clean = |condition: Condition| {
            condition.loss_permille + condition.corrupt_permille == 0
                && condition.delay_us + condition.jitter_us < micros(self.setup.timing.beat)
        };
        let mut cables = self.pairs[of / 2].cables.iter();
        let joined = cables.any(|cable| {
            let is_cut = cable.is_cut(0, now_us) || cable.is_cut(1, now_us);
            !is_cut && !cable.is_late(now_us) && clean(cable.condition(now_us))
        });
        joined
            && peer.serves()
            && peer.state == State::Active
            && peer.is_brisk(now_us)
            && own.is_brisk(now_us)
    }

    /// That the peer is active has been so for long enough to be known. Who believes it idle has heard it lately,
    /// and older news must not count: nothing but the way of the newest ones excuses that.
    fn should_know(&self, of: usize, why: Vacancy) -> bool {
        let (own, peer) = (&self.machines[of], &self.machines[of ^ 1]);
        let disturbed_us = self.pairs[of / 2].books.disturbed_us;
        let silence_us = own.silence_max_us().max(peer.silence_max_us());
        let calm_us = 2 * silence_us + 500_000;
        let whole = self.pairs[of / 2]
            .cables
            .iter()
            .filter(|cable| !cable.is_cut((of ^ 1) % 2, self.now_us));
        let fastest = whole.map(|cable| self.flight_us(cable));
        let news_us = micros(self.setup.timing.beat) + 2 * fastest.min().unwrap_or_default();
        match why {
            Vacancy::NobodyHeard | Vacancy::PeerDead => {
                self.now_us > disturbed_us.max(peer.state_since_us) + calm_us
            }
            Vacancy::Preferred | Vacancy::PeerResigned | Vacancy::PeerRestarted => {
                disturbed_us <= peer.state_since_us && self.now_us > peer.state_since_us + news_us
            }
        }
    }

    /// A box changes its state.
    pub(crate) fn judge_transition(&mut self, of: usize, transition: &Transition) {
        let peer = &self.machines[of ^ 1];
        if let (State::Offering(_), State::Releasing(_), Reason::Outranked) =
            (transition.from, transition.to, transition.reason)
            && !peer.kernel.all
            && peer.kernel.held_us < self.news_since_us(of)
            && peer.node.is_some()
            && peer.started_us + OLD_NEWS_US < self.now_us
        {
            self.violate(
                of,
                Rule::LetGoEarly,
                "lets go before its peer has the addresses".into(),
            );
        }
        if matches!(transition.to, State::Offering(_)) && !self.may_offer(of) {
            self.violate(
                of,
                Rule::HandedOverUnasked,
                "hands over unasked to a peer that is no better".into(),
            );
        }
        if transition.reason == Reason::TakeTimedOut {
            self.machines[of].believes_ready = false;
        }
    }

    /// What the peer says that a box hears now, it may have said since then: while this box is in its state, or
    /// stood still, or longer ago by the slowest link.
    fn news_since_us(&self, of: usize) -> u64 {
        let own = &self.machines[of];
        let since_us = own.reads_since_us.unwrap_or(u64::MAX);
        let cables = self.pairs[of / 2].cables.iter();
        let way_us = cables.map(|cable| {
            if cable.is_late(self.now_us) {
                OLD_NEWS_US
            } else {
                self.flight_us(cable)
            }
        });
        let way_us = way_us.max().unwrap_or_default();
        own.state_since_us.min(since_us).saturating_sub(way_us)
    }

    fn may_offer(&self, of: usize) -> bool {
        let (own, peer) = (&self.machines[of], &self.machines[of ^ 1]);
        let books = &self.pairs[of / 2].books;
        let commanded = books
            .commanded_us
            .is_some_and(|at| self.now_us < at + micros(HANDOVER_TIMEOUT) + 500_000);
        // What it knows of the connections there may be an earlier start's.
        let starts_us = peer.started_us + own.silence_max_us() + 500_000;
        let breaks_nothing = peer.in_sync || peer.node.is_none() || self.now_us < starts_us;
        let is_preferred = peer.settings.priority > own.settings.priority;
        let returns = self.setup.fails_back && is_preferred && breaks_nothing;
        let is_better = peer.carriers > own.carriers || self.seemed_better(of);
        commanded || (returns || is_better) && !self.is_held(of ^ 1)
    }

    /// The operator keeps a box standby, for so long that its peer knows; while that one has a carrier, it counts.
    fn is_held(&self, of: usize) -> bool {
        let (own, peer) = (&self.machines[of], &self.machines[of ^ 1]);
        let known_us = own.state_since_us + peer.silence_max_us() + 500_000;
        own.state == State::Held && peer.carriers > 0 && self.now_us > known_us
    }

    /// The peer had more carriers than this box has now, so lately that the box may not know better. What it knows
    /// may be as old as the silence it bears, and as what a frame was on its way for: where one fault takes the
    /// carriers of both, the peer may seem to be spared for so long.
    fn seemed_better(&self, of: usize) -> bool {
        let own = &self.machines[of];
        let more = usize::from(own.carriers) + 1..;
        let had_us = self.pairs[of / 2].books.carried_us[1 - of % 2].get(more);
        let had_us = had_us.into_iter().flatten().max();
        let known_us = own.silence_max_us() + 500_000;
        had_us.is_some_and(|until_us| self.now_us < until_us + known_us)
    }

    /// A box goes on after a standstill, and its node was told the time.
    pub(crate) fn judge_thaw(&mut self, of: usize, sleep: &Sleep, before: State) {
        let slept_us = self.now_us - sleep.since_us;
        let sees_it = sleep.how != Freeze::MachineAndClock;
        let too_long = slept_us > sleep.silence_max_us.max(self.line_silence_us()) + SLACK_US;
        if before.holds() && sees_it && too_long && self.machines[of].state.holds() {
            let text = format!(
                "keeps the addresses after a standstill of {} ms",
                slept_us / 1000
            );
            self.violate(of, Rule::ThawedOwner, text);
        }
    }

    /// What the slowest line needs to mean its silence, whether it is up or not.
    fn line_silence_us(&self) -> u64 {
        let links = self.setup.links.iter().map(|(medium, _)| {
            let link = Link::new(Instant::default(), *medium, self.setup.timing);
            micros(link.patience_min())
        });
        links.max().unwrap_or_default()
    }
}
