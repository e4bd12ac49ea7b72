//! The loop of the cluster worker: wait, read the links, tell the node the time, do what it wants done.
//! The order within a turn is the design's: frames before time, so that nobody is declared dead whose beat
//! lies in a buffer; addresses before their announcement.

use super::addresses::Done;
use super::links::HeartbeatLink;
use super::{Worker, instant, report};
use crate::clock::{now, wait_until};
use crate::ipc::{ClusterToDataplane, Custodian};
use crate::worker::WorkerError;
use core::time::Duration;
use proto::failover::State;
use proto::node::{Action, Input, LinkIndex};
use proto::report::Report;
use proto::settings::LINKS_MAX;
use std::os::fd::{AsFd, BorrowedFd};
use sys::poll::{self, PollFd};

/// Kernel events, the two taps on the wire and the wires, besides the links.
const OTHER_FDS: usize = 7;
const FDS: usize = LINKS_MAX + OTHER_FDS;

impl Worker {
    pub(super) fn start(&mut self) {
        self.tell_fitness();
        let pid = std::process::id();
        let _ = self
            .wires
            .dataplane
            .send(&ClusterToDataplane::Started { pid });
    }

    /// One turn of the loop; `false` once PID 1 said stop.
    pub(super) fn turn(&mut self) -> Result<bool, WorkerError> {
        let ready = self.wait()?;
        self.step_down_if_stalled();
        self.read_links(&ready);
        self.node.handle_timeout(instant(now()));
        self.follow_node();
        self.hear_kernel();
        self.hear_rivals();
        self.hear_dataplane()?;
        self.hear_sync()?;
        self.hear_control()?;
        self.retry_order();
        let go_on = self.hear_init()?;
        self.go_on_resigning();
        self.open_links();
        self.addresses.retry_if_due(now());
        self.advance();
        self.announce_due();
        self.follow_node();
        self.stand();
        self.beat();
        self.hush_due();
        Ok(go_on)
    }

