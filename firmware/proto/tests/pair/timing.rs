//! The dead time: as configured while the pair is calm, wider while boxes or links are slow, and for each
//! kind of line what it takes to tell a dead peer from a cut cable.

use crate::random::Random;
use crate::world::{CASTOR, NULL_MODEM, POLLUX, UDP, World, ms};
use core::time::Duration;
use proto::failover::State;
use proto::node::{Medium, Timing};
use proto::report::{DeadTimeCause, Report};

fn serial(baud: u32) -> Medium {
    Medium::Serial { baud }
}

/// The longest outage of many power cuts at any moment. In this world a beat that is on the line when the
/// power goes still arrives.
fn outage_max(timing: Timing, media: &[Medium]) -> Duration {
    let settled = World::settled_with(timing, media);
    let cut = |seed: u64| {
        let mut world = settled.clone();
        world.random.0 ^= seed;
        let moment = world.random.up_to_ms(500);
        world.run(moment);
        world.power_cut(CASTOR);
        world.run(ms(1500));
        world.expect_alone(POLLUX, State::Active);
        world.none_held_max
    };
    (0..60).map(cut).max().unwrap()
}

/// How often a box became active since the books were begun anew.
fn takeovers(world: &World) -> usize {
    let reports = world.machines.iter().flat_map(|it| &it.reports);
    reports
        .filter(|it| matches!(it, Report::Transition(it) if it.to == State::Active))
        .count()
}

fn dead_times(world: &World, of: usize) -> Vec<(u64, u64, DeadTimeCause)> {
    let reports = world.machines[of].reports.iter();
    let dead_time = |report: &Report| match report {
        Report::DeadTime {
            from_ms,
            to_ms,
            cause,
        } => Some((*from_ms, *to_ms, *cause)),
        _ => None,
    };
    reports.filter_map(dead_time).collect()
}

#[test]
fn with_fast_timing_a_power_cut_is_over_within_45_ms_beside_a_null_modem_too() {
    assert!(outage_max(Timing::FAST, &[UDP]) <= ms(35));
    assert!(outage_max(Timing::FAST, &[UDP, UDP]) <= ms(35));
    assert!(outage_max(Timing::FAST, &[serial(115_200), UDP]) <= ms(43));
}

#[test]
fn a_slow_line_costs_what_it_takes_to_tell_a_cut_from_a_death() {
    for (timing, baud, bound_ms) in [
        (Timing::DEFAULT, 115_200, 210),
        (Timing::DEFAULT, 19_200, 244),
        (Timing::DEFAULT, 9_600, 485),
        (Timing::FAST, 38_400, 124),
        (Timing::FAST, 19_200, 244),
    ] {
        let outage = outage_max(timing, &[UDP, serial(baud)]);
        assert!(outage <= ms(bound_ms), "{baud} baud: {outage:?}");
    }
}

#[test]
fn a_line_of_any_speed_alone_keeps_the_peer_from_taking_over() {
    for timing in [Timing::DEFAULT, Timing::FAST] {
        for baud in [9_600, 19_200, 38_400, 115_200] {
            let mut world = World::settled_with(timing, &[UDP, UDP, serial(baud)]);
            for seed in 0..20 {
                world.random.0 ^= seed;
                let moment = world.random.up_to_ms(300);
                world.run(moment);
                for link in [0, 1] {
                    world.cables[link].cut = [true; 2];
                }
                world.run(ms(5000));
                assert_eq!(takeovers(&world), 0, "{baud} baud: {}", world.story());
                world.cables[0].cut = [false; 2];
                world.cables[1].cut = [false; 2];
                world.run(ms(1000));
            }
        }
    }
}

#[test]
fn a_quiet_link_is_a_warning_and_no_takeover() {
    let mut world = World::settled_with(Timing::FAST, &[UDP, UDP]);
    world.cables[1].cut = [true; 2];
    world.run(ms(1000));
    for machine in &world.machines {
        let warnings = machine.reports.iter().filter(|it| it.is_warning());
        let said: Vec<_> = warnings.collect();
        assert_eq!(said, [&Report::Link { link: 1, up: false }]);
    }
    assert_eq!(takeovers(&world), 0);
}

