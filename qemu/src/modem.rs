//! The null-modem cable between the boxes' second serial ports. The testbed sits in the middle, so that it
//! can pull the cable or one wire of it, listen, say things that neither box said, and be a slow and noisy line.
//! As it is made, bytes are passed on as they come: QEMU's UART sends at any speed.

use crate::timeline::lock;
use anyhow::{Context, Result, bail};
use socket2::SockRef;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of line noise kept for replays; older ones go first.
const HEARD_BYTES_MAX: usize = 64 * 1024;
/// Start bit, eight bits, stop bit.
const BITS_PER_BYTE: f64 = 10.0;

/// Bytes on their way to a box: five beats. A real line holds none, but an emulated box may take its time.
/// What comes on top is lost, as in a port that overruns: a box that boots must not find seconds of its twin's
/// past in there.
const ON_THE_WAY_BYTES_MAX: usize = 512;

/// One end of the cable.
#[derive(Debug)]
struct End {
    to_box: Mutex<Option<UnixStream>>,
    line: SyncSender<u8>,
    /// What the box said last.
    heard: Mutex<Vec<u8>>,
    /// Its transmit wire is cut.
    is_mute: AtomicBool,
}

impl End {
    fn new() -> (Arc<Self>, Receiver<u8>) {
        let (line, far) = mpsc::sync_channel(ON_THE_WAY_BYTES_MAX);
        let end = End {
            to_box: Mutex::default(),
            line,
            heard: Mutex::default(),
            is_mute: AtomicBool::default(),
        };
        (Arc::new(end), far)
    }

    /// Hands what is on the line to the box, which hears nothing while its power is off.
    fn deliver(&self, line: &Receiver<u8>) {
        while let Ok(byte) = line.recv() {
            let bytes: Vec<u8> = [byte].into_iter().chain(line.try_iter()).collect();
            let to_box = lock(&self.to_box).as_ref().map(UnixStream::try_clone);
            if let Some(Ok(mut to_box)) = to_box {
                let _ = to_box.write_all(&bytes);
            }
        }
    }
}

/// A line as it is in a long cable beside a motor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quality {
    /// What the line carries in bits per second; a byte has ten. 0: any speed.
    pub baud: u32,
    /// One byte in this many gets a bit turned over. 0: none.
    pub noise_every_bytes: u32,
}

/// The cable; clones share it.
#[derive(Debug, Clone)]
pub struct NullModem {
    ends: [Arc<End>; 2],
    baud: Arc<AtomicU32>,
    noise_every_bytes: Arc<AtomicU32>,
}

impl NullModem {
    /// Listens for the two QEMUs on `sockets`, again after each power cut.
    pub fn listen(sockets: [&Path; 2]) -> Result<Self> {
        let (ends, lines): (Vec<_>, Vec<_>) = [End::new(), End::new()].into_iter().unzip();
        let ends = <[Arc<End>; 2]>::try_from(ends).ok();
        let cable = NullModem {
            ends: ends.context("a null modem has two ends")?,
            baud: Arc::default(),
            noise_every_bytes: Arc::default(),
        };
        for (side, (socket, line)) in sockets.into_iter().zip(lines).enumerate() {
            let listener = UnixListener::bind(socket)
                .with_context(|| format!("listening on {}", socket.display()))?;
            let speaker = cable.clone();
            thread::Builder::new()
                .name(format!("null modem {side}"))
                .spawn(move || {
                    for stream in listener.incoming().flatten() {
                        speaker.carry(side, stream);
                    }
                })?;
            let end = cable.ends.get(side).map(Arc::clone);
            thread::Builder::new()
                .name(format!("line to {side}"))
                .spawn(move || {
                    if let Some(end) = end {
                        end.deliver(&line);
                    }
                })?;
        }
        Ok(cable)
    }

