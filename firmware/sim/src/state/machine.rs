//! A box: its kernel's table, the events of it, and a worker that runs an engine as the real one does.

use super::Rule;
use proto::sync::{Apply, Engine, Kind, Settings, Verdict, Want};
use proto::time::Instant;
use proto::wire::ClusterTag;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Events that a kernel keeps for a worker that does not read them.
const EVENTS_MAX: usize = 64;
const LIFETIME_S: u32 = 120;
/// The key of all pairs.
pub(super) const KEY: [u8; 32] = [3; 32];

/// A flow's name.
pub(super) type Name = u64;
/// A flow's state: the term in which it was made, and below that how many changes there had been by then.
pub(super) type Version = u64;
/// Counts takeovers.
pub(super) type Term = u64;
/// Bits of a version that count changes; those above are its term.
const COUNT_BITS: u32 = 32;

/// What a flow is: half of them are connections that the kernel tracks.
pub(super) fn kind(name: Name) -> Kind {
    match name % 4 {
        0 => Kind::Expectation,
        1 => Kind::Ipvs,
        _ => Kind::Conntrack,
    }
}

/// The state that comes after so many changes, made in that term.
pub(super) fn version(term: Term, changes: u64) -> Version {
    term << COUNT_BITS | changes
}

/// How many changes there had been by then.
pub(super) fn changes(version: Version) -> u64 {
    version & ((1 << COUNT_BITS) - 1)
}

/// The term in which a state was made.
pub(super) fn origin(version: Version) -> Term {
    version >> COUNT_BITS
}

/// A datagram on its way.
#[derive(Clone)]
pub(super) struct Datagram {
    pub(super) bytes: Vec<u8>,
    /// Term of its sender if that was active, else 0: it claims all that it tells.
    pub(super) claim: Term,
}

/// What is known of a flow.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    /// Term of the box that told its newest state.
    claim: Term,
    /// Newest term of this box's own in which it held the flow: it counts here as long as the box is active.
    own_claim: Term,
    pub(super) version: Version,
}

impl Known {
    /// A state is told; returns what was known before, but for the claim if it is the same state.
    fn take(&mut self, claim: Term, version: Version) -> Self {
        let told = Self {
            claim,
            own_claim: 0,
            version,
        };
        let before = core::mem::replace(self, told);
        if before.version == version {
            told
        } else {
            before
        }
    }

    /// Its end is told: what comes afterwards is later than all that this claimant had told.
    fn end(&mut self, claim: Term) {
        self.version = if claim > self.claim {
            0
        } else {
            self.version + 1
        };
        self.claim = self.claim.max(claim);
    }

    /// The last claim that this box made or heard.
    pub(super) fn last_claim(self) -> Term {
        self.claim.max(self.own_claim)
    }

    /// A kernel never goes back to what is smaller.
    fn order(self, is_active: bool) -> (Term, u64) {
        let claim = if is_active {
            self.last_claim()
        } else {
            self.claim
        };
        (claim, changes(self.version))
    }
}

/// What a kernel did not take of a flow.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Refused {
    /// The last state that it refused.
    pub(super) version: Version,
    /// How often, one after the other.
    pub(super) times: u32,
}

/// One event of the kernel's.
#[derive(Clone, Copy)]
struct Told {
    name: Name,
    /// None if it ended.
    version: Option<Version>,
}

/// What a sweep has still to do.
struct Sweep {
    kind: Kind,
    /// Last name that was read.
    last: Option<Name>,
    /// Read from the kernel, and not told yet.
    part: Vec<(Name, Version)>,
    is_read: bool,
}

/// One box.
pub(super) struct Machine {
    pub(super) engine: Option<Engine>,
    /// Flows in the kernel.
    pub(super) kernel: BTreeMap<Name, Version>,
    /// Those of the balancer that aged out here, as they were then: no other box is told.
    pub(super) aged: BTreeMap<Name, Version>,
    /// What the kernel ever had of each flow, its end included.
    pub(super) newest: BTreeMap<Name, Known>,
    events: VecDeque<Told>,
    are_events_lost: bool,
    /// Flows of which the worker has not read the newest event, or never will.
    unread: BTreeSet<Name>,
    /// Flows that began so, and of which nothing else told the worker.
    unknown: BTreeSet<Name>,
    pub(super) is_stalled: bool,
    pub(super) is_on: bool,
    pub(super) is_active: bool,
    /// It took over from a box that was asked to let go, and that tells the rest.
    pub(super) is_heir: bool,
    pub(super) term: Term,
    /// What it refused of each flow.
    pub(super) refused: BTreeMap<Name, Refused>,
    /// Of a thousand changes so many are refused.
    pub(super) refuses_permille: u32,
    table: u64,
    sweep: Option<Sweep>,
    sweep_part: usize,
}

