//! The search for a config medium: one probe per block device, all at once, at boot and whenever one is
//! plugged in. It says what it looked at and what was wrong, once nothing more is to be expected soon.

use super::failure::Failure;
use super::lines::Lines;
use super::medium::{Choice, Medium, best, judge};
use super::probe::FromProbe;
use crate::ipc::Channel;
use plan::image::IMAGE_BYTES_MAX;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use sys::process::{Spawn, Spawned, spawn};

/// Once a valid config is found, drives that are still being read get this long to show a newer one: a
/// floppy takes most of a second, and must win over an older config on the CD. Nothing waits for a drive
/// that has answered.
const GRACE: Duration = Duration::from_secs(2);

/// USB sticks show up a good second after we start: no complaint before.
const PATIENCE: Duration = Duration::from_secs(4);

/// A drive that has not answered by then hangs, or has a medium that makes it: no complaint waits for
/// it any longer.
const DRIVE_PATIENCE: Duration = Duration::from_secs(20);

/// Most devices looked at at once. Whatever comes beyond is passed over, which is said once.
const PROBES_MAX: usize = 32;

/// Images that are kept while it is not decided, in bytes: two of the largest. Whoever has that many large ones is
/// asked to take some away.
const KEPT_BYTES_MAX: usize = 2 * IMAGE_BYTES_MAX;

struct Probe {
    device: String,
    started: Instant,
    pid: i32,
    wire: Channel<(), FromProbe>,
    /// Its last words, should it fail.
    output: File,
    /// It puts the image here.
    file: File,
    /// That is there, and of which slot.
    slot: Option<u8>,
    rest: Option<Medium>,
    /// The device has changed since.
    outdated: bool,
}

/// The state of the search.
pub struct Search {
    started: Instant,
    probes: Vec<Probe>,
    /// By device; a medium that is changed replaces what was read before.
    media: BTreeMap<String, Choice>,
    found: Option<Instant>,
    /// Devices that have changed while they were read.
    outdated: Vec<String>,
    /// Something was read since `news` was asked for.
    changed: bool,
    /// That a device was passed over is said.
    told_of_many: bool,
    reported: bool,
    /// The box has a config: nothing more is complained of.
    settled: bool,
}

impl Search {
    /// Begins; devices follow by `look_at`.
    pub fn new(now: Instant) -> Self {
        Search {
            started: now,
            probes: Vec::new(),
            media: BTreeMap::new(),
            found: None,
            outdated: Vec::new(),
            changed: false,
            told_of_many: false,
            reported: false,
            settled: false,
        }
    }

    /// Reads a device; one that is being read is read again after that.
    pub fn look_at(&mut self, now: Instant, device: &str) -> Result<(), Failure> {
        if self.is_under_way(device) {
            return Ok(());
        }
        if self.probes.len() >= PROBES_MAX {
            return self.pass_over();
        }
        let (ours, theirs) = sys::socket::pair()?;
        let wire = Channel::new(ours).map_err(Failure::during("making a wire"))?;
        let file = sys::memory::shared_file()?;
        let Spawned { pid, output } = spawn(&Spawn {
            arguments: &["pollux", "probe", device, "3", "4"],
            descriptors: &[(3, theirs.as_fd()), (4, file.as_fd())],
            user: None,
            terminal: None,
            input: None,
            no_new_privileges: true,
        })?;
        self.probes.push(Probe {
            device: device.into(),
            started: now,
            pid,
            wire,
            output,
            file,
            slot: None,
            rest: None,
            outdated: false,
        });
        Ok(())
    }

    /// There is no room for another probe: says so of the first device alone.
    fn pass_over(&mut self) -> Result<(), Failure> {
        if core::mem::replace(&mut self.told_of_many, true) {
            return Ok(());
        }
        let why = format!(
            "{PROBES_MAX} drives and partitions are being read: \
             take away drives that hold no config, or plug it in again later"
        );
        Err(Failure::during("passed over for now")(why))
    }

    /// Whether the device is being read; what comes of that is out of date then.
    fn is_under_way(&mut self, device: &str) -> bool {
        let mut probes = self.probes.iter_mut();
        let probe = probes.find(|probe| probe.device == device);
        probe.map(|probe| probe.outdated = true).is_some()
    }

    /// Devices to be looked at again.
    pub fn take_outdated(&mut self) -> Vec<String> {
        core::mem::take(&mut self.outdated)
    }