    /// Passes on what the box at `side` says, until its power is cut.
    fn carry(&self, side: usize, mut stream: UnixStream) {
        let (Some(here), Some(there)) = (self.ends.get(side), self.ends.get(1 - side)) else {
            return;
        };
        // The kernel makes of it what it keeps at least: a few frames.
        let _ = SockRef::from(&stream).set_send_buffer_size(1);
        *lock(&here.to_box) = stream.try_clone().ok();
        let mut line = Line::new(side);
        let mut bytes = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            let bytes = bytes.get_mut(..count).unwrap_or_default();
            remember(&mut lock(&here.heard), bytes);
            line.spoil(bytes, self.noise_every_bytes.load(Ordering::Relaxed));
            line.pace(bytes.len(), self.baud.load(Ordering::Relaxed));
            if !here.is_mute.load(Ordering::Relaxed) {
                // Where the line is full, the rest is lost.
                let _ = bytes.iter().try_for_each(|byte| there.line.try_send(*byte));
            }
        }
        *lock(&here.to_box) = None;
    }

    /// Pulls the cable.
    pub fn cut(&self) {
        [0, 1].into_iter().for_each(|side| self.cut_from(side));
    }

    /// Cuts the wire on which the box at `side` speaks; it still hears.
    pub fn cut_from(&self, side: usize) {
        if let Some(end) = self.ends.get(side) {
            end.is_mute.store(true, Ordering::Relaxed);
        }
    }

    /// Puts the cable back.
    pub fn mend(&self) {
        for end in &self.ends {
            end.is_mute.store(false, Ordering::Relaxed);
        }
    }

    /// Makes it a line of that quality, both ways.
    pub fn set_quality(&self, quality: Quality) {
        self.baud.store(quality.baud, Ordering::Relaxed);
        let noise = quality.noise_every_bytes;
        self.noise_every_bytes.store(noise, Ordering::Relaxed);
    }

    /// Says `bytes` to the box at `side`, as if they came down the line.
    pub fn inject(&self, side: usize, bytes: &[u8]) -> Result<()> {
        let end = self.ends.get(side).context("a null modem has two ends")?;
        match lock(&end.to_box).as_ref() {
            Some(mut stream) => Ok(stream.write_all(bytes)?),
            None => bail!("saying something on the null modem: the box at end {side} is off"),
        }
    }

    /// What the box at `side` said last, up to 64 KiB.
    pub fn heard(&self, side: usize) -> Vec<u8> {
        self.ends
            .get(side)
            .map(|end| lock(&end.heard).clone())
            .unwrap_or_default()
    }
}

/// The line's own doings in one direction, while it is not perfect.
#[derive(Debug)]
struct Line {
    /// When the last byte has left it.
    free_at: Instant,
    /// xorshift64; the same errors in each run for the same bytes.
    random: u64,
}

impl Line {
    fn new(side: usize) -> Self {
        Line {
            free_at: Instant::now(),
            random: 0x9e37_79b9_7f4a_7c15 ^ (side as u64 + 1),
        }
    }

    fn spoil(&mut self, bytes: &mut [u8], every_bytes: u32) {
        for byte in bytes {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            let is_hit = self.random.checked_rem(every_bytes.into()) == Some(0);
            if is_hit {
                *byte ^= 1 << (self.random >> 40 & 7);
            }
        }
    }

    /// Waits as long as `count` bytes take.
    fn pace(&mut self, count: usize, baud: u32) {
        if baud == 0 {
            return;
        }
        #[allow(clippy::cast_precision_loss)] // counts of a kilobyte
        let seconds = count as f64 * BITS_PER_BYTE / f64::from(baud);
        let now = Instant::now();
        self.free_at = self.free_at.max(now) + Duration::from_secs_f64(seconds);
        thread::sleep(self.free_at - now);
    }
}

fn remember(heard: &mut Vec<u8>, bytes: &[u8]) {
    heard.extend_from_slice(bytes);
    let excess = heard.len().saturating_sub(HEARD_BYTES_MAX);
    heard.drain(..excess);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_turns_over_one_bit_of_about_so_many_bytes() {
        let mut bytes = vec![0x55; 20_000];
        Line::new(0).spoil(&mut bytes, 100);
        let hit: Vec<_> = bytes.iter().filter(|byte| **byte != 0x55).collect();
        assert!((150..250).contains(&hit.len()), "{}", hit.len());
        assert!(hit.iter().all(|byte| (**byte ^ 0x55).count_ones() == 1));
        let mut clean = vec![0x55; 1000];
        Line::new(0).spoil(&mut clean, 0);
        assert!(clean.iter().all(|byte| *byte == 0x55));
    }

    #[test]
    fn a_line_takes_its_time() {
        let began = Instant::now();
        let mut line = Line::new(1);
        line.pace(48, 9600);
        line.pace(48, 9600);
        assert!(began.elapsed() >= Duration::from_millis(99));
    }
}
