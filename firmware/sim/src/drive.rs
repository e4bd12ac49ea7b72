//! Drives the boxes as the real driver does (`pollux/src/cluster/turn.rs`): after each call all that the node wants
//! is done, and who wakes up tells the time first, then what the sockets hold, then that time has passed.

use crate::clock::Clock;
use crate::judge::Rule;
use crate::machine::{Change, HEARD_OUT_US, Sleep, Slow};
use crate::queue::Item;
use crate::schedule::Freeze;
use crate::world::{World, micros};
use proto::failover::State;
use proto::link::Link;
use proto::node::{Action, Input, LISTEN_MIN, LinkIndex, Node};
use proto::settings::Settings;
use proto::time::Instant;
use proto::wire::FrameBytes;

/// From one word of the dataplane to the next.
const READY_INTERVAL_US: u64 = 1_000_000;
/// A box that stands still hears its dataplane later.
const READY_RETRY_US: u64 = 50_000;
/// From ready to in sync, at most: some boxes have many connections to fetch.
const IN_SYNC_MAX_US: u64 = 8_000_000;
/// What the kernel did while a box stood still is known so much after it goes on.
const CATCH_UP_US: u64 = 200;

impl World {
    /// A box, or its worker, starts.
    pub(crate) fn start(&mut self, of: usize) {
        if self.machines[of].node.is_some() {
            return;
        }
        let seed = self.random.next();
        let shown_us = self.random.below(1 << 40);
        let now_us = self.now_us;
        let machine = &mut self.machines[of];
        machine.clock = Clock::new(now_us, shown_us, self.setup.clock_ppm[of % 2]);
        let node = Node::new(machine.clock.at(now_us), machine.settings.clone(), seed);
        machine.node = Some(node);
        machine.start += 1;
        machine.started_us = now_us;
        machine.state = State::Listening;
        machine.state_since_us = now_us;
        machine.listens_until_us = now_us + listen_us(&machine.settings);
        machine.heard_out_us = machine.listens_until_us + HEARD_OUT_US;
        machine.links_up = 0;
        let (start, carriers) = (machine.start, machine.carriers);
        self.tell(of, || "starts".into());
        self.disturb(of / 2);
        self.input(of, Input::Fitness(carriers));
        let ready_us = now_us + self.setup.ready_after_us[of % 2];
        self.queue.plan(ready_us, Item::Ready { of, start });
        let in_sync_us = ready_us + self.sync_random.below(IN_SYNC_MAX_US);
        self.queue.plan(in_sync_us, Item::InSync { of, start });
    }

    /// The twin's connections have arrived.
    pub(crate) fn in_sync(&mut self, of: usize, start: u64) {
        let machine = &mut self.machines[of];
        if machine.start != start || machine.node.is_none() {
            return;
        }
        if machine.asleep.is_some() {
            let later_us = self.now_us + READY_RETRY_US;
            return self.queue.plan(later_us, Item::InSync { of, start });
        }
        machine.in_sync = true;
        self.input(of, Input::InSync(true));
    }

    pub(crate) fn repeat_ready(&mut self, of: usize, start: u64) {
        let machine = &mut self.machines[of];
        if machine.start != start || machine.node.is_none() {
            return;
        }
        if machine.asleep.is_some() {
            let later_us = self.now_us + READY_RETRY_US;
            return self.queue.plan(later_us, Item::Ready { of, start });
        }
        if !machine.heard_ready {
            machine.heard_ready = true;
            machine.ready = true;
        }
        self.tell_ready(of);
        self.queue
            .plan(self.now_us + READY_INTERVAL_US, Item::Ready { of, start });
    }

    pub(crate) fn tell_ready(&mut self, of: usize) {
        let ready = self.machines[of].ready;
        self.machines[of].believes_ready = ready;
        self.input(of, Input::Ready(ready));
    }

    pub(crate) fn input(&mut self, of: usize, input: Input) {
        self.call(of, |node, now| node.handle_input(now, input));
    }

    /// Calls the node and does what it wants.
    pub(crate) fn call(&mut self, of: usize, with: impl FnOnce(&mut Node, Instant)) {
        let now_us = self.now_us;
        let machine = &mut self.machines[of];
        let Some(node) = &mut machine.node else {
            return;
        };
        with(node, machine.clock.at(now_us));
        self.follow(of);
    }

