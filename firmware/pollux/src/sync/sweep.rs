//! Reading the whole of the kernel's table, a piece in each turn, so that events and datagrams go on: for the engine,
//! which compares it with what it knows, and to extend what is mirrored here before it runs out.

use super::flows::{Flows, LIFETIME_MIN_S, instant};
use super::lifetimes::Lifetimes;
use core::time::Duration;
use netlink::conntrack::{self, Event};
use proto::sync::{Engine, Kind, Verdict};
use sys::conntrack::{Dump, Progress};

/// Events heard between a piece that was read and its telling: all that are ready, but for a flood.
const EVENTS_MAX: usize = 16_384;

/// From the beginning of one extension of all to that of the next, or longer where reading takes longer.
const EXTENSION_INTERVAL: Duration = Duration::from_secs(100);

/// From one piece of it to the next: a million flows take 80 s. With three million, flows would run out.
const PIECE_INTERVAL: Duration = Duration::from_millis(10);

/// Less is extended: it might run out before the next time.
const LEFT_MIN_S: u32 = 240;

const _: () = assert!((LEFT_MIN_S as u64) < LIFETIME_MIN_S as u64);
const _: () = assert!(2 * EXTENSION_INTERVAL.as_secs() < LEFT_MIN_S as u64);

/// A sweep for the engine.
pub struct Sweep {
    kind: Kind,
    dump: Dump,
    staged: Staged,
}

/// Records of one piece, one behind the other.
#[derive(Default)]
struct Staged {
    bytes: Vec<u8>,
    /// Bytes of key and of value, seconds.
    lengths: Vec<(usize, usize, u32)>,
}

impl Sweep {
    /// Begins one; `None` where the kernel can't be asked, which is tried again.
    pub fn begin(now: Duration, kind: Kind, engine: &mut Engine) -> Option<Self> {
        let of = match kind {
            Kind::Conntrack => conntrack::Kind::Flow,
            Kind::Expectation => conntrack::Kind::Expectation,
            Kind::Ipvs => return None,
        };
        engine.sweep_begin(instant(now), kind);
        match Dump::begin(of) {
            Ok(dump) => Some(Sweep {
                kind,
                dump,
                staged: Staged::default(),
            }),
            Err(error) => {
                log::warn!("{error}");
                engine.sweep_abort(instant(now), kind);
                None
            }
        }
    }

    /// Reads a piece and tells it; says whether there is more.
    pub fn step(&mut self, now: Duration, engine: &mut Engine, flows: &mut Flows) -> bool {
        self.staged.clear();
        let staged = &mut self.staged;
        let stepped = self.dump.step(|event| staged.add(flows, event));
        // What happened meanwhile is newer than the piece.
        flows.hear(now, engine, EVENTS_MAX);
        let at = instant(now);
        for (key, value, lifetime_s) in self.staged.records() {
            let verdict = engine.sweep_note(at, self.kind, key, value, lifetime_s);
            if verdict == Verdict::Remove {
                flows.remove(self.kind, key);
            }
        }
        match stepped {
            Ok(Progress::More) => return true,
            Ok(Progress::Done) => engine.sweep_end(at, self.kind),
            Err(error) => {
                log::debug!("{error}");
                engine.sweep_abort(at, self.kind);
            }
        }
        false
    }
}

impl Staged {
    fn clear(&mut self) {
        self.bytes.clear();
        self.lengths.clear();
    }

    fn add(&mut self, flows: &mut Flows, event: &Event<'_>) {
        let Some(record) = flows.record(event) else {
            return;
        };
        self.bytes.extend_from_slice(record.key);
        self.bytes.extend_from_slice(record.value);
        let (key, value) = (record.key.len(), record.value.len());
        self.lengths.push((key, value, record.lifetime_s));
    }

    fn records(&self) -> impl Iterator<Item = (&[u8], &[u8], u32)> {
        let mut rest = self.bytes.as_slice();
        self.lengths
            .iter()
            .map_while(move |&(key, value, lifetime_s)| {
                let (key, behind) = rest.split_at_checked(key)?;
                let (value, behind) = behind.split_at_checked(value)?;
                rest = behind;
                Some((key, value, lifetime_s))
            })
    }
}

/// The slow reading that keeps mirrored flows alive.
pub struct Extension {
    dump: Option<(Dump, Lifetimes)>,
    due_at: Duration,
    /// When the next one begins, if this one has ended by then.
    next_at: Duration,
}

impl Extension {
    /// The first one comes after a while.
    pub fn new(now: Duration) -> Self {
        let due_at = now.saturating_add(EXTENSION_INTERVAL);
        Extension {
            dump: None,
            due_at,
            next_at: due_at,
        }
    }

    /// When `step` is to be called.
    pub fn due_at(&self) -> Duration {
        self.due_at
    }

