//! Lives of state sync: two engines of `proto::sync`, unchanged, over their own kernels' tables, on a link that loses,
//! doubles, reorders and is cut, with boxes and workers that die, take over and come back. Each seed is one life;
//! at its end all is healed and both tables must be equal. What fails is shrunk to few events.

mod machine;
mod plan;
mod world;

pub use plan::Plan;

use core::fmt;

/// What must never happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A flow was brought to an older state than this kernel had, or back after it ended.
    RolledBack,
    /// The box that owns the table lost a flow by the other's word.
    TakenFromOwner,
    /// Both say that they are in sync, nothing is on its way, and the tables differ.
    FalselyInSync,
    /// All was healed, and they did not come to agree.
    NeverInSync,
    /// They agreed in the end, and the tables differ, or the owner's is not what its kernel tracked.
    TablesDiffer,
    /// A flush was confirmed, and the other box lacked what had been pending.
    FalselyFlushed,
}

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub rule: Rule,
    /// Microseconds since the life began.
    pub at_us: u64,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.at_us / 1000;
        write!(f, "{:?} at {ms} ms: {}", self.rule, self.what)
    }
}

/// How a life went.
#[derive(Debug)]
pub struct Life {
    /// What was broken first.
    pub violation: Option<Violation>,
    /// Microseconds that it lasted.
    pub lived_us: u64,
    /// What happened, if it was to be told.
    pub story: Vec<String>,
}

/// Lives a plan.
#[must_use]
pub fn live(plan: &Plan) -> Life {
    world::World::new(plan, false).live()
}

/// Lives a plan and tells what happens.
#[must_use]
pub fn tell(plan: &Plan) -> Life {
    world::World::new(plan, true).live()
}

/// The smallest plan found that breaks the same rule: whole runs of events are left out, then single ones, then faults of
/// the link, then flows.
#[must_use]
pub fn shrink(plan: &Plan, rule: Rule) -> Plan {
    let fails = |it: &Plan| live(it).violation.is_some_and(|found| found.rule == rule);
    let mut best = plan.clone();
    let mut chunk = best.events.len().div_ceil(2);
    while chunk > 0 {
        let mut at = 0;
        while at < best.events.len() {
            let mut smaller = best.clone();
            smaller
                .events
                .drain(at..(at + chunk).min(best.events.len()));
            if fails(&smaller) {
                best = smaller;
            } else {
                at += chunk;
            }
        }
        chunk /= 2;
    }
    for simplify in plan::SIMPLIFICATIONS {
        let mut simpler = best.clone();
        simplify(&mut simpler);
        if fails(&simpler) {
            best = simpler;
        }
    }
    best
}
