//! Connections in this box's kernel: what it tells of them goes to the engine, what the engine wants goes into the
//! kernel, many at once. Nothing is decided here but which flows are the box's own business.

use crate::clock::micros;
use core::time::Duration;
use netlink::conntrack::filter::Own;
use netlink::conntrack::record::{Error as RecordError, Recorder};
use netlink::conntrack::{self, Batch, Change, Event, FlowRef, QUESTIONS_MAX, Questions};
use proto::sync::{Apply, Engine, Kind};
use proto::time::Instant;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use sys::conntrack::{Events, Heard, Table};

/// What a mirrored flow lives for at least. Its owner tells when it ends, and this box extends it while the owner
/// lives, so a short timeout of the owner's kernel must not end it here.
pub const LIFETIME_MIN_S: u32 = 300;

/// What connection tracking must do for connections that move from box to box: path below `/proc/sys`, value.
const SETTINGS: [(&str, &str); 2] = [
    // Windows go on while the twin carries a connection, and no event tells of them: what lies outside of those that
    // this kernel last saw is no reason to drop it.
    ("net/netfilter/nf_conntrack_tcp_be_liberal", "1"),
    ("net/netfilter/nf_conntrack_events", "1"),
];

/// What the kernel answers when its table is full (`nf_conntrack_alloc`; the number is asm-generic/errno-base.h's).
const ENOMEM: i32 = 12;

/// The kernel's connections.
pub struct Flows {
    events: Events,
    table: Table,
    pub own: Own,
    /// Connections begin at the twin; here they only do where routes cross.
    pub is_passive: bool,
    recorder: Recorder,
    questions: Questions,
    batch: Batch,
    extensions: Batch,
    /// What the kernel refused; the engine is told once the batch is done.
    refused: Vec<(Kind, Vec<u8>)>,
    /// Keys of flows that had to give way to others, likewise.
    displaced: Vec<Vec<u8>>,
    owns_table: bool,
    /// The kernel had no room for one of them.
    is_full: bool,
    complained: bool,
}

impl Flows {
    /// Listens from now on, with so much room for events that wait.
    ///
    /// # Errors
    /// A kernel without connection tracking, or not enough privilege.
    pub fn open(own: Own, event_room_bytes: usize) -> Result<Self, sys::netlink::Error> {
        let table = Table::open()?;
        prepare();
        Ok(Flows {
            events: Events::open(event_room_bytes, Some(&table))?,
            table,
            own,
            is_passive: false,
            recorder: Recorder::new(),
            questions: Questions::new(),
            batch: Batch::new(),
            extensions: Batch::new(),
            refused: Vec::new(),
            displaced: Vec::new(),
            owns_table: false,
            is_full: false,
            complained: false,
        })
    }

    /// Readable when an event waits.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    /// Tells the engine of up to about `count_max` events; says whether more wait.
    pub fn hear(&mut self, now: Duration, engine: &mut Engine, count_max: usize) -> bool {
        let at = instant(now);
        self.hear_new(engine);
        let (events, questions) = (&mut self.events, &mut self.questions);
        let (table, own, recorder) = (&mut self.table, &self.own, &mut self.recorder);
        let heard = events.receive(count_max, |event| {
            match event {
                Ok(Event::Flow(change, flow)) if own.lets_mirror(&flow) => {
                    if change == Change::Destroyed {
                        engine.forget(at, Kind::Conntrack, recorder.flow_key(&flow));
                    } else if flow.is_whole() {
                        note(at, engine, recorder, &flow);
                    } else {
                        questions.ask(&flow);
                    }
                }
                Ok(Event::Expectation(Change::Destroyed, expectation)) => {
                    let key = recorder.expectation_key(&expectation);
                    engine.forget(at, Kind::Expectation, key);
                }
                Ok(Event::Expectation(_, expectation)) => {
                    let record = recorder.expectation(&expectation);
                    let (key, value) = (record.key, record.value);
                    engine.note(at, Kind::Expectation, key, value, record.lifetime_s);
                }
                Ok(Event::Flow(..)) => {}
                Err(error) => log::debug!("an event of connection tracking: {error}"),
            }
            if questions.count() >= QUESTIONS_MAX {
                ask(at, engine, table, questions, recorder);
            }
        });
        ask(at, engine, table, questions, recorder);
        match heard {
            Ok(Heard::All) => false,
            Ok(Heard::More) => true,
            lost => {
                if let Err(error) = lost {
                    log::warn!("{error}");
                }
                engine.events_lost(Kind::Conntrack);
                engine.events_lost(Kind::Expectation);
                true
            }
        }
    }

    /// Whether this box's table counts: then what was answered here does not give way to what the twin tells.
    pub fn own_table(&mut self, owns: bool) {
        if core::mem::replace(&mut self.owns_table, owns) != owns {
            self.send_batch();
            self.batch.keep_answered(owns);
        }
    }

    /// Takes a change for the kernel, which sees it at the next `flush` at the latest.
    pub fn apply(&mut self, change: &Apply<'_>) {
        match *change {
            // Another part of the kernel's.
            Apply::Put {
                kind: Kind::Ipvs, ..
            } => {}
            Apply::Put {
                kind,
                key,
                value,
                lifetime_s,
            } => {
                let lifetime_s = match kind {
                    Kind::Conntrack => lifetime_s.max(LIFETIME_MIN_S),
                    Kind::Expectation | Kind::Ipvs => lifetime_s,
                };
                self.make_room(key);
                let put = self.batch.put(kind_of(kind), key, value, lifetime_s);
                self.note_refusal(kind, key, put);
            }
            Apply::Remove { kind, key } => self.remove(kind, key),
        }
    }

