//! The loop of the cluster worker: wait, read the links, tell the node the time, do what it wants done.
//! The order within a turn is the design's: frames before time, so that nobody is declared dead whose beat
//! lies in a buffer; addresses before their announcement.

use super::links::HeartbeatLink;
use super::{Worker, instant, now, report};
use crate::ipc::ClusterToDataplane;
use crate::worker::WorkerError;
use core::time::Duration;
use proto::node::{Action, Input, LinkIndex};
use proto::report::Report;
use proto::settings::LINKS_MAX;
use std::os::fd::{AsFd, BorrowedFd};
use sys::poll::{self, PollFd};

/// Kernel events and wires, besides the links.
const OTHER_FDS: usize = 4;
const FDS: usize = LINKS_MAX + OTHER_FDS;

impl Worker {
    pub(super) fn start(&mut self) {
        self.input(Input::Fitness(self.addresses.fitness()));
        let _ = self.wires.dataplane.send(&ClusterToDataplane::Started);
    }

    /// One turn of the loop; `false` once PID 1 said stop. What the sockets hold is read before time is
    /// told, so that nobody is declared dead whose beat lies in a buffer.
    pub(super) fn turn(&mut self) -> Result<bool, WorkerError> {
        let ready = self.wait()?;
        self.read_links(&ready);
        self.node.handle_timeout(instant(now()));
        self.follow_node();
        self.hear_kernel();
        self.hear_dataplane()?;
        self.hear_control()?;
        let go_on = self.hear_init()?;
        self.open_links();
        self.announce_due();
        self.follow_node();
        self.stand();
        self.beat();
        Ok(go_on)
    }

    /// Waits for the first thing to do; says per descriptor (links first) whether it is readable and
    /// whether it hung up.
    fn wait(&self) -> Result<[Readiness; FDS], WorkerError> {
        let wake_at_us = u64::try_from(self.wake_at().as_micros()).unwrap_or(u64::MAX);
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
        poll::until(&mut fds, Some(wake_at_us))
            .map_err(|error| WorkerError::failed("waiting for events", error))?;
        Ok(fds.map(|fd| Readiness {
            readable: poll::is_readable(&fd),
            hung_up: poll::is_hung_up(&fd),
        }))
    }

    fn other_fd(&self, index: usize) -> BorrowedFd<'_> {
        match index.checked_sub(LINKS_MAX) {
            Some(0) => self.addresses.as_fd(),
            Some(1) => self.wires.dataplane.as_fd(),
            Some(2) => self.wires.control.as_fd(),
            _ => self.wires.lifeline.as_fd(),
        }
    }

    fn wake_at(&self) -> Duration {
        let node = Duration::from_micros(self.node.poll_timeout().us);
        let links = self.links.iter().filter_map(HeartbeatLink::open_at);
        let others = [Some(node), Some(self.alive_at), self.burst.next_at()];
        let all = links.chain(others.into_iter().flatten());
        all.min().unwrap_or(node)
    }

    fn read_links(&mut self, ready: &[Readiness; FDS]) {
        let numbered = self.links.iter_mut().zip(0u8..).zip(ready);
        for ((link, index), ready) in numbered {
            if ready.readable {
                let node = &mut self.node;
                link.receive(|frame| {
                    node.handle_frame(instant(now()), LinkIndex(index), frame);
                });
            }
            if ready.hung_up {
                link.hung_up();
            }
            if link.wants_to_write() {
                link.flush();
            }
        }
    }

    pub(super) fn input(&mut self, input: Input) {
        self.node.handle_input(instant(now()), input);
    }

    /// Does what the node wants done, until it wants nothing more.
    fn follow_node(&mut self) {
        loop {
            while let Some(transmit) = self.node.poll_transmit() {
                if let Some(link) = self.links.get_mut(usize::from(transmit.link.0)) {
                    link.send(&transmit.frame);
                }
            }
            match self.node.poll_action() {
                Some(action) => self.act(action),
                None => return,
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::TakeAddresses { term } => {
                // Before the first is set, or the dataplane might take it for an orphan.
                self.tell_dataplane(true);
                if let Err(error) = self.addresses.take() {
                    log::error!("virtual addresses can't be set: {error}");
                    return;
                }
                self.burst.start(now());
                self.announce_due();
                self.input(Input::AddressesTaken { term });
            }
            Action::ReleaseAddresses { term } => {
                self.burst.stop();
                if let Err(error) = self.addresses.release() {
                    log::error!("virtual addresses can't be removed, trying again: {error}");
                    return;
                }
                self.input(Input::AddressesReleased { term });
            }
            Action::Announce => {
                log::info!("announcing the virtual addresses again");
                self.burst.start(now());
            }
            Action::Report(report) => self.report(&report),
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
    }

    /// Devices and addresses may have changed.
    fn hear_kernel(&mut self) {
        let Some(news) = self.addresses.hear() else {
            return;
        };
        for link in &mut self.links {
            link.follow(&self.config, self.position, self.addresses.devices());
        }
        self.input(Input::Fitness(self.addresses.fitness()));
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
