//! What a box must conclude though no frame told it: all frames of a moment were lost, or a line was too slow.

use crate::world::{CASTOR, UDP, World, ms, settings};
use proto::failover::State;
use proto::node::{Action, Input, LinkIndex, Medium, Node};
use proto::report::Report;
use proto::time::Instant;
use proto::wire::{Beat, Codec, Echo, Standing};

const OWN_START: u64 = 77;

/// Castor, as its frames show it to a node under test.
struct Peer {
    codec: Codec,
    sequence: u64,
    standing: Standing,
}

impl Peer {
    /// Hands the node a beat that echoes its newest.
    fn beat(&mut self, now: Instant, node: &mut Node, heard: u64) {
        self.sequence += 1;
        let beat = Beat {
            sender: 1,
            link: 0,
            incarnation: 11,
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
        node.handle_frame(now, LinkIndex(0), &frame);
    }
}

/// Runs the node for so many beats of its peer; returns how often it announces.
fn run(now: &mut Instant, node: &mut Node, peer: &mut Peer, beats: u64) -> usize {
    let mut announcements = 0;
    for _ in 0..beats {
        *now = *now + ms(50);
        node.handle_timeout(*now);
        let mut heard = 0;
        while let Some(transmit) = node.poll_transmit() {
            heard = peer.codec.decode(&transmit.frame).unwrap().sequence;
        }
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
    let mut peer = Peer {
        codec: Codec::new(own.cluster, &own.key),
        sequence: 0,
        standing: Standing {
            revision: 1,
            term: 0,
            state: State::Standby,
            priority: 100,
            fitness: 2,
            ready: false,
            dead_ms: 200,
            generation: 1,
            digest: 7,
        },
    };
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
