//! The cluster worker: heartbeats, failover, virtual addresses and their announcement. It runs at real-time
//! priority in locked memory, so nothing slow may be done here and its loop allocates nothing while nothing
//! changes. What to do is proto's decision; this only moves bytes, time and addresses.
//!
//! Restarted, it leaves the virtual addresses of its predecessor where they are: proto listens first, and
//! then either takes them over as they stand or has them released, whichever the peer's beats call for.

mod addresses;
mod burst;
mod links;
mod report;
mod settings;
mod status;

use crate::ipc::control::ClusterStatus;
use crate::ipc::{
    Channel, ClusterAnswer, ClusterRequest, ClusterToControl, ClusterToDataplane, ControlToCluster,
    DataplaneToCluster, FromWorker, ToWorker, Wire,
};
use crate::worker::{WorkerContext, WorkerError};
use addresses::Addresses;
use burst::Burst;
use core::time::Duration;
use links::HeartbeatLink;
use plan::config::Config;
use proto::failover::{Command, Role, State};
use proto::node::{Action, Input, LinkIndex, Node};
use proto::report::Report;
use proto::settings::{ConfigVersion, LINKS_MAX};
use proto::time::Instant;
use report::Names;
use serde::{Serialize, de::DeserializeOwned};
use std::os::fd::{AsFd, BorrowedFd};
use sys::poll::{self, PollFd};
use sys::sandbox::Capability;

/// Above everything but the kernel's own threads (50) and below the watchdog's (99).
const FIFO_PRIORITY: u8 = 60;

/// Heartbeat ports, addresses, announcements, and what `hurry` set up.
const CAPABILITIES: [Capability; 5] = [
    Capability::NetBindService,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::SysNice,
];

/// From one word to PID 1 to the next.
const ALIVE_INTERVAL: Duration = Duration::from_millis(500);

/// Wires and kernel events, besides the links.
const OTHER_FDS: usize = 4;
const FDS: usize = LINKS_MAX + OTHER_FDS;

/// Runs until PID 1 says stop or a failure that only a restart can mend.
pub fn run(mut context: WorkerContext) -> Result<(), WorkerError> {
    let version = ConfigVersion {
        generation: context.generation,
        digest: context.digest,
    };
    let settings = settings::settings(&context.config, context.node, version)
        .map_err(|mismatch| WorkerError::Config(mismatch.to_string()))?;
    let mut seed = [0; 8];
    sys::random::fill(&mut seed)
        .map_err(|error| WorkerError::failed("drawing an incarnation", error))?;
    let wires = Wires {
        dataplane: context.wire(Wire::ClusterDataplane)?,
        control: context.wire(Wire::ClusterControl)?,
        lifeline: context.lifeline,
    };
    let (config, node) = (context.config, context.node);
    let addresses = Addresses::open(&config, node)
        .map_err(|error| WorkerError::failed("reaching the kernel", error))?;
    let names = Names {
        peer: settings::peer(&config, node).map_or_else(String::new, |peer| peer.name.clone()),
        links: config
            .links
            .iter()
            .map(|link| settings::link_name(&config, link))
            .collect(),
    };
    let mut worker = Worker {
        links: links::links(&config, node),
        node: Node::new(instant(now()), settings, u64::from_le_bytes(seed)),
        addresses,
        burst: Burst::default(),
        names,
        wires,
        stood: None,
        told: None,
        resigning: Resigning::No,
        alive_at: Duration::ZERO,
        position: node,
        config,
    };
    hurry();
    worker.start();
    while worker.turn()? {}
    Ok(())
}

/// Monotonic time.
fn now() -> Duration {
    Duration::from_micros(sys::clock::monotonic_us())
}

fn instant(at: Duration) -> Instant {
    Instant::from_micros(u64::try_from(at.as_micros()).unwrap_or(u64::MAX))
}

/// Without privilege (in a namespace, in tests) it runs as well, only not as surely in time.
fn hurry() {
    let outcomes = [
        sys::realtime::lock_memory(),
        sys::realtime::set_fifo(FIFO_PRIORITY),
    ];
    for error in outcomes.into_iter().filter_map(Result::err) {
        log::warn!("{error}: dead times may be missed under load");
    }
    if let Err(error) = sys::sandbox::keep(&CAPABILITIES) {
        log::warn!("{error}: going on with what there is");
    }
}

struct Wires {
    lifeline: Channel<FromWorker, ToWorker>,
    dataplane: Channel<ClusterToDataplane, DataplaneToCluster>,
    control: Channel<ClusterToControl, ControlToCluster>,
}

/// How far PID 1's order to resign has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resigning {
    No,
    Ordered,
    Told,
}

