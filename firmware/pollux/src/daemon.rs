//! `pollux run`: the pair on machines that are somebody else's. The same supervisor and workers as on a
//! box, in the network namespace they are started in; no mounts, no watchdog, no ttys, no reboot. SIGTERM
//! hands over and ends it in order, and so do ctrl-C and a terminal that closes; SIGHUP has it read its config again.

mod options;

pub use options::Options;

use crate::init::{Failure, Journal, Output, Selected, Supervisor};
use crate::ipc::control::Level;
use crate::place::Place;
use plan::image::{self, IMAGE_BYTES_MAX, Image, ImageError};
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Held for as long as the daemon lives: one for each run directory.
const LOCK: &str = "lock";

/// Runs until SIGTERM, SIGINT, SIGQUIT, or until its terminal closes.
///
/// # Errors
/// Whatever keeps it from starting, as a sentence.
pub fn run(options: &Options) -> Result<(), String> {
    let selected = select(options)?;
    let (mut place, _lock) = settle(&options.run_dir)?;
    if let Some(bytes) = options.event_room_bytes {
        place.event_room_bytes = bytes;
    }
    let stderr = std::io::stderr().as_fd().try_clone_to_owned();
    let stderr = stderr.map_err(|error| format!("taking standard error: {error}"))?;
    let mut journal = Journal::of_guest(Output::new(File::from(stderr)));
    let version = env!("CARGO_PKG_VERSION");
    let text = format!("Pollux {version}, daemon in {}", place.run_dir.display());
    journal.say(Level::Info, &text);
    let again = options.clone();
    let read_again = Box::new(move || select(&again));
    let served = Supervisor::as_guest(journal, place.clone(), selected, read_again)
        .and_then(|supervisor| supervisor.serve().map(|_| ()));
    // The one holds the key, at the other nobody answers any more.
    for path in [place.config(), place.next_config(), place.control()] {
        let _ = fs::remove_file(path);
    }
    served.map_err(|error: Failure| error.to_string())
}

/// The config, and which of its nodes this is.
fn select(options: &Options) -> Result<Selected, String> {
    let path = &options.config;
    let bytes = read(path).map_err(|error| unread(path, &error))?;
    let image = image::decode(&bytes).map_err(|error| explain(path, &bytes, &error))?;
    let node = node(&image, options.node.as_deref())?;
    let place = path.display().to_string();
    Ok(Selected {
        place,
        bytes,
        image,
        node,
    })
}

/// No more than an image may hold, whatever the path leads to.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(IMAGE_BYTES_MAX).unwrap_or(u64::MAX);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unread(path: &Path, error: &std::io::Error) -> String {
    let path = path.display();
    let help = match error.kind() {
        ErrorKind::NotFound => {
            format!(
                "write one with `polluxctl build --out {path} FILE`, FILE being the pair's TOML"
            )
        }
        ErrorKind::PermissionDenied => "run pollux as root, or let it read that file".to_owned(),
        _ => "give --config an image by `polluxctl build`".to_owned(),
    };
    format!("reading {path}: {error}: {help}")
}

fn explain(path: &Path, bytes: &[u8], error: &ImageError) -> String {
    let path = path.display();
    if *error == ImageError::Magic && core::str::from_utf8(bytes).is_ok() {
        return format!(
            "{path} is text, and this program reads images only: \
             write one with `polluxctl build --out pollux.plx {path}`, then give it that"
        );
    }
    let other = "write one with `polluxctl build`";
    match error {
        ImageError::Magic | ImageError::Empty => format!("{path} is no config image: {other}"),
        _ => format!("{path}: {error}"),
    }
}

/// The node that was named, else the one called as the machine is.
fn node(image: &Image, name: Option<&str>) -> Result<usize, String> {
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let hostname = hostname.split(['.', '\n']).next().unwrap_or_default();
    let name = name.unwrap_or(hostname);
    image.config.node_index(name).ok_or_else(|| {
        let names = image.config.nodes.iter().map(|node| node.name.as_str());
        let names: Vec<_> = names.collect();
        let names = names.join(" or --node ");
        format!("the config knows no node {name}: say which one this is, --node {names}")
    })
}

/// Makes the run directory and sees to it that nobody else works in it.
fn settle(run_dir: &Path) -> Result<(Place, File), String> {
    let shown = run_dir.display();
    let at = |error: std::io::Error| format!("making the run directory {shown}: {error}");
    fs::create_dir_all(run_dir).map_err(at)?;
    let run_dir: PathBuf = run_dir.canonicalize().map_err(at)?;
    let lock = File::create(run_dir.join(LOCK)).map_err(at)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(format!(
                "another pollux runs in {shown}: end that first, or give this one a --run-dir of its own"
            ));
        }
        Err(TryLockError::Error(error)) => return Err(at(error)),
    }
    Ok((Place::of_guest(run_dir), lock))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::samples::config;

    fn folder(name: &str) -> PathBuf {
        let id = std::process::id();
        let folder = std::env::temp_dir().join(format!("pollux-daemon-{id}-{name}"));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn options(folder: &Path, bytes: &[u8], node: &str) -> Options {
        let config = folder.join("config.plx");
        fs::write(&config, bytes).unwrap();
        Options {
            config,
            node: Some(node.into()),
            run_dir: folder.into(),
            event_room_bytes: None,
        }
    }

    #[test]
    fn an_image_and_a_node_of_it_are_taken() {
        let folder = folder("taken");
        let bytes = image::encode(&config(), 4).unwrap();
        let selected = select(&options(&folder, &bytes, "pollux")).unwrap();
        assert_eq!((selected.image.generation, selected.node), (4, 1));
        let refused = select(&options(&folder, &bytes, "kastor")).unwrap_err();
        assert!(
            refused.ends_with("--node castor or --node pollux"),
            "{refused}"
        );
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_missing_config_says_how_to_make_one() {
        let folder = folder("missing");
        let mut options = options(&folder, &[], "castor");
        options.config = folder.join("other.plx");
        let refused = select(&options).unwrap_err();
        let path = options.config.display();
        let help = format!("`polluxctl build --out {path} FILE`");
        assert!(refused.contains(&help), "{refused}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn text_is_told_from_damage() {
        let folder = folder("text");
        let refused = |bytes: &[u8]| select(&options(&folder, bytes, "castor")).unwrap_err();
        let of_text = refused(b"[cluster]\nname = \"edge\"\n# and a lot more of it\n");
        assert!(
            of_text.contains("polluxctl build --out pollux.plx"),
            "{of_text}"
        );
        let mut torn = image::encode(&config(), 4).unwrap();
        torn.truncate(60);
        assert!(refused(&torn).contains("cut short"));
        assert!(refused(&[0xff; 90]).contains("no config image"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_run_directory_is_for_one() {
        let folder = folder("lock");
        let (place, lock) = settle(&folder).unwrap();
        assert!(place.is_guest);
        let refused = settle(&folder).unwrap_err();
        assert!(refused.contains("another pollux runs in"), "{refused}");
        drop(lock);
        assert!(settle(&folder).is_ok());
        fs::remove_dir_all(folder).unwrap();
    }
}
