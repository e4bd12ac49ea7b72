//! Datagrams of state sync. The MAC is checked before a byte behind the cluster tag is looked at, and all items are
//! checked before one of them counts, so a datagram acts as a whole or not at all. All numbers are little endian.
//!
//! ```text
//! 0        version             1   VERSION
//! 1        cluster tag         2   as in heartbeats
//! 3        flags               1   ACTIVE, READY, SETTLED, WANTS_ACK
//! 4        sender              8   incarnation of the sender
//! 12       echo                8   incarnation of the receiver as the sender knows it, 0 before
//! 20       table               8   life of the sender's kernel table (`Settings::table`)
//! 28       sequence            8   counts up by one with each datagram of that incarnation
//! 36       floor               8   no older datagram is still waited for
//! 44       rank                4   the sender's term and role (`Rank`)
//! 48       acknowledged        8   every datagram up to here was taken, or is below the receiver's floor
//! 56       bitmap             32   which of the following 256 were taken, too
//! 88       agreed              8   slices of the table that the sender found equal to the receiver's
//! 96       doubted             8   slices of which the sender, whose table counts, takes back what it told
//! 104      held               12   flows in the sender's kernel, by kind
//! 116      flush asked         2   counts the sender's requests for a flush
//! 118      flush done          2   the receiver's last request that is fulfilled
//! 120      items                   records, or digests, lists and requests (`Item`)
//! len-16   MAC                16   HMAC-SHA256 of all before it, truncated to 128 bits
//! ```

use super::item::Items;
use super::{DATAGRAM_BYTES_MAX, Kind, Rejection};
use crate::wire::ClusterTag;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// First byte of every datagram.
pub const VERSION: u8 = 1;
/// Bytes before the items.
pub const HEADER_BYTES: usize = 120;
/// Truncated HMAC-SHA256.
pub const MAC_BYTES: usize = 16;
/// Datagrams that may be on their way, or missing, at once.
pub(super) const WINDOW: u64 = 256;

/// The sender holds the addresses.
pub(super) const ACTIVE: u8 = 1;
/// It has read its kernel's table and takes records; not said to a start that has not proved itself.
pub(super) const READY: u8 = 1 << 1;
/// It has told all it knows: nothing waits for a sweep.
pub(super) const SETTLED: u8 = 1 << 2;
/// It waits for an acknowledgement of this datagram.
pub(super) const WANTS_ACK: u8 = 1 << 3;

/// Which datagrams of the other side were taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// All up to this one were, or are waited for no longer.
    pub(super) base: u64,
    /// The 256 after it: bit 0 of the first word is the one right after.
    pub(super) bitmap: [u64; 4],
}

impl Taken {
    pub(super) fn has(&self, sequence: u64) -> bool {
        if sequence <= self.base {
            return true;
        }
        let ahead = sequence - self.base - 1;
        let word = self
            .bitmap
            .get(usize::try_from(ahead / 64).unwrap_or(usize::MAX));
        word.is_some_and(|word| word >> (ahead % 64) & 1 == 1)
    }

    /// The newest one that was.
    pub(super) fn highest(&self) -> u64 {
        let words = self.bitmap.iter().zip([0, 64, 128, 192]).rev();
        let top = words.map(|(word, at)| (at, 64 - u64::from(word.leading_zeros())));
        let top = top.into_iter().find(|(_, bits)| *bits > 0);
        self.base + top.map_or(0, |(at, bits)| at + bits)
    }

    /// Takes one that lies after the base, by less than the window.
    pub(super) fn take(&mut self, sequence: u64) {
        let ahead = sequence.saturating_sub(self.base + 1);
        if let Some(word) = self
            .bitmap
            .get_mut(usize::try_from(ahead / 64).unwrap_or(usize::MAX))
        {
            *word |= 1 << (ahead % 64);
        }
        while self.bitmap.first().is_some_and(|word| word & 1 == 1) {
            self.advance(self.base + 1);
        }
    }

    /// Gives up all up to `base`.
    pub(super) fn advance(&mut self, base: u64) {
        let by = base.saturating_sub(self.base);
        if by == 0 {
            return;
        }
        self.base = base;
        let words = usize::try_from(by / 64).unwrap_or(usize::MAX);
        let bits = by % 64;
        let old = self.bitmap;
        let word = |at: usize| old.get(at.saturating_add(words)).copied().unwrap_or(0);
        for (at, to) in self.bitmap.iter_mut().enumerate() {
            let carried = if bits == 0 {
                0
            } else {
                word(at + 1) << (64 - bits)
            };
            *to = word(at) >> bits | carried;
        }
    }
}

/// What every datagram says, whatever else it carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) flags: u8,
    pub(super) sender: u64,
    pub(super) echo: u64,
    pub(super) table: u64,
    pub(super) sequence: u64,
    pub(super) floor: u64,
    pub(super) rank: u32,
    pub(super) taken: Taken,
    pub(super) agreed: u64,
    pub(super) doubted: u64,
    pub(super) held: [u32; Kind::COUNT],
    pub(super) flush_asked: u16,
    pub(super) flush_done: u16,
}

