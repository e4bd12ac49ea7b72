//! What befalls the boxes and links of the first pair, and how all is healed in the end.

use crate::machine::{Slow, is_leaving};
use crate::queue::Item;
use crate::schedule::{Fault, Stage, Trouble};
use crate::world::World;
use proto::failover::{Command, State};
use proto::node::Input;

impl World {
    /// An event of the schedule: it comes true, or waits for its aim.
    pub(crate) fn event(&mut self, index: usize, is_armed: bool) {
        if self.is_healed() {
            return;
        }
        if !is_armed {
            return self.armed.push(index);
        }
        let fault = self.events[index].fault.clone();
        if let Some(story) = &mut self.story {
            let (ms, us) = (self.now_us / 1000, self.now_us % 1000);
            story.push(format!("{ms:>6}.{us:03} ms  * {fault}"));
        }
        self.disturb(0);
        self.befall(index, &fault);
        self.disturb(0);
    }

    /// A box has entered a state: events that were aimed at it come true after their delay.
    pub(crate) fn fire(&mut self, state: State) {
        let stage = match state {
            State::Taking => Stage::Taking,
            State::Active => Stage::Active,
            State::Offering(_) => Stage::Offering,
            State::Releasing(_) => Stage::Releasing,
            State::Asking => Stage::Asking,
            State::Listening | State::Standby | State::Held | State::Resigned => return,
        };
        let mut armed = core::mem::take(&mut self.armed);
        armed.retain(|&index| {
            let delay_us = self.events[index]
                .aim
                .filter(|(aim, _)| *aim == stage)
                .map(|it| it.1);
            if let Some(delay_us) = delay_us {
                let is_armed = true;
                self.queue
                    .plan(self.now_us + delay_us, Item::Event { index, is_armed });
            }
            delay_us.is_none()
        });
        self.armed = armed;
    }

    /// Something that lasted is over.
    pub(crate) fn over(&mut self, index: usize) {
        if let Some(story) = &mut self.story {
            let (ms, us) = (self.now_us / 1000, self.now_us % 1000);
            let fault = &self.events[index].fault;
            story.push(format!("{ms:>6}.{us:03} ms  * over: {fault}"));
        }
        if let Fault::Kernel { of, .. } = self.events[index].fault
            && self.machines[of].asleep.is_none()
        {
            self.tell_ready(of);
        }
        self.disturb(0);
    }

    /// The time of faults is over.
    fn is_healed(&self) -> bool {
        self.now_us >= self.setup.heal_us
    }

    fn lasts(&mut self, index: usize, span_us: u64) -> u64 {
        let until_us = self.now_us + span_us;
        self.queue.plan(until_us, Item::Over { index });
        until_us
    }

    fn befall(&mut self, index: usize, fault: &Fault) {
        let now_us = self.now_us;
        match *fault {
            Fault::PowerCut { of, off_us } => self.power_cut(of, off_us),
            Fault::WorkerCrash { of, off_us } => {
                self.machines[of].stop();
                self.reset_ports(of);
                self.queue.plan(now_us + off_us, Item::Start { of });
            }
            Fault::Blackout { off_us, apart_us } => {
                self.power_cut(0, off_us);
                self.power_cut(1, off_us + apart_us);
            }
            Fault::Freeze { of, span_us, how } => {
                if self.machines[of].node.is_some() && self.machines[of].asleep.is_none() {
                    self.fall_asleep(of, span_us, how);
                }
            }
            Fault::SlowLoop {
                of,
                late_us,
                span_us,
            } => {
                let until_us = self.lasts(index, span_us);
                self.machines[of].slow = Some(Slow { late_us, until_us });
            }
            Fault::Cut {
                link,
                from,
                span_us,
            } => {
                let until_us = self.lasts(index, span_us);
                if let Some(cable) = self.pairs[0].cables.get_mut(link) {
                    cable.cut(from, until_us);
                }
            }
            Fault::Partition { from, span_us } => {
                let until_us = self.lasts(index, span_us);
                for cable in &mut self.pairs[0].cables {
                    cable.cut(from, until_us);
                }
            }
            Fault::Weather {
                link,
                condition,
                span_us,
            } => {
                let until_us = self.lasts(index, span_us);
                if let Some(cable) = self.pairs[0].cables.get_mut(link) {
                    cable.set_weather(condition, until_us);
                }
            }
            Fault::Replay {
                link,
                to,
                count,
                gap_us,
            } => {
                let turn = self.random.below(100);
                self.replay(to, link, turn, count, gap_us);
            }
            Fault::Kernel {
                of,
                trouble,
                span_us,
            } => {
                let until_us = self.lasts(index, span_us);
                self.machines[of].kernel.trouble = Some((trouble, until_us));
                let books = &mut self.pairs[of / 2].books;
                books.troubled_us = books.troubled_us.max(until_us);
                if trouble == Trouble::CannotTake && self.machines[of].kernel.change.is_some() {
                    self.machines[of].kernel.note_held(now_us);
                    self.machines[of].kernel.all = false;
                }
            }
            Fault::Command { of, command } => self.command(of, command),
            Fault::Reboot {
                of,
                patience_us,
                off_us,
            } => {
                self.command(of, Command::Resign);
                let start = self.machines[of].start;
                self.queue
                    .plan(now_us + patience_us, Item::Off { of, start, off_us });
            }
            Fault::Carriers { of, count } => {
                self.note_carriers(of);
                self.machines[of].carriers = count;
                if self.machines[of].asleep.is_none() {
                    self.input(of, Input::Fitness(count));
                }
            }
            Fault::Ready { of, ready } => self.dataplane(of, ready),
        }
    }

