//! The borders of this binary as fuzzers see them (feature `fuzzing`, never on a box): for each one a
//! function that takes bytes as a stranger could send them and asserts what must hold whatever they are,
//! and one that gives bytes to begin with. What happens in turns is a script: postcard messages, one
//! behind the other.

mod console;
mod control;

pub use console::{console, console_seeds};
pub use control::{control, control_seeds};

use crate::health::http::{Progress, StatusLine};
use crate::init::lines::Lines;
use crate::init::medium::{Choice, Medium, best, judge};
use crate::init::probe::FromProbe;
use crate::init::ring::Ring;
use crate::ipc::control::{Request, Response};
use crate::ipc::{
    Ask, Channel, ClusterToControl, ClusterToDataplane, ClusterToSync, ControlToCluster,
    ControlToDataplane, ControlToSync, DataplaneToCluster, DataplaneToControl, DataplaneToHealth,
    FromWorker, HealthToDataplane, SyncToCluster, SyncToControl, ToWorker,
};
use crate::samples;
use core::fmt::Debug;
use plan::image;
use serde::{Serialize, de::DeserializeOwned};
use std::os::unix::net::UnixDatagram;

/// Happenings of a script; more would only be slow.
const HAPPENINGS_MAX: usize = 256;

/// Longest line of the log, in characters.
const LINE_CHARS_MAX: usize = 1024;

/// What a script tells, up to the first happening that is none.
pub fn script<T: DeserializeOwned>(mut bytes: &[u8]) -> impl Iterator<Item = T> {
    let next = move || {
        let (happening, rest) = postcard::take_from_bytes(bytes).ok()?;
        bytes = rest;
        Some(happening)
    };
    core::iter::from_fn(next).take(HAPPENINGS_MAX)
}

/// The script of these happenings.
#[must_use]
pub fn written<T: Serialize>(happenings: &[T]) -> Vec<u8> {
    let each = happenings.iter().map(postcard::to_allocvec);
    each.filter_map(Result::ok).collect::<Vec<_>>().concat()
}

/// The status line of a real server's answer: the same, however it is cut into pieces.
pub fn http(bytes: &[u8]) {
    let Some((&cut, response)) = bytes.split_first() else {
        return;
    };
    let whole = StatusLine::default().feed(response);
    let mut line = StatusLine::default();
    let mut progress = Progress::Incomplete;
    for piece in response.chunks(usize::from(cut).max(1)) {
        progress = line.feed(piece);
        if progress != Progress::Incomplete {
            break;
        }
    }
    assert_eq!(progress, whole, "in pieces of {cut}");
    if let Progress::Status(status) = whole {
        assert!((100..600).contains(&status), "status {status}");
    }
}

/// Answers of servers.
#[must_use]
pub fn http_seeds() -> Vec<Vec<u8>> {
    [
        "\x05HTTP/1.1 200 OK\r\nServer: x\r\n\r\n",
        "\x01HTTP/1.0 503 \n",
        "\x40SSH-2.0-OpenSSH_9.2\r\n",
    ]
    .map(Into::into)
    .into()
}

/// What a worker writes to its standard error: lines of the log, fit to be printed on a terminal.
pub fn log(bytes: &[u8]) {
    let Some((&cut, said)) = bytes.split_first() else {
        return;
    };
    let (mut lines, mut ring) = (Lines::default(), Ring::default());
    for mut piece in said.chunks(usize::from(cut).max(1)) {
        let (complete, _) = lines.read(&mut piece);
        for (level, text) in complete {
            assert!(text.chars().count() <= LINE_CHARS_MAX, "a line without end");
            let line = ring.push(0, level, &text).to_string();
            assert!(!line.contains(char::is_control), "{line:?}");
        }
    }
    let mut next = 1;
    while let Some(last) = ring.page(next).last() {
        next = last.sequence + 1;
    }
    assert_eq!(next, ring.end(), "reading the log in pages");
}

/// Lines of workers.
#[must_use]
pub fn log_seeds() -> Vec<Vec<u8>> {
    [
        "\x07[INFO] standby -> active (term 3): the peer is dead\n[WARN] x\n",
        "\x03thread 'main' panicked at src/x.rs:1:1:\r\n\x1b[2J\n",
    ]
    .map(Into::into)
    .into()
}

