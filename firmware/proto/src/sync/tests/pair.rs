//! What a pair does in whole: each test is a story of two boxes.

use super::super::{DATAGRAM_BYTES_MAX, Kind, Rejection, Want};
use super::world::{KEY, Link, World, engine};
use alloc::vec::Vec;

const BAD: Link = Link {
    loss_permille: 100,
    duplicate_permille: 100,
    jitter_us: 3000,
    is_cut: false,
};

fn settled(flows: u32) -> World {
    let mut world = World::new(42);
    for flow in 0..flows {
        world.put(0, flow, 1);
    }
    world.settle();
    assert!(world.are_equal());
    world
}

#[test]
fn two_empty_boxes_agree_at_once() {
    let mut world = World::new(1);
    let took = world.settle();
    assert!(took.as_millis() < 100, "{took:?}");
}

#[test]
fn what_one_has_the_other_gets() {
    let mut world = settled(1000);
    world.put(0, 5, 2);
    world.remove(0, 6);
    world.put(0, 5000, 1);
    world.run_ms(20);
    assert_eq!(
        (world.state(1, 5), world.state(1, 6), world.state(1, 5000)),
        (Some(2), None, Some(1))
    );
    assert!(world.are_equal() && world.are_in_sync());
    assert!(world.status(0).lag_ms < 20);
}

#[test]
fn loss_doubling_and_reorder_lose_nothing() {
    let mut world = settled(300);
    world.link = BAD;
    for round in 0..200 {
        for _ in 0..20 {
            let flow = u32::try_from(world.draw() % 600).unwrap();
            if world.draw().is_multiple_of(4) {
                world.remove(0, flow);
            } else {
                world.put(0, flow, round);
            }
        }
        world.run_ms(2);
    }
    world.settle();
    assert!(world.are_equal());
    assert!(world.status(0).resent > 0 && world.status(1).overtaken > 0);
}

#[test]
fn a_rebooted_box_gets_everything_back() {
    let mut world = settled(2000);
    world.restart(1, true);
    world.role(1, false, 1);
    world.settle();
    assert!(world.are_equal() && world.state(1, 1999) == Some(1));
}

/// What a start hears before it has met its peer is thrown away: a bulk that began then lost its first datagrams, and
/// answers that prove nothing but life acknowledged them.
#[test]
fn a_bulk_begins_when_both_have_met() {
    let mut world = settled(2000);
    // Sweeps come at once again.
    world.run_ms(15_000);
    world.restart(1, true);
    world.role(1, false, 1);
    let took = world.settle();
    assert!(world.are_equal() && took.as_millis() < 50, "{took:?}");
    assert_eq!(world.status(0).resent, 0);
}

#[test]
fn a_takeover_and_the_return_of_the_dead() {
    let mut world = settled(500);
    world.switch_off(0);
    world.role(1, true, 2);
    world.put(1, 7, 9);
    world.remove(1, 8);
    world.run_ms(5000);
    world.restart(0, true);
    world.role(0, false, 2);
    world.settle();
    assert!(world.are_equal());
    assert_eq!(
        (world.state(0, 7), world.state(0, 8), world.state(0, 9)),
        (Some(9), None, Some(1))
    );
}

#[test]
fn a_replay_is_counted_and_changes_nothing() {
    let mut world = settled(100);
    world.put(0, 1, 2);
    world.settle();
    let captured: Vec<_> = world.captured.clone();
    let before = [0, 1].map(|side| world.rejected(side));
    let mut thrown_away = [Vec::new(), Vec::new()];
    for (to, datagram) in &captured {
        let cause = world.deliver(*to, datagram).unwrap_err();
        assert!(
            matches!(cause, Rejection::Replayed | Rejection::Unproven),
            "{cause:?}"
        );
        thrown_away[*to].push(cause);
    }
    for (side, causes) in thrown_away.iter().enumerate() {
        assert!(causes.contains(&Rejection::Replayed), "{side}");
        assert!(world.has_counted(side, before[side], causes), "{side}");
    }
    assert_eq!(world.state(1, 1), Some(2));
    assert!(world.are_in_sync());
}

