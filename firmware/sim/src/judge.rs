//! What must hold, judged after everything that happens. Each rule says when it counts: it never demands what no
//! protocol could do, such as one owner while the two boxes can't hear each other.
//!
//! - Two owners: while both boxes run and some usable link joins them, both answer for an address no longer than
//!   one dead time: the larger silence that either bears now, or what two beats each way take where that is
//!   longer (a line that came up just now), and one beat more for each frame that chance took meanwhile.
//! - Nobody serves: while some box is able (`Machine::is_able`), nobody answers for all addresses no longer than
//!   its dead time and 100 ms from the last thing that befell the pair.

mod lasting;
mod moment;

use crate::machine::CARRIERS_MAX;
use crate::world::World;
use core::fmt;
use std::collections::BTreeMap;

/// Slack for what the boxes do in no time here, and for clocks that are slow.
const SLACK_US: u64 = 2_000;

/// What was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// Both boxes answered for longer than one dead time.
    TwoOwners,
    /// Nobody answered, though a healthy box was there.
    NobodyServes,
    /// Addresses were taken before the dataplane was ready.
    NotReady,
    /// Both boxes took the same term.
    SameTerm,
    /// A term that follows from no other.
    StrayTerm,
    /// A box took the addresses of a healthy peer that it could hear.
    TakenUnasked,
    /// A box took addresses right after its start.
    TakenUnheard,
    /// A box handed over though nobody asked and the peer was no better.
    HandedOverUnasked,
    /// A box took the addresses of a silent peer that it had not asked for a sign of life.
    NotProbed,
    /// A box kept the addresses though its peer had more carriers.
    CarriersIgnored,
    /// A box let go of the addresses before its peer had them.
    LetGoEarly,
    /// A box kept the addresses after a standstill.
    ThawedOwner,
    /// The winner of a contest did not announce after the loser had let go.
    NotAnnounced,
    /// A node wants to be woken up without end.
    Spins,
    /// After all was healed, not exactly one box was active in time, or not for long.
    NotOneActive,
}

/// A rule that was broken.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// Virtual microseconds since the beginning.
    pub at_us: u64,
    /// In words.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ms, us) = (self.at_us / 1000, self.at_us % 1000);
        write!(f, "{:?} at {ms}.{us:03} ms: {}", self.rule, self.text)
    }
}

/// What is written down about a pair.
#[derive(Default)]
pub(crate) struct Books {
    /// Who took each term.
    takers: BTreeMap<u64, usize>,
    disturbed_us: u64,
    pub(crate) commanded_us: Option<u64>,
    /// Both answer.
    both: Option<Since>,
    /// Nobody answers though this box is able.
    vacant: [Option<Since>; 2],
    /// Both answer, or have since the last announcement of each.
    contested: bool,
    /// This box is to announce.
    owes: [Option<Since>; 2],
    /// This box is active, and the other one would serve better.
    lesser: [Option<Since>; 2],
    /// Until when each box had so many carriers; the index is their number.
    carried_us: [[u64; CARRIERS_MAX + 1]; 2],
    /// A kernel was slow or refused until then.
    pub(crate) troubled_us: u64,
}

/// A clock that runs while something holds that must not hold for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Since {
    at_us: u64,
    /// Frames that chance had taken by then.
    lost: u64,
    /// For how long it may hold: the largest bound of all the while.
    bound_us: u64,
    /// For so long, frames were on their way when it began.
    flight_us: u64,
}

/// A clock that was judged.
struct Turned {
    now: Option<Since>,
    overdue: Option<String>,
}

impl Books {
    /// Something befell the pair. What must come about in time may take its time from now on.
    pub(crate) fn disturbed(&mut self, now_us: u64) {
        self.disturbed_us = now_us;
        self.vacant = [None; 2];
        self.owes = [None; 2];
        self.lesser = [None; 2];
    }
}

impl World {
    pub(crate) fn violate(&mut self, of: usize, rule: Rule, text: String) {
        self.tell(of, || format!("BREAKS {rule:?}: {text}"));
        let at_us = self.now_us;
        self.violation
            .get_or_insert(Violation { rule, at_us, text });
    }

    /// Looks at the clocks of a pair: what held until now, and what holds from now on.
    pub(crate) fn judge(&mut self, pair: usize) {
        let first = pair * 2;
        let [one, other] = [&self.machines[first], &self.machines[first + 1]];
        let is_usual = one.serves() != other.serves() && one.kernel.any != other.kernel.any;
        let books = &self.pairs[pair].books;
        let [one, other] = [one.carriers, other.carriers];
        if is_usual && books.is_calm() && one == other {
            return;
        }
        self.judge_both(pair);
        self.judge_vacancy(pair);
        self.judge_owed(pair);
        self.judge_lesser(pair);
        let [one, other] = [&self.machines[first], &self.machines[first + 1]];
        let contested = one.kernel.all && other.kernel.all;
        let books = &mut self.pairs[pair].books;
        books.contested |= contested;
    }

    /// The carriers of a box are about to change: its peer may believe for a while that it has them still.
    pub(crate) fn note_carriers(&mut self, of: usize) {
        let count = usize::from(self.machines[of].carriers);
        self.pairs[of / 2].books.carried_us[of % 2][count] = self.now_us;
    }

    /// When kernels that were slow or refused no longer matter, if it takes so long.
    pub(crate) fn troubled_us(&self, span_us: u64) -> u64 {
        match self.pairs[0].books.troubled_us {
            0 => 0,
            since_us => since_us + span_us,
        }
    }
}

impl Books {
    /// No clock runs.
    fn is_calm(&self) -> bool {
        let clocks = [self.vacant, self.owes, self.lesser];
        self.both.is_none() && clocks == [[None; 2]; 3]
    }
}
