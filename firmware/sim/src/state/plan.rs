//! What befalls a pair of tables, as plain values, all of it from a seed. Events stand on their own: what is left of a
//! plan after shrinking still runs.

use crate::random::Random;
use core::fmt;

/// A life ends its faults by then, at the latest.
const FAULTS_END_US: u64 = 8_000_000;

/// One life of two tables.
#[derive(Debug, Clone)]
pub struct Plan {
    /// All chance comes from it.
    pub seed: u64,
    pub(crate) link: Condition,
    /// Names that flows have; few of them make reuse likely.
    pub(crate) flows: u64,
    /// From change to change of the active box's table, on average.
    pub(crate) change_us: u64,
    /// Of a hundred changes so many end a flow.
    pub(crate) ends_percent: u64,
    /// Flows that a part of a sweep tells.
    pub(crate) sweep_part: usize,
    pub(crate) events: Vec<Event>,
}

/// What the link does to datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) loss_permille: u32,
    pub(crate) duplicate_permille: u32,
    /// Datagrams with a flipped bit.
    pub(crate) corrupt_permille: u32,
    pub(crate) delay_us: u64,
    /// They are late by up to so much more, so they overtake each other.
    pub(crate) jitter_us: u64,
}

/// Something that happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) at_us: u64,
    /// Until it is over.
    pub(crate) span_us: u64,
    pub(crate) fault: Fault,
}

/// What happens. Boxes are meant by their role then: the active one, or the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The box is off and comes back empty; if it was active, the other takes over.
    PowerCut { is_active: bool },
    /// The worker dies and starts anew: the kernel goes on, unheard.
    WorkerDies { is_active: bool },
    /// The worker stands still: the kernel's events wait in a small buffer.
    WorkerStalls { is_active: bool },
    /// The other box takes over in order, flushing first.
    Handover,
    /// The other box takes over while the active one does not know: both are, until it is over.
    SplitBrain,
    /// No datagram passes, to the active box, to the other, or to both.
    Cut { to_active: bool, to_other: bool },
    /// The link is worse.
    Weather(Condition),
    /// Old datagrams are played again.
    Replay,
    /// Flows of the passive box's kernel vanish.
    MirrorLoses,
    /// Flows of the active box's kernel change unheard, and the worker is told that events were lost.
    Overrun,
    /// The passive box's kernel refuses some of what it is told.
    KernelRefuses,
    /// Many changes at once.
    Burst,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut random = Random::branch(seed, 0x57a7e);
        let random = &mut random;
        let count = random.between(1, 7);
        let mut events: Vec<_> = (0..count).map(|_| event(random)).collect();
        events.sort_by_key(|event| event.at_us);
        Self {
            seed,
            link: condition(random),
            flows: random.pick(&[3, 20, 100, 400]),
            change_us: random.pick(&[200, 1000, 5000, 20_000]),
            ends_percent: random.between(0, 50),
            sweep_part: random.pick(&[1, 10, 1000]),
            events,
        }
    }
}

fn event(random: &mut Random) -> Event {
    let is_active = random.permille(500);
    let fault = match random.below(14) {
        0 | 1 => Fault::PowerCut { is_active },
        2 => Fault::WorkerDies { is_active },
        3 => Fault::WorkerStalls { is_active },
        4 | 5 => Fault::Handover,
        6 => Fault::SplitBrain,
        7 => cut(random),
        8 => Fault::Weather(condition(random)),
        9 => Fault::Replay,
        10 => Fault::MirrorLoses,
        11 => Fault::Overrun,
        12 => Fault::KernelRefuses,
        _ => Fault::Burst,
    };
    let span_us = random.pick(&[2_000, 50_000, 400_000, 1_500_000]);
    Event {
        at_us: random.below(FAULTS_END_US),
        span_us: random.between(1_000, span_us),
        fault,
    }
}

fn cut(random: &mut Random) -> Fault {
    let (to_active, to_other) = random.pick(&[(true, true), (true, false), (false, true)]);
    Fault::Cut {
        to_active,
        to_other,
    }
}

fn condition(random: &mut Random) -> Condition {
    Condition {
        loss_permille: random.pick(&[0, 0, 10, 100, 300]),
        duplicate_permille: random.pick(&[0, 0, 100, 300]),
        corrupt_permille: random.pick(&[0, 0, 0, 50]),
        delay_us: random.pick(&[50, 300, 5_000]),
        jitter_us: random.pick(&[0, 100, 3_000, 20_000]),
    }
}

/// Takes away what makes a plan complicated, one thing each.
pub(super) const SIMPLIFICATIONS: [fn(&mut Plan); 6] = [
    |plan| plan.link.corrupt_permille = 0,
    |plan| plan.link.duplicate_permille = 0,
    |plan| plan.link.loss_permille = 0,
    |plan| plan.link.jitter_us = 0,
    |plan| plan.flows = plan.flows.min(3),
    |plan| plan.change_us = plan.change_us.max(5000),
];

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {} flows, a change each {} us, {} % of them ends, sweeps of {}; {:?}",
            self.seed, self.flows, self.change_us, self.ends_percent, self.sweep_part, self.link
        )?;
        for event in &self.events {
            let (at, span) = (event.at_us / 1000, event.span_us / 1000);
            writeln!(f, "  at {at} ms for {span} ms: {:?}", event.fault)?;
        }
        Ok(())
    }
}
