//! Two engines and their kernels' tables on a virtual clock, joined by a link that loses, doubles and delays.

use super::super::{
    Apply, DATAGRAM_BYTES_MAX, Engine, Kind, Rejection, Settings, Status, Verdict, Want,
};
use crate::time::Instant;
use crate::wire::ClusterTag;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

pub(super) const KEY: [u8; 32] = [7; 32];
const SPARE_S: u32 = 120;

pub(super) type Table = BTreeMap<(Kind, Vec<u8>), Vec<u8>>;

pub(super) struct Side {
    pub(super) engine: Engine,
    pub(super) kernel: Table,
    /// Flows that the kernel has room for.
    pub(super) room: usize,
    table: u64,
    is_on: bool,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Link {
    pub(super) loss_permille: u64,
    pub(super) duplicate_permille: u64,
    pub(super) jitter_us: u64,
    pub(super) is_cut: bool,
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) sides: [Side; 2],
    pub(super) link: Link,
    /// When, to whom, what.
    flying: BTreeMap<(u64, u64), (usize, Vec<u8>)>,
    pub(super) captured: Vec<(usize, Vec<u8>)>,
    count: u64,
    random: u64,
    incarnations: u64,
}

pub(super) fn engine(now: Instant, incarnation: u64, table: u64, key: &[u8; 32]) -> Engine {
    let settings = Settings {
        cluster: ClusterTag::of_name("edge"),
        key,
        incarnation,
        table,
    };
    Engine::new(now, &settings)
}

impl World {
    /// How many datagrams a side threw away, by cause.
    pub(super) fn rejected(&self, side: usize) -> [u64; Rejection::COUNT] {
        self.sides[side].engine.status(self.now).rejected
    }

    /// Whether a side counted just these since it had counted so many.
    pub(super) fn has_counted(
        &self,
        side: usize,
        before: [u64; Rejection::COUNT],
        causes: &[Rejection],
    ) -> bool {
        let mut expected = before;
        for (counter, cause) in expected.iter_mut().zip(Rejection::ALL) {
            *counter += causes
                .iter()
                .map(|each| u64::from(*each == cause))
                .sum::<u64>();
        }
        self.rejected(side) == expected
    }

    /// Both are on; the first is active in term 1.
    pub(super) fn new(random: u64) -> Self {
        let now = Instant::from_micros(1_000_000);
        let side = |table: u64| Side {
            engine: engine(now, (table << 40) | 1, table, &KEY),
            kernel: Table::new(),
            room: usize::MAX,
            table,
            is_on: true,
        };
        let mut world = Self {
            now,
            sides: [side(11), side(22)],
            link: Link::default(),
            flying: BTreeMap::new(),
            captured: Vec::new(),
            count: 0,
            random,
            incarnations: 100,
        };
        world.role(0, true, 1);
        world.role(1, false, 1);
        world
    }

    pub(super) fn role(&mut self, of: usize, is_active: bool, term: u64) {
        self.sides[of].engine.set_role(self.now, is_active, term);
    }

    /// The worker starts anew; the kernel keeps its table unless the box does, too.
    pub(super) fn restart(&mut self, of: usize, is_reboot: bool) {
        self.incarnations += 1;
        let side = &mut self.sides[of];
        if is_reboot {
            side.kernel.clear();
            side.table += 1;
        }
        side.engine = engine(self.now, self.incarnations << 40, side.table, &KEY);
        side.is_on = true;
    }

    pub(super) fn switch_off(&mut self, of: usize) {
        self.sides[of].is_on = false;
    }

    pub(super) fn put(&mut self, of: usize, flow: u32, state: u32) {
        self.put_kind(of, Kind::Conntrack, flow, state);
    }

    /// The event is lost, and the kernel says so.
    pub(super) fn put_unheard(&mut self, of: usize, flow: u32, state: u32) {
        let side = &mut self.sides[of];
        let key = (Kind::Conntrack, flow.to_be_bytes().to_vec());
        side.kernel.insert(key, value(state));
        side.engine.events_lost(Kind::Conntrack);
    }

    pub(super) fn put_kind(&mut self, of: usize, kind: Kind, flow: u32, state: u32) {
        let (key, value) = (flow.to_be_bytes(), value(state));
        let side = &mut self.sides[of];
        side.kernel.insert((kind, key.to_vec()), value.clone());
        side.engine.note(self.now, kind, &key, &value, SPARE_S);
    }

    pub(super) fn remove(&mut self, of: usize, flow: u32) {
        let key = flow.to_be_bytes();
        let side = &mut self.sides[of];
        side.kernel.remove(&(Kind::Conntrack, key.to_vec()));
        side.engine.forget(self.now, Kind::Conntrack, &key);
    }

    pub(super) fn state(&self, of: usize, flow: u32) -> Option<u32> {
        self.held(of, Kind::Conntrack, flow)
    }

