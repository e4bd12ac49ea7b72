//! Another config for a box that runs: read, judged, tried and only then in force. The dataplane tries it first, since
//! only the kernel knows whether it takes a ruleset; until it says yes everybody lives by the config before, and
//! whatever goes wrong leaves that in force as a whole. Beats and addresses go on throughout.

use super::medium::{Choice, Selected};
use super::process;
use super::supervisor::Supervisor;
use super::team::{self, node_name};
use crate::ipc::control::{Level, RefusedReload};
use crate::ipc::{Answer, ConfigNews, ToWorker, WorkerKind};
use plan::config::Config;
use plan::live;
use std::fs;
use std::mem;
use std::time::{Duration, Instant};

/// Drives that have not answered by then are not waited for: a floppy takes a second or two, a CD five.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// An emulated box takes 12 s for 10,000 rules in the place of as many. A worker that hangs is killed for its silence long
/// before, which ends the trial, too.
const TRIAL_MAX: Duration = Duration::from_secs(60);

/// Reads the config file of a guest.
pub type ReadAgain = Box<dyn Fn() -> Result<Selected, String>>;

/// A reload on its way.
pub struct Reload {
    stage: Stage,
    deadline: Instant,
    /// Questions of control that wait for its end.
    asked: Vec<u32>,
}

enum Stage {
    /// Media are being read.
    Looking,
    /// The dataplane tries this one.
    Trying(Box<Selected>),
}

impl Reload {
    /// When it goes on, or ends, at the latest.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }
}

/// What a look at media or at the file comes to.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    /// It is to be tried.
    Take(Box<Selected>),
    /// It is what runs.
    Same,
    /// It won't do; why, the first sentence first.
    Refuse(Vec<String>),
}

impl Supervisor {
    /// Begins a reload; `asked` by control, or by a signal. One that is under way answers both.
    pub(super) fn reload(&mut self, now: Instant, asked: Option<u32>) {
        if self.leaving.is_some() {
            let refusal = Answer::Refused("this box is about to go".into());
            asked
                .into_iter()
                .for_each(|number| self.tell_control(number, &refusal));
            return;
        }
        if let Some(reload) = &mut self.reload {
            reload.asked.extend(asked);
            return;
        }
        self.reload = Some(Reload {
            stage: Stage::Looking,
            deadline: now + LOOK_MAX,
            asked: asked.into_iter().collect(),
        });
        let problems = self.media.as_mut().map(|media| media.look_at_all(now));
        for problem in problems.into_iter().flatten() {
            self.journal.say(Level::Error, &problem);
        }
    }

    /// Whether media are being read for a reload.
    pub(super) fn is_looking(&self) -> bool {
        let reload = self.reload.as_ref();
        reload.is_some_and(|reload| matches!(reload.stage, Stage::Looking))
    }

    /// Goes on with a reload.
    pub(super) fn reload_on(&mut self, now: Instant) {
        let Some(reload) = &self.reload else { return };
        let is_late = now >= reload.deadline;
        if matches!(reload.stage, Stage::Trying(_)) {
            if is_late {
                self.give_up_trial(now, "the dataplane worker did not answer");
            }
            return;
        }
        let Some(running) = &self.running else { return };
        let finding = match (&mut self.media, &self.read_again) {
            (Some(media), _) if media.search.is_quiet() || is_late => {
                let choice = media.search.choice();
                media.search.settle();
                on_media(running, choice)
            }
            (None, Some(read_again)) => in_file(running, read_again()),
            _ => return,
        };
        match finding {
            Finding::Take(next) => self.have_tried(now, next),
            Finding::Refuse(why) => self.refuse_reload(now, &why),
            Finding::Same => {
                let text = "the config is what this box runs already: nothing to do";
                self.finish_reload(text);
            }
        }
    }

    /// Has the dataplane try it.
    fn have_tried(&mut self, now: Instant, next: Box<Selected>) {
        if let Err(error) = team::copy(&next.bytes, &self.place.next_config()) {
            return self.refuse_reload(now, &[error.to_string()]);
        }
        let digest = next.image.digest;
        let mut dataplanes = self.team.of_kind(WorkerKind::Dataplane);
        let asked = dataplanes.any(|it| it.lifeline.send(&ToWorker::Try { digest }).is_ok());
        drop(dataplanes);
        if let Some(reload) = &mut self.reload {
            reload.stage = Stage::Trying(next);
            // Not from the beginning of this turn, which has read the config.
            reload.deadline = Instant::now() + TRIAL_MAX;
        }
        if !asked {
            self.give_up_trial(now, "the dataplane worker does not listen");
        }
    }

