//! Bad weather on a network between the boxes: of the datagrams to a port some are lost, some come twice and some
//! late, or only the first ones come at all. A bridge can only lose frames, so here the bridge drops all of them and a
//! thread carries them across.

use crate::net::{self, mac_bytes, tap};
use anyhow::{Context, Result};
use netlink::claim::Instruction;
use std::collections::VecDeque;
use std::fmt::{self, Display, Formatter};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use sys::packet::{PacketListener, PacketSocket};
use sys::poll;

/// ETH_P_ALL: frames that a bridge takes are seen by nobody else.
const ALL_FRAMES: u16 = 0x0003;
const FRAME_BYTES_MAX: usize = 2048;
const BUFFER_BYTES: usize = 4 << 20;
/// Room for every byte of a frame: passes all.
const PASS: [Instruction; 1] = [Instruction {
    code: 6,
    jump_true: 0,
    jump_false: 0,
    operand: u32::MAX,
}];
/// Frames that overtake one that comes late.
const LATE_FRAMES: usize = 3;
/// What comes late comes at the latest after so long.
const LATE: Duration = Duration::from_millis(20);
const UDP: u8 = 17;
/// A box that has said so much has been heard: what is said to it now is said to its present life.
const MET: u64 = 3;
/// A datagram that is as large is full of news; what boxes say all the time is smaller.
const FULL_BYTES: usize = 700;

/// What becomes of datagrams.
#[derive(Debug, Clone, Copy)]
enum Climate {
    /// Of a hundred so many are lost, as many doubled and as many late.
    Bad(u64),
    /// All pass until so many full ones from box `from` have since the other one spoke, and then none.
    Until { from: usize, full: u64 },
}

/// What became of datagrams.
#[derive(Debug, Clone, Copy)]
pub struct Tally {
    /// All that were sent.
    pub seen: u64,
    /// Never came.
    pub lost: u64,
    /// Came twice.
    pub doubled: u64,
    /// Came behind later ones.
    pub overtaken: u64,
}

impl Display for Tally {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Tally {
            seen,
            lost,
            doubled,
            overtaken,
        } = self;
        write!(
            f,
            "{seen} datagrams: {lost} lost, {doubled} doubled, {overtaken} overtaken"
        )
    }
}

