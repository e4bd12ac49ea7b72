//! Faults: what the pair does when power, cables, carriers, loops and drivers fail.

use crate::world::{CASTOR, NULL_MODEM, POLLUX, UDP, World, ms};
use proto::failover::{Preference, Reason, Role, State, Vacancy};
use proto::node::{ConfigVersion, FailBack, Input, Timing};
use proto::report::Report;
use proto::wire::Rejection;

#[test]
fn a_lone_box_becomes_active_after_listening() {
    let mut world = World::new(1, &[UDP]);
    world.start(CASTOR);
    world.run(ms(990));
    assert_eq!(world.state(CASTOR), State::Listening);
    assert!(!world.machines[CASTOR].holds);
    world.run(ms(20));
    assert_eq!(world.state(CASTOR), State::Active);
    assert_eq!(
        world.reason(CASTOR, 1),
        Reason::Vacant(Vacancy::NobodyHeard)
    );
}

#[test]
fn a_box_that_is_not_ready_takes_nothing_until_it_is() {
    let mut world = World::new(1, &[UDP]);
    world.start(CASTOR);
    world.run(ms(500));
    world.input(CASTOR, Input::Ready(false));
    world.run(ms(550));
    assert_eq!(world.state(CASTOR), State::Standby);
    world.input(CASTOR, Input::Ready(true));
    world.run(ms(5));
    assert_eq!(world.state(CASTOR), State::Active);
}

#[test]
fn of_two_that_boot_together_the_lower_number_becomes_active() {
    for seed in 0..10 {
        for offset_ms in [0, 1, 7, 49, 51, 120, 300] {
            for (first, second) in [(CASTOR, POLLUX), (POLLUX, CASTOR)] {
                let mut world = World::new(seed, &[UDP, NULL_MODEM]);
                world.start(first);
                world.run(ms(offset_ms));
                world.start(second);
                world.run(ms(2000));
                world.expect([State::Active, State::Standby]);
                let both = world.both_held_max;
                assert!(both.is_zero(), "{both:?} {}", world.story());
            }
        }
    }
}

#[test]
fn of_two_that_boot_together_the_higher_priority_becomes_active() {
    let mut world = World::new(1, &[UDP]);
    world.machines[POLLUX].settings.priority = 200;
    world.start(CASTOR);
    world.start(POLLUX);
    world.run(ms(2000));
    world.expect([State::Standby, State::Active]);
}

#[test]
fn a_power_cut_at_any_moment_is_over_within_the_dead_time() {
    for seed in 0..300 {
        let mut world = World::settled(&[UDP, UDP]);
        world.random.0 ^= seed;
        let moment = world.random.up_to_ms(300);
        world.run(moment);
        world.power_cut(CASTOR);
        world.run(ms(1000));
        assert_eq!(world.state(POLLUX), State::Active);
        assert_eq!(world.reason(POLLUX, 1), Reason::Vacant(Vacancy::PeerDead));
        let outage = world.none_held_max;
        assert!(outage <= ms(210), "{outage:?} {}", world.story());
    }
}

#[test]
fn fast_timing_takes_over_within_30_ms() {
    let mut world = World::new(1, &[UDP]);
    for machine in &mut world.machines {
        machine.settings.timing = Timing::FAST;
    }
    world.start(CASTOR);
    world.start(POLLUX);
    world.run(ms(2000));
    world.forget();
    world.power_cut(CASTOR);
    world.run(ms(100));
    assert_eq!(world.state(POLLUX), State::Active);
    assert!(world.none_held_max <= ms(35), "{}", world.story());
}

#[test]
fn the_slowest_null_modem_alone_takes_over_within_300_ms() {
    let mut world = World::settled(&[NULL_MODEM]);
    world.power_cut(CASTOR);
    world.run(ms(1000));
    assert_eq!(world.state(POLLUX), State::Active);
    assert!(world.none_held_max <= ms(300), "{}", world.story());
}

#[test]
fn a_returning_box_stays_standby_where_fail_back_is_off() {
    let mut world = World::settled(&[UDP]);
    world.machines[CASTOR].settings.priority = 200;
    world.power_cut(CASTOR);
    world.run(ms(5000));
    world.start(CASTOR);
    world.run(ms(20_000));
    world.expect([State::Standby, State::Active]);
    assert!(
        world.machines[POLLUX].announcements >= 2,
        "announces again when the peer is back"
    );
}

