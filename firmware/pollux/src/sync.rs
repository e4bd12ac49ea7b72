//! The sync worker: keeps in this box's kernel the connections that go through its twin, and tells the twin of its
//! own. What to send and what to believe is proto's decision (`proto::sync`); this only moves events, datagrams and
//! requests. The kernel's tables stand while it restarts: it reads them anew and joins again.

mod balanced;
mod balancer;
mod flows;
mod handshakes;
mod lifetimes;
mod mirror;
mod room;
mod status;
mod sweep;
mod ways;

use crate::clock::{now, wait_until};
use crate::ipc::control::SyncStatus;
use crate::ipc::{
    Channel, ClusterToSync, ControlToSync, FromWorker, SyncToCluster, SyncToControl, Wire,
};
use crate::worker::{self, Lifeline, TURN_MESSAGES_MAX, WorkerContext, WorkerError};
use core::time::Duration;
use flows::instant;
use mirror::Mirror;
use room::Room;
use std::os::fd::AsFd;
use sys::poll::{PollFd, readable};
use sys::sandbox::Capability;

/// From one word to the cluster worker to the next.
const BEAT: Duration = Duration::from_millis(500);

/// For so long boxes are out of sync before it is said.
const NEWS_AFTER: Duration = Duration::from_secs(2);

/// Connection tracking, big socket buffers; the port of its datagrams; sockets bound to a device.
const CAPABILITIES: [Capability; 3] = [
    Capability::NetAdmin,
    Capability::NetBindService,
    Capability::NetRaw,
];

/// Runs until PID 1 says stop or a failure that only a restart can mend.
pub fn run(mut context: WorkerContext) -> Result<(), WorkerError> {
    let wires = Wires {
        cluster: context.wire(Wire::ClusterSync)?,
        control: context.wire(Wire::SyncControl)?,
        lifeline: context.lifeline,
    };
    if let Err(error) = sys::sandbox::keep(&CAPABILITIES) {
        log::warn!("{error}: going on with what there is");
    }
    let mut failure = None;
    let event_room_bytes = context.place.event_room_bytes;
    let is_guest = context.place.is_guest;
    let opened = Mirror::open(&context.config, context.node, event_room_bytes);
    let mirror = opened.unwrap_or_else(|error| {
        log::error!("{error}; connections are not mirrored, so a takeover breaks them");
        failure = Some(error.to_string());
        None
    });
    let mut worker = Worker {
        wires,
        mirror,
        room: Room::default(),
        failure,
        told_in_sync: false,
        in_sync_at: None,
        said_in_sync: false,
        beat_at: Duration::ZERO,
        room_at: Duration::ZERO,
    };
    while worker.turn()? {}
    // The kernel of a box ends with it.
    if let Some(mirror) = worker.mirror.as_mut().filter(|_| is_guest) {
        mirror.close();
    }
    Ok(())
}

struct Wires {
    lifeline: Lifeline,
    cluster: Channel<SyncToCluster, ClusterToSync>,
    control: Channel<SyncToControl, ControlToSync>,
}

struct Worker {
    wires: Wires,
    /// `None`: there is nothing to mirror over, or nothing to mirror.
    mirror: Option<Mirror>,
    room: Room,
    /// Why there is none, where there should be.
    failure: Option<String>,
    told_in_sync: bool,
    /// The last time that they were.
    in_sync_at: Option<Duration>,
    said_in_sync: bool,
    beat_at: Duration,
    room_at: Duration,
}

impl Worker {
    /// One turn of the loop; `false` once PID 1 said stop.
    fn turn(&mut self) -> Result<bool, WorkerError> {
        self.wait()?;
        self.hear_cluster()?;
        if let Some(mirror) = &mut self.mirror {
            mirror.turn(now());
            if let Some(term) = mirror.poll_drained(now()) {
                self.say_drained(term);
            }
        }
        self.beat();
        self.hear_control()?;
        Ok(!worker::is_to_stop(&mut self.wires.lifeline)?)
    }