struct Worker {
    config: Config,
    /// Index into `Config::nodes`.
    position: usize,
    node: Node,
    links: Vec<HeartbeatLink>,
    addresses: Addresses,
    burst: Burst,
    names: Names,
    wires: Wires,
    /// Role and readiness as PID 1 was told them last.
    stood: Option<(Role, bool)>,
    /// Whether it is active, and its term, as the dataplane was told them last.
    told: Option<(bool, u64)>,
    resigning: Resigning,
    alive_at: Duration,
}

impl Worker {
    fn start(&mut self) {
        self.input(Input::Fitness(self.addresses.fitness()));
        self.tell_dataplane(State::Listening, 0);
    }

    /// One turn of the loop; `false` once PID 1 said stop. What the sockets hold is read before time is
    /// told, so that nobody is declared dead whose beat lies in a buffer.
    fn turn(&mut self) -> Result<bool, WorkerError> {
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

    fn input(&mut self, input: Input) {
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

    fn hear_dataplane(&mut self) -> Result<(), WorkerError> {
        while let Some(message) = receive(&mut self.wires.dataplane, "listening to dataplane")? {
            match message {
                DataplaneToCluster::Started => self.told = None,
                DataplaneToCluster::State { ready } => self.input(Input::Ready(ready)),
            }
        }
        Ok(())
    }

    fn hear_control(&mut self) -> Result<(), WorkerError> {
        while let Some(ControlToCluster { request, what }) =
            receive(&mut self.wires.control, "listening to control")?
        {
            let answer = match what {
                ClusterRequest::Status => ClusterAnswer::Status(Box::new(self.status())),
                ClusterRequest::Standby => self.command(Command::Standby),
                ClusterRequest::Takeover => self.command(Command::Takeover),
            };
            // Control times out and says so where there is no room.
            let _ = self
                .wires
                .control
                .send(&ClusterToControl { request, answer });
        }
        Ok(())
    }

    fn command(&mut self, command: Command) -> ClusterAnswer {
        match self.node.handle_command(instant(now()), command) {
            Ok(()) => ClusterAnswer::Accepted,
            Err(refusal) => {
                log::info!("{command} refused: {refusal}");
                ClusterAnswer::Refused(refusal.to_string())
            }
        }
    }

    fn status(&mut self) -> ClusterStatus {
        let status = self.node.status(instant(now()));
        let facts: Vec<_> = self.links.iter().map(HeartbeatLink::facts).collect();
        let virtual_addresses = self.addresses.status();
        status::cluster_status(
            &self.config,
            self.position,
            &status,
            &facts,
            virtual_addresses,
        )
    }

    fn hear_init(&mut self) -> Result<bool, WorkerError> {
        while let Some(message) = receive(&mut self.wires.lifeline, "listening to init")? {
            match message {
                ToWorker::Stop => return Ok(false),
                ToWorker::Resign => {
                    // Never refused; what becomes of it shows in the role.
                    let _ = self.node.handle_command(instant(now()), Command::Resign);
                    self.resigning = Resigning::Ordered;
                }
                ToWorker::Answer(..) | ToWorker::LogLine(_) => {}
            }
        }
        Ok(true)
    }

    /// Tells PID 1 and the dataplane where this box stands, when that changed and is no passing state.
    fn stand(&mut self) {
        let status = self.node.status(instant(now()));
        if matches!(
            status.state,
            State::Standby | State::Held | State::Active | State::Resigned
        ) {
            self.tell_init(status.role, status.ready);
            self.tell_dataplane(status.state, status.term);
        }
        if self.resigning == Resigning::Ordered && status.role == Role::Resigned {
            let told = self.wires.lifeline.send(&FromWorker::Resigned);
            self.resigning = if told.is_ok() {
                Resigning::Told
            } else {
                Resigning::Ordered
            };
        }
    }

    fn tell_init(&mut self, role: Role, ready: bool) {
        if self.stood == Some((role, ready)) {
            return;
        }
        let standing = FromWorker::Standing {
            role: role.to_string(),
            ready,
        };
        if self.wires.lifeline.send(&standing).is_ok() {
            self.stood = Some((role, ready));
        }
    }

    fn tell_dataplane(&mut self, state: State, term: u64) {
        let active = state == State::Active;
        if self.told == Some((active, term)) {
            return;
        }
        let _ = self
            .wires
            .dataplane
            .send(&ClusterToDataplane::Role { active, term });
        self.told = Some((active, term));
    }

    fn beat(&mut self) {
        if self.alive_at <= now() {
            let _ = self.wires.lifeline.send(&FromWorker::Alive);
            self.alive_at = now().saturating_add(ALIVE_INTERVAL);
        }
    }
}

/// What the last wait found on a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Readiness {
    readable: bool,
    hung_up: bool,
}

fn receive<Tx: Serialize, Rx: DeserializeOwned>(
    wire: &mut Channel<Tx, Rx>,
    attempt: &str,
) -> Result<Option<Rx>, WorkerError> {
    wire.receive()
        .map_err(|error| WorkerError::failed(attempt, error))
}
