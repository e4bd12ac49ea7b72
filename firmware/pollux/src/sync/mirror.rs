//! The engine, the kernel and the networks joined: events in, datagrams out, and the other way round. The order of a
//! turn is that of a takeover: what the twin sent goes into the kernel before this box says that it was taken.

use super::balancer::Balancer;
use super::flows::{Flows, instant};
use super::status::{self, Meter};
use super::sweep::{Extension, Sweep};
use super::ways::{Sent, Ways};
use crate::clock::now;
use crate::ipc::control::SyncStatus;
use crate::worker::WorkerError;
use core::time::Duration;
use netlink::conntrack::filter::Own;
use plan::config::{Config, Link};
use plan::paths::SYNC_PORT;
use proto::sync::{Apply, DATAGRAM_BYTES_MAX, Engine, Kind, Settings, Want};
use proto::wire::ClusterTag;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use sys::poll::{self, PollFd};

/// Datagrams taken in one turn. What is in them takes the kernel some milliseconds; then it is said to be there, on which
/// the twin waits, and an order to take over is heard.
const TAKEN_PER_TURN: usize = 32;

/// Datagrams sent in one turn.
const SENT_PER_TURN: usize = 256;

/// Turns' worth of datagrams taken before a takeover: more than the sockets hold, and an end to any flood.
const ROUNDS_MAX: usize = 256;

/// Events heard in one turn.
const EVENTS_PER_TURN: usize = 1024;

/// Events that come one by one are heard in heaps: a turn for each would cost more than the events do. A takeover
/// loses what happened in so short a time, and a packet more or less is what TCP is made for.
const EVENTS_GAP: Duration = Duration::from_millis(2);

/// A piece of a sweep has no more flows, and the engine must have room for them.
const PIECE_FLOWS_MAX: usize = 512;

/// Both boxes' connections in both boxes' kernels.
pub struct Mirror {
    pub engine: Engine,
    flows: Flows,
    balancer: Balancer,
    pub ways: Ways,
    sweep: Option<Sweep>,
    extension: Extension,
    is_active: bool,
    /// Takeover that waits for the peer to send what it has not sent yet.
    planned_drain: Option<u64>,
    pub meter: Meter,
    hear_at: Duration,
    /// A datagram that the device had no room for.
    unsent: Option<usize>,
    out: Box<[u8]>,
    inward: Box<[u8]>,
}

impl Mirror {
    /// Opens what it needs. `None`: there is no network to mirror over.
    ///
    /// # Errors
    /// The kernel has no connection tracking, or lets us not at it.
    pub fn open(
        config: &Config,
        node: usize,
        event_room_bytes: usize,
    ) -> Result<Option<Self>, WorkerError> {
        let kernel = |error| WorkerError::failed("reaching connection tracking", error);
        let ways = Ways::new(config, node).map_err(kernel)?;
        if ways.is_empty() {
            return Ok(None);
        }
        let settings = Settings {
            cluster: ClusterTag::of_name(&config.cluster.name),
            key: &config.cluster.key,
            incarnation: incarnation()?,
            table: table(),
        };
        let at = now();
        let datagram = || vec![0; DATAGRAM_BYTES_MAX + 1].into_boxed_slice();
        Ok(Some(Mirror {
            flows: Flows::open(own(config), event_room_bytes).map_err(kernel)?,
            balancer: Balancer::open(config),
            engine: Engine::new(instant(at), &settings),
            ways,
            sweep: None,
            extension: Extension::new(at),
            is_active: false,
            planned_drain: None,
            meter: Meter::default(),
            hear_at: Duration::ZERO,
            unsent: None,
            out: datagram(),
            inward: datagram(),
        }))
    }

    /// The kernel may have room again for what it refused.
    pub fn ask_again(&mut self) {
        self.engine.set_full(false);
    }

    /// Leaves nothing of its own behind but connections.
    pub fn close(&mut self) {
        self.balancer.close();
    }

    /// Whose the connections are from now on.
    pub fn set_role(&mut self, now: Duration, is_active: bool, term: u64) {
        if is_active || !self.is_active {
            self.planned_drain = None;
        }
        self.be(now, is_active, term);
    }