    /// The dataplane of a box that is on becomes ready, or is so no longer.
    fn dataplane(&mut self, of: usize, ready: bool) {
        let machine = &mut self.machines[of];
        if machine.node.is_none() {
            return;
        }
        machine.ready = ready;
        if machine.asleep.is_none() {
            self.tell_ready(of);
        }
    }

    fn command(&mut self, of: usize, command: Command) {
        if self.machines[of].asleep.is_some() {
            return;
        }
        self.pairs[of / 2].books.commanded_us = Some(self.now_us);
        let mut answer = Ok(());
        // Some operators do not wait for connections, and a box that is to go not for long.
        let is_forced = command == Command::Resign || self.now_us.is_multiple_of(2);
        self.call(of, |node, now| {
            answer = match is_forced {
                true => node.force_command(now, command),
                false => node.handle_command(now, command),
            };
        });
        if let Err(refusal) = answer {
            self.tell(of, || format!("refuses: {refusal}"));
        }
    }

    fn power_cut(&mut self, of: usize, off_us: u64) {
        self.machines[of].power_off(self.now_us);
        self.reset_ports(of);
        self.judge(of / 2);
        self.queue.plan(self.now_us + off_us, Item::Start { of });
    }

    fn reset_ports(&mut self, of: usize) {
        for cable in &mut self.pairs[of / 2].cables {
            cable.reset(of % 2);
        }
    }

    /// The patience of whoever asked for the reboot is at its end.
    pub(crate) fn reboot(&mut self, of: usize, start: u64, off_us: u64) {
        let is_same = self.machines[of].start == start && self.machines[of].node.is_some();
        if is_same && !self.is_healed() {
            self.tell(of, || "goes off to reboot".into());
            self.disturb(of / 2);
            self.power_cut(of, off_us);
            self.disturb(of / 2);
        }
    }

    /// Old frames are played again: most to whom they were for, some to who sent them.
    pub(crate) fn replay(&mut self, to: usize, link: usize, turn: u64, left: u64, gap_us: u64) {
        let from = if turn.is_multiple_of(5) { to } else { to ^ 1 };
        let recorded = if turn.is_multiple_of(7) { 0 } else { link };
        let cable = self.pairs[0].cables.get(recorded);
        if let Some(capture) = cable.and_then(|cable| cable.captured(from % 2, turn)) {
            if !capture.arrives && from != to {
                // No box can tell it from a frame that was late: its peer seems to have sent it just now.
                self.disturb(to / 2);
            }
            let frame = capture.frame;
            self.queue
                .plan(self.now_us, Item::Frame { to, link, frame });
        }
        if left > 1 && !self.is_healed() {
            let (turn, left) = (turn + 1, left - 1);
            let next = Item::Replay {
                to,
                link,
                turn,
                left,
                gap_us,
            };
            self.queue.plan(self.now_us + gap_us, next);
        }
    }

    /// Ends all that is wrong: whoever is off is switched on, whoever is leaving is started anew.
    pub(crate) fn heal(&mut self) {
        self.disturb(0);
        self.armed.clear();
        if let Some(story) = &mut self.story {
            story.push(format!("{:>6}.000 ms  * all is healed", self.now_us / 1000));
        }
        for cable in &mut self.pairs[0].cables {
            cable.heal();
        }
        for of in 0..2 {
            self.note_carriers(of);
            let machine = &mut self.machines[of];
            machine.slow = None;
            machine.kernel.trouble = None;
            machine.carriers = 2;
            if let Some(sleep) = &mut machine.asleep {
                sleep.until_us = self.now_us;
                self.awake(of);
            }
            if is_leaving(self.machines[of].state) && self.machines[of].node.is_some() {
                self.machines[of].power_off(self.now_us);
                self.reset_ports(of);
            }
            self.start(of);
            self.machines[of].ready |= self.machines[of].heard_ready;
            self.tell_ready(of);
            self.input(of, Input::Fitness(2));
        }
        self.disturb(0);
    }

    /// Something befell a pair: what must hold is judged anew from here.
    pub(crate) fn disturb(&mut self, pair: usize) {
        self.judge(pair);
        self.pairs[pair].books.disturbed(self.now_us);
    }
}