#[test]
fn silence_is_probed_on_every_link_and_an_answer_ends_it() {
    let mut world = World::settled_with(Timing::DEFAULT, &[UDP, UDP]);
    let probes = |world: &World| world.status(POLLUX).links.iter().map(|it| it.probes).sum();
    let before: u64 = probes(&world);
    world.cut_all(true);
    world.run(ms(195));
    let asked = probes(&world) - before;
    assert!((4..=6).contains(&asked), "{asked} {}", world.story());
}

#[test]
fn an_answered_probe_ends_the_silence() {
    let settled = World::settled_with(Timing::DEFAULT, &[UDP, UDP]);
    for seed in 0..50 {
        let mut world = settled.clone();
        let moment = Random(seed).up_to_ms(100);
        world.run(moment);
        for cable in &mut world.cables {
            cable.cut[CASTOR] = true;
        }
        let silent_ms = |world: &World| {
            let links = world.status(POLLUX).links;
            links.iter().filter_map(|it| it.silent_ms).min()
        };
        while silent_ms(&world) < Some(160) {
            world.run(ms(1));
        }
        // The last probe is yet to come; the next beat may come too late.
        for cable in &mut world.cables {
            cable.cut[CASTOR] = false;
        }
        world.run(ms(2000));
        assert_eq!(takeovers(&world), 0, "{}", world.story());
    }
}

#[test]
fn a_calm_pair_asks_no_questions_and_keeps_its_dead_time() {
    for timing in [Timing::DEFAULT, Timing::FAST] {
        let mut world = World::settled_with(timing, &[UDP, NULL_MODEM]);
        world.run(ms(30_000));
        for of in [CASTOR, POLLUX] {
            let status = world.status(of);
            assert_eq!(status.dead_ms, status.dead_configured_ms);
            assert!(status.links.iter().all(|it| it.probes == 0));
            // The wire of this world delays by up to 1 ms.
            assert!(status.links[0].jitter_us <= 1000, "{status:?}");
            assert_eq!(status.delay_us, 0);
        }
    }
}

#[test]
fn one_stall_widens_the_dead_time_on_both_boxes_until_it_has_been_calm() {
    let mut world = World::settled_with(Timing::DEFAULT, &[UDP, UDP]);
    world.stop(CASTOR, ms(150));
    world.run(ms(1000));
    assert_eq!(takeovers(&world), 0, "{}", world.story());
    for of in [CASTOR, POLLUX] {
        let status = world.status(of);
        assert!((250..=350).contains(&status.dead_ms), "{status:?}");
        assert!(status.links.iter().all(|it| it.dead_ms == status.dead_ms));
    }
    assert!(world.status(CASTOR).delay_us >= 100_000);
    assert!(world.status(POLLUX).links[0].jitter_us >= 90_000);
    world.run(ms(8000));
    assert!(world.status(POLLUX).dead_ms > 200, "not yet");
    world.run(ms(12_000));
    for of in [CASTOR, POLLUX] {
        assert_eq!(world.status(of).dead_ms, 200);
        let said = dead_times(&world, of);
        let (_, _, last) = said[said.len() - 1];
        assert_eq!(last, DeadTimeCause::Calm);
        assert!(said.len() <= 4, "{said:?}");
    }
}

#[test]
fn one_late_link_alone_widens_nothing() {
    let mut world = World::settled_with(Timing::DEFAULT, &[UDP, UDP]);
    world.cables[0].jitter = ms(150);
    world.run(ms(20_000));
    let status = world.status(POLLUX);
    assert!(status.links[0].jitter_us > 66_000);
    assert_eq!(status.dead_ms, 200);
    world.cables[1].cut = [true; 2];
    world.run(ms(3000));
    assert!(world.status(POLLUX).dead_ms > 200);
    assert_eq!(takeovers(&world), 0, "{}", world.story());
}

