//! A whole box, told by a script: a peer that has the key and says anything, strangers, time, carriers,
//! commands, and a driver that obeys or does not. After each happening the box must keep its word: `Box`
//! below says which.

mod kept;

use super::wire::{KEY, beat, codec, standing, tag};
use kept::Kept;
use pollux::fuzzing::{script, written};
use proto::failover::{Command, State};
use proto::node::{ConfigVersion, FailBack, Input, LinkIndex, Medium, Node, Timing};
use proto::settings::Settings;
use proto::time::Instant;
use proto::wire::{Beat, Echo, Standing};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Links of the box; the last one is a serial line.
const LINKS: u8 = 3;
const INCARNATION: u64 = 0x0123_4567_89ab_cdef;
/// Longer waits are as good as this one.
const WAIT_US_MAX: u32 = 20_000_000;

/// What happens to the box.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Happening {
    /// Time passes, in microseconds; the box is woken when it asked for it.
    Wait(u32),
    /// Time passes, in microseconds, and the box is not woken: its loop stands still.
    Stall(u32),
    /// A frame with the right key that says this.
    Beat(u8, Beat),
    /// The peer's next frame, in order and with a fresh echo: it stands like this, and may ask for an answer.
    Peer(u8, bool, Standing),
    /// The peer starts again, under this number.
    Restart(u64),
    /// A stranger's bytes.
    Noise(u8, Vec<u8>),
    /// The box's own last frame comes back.
    Own(u8),
    Carriers(u8),
    Ready(bool),
    /// Whether the driver carries out orders from here on.
    Obey(bool),
    Told(Command),
}

/// A box, by the first byte, and its script.
pub(super) fn run(bytes: &[u8]) {
    let Some((&kind, happenings)) = bytes.split_first() else {
        return;
    };
    let mut world = World::new(kind);
    for happening in script(happenings) {
        world.happen(&happening);
        world.kept.holds(&mut world.node, world.now);
    }
    let _ = world.node.status(world.now);
}

struct World {
    node: Node,
    now: Instant,
    kept: Kept,
    /// Sequence number of the peer's last frame, on each link.
    sequences: [u64; LINKS as usize],
    peer: u64,
}

impl World {
    fn new(kind: u8) -> Self {
        let (number, peer) = if kind & 1 == 0 { (1, 2) } else { (2, 1) };
        let mut links = heapless::Vec::new();
        // LINKS of LINKS_MAX.
        let _ = links.extend_from_slice(&[
            Medium::Datagram,
            Medium::Datagram,
            Medium::Serial { baud: 19_200 },
        ]);
        let settings = Settings {
            cluster: tag(),
            key: KEY,
            number,
            peer,
            priority: 100,
            timing: match kind & 2 {
                0 => Timing::DEFAULT,
                _ => Timing::FAST,
            },
            fail_back: match kind & 4 {
                0 => FailBack::Off,
                _ => FailBack::Auto,
            },
            config: ConfigVersion {
                generation: 1,
                digest: 9,
            },
            links,
        };
        let now = Instant::from_micros(1_000_000);
        Self {
            node: Node::new(now, settings, INCARNATION),
            now,
            kept: Kept::new(number, peer),
            sequences: [0; LINKS as usize],
            peer: 77,
        }
    }

    fn happen(&mut self, happening: &Happening) {
        let (now, node) = (self.now, &mut self.node);
        match happening {
            Happening::Wait(span_us) => self.wait(*span_us),
            Happening::Stall(span_us) => {
                self.pass(u64::from((*span_us).min(WAIT_US_MAX)));
                self.node.handle_timeout(self.now);
            }
            Happening::Beat(link, beat) => self.hear(*link, beat),
            Happening::Peer(link, asks, standing) => self.peer_says(*link, *asks, *standing),
            Happening::Restart(incarnation) => {
                self.peer = *incarnation;
                self.sequences = [0; LINKS as usize];
            }
            Happening::Noise(link, bytes) => self.kept.ignores(node, now, *link, bytes),
            Happening::Own(link) => {
                let own = self.kept.last_sent(*link).to_vec();
                self.kept.ignores(node, now, *link, &own);
            }
            Happening::Carriers(count) => node.handle_input(now, Input::Fitness(*count)),
            Happening::Ready(ready) => node.handle_input(now, Input::Ready(*ready)),
            Happening::Obey(obey) => self.kept.obeys = *obey,
            // A refusal is as good an answer.
            Happening::Told(command) => drop(node.handle_command(now, *command)),
        }
    }

