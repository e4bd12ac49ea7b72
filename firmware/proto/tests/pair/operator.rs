//! What operators say: handovers back and forth, a standby that sticks, a reboot that hands over first.

use crate::world::{CASTOR, NULL_MODEM, POLLUX, UDP, World, ms};
use proto::failover::{Command, Preference, Reason, Role, State, Vacancy};
use proto::node::{FailBack, Input, Refusal};

/// The addresses are held by somebody throughout, and by both for milliseconds only.
fn assert_seamless(world: &World) {
    assert!(world.none_held_max.is_zero(), "{}", world.story());
    assert!(world.both_held_max <= ms(10), "{}", world.story());
}

#[test]
fn standby_hands_over_and_sticks() {
    let mut world = World::settled(&[UDP]);
    world.command(CASTOR, Command::Standby).unwrap();
    world.run(ms(20));
    world.expect([State::Held, State::Active]);
    assert_seamless(&world);
    assert!(
        world.machines[POLLUX].announcements >= 2,
        "at taking, and when the old one let go"
    );
    world.input(POLLUX, Input::Fitness(1));
    world.run(ms(20_000));
    world.expect([State::Held, State::Active]);
}

#[test]
fn takeover_and_back_again() {
    let mut world = World::settled(&[UDP, NULL_MODEM]);
    for _ in 0..5 {
        world.command(POLLUX, Command::Takeover).unwrap();
        world.run(ms(500));
        world.expect([State::Standby, State::Active]);
        world.command(CASTOR, Command::Takeover).unwrap();
        world.run(ms(500));
        world.expect([State::Active, State::Standby]);
    }
    assert_seamless(&world);
    assert_eq!(world.status(CASTOR).term, 11);
}

#[test]
fn a_handover_over_the_null_modem_alone_is_seamless_too() {
    let mut world = World::settled(&[NULL_MODEM]);
    world.command(POLLUX, Command::Takeover).unwrap();
    world.run(ms(500));
    world.expect([State::Standby, State::Active]);
    assert!(world.none_held_max.is_zero());
    // The line carries one frame in 35 ms: the one under way, then the one that says "active".
    assert!(world.both_held_max <= ms(80), "{}", world.story());
}

#[test]
fn takeover_ends_the_operator_s_standby() {
    let mut world = World::settled(&[UDP]);
    world.command(POLLUX, Command::Standby).unwrap();
    assert_eq!(world.state(POLLUX), State::Held);
    world.command(POLLUX, Command::Takeover).unwrap();
    world.run(ms(100));
    world.expect([State::Standby, State::Active]);
}

#[test]
fn the_operator_s_takeover_is_not_undone_by_fail_back() {
    let mut world = World::new(1, &[UDP]);
    for machine in &mut world.machines {
        machine.settings.fail_back = FailBack::Auto;
    }
    world.machines[CASTOR].settings.priority = 200;
    world.start(CASTOR);
    world.start(POLLUX);
    world.run(ms(3000));
    world.command(POLLUX, Command::Takeover).unwrap();
    world.run(ms(20_000));
    world.expect([State::Standby, State::Active]);
}

#[test]
fn the_operator_s_takeover_outranks_carriers_until_more_are_lost() {
    let mut world = World::settled(&[UDP]);
    world.input(POLLUX, Input::Fitness(1));
    world.run(ms(50));
    world.command(POLLUX, Command::Takeover).unwrap();
    world.run(ms(60_000));
    world.expect([State::Standby, State::Active]);
    assert_seamless(&world);
    world.input(CASTOR, Input::Fitness(3));
    world.run(ms(1000));
    world.expect([State::Active, State::Standby]);
    assert_eq!(
        world.reason(POLLUX, 2),
        Reason::PeerBetter(Preference::Fitness)
    );
}

#[test]
fn the_last_carrier_outranks_the_operator() {
    let mut world = World::settled(&[UDP]);
    world.input(POLLUX, Input::Fitness(1));
    world.run(ms(50));
    world.command(POLLUX, Command::Takeover).unwrap();
    world.run(ms(1000));
    world.input(CASTOR, Input::Fitness(1));
    world.input(POLLUX, Input::Fitness(0));
    world.run(ms(1000));
    world.expect([State::Active, State::Standby]);
}

#[test]
fn a_box_without_carriers_is_not_handed_the_addresses() {
    let mut world = World::settled(&[UDP]);
    world.input(POLLUX, Input::Fitness(0));
    world.run(ms(50));
    let takeover = world.command(POLLUX, Command::Takeover);
    assert_eq!(takeover, Err(Refusal::NoCarrier));
    let standby = world.command(CASTOR, Command::Standby);
    assert_eq!(standby, Err(Refusal::PeerNoCarrier));
    world.run(ms(1000));
    world.expect([State::Active, State::Standby]);
    // Nothing is lost where neither has any.
    world.input(CASTOR, Input::Fitness(0));
    world.run(ms(50));
    world.command(POLLUX, Command::Takeover).unwrap();
    world.run(ms(1000));
    world.expect([State::Standby, State::Active]);
}

#[test]
fn a_box_put_in_standby_still_takes_over_when_the_peer_dies() {
    let mut world = World::settled(&[UDP]);
    world.command(CASTOR, Command::Standby).unwrap();
    world.run(ms(100));
    world.power_cut(POLLUX);
    world.run(ms(300));
    world.expect_alone(CASTOR, State::Active);
}

#[test]
fn resign_hands_over_first() {
    let mut world = World::settled(&[UDP]);
    world.command(CASTOR, Command::Resign).unwrap();
    world.run(ms(50));
    world.expect([State::Resigned, State::Active]);
    assert_seamless(&world);
    assert_eq!(world.status(CASTOR).role, Role::Resigned);
}

