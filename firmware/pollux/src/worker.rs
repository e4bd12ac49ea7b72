//! What every worker starts from: its config, its wires and its logger, all handed over by PID 1 in
//! argv (see `arguments`). Nothing here does the worker's work.

use crate::arguments::Arguments;
use crate::ipc::{Channel, FromWorker, ToWorker, Wire, WorkerKind};
use crate::log_pipe::LogPipe;
use crate::place::Place;
use crate::{cluster, console, control, dataplane, health, sync};
use core::fmt;
use plan::Image;
use plan::config::{Config, LogLevel};
use serde::{Serialize, de::DeserializeOwned};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Messages taken from one wire in one turn of a worker's loop: a sender gone wild keeps nobody from the
/// rest of its work.
pub const TURN_MESSAGES_MAX: usize = 64;

/// What a worker is given.
pub struct WorkerContext {
    /// The config of the pair; valid.
    pub config: Config,
    /// Its generation.
    pub generation: u64,
    /// First bytes of its digest.
    pub digest: u64,
    /// This box: index into `Config::nodes`.
    pub node: usize,
    /// Where it works.
    pub place: Place,
    /// To PID 1.
    pub lifeline: Channel<FromWorker, ToWorker>,
    /// To the other workers; `wire` takes one out.
    pub wires: Vec<(Wire, OwnedFd)>,
}

/// Why a worker ended before it was told to. PID 1 logs it and starts it again.
#[derive(Debug)]
pub enum WorkerError {
    /// argv is not what PID 1 writes: names what is missing or wrong.
    Arguments(&'static str),
    /// The image at the config's path can't be read.
    Config(String),
    /// The wire was not handed over, or not usable.
    Wire(Wire),
    /// Something failed that this worker can't live without.
    Failed {
        /// What was attempted (`binding udp port 694 on sync`).
        attempted: String,
        /// What came of it.
        reason: String,
    },
}

impl WorkerError {
    /// `attempted` and the reason it failed.
    pub fn failed(attempted: impl Into<String>, reason: impl fmt::Display) -> Self {
        WorkerError::Failed {
            attempted: attempted.into(),
            reason: reason.to_string(),
        }
    }
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkerError::Arguments(what) => {
                write!(f, "reading arguments: {what}; workers are started by PID 1")
            }
            WorkerError::Config(why) => write!(f, "reading config: {why}"),
            WorkerError::Wire(wire) => {
                write!(f, "taking wire {}: not handed over by PID 1", wire.name())
            }
            WorkerError::Failed { attempted, reason } => write!(f, "{attempted}: {reason}"),
        }
    }
}

impl WorkerContext {
    /// Takes this worker's end of a wire; each can be taken once.
    pub fn wire<Tx: Serialize, Rx: DeserializeOwned>(
        &mut self,
        wire: Wire,
    ) -> Result<Channel<Tx, Rx>, WorkerError> {
        let position = self
            .wires
            .iter()
            .position(|(name, _)| *name == wire)
            .ok_or(WorkerError::Wire(wire))?;
        let (_, fd) = self.wires.swap_remove(position);
        Channel::new(fd).map_err(|_| WorkerError::Wire(wire))
    }
}

/// Runs the worker that argv describes.
pub fn run(arguments: Arguments) -> Result<(), WorkerError> {
    let kind = arguments.kind;
    if kind == WorkerKind::Console {
        start_logger(LogLevel::Info);
        let (lifeline, _) = take_wires(arguments.wires)?;
        return console::run(lifeline);
    }
    let context = context(arguments)?;
    start_logger(context.config.console.log_level);
    wait_at_gate();
    match kind {
        WorkerKind::Cluster => cluster::run(context),
        WorkerKind::Dataplane => dataplane::run(context),
        WorkerKind::Sync => sync::run(context),
        WorkerKind::Health => health::run(context),
        WorkerKind::Control => control::run(context),
        WorkerKind::Console => Ok(()),
    }
}

