#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::capture::{bytes, noise};
use proptest::prelude::*;

fn outcome(text: &str) -> Outcome {
    messages(&bytes(text))
        .next()
        .unwrap()
        .unwrap()
        .outcome()
        .unwrap()
}

#[test]
fn acknowledgement_is_told_from_refusal() {
    assert_eq!(
        outcome(include_str!("../../captures/acknowledgement.hex")),
        Outcome::End
    );
    let plain = outcome(include_str!("../../captures/error-plain.hex"));
    assert_eq!(
        plain,
        Outcome::Refused(KernelError {
            errno: 3,
            text: None
        })
    );
}

#[test]
fn refusal_speaks_the_kernels_words() {
    let Outcome::Refused(error) = outcome(include_str!("../../captures/error-with-text.hex"))
    else {
        panic!("not refused");
    };
    assert_eq!(error.errno, 101);
    assert_eq!(
        error.to_string(),
        "ENETUNREACH: Nexthop has invalid gateway"
    );
}

#[test]
fn refusal_without_words_is_explained() {
    let named = KernelError {
        errno: 17,
        text: None,
    };
    assert_eq!(named.to_string(), "EEXIST: exists already");
    assert_eq!(
        KernelError {
            errno: 4000,
            text: None
        }
        .to_string(),
        "errno 4000"
    );
}

#[test]
fn dump_ends() {
    let dump = bytes(include_str!("../../captures/link-dump.hex"));
    let outcomes: Vec<_> = messages(&dump)
        .map(|m| m.unwrap().outcome().unwrap())
        .collect();
    assert_eq!(
        outcomes,
        [Outcome::Data, Outcome::Data, Outcome::Data, Outcome::End]
    );
}

#[test]
fn a_message_that_lies_about_its_length_ends_the_datagram() {
    let mut datagram = bytes(include_str!("../../captures/acknowledgement.hex"));
    for length in [0_u8, 15, 255] {
        datagram[0] = length;
        let all: Vec<_> = messages(&datagram).collect();
        assert_eq!(all, [Err(DecodeError("message length"))]);
    }
}

proptest! {
    #[test]
    fn no_datagram_panics(datagram in noise(), kind in 0_u16..5, flags: u16) {
        for message in messages(&datagram).flatten() {
            let _ = message.outcome();
        }
        let message = Message { kind, flags: NlmF::from(flags), sequence: 0, port: 0, body: &datagram };
        let _ = message.outcome();
    }
}
