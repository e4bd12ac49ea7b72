//! How the processes of a box talk: every wire, the messages on it and who may drop what. A wire is a
//! SOCK_SEQPACKET pair that PID 1 makes before it starts anyone and keeps open at both ends, so a
//! worker that comes back finds its wires as they were, unread messages included, and nobody has to
//! reconnect. Message enums are internal to one binary: both ends are always the same build.

pub mod channel;
pub mod control;

pub use channel::{Channel, SendError};
use control::tables::{ConnectionQuery, ConnectionReport, FirewallPage};
use control::{ClusterStatus, LogLine, RefusedReload, ServicePage, SyncStatus, WorkerStatus};
use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use plan::config::{LogLevel, Service};
use serde::{Deserialize, Serialize};
use std::hash::{DefaultHasher, Hash, Hasher};

/// What a worker process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum WorkerKind {
    /// Heartbeats, failover, virtual addresses.
    Cluster,
    /// Brings the kernel to what the config says.
    Dataplane,
    /// Keeps connections in both kernels.
    Sync,
    /// Checks real servers.
    Health,
    /// Serves `/run/pollux/control`.
    Control,
    /// The operator's side of one tty.
    Console,
}

impl WorkerKind {
    /// As in argv and in the log.
    pub fn name(self) -> &'static str {
        match self {
            WorkerKind::Cluster => "cluster",
            WorkerKind::Dataplane => "dataplane",
            WorkerKind::Sync => "sync",
            WorkerKind::Health => "health",
            WorkerKind::Control => "control",
            WorkerKind::Console => "console",
        }
    }

    /// Whether its main loop says that it turns. One that falls silent is killed and started again.
    pub fn gives_signs_of_life(self) -> bool {
        self.is_vital() || self == WorkerKind::Sync
    }

    /// Whether the hardware watchdog must bite when it hangs: what the pair's promise hangs on.
    pub fn is_vital(self) -> bool {
        matches!(self, WorkerKind::Cluster | WorkerKind::Dataplane)
    }
}

impl fmt::Display for WorkerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for WorkerKind {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let all = [
            WorkerKind::Cluster,
            WorkerKind::Dataplane,
            WorkerKind::Sync,
            WorkerKind::Health,
            WorkerKind::Control,
            WorkerKind::Console,
        ];
        all.into_iter().find(|kind| kind.name() == name).ok_or(())
    }
}

/// A wire between two workers, or between a worker and PID 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Each worker's own to PID 1: `FromWorker`, `ToWorker`.
    Lifeline,
    /// `ClusterToDataplane`, `DataplaneToCluster`.
    ClusterDataplane,
    /// `ClusterToControl`, `ControlToCluster`.
    ClusterControl,
    /// `DataplaneToControl`, `ControlToDataplane`.
    DataplaneControl,
    /// `HealthToDataplane`, `DataplaneToHealth`.
    HealthDataplane,
    /// `ClusterToSync`, `SyncToCluster`.
    ClusterSync,
    /// `SyncToControl`, `ControlToSync`.
    SyncControl,
}

impl Wire {
    /// The wires between workers, each with its two ends.
    pub const BETWEEN_WORKERS: [(Wire, WorkerKind, WorkerKind); 6] = [
        (
            Wire::ClusterDataplane,
            WorkerKind::Cluster,
            WorkerKind::Dataplane,
        ),
        (
            Wire::ClusterControl,
            WorkerKind::Cluster,
            WorkerKind::Control,
        ),
        (
            Wire::DataplaneControl,
            WorkerKind::Dataplane,
            WorkerKind::Control,
        ),
        (
            Wire::HealthDataplane,
            WorkerKind::Health,
            WorkerKind::Dataplane,
        ),
        (Wire::ClusterSync, WorkerKind::Cluster, WorkerKind::Sync),
        (Wire::SyncControl, WorkerKind::Sync, WorkerKind::Control),
    ];

    /// As in `--wire NAME=FD`.
    pub fn name(self) -> &'static str {
        match self {
            Wire::Lifeline => "lifeline",
            Wire::ClusterDataplane => "cluster-dataplane",
            Wire::ClusterControl => "cluster-control",
            Wire::DataplaneControl => "dataplane-control",
            Wire::HealthDataplane => "health-dataplane",
            Wire::ClusterSync => "cluster-sync",
            Wire::SyncControl => "sync-control",
        }
    }
}

impl FromStr for Wire {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let between = Self::BETWEEN_WORKERS.iter().map(|(wire, ..)| *wire);
        between
            .chain([Wire::Lifeline])
            .find(|wire| wire.name() == name)
            .ok_or(())
    }
}

