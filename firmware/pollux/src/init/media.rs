//! The media of a box: which devices there are, by the kernel's list at boot and its events from then on,
//! and the search through them.

use super::failure::Failure;
use super::search::Search;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;
use sys::uevent::{Uevent, Uevents};

/// What the kernel tells of devices, and what was found on them.
pub struct Media {
    uevents: Uevents,
    /// What the probes find.
    pub search: Search,
}

impl Media {
    /// Begins to look at every device there is. Returns also what went wrong, in sentences.
    pub fn open(now: Instant) -> Result<(Self, Vec<String>), Failure> {
        let mut media = Media {
            // Before the devices are listed, so that none falls between.
            uevents: Uevents::open()?,
            search: Search::new(now),
        };
        let problems = media.look_at_all(now);
        Ok((media, problems))
    }

    /// Takes in what the kernel and the probes tell. Returns what went wrong.
    pub fn turn(&mut self, now: Instant) -> Vec<String> {
        self.search.drain();
        let mut problems = self.read_uevents(now);
        for device in self.search.take_outdated() {
            problems.extend(self.look_at(now, &device));
        }
        problems
    }

    fn read_uevents(&mut self, now: Instant) -> Vec<String> {
        let mut problems = Vec::new();
        // An error other than an overrun does not happen; the next turn asks again.
        while let Ok(Some(Uevent {
            action,
            subsystem,
            device,
        })) = self.uevents.next()
        {
            match (action.as_str(), subsystem.as_str()) {
                ("overrun", _) => problems.extend(self.look_at_all(now)),
                ("add" | "change", "block") if may_be_medium(&device) => {
                    problems.extend(self.look_at(now, &device));
                }
                _ => {}
            }
        }
        problems
    }

    /// Begins to look at every device again. Returns what went wrong.
    pub fn look_at_all(&mut self, now: Instant) -> Vec<String> {
        match sys::block::list() {
            Ok(devices) => devices
                .iter()
                .filter_map(|device| self.look_at(now, &device.name))
                .collect(),
            Err(error) => vec![error.to_string()],
        }
    }

    fn look_at(&mut self, now: Instant, device: &str) -> Option<String> {
        let failed = self.search.look_at(now, device).err();
        failed.map(|error| format!("looking at {device}: {error}"))
    }
}

impl AsFd for Media {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.uevents.as_fd()
    }
}

/// Not one of those that the kernel makes of memory or of other devices.
fn may_be_medium(device: &str) -> bool {
    let never = ["ram", "loop", "zram", "nbd", "dm-"];
    !device.is_empty() && !never.iter().any(|kind| device.starts_with(kind))
}