    /// The dataplane has tried a config.
    pub(super) fn tried(&mut self, now: Instant, digest: u64, refusal: Option<String>) {
        let Some(Reload {
            stage: Stage::Trying(next),
            ..
        }) = &self.reload
        else {
            return;
        };
        if next.image.digest != digest {
            return;
        }
        if let Some(why) = refusal {
            let _ = fs::remove_file(self.place.next_config());
            let (generation, place) = (next.image.generation, &next.place);
            let why = format!("generation {generation} from {place}: {why}; nothing was changed");
            return self.refuse_reload(now, &[why]);
        }
        match fs::rename(self.place.next_config(), self.place.config()) {
            Ok(()) => self.take(),
            Err(error) => self.give_up_trial(now, &format!("putting its copy in place: {error}")),
        }
    }

    /// A trial that nobody knows the outcome of: a new dataplane worker puts the config before in force.
    pub(super) fn give_up_trial(&mut self, now: Instant, why: &str) {
        let Some(Reload {
            stage: Stage::Trying(_),
            ..
        }) = &self.reload
        else {
            return;
        };
        let _ = fs::remove_file(self.place.next_config());
        for process in self.team.of_kind(WorkerKind::Dataplane) {
            process.life.pid().into_iter().for_each(process::kill);
        }
        let why = format!("{why}; the config before stays in force");
        self.refuse_reload(now, &[why]);
    }

    /// The dataplane lives by the config that it has tried; now all others do.
    fn take(&mut self) {
        let Some(Reload {
            stage: Stage::Trying(tried),
            ..
        }) = &mut self.reload
        else {
            return;
        };
        let Some(next) = &mut self.running else {
            return;
        };
        // Not copied: it may have megabytes. The config before ends with the reload.
        mem::swap(next, tried);
        let running = tried;
        let anew = started_anew(&running.image.config, &next.image.config);
        let news = ConfigNews {
            generation: next.image.generation,
            digest: next.image.digest,
            log_level: next.image.config.console.log_level,
        };
        let text = format!(
            "config: generation {} from {} is in force, after generation {}",
            next.image.generation, next.place, running.image.generation
        );
        // Control answers under the config that it was asked under.
        self.finish_reload(&text);
        for process in &mut self.team.processes {
            let kind = process.description.kind;
            if kind == WorkerKind::Console {
                continue;
            }
            // One that does not listen is started anew, too, and then reads it.
            if anew.contains(&kind) || process.lifeline.send(&ToWorker::Config(news)).is_err() {
                process.life.make_way();
                process.life.pid().into_iter().for_each(process::kill);
            }
        }
    }

    fn finish_reload(&mut self, text: &str) {
        self.refused = None;
        self.journal.say(Level::Info, text);
        self.end_reload(&Answer::Said(text.into()));
    }

    fn refuse_reload(&mut self, now: Instant, why: &[String]) {
        for (position, sentence) in why.iter().enumerate() {
            let lead = if position == 0 {
                "reload refused: "
            } else {
                "  "
            };
            self.journal.say(Level::Error, &format!("{lead}{sentence}"));
        }
        let first = why.first().cloned().unwrap_or_default();
        self.refused = Some((now, first));
        self.end_reload(&Answer::Refused(why.join("\n  ")));
    }

    fn end_reload(&mut self, answer: &Answer) {
        let asked = self.reload.take().map(|reload| reload.asked);
        for number in asked.into_iter().flatten() {
            self.tell_control(number, answer);
        }
    }

    /// For the console.
    pub(super) fn refused_reload(&self, now: Instant) -> Option<RefusedReload> {
        let (at, why) = self.refused.as_ref()?;
        let ago = now.saturating_duration_since(*at).as_millis();
        Some(RefusedReload {
            ago_ms: u64::try_from(ago).unwrap_or(u64::MAX),
            why: why.clone(),
        })
    }
}

/// What the media of a box come to.
fn on_media(running: &Selected, choice: Choice) -> Finding {
    let Choice { selected, remarks } = choice;
    let generation = running.image.generation;
    let help = "write one with `polluxctl media --update`";
    let nothing = match selected {
        Some(next) if next.image.generation > generation => return on_live(running, next, false),
        Some(_) => format!(
            "no medium holds a newer config than generation {generation}, which runs: {help}"
        ),
        None => format!(
            "no medium holds a valid config: {help}; generation {generation} stays in force"
        ),
    };
    Finding::Refuse([nothing].into_iter().chain(remarks).collect())
}

/// What the file of a guest comes to.
fn in_file(running: &Selected, read: Result<Selected, String>) -> Finding {
    match read {
        Err(why) => Finding::Refuse(vec![format!("{why}; nothing was changed")]),
        Ok(next) if next.bytes == running.bytes => Finding::Same,
        Ok(next) => on_live(running, next, true),
    }
}