/// Worker to PID 1. A full lifeline means PID 1 hangs; `Alive` may be dropped, all else is sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromWorker {
    /// From the main loop of a worker that gives signs of life, at least once a second: it still turns.
    Alive,
    /// Cluster, at its first stable role and whenever one of these changes: PID 1 prints
    /// `standby, ready` and the like, whatever the log level.
    Standing {
        /// The role's name: `standby`, `active`.
        role: String,
        /// The dataplane holds its plan, so this box can take over.
        ready: bool,
    },
    /// Cluster, in answer to `Resign`: this box holds no virtual address any more, and the peer took
    /// over if there is one.
    Resigned,
    /// Control: a question or command for PID 1, answered with the same number.
    Ask(u32, Ask),
    /// Console: it prints log lines from here on; PID 1 stops writing to that tty and sends them.
    Attached,
    /// Dataplane, in answer to `Try`.
    Tried {
        /// As in the question.
        digest: u64,
        /// Why the config before it stays in force; `None`: the new one is.
        refusal: Option<String>,
    },
}

/// What control asks of PID 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// The workers.
    Workers,
    /// Log lines from this sequence number on, as many as fit a message.
    Log {
        /// First sequence number wanted; older lines that are gone are passed over.
        from: u64,
    },
    /// Kill the worker of this name; it starts again.
    Restart(String),
    /// Resign, stop, reboot. Answered with `Answer::Done` once it has begun.
    Reboot,
    /// Resign, stop, power off. Answered with `Answer::Done` once it has begun.
    PowerOff,
    /// Read the config again and live by it. Answered when it is in force, or will not be.
    Reload,
}

/// A box that is to go waits for its twin to have all connections, and no longer than this: a box that has just
/// rejoined is told of 300,000 in less.
pub const RESIGN_SYNC_WAIT: Duration = Duration::from_secs(5);

/// PID 1 to worker. `LogLine` is dropped where a console does not keep up (it says how many are
/// missing by the sequence numbers); all else is sent again on the next turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Cluster: hand over to the peer and hold no virtual address; answer `Resigned`. The peer is to have all
    /// connections first, for which that waits no longer than `RESIGN_SYNC_WAIT`.
    Resign,
    /// Return from `run` in good order.
    Stop,
    /// Control: the answer to `Ask` of that number.
    Answer(u32, Answer),
    /// Console: a line for people.
    LogLine(LogLine),
    /// Dataplane: put the config at `Place::next_config` in force if the kernel takes its ruleset; answer `Tried`.
    Try {
        /// Of that config.
        digest: u64,
    },
    /// The config at `Place::config` is another one, and differs in nothing that wants a restart of this worker.
    Config(ConfigNews),
}

/// What a worker that goes on under a new config is to know of it at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigNews {
    /// Its generation.
    pub generation: u64,
    /// First bytes of its digest.
    pub digest: u64,
    /// Least severe level that is logged.
    pub log_level: LogLevel,
}

/// What PID 1 answers control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The workers, in the order they were started.
    Workers {
        /// One per worker.
        workers: Vec<WorkerStatus>,
        /// Identity of the hardware watchdog, `None` where there is none.
        watchdog: Option<String>,
        /// The last reload, where it was refused.
        refused_reload: Option<RefusedReload>,
    },
    /// Log lines.
    Log {
        /// Ascending.
        lines: Vec<LogLine>,
        /// Sequence number that the next line will have.
        end: u64,
    },
    /// The command has begun.
    Done,
    /// It was not done: why, and what to do instead.
    Refused(String),
    /// It was done: what came of it.
    Said(String),
}

/// How the cluster worker looks after the virtual addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Custodian {
    /// It has heard out its links, so they are as it wants them. Until then those of a predecessor stand.
    pub settled: bool,
    /// Silence of this box after which its twin takes them over, in milliseconds; `None`: there is no twin.
    pub twin_waits_ms: Option<u64>,
}

/// Cluster to dataplane. Dropped when full: the next word comes soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClusterToDataplane {
    /// Cluster has (re)started: it wants to hear at once whether this box can take over.
    Started {
        /// Its process, for the dataplane to see it end.
        pid: u32,
    },
    /// Twice a second, and when it changes.
    Alive {
        /// As above.
        pid: u32,
        /// How it stands.
        custodian: Custodian,
    },
}

/// Dataplane to cluster. Sent again at every change and at least once a second, so a drop heals itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataplaneToCluster {
    /// Whether this box can take over.
    State {
        /// The kernel holds the plan.
        ready: bool,
    },
}