#[test]
fn resign_hands_over_to_a_held_box_too() {
    let mut world = World::settled(&[UDP]);
    world.command(POLLUX, Command::Standby).unwrap();
    world.command(CASTOR, Command::Resign).unwrap();
    world.run(ms(50));
    world.expect([State::Resigned, State::Active]);
    assert_seamless(&world);
}

#[test]
fn resign_of_a_lone_box_releases_and_is_done() {
    let mut world = World::settled(&[UDP]);
    world.power_cut(POLLUX);
    world.run(ms(500));
    world.command(CASTOR, Command::Resign).unwrap();
    world.run(ms(10));
    assert_eq!(world.state(CASTOR), State::Resigned);
    assert!(!world.machines[CASTOR].holds);
}

#[test]
fn resign_is_done_in_time_when_the_peer_cannot_take() {
    let mut world = World::settled(&[UDP]);
    world.machines[POLLUX].broken = true;
    world.command(CASTOR, Command::Resign).unwrap();
    world.run(ms(2100));
    assert_eq!(world.state(CASTOR), State::Resigned);
}

#[test]
fn a_standby_that_resigns_leaves_the_active_alone_and_never_takes() {
    let mut world = World::settled(&[UDP]);
    world.command(POLLUX, Command::Resign).unwrap();
    world.run(ms(1000));
    world.expect([State::Active, State::Resigned]);
    world.power_cut(CASTOR);
    world.run(ms(1000));
    assert_eq!(world.state(POLLUX), State::Resigned);
}

#[test]
fn a_handover_that_fails_is_called_off() {
    let mut world = World::settled(&[UDP]);
    world.machines[POLLUX].broken = true;
    world.command(CASTOR, Command::Standby).unwrap();
    world.run(ms(2500));
    world.expect([State::Active, State::Standby]);
    assert!(world.none_held_max.is_zero(), "{}", world.story());
}

#[test]
fn what_cannot_be_done_is_refused_with_the_reason() {
    let mut world = World::new(1, &[UDP]);
    world.start(CASTOR);
    assert_eq!(
        world.command(CASTOR, Command::Takeover),
        Err(Refusal::Listening)
    );
    world.run(ms(1500));
    assert_eq!(
        world.command(CASTOR, Command::Takeover),
        Err(Refusal::AlreadyActive)
    );
    assert_eq!(
        world.command(CASTOR, Command::Standby),
        Err(Refusal::NoPeer)
    );
    world.start(POLLUX);
    world.run(ms(1500));
    world.input(POLLUX, Input::Ready(false));
    assert_eq!(
        world.command(POLLUX, Command::Takeover),
        Err(Refusal::NotReady)
    );
    world.run(ms(10));
    assert_eq!(
        world.command(CASTOR, Command::Standby),
        Err(Refusal::PeerUnable)
    );
    world.command(CASTOR, Command::Resign).unwrap();
    world.run(ms(10));
    assert_eq!(
        world.command(CASTOR, Command::Takeover),
        Err(Refusal::Resigned)
    );
    world.run(ms(1500));
    assert_eq!(
        world.reason(POLLUX, 1),
        Reason::Vacant(Vacancy::PeerResigned)
    );
}

#[test]
fn a_planned_handover_waits_for_sync_and_a_forced_one_or_a_death_does_not() {
    let mut world = World::settled(&[UDP]);
    world.input(POLLUX, Input::InSync(false));
    world.run(ms(100));
    let refused = world.command(POLLUX, Command::Takeover).unwrap_err();
    assert!(refused.is_for_sync() && refused.to_string().contains("takeover force"));
    assert_eq!(
        world.command(CASTOR, Command::Standby),
        Err(Refusal::PeerNotInSync)
    );
    world.expect([State::Active, State::Standby]);
    let now = world.now;
    let node = world.machines[POLLUX].node.as_mut().unwrap();
    node.force_command(now, Command::Takeover).unwrap();
    world.run(ms(100));
    world.expect([State::Standby, State::Active]);
    world.input(CASTOR, Input::InSync(false));
    world.run(ms(100));
    assert_eq!(
        world.command(POLLUX, Command::Resign),
        Err(Refusal::PeerNotInSync)
    );
    world.power_cut(POLLUX);
    world.run(ms(400));
    assert_eq!(world.state(CASTOR), State::Active);
}

#[test]
fn a_box_that_goes_waits_for_sync_only_where_that_helps_and_goes_by_force() {
    let mut world = World::settled(&[UDP]);
    world.input(POLLUX, Input::InSync(false));
    world.run(ms(100));
    let refused = world.command(CASTOR, Command::Resign).unwrap_err();
    assert!(refused.is_for_sync());
    world.expect([State::Active, State::Standby]);
    let now = world.now;
    let node = world.machines[CASTOR].node.as_mut().unwrap();
    node.force_command(now, Command::Resign).unwrap();
    world.run(ms(100));
    world.expect([State::Resigned, State::Active]);

    let mut world = World::settled(&[UDP]);
    world.input(POLLUX, Input::InSync(false));
    world.input(POLLUX, Input::Ready(false));
    world.run(ms(100));
    world.command(CASTOR, Command::Resign).unwrap();
}

#[test]
fn what_the_operator_asked_for_is_not_carried_out_long_after() {
    let mut world = World::settled(&[UDP]);
    world.command(POLLUX, Command::Takeover).unwrap();
    world.stop(POLLUX, ms(2500));
    world.run(ms(6000));
    world.expect([State::Active, State::Standby]);
    assert_eq!(world.reason(POLLUX, 0), Reason::HandoverTimedOut);
}
