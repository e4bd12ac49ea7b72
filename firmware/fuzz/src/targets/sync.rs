//! State sync of a whole box, told by a script: a twin that has the key and says anything, strangers, time, roles, and
//! a kernel that changes, refuses and is swept. The twin's datagrams are built here from the layout that
//! `proto::sync` documents, not by the codec under test. After each happening the box must keep its word: `Kernel` and
//! `World::holds` say which.

mod kernel;

use super::wire::{KEY, tag};
use hmac::{Hmac, Mac};
use kernel::{Kernel, kind};
use pollux::fuzzing::{script, written};
use proto::sync::{
    DATAGRAM_BYTES_MAX, Engine, HEADER_BYTES, KindStatus, MAC_BYTES, Rejection, Settings, VERSION,
    Want,
};
use proto::time::Instant;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::time::Duration;

const INCARNATION: u64 = 0x0123_4567_89ab_cdef;
/// Longer waits are as good as this one.
const WAIT_US_MAX: u32 = 20_000_000;
/// Datagrams that a box may send in one moment.
const SENT_AT_ONCE_MAX: usize = 200;
/// Flags of a twin that is active, has read its table, has told all of it, and waits for an acknowledgement.
const ACTIVE: u8 = 0b1111;
/// The same, passive.
const PASSIVE: u8 = 0b1110;

/// What happens to the box.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Happening {
    /// Time passes, in microseconds; the box is woken when it asked for it.
    Wait(u32),
    /// The twin's next datagram, in order: it has heard all of the box's, and says this.
    Says(Said),
    /// A datagram of the twin's that is behind or ahead of its turn, whatever it acknowledges.
    Strays(i16, u64, Said),
    /// The twin starts again, under this number.
    Restart(u64),
    /// A stranger's bytes.
    Noise(Vec<u8>),
    /// The box's own last datagram comes back.
    Own,
    /// The twin's last datagram comes again.
    Replay,
    Role(bool, u32),
    /// The kernel has a flow, of that kind, key and value.
    Note(u8, Vec<u8>, Vec<u8>),
    Forget(u8, Vec<u8>),
    /// Events were lost; a sweep finds what the kernel holds.
    Lost(u8),
    /// Whether the kernel takes what it is told from here on.
    Refuse(bool),
    /// This box is about to take over.
    Flush,
}

/// What a datagram of the twin's says.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Said {
    flags: u8,
    rank: u32,
    /// Of the datagrams before this one so many may still come.
    missing: u8,
    agreed: u64,
    doubted: u64,
    flushes: (u16, u16),
    items: Vec<u8>,
}

/// A box, by the first byte, and its script.
pub(super) fn run(bytes: &[u8]) {
    let Some((&kind, happenings)) = bytes.split_first() else {
        return;
    };
    let mut world = World::new(kind & 1 == 1);
    for happening in script(happenings) {
        world.happen(&happening);
        world.serve();
        world.holds(&happening);
    }
}

struct World {
    engine: Engine,
    kernel: Kernel,
    now: Instant,
    twin: u64,
    /// Number of the twin's last datagram.
    sequence: u64,
    /// The twin's last datagram, and whether the box took it from a peer that it knew.
    said: Vec<u8>,
    is_taken: bool,
    /// The box's last datagram.
    sent: Vec<u8>,
}

impl World {
    fn new(is_active: bool) -> Self {
        let now = Instant::from_micros(1_000_000);
        let settings = Settings {
            cluster: tag(),
            key: &KEY,
            incarnation: INCARNATION,
            table: 1,
        };
        let mut engine = Engine::new(now, &settings);
        engine.set_role(now, is_active, 2);
        let mut world = Self {
            engine,
            kernel: Kernel::default(),
            now,
            twin: 77,
            sequence: 0,
            said: Vec::new(),
            is_taken: false,
            sent: Vec::new(),
        };
        world.serve();
        world
    }

    fn happen(&mut self, happening: &Happening) {
        let now = self.now;
        match happening {
            Happening::Wait(span_us) => self.wait(*span_us),
            Happening::Says(said) => {
                self.sequence += 1;
                self.hear(self.sequence, number(&self.sent, 28), said);
            }
            Happening::Strays(by, heard, said) => {
                let sequence = self.sequence.saturating_add_signed((*by).into());
                self.hear(sequence, *heard, said);
            }
            Happening::Restart(incarnation) => {
                self.twin = *incarnation;
                self.sequence = 0;
            }
            Happening::Noise(bytes) => self.ignores(bytes),
            Happening::Own => self.ignores(&self.sent.clone()),
            Happening::Replay if self.is_taken => self.ignores(&self.said.clone()),
            Happening::Replay => {}
            Happening::Role(is_active, term) => {
                self.engine.set_role(now, *is_active, (*term).into());
            }
            Happening::Note(of, key, value) => {
                self.kernel
                    .note(&mut self.engine, now, kind(*of), key, value);
            }
            Happening::Forget(of, key) => {
                self.kernel.forget(&mut self.engine, now, kind(*of), key);
            }
            Happening::Lost(of) => self.engine.events_lost(kind(*of)),
            Happening::Refuse(refuses) => self.kernel.refuses = *refuses,
            Happening::Flush => self.engine.request_flush(now),
        }
    }