/// As under emulation: each box stands still for 100 to 400 ms every few seconds.
#[test]
fn boxes_that_stand_still_again_and_again_settle_and_stop_flapping() {
    for (timing, seed) in [Timing::DEFAULT, Timing::FAST]
        .into_iter()
        .flat_map(|it| [(it, 1), (it, 2), (it, 3)])
    {
        let mut world = World::settled_with(timing, &[UDP, NULL_MODEM]);
        let mut random = Random(seed);
        let mut minute = |world: &mut World| {
            for _ in 0..20 {
                for of in [CASTOR, POLLUX] {
                    world.stop(of, ms(100) + random.up_to_ms(300));
                    world.run(ms(500) + random.up_to_ms(2000));
                }
            }
        };
        minute(&mut world);
        world.forget();
        for _ in 0..5 {
            minute(&mut world);
        }
        assert!(takeovers(&world) <= 1, "seed {seed}: {}", world.story());
        assert!(world.silence_max <= ms(2000));
    }
}

#[test]
fn a_lone_box_that_stands_still_again_and_again_keeps_its_addresses() {
    let mut world = World::settled_with(Timing::FAST, &[UDP]);
    world.power_cut(POLLUX);
    world.run(ms(500));
    world.stop(CASTOR, ms(400));
    world.run(ms(2000));
    world.forget();
    for _ in 0..100 {
        world.stop(CASTOR, ms(300));
        world.run(ms(3000));
    }
    assert_eq!(takeovers(&world), 0, "{}", world.story());
}

#[test]
fn a_box_steps_down_by_what_its_peer_waits_for_on_the_links_it_hears() {
    for (media, stop_ms, steps_down) in [
        ([UDP, UDP], 31, true),
        ([UDP, UDP], 24, false),
        ([UDP, NULL_MODEM], 110, false),
        ([UDP, NULL_MODEM], 202, true),
    ] {
        let mut world = World::settled_with(Timing::FAST, &media);
        world.stop(CASTOR, ms(stop_ms));
        world.run(ms(1000));
        let stalled = |it: &Report| matches!(it, Report::Stalled { .. });
        let reports = &world.machines[CASTOR].reports;
        assert_eq!(reports.iter().any(stalled), steps_down, "{}", world.story());
        assert!(world.both_held_max <= ms(5), "{}", world.story());
    }
}

/// Both boxes on one host that stands still.
#[test]
fn a_common_stall_within_the_dead_time_is_not_taken_for_a_death() {
    let settled = World::settled_with(Timing::DEFAULT, &[UDP]);
    for stop_ms in [100, 140, 150] {
        for moment_ms in 0..50 {
            let mut world = settled.clone();
            world.run(ms(moment_ms));
            world.stop(CASTOR, ms(stop_ms));
            world.stop(POLLUX, ms(stop_ms));
            world.run(ms(2000));
            assert_eq!(takeovers(&world), 0, "{}", world.story());
        }
    }
}

#[test]
fn a_box_that_hears_every_link_acts_on_silence_right_after_its_start() {
    for (cut, outage_max) in [(false, ms(250)), (true, ms(900))] {
        let mut world = World::settled(&[UDP, UDP]);
        world.cables[1].cut = [cut; 2];
        world.power_cut(POLLUX);
        world.start(POLLUX);
        world.run(ms(200));
        assert_eq!(world.state(POLLUX), State::Standby, "{}", world.story());
        world.power_cut(CASTOR);
        world.run(ms(1500));
        world.expect_alone(POLLUX, State::Active);
        let outage = world.none_held_max;
        assert!(outage <= outage_max, "{outage:?} {}", world.story());
        // It could not know whether the other link had more to say.
        assert!(!cut || outage > ms(700), "{outage:?} {}", world.story());
    }
}