    fn pass(&mut self, span_us: u64) {
        self.now = Instant::from_micros(self.now.us.saturating_add(span_us));
    }

    /// Wakes the box whenever it asked for it, as the driver does.
    fn wait(&mut self, span_us: u32) {
        let end = self.now + Duration::from_micros(span_us.min(WAIT_US_MAX).into());
        for _ in 0..64 {
            let due = self.node.poll_timeout().max(self.now);
            if due > end {
                break;
            }
            self.now = due;
            self.node.handle_timeout(due);
            self.kept.holds(&mut self.node, due);
            assert!(self.node.poll_timeout() > due, "it would be woken for ever");
        }
        // What is left of a long wait is slept through.
        self.now = self.now.max(end);
        self.node.handle_timeout(self.now);
    }

    fn hear(&mut self, link: u8, beat: &Beat) {
        let link = link % (LINKS + 1);
        if let Some(frame) = codec().encode(beat) {
            self.node.handle_frame(self.now, LinkIndex(link), &frame);
        }
    }

    fn peer_says(&mut self, link: u8, asks: bool, standing: Standing) {
        let link = link % LINKS;
        let Some(sequence) = self.sequences.get_mut(usize::from(link)) else {
            return;
        };
        *sequence += 1;
        let own = codec().decode(self.kept.last_sent(link)).ok();
        let beat = Beat {
            sender: self.kept.peer,
            link,
            incarnation: self.peer,
            sequence: *sequence,
            echo: own.map(|own| Echo {
                incarnation: own.incarnation,
                sequence: own.sequence,
                revision: own.standing.revision,
            }),
            asks,
            standing,
        };
        self.hear(link, &beat);
    }
}

/// The peer in that state and term.
fn says(link: u8, state: State, term: u64, revision: u32) -> Happening {
    let standing = Standing {
        term,
        revision,
        ..standing(state)
    };
    Happening::Peer(link, false, standing)
}

/// What the peer could say, with a MAC that is not its own.
fn forged() -> Vec<u8> {
    let mut frame = codec().encode(&beat(90)).unwrap_or_default();
    frame.iter_mut().rev().take(1).for_each(|byte| *byte ^= 1);
    frame.to_vec()
}

/// Boxes that take over, hand over, contend and give way.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let begin = [
        Happening::Obey(true),
        Happening::Carriers(2),
        Happening::Ready(true),
    ];
    let alone = [Happening::Wait(3_000_000), Happening::Told(Command::Resign)];
    let pair = [
        Happening::Wait(50_000),
        says(0, State::Listening, 0, 1),
        Happening::Wait(50_000),
        says(0, State::Active, 2, 2),
        Happening::Wait(50_000),
        says(1, State::Active, 2, 2),
        says(0, State::Active, 2, 3),
        Happening::Wait(1_000_000),
        says(0, State::Active, 2, 3),
        Happening::Told(Command::Takeover),
        says(0, State::Offering(proto::failover::Goal::Standby), 2, 4),
        Happening::Wait(40_000),
        says(0, State::Active, 8, 5),
        Happening::Own(0),
        Happening::Noise(1, vec![2, 1, 0]),
        Happening::Noise(0, forged()),
    ];
    let faults = [
        Happening::Wait(2_000_000),
        Happening::Beat(0, beat(1)),
        Happening::Stall(900_000),
        says(2, State::Standby, 1, 1),
        Happening::Told(Command::Standby),
        Happening::Restart(99),
        says(2, State::Active, 4, 1),
        Happening::Obey(false),
        Happening::Wait(5_000_000),
    ];
    let story = |kind: u8, happenings: &[Happening]| {
        [vec![kind], written(&begin), written(happenings)].concat()
    };
    vec![
        story(0, &alone),
        story(0, &pair),
        story(3, &pair),
        story(6, &faults),
        story(1, &faults),
    ]
}
