//! What PID 1 writes into a worker's argv, read back: `worker ROLE --node NAME --run-dir DIR
//! --guest yes|no --event-room BYTES --wire NAME=FD …`. Pure.

use crate::ipc::{Wire, WorkerKind};
use crate::place::Place;
use crate::worker::WorkerError;

/// The arguments behind `pollux worker`.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// What the process is to do.
    pub kind: WorkerKind,
    /// Name of this box in the config.
    pub node: Option<String>,
    /// Where it works.
    pub place: Place,
    /// Inherited descriptors.
    pub wires: Vec<(Wire, i32)>,
}

impl Arguments {
    /// Reads what follows `worker`.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, WorkerError> {
        let kind = words.next().and_then(|word| word.parse().ok());
        let mut arguments = Arguments {
            kind: kind.ok_or(WorkerError::Arguments("no such role"))?,
            node: None,
            place: Place::on_box(),
            wires: Vec::new(),
        };
        while let Some(option) = words.next() {
            let value = words
                .next()
                .ok_or(WorkerError::Arguments("an option has no value"))?;
            match option.as_str() {
                "--node" => arguments.node = Some(value),
                "--run-dir" => arguments.place.run_dir = value.into(),
                "--guest" => arguments.place.is_guest = value == "yes",
                "--event-room" => {
                    let bytes = value.parse().ok();
                    arguments.place.event_room_bytes =
                        bytes.ok_or(WorkerError::Arguments("that is no number of bytes"))?;
                }
                "--wire" => arguments
                    .wires
                    .push(wire(&value).ok_or(WorkerError::Arguments("no such wire"))?),
                _ => return Err(WorkerError::Arguments("no such option")),
            }
        }
        Ok(arguments)
    }
}

fn wire(text: &str) -> Option<(Wire, i32)> {
    let (name, fd) = text.split_once('=')?;
    Some((name.parse().ok()?, fd.parse().ok().filter(|fd| *fd > 2)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Arguments, WorkerError> {
        Arguments::parse(text.split_ascii_whitespace().map(String::from))
    }

    #[test]
    fn what_pid_1_writes_is_read() {
        let arguments = parse(
            "cluster --run-dir /r --guest yes --event-room 5 --node castor --wire lifeline=3 --wire cluster-control=4",
        );
        let expected = Arguments {
            kind: WorkerKind::Cluster,
            node: Some("castor".into()),
            place: Place {
                run_dir: "/r".into(),
                is_guest: true,
                event_room_bytes: 5,
            },
            wires: vec![(Wire::Lifeline, 3), (Wire::ClusterControl, 4)],
        };
        assert_eq!(arguments.unwrap(), expected);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "cook",
            "cluster --node",
            "cluster --event-room much",
            "cluster --wire x=3",
            "cluster --wire lifeline=0",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
