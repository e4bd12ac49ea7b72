//! All targets. Those of the binary `pollux` are its own module `fuzzing`; the others stand here.

mod balanced;
mod claim;
mod conntrack;
mod image;
mod kernel;
mod medium;
mod nftables;
mod node;
mod serial;
mod sync;
mod text;
mod volume;
mod wire;

use crate::Target;
use pollux::fuzzing;

/// All of them, the ones that face strangers first.
pub const TARGETS: [Target; 22] = [
    of(
        "wire",
        "a heartbeat frame, also behind a right MAC",
        wire::run,
        wire::seeds,
    ),
    of(
        "serial",
        "the byte stream of a null modem",
        serial::run,
        serial::seeds,
    ),
    of(
        "node",
        "a whole box, fed by a peer that says anything",
        node::run,
        node::seeds,
    ),
    of(
        "sync",
        "a box's state sync, fed by a twin that says anything",
        sync::run,
        sync::seeds,
    ),
    of(
        "claim",
        "ARP and neighbour advertisements on the wire",
        claim::run,
        claim::seeds,
    ),
    of(
        "http",
        "the answer of a real server",
        fuzzing::http,
        fuzzing::http_seeds,
    ),
    of(
        "console",
        "keys, answers and log lines of a console",
        fuzzing::console,
        fuzzing::console_seeds,
    ),
    of(
        "control",
        "a client of the control socket",
        fuzzing::control,
        fuzzing::control_seeds,
    ),
    of(
        "image",
        "a config image, and the plan made of it",
        image::run,
        image::seeds,
    ),
    of(
        "media",
        "what probes read from config media",
        fuzzing::media,
        fuzzing::media_seeds,
    ),
    of(
        "sector",
        "the first sectors of a disk",
        medium::sector,
        medium::sector_seeds,
    ),
    of(
        "volume",
        "a medium or CD that polluxctl reads or updates",
        volume::run,
        volume::seeds,
    ),
    of(
        "text",
        "an image's text and back, and any config text",
        text::run,
        text::seeds,
    ),
    of(
        "rtnetlink",
        "the kernel's links, addresses and routes",
        kernel::rtnetlink,
        kernel::rtnetlink_seeds,
    ),
    of(
        "ipvs",
        "the kernel's virtual services",
        kernel::ipvs,
        kernel::ipvs_seeds,
    ),
    of(
        "balanced",
        "balanced connections, as a kernel or the twin tells of them",
        balanced::run,
        balanced::seeds,
    ),
    of(
        "ctnetlink",
        "the kernel's connections",
        conntrack::ctnetlink,
        conntrack::ctnetlink_seeds,
    ),
    of(
        "record",
        "the record of a connection, as the twin sends it",
        conntrack::record,
        conntrack::record_seeds,
    ),
    of(
        "nftables",
        "the kernel's rulesets",
        nftables::run,
        nftables::seeds,
    ),
    of(
        "uevent",
        "the kernel's news of hardware",
        medium::uevent,
        medium::uevent_seeds,
    ),
    of(
        "wires",
        "messages between the processes of a box",
        fuzzing::wires,
        fuzzing::wires_seeds,
    ),
    of(
        "log",
        "what a worker writes to its standard error",
        fuzzing::log,
        fuzzing::log_seeds,
    ),
];

const fn of(
    name: &'static str,
    about: &'static str,
    run: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
) -> Target {
    Target {
        name,
        about,
        run,
        seeds,
    }
}