    fn be(&mut self, now: Duration, is_active: bool, term: u64) {
        if self.is_active && !is_active {
            self.extension.hurry(now);
        }
        self.is_active = is_active;
        self.flows.is_passive = !is_active;
        self.engine.set_role(instant(now), is_active, term);
    }

    /// This box is about to take the addresses. Returns whether all is in the kernel; otherwise `poll_drained` tells.
    pub fn drain(&mut self, now: Duration, term: u64, planned: bool) -> bool {
        self.planned_drain = None;
        if planned && self.engine.status(instant(now)).joined {
            self.engine.request_flush(instant(now));
            self.planned_drain = Some(term);
            return false;
        }
        self.take_over(now, term);
        true
    }

    /// The takeover whose state has come.
    pub fn poll_drained(&mut self, now: Duration) -> Option<u64> {
        self.planned_drain.filter(|_| self.engine.is_flushed())?;
        let term = self.planned_drain.take()?;
        self.take_over(now, term);
        Some(term)
    }

    /// What the twin has sent is in the kernel before the first address is.
    fn take_over(&mut self, now: Duration, term: u64) {
        for _ in 0..ROUNDS_MAX {
            if !self.read_datagrams(now) {
                break;
            }
        }
        self.flush(now);
        self.be(now, true, term);
    }

    /// One turn.
    pub fn turn(&mut self, now: Duration) {
        self.ways.look(now);
        self.read_datagrams(now);
        self.flush(now);
        if self.hear_at <= now && self.engine.room() > EVENTS_PER_TURN {
            let more = self.flows.hear(now, &mut self.engine, EVENTS_PER_TURN);
            self.hear_at = if more {
                now
            } else {
                now.saturating_add(EVENTS_GAP)
            };
        }
        self.balancer.turn(now, &mut self.engine, self.is_active);
        self.follow_wants(now);
        self.sweep_on(now);
        if self.is_active {
            self.extension.stop(now);
        }
        self.extension.step(now, &mut self.flows);
        self.flush(now);
        self.transmit(now);
    }

    fn flush(&mut self, now: Duration) {
        self.flows.flush(now, &mut self.engine);
        self.balancer.flush();
    }

    /// Takes what the peer sent; says whether more may wait.
    fn read_datagrams(&mut self, now: Duration) -> bool {
        let at = instant(now);
        for _ in 0..TAKEN_PER_TURN {
            let Some(datagram) = self.ways.receive(&mut self.inward) else {
                return false;
            };
            // Counted by cause in the status.
            if self.engine.handle_datagram(at, datagram).is_err() {
                continue;
            }
            self.ways.heard(now);
            self.flows.own_table(self.engine.owns_table());
            while let Some(change) = self.engine.poll_apply(at) {
                match change {
                    Apply::Put {
                        kind: Kind::Ipvs,
                        key,
                        value,
                        lifetime_s,
                    } => self.balancer.put(key, value, lifetime_s),
                    change => self.flows.apply(&change),
                }
            }
        }
        true
    }

    fn follow_wants(&mut self, now: Duration) {
        match self.engine.poll_want(instant(now)) {
            Some(Want::Drain) => self.serve_flush(now),
            Some(Want::Sweep(Kind::Ipvs)) => self.balancer.list(now, &mut self.engine),
            Some(Want::Sweep(kind)) if self.sweep.is_none() => {
                self.sweep = Sweep::begin(now, kind, &mut self.engine);
            }
            Some(Want::Sweep(_)) | None => {}
        }
    }

    /// All that the kernel has told by now is put on its way. What finds no room is heard once some of it has arrived.
    fn serve_flush(&mut self, now: Duration) {
        let mut waits = true;
        while waits && self.engine.room() > EVENTS_PER_TURN {
            waits = self.flows.hear(now, &mut self.engine, EVENTS_PER_TURN);
        }
        if !waits {
            // What it tells too late for the flush comes soon after, and the heir leaves its packets unanswered until then.
            self.balancer.nudge(now);
            self.engine.drained(instant(now));
        }
    }

    fn sweep_on(&mut self, now: Duration) {
        if self.engine.room() < PIECE_FLOWS_MAX {
            return;
        }
        if let Some(sweep) = &mut self.sweep
            && !sweep.step(now, &mut self.engine, &mut self.flows)
        {
            self.sweep = None;
        }
    }