    /// Empties a node after it was called, as every driver must.
    fn follow(&mut self, of: usize) {
        self.fold(of as u64);
        let mut takes = false;
        while let Some(action) = self.machines[of].node.as_mut().and_then(Node::poll_action) {
            takes |= matches!(action, Action::TakeAddresses { .. });
            self.act(of, action);
        }
        if takes {
            // The reason was reported after the order.
            self.judge_vacant(of);
        }
        while let Some(transmit) = self.machines[of]
            .node
            .as_mut()
            .and_then(Node::poll_transmit)
        {
            self.send(of, transmit);
        }
        let machine = &mut self.machines[of];
        if let Some(node) = &machine.node {
            machine.due_us = machine.clock.when(node.poll_timeout());
        }
        self.judge(of / 2);
    }

    pub(crate) fn time_out(&mut self, of: usize) {
        if self.dozes(of) {
            return;
        }
        self.call(of, Node::handle_timeout);
        if self.machines[of].due_us <= self.now_us {
            self.violate(
                of,
                Rule::Spins,
                "wants to be woken up at once, again and again".into(),
            );
        }
    }

    /// A slow box falls asleep when it should do something.
    pub(crate) fn dozes(&mut self, of: usize) -> bool {
        let now_us = self.now_us;
        let slow = self.machines[of].slow.filter(|slow| now_us < slow.until_us);
        let Some(Slow { late_us, .. }) = slow else {
            return false;
        };
        let span_us = self.random.below(late_us);
        self.fall_asleep(of, span_us, Freeze::Processes);
        true
    }

    pub(crate) fn fall_asleep(&mut self, of: usize, span_us: u64, how: Freeze) {
        let machine = &mut self.machines[of];
        let until_us = self.now_us + span_us;
        machine.asleep = Some(Sleep {
            since_us: self.now_us,
            until_us,
            how,
            silence_max_us: machine.silence_max_us(),
        });
        self.queue.plan(until_us, Item::Awake { of });
        self.judge(of / 2);
    }

    /// A box goes on: the time first, then what its sockets hold, then its timeouts.
    pub(crate) fn awake(&mut self, of: usize) {
        let now_us = self.now_us;
        self.judge(of / 2);
        let machine = &mut self.machines[of];
        let Some(sleep) = machine.asleep.take_if(|sleep| now_us >= sleep.until_us) else {
            return;
        };
        if sleep.how == Freeze::MachineAndClock {
            machine.clock.stood_still(sleep.since_us, now_us);
            let books = &mut self.pairs[of / 2].books;
            books.commanded_us = books.commanded_us.map(|at| at + now_us - sleep.since_us);
        }
        if machine.heard_out_us > sleep.since_us {
            machine.heard_out_us += now_us - sleep.since_us;
        }
        let carriers = machine.carriers;
        let before = machine.state;
        if !machine.is_slow(now_us) {
            self.disturb(of / 2);
        }
        self.input(of, Input::Fitness(carriers));
        self.judge_thaw(of, &sleep, before);
        let mut inbox = core::mem::take(&mut self.machines[of].inbox);
        inbox.sort_by_key(|(link, _)| *link);
        self.machines[of].reads_since_us = Some(sleep.since_us);
        self.read_sockets(of, &mut inbox);
        self.machines[of].reads_since_us = None;
        self.call(of, Node::handle_timeout);
        if self.machines[of].believes_ready && !self.machines[of].ready {
            self.tell_ready(of);
        }
        let machine = &mut self.machines[of];
        machine.inbox = inbox;
        if let Some(Change {
            number, done_us, ..
        }) = machine.kernel.change
            && done_us <= now_us
        {
            self.queue
                .plan(now_us + CATCH_UP_US, Item::Changed { of, number });
        }
    }

    /// All that a link holds is read before anything is acted upon.
    fn read_sockets(&mut self, of: usize, inbox: &mut Vec<(LinkIndex, FrameBytes)>) {
        for frames in inbox.chunk_by(|(one, _), (next, _)| one == next) {
            self.call(of, |node, now| {
                for (link, frame) in frames {
                    node.handle_frame(now, *link, frame);
                }
            });
        }
        inbox.clear();
    }
}

/// How long a box listens after its start, as `Node::new` says.
fn listen_us(settings: &Settings) -> u64 {
    let now = Instant::default();
    let links = settings.links.iter();
    let links = links.map(|medium| Link::new(now, *medium, settings.timing).patience());
    let slowest = links.max().unwrap_or_default() * 4;
    micros(LISTEN_MIN.max(slowest))
}