/// Control to cluster; answered with the same number. Dropped when full: control times out and says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlToCluster {
    /// Chosen by control.
    pub request: u32,
    /// What is wanted.
    pub what: ClusterRequest,
}

/// What control wants of the cluster worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClusterRequest {
    /// All it knows.
    Status,
    /// Hand over to the peer and stay standby.
    Standby {
        /// Whatever becomes of connections.
        force: bool,
    },
    /// Become active by planned handover.
    Takeover {
        /// Whatever becomes of connections.
        force: bool,
    },
}

/// Cluster to control. Dropped when full: control times out and says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterToControl {
    /// Number of the request.
    pub request: u32,
    /// Its outcome.
    pub answer: ClusterAnswer,
}

/// What the cluster worker answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClusterAnswer {
    /// All it knows.
    Status(Box<ClusterStatus>),
    /// The command was accepted; the log tells how it went.
    Accepted,
    /// It was accepted and waits: for what, and how not to.
    Waits(String),
    /// It was not: why, and what to do instead.
    Refused(String),
}

/// Control to dataplane; answered with the same number. Dropped when full: control times out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlToDataplane {
    /// Chosen by control.
    pub request: u32,
    /// What is wanted.
    pub what: DataplaneRequest,
}

/// What control wants of the dataplane worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataplaneRequest {
    /// Services as the kernel holds them.
    Services {
        /// Position of the first one wanted.
        from: u16,
    },
    /// The ruleset in force.
    Firewall {
        /// Position of the first line wanted.
        from: u32,
    },
    /// Connections as the kernel tracks them.
    Connections(ConnectionQuery),
}

/// Dataplane to control. Dropped when full: control times out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataplaneToControl {
    /// Number of the request.
    pub request: u32,
    /// As the kernel holds it, or why it can't be read.
    pub answer: Result<DataplaneAnswer, String>,
}

/// What the dataplane worker answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataplaneAnswer {
    /// To `Services`.
    Services(ServicePage),
    /// To `Firewall`.
    Firewall(FirewallPage),
    /// To `Connections`.
    Connections(Box<ConnectionReport>),
}

/// Names the services that a health worker was started with: after a reload verdicts of the one before may still
/// lie in the wire.
pub fn checks_tag(services: &[Service]) -> u64 {
    let mut hasher = DefaultHasher::new();
    // Services that were decoded can be encoded.
    let bytes = postcard::to_allocvec(services);
    bytes.unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

/// Health to dataplane. A verdict that found no room is sent again on the next turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthToDataplane {
    /// Health has (re)started and waits for `DataplaneToHealth::Begin`.
    Started,
    /// At every change; all of them after `DataplaneToHealth::Begin`.
    Verdict {
        /// Index into `Config::services`.
        service: u16,
        /// Index into its `servers`.
        server: u16,
        /// It takes clients.
        up: bool,
        /// By `checks_tag` of these services.
        checks: u64,
    },
}

/// Dataplane to health. Sent once in each start of either; the wire is all but empty then, so it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataplaneToHealth {
    /// Servers can be reached: send every verdict that is known, check the others at once.
    Begin,
}

/// Cluster to sync. `Role` is dropped when full, for it comes again; `Drain` then is not waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClusterToSync {
    /// Twice a second, and when it changes.
    Role {
        /// This box holds the addresses, so its kernel owns the connections.
        active: bool,
        /// Term in which it does; else the newest one known.
        term: u64,
        /// Links that are up: bit n for position n in `Config::links`.
        links_up: u8,
    },
    /// This box is about to take the addresses: what the twin has sent is to be in the kernel first.
    /// Answered with `SyncToCluster::Drained`.
    Drain {
        /// Term of the takeover.
        term: u64,
        /// The twin holds the addresses until they are taken: it is asked for what it has not sent yet.
        planned: bool,
    },
}

/// Sync to cluster. Dropped when full: `State` comes again, and nobody waits long for `Drained`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SyncToCluster {
    /// Twice a second, and when it changes.
    State {
        /// This box's kernel holds the connections that go through the twin, or there is no network to send
        /// them over.
        in_sync: bool,
        /// Connections in this box's kernel.
        here: u64,
        /// Those in the twin's, as it said last; `None`: it is not heard.
        there: Option<u64>,
    },
    /// The kernel holds what the twin has sent.
    Drained {
        /// As in the order.
        term: u64,
    },
}

/// Control to sync; answered with the same number. Dropped when full: control times out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlToSync {
    /// Chosen by control.
    pub request: u32,
}

/// Sync to control. Dropped when full: control times out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncToControl {
    /// Number of the request.
    pub request: u32,
    /// How the connections stand.
    pub status: Box<SyncStatus>,
}
