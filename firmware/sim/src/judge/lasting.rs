//! Rules about what must not last: two owners, nobody who serves, a winner that owes its announcement. Each has a
//! clock that runs while it holds, and a bound.

use super::{Rule, SLACK_US, Since, Turned};
use crate::cable::Cable;
use crate::machine::Machine;
use crate::world::{Pair, World, micros};
use proto::failover::State;
use proto::node::{Medium, RELEASE_RETRY, TAKE_TIMEOUT};
use proto::serial::LINE_BYTES_USUAL;

/// What a takeover may cost besides the dead time: invariant 2 of the design.
const TAKEOVER_US: u64 = 100_000;
/// A link that loses more than so many frames in a thousand joins nobody.
const LOSS_PERMILLE_MAX: u32 = 100;
/// Bytes damaged in a thousand, on a serial line that joins.
const NOISE_PERMILLE_MAX: u32 = 2;

impl World {
    pub(super) fn judge_both(&mut self, pair: usize) {
        let now_us = self.now_us;
        let machines = &self.machines[pair * 2..pair * 2 + 2];
        let counts = machines.iter().all(|it| {
            it.kernel.any && it.is_brisk(now_us) && !it.is_letting_go() && !it.is_let_down(now_us)
        });
        // What earlier starts left on both boxes stays until one of them has heard the other out.
        let knows = machines.iter().any(|it| it.state != State::Listening);
        let counts = counts && knows && self.is_joined(pair);
        let news_us = self.news_us(pair);
        let clock = self.turn(self.pairs[pair].books.both, counts, pair, news_us);
        self.pairs[pair].books.both = clock.now;
        if let Some(text) = clock.overdue {
            self.violate(pair * 2, Rule::TwoOwners, format!("both answer for {text}"));
        }
    }

    pub(super) fn judge_vacancy(&mut self, pair: usize) {
        let first = pair * 2;
        let nobody = !self.machines[first].serves() && !self.machines[first + 1].serves();
        for of in [first, first + 1] {
            // Whoever comes first may still be listening, whatever its state.
            let peer = &self.machines[of ^ 1];
            let listens = peer.state == State::Listening || self.now_us < peer.heard_out_us;
            let waits = peer.node.is_some() && listens || peer.is_stuck(self.now_us);
            let counts = nobody && !waits && self.machines[of].is_able(self.now_us);
            let before = self.pairs[pair].books.vacant[of % 2];
            let mut clock = self.turn(before, counts, pair, self.vacancy_us(of));
            if let (None, Some(since)) = (before, &mut clock.now) {
                // Silence begins with the last frame that was on its way, be it from worse weather.
                let cables = self.pairs[pair].cables.iter();
                let flight = cables.map(|cable| cable.in_flight_us(self.now_us));
                since.flight_us = flight.max().unwrap_or_default();
            }
            self.pairs[pair].books.vacant[of % 2] = clock.now;
            if let Some(text) = clock.overdue {
                self.violate(of, Rule::NobodyServes, format!("nobody answers for {text}"));
            }
        }
    }

    /// Lets a clock go on, or stops it. It is judged before that: what held until now was true all the while.
    fn turn(&self, clock: Option<Since>, counts: bool, pair: usize, bound_us: u64) -> Turned {
        let lost = self.lost(pair);
        let mut now = clock.or(counts.then_some(Since {
            at_us: self.now_us,
            lost,
            bound_us,
            flight_us: 0,
        }));
        let mut overdue = None;
        if let Some(since) = &mut now {
            since.bound_us = since.bound_us.max(bound_us);
            let lasted_us = self.now_us - since.at_us;
            let unlucky_us = (lost - since.lost) * micros(self.setup.timing.beat);
            let may_us = since.bound_us + since.flight_us + unlucky_us;
            overdue = (lasted_us > may_us)
                .then(|| format!("{} ms, more than {} ms", lasted_us / 1000, may_us / 1000));
        }
        Turned {
            now: now.filter(|_| counts),
            overdue,
        }
    }

    /// How long nobody may serve, though this box is able.
    fn vacancy_us(&self, of: usize) -> u64 {
        let own = &self.machines[of];
        let peer = &self.machines[of ^ 1];
        let pair = &self.pairs[of / 2];
        let flight = pair.cables.iter().map(|cable| self.flight_us(cable));
        let flight_us = flight.max().unwrap_or_default();
        let mut bound_us =
            own.silence_max_us() + flight_us + TAKEOVER_US + 2 * self.setup.change_us;
        // The peer goes first, as far as anybody can know, and fails.
        if peer.trouble(self.now_us).is_some() || pair.books.troubled_us + 3_000_000 > self.now_us {
            bound_us += micros(TAKE_TIMEOUT + RELEASE_RETRY);
        }
        if let Some(slow) = peer.slow.filter(|_| peer.is_slow(self.now_us)) {
            bound_us += 8 * slow.late_us;
        }
        bound_us
    }

