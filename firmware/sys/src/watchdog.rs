//! The hardware watchdog (Documentation/watchdog/watchdog-api.rst): fed, or it resets the machine. One
//! is chosen by the identity its driver gives, since built-in drivers claim hardware that is not there.

use crate::Error;
use nix::errno::Errno;
use nix::{ioctl_readwrite, libc};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;

ioctl_readwrite!(
    /// WDIOC_SETTIMEOUT of linux/watchdog.h: seconds, answered with what the hardware made of it.
    set_timeout_s, b'W', 6, libc::c_int
);

/// Taken only where there is no other: it dies with the kernel it is to watch.
const SOFTWARE: &str = "Software Watchdog";

/// Its driver finds itself at home on any PC, hardware or not.
const IMAGINARY: &str = "IB700 WDT";

/// A watchdog that is armed. Dropped without `disarm` it goes on counting: whoever forgets it is reset.
#[derive(Debug)]
pub struct Watchdog {
    file: File,
    identity: String,
    timeout_s: u32,
}

impl Watchdog {
    /// Finds a watchdog and arms it; `None` where the machine has none.
    ///
    /// # Errors
    /// EBUSY where somebody else holds it; EINVAL where it takes no such timeout.
    pub fn open(timeout_s: u32) -> Result<Option<Self>, Error> {
        match choose(Path::new("/sys/class/watchdog")) {
            Some((name, identity)) => Self::arm(&Path::new("/dev").join(name), identity, timeout_s),
            None => Ok(None),
        }
    }

    fn arm(path: &Path, identity: String, timeout_s: u32) -> Result<Option<Self>, Error> {
        let file = OpenOptions::new()
            .write(true)
            .open(path)
            .map_err(Error::io("opening"))
            .map_err(|error| error.on(path.display()))?;
        let mut seconds = libc::c_int::try_from(timeout_s).unwrap_or(libc::c_int::MAX);
        // SAFETY: the kernel reads and writes one int, which outlives the call.
        match unsafe { set_timeout_s(file.as_raw_fd(), &raw mut seconds) } {
            // One with a fixed timeout is better than none.
            Ok(_) | Err(Errno::EOPNOTSUPP | Errno::ENOTTY) => {}
            Err(errno) => return Err(Error::during("setting the timeout of")(errno).on(identity)),
        }
        let timeout_s = u32::try_from(seconds).unwrap_or(timeout_s);
        Ok(Some(Watchdog {
            file,
            identity,
            timeout_s,
        }))
    }

    /// As its driver says (`i6300ESB timer`).
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Seconds without a feed until it resets the machine.
    #[must_use]
    pub fn timeout_s(&self) -> u32 {
        self.timeout_s
    }

    /// Keeps it quiet for another `timeout_s`.
    ///
    /// # Errors
    /// What the driver says; the machine will be reset.
    pub fn feed(&mut self) -> Result<(), Error> {
        self.write(b"\0", "feeding watchdog")
    }

    /// Stops it, by the magic close. A driver built with NOWAYOUT goes on all the same, which does no
    /// harm to a machine that restarts in time.
    ///
    /// # Errors
    /// What the driver says.
    pub fn disarm(mut self) -> Result<(), Error> {
        self.write(b"V", "disarming watchdog")
    }

    fn write(&mut self, byte: &[u8], attempt: &'static str) -> Result<(), Error> {
        self.file
            .write_all(byte)
            .map_err(Error::io(attempt))
            .map_err(|error| error.on(&self.identity))
    }
}

/// Name and identity of the best one below `class`.
fn choose(class: &Path) -> Option<(String, String)> {
    let mut found: Vec<(String, String)> = fs::read_dir(class)
        .ok()?
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let identity = fs::read_to_string(entry.path().join("identity")).ok()?;
            Some((
                entry.file_name().into_string().ok()?,
                identity.trim().to_owned(),
            ))
        })
        .filter(|(_, identity)| identity != IMAGINARY)
        .collect();
    found.sort_by_key(|(name, identity)| (identity == SOFTWARE, name.clone()));
    found.into_iter().next()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn class(case: &str, devices: &[(&str, &str)]) -> Option<(String, String)> {
        let root =
            std::env::temp_dir().join(format!("pollux-watchdog-{case}-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        for (name, identity) in devices {
            fs::create_dir_all(root.join(name)).unwrap();
            fs::write(root.join(name).join("identity"), format!("{identity}\n")).unwrap();
        }
        let chosen = choose(&root);
        fs::remove_dir_all(&root).unwrap();
        chosen
    }

    #[test]
    fn hardware_goes_before_software() {
        let both = [
            ("watchdog0", "Software Watchdog"),
            ("watchdog1", "i6300ESB timer"),
        ];
        assert_eq!(
            class("both", &both),
            Some(("watchdog1".into(), "i6300ESB timer".into()))
        );
        let soft = class("soft", &both[..1]);
        assert_eq!(soft, Some(("watchdog0".into(), "Software Watchdog".into())));
        assert_eq!(class("none", &[("watchdog0", "IB700 WDT")]), None);
        assert_eq!(choose(Path::new("/nonexistent")), None);
    }
}
