#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::capture::{bytes, decoded, noise};
use crate::message::messages;
use proptest::prelude::*;

#[test]
fn a_kernel_without_ipvs_says_so() {
    let capture = bytes(include_str!("../../captures/genl-family-missing.hex"));
    let message = messages(&capture).next().unwrap().unwrap();
    let crate::Outcome::Refused(error) = message.outcome().unwrap() else {
        panic!("not refused")
    };
    assert_eq!(
        error.to_string(),
        "ENOENT: not in this kernel, or no such entry"
    );
}

#[test]
fn another_family_is_not_ours() {
    let found = decoded(
        include_str!("../../captures/genl-family-nlctrl.hex"),
        decode_family,
    );
    assert_eq!(found, []);
}

proptest! {
    #[test]
    fn no_body_panics(body in noise(), command in 0_u8..10) {
        let mut framed = vec![command, 1, 0, 0];
        framed.extend(body);
        for kind in [16, 30] {
            let message = Message { kind, flags: NlmF::empty(), sequence: 0, body: &framed };
            let _ = decode_family(&message);
            let _ = Family(30).decode_service(&message);
            let _ = Family(30).decode_destination(&message);
        }
    }
}