impl Machine {
    pub(super) fn new(table: u64, sweep_part: usize) -> Self {
        Self {
            engine: None,
            kernel: BTreeMap::new(),
            aged: BTreeMap::new(),
            newest: BTreeMap::new(),
            events: VecDeque::new(),
            are_events_lost: false,
            unread: BTreeSet::new(),
            unknown: BTreeSet::new(),
            is_stalled: false,
            is_on: true,
            is_active: false,
            is_heir: false,
            term: 1,
            refused: BTreeMap::new(),
            refuses_permille: 0,
            table,
            sweep: None,
            sweep_part,
        }
    }

    /// The worker starts: of what ended before, it can't know.
    pub(super) fn start(&mut self, now: Instant, incarnation: u64) {
        let settings = Settings {
            cluster: ClusterTag::of_name("state"),
            key: &KEY,
            incarnation,
            table: self.table,
        };
        let mut engine = Engine::new(now, &settings);
        engine.set_role(now, self.is_active, self.term);
        self.engine = Some(engine);
        self.events.clear();
        self.are_events_lost = false;
        self.sweep = None;
        self.newest.retain(|name, _| self.kernel.contains_key(name));
        self.unread.clear();
        self.unknown.clear();
    }

    /// The worker is dead.
    pub(super) fn kill(&mut self) {
        self.engine = None;
        self.events.clear();
    }

    /// The box is off: all that it held is lost.
    pub(super) fn switch_off(&mut self) {
        self.kill();
        self.kernel.clear();
        self.aged.clear();
        self.newest.clear();
        self.table += 2;
        self.is_on = false;
        self.is_active = false;
    }

    /// A box that becomes active claims all that it holds. A passive one claims nothing that its worker has not read by
    /// then.
    pub(super) fn set_role(&mut self, now: Instant, is_active: bool, term: Term) {
        // Roles may change otherwise before the handover does it.
        self.is_heir &= is_active;
        self.is_active = is_active;
        self.term = term;
        for name in self.kernel.keys().filter(|_| is_active) {
            self.newest.entry(*name).or_default().own_claim = term;
        }
        if !is_active {
            for name in core::mem::take(&mut self.unread) {
                self.newest.remove(&name);
            }
        }
        if let Some(engine) = &mut self.engine {
            engine.set_role(now, is_active, term);
        }
    }

    /// A packet changes a flow, or ends it; `has_room` says whether the worker's buffer takes the event. What the balancer
    /// tells has a buffer of its own, which is large, and it tells of no end.
    pub(super) fn change(&mut self, name: Name, version: Version, is_end: bool, has_room: bool) {
        let is_balanced = kind(name) == Kind::Ipvs;
        if is_balanced && is_end {
            self.age_out(name);
            return;
        }
        let claim = self.term;
        let known = Known {
            claim,
            own_claim: claim,
            version,
        };
        self.newest.insert(name, known);
        let is_new = if is_end {
            self.kernel.remove(&name).is_none()
        } else {
            self.kernel.insert(name, version).is_none()
        };
        if self.engine.is_none() {
            return;
        }
        self.unread.insert(name);
        if !is_balanced && (!has_room || self.events.len() >= EVENTS_MAX) {
            self.are_events_lost = true;
            self.go_unheard(name, is_new, is_end);
            return;
        }
        let version = (!is_end).then_some(version);
        self.events.push_back(Told { name, version });
    }

    fn age_out(&mut self, name: Name) {
        if let Some(version) = self.kernel.remove(&name) {
            self.aged.insert(name, version);
        }
        self.newest.remove(&name);
        self.unread.remove(&name);
    }

    /// Of a flow that came and went unheard nobody can know that it was there.
    fn go_unheard(&mut self, name: Name, is_new: bool, is_end: bool) {
        if is_new {
            self.unknown.insert(name);
        } else if is_end && self.unknown.remove(&name) {
            self.newest.remove(&name);
        }
    }

    fn is_told(&mut self, name: Name) {
        self.unread.remove(&name);
        self.unknown.remove(&name);
    }

    /// The kernel forgets a flow, though its owner does not.
    pub(super) fn lose(&mut self, name: Name) {
        self.kernel.remove(&name);
        if self.engine.is_some() {
            self.events.push_back(Told {
                name,
                version: None,
            });
        }
    }

    /// Reads what the kernel has told so far.
    pub(super) fn read_events(&mut self, now: Instant) {
        while let Some(engine) = &mut self.engine
            && engine.room() > 0
            && let Some(told) = self.events.pop_front()
        {
            let (kind, key) = (kind(told.name), key(told.name));
            match told.version {
                Some(version) => engine.note(now, kind, &key, &value(version), LIFETIME_S),
                None => engine.forget(now, kind, &key),
            }
            self.is_told(told.name);
        }
        if let Some(engine) = &mut self.engine
            && core::mem::take(&mut self.are_events_lost)
        {
            // One socket hears of both.
            engine.events_lost(Kind::Conntrack);
            engine.events_lost(Kind::Expectation);
        }
    }

    /// All that the kernel told was read.
    pub(super) fn has_read_all(&self) -> bool {
        self.events.is_empty() && !self.are_events_lost && !self.is_stalled && !self.is_sweeping()
    }

