//! What those who start and judge flows share with the engine that carries them: the table of what happened, and
//! errands, which wake the engine at once.

use super::table::Table;
use crate::timeline::lock;
use anyhow::{Context, Result};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::net::{TcpStream, UdpSocket};
use std::sync::{Condvar, Mutex};

/// What the engine is told to do, beside sending and checking.
#[derive(Debug)]
pub enum Errand {
    /// Carry the calling end of the flow of that index; it sends as soon as it is connected.
    Call(TcpStream, usize),
    /// Carry the asking end of the stream of datagrams of that index.
    Ask(UdpSocket, usize),
    /// Let those that rest say something now.
    Wake,
    /// Bring all flows to an orderly end.
    Finish,
    /// Leave everything as it is.
    Stop,
}

/// See the module.
#[derive(Debug)]
pub struct Shared {
    /// What is known of all flows.
    pub table: Mutex<Table>,
    /// The table has changed.
    pub changed: Condvar,
    errands: Mutex<Vec<Errand>>,
    bell: EventFd,
}

impl Shared {
    /// An empty table, and nothing to do.
    pub fn new() -> Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Shared {
            table: Mutex::default(),
            changed: Condvar::new(),
            errands: Mutex::default(),
            bell: EventFd::from_flags(flags).context("making an eventfd")?,
        })
    }

    /// Gives the engine something to do.
    pub fn tell(&self, errand: Errand) {
        lock(&self.errands).push(errand);
        // It is full only where it has been rung 2^64 times: rung it is.
        let _ = self.bell.write(1);
    }

    /// All that the engine has been told since it asked last.
    pub fn errands(&self) -> Vec<Errand> {
        std::mem::take(&mut lock(&self.errands))
    }

    /// Readable when there are errands.
    pub fn bell(&self) -> &EventFd {
        &self.bell
    }

    /// Ends the ringing, before errands are asked for.
    pub fn hush(&self) -> Result<()> {
        self.bell
            .read()
            .map(drop)
            .context("reading from an eventfd")
    }
}