    /// Takes in what a probe found, if process `pid`, which has ended, was one.
    pub fn ended(&mut self, now: Instant, pid: i32) -> bool {
        let Some(position) = self.probes.iter().position(|probe| probe.pid == pid) else {
            return false;
        };
        let mut probe = self.probes.swap_remove(position);
        probe.drain();
        if probe.outdated {
            self.outdated.push(probe.device.clone());
        }
        self.media.remove(&probe.device);
        let mut medium = judge(&probe.medium());
        self.bound(&mut medium);
        self.media.insert(probe.device, medium);
        self.changed = true;
        // A medium that took the place of the one found may hold nothing.
        let mut media = self.media.values();
        let found = media.any(|medium| medium.selected.is_some());
        self.found = found.then_some(self.found.unwrap_or(now));
        // Something new: what is wrong with it is said again.
        self.reported = false;
        true
    }

    /// Lets go of an image for which there is no room beside the others.
    fn bound(&self, medium: &mut Choice) {
        let size = |medium: &Choice| medium.selected.as_ref().map_or(0, |one| one.bytes.len());
        let kept_bytes: usize = self.media.values().map(size).sum();
        if kept_bytes + size(medium) > KEPT_BYTES_MAX
            && let Some(selected) = medium.selected.take()
        {
            let place = selected.place;
            let remark = format!(
                "{place}: passed over, other media hold large configs, too: take them away"
            );
            medium.remarks.push(remark);
        }
    }

    /// What is best so far, once after each change.
    pub fn news(&mut self) -> Option<Choice> {
        core::mem::take(&mut self.changed).then(|| self.choice())
    }

    /// What was found, once it is time to decide.
    pub fn decide(&self, now: Instant) -> Option<Choice> {
        let found = self.found?;
        let waited = now.saturating_duration_since(found) >= GRACE;
        (waited || self.is_quiet()).then(|| self.choice())
    }

    /// Nothing is being read.
    pub fn is_quiet(&self) -> bool {
        self.probes.is_empty() && self.outdated.is_empty()
    }

    /// What was wrong with everything, once, when it is time to complain.
    pub fn complaint(&mut self, now: Instant) -> Option<Vec<String>> {
        if self.complaint_due().is_none_or(|due| now < due) {
            return None;
        }
        self.reported = true;
        let hangs = |probe: &Probe| {
            let waited_s = now.saturating_duration_since(probe.started).as_secs();
            let device = &probe.device;
            format!("{device}: the drive has not answered for {waited_s} s: take another one")
        };
        let mut remarks = self.choice().remarks;
        remarks.extend(self.probes.iter().map(hangs));
        Some(remarks)
    }

    /// When there is something to complain of. A probe that ends before changes that, and wakes us.
    fn complaint_due(&self) -> Option<Instant> {
        if self.settled || self.reported || self.found.is_some() {
            return None;
        }
        let drives = self.probes.iter().map(|probe| probe.started);
        let drives = drives.map(|started| started + DRIVE_PATIENCE).max();
        Some((self.started + PATIENCE).max(drives.unwrap_or(self.started)))
    }

