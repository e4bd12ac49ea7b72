//! Two boxes, what happens to them in the order of time, and the judgement of it.

mod faults;
mod judge;

use super::machine::{Datagram, Machine, Name, Term, Version, version};
use super::plan::{Condition, Plan};
use super::{Life, Rule, Violation};
use crate::random::Random;
use proto::sync::DATAGRAM_BYTES_MAX;
use proto::time::Instant;
use std::collections::BTreeMap;

/// A timer is that late, and a turn of the worker takes that long.
const TURN_US: u64 = 50;
/// From look to look at whether the boxes hold what they say.
const LOOK_US: u64 = 3_000;
/// Datagrams that wait for a worker that stands still.
const BACKLOG_MAX: usize = 64;
/// Datagrams that somebody has recorded.
const CAPTURED_MAX: usize = 2000;

enum Item {
    Datagram { to: usize, datagram: Datagram },
    Change,
    Look,
    Begin(usize),
    Over(usize),
    TakeOver { of: usize },
    Heal,
}

/// The other box is to take over in order.
struct Handover {
    by: usize,
    until_us: u64,
    /// What must have been taken once the flush is confirmed.
    pending: BTreeMap<Name, Version>,
    is_judged: bool,
}

pub(super) struct World<'a> {
    plan: &'a Plan,
    now_us: u64,
    queue: BTreeMap<(u64, u64), Item>,
    planned: u64,
    boxes: [Machine; 2],
    link: Condition,
    cut: [bool; 2],
    backlog: [Vec<Datagram>; 2],
    /// The boxes that each event befell.
    befell: BTreeMap<usize, usize>,
    is_overrun: bool,
    handover: Option<Handover>,
    captured: Vec<(usize, Datagram)>,
    term: Term,
    changes: u64,
    incarnations: u64,
    is_healed: bool,
    chance: Random,
    traffic: Random,
    story: Option<Vec<String>>,
    broken: Option<Violation>,
}

impl<'a> World<'a> {
    pub(super) fn new(plan: &'a Plan, tells: bool) -> Self {
        let machine = |table| Machine::new(table, plan.sweep_part);
        Self {
            plan,
            now_us: 0,
            queue: BTreeMap::new(),
            planned: 0,
            boxes: [machine(1), machine(2)],
            link: plan.link,
            cut: [false; 2],
            backlog: Default::default(),
            befell: BTreeMap::new(),
            is_overrun: false,
            handover: None,
            captured: Vec::new(),
            term: 1,
            changes: 0,
            incarnations: 0,
            is_healed: false,
            chance: Random::branch(plan.seed, 1),
            traffic: Random::branch(plan.seed, 2),
            story: tells.then(Vec::new),
            broken: None,
        }
    }

    pub(super) fn live(mut self) -> Life {
        self.boxes[0].is_active = true;
        for of in 0..2 {
            self.start(of);
        }
        for (number, event) in self.plan.events.iter().enumerate() {
            self.plan_at(event.at_us, Item::Begin(number));
            self.plan_at(event.at_us + event.span_us, Item::Over(number));
        }
        let last = self.plan.events.iter().map(|it| it.at_us + it.span_us);
        let heal_us = last.max().unwrap_or(0) + 500_000;
        self.plan_at(heal_us, Item::Heal);
        self.plan_at(100_000, Item::Change);
        self.plan_at(LOOK_US, Item::Look);
        self.run_until(heal_us + 1, |_| false);
        self.judge_end();
        Life {
            violation: self.broken,
            lived_us: self.now_us,
            story: self.story.unwrap_or_default(),
        }
    }

