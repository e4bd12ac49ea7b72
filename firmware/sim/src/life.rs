//! One schedule from beginning to end: faults, healing, and what must be true after that.

use crate::judge::{Rule, Violation};
use crate::schedule::Schedule;
use crate::world::{World, micros};
use proto::failover::State;
use proto::node::{RELEASE_RETRY, TAKE_TIMEOUT};

/// How long the pair must stay as it is, in the end.
const STAYS_US: u64 = 700_000;
/// What it takes to come to rest besides listening and one dead time.
const REST_US: u64 = 300_000;

/// What came of a schedule.
#[derive(Debug)]
pub struct Outcome {
    /// The first rule that was broken.
    pub violation: Option<Violation>,
    /// Of all that happened: the same for the same schedule and code.
    pub hash: u64,
    /// Virtual time it took, in microseconds.
    pub lived_us: u64,
}

/// Runs a schedule.
#[must_use]
pub fn run(schedule: &Schedule) -> Outcome {
    live(schedule, false).0
}

/// Runs a schedule and tells it as a timeline for people.
#[must_use]
pub fn tell(schedule: &Schedule) -> (Outcome, Vec<String>) {
    let (outcome, story) = live(schedule, true);
    (outcome, story.unwrap_or_default())
}

fn live(schedule: &Schedule, tells: bool) -> (Outcome, Option<Vec<String>>) {
    let mut world = World::new(schedule, tells);
    world.run_until(schedule.setup.heal_us);
    if world.violation.is_none() {
        world.heal();
        let rest_us = rest_us(&world);
        world.run_until(rest_us);
        let owner = world.demand_one();
        world.run_until(rest_us + STAYS_US);
        world.demand_same(owner);
    }
    let outcome = Outcome {
        violation: world.violation,
        hash: world.hash,
        lived_us: world.now_us,
    };
    (outcome, world.story)
}

/// When the pair must have come to rest.
fn rest_us(world: &World) -> u64 {
    let pair = &world.machines[..2];
    let heard_out = pair.iter().map(|it| it.heard_out_us).max();
    let dead = pair
        .iter()
        .map(crate::machine::Machine::silence_max_us)
        .max();
    // What is on its way still counts as heard when it comes.
    let flight = world.pairs[0].cables.iter();
    let flight = flight.map(|cable| cable.in_flight_us(world.now_us)).max();
    let read_us = world.now_us + flight.unwrap_or_default();
    let begin_us = heard_out.unwrap_or_default().max(read_us);
    let ready_us = world
        .setup
        .ready_after_us
        .iter()
        .max()
        .copied()
        .unwrap_or_default();
    let ready_us = world.now_us + ready_us;
    let troubled_us = world.troubled_us(micros(TAKE_TIMEOUT + RELEASE_RETRY) + 1_000_000);
    begin_us.max(ready_us).max(troubled_us) + dead.unwrap_or_default() + REST_US
}

impl World {
    /// Exactly one box is active, and its kernel says so, too. Returns which.
    fn demand_one(&mut self) -> Option<usize> {
        if self.violation.is_some() {
            return None;
        }
        let active: Vec<_> = (0..2)
            .filter(|of| self.machines[*of].state == State::Active)
            .collect();
        let held: Vec<_> = (0..2).filter(|of| self.machines[*of].kernel.any).collect();
        let passing = (0..2).any(|of| {
            matches!(
                self.machines[of].state,
                State::Offering(_) | State::Taking | State::Releasing(_)
            )
        });
        match (active.as_slice(), held.as_slice()) {
            ([one], [holder]) if one == holder => Some(*one),
            // A box of higher priority may be about to return.
            _ if passing && self.setup.fails_back => None,
            _ => {
                let states = [self.machines[0].state, self.machines[1].state];
                let text = format!(
                    "after healing the boxes are {} and {}, and {} hold the addresses",
                    states[0],
                    states[1],
                    held.len()
                );
                self.violate(0, Rule::NotOneActive, text);
                None
            }
        }
    }

    fn demand_same(&mut self, owner: Option<usize>) {
        let now = self.demand_one();
        if self.violation.is_none() && now != owner && !self.setup.fails_back {
            self.violate(
                0,
                Rule::NotOneActive,
                "the active box changed though all is well".into(),
            );
        }
    }
}
