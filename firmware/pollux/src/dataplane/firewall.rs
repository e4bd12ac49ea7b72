//! The ruleset in the kernel: put in force as a whole or not at all. What is in force is known by the generation
//! that the kernel gave to our last batch: with another one somebody else has been at it. A ruleset that the
//! kernel refuses leaves the one before in force; where there is none, nothing may pass.

use crate::ipc::FromWorker;
use crate::worker::Lifeline;
use plan::firewall::{TABLE, closed};
use plan::ruleset::Ruleset;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use sys::netlink::{Error, Netlink, Notifications, Protocol, Received};

/// While a ruleset is loaded PID 1 hears as often that this worker lives, and no longer than that: on a slow box it
/// takes seconds, all of them in one system call.
const BEAT: Duration = Duration::from_millis(500);
const BEATS_MAX: usize = 120;

/// What this worker knows of the kernel's ruleset.
pub struct Firewall {
    socket: Netlink,
    lifeline: Lifeline,
    /// Tables of others come and go: as long as ours is there, that is no reason to load it again.
    is_guest: bool,
    in_force: Option<InForce>,
    /// Tells of changes; `None` where the kernel has no nf_tables, and during our own loads.
    changes: Option<Notifications>,
    /// Something may have changed while nobody listened.
    has_missed: bool,
}

struct InForce {
    ruleset: Arc<Ruleset>,
    generation: u32,
}

impl Firewall {
    /// Knows nothing yet of what the kernel holds.
    pub fn open(is_guest: bool, lifeline: Lifeline) -> Result<Self, Error> {
        Ok(Firewall {
            socket: Netlink::open(Protocol::Netfilter)?,
            lifeline,
            is_guest,
            in_force: None,
            changes: listen(),
            has_missed: false,
        })
    }

    /// Readable when rulesets have changed.
    pub fn changes(&self) -> Option<BorrowedFd<'_>> {
        self.changes.as_ref().map(AsFd::as_fd)
    }

    /// Takes all that waits. Returns whether anything changed.
    pub fn drain(&mut self) -> bool {
        let mut changed = core::mem::take(&mut self.has_missed);
        if let Some(changes) = &mut self.changes {
            let generation = netlink::nftables::decode_generation;
            let received = changes.receive(generation, |_| changed = true);
            changed |= received != Ok(Received::All);
        }
        changed
    }

    /// The ruleset in force; `None` while this worker has loaded none, or somebody changed it.
    pub fn in_force(&mut self) -> Option<&Arc<Ruleset>> {
        let known = self.in_force.as_ref()?.generation;
        let generation = self.socket.generation().ok();
        let is_touched = generation != Some(known);
        if is_touched && !(self.is_guest && self.stands()) {
            self.in_force = None;
        }
        let in_force = self.in_force.as_mut()?;
        in_force.generation = generation?;
        Some(&in_force.ruleset)
    }

    /// Lets PID 1 know, before and after what takes long.
    pub fn say_alive(&mut self) {
        // Should PID 1 not keep up, it has heard enough.
        let _ = self.lifeline.send(&FromWorker::Alive);
    }

    /// Puts a ruleset in force in the place of ours.
    pub fn load(&mut self, ruleset: &Arc<Ruleset>) -> Result<(), Error> {
        match self.replace(ruleset) {
            Err(error) if !self.stands() => {
                self.replace(&Arc::new(closed()))?;
                Err(error)
            }
            outcome => outcome,
        }
    }

    /// Whether the kernel holds a ruleset of ours.
    pub fn stands(&mut self) -> bool {
        self.socket.holds_ruleset(is_ours).unwrap_or(false)
    }

    fn replace(&mut self, ruleset: &Arc<Ruleset>) -> Result<(), Error> {
        // To whoever listens the kernel tells of each element, in a message of kilobytes that it keeps until all is in
        // force: a large set would take all memory.
        self.changes = None;
        let socket = &mut self.socket;
        let loaded = alive(&mut self.lifeline, || socket.load(ruleset, is_ours));
        self.changes = listen();
        self.has_missed = true;
        let generation = loaded?;
        let ruleset = Arc::clone(ruleset);
        self.in_force = Some(InForce {
            ruleset,
            generation,
        });
        Ok(())
    }
}

fn listen() -> Option<Notifications> {
    Notifications::open(Protocol::Netfilter, &netlink::nftables::GROUPS).ok()
}

/// Has a thread do what takes long, and gives signs of life meanwhile.
fn alive<T: Send>(
    lifeline: &mut Lifeline,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    const ATTEMPT: &str = "starting a thread that loads the ruleset";
    thread::scope(|scope| {
        let (result, done) = mpsc::sync_channel(1);
        let work = move || result.send(work());
        thread::Builder::new()
            .spawn_scoped(scope, work)
            .map_err(|error| sys::Error::new(ATTEMPT, error.raw_os_error().unwrap_or(0)))?;
        for _ in 0..BEATS_MAX {
            match done.recv_timeout(BEAT) {
                Ok(result) => return result,
                // Should PID 1 not keep up, it has heard enough.
                Err(_) => drop(lifeline.send(&FromWorker::Alive)),
            }
        }
        done.recv().unwrap_or(Err(Error::NoAnswer(ATTEMPT)))
    })
}

/// Whether a table is ours, by its name.
pub fn is_ours(table: &str) -> bool {
    table == TABLE
}