#[test]
fn another_key_is_counted_and_changes_nothing() {
    let mut world = settled(10);
    let before = world.rejected(0);
    let mut stranger = engine(world.now, 77, 1, &[8; 32]);
    let mut buffer = [0; 1400];
    let length = stranger.poll_transmit(world.now, &mut buffer).unwrap();
    assert_eq!(world.deliver(0, &buffer[..length]), Err(Rejection::BadMac));
    let mut friend = engine(world.now, 77, 1, &KEY);
    let length = friend.poll_transmit(world.now, &mut buffer).unwrap();
    buffer[20] ^= 1;
    assert_eq!(world.deliver(0, &buffer[..length]), Err(Rejection::BadMac));
    assert!(world.has_counted(0, before, &[Rejection::BadMac; 2]));
    assert!(world.are_in_sync());
}

#[test]
fn of_the_balancer_all_is_told_and_nothing_removed() {
    let mut world = settled(1);
    world.put_kind(0, Kind::Ipvs, 9, 1);
    world.run_ms(20);
    assert!(world.are_equal());
    world.put_kind(0, Kind::Ipvs, 9, 1);
    world.run_ms(20);
    assert_eq!(world.status(1).applied, 3);
}

/// Nobody compares them: that the numbers differ is no trouble.
#[test]
fn what_the_balancers_hold_is_told_as_a_number() {
    let mut world = settled(1);
    world.sides[0].engine.set_balanced(12);
    world.sides[1].engine.set_balanced(11);
    world.run_ms(1000);
    assert!(world.are_in_sync());
    for (of, here, there) in [(0, 12, 11), (1, 11, 12)] {
        let [.., balanced] = world.status(of).kinds;
        assert_eq!((balanced.here, balanced.there), (here, there));
    }
}

#[test]
fn what_was_balanced_while_the_twin_was_not_heard_is_told_afterwards() {
    let mut world = settled(1);
    world.link.is_cut = true;
    world.run_ms(2000);
    world.put_kind(0, Kind::Ipvs, 9, 1);
    world.link.is_cut = false;
    world.settle();
    assert!(world.are_equal());
}

/// A box that was frozen tells what it had not told when the other one took over.
#[test]
fn who_took_over_from_a_silent_box_hears_no_more_of_what_that_balanced() {
    let mut world = settled(1);
    world.role(1, true, 2);
    world.put_kind(1, Kind::Ipvs, 9, 2);
    world.run_ms(20);
    world.put_kind(0, Kind::Ipvs, 9, 1);
    let before = world.status(1).outranked;
    world.run_ms(20);
    assert_eq!(world.status(1).outranked, before + 1);
    assert_eq!(world.held(1, Kind::Ipvs, 9), Some(2));
}

#[test]
fn who_takes_over_in_order_hears_last_words_of_what_was_balanced() {
    let mut world = settled(1);
    world.sides[1].engine.request_flush(world.now);
    world.run_ms(20);
    world.role(1, true, 2);
    world.role(0, false, 2);
    world.put_kind(0, Kind::Ipvs, 9, 1);
    world.run_ms(20);
    assert_eq!(world.held(1, Kind::Ipvs, 9), Some(1));
}

/// It may have been frozen meanwhile: its words are old by then.
#[test]
fn last_words_of_what_was_balanced_end_with_a_silence() {
    let mut world = settled(1);
    world.sides[1].engine.request_flush(world.now);
    world.run_ms(20);
    world.role(1, true, 2);
    world.role(0, false, 2);
    world.put_kind(1, Kind::Ipvs, 9, 2);
    world.link.is_cut = true;
    world.run_ms(2000);
    world.link.is_cut = false;
    world.settle();
    world.put_kind(0, Kind::Ipvs, 9, 1);
    world.run_ms(20);
    assert_eq!(world.held(1, Kind::Ipvs, 9), Some(2));
}

/// The box of the lower term stays: what the other one told meanwhile in a higher one is no hindrance.
#[test]
fn a_takeover_that_is_called_off_leaves_the_boxes_able_to_agree() {
    let mut world = settled(10);
    world.role(1, true, 2);
    world.put(0, 3, 7);
    world.run_ms(1000);
    world.role(1, false, 2);
    world.put(0, 3, 8);
    world.settle();
    assert_eq!([0, 1].map(|of| world.state(of, 3)), [Some(8); 2]);
}