    /// Whatever a holder of the key says is thrown away as a whole or applied as a whole.
    fn hear(&mut self, sequence: u64, heard: u64, said: &Said) {
        let tag = self.sent.get(1..3).unwrap_or_default();
        self.said = datagram(tag, self.twin, sequence, heard, said);
        let sessions = |engine: &Engine| engine.status(self.now).sessions;
        let before = sessions(&self.engine);
        let result = self.engine.handle_datagram(self.now, &self.said);
        // What proves the twin is not taken, unless it is empty.
        self.is_taken = result.is_ok() && sessions(&self.engine) == before;
        self.kernel.apply(&mut self.engine, self.now);
    }

    /// Bytes of nobody, or that were heard before: they are counted and change nothing.
    fn ignores(&mut self, bytes: &[u8]) {
        let before = self.engine.status(self.now);
        let cause = self.engine.handle_datagram(self.now, bytes).err();
        assert!(cause.is_some(), "noise was heard");
        assert_eq!(self.engine.poll_apply(self.now), None);
        let mut expected = before;
        for (counter, each) in expected.rejected.iter_mut().zip(Rejection::ALL) {
            *counter += u64::from(Some(each) == cause);
        }
        let after = self.engine.status(self.now);
        assert_eq!(after, expected, "noise is counted and changes nothing else");
    }

    /// Wakes the box whenever it asked for it, as the worker does.
    fn wait(&mut self, span_us: u32) {
        let end = self.now + Duration::from_micros(span_us.min(WAIT_US_MAX).into());
        for _ in 0..64 {
            let due = self.engine.poll_timeout().unwrap_or(end).max(self.now);
            if due > end {
                break;
            }
            // A timer is never early, and late by some.
            self.now = due + Duration::from_micros(50);
            self.serve();
        }
        // What is left of a long wait is slept through.
        self.now = self.now.max(end);
    }

    /// Does what the engine wants, and sends what it has to send.
    fn serve(&mut self) {
        for _ in 0..16 {
            match self.engine.poll_want(self.now) {
                Some(Want::Sweep(kind)) => self.kernel.sweep(&mut self.engine, self.now, kind),
                Some(Want::Drain) => self.engine.drained(self.now),
                None => break,
            }
        }
        assert_eq!(self.engine.poll_want(self.now), None, "it wants no end");
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        let mut sent = 0;
        while let Some(length) = self.engine.poll_transmit(self.now, &mut buffer) {
            self.sent = buffer.get(..length).unwrap_or_default().to_vec();
            let parts = self.sent.split_last_chunk::<MAC_BYTES>();
            let is_signed = parts.is_some_and(|(signed, found)| mac(signed) == found);
            assert!(is_signed && length >= HEADER_BYTES + MAC_BYTES, "{length}");
            sent += 1;
            assert!(sent < SENT_AT_ONCE_MAX, "it never falls silent");
        }
    }

    /// What the box says of its table is what its kernel holds, and it never waits for a moment that is over.
    fn holds(&self, happening: &Happening) {
        let status = self.engine.status(self.now);
        let here = status.kinds.map(|KindStatus { here, .. }| here);
        assert_eq!(here, self.kernel.held(), "after {happening:?}");
        let due = self.engine.poll_timeout();
        assert!(due.is_some(), "it would never be woken again");
    }
}

/// A datagram of the twin's, as the layout in `proto/src/sync/wire.rs` has it.
fn datagram(tag: &[u8], sender: u64, sequence: u64, heard: u64, said: &Said) -> Vec<u8> {
    let floor = sequence.saturating_sub(said.missing.into());
    let mut bytes = vec![VERSION];
    bytes.extend(tag);
    bytes.push(said.flags);
    for number in [sender, INCARNATION, 2, sequence, floor] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(said.rank.to_le_bytes());
    for number in [heard, 0, 0, 0, 0, said.agreed, said.doubted] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([0; 12]);
    bytes.extend(said.flushes.0.to_le_bytes());
    bytes.extend(said.flushes.1.to_le_bytes());
    bytes.extend(&said.items);
    bytes.extend(mac(&bytes));
    bytes
}