    fn wait(&self) -> Result<(), WorkerError> {
        let at = now();
        let wires = [
            readable(self.wires.cluster.as_fd()),
            readable(self.wires.control.as_fd()),
            readable(self.wires.lifeline.as_fd()),
        ];
        let mirror = self.mirror.iter().flat_map(|mirror| mirror.fds(at));
        let mut fds: Vec<PollFd<'_>> = wires.into_iter().chain(mirror).collect();
        let wake_at = self.mirror.as_ref().map(|mirror| mirror.wake_at(at));
        let wake_at = wake_at.map_or(self.beat_at, |wake_at| wake_at.min(self.beat_at));
        wait_until(&mut fds, wake_at)
            .map_err(|error| WorkerError::failed("waiting for events", error))
    }

    fn hear_cluster(&mut self) -> Result<(), WorkerError> {
        for _ in 0..TURN_MESSAGES_MAX {
            let heard = self.wires.cluster.receive();
            let heard =
                heard.map_err(|error| WorkerError::failed("listening to cluster", error))?;
            match (heard, &mut self.mirror) {
                (None, _) => break,
                (
                    Some(ClusterToSync::Role {
                        active,
                        term,
                        links_up,
                    }),
                    Some(mirror),
                ) => {
                    mirror.ways.set_links_up(links_up);
                    mirror.set_role(now(), active, term);
                }
                (Some(ClusterToSync::Role { .. }), None) => {}
                (Some(ClusterToSync::Drain { term, planned }), mirror) => {
                    let mut mirror = mirror.as_mut();
                    if mirror
                        .as_mut()
                        .is_none_or(|it| it.drain(now(), term, planned))
                    {
                        self.say_drained(term);
                    }
                }
            }
        }
        Ok(())
    }

    fn say_drained(&mut self, term: u64) {
        let _ = self.wires.cluster.send(&SyncToCluster::Drained { term });
    }

    /// Tells the cluster worker how things stand, at once where that changed.
    fn beat(&mut self) {
        let at = now();
        self.look_for_room(at);
        let in_sync = self
            .mirror
            .as_ref()
            .is_none_or(|mirror| mirror.engine.in_sync());
        if in_sync == self.told_in_sync && at < self.beat_at {
            return;
        }
        self.say(at, in_sync);
        if let Some(mirror) = &mut self.mirror {
            mirror.meter.look(at, &mirror.engine.status(instant(at)));
        }
        // A full lifeline means that PID 1 hangs.
        let _ = self.wires.lifeline.send(&FromWorker::Alive);
        let (here, there) = self.mirror.as_ref().map_or((0, None), Mirror::counts);
        let said = self.wires.cluster.send(&SyncToCluster::State {
            in_sync,
            here,
            there,
        });
        self.told_in_sync = in_sync && said.is_ok();
        self.beat_at = at.saturating_add(BEAT);
    }

    fn look_for_room(&mut self, at: Duration) {
        if at < self.room_at {
            return;
        }
        self.room_at = at.saturating_add(BEAT);
        if let Some(news) = self.room.look() {
            news.say();
        }
        if let Some(mirror) = self.mirror.as_mut().filter(|_| self.room.has_some()) {
            mirror.ask_again();
        }
    }

    /// Each change of roles has a moment in which the boxes compare: that is no news.
    fn say(&mut self, now: Duration, in_sync: bool) {
        if in_sync {
            self.in_sync_at = Some(now);
        }
        let lasts = self
            .in_sync_at
            .is_some_and(|at| now.saturating_sub(at) < NEWS_AFTER);
        if lasts == self.said_in_sync || self.mirror.is_none() {
            return;
        }
        self.said_in_sync = lasts;
        match lasts {
            true => log::info!("in sync: both boxes hold all connections"),
            false => log::warn!("not in sync any more: see `status`"),
        }
    }

    fn hear_control(&mut self) -> Result<(), WorkerError> {
        for _ in 0..TURN_MESSAGES_MAX {
            let heard = self.wires.control.receive();
            let heard =
                heard.map_err(|error| WorkerError::failed("listening to control", error))?;
            let Some(ControlToSync { request }) = heard else {
                break;
            };
            let status = Box::new(self.status());
            let _ = self.wires.control.send(&SyncToControl { request, status });
        }
        Ok(())
    }

    fn status(&self) -> SyncStatus {
        let status = match &self.mirror {
            Some(mirror) => mirror.status(now()),
            None => SyncStatus {
                failure: self.failure.clone(),
                ..SyncStatus::default()
            },
        };
        SyncStatus {
            table: self.room.status(),
            ..status
        }
    }
}