#[test]
fn a_returning_box_of_higher_priority_is_handed_over_to_where_fail_back_is_automatic() {
    let mut world = World::new(1, &[UDP]);
    for machine in &mut world.machines {
        machine.settings.fail_back = FailBack::Auto;
    }
    world.machines[CASTOR].settings.priority = 200;
    world.start(CASTOR);
    world.start(POLLUX);
    world.run(ms(3000));
    world.power_cut(CASTOR);
    world.run(ms(1000));
    world.expect_alone(POLLUX, State::Active);
    world.start(CASTOR);
    world.run(ms(50));
    world.machines[CASTOR].started = world.now; // its dataplane takes its time
    world.forget();
    world.run(ms(10_000));
    world.expect([State::Standby, State::Active]);
    world.input(CASTOR, Input::Ready(true));
    world.run(ms(10_000));
    world.expect([State::Standby, State::Active]);
    world.input(CASTOR, Input::InSync(true));
    world.run(ms(2900));
    world.expect([State::Standby, State::Active]);
    world.run(ms(200));
    world.expect([State::Active, State::Standby]);
    assert!(world.none_held_max.is_zero(), "{}", world.story());
    let why = Reason::PeerBetter(Preference::Priority);
    assert_eq!(world.reason(POLLUX, 2), why);
}

#[test]
fn nothing_moves_while_one_link_of_any_kind_is_left() {
    for (media, left) in [
        ([UDP, NULL_MODEM], 0),
        ([UDP, NULL_MODEM], 1),
        ([UDP, UDP], 1),
    ] {
        let mut world = World::settled(&media);
        world.cables[1 - left].cut = [true; 2];
        world.run(ms(10_000));
        world.expect([State::Active, State::Standby]);
        let up: Vec<bool> = world.status(POLLUX).links.iter().map(|it| it.up).collect();
        assert_eq!(up, [left == 0, left == 1]);
        world.cables[1 - left].cut = [false; 2];
        world.run(ms(1000));
        assert!(world.status(CASTOR).links.iter().all(|it| it.up));
        assert_eq!(world.machines[POLLUX].announcements, 0);
    }
}

#[test]
fn a_cable_that_carries_one_way_only_is_down_at_both_ends() {
    let mut world = World::settled(&[UDP, UDP]);
    world.cables[0].cut[CASTOR] = true;
    world.run(ms(1000));
    for of in [CASTOR, POLLUX] {
        let links = world.status(of).links;
        assert_eq!(
            (links[0].up, links[1].up),
            (false, true),
            "{}",
            world.story()
        );
    }
    world.expect([State::Active, State::Standby]);
}

#[test]
fn where_all_links_carry_one_way_only_one_box_stays_active() {
    for cut in [CASTOR, POLLUX] {
        let mut world = World::settled(&[UDP, UDP]);
        for cable in &mut world.cables {
            cable.cut[cut] = true;
        }
        world.run(ms(10_000));
        // Who is not heard gives way to the other, and who is heard is not taken for dead.
        if cut == CASTOR {
            world.expect([State::Standby, State::Active]);
        } else {
            world.expect([State::Active, State::Standby]);
        }
        assert!(world.both_held_max <= ms(5), "{}", world.story());
        assert!(world.none_held_max.is_zero(), "{}", world.story());
        // The one that is heard dies: its last words keep nobody waiting.
        let heard = 1 - cut;
        world.power_cut(heard);
        world.run(ms(300));
        world.expect_alone(cut, State::Active);
        assert!(world.none_held_max <= ms(210), "{}", world.story());
    }
}

#[test]
fn a_cable_that_carries_one_way_only_is_told_where_frames_come_in() {
    let mut world = World::settled(&[UDP, UDP]);
    world.cables[0].cut[CASTOR] = true;
    world.run(ms(5000));
    let unheard = |it: &&Report| matches!(it, Report::Rejected { link: 0, rejection, .. } if *rejection == Rejection::Unproven);
    let told = [CASTOR, POLLUX].map(|of| world.machines[of].reports.iter().filter(unheard).count());
    assert!((1..=7).contains(&told[CASTOR]), "{told:?}");
    assert_eq!(told[POLLUX], 0);
}

