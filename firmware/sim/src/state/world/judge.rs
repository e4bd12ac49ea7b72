//! What must hold at the end, once all is healed, and when a flush is confirmed.

use super::super::Rule;
use super::super::machine::{Known, Machine, Name, Refused, Version, changes, kind, origin};
use super::{Handover, Item, LOOK_US, World};
use proto::sync::Kind;
use std::collections::BTreeSet;

/// After all is healed the tables agree by then.
const HEALING_US: u64 = 30_000_000;
/// A pass of digests while all agreed, and some more.
const PASS_US: u64 = 8_000_000;

impl World<'_> {
    /// While faults go on: whenever both say that they are in sync, and nothing is on its way, they are.
    pub(super) fn look(&mut self) {
        if self.is_healed {
            return;
        }
        if self.is_quiet() && self.boxes.iter().all(Machine::has_read_all) {
            self.judge_tables(Rule::FalselyInSync);
        }
        self.plan_at(self.now_us + LOOK_US, Item::Look);
    }

    pub(super) fn judge_flush(&mut self, handover: &Handover) {
        let heir = &self.boxes[handover.by];
        let own = &self.boxes[1 - handover.by].newest;
        // What it had not read when it stepped down is no longer known of it, though its kernel may hold just that.
        let has = |name: &Name, version| {
            let has_had = |had: &Known| had.version >= version;
            heir.newest.get(name).is_some_and(has_had) || heir.kernel.get(name) == Some(&version)
        };
        let mut lacking = handover.pending.iter();
        let lacking = lacking.find(|(name, version)| {
            // What changed since may be on its way.
            let is_unchanged = own.get(name).is_some_and(|own| own.version == **version);
            // It was told, and its kernel would not have it.
            let is_refused = |refused: &Refused| refused.version == **version;
            let is_judged =
                kind(**name) != Kind::Ipvs && !heir.refused.get(name).is_some_and(is_refused);
            is_unchanged && is_judged && !has(name, **version)
        });
        if let Some((name, version)) = lacking {
            let what = format!("box {} lacks flow {name} as of {version}", handover.by);
            self.breaks(Rule::FalselyFlushed, what);
        }
    }

    pub(super) fn judge_end(&mut self) {
        let healed_us = self.now_us;
        self.run_until(healed_us + HEALING_US, Self::is_quiet);
        if self.broken.is_some() {
            return;
        }
        if !self.is_quiet() {
            let now = self.now();
            let engines = self.boxes.iter().filter_map(|it| it.engine.as_ref());
            let statuses: Vec<_> = engines.map(|engine| engine.status(now)).collect();
            self.breaks(Rule::NeverInSync, format!("{statuses:?}"));
            return;
        }
        self.judge_tables(Rule::FalselyInSync);
        self.run_until(self.now_us + PASS_US, |_| false);
        self.judge_tables(Rule::TablesDiffer);
        self.judge_balanced();
    }

    /// Of the balancer's flows the other box has had all that were told here since the last takeover; where both were
    /// active each may have what passed there last.
    fn judge_balanced(&mut self) {
        let Some(active) = self.active() else {
            return;
        };
        let [owner, other] = [active, 1 - active].map(|of| &self.boxes[of]);
        let is_judged = |name, version| kind(name) == Kind::Ipvs && origin(version) == owner.term;
        let has_had = |name: Name, version: Version| {
            let states = [&other.kernel, &other.aged].map(|flows| flows.get(&name));
            let is_it = |it: &Version| *it == version || changes(*it) > changes(version);
            states.into_iter().flatten().any(is_it)
        };
        let mut flows = owner.kernel.iter().map(|(name, version)| (*name, *version));
        let lacking = flows.find(|it| is_judged(it.0, it.1) && !has_had(it.0, it.1));
        if let Some((name, version)) = lacking {
            let there = other.kernel.get(&name);
            let what =
                format!("balanced flow {name} is {version:x} at its owner, {there:x?} there");
            self.breaks(Rule::TablesDiffer, what);
        }
    }

    /// Both are in sync and nothing is on its way.
    pub(super) fn is_quiet(&self) -> bool {
        let now = self.now();
        let mut engines = self.boxes.iter().map(|it| it.engine.as_ref());
        let is_still =
            |engine: &proto::sync::Engine| engine.in_sync() && engine.status(now).pending == 0;
        let on_way = |item: &Item| matches!(item, Item::TakeOver { .. });
        !self.queue.values().any(on_way) && engines.all(|it| it.is_some_and(is_still))
    }

    fn judge_tables(&mut self, rule: Rule) {
        if self.broken.is_some() {
            return;
        }
        let [one, other] = &self.boxes;
        let names = one.kernel.keys().chain(other.kernel.keys());
        // What a kernel goes on to refuse is not asked for for ever.
        let is_refused = |name: &Name| {
            [one, other].iter().any(|it| {
                it.refused
                    .get(name)
                    .is_some_and(|refused| refused.times >= 3)
            })
        };
        let differs = |name: &&Name| {
            kind(**name) != Kind::Ipvs
                && one.kernel.get(*name) != other.kernel.get(*name)
                && !is_refused(name)
        };
        let found = names.copied().collect::<BTreeSet<_>>();
        let found = found.iter().find(differs).map(|name| {
            let [here, there] = [one, other].map(|it| it.kernel.get(name));
            format!("flow {name} is {here:?} and {there:?}")
        });
        if let Some(what) = found {
            self.breaks(rule, what);
        }
    }
}
