//! What strangers, old captures, wrong keys and noisy lines put on the links: counted, shown, without
//! effect.

use crate::random::Random;
use crate::world::{CASTOR, NULL_MODEM, POLLUX, UDP, World, ms};
use proto::failover::State;
use proto::report::Report;
use proto::wire::{ClusterTag, Rejection};

/// How often the link of a box rejected something for this reason.
fn count(world: &World, of: usize, link: usize, rejection: Rejection) -> u64 {
    let rejected = &world.status(of).links[link].rejected;
    let found = rejected.iter().find(|(cause, _)| *cause == rejection);
    found.map_or(0, |(_, count)| *count)
}

fn reported(world: &World, of: usize, wanted: Rejection) -> usize {
    let reports = world.machines[of].reports.iter();
    let is_wanted =
        |it: &&Report| matches!(it, Report::Rejected { rejection, .. } if *rejection == wanted);
    reports.filter(is_wanted).count()
}

#[test]
fn a_capture_of_the_active_s_whole_life_does_not_keep_it_alive() {
    let mut world = World::settled(&[UDP, NULL_MODEM]);
    world.run(ms(2000));
    let captures: Vec<_> = world
        .cables
        .iter()
        .map(|it| it.capture[CASTOR].clone())
        .collect();
    world.power_cut(CASTOR);
    for turn in 0..100 {
        for (link, capture) in captures.iter().enumerate() {
            let frame = &capture[capture.len() - 1 - turn % capture.len()];
            world.inject(POLLUX, link as u8, frame);
        }
        world.run(ms(10));
    }
    assert_eq!(world.state(POLLUX), State::Active, "{}", world.story());
    assert!(world.none_held_max <= ms(300));
    assert!(count(&world, POLLUX, 0, Rejection::Replayed) >= 90);
    assert!(
        reported(&world, POLLUX, Rejection::Replayed) <= 14,
        "a flood fills no log"
    );
}

#[test]
fn a_capture_of_an_earlier_start_moves_nothing_and_hides_nobody() {
    let mut world = World::settled(&[UDP]);
    let capture = world.cables[0].capture[CASTOR].clone();
    world.power_cut(CASTOR);
    world.run(ms(1000));
    world.start(POLLUX); // forgets all it knew
    world.run(ms(500));
    world.start(CASTOR);
    for turn in 0..1000 {
        world.inject(POLLUX, 0, &capture[turn % capture.len()]);
        world.run(ms(3));
    }
    world.expect([State::Active, State::Standby]);
    assert!(world.status(POLLUX).links[0].up, "{}", world.story());
    assert_eq!(world.status(POLLUX).term, 0);
}

#[test]
fn a_wrong_key_is_counted_reported_and_ignored() {
    let mut world = World::new(1, &[UDP]);
    world.machines[POLLUX].settings.key = [1; 32];
    world.start(CASTOR);
    world.start(POLLUX);
    world.run(ms(5000));
    for of in [CASTOR, POLLUX] {
        assert!(count(&world, of, 0, Rejection::BadMac) > 50);
        assert!((1..=8).contains(&reported(&world, of, Rejection::BadMac)));
        assert!(world.status(of).peer.is_none());
    }
}

#[test]
fn a_neighbouring_cluster_is_counted_and_not_reported() {
    let mut world = World::new(1, &[UDP]);
    world.machines[POLLUX].settings.cluster = ClusterTag::of_name("neighbour");
    world.start(CASTOR);
    world.start(POLLUX);
    world.run(ms(1000));
    assert!(count(&world, CASTOR, 0, Rejection::WrongCluster) > 10);
    assert_eq!(reported(&world, CASTOR, Rejection::WrongCluster), 0);
}

#[test]
fn an_echoing_tty_is_not_a_peer() {
    let mut world = World::new(1, &[NULL_MODEM]);
    world.start(CASTOR);
    for _ in 0..100 {
        world.run(ms(20));
        if let Some(own) = world.cables[0].capture[CASTOR].last().cloned() {
            world.inject(CASTOR, 0, &own);
        }
    }
    assert_eq!(world.state(CASTOR), State::Active);
    assert!(world.status(CASTOR).peer.is_none());
    assert!(count(&world, CASTOR, 0, Rejection::OwnEcho) >= 99);
}

#[test]
fn two_boxes_with_the_same_number_are_told_so() {
    let mut world = World::new(1, &[UDP]);
    world.machines[POLLUX].settings.number = 1;
    world.machines[POLLUX].settings.peer = 2;
    world.start(CASTOR);
    world.start(POLLUX);
    world.run(ms(1000));
    assert!(reported(&world, CASTOR, Rejection::SameNumber) >= 1);
}

#[test]
fn crossed_links_are_told_so() {
    let mut world = World::settled(&[UDP, UDP]);
    let frame = world.cables[0].capture[CASTOR].last().cloned().unwrap();
    world.inject(POLLUX, 1, &frame);
    assert_eq!(count(&world, POLLUX, 1, Rejection::WrongLink), 1);
    world.inject(POLLUX, 9, &frame); // a link that does not exist
    world.expect([State::Active, State::Standby]);
}

#[test]
fn noise_on_every_link_moves_nothing() {
    let mut world = World::settled(&[UDP, NULL_MODEM]);
    let mut random = Random(7);
    let genuine = world.cables[0].capture[CASTOR].last().cloned().unwrap();
    for _ in 0..5000 {
        let length = random.below(150) as usize;
        let mut bytes: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        if random.below(2) == 0 {
            bytes = genuine.clone();
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
        let to = random.below(2) as usize;
        world.inject(to, random.below(2) as u8, &bytes);
        world.run(ms(1));
    }
    world.expect([State::Active, State::Standby]);
    assert_eq!(world.machines[POLLUX].announcements, 0);
    assert_eq!(
        world.machines[CASTOR]
            .node
            .as_ref()
            .unwrap()
            .status(world.now)
            .reports_dropped,
        0
    );
}
