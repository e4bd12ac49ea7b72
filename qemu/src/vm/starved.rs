//! A box whose host gives it the processor for a part of the time only, as an overbooked hypervisor does: its QEMU
//! is stopped and continued by signals, in a steady rhythm.

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The rhythm.
#[derive(Debug, Clone, Copy)]
pub struct Ration {
    /// How long it may run.
    pub run: Duration,
    /// How long it then stands still.
    pub stop: Duration,
}

/// Runs again at full speed when this is dropped.
#[derive(Debug)]
pub struct Starved {
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Starved {
    /// Starts the rhythm for a process, which must outlive this.
    pub fn start(process: u32, ration: Ration) -> Result<Self> {
        let pid = Pid::from_raw(i32::try_from(process).context("a process number")?);
        let (alive, ended) = mpsc::channel::<()>();
        let builder = thread::Builder::new().name("starve".into());
        let thread = builder.spawn(move || {
            let goes_on = |span| ended.recv_timeout(span) == Err(RecvTimeoutError::Timeout);
            // A process that is gone needs no signals.
            while goes_on(ration.run) && kill(pid, Signal::SIGSTOP).is_ok() {
                let is_starved = goes_on(ration.stop);
                let _ = kill(pid, Signal::SIGCONT);
                if !is_starved {
                    break;
                }
            }
        })?;
        Ok(Starved {
            alive: Some(alive),
            thread: Some(thread),
        })
    }
}

impl Drop for Starved {
    fn drop(&mut self) {
        drop(self.alive.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to fail with.
            let _ = thread.join();
        }
    }
}