    fn transmit(&mut self, now: Duration) {
        for _ in 0..SENT_PER_TURN {
            let waiting = self.unsent.take();
            let next = || self.engine.poll_transmit(instant(now), room(&mut self.out));
            let Some(length) = waiting.or_else(next) else {
                return;
            };
            let datagram = self.out.get(..length).unwrap_or_default();
            if self.ways.send(now, datagram) == Sent::Full {
                self.unsent = Some(length);
                return;
            }
        }
    }

    /// What to wait on.
    pub fn fds(&self, now: Duration) -> impl Iterator<Item = PollFd<'_>> {
        let hears = self.hear_at <= now && self.engine.room() > EVENTS_PER_TURN;
        let events = hears.then(|| poll::readable(self.flows.fd()));
        let waits = self.unsent.is_some();
        let ways = self.ways.fds().map(move |fd| match waits {
            true => poll::both(fd),
            false => poll::readable(fd),
        });
        let balancer = self.balancer.fd().map(poll::readable);
        events.into_iter().chain(balancer).chain(ways)
    }

    /// Connections in this kernel, and in the twin's where it is heard.
    pub fn counts(&self) -> (u64, Option<u64>) {
        let status = self.engine.status(instant(now()));
        let [flows, ..] = status.kinds;
        let there = status.joined.then_some(flows.there.into());
        (flows.here.into(), there)
    }

    /// For the console.
    pub fn status(&self, now: Duration) -> SyncStatus {
        let status = self.engine.status(instant(now));
        let way = self.ways.name(now);
        let mut status = self.meter.status(now, way, &status);
        status.dropped.extend(status::lost(&self.balancer.lost()));
        status.failure = self.balancer.failure().map(String::from);
        status
    }

    /// When the next turn is due, whatever comes.
    pub fn wake_at(&self, now: Duration) -> Duration {
        if self.sweep.is_some() && self.engine.room() >= PIECE_FLOWS_MAX {
            return now;
        }
        let engine = self.engine.poll_timeout().filter(|_| self.unsent.is_none());
        let engine = engine.map(|at| Duration::from_micros(at.us));
        let hear = Some(self.hear_at).filter(|at| *at > now);
        let balancer = Some(self.balancer.wake_at(now, self.is_active));
        let others = [engine, hear, balancer, Some(self.ways.look_at())];
        let extension = self.extension.due_at();
        others.into_iter().flatten().fold(extension, Duration::min)
    }
}

/// A datagram never fills more than this.
fn room(out: &mut [u8]) -> &mut [u8] {
    let length = out.len().min(DATAGRAM_BYTES_MAX);
    out.get_mut(..length).unwrap_or_default()
}

/// What is never mirrored: what the boxes say with addresses that stay where they are, heartbeats, these datagrams.
fn own(config: &Config) -> Own {
    let attachments = config
        .interfaces
        .iter()
        .flat_map(|it| it.on.iter().flatten());
    let addresses = attachments.flat_map(|it| it.addresses.iter().map(|prefix| prefix.address));
    let loopback = [IpAddr::from([127, 0, 0, 1])];
    let heartbeats = config.links.iter().filter_map(|link| match link {
        Link::Udp { port, .. } => Some(*port),
        Link::Serial { .. } => None,
    });
    let ports: Vec<u16> = heartbeats.chain([SYNC_PORT]).collect();
    Own::new(addresses.chain(loopback), &ports)
}

/// A number that no other start has had, and never 0.
fn incarnation() -> Result<u64, WorkerError> {
    let mut drawn = [0; 8];
    sys::random::fill(&mut drawn)
        .map_err(|error| WorkerError::failed("drawing an incarnation", error))?;
    Ok((u64::from_le_bytes(drawn) ^ sys::clock::wall_us()).max(1))
}

/// Names the life of the kernel's table: one boot, one network namespace.
fn table() -> u64 {
    let mut hasher = DefaultHasher::new();
    std::fs::read("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .hash(&mut hasher);
    std::fs::read_link("/proc/self/ns/net")
        .unwrap_or_default()
        .hash(&mut hasher);
    hasher.finish()
}