    pub(super) fn held(&self, of: usize, kind: Kind, flow: u32) -> Option<u32> {
        let value = self.sides[of]
            .kernel
            .get(&(kind, flow.to_be_bytes().to_vec()))?;
        Some(u32::from_be_bytes(value[..4].try_into().unwrap()))
    }

    pub(super) fn status(&self, of: usize) -> Status {
        self.sides[of].engine.status(self.now)
    }

    pub(super) fn are_equal(&self) -> bool {
        self.sides[0].kernel == self.sides[1].kernel
    }

    pub(super) fn are_in_sync(&self) -> bool {
        self.sides.iter().all(|side| side.engine.in_sync())
    }

    pub(super) fn run_ms(&mut self, span_ms: u64) {
        let end = self.now + Duration::from_millis(span_ms);
        self.run(end, |_| false);
    }

    /// Runs until both agree, and says how long it took; panics after a minute.
    pub(super) fn settle(&mut self) -> Duration {
        let start = self.now;
        self.run(start + Duration::from_secs(60), |world| {
            let is_pending = world
                .sides
                .iter()
                .any(|side| side.engine.status(world.now).pending > 0);
            world.are_in_sync() && !is_pending
        });
        assert!(
            self.are_in_sync(),
            "{:#?}",
            [self.status(0), self.status(1)]
        );
        self.now.since(start)
    }

    pub(super) fn run(&mut self, end: Instant, until: impl Fn(&Self) -> bool) {
        loop {
            for of in 0..2 {
                self.serve(of);
            }
            if until(self) {
                return;
            }
            let timeouts = self.sides.iter().filter(|side| side.is_on);
            let timeouts = timeouts.filter_map(|side| side.engine.poll_timeout());
            let flying = self
                .flying
                .keys()
                .next()
                .map(|(at, _)| Instant::from_micros(*at));
            // A caller's timer is never exact to the microsecond.
            let wakes = timeouts.map(|at| at.max(self.now + Duration::from_micros(50)));
            let next = wakes.chain(flying).min().unwrap_or(end);
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            self.arrive();
        }
    }

    fn arrive(&mut self) {
        while let Some(entry) = self.flying.first_entry() {
            if entry.key().0 > self.now.us {
                return;
            }
            let (to, datagram) = entry.remove();
            let _ = self.deliver(to, &datagram);
        }
    }

    pub(super) fn deliver(&mut self, to: usize, datagram: &[u8]) -> Result<(), Rejection> {
        let now = self.now;
        let side = &mut self.sides[to];
        if !side.is_on {
            return Ok(());
        }
        side.engine.handle_datagram(now, datagram)?;
        let mut refused = Vec::new();
        while let Some(apply) = side.engine.poll_apply(now) {
            match apply {
                Apply::Put {
                    kind, key, value, ..
                } => {
                    let flow = (kind, key.to_vec());
                    if side.kernel.len() < side.room || side.kernel.contains_key(&flow) {
                        side.kernel.insert(flow, value.to_vec());
                    } else {
                        refused.push(flow);
                    }
                }
                Apply::Remove { kind, key } => {
                    side.kernel.remove(&(kind, key.to_vec()));
                }
            }
        }
        for (kind, key) in refused {
            side.engine.applied_failed(now, kind, &key);
            side.engine.set_full(true);
        }
        Ok(())
    }

    /// Does what the engine wants and sends what it has.
    fn serve(&mut self, of: usize) {
        if !self.sides[of].is_on {
            return;
        }
        while let Some(want) = self.sides[of].engine.poll_want(self.now) {
            match want {
                Want::Sweep(kind) => self.sides[of].sweep(self.now, kind),
                Want::Drain => self.sides[of].engine.drained(self.now),
            }
        }
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        while let Some(length) = self.sides[of].engine.poll_transmit(self.now, &mut buffer) {
            self.carry(1 - of, &buffer[..length]);
        }
    }

    fn carry(&mut self, to: usize, datagram: &[u8]) {
        self.captured.push((to, datagram.to_vec()));
        let copies = 1 + u64::from(self.chance(self.link.duplicate_permille));
        for _ in 0..copies {
            if self.link.is_cut || self.chance(self.link.loss_permille) {
                continue;
            }
            let delay = 100 + self.draw() % (self.link.jitter_us + 1);
            self.count += 1;
            self.flying
                .insert((self.now.us + delay, self.count), (to, datagram.to_vec()));
        }
    }

    pub(super) fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn chance(&mut self, permille: u64) -> bool {
        self.draw() % 1000 < permille
    }
}

impl Side {
    pub(super) fn sweep(&mut self, now: Instant, kind: Kind) {
        self.engine.sweep_begin(now, kind);
        let engine = &mut self.engine;
        self.kernel.retain(|(of, key), value| {
            let is_other = *of != kind;
            is_other || engine.sweep_note(now, kind, key, value, SPARE_S) == Verdict::Keep
        });
        self.engine.sweep_end(now, kind);
    }
}

pub(super) fn value(state: u32) -> Vec<u8> {
    let mut value = state.to_be_bytes().to_vec();
    value.resize(18, 0);
    value
}