/// PID 1 keeps standard input open for as long as a newer config may be found; a failure to read it is no
/// reason to do nothing.
fn wait_at_gate() {
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}

/// The config that PID 1 put there.
pub fn read_image(path: &Path) -> Result<Image, WorkerError> {
    let wrong = |why: &dyn fmt::Display| WorkerError::Config(format!("{}: {why}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| wrong(&error))?;
    plan::image::decode(&bytes).map_err(|error| wrong(&error))
}

fn context(arguments: Arguments) -> Result<WorkerContext, WorkerError> {
    let path = arguments.place.config();
    let name = arguments
        .node
        .ok_or(WorkerError::Arguments("--node is missing"))?;
    let wrong = |why: &dyn fmt::Display| WorkerError::Config(format!("{}: {why}", path.display()));
    let image = read_image(&path)?;
    let node = image.config.node_index(&name);
    let node = node.ok_or_else(|| wrong(&format_args!("knows no node {name}")))?;
    let (lifeline, wires) = take_wires(arguments.wires)?;
    Ok(WorkerContext {
        config: needed(arguments.kind, image.config),
        generation: image.generation,
        digest: image.digest,
        node,
        place: arguments.place,
        lifeline,
        wires,
    })
}

/// What a worker has to know of the config: rules and sets may take more memory than all else of it.
fn needed(kind: WorkerKind, mut config: Config) -> Config {
    match kind {
        WorkerKind::Dataplane | WorkerKind::Control => {}
        WorkerKind::Cluster | WorkerKind::Sync | WorkerKind::Health | WorkerKind::Console => {
            config.firewall.rules = Vec::new();
            config.firewall.sets = Vec::new();
        }
    }
    config
}

/// A worker's wire to PID 1.
pub type Lifeline = Channel<FromWorker, ToWorker>;

/// Whether PID 1 said stop; for workers that live by a new config only as far as they are started anew for it.
pub fn is_to_stop(lifeline: &mut Lifeline) -> Result<bool, WorkerError> {
    let heard = lifeline.receive();
    let heard = heard.map_err(|error| WorkerError::failed("listening to init", error))?;
    if let Some(ToWorker::Config(news)) = heard {
        set_log_level(news.log_level);
    }
    Ok(heard == Some(ToWorker::Stop))
}

/// From now on nothing less severe is logged.
pub fn set_log_level(level: LogLevel) {
    log::set_max_level(match level {
        LogLevel::Error => log::LevelFilter::Error,
        LogLevel::Warn => log::LevelFilter::Warn,
        LogLevel::Info => log::LevelFilter::Info,
        LogLevel::Debug => log::LevelFilter::Debug,
    });
}

fn take_wires(numbers: Vec<(Wire, i32)>) -> Result<(Lifeline, Vec<(Wire, OwnedFd)>), WorkerError> {
    let mut lifeline = None;
    let mut wires = Vec::new();
    for (wire, number) in numbers {
        let fd = sys::process::inherited(number).map_err(|_| WorkerError::Wire(wire))?;
        match wire {
            Wire::Lifeline => lifeline = Channel::new(fd).ok(),
            _ => wires.push((wire, fd)),
        }
    }
    Ok((lifeline.ok_or(WorkerError::Wire(Wire::Lifeline))?, wires))
}

/// Sends `log`'s macros to stderr, which is a pipe to PID 1's log ring: one `[LEVEL] text` a line. No
/// worker ever waits for room there.
fn start_logger(level: LogLevel) {
    let off = log::LevelFilter::Off;
    let format = simplelog::ConfigBuilder::new()
        .set_time_level(off)
        .set_thread_level(off)
        .set_target_level(off)
        .set_location_level(off)
        .build();
    // Fails only where a logger is set already, which then serves as well.
    let all = log::LevelFilter::Debug;
    let _ = simplelog::WriteLogger::init(all, format, LogPipe::new(std::io::stderr()));
    set_log_level(level);
}
