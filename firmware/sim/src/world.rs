//! The world that boxes live in: time jumps from one thing that happens to the next. Boxes are driven in `drive` and
//! `orders`, their frames travel in `traffic`, what befalls them is in `fault`, and what must hold is in `judge`.

use crate::cable::Cable;
use crate::judge::{Books, Violation};
use crate::machine::Machine;
use crate::queue::{Item, Queue};
use crate::random::Random;
use crate::schedule::{Event, Neighbour, Schedule, Setup, name};
use core::time::Duration;
use proto::node::{ConfigVersion, FailBack, Timing};
use proto::settings::Settings;
use proto::wire::{ClusterTag, FrameBytes};

/// Users of chance besides the cables.
const DRIVER: u64 = 1000;
const SYNC: u64 = 1001;

/// Two boxes, their links, and the books about them.
pub(crate) struct Pair {
    pub(crate) cables: Vec<Cable>,
    pub(crate) books: Books,
}

/// All there is. Boxes 2n and 2n + 1 are a pair.
pub(crate) struct World {
    pub(crate) now_us: u64,
    pub(crate) setup: Setup,
    pub(crate) events: Vec<Event>,
    /// Events that wait for a box to enter a state.
    pub(crate) armed: Vec<usize>,
    pub(crate) machines: Vec<Machine>,
    pub(crate) pairs: Vec<Pair>,
    pub(crate) queue: Queue,
    pub(crate) random: Random,
    /// When boxes are in sync.
    pub(crate) sync_random: Random,
    pub(crate) violation: Option<Violation>,
    /// Of all that happened.
    pub(crate) hash: u64,
    /// For people; kept on demand.
    pub(crate) story: Option<Vec<String>>,
    /// Kept, so that reading allocates nothing.
    pub(crate) frames: Vec<FrameBytes>,
}

impl World {
    pub(crate) fn new(schedule: &Schedule, tells: bool) -> Self {
        let setup = schedule.setup.clone();
        let boxes = if setup.neighbour.is_some() { 4 } else { 2 };
        let mut world = World {
            now_us: 0,
            machines: (0..boxes)
                .map(|of| Machine::new(settings(&setup, of)))
                .collect(),
            pairs: (0..boxes / 2)
                .map(|pair| lay(&setup, schedule.seed, pair))
                .collect(),
            events: schedule.events.clone(),
            armed: Vec::new(),
            queue: Queue::default(),
            random: Random::branch(schedule.seed, DRIVER),
            sync_random: Random::branch(schedule.seed, SYNC),
            violation: None,
            hash: schedule.seed,
            story: tells.then(Vec::new),
            frames: Vec::new(),
            setup,
        };
        for of in 0..boxes {
            let at_us = world.setup.start_us[of % 2];
            world.queue.plan(at_us, Item::Start { of });
        }
        for index in 0..world.events.len() {
            let at_us = world.events[index].at_us;
            let is_armed = world.events[index].aim.is_none();
            world.queue.plan(at_us, Item::Event { index, is_armed });
        }
        world
    }

    /// Lets time pass, until something is wrong.
    pub(crate) fn run_until(&mut self, end_us: u64) {
        while self.violation.is_none() {
            let planned_us = self.queue.next_us().unwrap_or(u64::MAX);
            let due = self
                .machines
                .iter()
                .enumerate()
                .filter(|(_, it)| it.asleep.is_none());
            let due = due.map(|(of, it)| (it.due_us, of)).min();
            let (due_us, of) = due.unwrap_or((u64::MAX, 0));
            if planned_us.min(due_us) > end_us {
                break;
            }
            self.now_us = self.now_us.max(planned_us.min(due_us));
            if planned_us <= due_us {
                if let Some(item) = self.queue.pop() {
                    self.happen(item);
                }
            } else {
                self.time_out(of);
            }
        }
        self.now_us = self.now_us.max(end_us);
    }

    fn happen(&mut self, item: Item) {
        match item {
            Item::Frame { to, link, frame } => self.receive(to, link, frame),
            Item::Through { from, link, chunk } => self.through(from, link, chunk),
            Item::Read { from, link, chunk } => self.read(from, link, &chunk),
            Item::Start { of } => self.start(of),
            Item::Awake { of } => self.awake(of),
            Item::Changed { of, number } => self.changed(of, number),
            Item::Ready { of, start } => self.repeat_ready(of, start),
            Item::InSync { of, start } => self.in_sync(of, start),
            Item::Off { of, start, off_us } => self.reboot(of, start, off_us),
            Item::Event { index, is_armed } => self.event(index, is_armed),
            Item::Replay {
                to,
                link,
                turn,
                left,
                gap_us,
            } => self.replay(to, link, turn, left, gap_us),
            Item::Over { index } => self.over(index),
        }
    }

    pub(crate) fn fold(&mut self, value: u64) {
        let mixed = self.hash ^ value ^ self.now_us.rotate_left(20);
        self.hash = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }

    pub(crate) fn tell(&mut self, of: usize, what: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let (ms, us) = (self.now_us / 1000, self.now_us % 1000);
            story.push(format!("{ms:>6}.{us:03} ms  {:<12} {}", name(of), what()));
        }
    }
}

/// The settings of a box.
fn settings(setup: &Setup, of: usize) -> Settings {
    let neighbour = setup.neighbour.filter(|_| of >= 2);
    let cluster = match neighbour {
        Some(Neighbour::OtherCluster) => "neighbour",
        _ => "pair",
    };
    let key = match neighbour {
        Some(Neighbour::SameTagOtherKey) => [43; 32],
        _ => [42; 32],
    };
    let base: u8 = match neighbour {
        Some(Neighbour::SameKeyOtherNumbers) => 3,
        _ => 1,
    };
    let place = u8::from(of % 2 == 1);
    Settings {
        cluster: ClusterTag::of_name(cluster),
        key,
        number: base + place,
        peer: base + 1 - place,
        priority: setup.priorities[of % 2],
        timing: setup.timing,
        fail_back: if setup.fails_back {
            FailBack::Auto
        } else {
            FailBack::Off
        },
        config: ConfigVersion {
            generation: 1,
            digest: 7,
        },
        links: setup.links.iter().map(|(medium, _)| *medium).collect(),
    }
}

/// The cables of a pair; neighbours have calm ones.
fn lay(setup: &Setup, seed: u64, pair: usize) -> Pair {
    let every = if setup.timing == Timing::FAST { 8 } else { 2 };
    let cables = setup
        .links
        .iter()
        .zip(0..)
        .map(|((medium, condition), link)| {
            let user = 1 + 10 * (link + 100 * pair as u64);
            let seed = Random::branch(seed, user).next();
            let mut cable = Cable::new(*medium, *condition, seed, every);
            if pair > 0 {
                cable.heal();
            }
            cable
        });
    Pair {
        cables: cables.collect(),
        books: Books::default(),
    }
}

pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