/// Whether it can be taken by a box that runs.
fn on_live(running: &Selected, next: Selected, is_guest: bool) -> Finding {
    let (generation, place) = (next.image.generation, &next.place);
    let (name, other) = (node_name(running), node_name(&next));
    if name != other {
        return Finding::Refuse(vec![format!(
            "{place} is written for {other}, and this is {name}: take the medium of {name}"
        )]);
    }
    let sections = live::wants_restart(&running.image.config, &next.image.config);
    if sections.is_empty() {
        return Finding::Take(Box::new(next));
    }
    let way = if is_guest {
        "restart the standby's daemon with it first, `takeover` there, then the other one"
    } else {
        "reboot the standby with it first, `takeover` there, then reboot the other box"
    };
    Finding::Refuse(vec![format!(
        "generation {generation} from {place} changes what a running box can't: {}; nothing was changed: {way}",
        sections.join(", ")
    )])
}

/// Who can't go on under the new config, and is started anew: the kernel's state stands meanwhile.
fn started_anew(running: &Config, next: &Config) -> Vec<WorkerKind> {
    let services = running.services != next.services;
    let balances = running.services.is_empty() != next.services.is_empty();
    let moves = live::changes_addresses(running, next);
    let mut anew = Vec::new();
    if services {
        anew.push(WorkerKind::Health);
    }
    // It knows the boxes' own connections by their addresses.
    if balances || moves {
        anew.push(WorkerKind::Sync);
    }
    anew
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::dataplane::samples::balancer;
    use crate::samples;
    use plan::image::{Image, digest, encode};

    fn selected(generation: u64, change: impl FnOnce(&mut Config)) -> Selected {
        let mut config = samples::config();
        change(&mut config);
        Selected {
            place: format!("sda1 of {generation}"),
            bytes: encode(&config, generation).unwrap(),
            image: Image {
                generation,
                digest: digest(&config),
                config,
            },
            node: 0,
        }
    }

    fn found(selected: Selected) -> Choice {
        Choice {
            selected: Some(selected),
            remarks: vec!["fd0: SLOT-B.PLX: damaged".into()],
        }
    }

    fn refusal(finding: Finding) -> Vec<String> {
        match finding {
            Finding::Refuse(why) => why,
            Finding::Same | Finding::Take(_) => Vec::new(),
        }
    }

    #[test]
    fn only_a_newer_generation_on_a_medium_is_taken() {
        let running = selected(3, |_| ());
        let next = selected(4, |config| config.firewall.log_refused = true);
        let taken = Finding::Take(Box::new(next.clone()));
        assert_eq!(on_media(&running, found(next.clone())), taken);
        for older in [2, 3] {
            let why = refusal(on_media(&next, found(selected(older, |_| ()))));
            assert!(why[0].contains("newer config than generation 4"), "{why:?}");
            assert_eq!(why[1], "fd0: SLOT-B.PLX: damaged");
        }
        let why = refusal(on_media(&running, Choice::default()));
        assert!(why[0].starts_with("no medium holds a valid config"));
    }

    #[test]
    fn a_file_is_taken_when_it_is_another_one() {
        let running = selected(3, |_| ());
        assert_eq!(in_file(&running, Ok(running.clone())), Finding::Same);
        let older = selected(2, |config| config.firewall.log_refused = true);
        let taken = Finding::Take(Box::new(older.clone()));
        assert_eq!(in_file(&running, Ok(older)), taken);
        let why = refusal(in_file(&running, Err("reading x: no such file".into())));
        assert_eq!(why, ["reading x: no such file; nothing was changed"]);
    }

    #[test]
    fn what_wants_a_restart_is_named_and_refused_as_a_whole() {
        let running = selected(3, |_| ());
        let next = selected(4, |config| {
            config.cluster.key[0] ^= 1;
            config.links.clear();
            config.firewall.log_refused = true;
        });
        let why = refusal(on_media(&running, found(next.clone())));
        assert!(why[0].contains("can't: key, [[link]]; nothing was changed: reboot the standby"));
        let why = refusal(in_file(&running, Ok(next)));
        assert!(why[0].contains("restart the standby's daemon"), "{why:?}");
    }

    #[test]
    fn the_twins_medium_is_refused() {
        let running = selected(3, |_| ());
        let next = Selected {
            node: 1,
            ..selected(4, |_| ())
        };
        let why = refusal(on_media(&running, found(next)));
        assert!(
            why[0].ends_with("this is castor: take the medium of castor"),
            "{why:?}"
        );
    }

    #[test]
    fn only_who_must_is_started_anew() {
        let running = balancer();
        let after = |change: fn(&mut Config)| {
            let mut next = running.clone();
            change(&mut next);
            started_anew(&running, &next)
        };
        assert_eq!(after(|next| next.firewall.log_refused = true), []);
        let more = |next: &mut Config| next.services[0].servers.truncate(1);
        assert_eq!(after(more), [WorkerKind::Health]);
        let none = |next: &mut Config| next.services.clear();
        assert_eq!(after(none), [WorkerKind::Health, WorkerKind::Sync]);
        let moved = |next: &mut Config| {
            next.interfaces[1].on[0].as_mut().unwrap().addresses.clear();
        };
        assert_eq!(after(moved), [WorkerKind::Sync]);
    }
}