    /// Waits for the first thing to do; says per descriptor (links first) whether it is readable and
    /// whether it hung up.
    fn wait(&self) -> Result<[Readiness; FDS], WorkerError> {
        // Unused places wait for the lifeline once more, which costs less than an allocation.
        let place = |index: usize| {
            let link = self.links.get(index).and_then(HeartbeatLink::fd);
            link.unwrap_or_else(|| self.other_fd(index))
        };
        let mut fds: [PollFd<'_>; FDS] = core::array::from_fn(|index| {
            let wants_to_write = self
                .links
                .get(index)
                .is_some_and(HeartbeatLink::wants_to_write);
            if wants_to_write {
                poll::both(place(index))
            } else {
                poll::readable(place(index))
            }
        });
        wait_until(&mut fds, self.wake_at())
            .map_err(|error| WorkerError::failed("waiting for events", error))?;
        Ok(fds.map(|fd| Readiness {
            readable: poll::is_readable(&fd),
            hung_up: poll::is_hung_up(&fd),
        }))
    }

    fn other_fd(&self, index: usize) -> BorrowedFd<'_> {
        let [events, arp, neighbour] = self.addresses.fds();
        match index.checked_sub(LINKS_MAX) {
            Some(0) => events,
            Some(1) => arp,
            Some(2) => neighbour,
            Some(3) => self.wires.dataplane.as_fd(),
            Some(4) => self.wires.control.as_fd(),
            Some(5) => self.sync.wire().as_fd(),
            _ => self.wires.lifeline.as_fd(),
        }
    }

    fn wake_at(&self) -> Duration {
        if self.addresses.is_busy() {
            return now();
        }
        let node = Duration::from_micros(self.node.poll_timeout().us);
        let links = self.links.iter().filter_map(HeartbeatLink::open_at);
        let others = [
            Some(node),
            Some(self.alive_at),
            self.burst.next_at(),
            self.hush.next_at(),
            self.addresses.retry_at(),
            self.sync.due_at(),
        ];
        let all = links.chain(others.into_iter().flatten());
        all.min().unwrap_or(node)
    }

    /// Serial lines last: their bytes come by interrupts, a few at a time, so that after a pause it takes longer to
    /// read what waits there than to act on what the cards have.
    fn read_links(&mut self, ready: &[Readiness; FDS]) {
        for is_serial in [false, true] {
            for (index, ready) in (0u8..).zip(ready).take(self.links.len()) {
                let link = self.links.get(usize::from(index));
                if link.is_some_and(|link| link.is_serial() == is_serial) {
                    self.attend(index, *ready);
                }
            }
        }
    }

    fn attend(&mut self, index: u8, ready: Readiness) {
        if ready.readable {
            self.read(index);
        }
        let Some(link) = self.links.get_mut(usize::from(index)) else {
            return;
        };
        if ready.hung_up {
            link.hung_up();
        }
        if link.wants_to_write() {
            link.flush();
        }
    }

    /// What a link tells is acted upon before it is read on: a box whose machine was paused sees no gap in its own
    /// clock, and hears from its twin that the addresses are no longer its own.
    fn read(&mut self, index: u8) {
        let mut reads = 0;
        while let Some(link) = self.links.get_mut(usize::from(index))
            && reads < link.reads_per_turn()
        {
            let node = &mut self.node;
            let may_go_on = link.receive(|frame| {
                node.handle_frame(instant(now()), LinkIndex(index), frame);
            });
            self.follow_node();
            if !may_go_on {
                return;
            }
            reads += 1;
        }
    }

    pub(super) fn input(&mut self, input: Input) {
        self.node.handle_input(instant(now()), input);
    }

    /// A box that stood still may have lost its addresses to its twin. Told the time, the node says so, and
    /// they go before anything else is read, sent or logged.
    fn step_down_if_stalled(&mut self) {
        self.input(Input::Fitness(self.fitness));
        self.follow_node();
    }

    /// Does what the node wants done, until it wants nothing more: orders first, then frames, and last what
    /// is to be said of it.
    fn follow_node(&mut self) {
        while let Some(action) = self.node.poll_action() {
            self.act(&action);
        }
        self.transmit();
    }

    fn transmit(&mut self) {
        while let Some(transmit) = self.node.poll_transmit() {
            if let Some(link) = self.links.get_mut(usize::from(transmit.link.0)) {
                link.send(&transmit.frame);
            }
        }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::TakeAddresses { term } => {
                self.hush.stop();
                // Before the first is set, or the dataplane might take it for an orphan.
                self.tell_dataplane(Custodian {
                    settled: true,
                    ..self.custodian
                });
                self.take_after_state(term);
            }
            Action::ReleaseAddresses { term } => {
                self.sync.forget();
                self.burst.stop();
                self.addresses.release(term);
                self.advance();
            }
            Action::Announce => {
                log::info!("announcing the virtual addresses again");
                self.burst.start(now());
            }
            Action::Report(report) => {
                self.transmit();
                self.report(&report);
            }
        }
    }

    /// Goes on with setting or removing addresses; hundreds take several turns.
    pub(super) fn advance(&mut self) {
        let Some(done) = self.addresses.advance() else {
            return;
        };
        // Before it counts as active, or the pair would judge it by what it hoped to hold.
        self.tell_fitness();
        match done {
            Done::Taken { term } => {
                self.burst.follow(now());
                self.input(Input::AddressesTaken { term });
            }
            Done::Released { term } => {
                self.hush.start(now());
                self.input(Input::AddressesReleased { term });
            }
            Done::Mended { any: true } => self.burst.follow(now()),
            Done::Mended { any: false } => {}
        }
    }

    fn report(&mut self, report: &Report) {
        let silence = report::silence(&self.node.status(instant(now())));
        report::log(report, &self.names, silence);
    }

    fn announce_due(&mut self) {
        if self.burst.take_due(now()) {
            self.addresses.announce();
        }
        self.addresses.announce_some();
    }

    /// Last in a turn: the twin is told of the release before.
    fn hush_due(&mut self) {
        if self.hush.take_due(now()) {
            self.addresses.drop_unsent();
        }
    }

    fn tell_fitness(&mut self) {
        self.fitness = self.addresses.fitness();
        self.input(Input::Fitness(self.fitness));
    }

    /// Somebody else claims an address of ours.
    fn hear_rivals(&mut self) {
        let state = self.node.status(instant(now())).state;
        let invited = matches!(state, State::Offering(_));
        if self.addresses.hear_rivals(now(), invited) {
            self.burst.start(now());
        }
    }

    /// Devices and addresses may have changed.
    fn hear_kernel(&mut self) {
        let Some(news) = self.addresses.hear() else {
            return;
        };
        for link in &mut self.links {
            link.follow(&self.config, self.position, self.addresses.devices());
        }
        self.tell_fitness();
        if news.announce && self.addresses.are_held() {
            self.burst.start(now());
        }
    }

    fn open_links(&mut self) {
        for link in &mut self.links {
            link.open_if_due(now(), &self.config, self.position, self.addresses.devices());
        }
    }
}

/// What the last wait found on a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Readiness {
    readable: bool,
    hung_up: bool,
}
