//! What follows `pollux run` on the command line. Pure.

use crate::place::RUN_DIR;
use std::path::PathBuf;

/// How it is used.
pub const USAGE: &str = "pollux run --config FILE [--node NAME] [--run-dir DIR] [--event-room KIB]";

/// What to run, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// An image, as `polluxctl build` writes it.
    pub config: PathBuf,
    /// Which node of it this is; `None`: the one called as the machine is.
    pub node: Option<String>,
    /// For the control socket and the config's copy.
    pub run_dir: PathBuf,
    /// Memory that the kernel may take for events of connections that wait; `None`: as on a box.
    pub event_room_bytes: Option<usize>,
}

impl Options {
    /// Reads what follows `run`.
    ///
    /// # Errors
    /// What is wrong, and how it is used.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut config, mut node, mut run_dir) = (None, None, PathBuf::from(RUN_DIR));
        let mut event_room_bytes = None;
        while let Some(option) = words.next() {
            let mut value = || {
                let missing = || format!("{option} wants a value; usage: {USAGE}");
                words.next().ok_or_else(missing)
            };
            match option.as_str() {
                "--config" => config = Some(value()?.into()),
                "--node" => node = Some(value()?),
                "--run-dir" => run_dir = value()?.into(),
                "--event-room" => event_room_bytes = Some(kib(&value()?)?),
                _ => return Err(format!("no option {option}; usage: {USAGE}")),
            }
        }
        let config = config.ok_or_else(|| format!("--config is missing; usage: {USAGE}"))?;
        Ok(Options {
            config,
            node,
            run_dir,
            event_room_bytes,
        })
    }
}

/// KiB as bytes. More than 1 GiB is no socket's.
fn kib(text: &str) -> Result<usize, String> {
    let kib: Option<usize> = text.parse().ok().filter(|kib| (1..=1 << 20).contains(kib));
    kib.map(|kib| kib * 1024).ok_or_else(|| {
        format!("--event-room wants KiB, from 1 to 1048576, not {text}; usage: {USAGE}")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        Options::parse(text.split_ascii_whitespace().map(String::from))
    }

    #[test]
    fn options_come_in_any_order_and_have_defaults() {
        let options = parse("--node castor --config a.plx").unwrap();
        assert_eq!(options.node.as_deref(), Some("castor"));
        assert_eq!(options.run_dir, PathBuf::from("/run/pollux"));
        let options = parse("--run-dir /run/b --config a.plx").unwrap();
        assert_eq!((options.node, options.run_dir), (None, "/run/b".into()));
        assert_eq!(options.event_room_bytes, None);
        let options = parse("--config a.plx --event-room 64").unwrap();
        assert_eq!(options.event_room_bytes, Some(65_536));
    }

    #[test]
    fn what_is_wrong_is_named_with_the_usage() {
        for (text, wrong) in [
            ("", "--config is missing"),
            ("--config", "--config wants a value"),
            ("--conf a", "no option --conf"),
            ("--config a --event-room 0", "--event-room wants KiB"),
            ("--config a --event-room 64M", "--event-room wants KiB"),
        ] {
            let refused = parse(text).unwrap_err();
            assert!(
                refused.starts_with(wrong) && refused.contains(USAGE),
                "{refused}"
            );
        }
    }
}
