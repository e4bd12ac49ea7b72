//! The kernel's tables of a box under test, and what its worker does with them.

use proto::sync::{Apply, Engine, KEY_BYTES_MAX, Kind, VALUE_BYTES_MAX, Verdict};
use proto::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

const LIFETIME_S: u32 = 120;

type Name = (Kind, Vec<u8>);

#[derive(Default)]
pub(super) struct Kernel {
    flows: BTreeMap<Name, Vec<u8>>,
    /// What it refused, which the box counts as held until a sweep says otherwise.
    refused: BTreeSet<Name>,
    /// It takes nothing that it is told.
    pub(super) refuses: bool,
}

/// The kind of that number.
pub(super) fn kind(number: u8) -> Kind {
    let kind = Kind::ALL.get(usize::from(number) % Kind::COUNT);
    kind.copied().unwrap_or(Kind::Conntrack)
}

impl Kernel {
    /// Packets make a flow, or change it. Of a longer one than can be told nothing is counted.
    pub(super) fn note(
        &mut self,
        engine: &mut Engine,
        now: Instant,
        kind: Kind,
        key: &[u8],
        value: &[u8],
    ) {
        engine.note(now, kind, key, value, LIFETIME_S);
        if key.len() <= KEY_BYTES_MAX && value.len() <= VALUE_BYTES_MAX {
            self.flows.insert((kind, key.to_vec()), value.to_vec());
        }
    }

    /// A flow ends. Of the balancer's nobody hears that.
    pub(super) fn forget(&mut self, engine: &mut Engine, now: Instant, kind: Kind, key: &[u8]) {
        engine.forget(now, kind, key);
        self.remove(&(kind, key.to_vec()));
    }

    fn remove(&mut self, name: &Name) {
        self.refused.remove(name);
        self.flows.remove(name);
    }

    /// Does what the last datagram brought.
    pub(super) fn apply(&mut self, engine: &mut Engine, now: Instant) {
        let mut refused = Vec::new();
        while let Some(apply) = engine.poll_apply(now) {
            match apply {
                Apply::Put {
                    kind, key, value, ..
                } => {
                    assert!(key.len() <= KEY_BYTES_MAX && value.len() <= VALUE_BYTES_MAX);
                    let name = (kind, key.to_vec());
                    if self.refuses {
                        refused.push(name);
                    } else {
                        self.refused.remove(&name);
                        self.flows.insert(name, value.to_vec());
                    }
                }
                Apply::Remove { kind, key } => self.remove(&(kind, key.to_vec())),
            }
        }
        for (kind, key) in refused {
            engine.applied_failed(now, kind, &key);
            self.refused.insert((kind, key));
        }
    }

    /// Tells all flows of that kind.
    pub(super) fn sweep(&mut self, engine: &mut Engine, now: Instant, kind: Kind) {
        engine.sweep_begin(now, kind);
        self.flows.retain(|(of, key), value| {
            let is_other = *of != kind;
            is_other || engine.sweep_note(now, kind, key, value, LIFETIME_S) == Verdict::Keep
        });
        engine.sweep_end(now, kind);
        self.refused.retain(|(of, _)| *of != kind);
    }

    /// Flows by kind, as the box counts them: of the balancer's none.
    pub(super) fn held(&self) -> [u32; Kind::COUNT] {
        Kind::ALL.map(|kind| {
            let flows = self.flows.keys().filter(|(of, _)| *of == kind);
            let refused = self.refused.iter().filter(|name| name.0 == kind);
            let only_refused = refused.filter(|name| !self.flows.contains_key(name));
            let held = flows.count() + only_refused.count();
            let is_counted = kind != Kind::Ipvs;
            u32::try_from(held).unwrap_or(u32::MAX) * u32::from(is_counted)
        })
    }
}