/// The MAC of these bytes: RFC 2104, under the key that is drawn from the pair's.
fn mac(bytes: &[u8]) -> Vec<u8> {
    let keyed = |key: &[u8], bytes: &[u8]| {
        let keyed = Hmac::<Sha256>::new_from_slice(key).ok();
        keyed.map(|keyed| keyed.chain_update(bytes).finalize().into_bytes())
    };
    let drawn = keyed(&KEY, b"pollux state sync 1").unwrap_or_default();
    let mac = keyed(&drawn, bytes).unwrap_or_default();
    mac.iter().copied().take(MAC_BYTES).collect()
}

/// The number of eight bytes there.
fn number(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    bytes.copied().map_or(0, u64::from_le_bytes)
}

/// What a twin of that role and rank says with these items.
fn said(flags: u8, rank: u32, items: &[u8]) -> Said {
    Said {
        flags,
        rank,
        missing: 3,
        agreed: 0,
        doubted: 0,
        flushes: (0, 0),
        items: items.to_vec(),
    }
}

fn says(flags: u8, rank: u32, items: &[u8]) -> Happening {
    Happening::Says(said(flags, rank, items))
}

/// The key of a connection.
fn key(last: u8) -> Vec<u8> {
    vec![1, 2, 3, last]
}

/// A record of a connection, with that tag.
fn record(tag: &[u8], last: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap_or(u8::MAX);
    let parts = [tag, &[4], &key(last), &[length, 0], value, &[120, 0, 0, 0]];
    parts.concat()
}

/// What a passive box hears: states, an older owner's, a removal, one that is late, sums, a list.
fn told() -> Vec<Happening> {
    let removal = [&[4, 4][..], &key(7)].concat();
    let slice = [&[0x10, 0][..], &[0; 32], &[1; 1024]].concat();
    let list = [&[0x20, 5, 0, 0, 0, 1][..], &[9; 12]].concat();
    let states = [record(&[0], 7, b"state"), record(&[0], 9, b"other")].concat();
    vec![
        says(ACTIVE, 5, &states),
        says(ACTIVE, 5, &record(&[8, 9, 0, 0, 0], 8, b"old")),
        Happening::Wait(10_000),
        says(ACTIVE, 5, &removal),
        Happening::Strays(-1, 3, said(ACTIVE, 5, &record(&[0], 7, b"late"))),
        Happening::Replay,
        says(ACTIVE, 5, &slice),
        Happening::Wait(30_000),
        says(ACTIVE, 5, &list),
        Happening::Wait(500_000),
    ]
}

/// What an active box goes through: requests, lost events, a silence, another start of the twin's.
fn tells() -> Vec<Happening> {
    let asked = [&[0x30, 2, 5, 0, 6, 0][..], &[0x40, 1], &[3; 8]].concat();
    let note = |last: u8| Happening::Note(0, key(last), vec![last; 20]);
    vec![
        note(1),
        note(2),
        Happening::Wait(6_000),
        says(PASSIVE, 4, &asked),
        Happening::Forget(0, key(1)),
        Happening::Wait(100_000),
        Happening::Lost(0),
        says(PASSIVE, 4, &[]),
        Happening::Own,
        Happening::Flush,
        Happening::Wait(3_000_000),
        note(3),
        says(PASSIVE, 4, &[]),
        Happening::Restart(78),
        Happening::Noise(vec![1, 2, 3]),
    ]
}

/// Roles change, and a kernel refuses.
fn turns() -> Vec<Happening> {
    vec![
        Happening::Note(0, key(1), b"mine".to_vec()),
        says(ACTIVE, 5, &record(&[0], 7, b"state")),
        Happening::Role(true, 3),
        Happening::Forget(0, key(7)),
        says(PASSIVE, 4, &record(&[0], 7, b"older")),
        Happening::Refuse(true),
        Happening::Role(false, 4),
        says(ACTIVE, 9, &record(&[0], 8, b"refused")),
        Happening::Wait(2_000_000),
    ]
}

/// Twins that tell, compare, ask, remove, take over, and are let go.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let story = |kind: u8, flags: u8, rank: u32, happenings: Vec<Happening>| {
        let meets = [says(flags, rank, &[]), Happening::Wait(300_000)];
        let meeting = written(&meets);
        [vec![kind], meeting.clone(), meeting, written(&happenings)].concat()
    };
    vec![
        story(0, ACTIVE, 5, told()),
        story(1, PASSIVE, 4, tells()),
        story(0, ACTIVE, 5, turns()),
    ]
}
