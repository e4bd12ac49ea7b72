//! A disk that remembers only the sectors that differ from another one, so that a fresh one costs nothing.

use std::collections::BTreeMap;
use std::io::{Read, Result, Seek, SeekFrom, Write};

const SECTOR_BYTES: usize = 512;

/// The same disk, written to.
pub(super) struct Disk {
    before: &'static [u8],
    written: BTreeMap<usize, [u8; SECTOR_BYTES]>,
    position: usize,
}

impl Disk {
    /// One that holds these bytes.
    pub(super) fn new(before: &'static [u8]) -> Self {
        Disk {
            before,
            written: BTreeMap::new(),
            position: 0,
        }
    }

    /// Puts bytes anywhere; those behind the end are lost.
    pub(super) fn patch(&mut self, offset_bytes: u64, mut bytes: &[u8]) {
        self.position = usize::try_from(offset_bytes).unwrap_or(usize::MAX);
        while let Ok(count @ 1..) = self.write(bytes) {
            bytes = bytes.get(count..).unwrap_or_default();
        }
    }

    /// The sector under the head, where in it the head is, and how many bytes of it there are.
    fn place(&self) -> (usize, usize, usize) {
        let within = self.position % SECTOR_BYTES;
        let left = self.before.len().saturating_sub(self.position);
        (
            self.position / SECTOR_BYTES,
            within,
            left.min(SECTOR_BYTES - within),
        )
    }

    fn sector(&self, number: usize) -> [u8; SECTOR_BYTES] {
        let before = || {
            let start = number * SECTOR_BYTES;
            let bytes = self.before.get(start..)?.first_chunk()?;
            Some(*bytes)
        };
        let written = self.written.get(&number).copied();
        written.or_else(before).unwrap_or([0; SECTOR_BYTES])
    }
}

impl Read for Disk {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let (number, within, left) = self.place();
        let count = left.min(buffer.len());
        let sector = self.sector(number);
        for (to, from) in buffer
            .iter_mut()
            .zip(sector.iter().skip(within))
            .take(count)
        {
            *to = *from;
        }
        self.position += count;
        Ok(count)
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let (number, within, left) = self.place();
        let count = left.min(bytes.len());
        let mut sector = self.sector(number);
        for (to, from) in sector.iter_mut().skip(within).zip(bytes).take(count) {
            *to = *from;
        }
        if count > 0 {
            self.written.insert(number, sector);
        }
        self.position += count;
        Ok(count)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Seek for Disk {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let from = |base: usize, by: i64| {
            let base = i64::try_from(base).ok()?;
            usize::try_from(base.checked_add(by)?).ok()
        };
        let position = match to {
            SeekFrom::Start(position) => usize::try_from(position).ok(),
            SeekFrom::End(by) => from(self.before.len(), by),
            SeekFrom::Current(by) => from(self.position, by),
        };
        self.position = position.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(self.position as u64)
    }
}
