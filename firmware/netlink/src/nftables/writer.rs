//! Writes netlink messages and attributes into one `Vec`. Integers are in network order, as all of nf_tables'
//! are; lengths are patched in when a nest closes.

use crate::message::HEADER_BYTES;
use neli::consts::nl::NlmF;

/// Of `nlmsg_flags` in `struct nlmsghdr`.
const FLAGS_OFFSET: usize = 6;

/// NLA_F_NESTED.
const NESTED: u16 = 1 << 15;

/// Bytes of `struct nlattr`.
const ATTRIBUTE_HEADER_BYTES: usize = 4;

/// A growing row of messages.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// An attribute or a message was longer than its length field can say.
    is_overlong: bool,
}

impl Writer {
    /// Where the next byte goes.
    pub(super) fn position(&self) -> usize {
        self.bytes.len()
    }

    /// The messages; `None` if one did not fit its own length.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        (!self.is_overlong).then_some(self.bytes)
    }

    /// Opens a message: `struct nlmsghdr` and `struct nfgenmsg`.
    pub(super) fn open_message(
        &mut self,
        kind: u16,
        flags: u16,
        sequence: u32,
        family: u8,
        resource: u16,
    ) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        debug_assert_eq!(self.bytes.len() - start, HEADER_BYTES);
        let [high, low] = resource.to_be_bytes();
        self.bytes.extend_from_slice(&[family, 0, high, low]);
        start
    }

    /// Closes the message that was opened at `start`.
    pub(super) fn close_message(&mut self, start: usize) {
        match u32::try_from(self.bytes.len() - start) {
            Ok(length) => self.patch(start, &length.to_ne_bytes()),
            Err(_) => self.is_overlong = true,
        }
    }

    /// Sets NLM_F_ACK in the message that starts at `start`.
    pub(super) fn ask_for_acknowledgement(&mut self, start: usize) {
        let place = start + FLAGS_OFFSET;
        let flags = self
            .bytes
            .get(place..)
            .and_then(|bytes| bytes.first_chunk());
        if let Some(flags) = flags.copied().map(u16::from_ne_bytes) {
            let flags = flags | u16::from(NlmF::ACK);
            self.patch(place, &flags.to_ne_bytes());
        }
    }

    /// An attribute with these bytes.
    pub(super) fn raw(&mut self, kind: u16, payload: &[u8]) {
        self.header(kind, payload.len());
        self.bytes.extend_from_slice(payload);
        self.pad();
    }

    /// One byte.
    pub(super) fn u8(&mut self, kind: u16, value: u8) {
        self.raw(kind, &[value]);
    }

    /// Two bytes.
    pub(super) fn u16(&mut self, kind: u16, value: u16) {
        self.raw(kind, &value.to_be_bytes());
    }

    /// Four bytes.
    pub(super) fn u32(&mut self, kind: u16, value: u32) {
        self.raw(kind, &value.to_be_bytes());
    }

    /// Eight bytes.
    pub(super) fn u64(&mut self, kind: u16, value: u64) {
        self.raw(kind, &value.to_be_bytes());
    }

    /// A string and its NUL.
    pub(super) fn text(&mut self, kind: u16, text: &str) {
        self.header(kind, text.len() + 1);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self.pad();
    }

    /// An attribute that holds what `inner` writes.
    pub(super) fn nest<T>(&mut self, kind: u16, inner: impl FnOnce(&mut Self) -> T) -> T {
        let start = self.open_nest(kind);
        let result = inner(self);
        self.close_nest(start);
        result
    }

    /// Opens an attribute that holds others.
    pub(super) fn open_nest(&mut self, kind: u16) -> usize {
        let start = self.bytes.len();
        self.header(kind | NESTED, 0);
        start
    }

    /// Closes the attribute that was opened at `start`.
    pub(super) fn close_nest(&mut self, start: usize) {
        match u16::try_from(self.bytes.len() - start) {
            Ok(length) => self.patch(start, &length.to_ne_bytes()),
            Err(_) => self.is_overlong = true,
        }
    }

    fn header(&mut self, kind: u16, payload_bytes: usize) {
        let length = u16::try_from(ATTRIBUTE_HEADER_BYTES + payload_bytes);
        self.is_overlong |= length.is_err();
        let [k0, k1] = kind.to_ne_bytes();
        let [l0, l1] = length.unwrap_or(u16::MAX).to_ne_bytes();
        self.bytes.extend_from_slice(&[l0, l1, k0, k1]);
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn patch(&mut self, start: usize, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(start..start + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}
