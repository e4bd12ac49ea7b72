//! Records: what the twin has to know of a flow or an expectation, in as few bytes as it takes. The key says which
//! one it is; the value all else worth mirroring, and nothing that changes without meaning (counters, timeouts, ids,
//! windows), so the same state is the same bytes on both boxes: each record has one encoding, and any other is
//! refused. An IPv4 TCP flow without NAT takes 14 + 4 bytes.

mod bytes;
mod expectation;
mod flow;

pub use bytes::Error;
pub use expectation::{decode_expectation, decode_expectation_key};
pub use flow::{decode_flow, decode_flow_key};

use super::{ExpectationRef, FlowRef};

/// Bytes of the longest key: an IPv6 expectation.
pub const KEY_BYTES_MAX: usize = 96;

/// No value is longer.
pub const VALUE_BYTES_MAX: usize = 512;

/// Makes records; it owns the bytes that they borrow, so none is allocated per record.
#[derive(Debug, Default)]
pub struct Recorder {
    key: Vec<u8>,
    value: Vec<u8>,
}

/// A flow or an expectation, as it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Which one: at most `KEY_BYTES_MAX`.
    pub key: &'a [u8],
    /// How it is: at most `VALUE_BYTES_MAX`.
    pub value: &'a [u8],
    /// Seconds that it lives without another packet.
    pub lifetime_s: u32,
}

impl Recorder {
    /// Makes one.
    #[must_use]
    pub fn new() -> Self {
        Recorder {
            key: Vec::with_capacity(KEY_BYTES_MAX),
            value: Vec::with_capacity(VALUE_BYTES_MAX),
        }
    }

    /// Of a flow that is whole (`FlowRef::is_whole`), or told by a dump or an answer.
    pub fn flow(&mut self, flow: &FlowRef<'_>) -> Record<'_> {
        self.clear();
        flow::encode_key(&mut self.key, flow);
        flow::encode_value(&mut self.value, flow);
        self.record(flow.lifetime_s())
    }

    /// The key of a flow, all that is known of one that is gone.
    pub fn flow_key(&mut self, flow: &FlowRef<'_>) -> &[u8] {
        self.clear();
        flow::encode_key(&mut self.key, flow);
        &self.key
    }

    /// Of an expectation.
    pub fn expectation(&mut self, expectation: &ExpectationRef<'_>) -> Record<'_> {
        self.clear();
        expectation::encode_key(&mut self.key, expectation);
        expectation::encode_value(&mut self.value, expectation);
        self.record(expectation.timeout_s)
    }

    /// The key of an expectation.
    pub fn expectation_key(&mut self, expectation: &ExpectationRef<'_>) -> &[u8] {
        self.clear();
        expectation::encode_key(&mut self.key, expectation);
        &self.key
    }

    fn clear(&mut self) {
        self.key.clear();
        self.value.clear();
    }

    fn record(&self, lifetime_s: u32) -> Record<'_> {
        Record {
            key: &self.key,
            value: &self.value,
            lifetime_s,
        }
    }
}

#[cfg(test)]
mod tests;