    /// Nothing is mirrored here now.
    pub fn stop(&mut self, now: Duration) {
        self.dump = None;
        self.due_at = now.saturating_add(EXTENSION_INTERVAL);
    }

    /// Flows are mirrored from now on that this kernel counted down itself until now.
    pub fn hurry(&mut self, now: Duration) {
        self.due_at = now;
    }

    /// Reads a piece if it is time, and extends what runs out.
    pub fn step(&mut self, now: Duration, flows: &mut Flows) {
        if now < self.due_at {
            return;
        }
        self.due_at = now.saturating_add(PIECE_INTERVAL);
        let stepped = match self.dump.take() {
            Some(begun) => Ok(begun),
            None => {
                self.next_at = now.saturating_add(EXTENSION_INTERVAL);
                Dump::begin(conntrack::Kind::Flow).map(|dump| (dump, Lifetimes::read()))
            }
        };
        let stepped = stepped.and_then(|(mut dump, lifetimes)| {
            let progress = dump.step(|event| {
                if let Event::Flow(_, flow) = event
                    && flow.lifetime_s() < LEFT_MIN_S
                    && flows.own.lets_mirror(flow)
                {
                    flows.extend(flow, lifetimes.of(flow));
                }
            })?;
            Ok(((dump, lifetimes), progress))
        });
        flows.send_extensions();
        match stepped {
            Ok((begun, Progress::More)) => self.dump = Some(begun),
            Ok((_, Progress::Done)) => self.due_at = self.next_at,
            Err(error) => {
                log::warn!("{error}");
                self.stop(now);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use netlink::conntrack::filter::Own;
    use nix::sched::{CloneFlags, unshare};
    use std::process::Command;

    fn conntrack(words: &str) {
        let output = Command::new("conntrack").args(words.split(' ')).output();
        let output = output.unwrap();
        assert!(output.status.success(), "conntrack {words}: {output:?}");
    }

    /// Protocol and seconds of all flows of this kernel, shortest first.
    fn lifetimes() -> Vec<(u8, u32)> {
        let (mut dump, mut lifetimes) = (Dump::begin(conntrack::Kind::Flow).unwrap(), Vec::new());
        let mut progress = Progress::More;
        while progress == Progress::More {
            let stepped = dump.step(|event| {
                if let Event::Flow(_, flow) = event {
                    lifetimes.push((flow.original.protocol, flow.lifetime_s()));
                }
            });
            progress = stepped.unwrap();
        }
        lifetimes.sort_unstable_by_key(|(_, seconds)| *seconds);
        lifetimes
    }

    /// In a thread of its own, in a network namespace of its own.
    fn extended_lifetimes() -> Option<Vec<(u8, u32)>> {
        if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
            crate::skip::skip(&format!("a network namespace wants root ({errno})"));
            return None;
        }
        let setting = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream";
        std::fs::write(setting, "900").unwrap();
        for (protocol, rest) in [
            ("tcp", "80 --state ESTABLISHED -u SEEN_REPLY,ASSURED -t 100"),
            ("tcp", "81 --state TIME_WAIT -u SEEN_REPLY,ASSURED -t 100"),
            (
                "tcp",
                "82 --state ESTABLISHED -u SEEN_REPLY,ASSURED -t 5000",
            ),
            ("udp", "53 -u SEEN_REPLY,ASSURED -t 20"),
        ] {
            let ends = "-s 10.1.0.10 -d 10.2.0.10 --sport 1000";
            conntrack(&format!("-I -p {protocol} {ends} --dport {rest}"));
        }
        let now = Duration::from_secs(1000);
        let mut flows = Flows::open(Own::new([], &[]), 1 << 16).unwrap();
        let mut extension = Extension::new(now);
        extension.step(now, &mut flows);
        assert_eq!(
            lifetimes().first().map(|(of, _)| *of),
            Some(17),
            "not yet due"
        );
        extension.hurry(now);
        let mut at = now;
        while extension.due_at() < now + EXTENSION_INTERVAL {
            at = at.max(extension.due_at());
            extension.step(at, &mut flows);
        }
        Some(lifetimes())
    }

    /// Seconds may pass while the test runs.
    #[test]
    fn what_runs_out_is_extended_to_what_its_owner_gives_it() {
        let Some(extended) = std::thread::spawn(extended_lifetimes).join().unwrap() else {
            return;
        };
        let wanted = [(6, 300), (17, 900), (6, 5000), (6, 432_000)];
        assert_eq!(extended.len(), wanted.len(), "{extended:?}");
        for ((protocol, seconds), (of, most)) in extended.into_iter().zip(wanted) {
            assert_eq!(protocol, of);
            assert!((most - 60..=most).contains(&seconds), "{seconds} of {most}");
        }
    }
}