    /// Does what the engine wants; a sweep in parts, each told one turn after it was read. Returns the flows that it had
    /// removed though packets passed here in this term.
    pub(super) fn serve(&mut self, now: Instant) -> Vec<Name> {
        self.read_events(now);
        let removed = self.sweep_on(now);
        let Some(engine) = &mut self.engine else {
            return removed;
        };
        match engine.poll_want(now) {
            Some(Want::Drain) => engine.drained(now),
            Some(Want::Sweep(kind)) if self.sweep.is_none() => {
                engine.sweep_begin(now, kind);
                self.sweep = Some(Sweep {
                    kind,
                    last: None,
                    part: Vec::new(),
                    is_read: false,
                });
            }
            _ => {}
        }
        removed
    }

    /// There is more to sweep at once.
    pub(super) fn is_sweeping(&self) -> bool {
        self.sweep.is_some()
    }

    /// Tells the part that was read last, and reads the next.
    fn sweep_on(&mut self, now: Instant) -> Vec<Name> {
        let mut removed = Vec::new();
        let (Some(sweep), Some(engine)) = (&mut self.sweep, &mut self.engine) else {
            return removed;
        };
        for (name, version) in sweep.part.drain(..) {
            let verdict =
                engine.sweep_note(now, sweep.kind, &key(name), &value(version), LIFETIME_S);
            if verdict == Verdict::Remove
                && let Some(version) = self.kernel.remove(&name)
            {
                self.newest.remove(&name);
                if origin(version) == self.term {
                    removed.push(name);
                }
            }
            self.unread.remove(&name);
            self.unknown.remove(&name);
        }
        if sweep.is_read {
            engine.sweep_end(now, sweep.kind);
            self.sweep = None;
            return removed;
        }
        let after = sweep.last.map_or(0, |last| last + 1);
        let rest = self.kernel.range(after..);
        let rest = rest.filter(|(name, _)| kind(**name) == sweep.kind);
        let part = rest.take(self.sweep_part);
        sweep.part = part.map(|(name, version)| (*name, *version)).collect();
        sweep.last = sweep.part.last().map(|(name, _)| *name);
        sweep.is_read = sweep.part.len() < self.sweep_part;
        removed
    }

    /// Receives a datagram and applies it; says what broke a rule. `refuses` says whether the kernel does, `claim_of`
    /// what term the sender's last claim on a flow is of.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        datagram: &Datagram,
        mut refuses: impl FnMut(u32) -> bool,
        claim_of: impl Fn(Name) -> Term,
    ) -> Option<(Rule, String)> {
        // Events that came first are read first, as the real worker does.
        self.read_events(now);
        let engine = self.engine.as_mut()?;
        engine.handle_datagram(now, &datagram.bytes).ok()?;
        let mut failed = Vec::new();
        let mut broken = None;
        while let Some(apply) = engine.poll_apply(now) {
            match apply {
                Apply::Put {
                    kind, key, value, ..
                } if kind != Kind::Ipvs && refuses(self.refuses_permille) => {
                    let version = number(value);
                    let refused = self.refused.entry(number(key)).or_default();
                    refused.times = if refused.version == version {
                        refused.times + 1
                    } else {
                        1
                    };
                    refused.version = version;
                    failed.push((kind, key.to_vec()));
                }
                Apply::Put {
                    kind, key, value, ..
                } => {
                    let (name, version) = (number(key), number(value));
                    let claim = match datagram.claim {
                        0 => claim_of(name).max(origin(version)),
                        claim => claim,
                    };
                    let newest = self.newest.entry(name).or_default();
                    let before = newest.take(claim, version);
                    let is_back = match kind {
                        // Who takes over claims none of the balancer's flows until packets pass, and hears last words.
                        Kind::Ipvs => before.order(false) > newest.order(false) && !self.is_heir,
                        _ => before.order(self.is_active) > newest.order(false),
                    };
                    if is_back {
                        let what = format!("flow {name} from {before:x?} to {newest:x?}");
                        broken = broken.or(Some((Rule::RolledBack, what)));
                    }
                    self.unknown.remove(&name);
                    self.kernel.insert(name, version);
                }
                Apply::Remove { key, .. } => {
                    let name = number(key);
                    if self.is_active && datagram.claim < self.term {
                        broken = broken.or(Some((Rule::TakenFromOwner, format!("flow {name}"))));
                    }
                    self.newest.entry(name).or_default().end(datagram.claim);
                    self.kernel.remove(&name);
                }
            }
        }
        for (kind, key) in failed {
            if let Some(engine) = &mut self.engine {
                engine.applied_failed(now, kind, &key);
            }
        }
        broken
    }
}

fn key(name: Name) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&name.to_le_bytes());
    key
}

/// States have all lengths, small and large.
fn value(version: Version) -> Vec<u8> {
    let length = 8 + usize::try_from((version % 200).pow(2) % 200).unwrap_or(0);
    let mut value = version.to_le_bytes().to_vec();
    value.resize(length, 0x5a);
    value
}

fn number(bytes: &[u8]) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(number)
}
