//! Frames on a byte stream such as a null modem: COBS (Cheshire and Baker 1999) with 0 between the
//! frames, and inside it a CRC-16/X-25 that drops line noise before anybody computes a MAC. The reader
//! finds its place again at the next 0, whatever came before. Nothing here knows what a frame means.

use crate::wire::{FRAME_BYTES_MAX, FRAME_BYTES_USUAL, FrameBytes};
use crc::{CRC_16_IBM_SDLC, Crc, Table};
use embedded_io::{Error as _, ErrorKind, Write};
use heapless::Vec;

/// CRC behind the frame, least significant byte first.
const CRC_BYTES: usize = 2;
/// COBS adds one byte to what is shorter than 255.
const COBS_BYTES: usize = 1;
/// One 0 before the frame ends whatever noise came before, one behind it ends the frame.
const DELIMITER_BYTES: usize = 2;
/// A frame between its delimiters.
const STUFFED_BYTES_MAX: usize = FRAME_BYTES_MAX + CRC_BYTES + COBS_BYTES;
/// A frame on the line.
pub const LINE_BYTES_MAX: usize = STUFFED_BYTES_MAX + DELIMITER_BYTES;
/// What a usual beat takes on the line: 40 ms of 19200 baud.
pub const LINE_BYTES_USUAL: usize = FRAME_BYTES_USUAL + CRC_BYTES + COBS_BYTES + DELIMITER_BYTES;

const CRC: Crc<u16, Table<1>> = Crc::<u16, Table<1>>::new(&CRC_16_IBM_SDLC);

// COBS_BYTES says 1, which holds below 255 bytes.
const _: () = assert!(FRAME_BYTES_MAX + CRC_BYTES < 255);

/// A frame as it goes onto the line.
pub type LineBytes = Vec<u8, LINE_BYTES_MAX>;

/// Puts a frame between delimiters. `None` if it is longer than `FRAME_BYTES_MAX`.
#[must_use]
pub fn encode(frame: &[u8]) -> Option<LineBytes> {
    let mut checked = Vec::<u8, { FRAME_BYTES_MAX + CRC_BYTES }>::new();
    checked.extend_from_slice(frame).ok()?;
    checked
        .extend_from_slice(&CRC.checksum(frame).to_le_bytes())
        .ok()?;

    let mut line = LineBytes::new();
    line.push(0).ok()?;
    for run in checked.split(|&byte| byte == 0) {
        // Each run is led by the distance to the 0 that it ends at; no run reaches 254 bytes.
        line.push(u8::try_from(run.len() + 1).ok()?).ok()?;
        line.extend_from_slice(run).ok()?;
    }
    line.push(0).ok()?;
    Some(line)
}

/// Undoes COBS. `None` if a run points past the end.
fn unstuff(mut stuffed: &[u8]) -> Option<Vec<u8, STUFFED_BYTES_MAX>> {
    let mut plain = Vec::new();
    while let Some((&code, rest)) = stuffed.split_first() {
        let (run, next) = rest.split_at_checked(usize::from(code).checked_sub(1)?)?;
        plain.extend_from_slice(run).ok()?;
        if !next.is_empty() {
            plain.push(0).ok()?;
        }
        stuffed = next;
    }
    Some(plain)
}

/// What the line brought that was no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Noise {
    /// Stretches between delimiters that are longer than any frame.
    pub too_long: u64,
    /// Stretches that are not COBS, or whose CRC is wrong.
    pub damaged: u64,
}

impl Noise {
    /// All together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.too_long.saturating_add(self.damaged)
    }
}

/// Finds frames in a byte stream, in chunks of any size. It holds one frame at most.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    stuffed: Vec<u8, STUFFED_BYTES_MAX>,
    /// The stretch has outgrown the buffer: the rest of it is passed over.
    overrun: bool,
    noise: Noise,
}

impl Decoder {
    /// Takes the next bytes of the stream and hands each frame that ends in them to `on_frame`.
    pub fn push(&mut self, chunk: &[u8], mut on_frame: impl FnMut(&[u8])) {
        for &byte in chunk {
            if byte != 0 {
                self.overrun |= self.stuffed.push(byte).is_err();
            } else if let Some(frame) = self.end_of_stretch() {
                on_frame(&frame);
            }
        }
    }

    /// What was thrown away so far.
    #[must_use]
    pub fn noise(&self) -> Noise {
        self.noise
    }

    fn end_of_stretch(&mut self) -> Option<FrameBytes> {
        let frame = if self.overrun {
            self.noise.too_long = self.noise.too_long.saturating_add(1);
            None
        } else if self.stuffed.is_empty() {
            None
        } else {
            let frame = checked_frame(&self.stuffed);
            if frame.is_none() {
                self.noise.damaged = self.noise.damaged.saturating_add(1);
            }
            frame
        };
        self.stuffed.clear();
        self.overrun = false;
        frame
    }
}

/// The frame in a stretch, if its CRC is right.
fn checked_frame(stuffed: &[u8]) -> Option<FrameBytes> {
    let plain = unstuff(stuffed)?;
    let (frame, crc) = plain.split_last_chunk::<CRC_BYTES>()?;
    if CRC.checksum(frame) != u16::from_le_bytes(*crc) {
        return None;
    }
    FrameBytes::from_slice(frame).ok()
}

/// Writes frames to a port that may take only part of one. Bound: the frame on its way, and one that
/// waits. A newer frame replaces the one that waits, since the newest beat says all that older ones do.
#[derive(Debug, Clone, Default)]
pub struct Sender {
    on_its_way: LineBytes,
    written: usize,
    waiting: LineBytes,
    replaced: u64,
}

impl Sender {
    /// Queues a frame; `write_to` writes it. Frames longer than `FRAME_BYTES_MAX` are dropped.
    pub fn queue(&mut self, frame: &[u8]) {
        let Some(line) = encode(frame) else { return };
        if !self.waiting.is_empty() {
            self.replaced = self.replaced.saturating_add(1);
        }
        self.waiting = line;
    }

    /// Writes as much as the port takes. Returns whether bytes are left: call again when it is
    /// writable. A full non-blocking port returns `Ok(0)` or an error of kind `WriteZero`.
    ///
    /// # Errors
    /// Those of the port; the frame on its way is given up, so that the next starts clean.
    pub fn write_to<W: Write>(&mut self, port: &mut W) -> Result<bool, W::Error> {
        loop {
            let rest = self.on_its_way.get(self.written..).unwrap_or_default();
            if rest.is_empty() {
                if self.waiting.is_empty() {
                    return Ok(false);
                }
                self.on_its_way = core::mem::take(&mut self.waiting);
                self.written = 0;
                continue;
            }
            match port.write(rest) {
                Ok(0) => return Ok(true),
                Ok(count) => self.written = self.written.saturating_add(count),
                Err(error) if error.kind() == ErrorKind::WriteZero => return Ok(true),
                Err(error) => {
                    self.on_its_way.clear();
                    self.written = 0;
                    return Err(error);
                }
            }
        }
    }

    /// Frames that never left because a newer one came first: the line is slower than configured.
    #[must_use]
    pub fn replaced(&self) -> u64 {
        self.replaced
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