#[test]
fn a_peer_that_returns_is_greeted_without_alarm() {
    let mut world = World::settled(&[UDP, NULL_MODEM]);
    for _ in 0..5 {
        world.power_cut(POLLUX);
        world.run(ms(1000));
        world.start(POLLUX);
        world.run(ms(3000));
    }
    for of in [CASTOR, POLLUX] {
        let status = world.status(of);
        assert!(status.links.iter().all(|it| it.up));
        assert_eq!(of == CASTOR, status.links.iter().all(|it| it.greetings > 0));
        let unproven = |(cause, _): &(Rejection, u64)| *cause == Rejection::Unproven;
        assert!(
            !status
                .links
                .iter()
                .any(|it| it.rejected.iter().any(unproven))
        );
        let rejected = |it: &Report| matches!(it, Report::Rejected { .. });
        assert!(
            !world.machines[of].reports.iter().any(rejected),
            "{}",
            world.story()
        );
    }
}

#[test]
fn loss_on_both_links_is_shown_and_moves_nothing() {
    let mut world = World::settled(&[UDP, UDP]);
    for cable in &mut world.cables {
        cable.loss_permille = 100;
    }
    world.run(ms(60_000));
    world.expect([State::Active, State::Standby]);
    assert_eq!(world.machines[POLLUX].announcements, 0, "{}", world.story());
    let loss = world.status(CASTOR).links[0].loss_permille;
    assert!((20..250).contains(&loss), "{loss}");
}

#[test]
fn after_a_split_the_higher_term_stays_and_announces_again() {
    let mut world = World::settled(&[UDP, NULL_MODEM]);
    world.cut_all(true);
    world.run(ms(2000));
    world.expect([State::Active, State::Active]);
    world.forget();
    world.cut_all(false);
    world.run(ms(2000));
    world.expect([State::Standby, State::Active]);
    assert!(
        world.machines[POLLUX].announcements >= 1,
        "{}",
        world.story()
    );
    assert_eq!(world.reason(CASTOR, 1), Reason::Outranked);
}

#[test]
fn two_that_never_heard_each_other_took_different_terms() {
    let mut world = World::new(1, &[UDP]);
    world.cut_all(true);
    world.start(CASTOR);
    world.start(POLLUX);
    world.run(ms(3000));
    world.expect([State::Active, State::Active]);
    let terms = [CASTOR, POLLUX].map(|of| world.status(of).term);
    assert_eq!(terms, [1, 2]);
    world.forget();
    world.cut_all(false);
    world.run(ms(500));
    world.expect([State::Standby, State::Active]);
    assert!(world.machines[POLLUX].announcements >= 1);
    assert_eq!(world.status(CASTOR).newest_term_by, Some(2));
}

#[test]
fn an_active_box_that_stood_still_steps_down_first() {
    for stop_ms in [201, 250, 400, 5000] {
        let mut world = World::settled(&[UDP, UDP]);
        world.stop(CASTOR, ms(stop_ms));
        world.run(ms(stop_ms + 1000));
        world.expect([State::Standby, State::Active]);
        assert_eq!(world.reason(CASTOR, 1), Reason::Stalled);
        assert!(world.both_held_max <= ms(5), "{}", world.story());
    }
}

#[test]
fn a_lone_active_box_that_stood_still_is_soon_active_again() {
    let mut world = World::settled(&[UDP]);
    world.power_cut(POLLUX);
    world.run(ms(1000));
    world.forget();
    world.stop(CASTOR, ms(3000));
    world.run(ms(4000));
    world.expect_alone(CASTOR, State::Active);
    assert!(world.none_held_max < ms(150), "{}", world.story());
}

#[test]
fn a_standby_that_stood_still_does_not_take_its_own_pause_for_the_peer_s_death() {
    for stop_ms in [150, 190, 199, 205, 260, 1000, 5000] {
        let mut world = World::settled(&[UDP, NULL_MODEM]);
        world.stop(POLLUX, ms(stop_ms));
        world.run(ms(stop_ms + 2000));
        world.expect([State::Active, State::Standby]);
        assert_eq!(world.status(POLLUX).term, 0, "{}", world.story());
    }
}

#[test]
fn a_killed_worker_of_the_active_box_costs_no_outage() {
    let mut world = World::settled(&[UDP]);
    world.kill_worker(CASTOR);
    world.run(ms(60));
    world.start(CASTOR);
    world.run(ms(3000));
    world.expect([State::Standby, State::Active]);
    assert_eq!(
        world.reason(POLLUX, 1),
        Reason::Vacant(Vacancy::PeerRestarted)
    );
    assert!(!world.machines[CASTOR].holds);
    assert!(world.none_held_max.is_zero(), "{}", world.story());
    assert!(world.both_held_max <= ms(200), "{}", world.story());
}

