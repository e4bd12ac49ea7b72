//! From what the search finds to a box that lives by it. The workers of the best config found so far are
//! started at once, behind a gate; it opens when no drive is being read any more that could know better.

use super::boot::phase;
use super::failure::Failure;
use super::leave::Destination;
use super::medium::{Choice, Selected};
use super::supervisor::Supervisor;
use super::team::{self, Team};
use crate::ipc::control::Level;
use std::time::Instant;

impl Supervisor {
    /// Goes on with the search for a config, and once there is one, with the box.
    pub(super) fn search_on(&mut self, now: Instant) {
        let is_looking = self.is_looking();
        let Some(media) = &mut self.media else { return };
        for problem in media.turn(now) {
            self.journal.say(Level::Error, &problem);
        }
        if self.leaving.is_some() || is_looking {
            return;
        }
        let news = media.search.news();
        let complaint = media.search.complaint(now);
        let decision = media.search.decide(now);
        if decision.is_some() {
            media.search.settle();
        }
        if self.team.may_act() {
            self.mention_newer(decision);
            return;
        }
        if let Some(remarks) = complaint {
            self.complain(&remarks);
        }
        if let Some(best) = news {
            self.get_ready(now, best.selected);
        }
        if let Some(choice) = decision {
            self.begin(&choice);
        }
    }

    fn complain(&mut self, remarks: &[String]) {
        let journal = &mut self.journal;
        journal.say(
            Level::Error,
            "no config: no medium holds a valid one for this box",
        );
        for remark in remarks {
            journal.say(Level::Error, &format!("  looked at {remark}"));
        }
        if remarks.is_empty() {
            journal.say(Level::Error, "  no block device is there to look at");
        }
        let help = "write one with `polluxctl media` (floppy, USB stick) and plug it in: \
                    it is taken at once";
        journal.say(Level::Error, help);
    }

    /// A medium plugged into a box that runs is looked at, but only the operator's word takes it.
    fn mention_newer(&mut self, decision: Option<Choice>) {
        let running = self.running.as_ref();
        let running = running.map_or(0, |selected| selected.image.generation);
        let Some(found) = decision.and_then(|choice| choice.selected) else {
            return;
        };
        if found.image.generation > running {
            let (place, generation) = (found.place, found.image.generation);
            let text = format!(
                "{place} holds generation {generation}, this box runs {running}: `reload` takes it"
            );
            self.journal.say(Level::Warn, &text);
        }
    }

    /// Has the workers of this config wait behind the gate, in place of those of a worse one.
    fn get_ready(&mut self, now: Instant, best: Option<Selected>) {
        let is_same =
            |one: &Selected, other: &Selected| (&one.bytes, one.node) == (&other.bytes, other.node);
        if let (Some(best), Some(running)) = (&best, &mut self.running)
            && is_same(best, running)
        {
            running.place.clone_from(&best.place);
            return;
        }
        self.team.dismiss();
        self.running = None;
        if let Some(selected) = best
            && self.employ(now, selected).is_err()
        {
            // Said by the phase; without its workers the box is of no use.
            self.leave(now, Destination::Reboot, "the workers can't be set up");
        }
    }

    /// Gathers the workers that will serve this config.
    pub(super) fn employ(&mut self, now: Instant, selected: Selected) -> Result<(), Failure> {
        let (place, ttys) = (&self.place, &self.ttys);
        let team = phase(&mut self.journal, "workers", |_| {
            team::settle(&selected, place).and_then(|()| Team::gather(now, &selected, place, ttys))
        });
        self.team = team?;
        self.running = Some(selected);
        Ok(())
    }

    /// It is decided: the workers may act.
    pub(super) fn begin(&mut self, choice: &Choice) {
        for remark in &choice.remarks {
            self.journal.say(Level::Warn, remark);
        }
        let Some(selected) = &self.running else {
            return;
        };
        let text = format!(
            "config: generation {} from {}; this is {} of cluster {}",
            selected.image.generation,
            selected.place,
            team::node_name(selected),
            selected.image.config.cluster.name
        );
        self.journal.say(Level::Info, &text);
        self.team.let_act();
    }
}
