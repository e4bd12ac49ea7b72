//! What a box must conclude though no frame told it: all frames of a moment were lost, or a line was too slow.

use crate::world::{CASTOR, UDP, World, ms, settings};
use proto::failover::State;
use proto::node::{Action, Input, LinkIndex, Medium, Node};
use proto::report::Report;
use proto::settings::Settings;
use proto::time::Instant;
use proto::wire::{Beat, Codec, Echo, Standing};

const OWN_START: u64 = 77;

/// Castor, as its frames show it to a node under test.
struct Peer {
    codec: Codec,
    incarnation: u64,
    sequence: u64,
    standing: Standing,
}

impl Peer {
    fn new(own: &Settings) -> Self {
        Self {
            codec: Codec::new(own.cluster, &own.key),
            incarnation: 11,
            sequence: 0,
            standing: Standing {
                revision: 1,
                term: 0,
                state: State::Standby,
                priority: 100,
                fitness: 2,
                ready: false,
                in_sync: false,
                dead_ms: 200,
                generation: 1,
                digest: 7,
            },
        }
    }

    /// It was started anew.
    fn restart(&mut self, incarnation: u64) {
        self.incarnation = incarnation;
        self.sequence = 0;
        self.standing.revision = 1;
    }

    /// Hands the node a beat that echoes its newest.
    fn beat(&mut self, now: Instant, node: &mut Node, heard: u64) {
        self.beat_on(0, now, node, heard);
    }

    fn beat_on(&mut self, link: u8, now: Instant, node: &mut Node, heard: u64) {
        self.sequence += 1;
        let beat = Beat {
            sender: 1,
            link,
            incarnation: self.incarnation,
            sequence: self.sequence,
            echo: Some(Echo {
                incarnation: OWN_START,
                sequence: heard,
                revision: 0,
            }),
            asks: false,
            standing: self.standing,
        };
        let frame = self.codec.encode(&beat).unwrap();
        node.handle_frame(now, LinkIndex(link), &frame);
    }
}

/// Lets the node beat; returns the newest sequence number that it has sent on any link.
fn turn(now: &mut Instant, node: &mut Node, peer: &Peer) -> u64 {
    *now = *now + ms(50);
    node.handle_timeout(*now);
    let mut sent = 0;
    while let Some(transmit) = node.poll_transmit() {
        sent = peer.codec.decode(&transmit.frame).unwrap().sequence;
    }
    sent
}

/// Runs the node for so many beats of its peer; returns how often it announces.
fn run(now: &mut Instant, node: &mut Node, peer: &mut Peer, beats: u64) -> usize {
    let mut announcements = 0;
    for _ in 0..beats {
        let heard = turn(now, node, peer);
        peer.beat(*now, node, heard);
        while let Some(action) = node.poll_action() {
            match action {
                Action::TakeAddresses { term } => {
                    node.handle_input(*now, Input::AddressesTaken { term });
                }
                Action::Announce => announcements += 1,
                _ => {}
            }
        }
    }
    announcements
}

#[test]
fn a_peer_that_held_the_addresses_between_two_of_its_frames_is_announced_over() {
    let own = settings(2, &[UDP]);
    let mut peer = Peer::new(&own);
    let mut now = Instant::from_micros(1_000_000);
    let mut node = Node::new(now, own, OWN_START);
    node.handle_input(now, Input::Ready(true));
    run(&mut now, &mut node, &mut peer, 40);
    assert_eq!(node.status(now).state, State::Active);
    assert_eq!(run(&mut now, &mut node, &mut peer, 10), 0);
    peer.standing.revision += 5;
    peer.standing.term = 1;
    assert_eq!(run(&mut now, &mut node, &mut peer, 10), 1);
}

#[test]
fn a_box_that_stood_still_listens_to_its_slowest_link_before_it_takes_anything_again() {
    for moment in 0..16 {
        let mut world = World::settled(&[UDP, Medium::Serial { baud: 9_600 }]);
        world.run(ms(10 * moment));
        world.stop(CASTOR, ms(318));
        world.run(ms(98));
        world.cables[0].cut = [true; 2];
        world.run(ms(1500));
        let reports = world.machines.iter().flat_map(|it| &it.reports);
        let takeovers =
            reports.filter(|it| matches!(it, Report::Transition(it) if it.to == State::Active));
        assert!(takeovers.count() <= 1, "{moment}: {}", world.story());
    }
}

#[test]
fn of_two_starts_the_one_that_hears_what_was_sent_last_is_believed_in_whatever_order_they_were_read()
 {
    let own = settings(2, &[UDP, UDP]);
    let mut peer = Peer::new(&own);
    let mut now = Instant::from_micros(1_000_000);
    let mut node = Node::new(now, own, OWN_START);
    let believed = |node: &Node, now| node.status(now).peer.map(|peer| peer.incarnation);
    run(&mut now, &mut node, &mut peer, 10);
    let heard = turn(&mut now, &mut node, &peer);
    // The third start is read on the one link before the second on the other.
    peer.restart(33);
    peer.beat_on(0, now, &mut node, heard);
    peer.restart(22);
    peer.beat_on(1, now, &mut node, heard);
    assert_eq!(believed(&node, now), Some(22));
    peer.restart(33);
    peer.sequence = 1;
    peer.beat_on(0, now, &mut node, heard);
    assert_eq!(believed(&node, now), Some(22), "may be old");
    let heard = turn(&mut now, &mut node, &peer);
    peer.beat_on(0, now, &mut node, heard);
    assert_eq!(believed(&node, now), Some(33), "hears what is sent now");
    peer.restart(22);
    peer.sequence = 1;
    peer.beat_on(1, now, &mut node, heard - 1);
    assert_eq!(believed(&node, now), Some(33));
}

#[test]
fn what_a_peer_says_without_hearing_us_counts_by_the_dead_time_of_now() {
    let own = settings(2, &[UDP]);
    let mut peer = Peer::new(&own);
    let mut now = Instant::from_micros(1_000_000);
    let mut node = Node::new(now, own, OWN_START);
    peer.standing.dead_ms = 700;
    run(&mut now, &mut node, &mut peer, 10);
    // It has calmed down, and this is the last of it.
    let old = turn(&mut now, &mut node, &peer) - 1;
    peer.standing.dead_ms = 200;
    peer.standing.revision += 1;
    peer.beat(now, &mut node, old);
    let alive = |node: &Node, now| node.status(now).peer.is_some_and(|peer| peer.alive);
    for _ in 0..3 {
        turn(&mut now, &mut node, &peer);
        assert!(alive(&node, now));
    }
    turn(&mut now, &mut node, &peer);
    assert!(!alive(&node, now));
}
