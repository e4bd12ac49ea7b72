//! Real bytes for tests: `captures/*.hex`, each with the command that made it in its first line.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::message::{Message, messages};
use crate::{DecodeError, Request};

/// The bytes of a capture.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let digits: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

/// What `decode` finds in a capture.
pub(crate) fn decoded<T>(
    text: &str,
    decode: impl Fn(&Message<'_>) -> Result<Option<T>, DecodeError>,
) -> Vec<T> {
    messages(&bytes(text))
        .filter_map(|message| decode(&message.unwrap()).unwrap())
        .collect()
}

/// Asserts that a request is byte for byte what another program sent, but for its port id.
pub(crate) fn assert_sends(request: Result<Request, crate::EncodeError>, text: &str) {
    let mut captured = bytes(text);
    let sequence = messages(&captured).next().unwrap().unwrap().sequence;
    captured[12..16].fill(0);
    assert_eq!(hex(&request.unwrap().to_bytes(sequence)), hex(&captured));
}

/// For messages that people can compare.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .chunks(4)
        .map(|word| word.iter().map(|b| format!("{b:02x}")).collect::<String>() + " ")
        .collect()
}

/// Bodies that look like messages: attributes with plausible lengths and kinds, and plain noise.
pub(crate) fn noise() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    let attribute = (
        any::<u8>(),
        0_u8..20,
        proptest::collection::vec(any::<u8>(), 0..24),
    )
        .prop_map(|(length, kind, payload)| {
            let mut bytes = vec![length, 0, kind, 0];
            bytes.extend(payload);
            bytes
        });
    let attributes = proptest::collection::vec(attribute, 0..6);
    (proptest::collection::vec(any::<u8>(), 0..20), attributes).prop_map(|(mut head, rest)| {
        head.extend(rest.concat());
        head
    })
}
