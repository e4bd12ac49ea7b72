//! What every worker starts from: its config, its wires and its logger, all handed over by PID 1 in
//! argv (`pollux worker ROLE --node NAME --config PATH --wire NAME=FD …`). Nothing here does the
//! worker's work.

use crate::ipc::{Channel, FromWorker, ToWorker, Wire};
use core::fmt;
use plan::config::{Config, LogLevel};
use serde::{Serialize, de::DeserializeOwned};
use std::os::fd::OwnedFd;

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

/// Sends `log`'s macros to stderr, which is a pipe to PID 1's log ring: one `[LEVEL] text` a line.
pub fn start_logger(level: LogLevel) {
    let filter = match level {
        LogLevel::Error => log::LevelFilter::Error,
        LogLevel::Warn => log::LevelFilter::Warn,
        LogLevel::Info => log::LevelFilter::Info,
        LogLevel::Debug => log::LevelFilter::Debug,
    };
    let off = log::LevelFilter::Off;
    let format = simplelog::ConfigBuilder::new()
        .set_time_level(off)
        .set_thread_level(off)
        .set_target_level(off)
        .set_location_level(off)
        .build();
    // Fails only where a logger is set already, which then serves as well.
    let _ = simplelog::WriteLogger::init(filter, format, std::io::stderr());
}