/// A message on a wire between processes: it is refused and counted, or it is what its sender wrote.
pub fn wires(bytes: &[u8]) {
    let Some((&wire, message)) = bytes.split_first() else {
        return;
    };
    match wire % 17 {
        0 => receive::<FromWorker>(message),
        1 => receive::<ToWorker>(message),
        2 => receive::<ClusterToDataplane>(message),
        3 => receive::<DataplaneToCluster>(message),
        4 => receive::<ControlToCluster>(message),
        5 => receive::<ClusterToControl>(message),
        6 => receive::<ControlToDataplane>(message),
        7 => receive::<DataplaneToControl>(message),
        8 => receive::<HealthToDataplane>(message),
        9 => receive::<DataplaneToHealth>(message),
        10 => receive::<Request>(message),
        11 => receive::<Response>(message),
        13 => receive::<ClusterToSync>(message),
        14 => receive::<SyncToCluster>(message),
        15 => receive::<ControlToSync>(message),
        16 => receive::<SyncToControl>(message),
        _ => receive::<FromProbe>(message),
    }
}

fn receive<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let pair = UnixDatagram::pair().map(|(near, far)| (Channel::<T, T>::new(near.into()), far));
    let Ok((Ok(mut channel), far)) = pair else {
        return;
    };
    if far.send(bytes).is_err() {
        return;
    }
    let message = channel.receive();
    let Ok(Some(message)) = message else {
        assert_eq!((message, channel.dropped()), (Ok(None), 1), "refusing");
        return;
    };
    let again = postcard::to_allocvec(&message);
    let again = again.map(|bytes| postcard::from_bytes(&bytes));
    assert_eq!(again, Ok(Ok(message)), "writing it again");
}

/// A message of some wires.
#[must_use]
pub fn wires_seeds() -> Vec<Vec<u8>> {
    let standing = FromWorker::Standing {
        role: "active".into(),
        ready: true,
    };
    let verdict = HealthToDataplane::Verdict {
        service: 1,
        server: 2,
        up: true,
        checks: 7,
    };
    vec![
        [vec![0], written(&[standing])].concat(),
        [
            vec![0],
            written(&[FromWorker::Ask(7, Ask::Log { from: 9 })]),
        ]
        .concat(),
        [vec![8], written(&[verdict])].concat(),
        [vec![10], written(&[Request::Restart("health".into())])].concat(),
        [vec![12], written(&[FromProbe::Image(1)])].concat(),
    ]
}

/// What probes read from media: whatever is chosen is valid, for a node that there is, and newest of all.
pub fn media(bytes: &[u8]) {
    let media: Vec<Medium> = script(bytes).take(4).collect();
    let judged: Vec<Choice> = media.iter().map(judge).collect();
    let Choice { selected, .. } = best(judged.iter());
    let alone = judged.iter().filter_map(|medium| medium.selected.as_ref());
    let newest = alone.map(|found| found.image.generation).max();
    assert_eq!(
        newest,
        selected.as_ref().map(|selected| selected.image.generation)
    );
    let Some(selected) = selected else { return };
    assert_eq!(image::decode(&selected.bytes).as_ref(), Ok(&selected.image));
    assert!(selected.image.config.nodes.get(selected.node).is_some());
}

/// Media with good, torn and strange slots.
#[must_use]
pub fn media_seeds() -> Vec<Vec<u8>> {
    let image = |generation| image::encode(&samples::config(), generation).unwrap_or_default();
    let medium = |place: &str, node: &str, slots: Vec<Vec<u8>>| Medium {
        place: place.into(),
        node: Some(format!("node = {node}\r\n")),
        slots: (0..).zip(slots).collect(),
        problems: Vec::new(),
    };
    let mut torn = image(9);
    torn.truncate(40);
    let floppy = medium("fd0", "castor", vec![image(3), torn]);
    let stick = medium("sda1", "\"pollux\" # left", vec![image(4)]);
    let stranger = medium("sdb1", "leda", vec![image(1)]);
    vec![
        written(core::slice::from_ref(&floppy)),
        written(&[floppy, stick, stranger]),
    ]
}