    fn plan_at(&mut self, at_us: u64, item: Item) {
        self.planned += 1;
        self.queue.insert((at_us, self.planned), item);
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.now_us + 1_000_000)
    }

    fn say(&mut self, what: impl FnOnce() -> String) {
        let at = self.now_us;
        if let Some(story) = &mut self.story {
            story.push(format!("{:>6}.{:03} ms  {}", at / 1000, at % 1000, what()));
        }
    }

    fn breaks(&mut self, rule: Rule, what: String) {
        let at_us = self.now_us;
        self.say(|| format!("BROKEN {rule:?}: {what}"));
        self.broken.get_or_insert(Violation { rule, at_us, what });
    }

    /// Lives on until then, or until it is so.
    fn run_until(&mut self, end_us: u64, is_done: impl Fn(&Self) -> bool) {
        while self.broken.is_none() {
            for of in 0..2 {
                self.serve(of);
            }
            self.go_on_with_handover();
            if is_done(self) {
                return;
            }
            let next_us = self.next_us();
            if next_us > end_us {
                self.now_us = end_us;
                return;
            }
            self.now_us = self.now_us.max(next_us);
            while let Some(entry) = self.queue.first_entry()
                && entry.key().0 <= self.now_us
            {
                let item = entry.remove();
                self.happen(item);
            }
        }
    }

    fn next_us(&self) -> u64 {
        let planned = self.queue.first_key_value().map(|((at, _), _)| *at);
        let is_busy = self
            .boxes
            .iter()
            .any(|it| it.is_sweeping() && !it.is_stalled);
        let turn = (is_busy || self.handover.is_some()).then_some(self.now_us + TURN_US);
        let awake = self.boxes.iter().filter(|it| !it.is_stalled);
        let engines = awake.filter_map(|it| it.engine.as_ref());
        let timers = engines
            .filter_map(|engine| engine.poll_timeout())
            .map(|at| at.us.saturating_sub(1_000_000).max(self.now_us) + TURN_US);
        let others = planned.into_iter().chain(turn);
        timers.chain(others).min().unwrap_or(u64::MAX)
    }

    fn happen(&mut self, item: Item) {
        match item {
            Item::Datagram { to, datagram } => self.arrive(to, datagram),
            Item::Change => self.change_some(),
            Item::Look => self.look(),
            Item::Begin(number) => self.begin(number),
            Item::Over(number) => self.end(number),
            Item::TakeOver { of } => self.take_over(of),
            Item::Heal => self.heal(),
        }
    }

    fn start(&mut self, of: usize) {
        self.incarnations += 1;
        let incarnation = Random::branch(self.plan.seed, 1000 + self.incarnations).next() | 1;
        let now = self.now();
        self.boxes[of].start(now, incarnation);
        self.say(|| format!("worker {of} starts as {incarnation:016x}"));
    }

    /// Box `of` does what is due, and sends.
    fn serve(&mut self, of: usize) {
        let (now, is_owner) = (self.now(), self.active() == Some(of));
        let machine = &mut self.boxes[of];
        if machine.is_stalled {
            return;
        }
        let removed = machine.serve(now);
        if is_owner && let Some(name) = removed.first() {
            let what = format!("box {of}: flow {name} at a sweep");
            self.breaks(Rule::TakenFromOwner, what);
        }
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        while let Some(engine) = &mut self.boxes[of].engine
            && let Some(length) = engine.poll_transmit(now, &mut buffer)
        {
            self.carry(1 - of, &buffer[..length]);
        }
    }

    fn carry(&mut self, to: usize, bytes: &[u8]) {
        let sender = &self.boxes[1 - to];
        let datagram = Datagram {
            bytes: bytes.to_vec(),
            claim: if sender.is_active { sender.term } else { 0 },
        };
        if self.captured.len() < CAPTURED_MAX {
            self.captured.push((to, datagram.clone()));
        } else {
            let at = self.chance.index(CAPTURED_MAX);
            self.captured[at] = (to, datagram.clone());
        }
        let copies = 1 + u32::from(self.chance.permille(self.link.duplicate_permille));
        for _ in 0..copies {
            if self.cut[to] || self.chance.permille(self.link.loss_permille) {
                continue;
            }
            let mut datagram = datagram.clone();
            if self.chance.permille(self.link.corrupt_permille) {
                let at = self.chance.index(datagram.bytes.len());
                datagram.bytes[at] ^= 1 << self.chance.below(8);
            }
            let delay_us = self.link.delay_us + self.chance.below(self.link.jitter_us + 1);
            self.plan_at(self.now_us + delay_us, Item::Datagram { to, datagram });
        }
    }

    fn arrive(&mut self, to: usize, datagram: Datagram) {
        if self.boxes[to].is_stalled {
            if self.backlog[to].len() < BACKLOG_MAX {
                self.backlog[to].push(datagram);
            }
            return;
        }
        let (now, chance) = (self.now(), &mut self.chance);
        let refuses = |permille| chance.permille(permille);
        let [one, other] = &mut self.boxes;
        let (machine, sender) = if to == 0 { (one, other) } else { (other, one) };
        let claim_of = |name| {
            sender
                .newest
                .get(&name)
                .map_or(0, |known| known.last_claim())
        };
        let broken = machine.receive(now, &datagram, refuses, claim_of);
        if let Some((rule, what)) = broken {
            self.breaks(rule, format!("box {to}: {what}"));
        }
    }

    /// Packets pass through every box that is active.
    fn change_some(&mut self) {
        if self.is_healed {
            return;
        }
        self.change_now();
        let after_us = 1 + self.traffic.below(self.plan.change_us * 2);
        self.plan_at(self.now_us + after_us, Item::Change);
    }

    fn change_now(&mut self) {
        let active = [0, 1].map(|of| self.boxes[of].is_on && self.boxes[of].is_active);
        for of in (0..2).filter(|of| active[*of]) {
            let name = self.traffic.below(self.plan.flows);
            self.changes += 1;
            let is_there = self.boxes[of].kernel.contains_key(&name);
            let is_end = is_there && self.traffic.below(100) < self.plan.ends_percent;
            let version = version(self.boxes[of].term, self.changes);
            self.boxes[of].change(name, version, is_end, !self.is_overrun);
        }
    }

    fn active(&self) -> Option<usize> {
        let is_active = |of: &usize| self.boxes[*of].is_on && self.boxes[*of].is_active;
        let actives = (0..2).filter(is_active);
        actives.max_by_key(|of| self.boxes[*of].term)
    }

    /// The box that an event is about.
    fn role_of(&self, is_active: bool) -> usize {
        let active = self.active().unwrap_or(0);
        if is_active { active } else { 1 - active }
    }
}
