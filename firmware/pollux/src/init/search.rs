//! The search for a config medium: one probe per block device, all at once, at boot and whenever one is
//! plugged in. It says what it looked at and what was wrong, once nothing more is to be expected soon.

use super::failure::Failure;
use super::lines::Lines;
use super::medium::{Choice, Medium, choose};
use super::probe::FromProbe;
use crate::ipc::Channel;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use sys::process::{Spawn, Spawned, spawn};

/// Once a valid config is found, slower devices get this long to show a newer one. An empty floppy
/// drive takes seconds, and boot must not.
const GRACE: Duration = Duration::from_millis(300);

/// USB sticks show up a good second after we start: no complaint before.
const PATIENCE: Duration = Duration::from_secs(4);

/// Most devices looked at at once; more wait for a reboot.
const PROBES_MAX: usize = 32;

struct Probe {
    device: String,
    pid: i32,
    wire: Channel<(), FromProbe>,
    /// Its last words, should it fail.
    output: File,
    slots: Vec<(u8, Vec<u8>)>,
    rest: Option<Medium>,
}

/// The state of the search.
pub struct Search {
    started: Instant,
    probes: Vec<Probe>,
    /// By device; a medium that is changed replaces what was read before.
    media: BTreeMap<String, Medium>,
    found: Option<Instant>,
    reported: bool,
}

impl Search {
    /// Begins; devices follow by `look_at`.
    pub fn new(now: Instant) -> Self {
        Search {
            started: now,
            probes: Vec::new(),
            media: BTreeMap::new(),
            found: None,
            reported: false,
        }
    }

    /// Reads a device, unless that is under way.
    pub fn look_at(&mut self, device: &str) -> Result<(), Failure> {
        let known = self.probes.iter().any(|probe| probe.device == device);
        if known || self.probes.len() >= PROBES_MAX {
            return Ok(());
        }
        let (ours, theirs) = sys::socket::pair()?;
        let wire = Channel::new(ours).map_err(Failure::during("making a wire"))?;
        let Spawned { pid, output } = spawn(&Spawn {
            arguments: &["pollux", "probe", device, "3"],
            descriptors: &[(3, theirs.as_fd())],
            user: None,
            terminal: None,
            no_new_privileges: true,
        })?;
        self.probes.push(Probe {
            device: device.into(),
            pid,
            wire,
            output,
            slots: Vec::new(),
            rest: None,
        });
        Ok(())
    }

    /// Takes in what a probe found, if process `pid`, which has ended, was one.
    pub fn ended(&mut self, now: Instant, pid: i32) -> bool {
        let Some(position) = self.probes.iter().position(|probe| probe.pid == pid) else {
            return false;
        };
        let mut probe = self.probes.swap_remove(position);
        probe.drain();
        let medium = probe.rest.map(|rest| Medium {
            slots: probe.slots,
            ..rest
        });
        let medium = medium.unwrap_or_else(|| Medium {
            place: probe.device.clone(),
            problems: last_words(&mut probe.output),
            ..Medium::default()
        });
        self.media.insert(probe.device, medium);
        if self.found.is_none() && self.choice().selected.is_some() {
            self.found = Some(now);
        }
        // Something new: what is wrong with it is said again.
        self.reported = false;
        true
    }

    /// What was found, once it is time to decide.
    pub fn decide(&self, now: Instant) -> Option<Choice> {
        let found = self.found?;
        let waited = now.saturating_duration_since(found) >= GRACE;
        (waited || self.probes.is_empty()).then(|| self.choice())
    }

    /// What was wrong with everything, once, when it is time to complain.
    pub fn complaint(&mut self, now: Instant) -> Option<Vec<String>> {
        let early = now.saturating_duration_since(self.started) < PATIENCE;
        if self.reported || early || !self.probes.is_empty() || self.found.is_some() {
            return None;
        }
        self.reported = true;
        Some(self.choice().remarks)
    }

    /// When `decide` or `complaint` has something to say at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        match self.found {
            Some(found) => Some(found + GRACE),
            // A probe that ends wakes us anyway.
            None if !self.reported && self.probes.is_empty() => Some(self.started + PATIENCE),
            None => None,
        }
    }

    /// Judges all that was read so far.
    pub fn choice(&self) -> Choice {
        let media: Vec<Medium> = self.media.values().cloned().collect();
        choose(&media)
    }

    /// No probe is under way.
    pub fn is_idle(&self) -> bool {
        self.probes.is_empty()
    }

    /// Forgets what was read: it is decided.
    pub fn forget(&mut self) {
        self.media.clear();
        self.found = None;
    }

    /// Reads what probes have sent, so that none waits for room.
    pub fn drain(&mut self) {
        self.probes.iter_mut().for_each(Probe::drain);
    }
}

fn last_words(output: &mut File) -> Vec<String> {
    let (lines, _) = Lines::default().read(output);
    let mut words: Vec<String> = lines.into_iter().map(|(_, text)| text).collect();
    words.push("reading it failed: take another medium".into());
    words
}

impl Probe {
    fn drain(&mut self) {
        while let Ok(Some(message)) = self.wire.receive() {
            match message {
                FromProbe::Slot(slot, bytes) => self.slots.push((slot, bytes)),
                FromProbe::Rest(medium) => self.rest = Some(medium),
            }
        }
    }
}