#[test]
fn of_two_active_boxes_the_lower_term_yields_and_what_only_it_knew_is_kept() {
    let mut world = settled(10);
    world.link.is_cut = true;
    world.role(1, true, 2);
    world.put(0, 3, 7);
    world.put(1, 3, 8);
    world.put(0, 100, 1);
    world.run_ms(2000);
    world.link.is_cut = false;
    world.run_ms(500);
    world.role(0, false, 2);
    world.settle();
    assert!(world.are_equal());
    assert_eq!((world.state(0, 3), world.state(1, 100)), (Some(8), Some(1)));
}

/// What the old owner had still to tell when the boxes could not hear each other does not bring back what ended meanwhile
/// at the new one; a connection that only the old one knows is kept.
#[test]
fn what_ended_at_the_new_owner_stays_ended() {
    let mut world = settled(10);
    world.link.is_cut = true;
    world.put(0, 3, 7);
    world.put(0, 100, 1);
    world.role(1, true, 2);
    world.remove(1, 3);
    world.run_ms(2000);
    world.link.is_cut = false;
    world.role(0, false, 2);
    world.settle();
    assert!(world.are_equal());
    assert_eq!((world.state(1, 3), world.state(1, 100)), (None, Some(1)));
    // A flow of that name that begins anew is another one.
    world.put(1, 3, 8);
    world.settle();
    assert_eq!(world.state(0, 3), Some(8));
}

#[test]
fn a_cut_of_seconds_loses_nothing() {
    let mut world = settled(100);
    world.link.is_cut = true;
    for round in 2..100 {
        world.put(0, round, round);
        world.remove(0, round - 2);
        world.run_ms(50);
    }
    assert!(!world.are_in_sync());
    world.link.is_cut = false;
    world.settle();
    assert!(world.are_equal());
}

#[test]
fn a_twin_without_room_is_not_in_sync_and_gets_the_rest_once_it_has_some() {
    let mut world = World::new(7);
    world.sides[1].room = 700;
    for flow in 0..1000 {
        world.put(0, flow, 1);
    }
    // Longer than it is asked again and again.
    for _ in 0..20 {
        world.run_ms(500);
        assert!(!world.sides.iter().any(|side| side.engine.in_sync()));
    }
    assert_eq!(world.sides[1].kernel.len(), 700);
    world.sides[1].room = usize::MAX;
    world.sides[1].engine.set_full(false);
    assert!(!world.sides[1].engine.in_sync());
    world.settle();
    assert!(world.are_equal());
}

#[test]
fn each_state_that_the_kernel_refuses_is_asked_for_again_as_often() {
    let mut world = settled(1);
    world.sides[1].room = 0;
    for (state, refused) in [(1, 3), (2, 6)] {
        world.put(0, 100, state);
        world.run_ms(5000);
        assert_eq!(world.status(1).refused, refused);
    }
}

#[test]
fn a_flush_is_confirmed_once_all_that_was_pending_is_there() {
    let mut world = settled(1);
    for flow in 0..500 {
        world.put(0, flow, 2);
    }
    world.sides[1].engine.request_flush(world.now);
    assert!(!world.sides[1].engine.is_flushed());
    let end = world.now + core::time::Duration::from_millis(30);
    world.run(end, |world| world.sides[1].engine.is_flushed());
    assert!(world.now < end && world.state(1, 499) == Some(2));
}

#[test]
fn a_flush_in_which_events_are_lost_is_confirmed_after_the_sweep() {
    let mut world = settled(1);
    world.sides[1].engine.request_flush(world.now);
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    while let Some(length) = world.sides[1].engine.poll_transmit(world.now, &mut buffer) {
        world.deliver(0, &buffer[..length]).unwrap();
    }
    let now = world.now;
    assert_eq!(world.sides[0].engine.poll_want(now), Some(Want::Drain));
    world.put_unheard(0, 900, 2);
    world.sides[0].engine.drained(now);
    let end = world.now + core::time::Duration::from_secs(5);
    world.run(end, |world| world.sides[1].engine.is_flushed());
    assert!(world.now < end && world.state(1, 900) == Some(2));
}

#[test]
fn whoever_notes_too_much_is_told_to_stop_and_nothing_is_lost() {
    let mut world = settled(1);
    let mut flow = 0;
    while world.sides[0].engine.room() > 0 {
        world.put(0, flow, 1);
        flow += 1;
    }
    world.put(0, flow, 1);
    world.settle();
    assert!(world.are_equal() && world.state(1, flow) == Some(1));
}