    /// A flow is to be gone.
    pub fn remove(&mut self, kind: Kind, key: &[u8]) {
        if kind != Kind::Ipvs {
            self.make_room(key);
            let removed = self.batch.remove(kind_of(kind), key);
            self.note_refusal(kind, key, removed);
        }
    }

    /// A flow that is there is to live so many seconds from now.
    pub fn extend(&mut self, flow: &FlowRef<'_>, lifetime_s: u32) {
        if self.extensions.is_full() {
            self.send_extensions();
        }
        let key = self.recorder.flow_key(flow);
        // The kernel's own key can't be one that this version does not write.
        let _ = self.extensions.extend(key, lifetime_s);
    }

    /// Has the kernel extend what it was not told of yet. What it does not hold any more needs it no more.
    pub fn send_extensions(&mut self) {
        if self.extensions.is_empty() {
            return;
        }
        if let Err(error) = self.table.apply(&mut self.extensions) {
            log::debug!("{error}");
        }
        self.extensions.clear();
    }

    fn note_refusal(&mut self, kind: Kind, key: &[u8], outcome: Result<(), RecordError>) {
        if outcome.is_err() {
            self.refused.push((kind, key.into()));
        }
    }

    fn make_room(&mut self, key: &[u8]) {
        if self.batch.is_full() || self.batch.holds(key) {
            self.send_batch();
        }
    }

    /// Has the kernel do all that it was not told yet, and tells the engine what it refused, and what it has no more for it.
    pub fn flush(&mut self, now: Duration, engine: &mut Engine) {
        self.send_batch();
        self.hear_new(engine);
        for (kind, key) in self.refused.drain(..) {
            engine.applied_failed(instant(now), kind, &key);
        }
        for key in self.displaced.drain(..) {
            engine.forget(instant(now), Kind::Conntrack, &key);
        }
        if core::mem::take(&mut self.is_full) {
            engine.set_full(true);
        }
    }

    /// Events of what begins come again, if they were turned off for a batch.
    fn hear_new(&mut self, engine: &mut Engine) {
        if let Err(error) = self.events.hear_new(true) {
            log::warn!("{error}");
            engine.events_lost(Kind::Conntrack);
        }
    }

    fn send_batch(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        // Of what begins here at this very moment its first answer tells. Where it fails, events are built and filtered
        // out.
        let _ = self.events.hear_new(!self.is_passive);
        let outcome = self.table.apply(&mut self.batch);
        let mut trouble = outcome.err().map(|error| error.to_string());
        for (kind, key, errno) in self.batch.failures() {
            self.is_full |= errno == ENOMEM;
            trouble = Some(format!("the kernel refuses a connection (errno {errno})"));
            let kind = match kind {
                conntrack::Kind::Flow => Kind::Conntrack,
                conntrack::Kind::Expectation => Kind::Expectation,
            };
            self.refused.push((kind, key.into()));
        }
        self.displaced.extend(self.batch.displaced().map(Vec::from));
        self.batch.clear();
        if let Some(why) = trouble
            && !core::mem::replace(&mut self.complained, true)
        {
            log::warn!("mirroring connections: {why}; `status` counts more of these");
        }
    }

    /// Writes down a flow or an expectation of a dump.
    pub fn record<'a>(&'a mut self, event: &Event<'_>) -> Option<conntrack::record::Record<'a>> {
        match event {
            Event::Flow(_, flow) if self.own.lets_mirror(flow) => Some(self.recorder.flow(flow)),
            Event::Flow(..) => None,
            Event::Expectation(_, expectation) => Some(self.recorder.expectation(expectation)),
        }
    }
}

fn note(at: Instant, engine: &mut Engine, recorder: &mut Recorder, flow: &FlowRef<'_>) {
    let record = recorder.flow(flow);
    let (key, value) = (record.key, record.value);
    engine.note(at, Kind::Conntrack, key, value, record.lifetime_s);
}

fn prepare() {
    for (path, value) in SETTINGS {
        if let Err(error) = std::fs::write(Path::new("/proc/sys").join(path), value) {
            log::warn!("setting {path} to {value}: {error}; connections may break at a takeover");
        }
    }
}

/// Asks the kernel for flows that events told in part only.
fn ask(
    at: Instant,
    engine: &mut Engine,
    table: &mut Table,
    questions: &mut Questions,
    recorder: &mut Recorder,
) {
    if questions.count() == 0 {
        return;
    }
    let asked = table.ask(questions, |flow| note(at, engine, recorder, flow));
    questions.clear();
    if let Err(error) = asked {
        log::debug!("{error}");
        engine.events_lost(Kind::Conntrack);
    }
}

fn kind_of(kind: Kind) -> conntrack::Kind {
    match kind {
        Kind::Expectation => conntrack::Kind::Expectation,
        Kind::Conntrack | Kind::Ipvs => conntrack::Kind::Flow,
    }
}

/// The same time as the engine reckons it.
pub fn instant(at: Duration) -> Instant {
    Instant::from_micros(micros(at))
}
