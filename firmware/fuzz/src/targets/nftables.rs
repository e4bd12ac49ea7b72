//! nf_tables: every datagram of a kernel comes to its end, and whatever it says is there can be replaced.

use super::kernel::{captures, whole};
use netlink::nftables::{Held, Kept, decode_generation, listing, replace};
use plan::ruleset::Ruleset;

/// A datagram of dumps and notifications.
pub(super) fn run(datagram: &[u8]) {
    let mut held = Held::default();
    for message in whole(datagram) {
        let _ = decode_generation(&message);
        let _ = listing::decode_chain(&message);
        let _ = listing::decode_rule(&message);
        let _ = listing::decode_set(&message);
        let _ = listing::decode_object(&message);
        if let Ok(Some(elements)) = listing::decode_elements(&message) {
            assert!(elements.len() <= message.body.len());
        }
        if let Ok(Some(kept)) = Kept::decode(&message) {
            held.note(kept, |_| true);
        }
    }
    let nothing = Ruleset::default();
    if let Ok(batch) = replace(&nothing, &held, 1, 1) {
        let count = whole(batch.as_bytes()).count();
        assert_eq!(u32::try_from(count), Ok(batch.messages()));
    }
}

/// Dumps of tables, chains, rules, sets, elements and objects.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    captures("nftables")
}
