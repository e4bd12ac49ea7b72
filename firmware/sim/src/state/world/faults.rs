//! What befalls the boxes, and how they stand afterwards.

use super::super::machine::{Name, kind};
use super::super::plan::{Condition, Fault};
use super::{Handover, Item, World};
use proto::sync::Kind;

/// A dead box is noticed after so long.
const DEAD_US: u64 = 100_000;
/// A handover waits for the flush no longer.
const FLUSH_US: u64 = 30_000;

const HEALTHY: Condition = Condition {
    loss_permille: 0,
    duplicate_permille: 0,
    corrupt_permille: 0,
    delay_us: 100,
    jitter_us: 0,
};

impl World<'_> {
    pub(super) fn begin(&mut self, number: usize) {
        let fault = self.plan.events[number].fault;
        let of = match fault {
            Fault::PowerCut { is_active }
            | Fault::WorkerDies { is_active }
            | Fault::WorkerStalls { is_active } => self.role_of(is_active),
            _ => self.role_of(false),
        };
        self.befell.insert(number, of);
        self.say(|| format!("{fault:?} (box {of})"));
        let is_on = self.boxes[of].is_on;
        match fault {
            Fault::PowerCut { .. } if is_on => self.cut_power(of),
            Fault::WorkerDies { .. } => self.boxes[of].kill(),
            Fault::WorkerStalls { .. } => self.boxes[of].is_stalled = true,
            Fault::Handover => self.begin_handover(of),
            Fault::SplitBrain if is_on => self.take_over(of),
            Fault::Cut {
                to_active,
                to_other,
            } => {
                self.cut[1 - of] |= to_active;
                self.cut[of] |= to_other;
            }
            Fault::Weather(condition) => self.link = condition,
            Fault::Replay => self.replay(number),
            Fault::MirrorLoses => self.lose_mirrored(of),
            Fault::Overrun => self.is_overrun = true,
            Fault::KernelRefuses => self.boxes[of].refuses_permille = 300,
            Fault::Burst => self.burst(),
            Fault::PowerCut { .. } | Fault::SplitBrain => {}
        }
    }

    pub(super) fn end(&mut self, number: usize) {
        let fault = self.plan.events[number].fault;
        let of = self.befell.get(&number).copied().unwrap_or(0);
        self.say(|| format!("over: {fault:?} (box {of})"));
        match fault {
            Fault::PowerCut { .. } if !self.boxes[of].is_on => self.switch_on(of),
            Fault::WorkerDies { .. } if self.boxes[of].is_on => self.start(of),
            Fault::WorkerStalls { .. } => self.go_on(of),
            Fault::SplitBrain => self.settle_roles(),
            Fault::Cut { .. } => self.cut = [false; 2],
            Fault::Weather(_) => self.link = self.plan.link,
            Fault::Overrun => self.is_overrun = false,
            Fault::KernelRefuses => self.boxes[of].refuses_permille = 0,
            _ => {}
        }
    }

    fn cut_power(&mut self, of: usize) {
        self.boxes[of].switch_off();
        self.backlog[of].clear();
        self.plan_at(self.now_us + DEAD_US, Item::TakeOver { of: 1 - of });
    }

    /// The box is powered again, and passive unless there is no other.
    fn switch_on(&mut self, of: usize) {
        self.boxes[of].is_on = true;
        self.boxes[of].is_stalled = false;
        self.boxes[of].term = self.term;
        self.start(of);
        self.plan_at(self.now_us + DEAD_US, Item::TakeOver { of });
    }

    /// A worker that stood still reads what came meanwhile.
    fn go_on(&mut self, of: usize) {
        self.boxes[of].is_stalled = false;
        for datagram in core::mem::take(&mut self.backlog[of]) {
            self.arrive(of, datagram);
        }
    }

    /// A box becomes active: always in a split brain, else if no other is.
    pub(super) fn take_over(&mut self, of: usize) {
        let other = &self.boxes[1 - of];
        let is_split = self.plan.events.iter().enumerate().any(|(number, event)| {
            matches!(event.fault, Fault::SplitBrain)
                && self.befell.contains_key(&number)
                && self.now_us < event.at_us + event.span_us
        });
        let is_alone = !(other.is_on && other.is_active);
        if !self.boxes[of].is_on || self.boxes[of].is_active || !(is_alone || is_split) {
            return;
        }
        self.make_active(of);
    }

    fn make_active(&mut self, of: usize) {
        self.term += 1;
        let (now, term) = (self.now(), self.term);
        self.boxes[of].set_role(now, true, term);
        self.say(|| format!("box {of} is active in term {term}"));
    }

    /// Of two active boxes the one of the lower term gives way.
    fn settle_roles(&mut self) {
        let (now, term) = (self.now(), self.term);
        for machine in &mut self.boxes {
            let stays = machine.is_active && machine.term == term;
            machine.set_role(now, stays, term);
        }
    }

    fn begin_handover(&mut self, by: usize) {
        let is_judged = self.boxes.iter().all(|machine| {
            machine.engine.as_ref().is_some_and(|it| it.in_sync()) && !machine.is_stalled
        });
        let now = self.now();
        let pending = self.boxes[1 - by].kernel.clone();
        let Some(engine) = &mut self.boxes[by].engine else {
            return;
        };
        engine.request_flush(now);
        self.boxes[by].is_heir = true;
        self.handover = Some(Handover {
            by,
            until_us: self.now_us + FLUSH_US,
            pending,
            is_judged,
        });
    }

    pub(super) fn go_on_with_handover(&mut self) {
        let Some(handover) = &self.handover else {
            return;
        };
        let by = handover.by;
        let is_flushed = self.boxes[by]
            .engine
            .as_ref()
            .is_some_and(|it| it.is_flushed());
        if !is_flushed && self.now_us < handover.until_us {
            return;
        }
        let Some(handover) = self.handover.take() else {
            return;
        };
        if is_flushed && handover.is_judged {
            self.judge_flush(&handover);
        }
        if self.boxes[by].is_on && !self.boxes[by].is_active {
            self.make_active(by);
            self.settle_roles();
        }
    }

    fn replay(&mut self, number: usize) {
        let span_us = self.plan.events[number].span_us;
        for _ in 0..100 {
            let at = self.chance.index(self.captured.len());
            let Some((to, datagram)) = self.captured.get(at).cloned() else {
                return;
            };
            let to = if self.chance.permille(100) {
                1 - to
            } else {
                to
            };
            let after_us = self.chance.below(span_us);
            self.plan_at(self.now_us + after_us, Item::Datagram { to, datagram });
        }
    }

    fn lose_mirrored(&mut self, of: usize) {
        if self.boxes[of].is_active {
            return;
        }
        // What the balancer loses it is told of when packets pass, and not before.
        let names = self.boxes[of].kernel.keys().copied();
        let names: Vec<Name> = names.filter(|name| kind(*name) != Kind::Ipvs).collect();
        for name in names {
            if self.chance.permille(200) {
                self.boxes[of].lose(name);
            }
        }
    }

    fn burst(&mut self) {
        let now = self.now();
        for _ in 0..self.chance.between(50, 600) {
            self.change_now();
            if self.chance.permille(200) {
                for machine in self.boxes.iter_mut().filter(|it| !it.is_stalled) {
                    machine.read_events(now);
                }
            }
        }
    }

    /// All is well from now on, and nothing changes any more.
    pub(super) fn heal(&mut self) {
        self.is_healed = true;
        self.is_overrun = false;
        self.link = HEALTHY;
        self.cut = [false; 2];
        for of in 0..2 {
            self.go_on(of);
            self.boxes[of].refuses_permille = 0;
            if !self.boxes[of].is_on {
                self.switch_on(of);
            } else if self.boxes[of].engine.is_none() {
                self.start(of);
            }
        }
        if self.active().is_none() {
            self.make_active(0);
        }
        self.settle_roles();
        self.say(|| "all is healed".into());
    }
}