/// Running bad weather; mends all when dropped.
#[derive(Debug)]
pub struct Weather {
    is_stopped: Arc<AtomicBool>,
    counts: Arc<Counts>,
    /// Hears when nothing passes any more.
    is_over: Receiver<()>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Climate {
    fn is_over(self, counts: &Counts) -> bool {
        let passed = counts.full.each_ref();
        match self {
            Climate::Bad(_) => false,
            Climate::Until { from, full } => passed
                .get(from)
                .is_some_and(|passed| passed.load(Ordering::Relaxed) >= full),
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    seen: AtomicU64,
    /// Those seen, by the box they came from.
    spoken: [AtomicU64; 2],
    /// Full ones that passed since the other box spoke, by the box they came from.
    full: [AtomicU64; 2],
    lost: AtomicU64,
    doubled: AtomicU64,
    overtaken: AtomicU64,
}

impl Weather {
    /// Of the datagrams to `port` on a network, `percent` are lost, as many doubled, and as many come late.
    pub fn start(network: &str, port: u16, percent: u64) -> Result<Self> {
        let ports = net::NODES.map(|node| {
            let tap = tap(node, network);
            format!("iifname \"{tap}\" udp dport {port}")
        });
        net::cut(&ports)?;
        Self::carry(network, port, Climate::Bad(percent))
    }

    /// Datagrams to `port` pass on this network alone, until so many ones full of news have from box `from`; then none.
    pub fn start_until(network: &str, port: u16, from: usize, full: u64) -> Result<Self> {
        net::cut(&[format!("udp dport {port}")])?;
        Self::carry(network, port, Climate::Until { from, full })
    }

    fn carry(network: &str, port: u16, climate: Climate) -> Result<Self> {
        let ways = [(0, 1), (1, 0)].map(|(from, to)| Way::open(network, from, to, port));
        let [there, back] = ways;
        let mut ways = [there?, back?];
        let (over, is_over) = mpsc::channel();
        let mut weather = Weather {
            is_stopped: Arc::default(),
            counts: Arc::default(),
            is_over,
            thread: None,
        };
        let (is_stopped, counts) = (Arc::clone(&weather.is_stopped), Arc::clone(&weather.counts));
        let thread = thread::Builder::new().name("weather".into());
        weather.thread = Some(thread.spawn(move || {
            let mut luck = Luck(0x9e37_79b9_7f4a_7c15);
            while !is_stopped.load(Ordering::Relaxed) {
                for way in &mut ways {
                    way.carry(climate, &mut luck, &counts)?;
                }
                if climate.is_over(&counts) {
                    // Whoever does not wait for it need not know.
                    let _ = over.send(());
                    return Ok(());
                }
                let mut fds = ways
                    .each_ref()
                    .map(|way| poll::readable(way.listener.as_fd()));
                let deadline_us = sys::clock::monotonic_us() + 5_000;
                poll::until(&mut fds, Some(deadline_us)).context("waiting for frames")?;
            }
            Ok(())
        })?);
        Ok(weather)
    }

    /// Waits until nothing passes any more.
    pub fn wait_over(&self, timeout: Duration) -> Result<()> {
        let heard = self.is_over.recv_timeout(timeout);
        let tally = self.tally();
        heard.with_context(|| format!("waiting for boxes that tell each other everything: {tally}"))
    }

    /// So far.
    pub fn tally(&self) -> Tally {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let Counts {
            seen,
            lost,
            doubled,
            overtaken,
            ..
        } = &*self.counts;
        Tally {
            seen: count(seen),
            lost: count(lost),
            doubled: count(doubled),
            overtaken: count(overtaken),
        }
    }

    /// Ends it.
    pub fn clear(mut self) -> Result<()> {
        self.is_stopped.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        net::mend()?;
        match ended {
            Some(Ok(outcome)) => outcome,
            _ => anyhow::bail!("the thread that made the weather panicked"),
        }
    }
}

impl Drop for Weather {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }
}

/// From one box to the other.
struct Way {
    listener: PacketListener,
    sender: PacketSocket,
    /// Index of the box they come from.
    from: usize,
    /// Index of the other box's tap.
    to: u32,
    from_mac: [u8; 6],
    port: u16,
    /// Frames that come late, each with how many have overtaken it and when it was held back.
    held: VecDeque<(usize, std::time::Instant, Vec<u8>)>,
}

impl Way {
    fn open(network: &str, from: usize, to: usize, port: u16) -> Result<Self> {
        let index = |node: usize| -> Result<u32> {
            let name = net::NODES.get(node).context("a pair has two boxes")?;
            let tap = tap(name, network);
            nix::net::if_::if_nametoindex(tap.as_str()).with_context(|| format!("finding {tap}"))
        };
        let listener = PacketListener::open_on(index(from)?, ALL_FRAMES, &PASS, BUFFER_BYTES)?;
        Ok(Way {
            listener,
            sender: PacketSocket::open()?,
            from,
            to: index(to)?,
            from_mac: mac_bytes(from, network),
            port,
            held: VecDeque::new(),
        })
    }

    /// Carries across what waits.
    fn carry(&mut self, climate: Climate, luck: &mut Luck, counts: &Counts) -> Result<()> {
        let mut buffer = [0; FRAME_BYTES_MAX];
        while let Some((_, length)) = self.listener.receive(&mut buffer)? {
            let frame = buffer.get(..length).unwrap_or_default();
            if !is_datagram(frame, self.from_mac, self.port) {
                continue;
            }
            if climate.is_over(counts) {
                return Ok(());
            }
            let add = |count: &AtomicU64| {
                count.fetch_add(1, Ordering::Relaxed);
            };
            add(&counts.seen);
            if let Some(spoken) = counts.spoken.get(self.from) {
                add(spoken);
            }
            let listener = counts.spoken.get(1 - self.from);
            let is_met = listener.is_some_and(|spoken| spoken.load(Ordering::Relaxed) >= MET);
            if let Some(full) = counts.full.get(self.from)
                && is_met
                && length >= FULL_BYTES
            {
                add(full);
            }
            let percent = match climate {
                Climate::Bad(percent) => percent,
                Climate::Until { .. } => 0,
            };
            match luck.percent() {
                lot if lot < percent => add(&counts.lost),
                lot if lot < 2 * percent => {
                    add(&counts.doubled);
                    self.send(frame);
                    self.send(frame);
                }
                lot if lot < 3 * percent => {
                    let now = std::time::Instant::now();
                    self.held.push_back((0, now, frame.to_vec()));
                    continue;
                }
                _ => self.send(frame),
            }
            self.held
                .iter_mut()
                .for_each(|(overtaken, ..)| *overtaken += 1);
            self.release(counts);
        }
        self.release(counts);
        Ok(())
    }

    /// Sends what was held back long enough.
    fn release(&mut self, counts: &Counts) {
        while let Some((overtaken, since, _)) = self.held.front() {
            if *overtaken < LATE_FRAMES && since.elapsed() < LATE {
                return;
            }
            if let Some((overtaken, _, frame)) = self.held.pop_front() {
                // Where nothing else was said meanwhile it comes late, but in its turn.
                if overtaken > 0 {
                    counts.overtaken.fetch_add(1, Ordering::Relaxed);
                }
                self.send(&frame);
            }
        }
    }

    fn send(&self, frame: &[u8]) {
        // A tap whose box is off takes nothing, as a wire would.
        let _ = self.sender.send(self.to, frame);
    }
}

/// An IPv4 UDP datagram to `port` from the box of that hardware address. What is sent to a box passes its tap too.
fn is_datagram(frame: &[u8], from: [u8; 6], port: u16) -> bool {
    let is_from = frame.get(6..12) == Some(&from[..]);
    let is_udp = frame.get(12..15) == Some(&[0x08, 0x00, 0x45]) && frame.get(23) == Some(&UDP);
    is_from && is_udp && frame.get(36..38) == Some(&port.to_be_bytes()[..])
}

/// The same luck in each run (xorshift64).
struct Luck(u64);

impl Luck {
    fn percent(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) % 100
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn only_datagrams_of_that_box_to_that_port_are_carried() {
        let mac = mac_bytes(0, "sync");
        let mut frame = vec![0; 60];
        frame[6..12].copy_from_slice(&mac);
        frame[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
        frame[23] = UDP;
        frame[36..38].copy_from_slice(&695_u16.to_be_bytes());
        assert!(is_datagram(&frame, mac, 695));
        assert!(!is_datagram(&frame, mac, 694));
        assert!(!is_datagram(&frame, mac_bytes(1, "sync"), 695));
        assert!(!is_datagram(&frame[..37], mac, 695));
        frame[23] = 6;
        assert!(!is_datagram(&frame, mac, 695));
    }

    #[test]
    fn luck_is_spread_evenly() {
        let mut luck = Luck(1);
        let low = (0..10_000).filter(|_| luck.percent() < 10).count();
        assert!((800..1200).contains(&low), "{low}");
    }
}