    /// When `decide` or `complaint` has something to say at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        let decision = self.found.map(|found| found + GRACE);
        decision.or_else(|| self.complaint_due())
    }

    /// Judges all that was read so far.
    pub fn choice(&self) -> Choice {
        best(self.media.values())
    }

    /// Forgets what was read: it is decided, and the box has its config.
    pub fn settle(&mut self) {
        self.media.clear();
        self.found = None;
        self.told_of_many = false;
        self.settled = true;
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
    /// What it has found, now that it has ended.
    fn medium(&mut self) -> Medium {
        let Some(mut medium) = self.rest.take() else {
            return Medium {
                place: self.device.clone(),
                problems: last_words(&mut self.output),
                ..Medium::default()
            };
        };
        match self.slot.map(|slot| (slot, self.image())) {
            Some((slot, Ok(image))) => medium.slots = vec![(slot, image)],
            Some((_, Err(error))) => medium.problems.push(format!("handing it over: {error}")),
            None => {}
        }
        medium
    }

    /// No more than an image may have.
    fn image(&mut self) -> io::Result<Vec<u8>> {
        let limit = u64::try_from(IMAGE_BYTES_MAX).unwrap_or(u64::MAX);
        self.file.rewind()?;
        let mut image = Vec::new();
        self.file.by_ref().take(limit).read_to_end(&mut image)?;
        Ok(image)
    }

    fn drain(&mut self) {
        while let Ok(Some(message)) = self.wire.receive() {
            match message {
                FromProbe::Image(slot) => self.slot = Some(slot),
                FromProbe::Rest(medium) => self.rest = Some(medium),
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::samples::config;
    use std::io::Write;

    /// A search that looks at these devices; the first has process 1.
    fn search(now: Instant, devices: &[&str]) -> Search {
        let mut search = Search::new(now);
        for (device, pid) in devices.iter().zip(1..) {
            let (wire, _) = sys::socket::pair().unwrap();
            search.probes.push(Probe {
                device: (*device).into(),
                started: now,
                pid,
                wire: Channel::new(wire).unwrap(),
                output: File::open("/dev/null").unwrap(),
                file: sys::memory::shared_file().unwrap(),
                slot: None,
                rest: None,
                outdated: false,
            });
        }
        search
    }

    /// What a probe of a good medium sends.
    fn finds(search: &mut Search, device: &str, generation: u64) {
        let probe = search
            .probes
            .iter_mut()
            .find(|probe| probe.device == device);
        let probe = probe.unwrap();
        let image = plan::image::encode(&config(), generation).unwrap();
        probe.file.write_all(&image).unwrap();
        probe.slot = Some(0);
        probe.rest = Some(Medium {
            place: device.into(),
            node: Some("node = castor".into()),
            ..Medium::default()
        });
    }

    #[test]
    fn a_box_that_has_its_config_waits_for_nothing() {
        let now = Instant::now();
        let mut search = search(now, &["sda", "sdb"]);
        finds(&mut search, "sda", 1);
        assert!(search.ended(now, 1));
        assert_eq!(search.deadline(), Some(now + GRACE));
        assert!(search.decide(now + GRACE).unwrap().selected.is_some());
        search.settle();
        assert_eq!(search.deadline(), None);
        assert!(search.ended(now, 2));
        assert_eq!(
            (search.deadline(), search.complaint(now + PATIENCE)),
            (None, None)
        );
    }

    #[test]
    fn a_device_that_changes_while_it_is_read_is_read_again() {
        let now = Instant::now();
        let mut search = search(now, &["sda"]);
        search.look_at(now, "sda").unwrap();
        finds(&mut search, "sda", 1);
        assert!(search.ended(now, 1));
        // What was read may be of the medium before: nothing is decided by it while there is hope of better.
        assert!(search.decide(now).is_none());
        assert_eq!(search.take_outdated(), ["sda"]);
        assert!(search.take_outdated().is_empty());
    }

    #[test]
    fn a_device_too_many_is_told_of_once_in_a_search() {
        let now = Instant::now();
        let mut search = search(now, &["sda"; PROBES_MAX]);
        let refusal = search.look_at(now, "sdag").unwrap_err().to_string();
        assert!(refusal.contains("take away drives"), "{refusal}");
        assert!(search.look_at(now, "sdah").is_ok());
        search.settle();
        assert!(search.look_at(now, "sdag").is_err());
        assert_eq!(search.probes.len(), PROBES_MAX);
    }

    #[test]
    fn the_best_so_far_is_news_before_it_is_decided() {
        let now = Instant::now();
        let mut search = search(now, &["sr0", "fd0", "sda"]);
        finds(&mut search, "sr0", 1);
        finds(&mut search, "fd0", 2);
        let news = |search: &mut Search| {
            let best = search.news()?.selected;
            best.map(|selected| selected.image.generation)
        };
        assert!(search.ended(now, 1));
        assert_eq!((news(&mut search), news(&mut search)), (Some(1), None));
        assert!(search.decide(now).is_none());
        assert!(search.ended(now, 2));
        assert_eq!(news(&mut search), Some(2));
        assert!(search.decide(now).is_none());
        assert!(search.ended(now, 3));
        assert!(search.decide(now).is_some());
    }

    #[test]
    fn a_newer_medium_is_found_later_beside_a_drive_that_hangs() {
        let now = Instant::now();
        let mut search = search(now, &["fd0", "sda"]);
        search.settle();
        finds(&mut search, "sda", 2);
        assert!(search.ended(now, 2));
        let choice = search.decide(now + GRACE).unwrap();
        assert_eq!(choice.selected.unwrap().image.generation, 2);
        search.settle();
        assert_eq!(search.deadline(), None);
    }

    #[test]
    fn a_drive_that_hangs_does_not_keep_the_box_silent() {
        let now = Instant::now();
        let mut search = search(now, &["sda", "fd0"]);
        assert!(search.ended(now, 1));
        assert_eq!(search.complaint(now + PATIENCE), None);
        let due = search.deadline().unwrap();
        assert_eq!(due, now + DRIVE_PATIENCE);
        let remarks = search.complaint(due).unwrap();
        assert!(
            remarks.iter().any(|remark| remark.starts_with("fd0: ")),
            "{remarks:?}"
        );
        assert_eq!((search.deadline(), search.complaint(due)), (None, None));
    }
}
