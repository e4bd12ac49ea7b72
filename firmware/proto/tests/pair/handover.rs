//! Planned handovers, step by step: how long they take, and what becomes of them when power goes or a box
//! stands still in the middle. Whatever happens, one box holds the addresses within the bound.

use crate::world::{CASTOR, NULL_MODEM, POLLUX, UDP, World, ms};
use core::time::Duration;
use proto::failover::{Command, State};
use proto::node::{Medium, Timing};
use proto::report::Report;

/// From the command to its end is less than this in the tests' world; cuts and stops are spread over it.
const HANDOVER: Duration = Duration::from_micros(9000);
const STEP: Duration = Duration::from_micros(400);
const STEPS: usize = 22;

const TIMINGS: [Timing; 2] = [Timing::DEFAULT, Timing::FAST];

/// Who is told what: both ways of a planned handover from Castor to Pollux, and the one before a reboot.
const WAYS: [(usize, Command); 3] = [
    (CASTOR, Command::Standby),
    (POLLUX, Command::Takeover),
    (CASTOR, Command::Resign),
];

/// Every moment of every handover, with the world in it.
fn at_each_step(happens: impl Fn(World)) {
    for timing in TIMINGS {
        let settled = World::settled_with(timing, &[UDP, NULL_MODEM]);
        for (of, command) in WAYS {
            let mut world = settled.clone();
            world.command(of, command).unwrap();
            for _ in 0..STEPS {
                world.run(STEP);
                happens(world.clone());
            }
        }
    }
}

/// Nobody held the addresses for the longest silence that may be borne at most, after the last beat that was
/// still on the line, and what a takeover takes.
fn assert_in_bounds(world: &World) {
    let bound = world.silence_max + ms(45);
    assert!(world.none_held_max <= bound, "{}", world.story());
    assert!(world.both_held_max <= bound, "{}", world.story());
}

#[test]
fn a_handover_takes_less_than_ten_milliseconds_and_never_leaves_a_gap() {
    for (timing, media) in [
        (Timing::DEFAULT, [UDP, UDP].as_slice()),
        (Timing::DEFAULT, &[Medium::Serial { baud: 9_600 }, UDP]),
        (Timing::FAST, &[UDP]),
        (Timing::FAST, &[NULL_MODEM, UDP]),
    ] {
        for (of, command) in WAYS {
            let mut world = World::settled_with(timing, media);
            world.command(of, command).unwrap();
            world.run(HANDOVER);
            assert_eq!(world.state(POLLUX), State::Active, "{}", world.story());
            assert!(!world.machines[CASTOR].holds, "{}", world.story());
            assert!(world.none_held_max.is_zero(), "{}", world.story());
            assert!(world.both_held_max <= ms(5), "{}", world.story());
            world.run(ms(5));
            assert!(world.machines[POLLUX].announcements >= 2);
        }
    }
}

#[test]
fn power_may_go_on_either_box_at_each_step_of_a_handover() {
    for of in [CASTOR, POLLUX] {
        at_each_step(|mut world| {
            world.power_cut(of);
            world.run(ms(2600));
            let left = 1 - of;
            let resigned = world.state(left) == State::Resigned;
            assert!(
                resigned || world.state(left) == State::Active,
                "{}",
                world.story()
            );
            if !resigned {
                assert_in_bounds(&world);
            }
        });
    }
}

#[test]
fn either_box_may_stand_still_at_each_step_of_a_handover() {
    for (of, stop_ms) in [(CASTOR, 300), (POLLUX, 300), (CASTOR, 1200)] {
        at_each_step(|mut world| {
            world.stop(of, ms(stop_ms));
            world.run(ms(stop_ms + 1000));
            let active = [CASTOR, POLLUX].map(|it| world.state(it) == State::Active);
            let resigned = world.state(CASTOR) == State::Resigned;
            assert!(active[0] != active[1], "{}", world.story());
            assert!(!(resigned && active[0]), "{}", world.story());
            // Who leaves does not wait for one that stands still.
            if !(resigned && of == POLLUX) {
                assert_in_bounds(&world);
            }
        });
    }
}

#[test]
fn an_offer_that_is_called_off_is_followed_by_an_announcement() {
    let mut world = World::settled(&[UDP]);
    world.command(CASTOR, Command::Standby).unwrap();
    world.run(Duration::from_micros(1500));
    world.power_cut(POLLUX);
    world.run(ms(500));
    world.expect_alone(CASTOR, State::Active);
    assert!(
        world.machines[CASTOR].announcements >= 1,
        "{}",
        world.story()
    );
}

#[test]
fn who_wins_a_contest_announces_at_once_and_until_the_loser_has_let_go() {
    let mut world = World::settled(&[UDP]);
    world.cut_all(true);
    world.run(ms(1000));
    world.expect([State::Active, State::Active]);
    world.machines[CASTOR].stuck = true; // its kernel removes nothing
    world.forget();
    world.cut_all(false);
    world.run(ms(100));
    assert_eq!(world.machines[POLLUX].announcements, 1, "{}", world.story());
    world.run(ms(20_000));
    assert_eq!(world.machines[POLLUX].announcements, 5, "{}", world.story());
    world.machines[CASTOR].stuck = false;
    world.run(ms(1100));
    world.expect([State::Standby, State::Active]);
    assert_eq!(world.machines[POLLUX].announcements, 6, "{}", world.story());
    let contested = |it: &&Report| matches!(it, Report::Contested { .. });
    let said = world.machines[POLLUX].reports.iter().filter(contested);
    assert_eq!(said.count(), 5);
    assert_eq!(world.machines[CASTOR].announcements, 0);
    world.run(ms(10_000));
    assert_eq!(world.machines[POLLUX].announcements, 6, "{}", world.story());
}

#[test]
fn an_ordinary_handover_is_no_contest() {
    let mut world = World::settled(&[UDP, NULL_MODEM]);
    world.command(POLLUX, Command::Takeover).unwrap();
    world.run(ms(1000));
    let contested = |it: &Report| matches!(it, Report::Contested { .. });
    assert!(
        !world
            .machines
            .iter()
            .any(|it| it.reports.iter().any(contested))
    );
}

/// Over one slow line Pollux takes what Castor hands over, and its worker dies before that is told.
fn taken_by_one_that_dies(command: Command) -> World {
    let mut world = World::settled(&[NULL_MODEM]);
    world.command(CASTOR, command).unwrap();
    while world.state(POLLUX) != State::Active {
        world.run(STEP);
    }
    world.kill_worker(POLLUX);
    world.run(ms(25));
    world.start(POLLUX);
    world.run(ms(2500));
    world
}

#[test]
fn a_handover_to_a_worker_that_dies_is_called_off() {
    let world = taken_by_one_that_dies(Command::Standby);
    world.expect([State::Active, State::Standby]);
    assert!(world.both_held_max <= ms(290), "{}", world.story());
    assert!(world.none_held_max.is_zero(), "{}", world.story());
}

#[test]
fn who_reboots_offers_the_addresses_to_a_worker_that_was_started_anew_too() {
    let world = taken_by_one_that_dies(Command::Resign);
    world.expect([State::Resigned, State::Active]);
    assert!(world.none_held_max.is_zero(), "{}", world.story());
}
