//! No decoder is forgotten: which sources each target is for, and a search for those that none is for.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

/// Targets, and the decoders that their bytes go through.
const DECODERS: [(&str, &[&str]); 22] = [
    ("wire", &["firmware/proto/src/wire.rs"]),
    ("serial", &["firmware/proto/src/serial.rs"]),
    ("node", &["firmware/proto/src/node.rs"]),
    (
        "sync",
        &[
            "firmware/proto/src/sync/digests.rs",
            "firmware/proto/src/sync/item.rs",
            "firmware/proto/src/sync/receive.rs",
            "firmware/proto/src/sync/wire.rs",
        ],
    ),
    ("claim", &["firmware/netlink/src/claim.rs"]),
    ("http", &["firmware/pollux/src/health/http.rs"]),
    (
        "console",
        &[
            "firmware/pollux/src/console/keys.rs",
            "firmware/pollux/src/console/editor.rs",
            "firmware/pollux/src/console/commands.rs",
        ],
    ),
    ("control", &["firmware/pollux/src/control/session.rs"]),
    ("image", &["firmware/plan/src/image.rs"]),
    (
        "media",
        &[
            "firmware/pollux/src/init/medium.rs",
            "firmware/plan/src/medium.rs",
        ],
    ),
    ("sector", &["firmware/sys/src/block.rs"]),
    (
        "volume",
        &["board/src/fat.rs", "board/src/medium.rs", "board/src/cd.rs"],
    ),
    ("text", &["board/src/read.rs"]),
    (
        "rtnetlink",
        &[
            "firmware/netlink/src/message.rs",
            "firmware/netlink/src/attribute.rs",
            "firmware/netlink/src/event.rs",
            "firmware/netlink/src/link.rs",
            "firmware/netlink/src/address.rs",
            "firmware/netlink/src/route.rs",
        ],
    ),
    (
        "ipvs",
        &[
            "firmware/netlink/src/ipvs.rs",
            "firmware/netlink/src/ipvs/family.rs",
            "firmware/netlink/src/ipvs/service.rs",
            "firmware/netlink/src/ipvs/destination.rs",
            "firmware/netlink/src/ipvs/daemon.rs",
        ],
    ),
    (
        "balanced",
        &[
            "firmware/netlink/src/ipvs/sync_message.rs",
            "firmware/netlink/src/ipvs/sync_message/bytes.rs",
            "firmware/netlink/src/ipvs/sync_message/entry.rs",
            "firmware/netlink/src/ipvs/sync_message/frame.rs",
            "firmware/netlink/src/ipvs/sync_message/listing.rs",
            "firmware/netlink/src/ipvs/sync_message/record.rs",
        ],
    ),
    (
        "ctnetlink",
        &[
            "firmware/netlink/src/conntrack.rs",
            "firmware/netlink/src/netfilter.rs",
            "firmware/netlink/src/conntrack/tuple.rs",
            "firmware/netlink/src/conntrack/protocol.rs",
            "firmware/netlink/src/conntrack/flow.rs",
            "firmware/netlink/src/conntrack/expectation.rs",
        ],
    ),
    (
        "record",
        &[
            "firmware/netlink/src/conntrack/record/bytes.rs",
            "firmware/netlink/src/conntrack/record/flow.rs",
            "firmware/netlink/src/conntrack/record/expectation.rs",
        ],
    ),
    (
        "nftables",
        &[
            "firmware/netlink/src/nftables.rs",
            "firmware/netlink/src/nftables/held.rs",
            "firmware/netlink/src/nftables/listing.rs",
            "firmware/netlink/src/nftables/listing/rule.rs",
            "firmware/netlink/src/nftables/listing/set.rs",
            "firmware/netlink/src/nftables/value.rs",
        ],
    ),
    ("uevent", &["firmware/sys/src/uevent.rs"]),
    ("wires", &["firmware/pollux/src/ipc/channel.rs"]),
    ("log", &["firmware/pollux/src/init/lines.rs"]),
];

/// What reads nobody's bytes but our own or the operator's shell's.
const TRUSTED: [(&str, &str); 12] = [
    (
        "firmware/pollux/src/arguments.rs",
        "what PID 1 writes into a worker's argv",
    ),
    (
        "firmware/pollux/src/daemon/options.rs",
        "the command line of root",
    ),
    (
        "firmware/pollux/src/init/ttys.rs",
        "the kernel's list of consoles, split at blanks",
    ),
    (
        "firmware/proto/src/sync/hash.rs",
        "bytes that are hashed, whatever they say",
    ),
    (
        "firmware/plan/src/firewall.rs",
        "the digest that is our ruleset's seal",
    ),
    (
        "firmware/netlink/src/announce/neighbour.rs",
        "the checksum of what we send",
    ),
    (
        "firmware/netlink/src/claim/filter.rs",
        "our own addresses, as words of a program",
    ),
    (
        "firmware/netlink/src/conntrack/filter.rs",
        "our own port, as a word of a program",
    ),
    (
        "firmware/netlink/src/nftables/writer.rs",
        "the header that was written just before",
    ),
    ("firmware/sys/src/udp.rs", "a group of the config's"),
    (
        "firmware/pollux/src/cluster.rs",
        "the incarnation, drawn by chance",
    ),
    (
        "firmware/pollux/src/sync/mirror.rs",
        "the incarnation, drawn by chance",
    ),
];

/// What a decoder has in it: it has the word for it, or reads numbers.
const MARKS: [&str; 8] = [
    "from_be_bytes",
    "from_le_bytes",
    "from_ne_bytes",
    "fn decode",
    "fn parse",
    "fn recognise",
    "postcard::from_bytes",
    "postcard::take_from_bytes",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All sources below a folder, but for those of tests.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let is_test = name.ends_with("tests") || matches!(&*name, "fuzzing" | "capture");
        if is_test {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_target_has_its_decoders_and_they_are_there() {
    for target in &fuzz::TARGETS {
        let named = DECODERS.iter().find(|(name, _)| *name == target.name);
        let (_, decoders) = named.unwrap_or_else(|| panic!("{} decodes nothing", target.name));
        for decoder in *decoders {
            assert!(root().join(decoder).is_file(), "{decoder}: no such source");
        }
    }
}

#[test]
fn every_decoder_has_its_target() {
    let mut found = Vec::new();
    for part in ["proto", "plan", "netlink", "sys", "pollux"] {
        sources(&root().join("firmware").join(part).join("src"), &mut found);
    }
    sources(&root().join("board/src"), &mut found);
    let targets = DECODERS.iter().flat_map(|(_, decoders)| *decoders);
    let known: Vec<&str> = targets
        .chain(TRUSTED.iter().map(|(source, _)| source))
        .copied()
        .collect();
    let mut decoders = 0;
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        if MARKS.iter().any(|mark| code.contains(mark)) {
            decoders += 1;
            let is_known = known.iter().any(|source| path.ends_with(source));
            assert!(
                is_known,
                "{} decodes something, and no target of firmware/fuzz feeds it",
                path.display()
            );
        }
    }
    assert!(decoders > TRUSTED.len());
}
