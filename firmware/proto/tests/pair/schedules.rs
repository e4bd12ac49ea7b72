//! Random schedules: whole lives of a pair under one fault after the other, and the invariants that must
//! hold in each. `SEED=n cargo test -p proto --test pair schedules` replays one life, `SEEDS=5000` (with
//! `--release`) lives many more than the few of every run.

use crate::random::Random;
use crate::world::{CASTOR, NULL_MODEM, POLLUX, UDP, World, ms};
use core::time::Duration;
use proto::failover::Command;
use proto::node::{FailBack, Input, Medium, Timing};

/// What a link of the pair may be made of.
const MEDIA: [&[Medium]; 5] = [
    &[UDP, UDP],
    &[UDP, NULL_MODEM],
    &[NULL_MODEM, UDP, UDP],
    &[UDP, UDP, UDP],
    &[UDP, Medium::Serial { baud: 115_200 }],
];
/// Lives in every run of the tests.
const LIVES: u64 = 60;
/// Faults in a life.
const FAULTS: usize = 8;
/// Time from fault to fault, in which the pair must have come to rest: a stop of 2 s and a fail-back fit in.
const REST: Duration = Duration::from_secs(7);

#[test]
fn one_box_answers_whatever_happens() {
    let number = |name| std::env::var(name).ok().and_then(|it| it.parse().ok());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(LIVES),
    };
    for seed in seeds {
        live(seed);
    }
}

fn live(seed: u64) {
    let mut random = Random(seed ^ 0xfeed);
    let media = MEDIA[random.below(5) as usize];
    let mut world = World::new(seed, media);
    for cable in &mut world.cables {
        cable.loss_permille = random.below(60);
    }
    let fail_back = random.below(2) == 0;
    // Fast lives are made of ten times as many beats.
    let is_fast = random.below(8) == 0;
    for machine in &mut world.machines {
        if is_fast {
            machine.settings.timing = Timing::FAST;
        }
        machine.settings.priority = 100 + random.below(2) as u8;
        if fail_back {
            machine.settings.fail_back = FailBack::Auto;
        }
    }
    world.start(CASTOR);
    world.run(random.up_to_ms(2000));
    world.start(POLLUX);
    world.run(REST);
    for _ in 0..FAULTS {
        world.forget();
        fault(&mut world, &mut random);
        world.run(REST);
        judge(&world);
        repair(&mut world);
        world.run(REST);
        judge(&world);
    }
}

/// One fault, such that one healthy box and one link are left.
fn fault(world: &mut World, random: &mut Random) {
    let of = random.below(2) as usize;
    match random.below(10) {
        0 => world.power_cut(of),
        1 => {
            world.power_cut(of);
            world.run(random.up_to_ms(400));
            world.start(of);
        }
        2 => {
            world.kill_worker(of);
            world.run(random.up_to_ms(150));
            world.start(of);
        }
        3 => {
            let left = random.below(world.cables.len() as u64) as usize;
            for (index, cable) in world.cables.iter_mut().enumerate() {
                let one_way = random.below(3) as usize;
                cable.cut = [index != left && one_way != 0, index != left && one_way != 1];
                cable.loss_permille = 0;
            }
            world.say(of, "has one link left");
        }
        4 => world.stop(of, random.up_to_ms(2000)),
        5 => {
            let command = [Command::Standby, Command::Takeover][random.below(2) as usize];
            let _ = world.command(of, command);
            world.run(random.up_to_ms(10));
        }
        6 => {
            let _ = world.command(of, Command::Resign);
            world.run(ms(3000));
            world.power_cut(of);
        }
        7 => {
            world.stop(of, random.up_to_ms(300));
            world.run(random.up_to_ms(300));
            world.stop(1 - of, random.up_to_ms(300));
        }
        8 => world.input(of, Input::Fitness(random.below(3) as u8)),
        _ => {
            let _ = world.command(of, Command::Takeover);
            world.run(random.up_to_ms(20));
            world.power_cut(random.below(2) as usize);
        }
    }
}

fn repair(world: &mut World) {
    for cable in &mut world.cables {
        cable.cut = [false; 2];
    }
    for of in [CASTOR, POLLUX] {
        if world.machines[of].node.is_none() {
            world.start(of);
        }
    }
}

/// The invariants, at rest and on the way here.
fn judge(world: &World) {
    let story = || world.story();
    let dead = world.silence_max;
    let holding = world.machines.iter().filter(|it| it.holds).count();
    assert_eq!(
        holding,
        1,
        "exactly one holds the addresses at rest: {}",
        story()
    );
    let both = world.both_held_max;
    assert!(
        both <= dead,
        "both held the addresses for {both:?}: {}",
        story()
    );
    let none = world.none_held_max;
    assert!(
        none <= dead + ms(100),
        "nobody held the addresses for {none:?}: {}",
        story()
    );
    for machine in &world.machines {
        if let Some(node) = &machine.node {
            let active = node.status(world.now).state == proto::failover::State::Active;
            assert_eq!(
                active,
                machine.holds,
                "what it says is what it holds: {}",
                story()
            );
        }
    }
}
