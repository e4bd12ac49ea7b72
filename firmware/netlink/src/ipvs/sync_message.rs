//! What IPVS sync daemons tell each other, in version 1 of net/netfilter/ipvs/ip_vs_sync.c: a UDP datagram with
//! a header of 8 bytes and one entry for each connection. Entries are also read from /proc/net/ip_vs_conn
//! (`listing`) and carried to the twin as opaque keys and values (`record`).

mod bytes;
mod entry;
pub mod frame;
pub mod listing;
pub mod nudge;
pub mod record;

use bytes::{Pen, Scan};
use core::fmt;
pub use entry::{Addresses, Engine, Entry, Sequences};

/// A zero, where version 0 had its count; sync id; whole length; count of entries; version; two zeros.
pub const HEADER_BYTES: usize = 8;

const VERSION: u8 = 1;

/// A message is not what a sync daemon of version 1 sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMessageError {
    /// It ends within its header.
    Header,
    /// Its length field says another length than it has.
    Length,
    /// It has another version.
    Version,
    /// It ends within an entry, or an entry is shorter than its own fields.
    EntryLength,
    /// An entry of an unknown type or version.
    EntryKind,
    /// An entry's option is longer than the entry, of a length that its kind can't have, given twice, or unknown
    /// and marked as not to be passed over.
    Option,
    /// Data of a persistence engine without the engine's name.
    Engine,
}

impl fmt::Display for SyncMessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            SyncMessageError::Header => "it ends within its header",
            SyncMessageError::Length => "its length field is wrong",
            SyncMessageError::Version => "not of version 1 (net.ipv4.vs.sync_version)",
            SyncMessageError::EntryLength => "it ends within an entry",
            SyncMessageError::EntryKind => "an entry of an unknown type",
            SyncMessageError::Option => "a bad option of an entry",
            SyncMessageError::Engine => "persistence data without the engine's name",
        };
        write!(f, "reading an IPVS sync message: {what}")
    }
}

impl std::error::Error for SyncMessageError {}

/// The entries of a message. After an error there is none: where the next would begin is not known.
///
/// # Errors
/// A message whose header is not that of version 1.
pub fn decode(message: &[u8]) -> Result<Entries<'_>, SyncMessageError> {
    let mut scan = Scan(message);
    let [zero, _, l0, l1, count, version, spare0, spare1] =
        scan.take().ok_or(SyncMessageError::Header)?;
    if [zero, version, spare0, spare1] != [0, VERSION, 0, 0] {
        return Err(SyncMessageError::Version);
    }
    if usize::from(u16::from_be_bytes([l0, l1])) != message.len() {
        return Err(SyncMessageError::Length);
    }
    Ok(Entries {
        rest: scan.0,
        count,
    })
}

/// Made by `decode`.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    rest: &'a [u8],
    count: u8,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, SyncMessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        let entry = self.split().and_then(Entry::decode);
        if entry.is_err() {
            self.count = 0;
        }
        Some(entry)
    }
}

impl<'a> Entries<'a> {
    /// The bytes of the next entry, without the padding that may stand between it and the one after.
    fn split(&mut self) -> Result<&'a [u8], SyncMessageError> {
        let length = entry::length(self.rest)?;
        let entry = self.rest.get(..length);
        let entry = entry.ok_or(SyncMessageError::EntryLength)?;
        self.rest = self
            .rest
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
        Ok(entry)
    }
}

/// Begins a message in `buffer`: room for the header.
pub(crate) fn begin(buffer: &mut [u8]) -> Option<usize> {
    let mut pen = Pen::new(buffer, 0);
    pen.put(&[0; HEADER_BYTES])?;
    Some(pen.at)
}

/// Puts an entry behind the `length` bytes of a message; the new length, or `None` where it does not fit.
pub(crate) fn push(buffer: &mut [u8], length: usize, entry: &Entry<'_>) -> Option<usize> {
    let mut pen = Pen::new(buffer, length);
    pen.put([0; 4].get(..length.next_multiple_of(4) - length)?)?;
    entry.encode(&mut pen)?;
    Some(pen.at)
}

/// Fills in the header of a message of `length` bytes.
pub(crate) fn finish(buffer: &mut [u8], length: usize, count: u8, sync_id: u8) -> Option<()> {
    let [high, low] = u16::try_from(length).ok()?.to_be_bytes();
    Pen::new(buffer, 0).put(&[0, sync_id, high, low, count, VERSION, 0, 0])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