impl Header {
    pub(super) fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn write(&self, out: &mut Writer<'_>) -> Option<()> {
        out.put(&[self.flags])?;
        for number in [
            self.sender,
            self.echo,
            self.table,
            self.sequence,
            self.floor,
        ] {
            out.put(&number.to_le_bytes())?;
        }
        out.put(&self.rank.to_le_bytes())?;
        out.put(&self.taken.base.to_le_bytes())?;
        for word in self.taken.bitmap {
            out.put(&word.to_le_bytes())?;
        }
        out.put(&self.agreed.to_le_bytes())?;
        out.put(&self.doubted.to_le_bytes())?;
        for count in self.held {
            out.put(&count.to_le_bytes())?;
        }
        out.put(&self.flush_asked.to_le_bytes())?;
        out.put(&self.flush_done.to_le_bytes())
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            flags: from.u8()?,
            sender: from.u64()?,
            echo: from.u64()?,
            table: from.u64()?,
            sequence: from.u64()?,
            floor: from.u64()?,
            rank: from.u32()?,
            taken: Taken {
                base: from.u64()?,
                bitmap: [from.u64()?, from.u64()?, from.u64()?, from.u64()?],
            },
            agreed: from.u64()?,
            doubted: from.u64()?,
            held: [from.u32()?, from.u32()?, from.u32()?],
            flush_asked: from.u16()?,
            flush_done: from.u16()?,
        })
    }
}

/// Signs and checks the datagrams of one pair.
#[derive(Clone)]
pub(super) struct Codec {
    tag: [u8; 2],
    keyed: Hmac<Sha256>,
}

impl Codec {
    pub(super) fn new(cluster: ClusterTag, key: &[u8; 32]) -> Self {
        Self {
            tag: cluster.bytes(),
            keyed: keyed(key),
        }
    }

    /// Begins a datagram: all before the items.
    pub(super) fn begin<'a>(&self, buffer: &'a mut [u8], header: &Header) -> Option<Writer<'a>> {
        let end = buffer
            .len()
            .min(DATAGRAM_BYTES_MAX)
            .checked_sub(MAC_BYTES)?;
        let mut out = Writer { buffer, at: 0, end };
        let [high, low] = self.tag;
        out.put(&[VERSION, high, low])?;
        header.write(&mut out)?;
        Some(out)
    }

    /// Signs it; returns its length.
    pub(super) fn finish(&self, out: &mut Writer<'_>) -> Option<usize> {
        let (signed, rest) = out.buffer.split_at_mut_checked(out.at)?;
        let mac = self.keyed.clone().chain_update(&*signed).finalize();
        let mac = mac.into_bytes();
        rest.get_mut(..MAC_BYTES)?
            .copy_from_slice(mac.get(..MAC_BYTES)?);
        Some(out.at + MAC_BYTES)
    }

    /// What a datagram says: its header and its items.
    pub(super) fn open<'a>(&self, datagram: &'a [u8]) -> Result<(Header, &'a [u8]), Rejection> {
        if datagram.len() > DATAGRAM_BYTES_MAX {
            return Err(Rejection::TooLong);
        }
        let (signed, mac) = datagram
            .split_last_chunk::<MAC_BYTES>()
            .filter(|(signed, _)| signed.len() >= HEADER_BYTES)
            .ok_or(Rejection::Truncated)?;
        let ([version, tag @ ..], rest) = signed
            .split_first_chunk::<3>()
            .ok_or(Rejection::Truncated)?;
        if *version != VERSION {
            return Err(Rejection::Version);
        }
        if *tag != self.tag {
            return Err(Rejection::WrongCluster);
        }
        self.keyed
            .clone()
            .chain_update(signed)
            .verify_truncated_left(mac)
            .map_err(|_| Rejection::BadMac)?;
        let mut from = Reader::new(rest);
        let header = Header::read(&mut from).ok_or(Rejection::Malformed)?;
        if Items::new(from.rest()).any(|item| item.is_none()) {
            return Err(Rejection::Malformed);
        }
        Ok((header, from.rest()))
    }
}

/// Keys of the pair, each for one use, drawn from the one it is configured with.
pub(super) fn derive(key: &[u8; 32], purpose: &[u8]) -> [u8; 32] {
    keyed(key)
        .chain_update(purpose)
        .finalize()
        .into_bytes()
        .into()
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // A key of a block's length or less is taken as it is, padded with zeros (RFC 2104, section 2).
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    <Hmac<Sha256> as KeyInit>::new(&block)
}

/// Writes into a datagram as long as there is room.
pub(super) struct Writer<'a> {
    buffer: &'a mut [u8],
    at: usize,
    end: usize,
}

impl Writer<'_> {
    pub(super) fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.at.checked_add(bytes.len())?;
        if end > self.end {
            return None;
        }
        self.buffer.get_mut(self.at..end)?.copy_from_slice(bytes);
        self.at = end;
        Some(())
    }

    /// Bytes for which there is room.
    pub(super) fn room(&self) -> usize {
        self.end - self.at
    }

    /// How far it has come; `rewind` goes back there.
    pub(super) fn mark(&self) -> usize {
        self.at
    }

    pub(super) fn rewind(&mut self, mark: usize) {
        self.at = self.at.min(mark);
    }
}

/// Reads what a datagram says, and ends where it ends.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