#[test]
fn a_killed_worker_of_a_lone_box_costs_no_outage() {
    let mut world = World::new(1, &[UDP]);
    world.start(CASTOR);
    world.run(ms(2000));
    world.forget();
    world.kill_worker(CASTOR);
    world.run(ms(60));
    world.start(CASTOR);
    world.run(ms(3000));
    world.expect_alone(CASTOR, State::Active);
    assert!(world.none_held_max.is_zero(), "{}", world.story());
}

#[test]
fn a_box_that_lost_carrier_yields_to_one_that_has_it() {
    let mut world = World::settled(&[UDP]);
    world.input(CASTOR, Input::Fitness(1));
    world.run(ms(300));
    world.expect([State::Standby, State::Active]);
    assert_eq!(
        world.reason(CASTOR, 2),
        Reason::PeerBetter(Preference::Fitness)
    );
    world.input(CASTOR, Input::Fitness(2));
    world.run(ms(5000));
    world.expect([State::Standby, State::Active]);
}

#[test]
fn carriers_lost_on_both_boxes_move_nothing() {
    let mut world = World::settled(&[UDP]);
    world.input(CASTOR, Input::Fitness(1));
    world.run(ms(100));
    world.input(POLLUX, Input::Fitness(1));
    world.run(ms(5000));
    world.expect([State::Active, State::Standby]);
    assert_eq!(world.machines[POLLUX].announcements, 0);
}

#[test]
fn a_box_that_lost_carrier_stays_active_where_nobody_is_better() {
    let mut world = World::settled(&[UDP]);
    world.power_cut(POLLUX);
    world.run(ms(1000));
    world.input(CASTOR, Input::Fitness(0));
    world.run(ms(5000));
    world.expect_alone(CASTOR, State::Active);
}

#[test]
fn a_driver_that_cannot_set_addresses_leaves_them_to_the_peer() {
    let mut world = World::new(1, &[UDP]);
    world.machines[CASTOR].broken = true;
    world.start(CASTOR);
    world.start(POLLUX);
    world.run(ms(4000));
    world.expect([State::Standby, State::Active]);
    assert_eq!(
        world.machines[CASTOR]
            .reports
            .iter()
            .filter(|it| timed_out(it))
            .count(),
        1
    );
}

fn timed_out(report: &Report) -> bool {
    matches!(report, Report::Transition(it) if it.reason == Reason::TakeTimedOut)
}

#[test]
fn a_config_that_changes_on_a_box_that_runs_is_told_and_moves_nothing() {
    let mut world = World::settled(&[UDP]);
    let roles = [CASTOR, POLLUX].map(|of| world.state(of));
    let next = ConfigVersion {
        generation: 2,
        digest: 9,
    };
    let told = |world: &World, of: usize| {
        let peer = world.status(of).peer.unwrap();
        (peer.generation, peer.digest, peer.same_config)
    };
    world.forget();
    world.input(CASTOR, Input::Config(next));
    world.run(ms(500));
    assert_eq!(told(&world, POLLUX), (2, 9, false));
    assert!(!world.status(CASTOR).peer.unwrap().same_config);
    world.input(POLLUX, Input::Config(next));
    world.run(ms(500));
    for of in [CASTOR, POLLUX] {
        assert_eq!(told(&world, of), (2, 9, true));
        let differs = |it: &Report| match it {
            Report::Drift { differs, .. } => Some(*differs),
            _ => None,
        };
        let said = world.machines[of].reports.iter().filter_map(differs);
        assert!(said.eq([true, false]));
    }
    assert_eq!([CASTOR, POLLUX].map(|of| world.state(of)), roles);
}

#[test]
fn drift_is_reported_once_and_prevents_no_takeover() {
    let mut world = World::settled(&[UDP]);
    world.power_cut(POLLUX);
    world.run(ms(500));
    world.machines[POLLUX].settings.config.generation = 2;
    world.start(POLLUX);
    world.forget();
    world.run(ms(5000));
    let is_drift = |it: &&Report| matches!(it, Report::Drift { differs: true, .. });
    for of in [CASTOR, POLLUX] {
        assert_eq!(
            world.machines[of].reports.iter().filter(is_drift).count(),
            1
        );
        assert!(!world.status(of).peer.unwrap().same_config);
    }
    world.power_cut(CASTOR);
    world.run(ms(500));
    assert_eq!(world.status(POLLUX).role, Role::Active);
}
