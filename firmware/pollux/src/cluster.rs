//! The cluster worker: heartbeats, failover, virtual addresses and their announcement. It runs at real-time
//! priority in locked memory, so nothing slow may be done here and its loop allocates nothing while nothing
//! changes. What to do is proto's decision; this only moves bytes, time and addresses.
//!
//! Restarted, it leaves the virtual addresses of its predecessor where they are: proto listens first, and
//! then either takes them over as they stand or has them released, whichever the peer's beats call for.

mod addresses;
mod bearers;
mod burst;
mod change;
mod links;
mod orders;
mod placement;
mod report;
mod rivals;
mod settings;
mod status;
mod sync;
mod talk;
mod turn;

use crate::clock::{micros, now};
use crate::ipc::{
    Channel, ClusterToControl, ClusterToDataplane, ControlToCluster, Custodian, DataplaneToCluster,
    FromWorker, ToWorker, Wire,
};
use crate::worker::{WorkerContext, WorkerError};
use addresses::Addresses;
use burst::Burst;
use core::time::Duration;
use links::HeartbeatLink;
use plan::config::Config;
use proto::failover::Role;
use proto::node::Node;
use proto::settings::ConfigVersion;
use proto::time::Instant;
use report::Names;
use sync::Sync;
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

/// Runs until PID 1 says stop or a failure that only a restart can mend.
pub fn run(mut context: WorkerContext) -> Result<(), WorkerError> {
    let version = ConfigVersion {
        generation: context.generation,
        digest: context.digest,
    };
    let settings = settings::settings(&context.config, context.node, version)
        .map_err(|mismatch| WorkerError::Config(mismatch.to_string()))?;
    let incarnation = incarnation()?;
    let sync = Sync::new(context.wire(Wire::ClusterSync)?);
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
        node: Node::new(instant(now()), settings, incarnation),
        fitness: addresses.fitness(),
        addresses,
        burst: if config.virtual_mac {
            Burst::that_goes_on()
        } else {
            Burst::default()
        },
        hush: Burst::default(),
        names,
        wires,
        sync,
        waiting: None,
        stood: None,
        custodian: Custodian::default(),
        resigning: Resigning::No,
        alive_at: Duration::ZERO,
        position: node,
        config,
    };
    hurry();
    worker.start();
    while worker.turn()? {}
    worker.addresses.leave();
    Ok(())
}

/// A number that no other start of this box has had. The wall clock is in it because early in boot two
/// starts of one machine could draw the same.
fn incarnation() -> Result<u64, WorkerError> {
    let mut drawn = [0; 8];
    sys::random::fill(&mut drawn)
        .map_err(|error| WorkerError::failed("drawing an incarnation", error))?;
    Ok(u64::from_le_bytes(drawn) ^ sys::clock::wall_us())
}

/// The same time as proto's node reckons it.
fn instant(at: Duration) -> Instant {
    Instant::from_micros(micros(at))
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
    /// The twin is to have all connections first.
    Waiting {
        until: Duration,
    },
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
    /// As the node was told it last.
    fitness: u8,
    burst: Burst,
    /// What is left unsent after a release is dropped as often as the winner announces: whoever missed that so far
    /// still has answers pass through here.
    hush: Burst,
    names: Names,
    wires: Wires,
    sync: Sync,
    /// An order of the operator's.
    waiting: Option<orders::Waiting>,
    /// Role and readiness as PID 1 was told them last.
    stood: Option<(Role, bool)>,
    /// As the dataplane was told last.
    custodian: Custodian,
    resigning: Resigning,
    alive_at: Duration,
}