    pub(super) fn judge_owed(&mut self, pair: usize) {
        let now_us = self.now_us;
        for of in [pair * 2, pair * 2 + 1] {
            let owes = self.pairs[pair].books.owes[of % 2];
            if owes.is_none() {
                continue;
            }
            let (winner, loser) = (&self.machines[of], &self.machines[of ^ 1]);
            let holds = winner.kernel.all && winner.state.holds() && winner.is_brisk(now_us);
            // A loser that takes them anew is about to answer again.
            let is_rid = !loser.kernel.any && loser.state != State::Taking;
            let is_told = loser.is_brisk(now_us) && is_rid && self.is_joined(pair);
            let clock = self.turn(owes, holds && is_told, pair, self.news_us(pair));
            self.pairs[pair].books.owes[of % 2] = clock.now;
            if let Some(text) = clock.overdue {
                let text = format!("has not announced since the loser let go, for {text}");
                self.violate(of, Rule::NotAnnounced, text);
            }
        }
    }

    /// Who is active hands over to a peer with more carriers: once it knows of them, and has waited for as long as
    /// the news of a fault common to both may take. What the operator chose in this life is left alone.
    pub(super) fn judge_lesser(&mut self, pair: usize) {
        let now_us = self.now_us;
        for of in [pair * 2, pair * 2 + 1] {
            let (own, peer) = (&self.machines[of], &self.machines[of ^ 1]);
            let is_well = |it: &Machine| it.is_brisk(now_us) && !it.is_let_down(now_us);
            let can_take = peer.state == State::Standby && peer.ready && peer.believes_ready;
            let is_chosen = self.pairs[pair].books.commanded_us.is_some();
            let counts = own.state == State::Active
                && peer.carriers > own.carriers
                && can_take
                && !is_chosen
                && is_well(own)
                && is_well(peer)
                && self.is_joined(pair);
            let bound_us = own.silence_max_us() + self.news_us(pair);
            let before = self.pairs[pair].books.lesser[of % 2];
            let clock = self.turn(before, counts, pair, bound_us);
            self.pairs[pair].books.lesser[of % 2] = clock.now;
            if let Some(text) = clock.overdue {
                let text = format!("keeps the addresses from a peer with more carriers for {text}");
                self.violate(of, Rule::CarriersIgnored, text);
            }
        }
    }

    /// The kernel of a box has announced its addresses.
    pub(crate) fn announced(&mut self, of: usize) {
        self.pairs[of / 2].books.owes[of % 2] = None;
    }

    /// The kernel of a box has removed its addresses.
    pub(crate) fn released(&mut self, of: usize) {
        let winner = &self.machines[of ^ 1];
        let lost = self.lost(of / 2);
        let holds = winner.kernel.all && winner.state.holds();
        let bound_us = self.news_us(of / 2);
        let at_us = self.now_us;
        let books = &mut self.pairs[of / 2].books;
        books.owes[of % 2] = None;
        if core::mem::take(&mut books.contested) && holds {
            books.owes[1 - of % 2] = Some(Since {
                at_us,
                lost,
                bound_us,
                flight_us: 0,
            });
        }
    }

    pub(super) fn is_joined(&self, pair: usize) -> bool {
        let dead_us = micros(self.setup.timing.dead);
        joining(&self.pairs[pair], self.now_us, dead_us)
            .next()
            .is_some()
    }

    /// How long news takes between the boxes of a pair at most: one dead time, or what it takes on the best link.
    fn news_us(&self, pair: usize) -> u64 {
        let machines = &self.machines[pair * 2..pair * 2 + 2];
        let dead = machines.iter().map(Machine::silence_max_us).max();
        let timing = self.setup.timing;
        let links = joining(&self.pairs[pair], self.now_us, micros(timing.dead));
        let best = links.map(|link| {
            let beat_us = micros(timing.beat).max(2 * link.airtime_us);
            3 * beat_us + 2 * (link.airtime_us + link.delay_us)
        });
        let slack_us = SLACK_US + 2 * self.setup.change_us;
        dead.max(best.min()).unwrap_or_default() + slack_us
    }

    /// What a frame is on its way for, at most, behind another one.
    pub(super) fn flight_us(&self, cable: &Cable) -> u64 {
        let condition = cable.condition(self.now_us);
        cable.airtime_us(2 * LINE_BYTES_USUAL) + condition.delay_us + condition.jitter_us
    }

    /// Frames that chance took from a pair so far.
    pub(super) fn lost(&self, pair: usize) -> u64 {
        self.pairs[pair]
            .cables
            .iter()
            .map(|cable| cable.lost())
            .sum()
    }
}

/// A link that carries news both ways.
struct Joining {
    airtime_us: u64,
    delay_us: u64,
}

fn joining(pair: &Pair, now_us: u64, dead_us: u64) -> impl Iterator<Item = Joining> {
    pair.cables.iter().filter_map(move |cable| {
        let condition = cable.condition(now_us);
        let damage = match cable.medium {
            Medium::Datagram => condition.corrupt_permille <= LOSS_PERMILLE_MAX,
            Medium::Serial { .. } => condition.corrupt_permille <= NOISE_PERMILLE_MAX,
        };
        let delay_us = condition.delay_us + condition.jitter_us;
        let joins = damage
            && condition.loss_permille <= LOSS_PERMILLE_MAX
            && delay_us <= dead_us / 4
            && !cable.is_late(now_us)
            && !cable.is_cut(0, now_us)
            && !cable.is_cut(1, now_us);
        joins.then(|| Joining {
            airtime_us: cable.airtime_us(LINE_BYTES_USUAL),
            delay_us,
        })
    })
}
