//! Mounts: the kernel's own file systems at boot, and media read-only, by device. A medium is never
//! mounted writable, and nothing on one is ever run.

use crate::Error;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs;
use std::path::Path;

/// A file system that the kernel makes itself, and where it belongs.
#[derive(Debug, Clone, Copy)]
pub struct Virtual {
    /// Its name, as in /proc/filesystems.
    pub kind: &'static str,
    /// Its mount point, made where missing.
    pub at: &'static str,
    options: &'static str,
    flags: MsFlags,
}

const QUIET: MsFlags = MsFlags::MS_NOSUID
    .union(MsFlags::MS_NOEXEC)
    .union(MsFlags::MS_NODEV);

/// What a box needs before anything else, in this order.
pub const AT_BOOT: [Virtual; 4] = [
    Virtual {
        kind: "proc",
        at: "/proc",
        options: "",
        flags: QUIET,
    },
    Virtual {
        kind: "sysfs",
        at: "/sys",
        options: "",
        flags: QUIET,
    },
    Virtual {
        kind: "devtmpfs",
        at: "/dev",
        options: "mode=0755",
        flags: MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC),
    },
    // Bounded: nothing there may eat the memory of the box. Two images of 4 MiB fit.
    Virtual {
        kind: "tmpfs",
        at: "/run",
        options: "mode=0755,size=12m",
        flags: QUIET,
    },
];

/// Mounts one; one that is mounted already is as good.
///
/// # Errors
/// ENODEV where the kernel was built without it.
pub fn mount_virtual(what: &Virtual) -> Result<(), Error> {
    make_directory(Path::new(what.at))?;
    match mount(
        Some(what.kind),
        what.at,
        Some(what.kind),
        what.flags,
        Some(what.options),
    ) {
        Ok(()) | Err(Errno::EBUSY) => Ok(()),
        Err(errno) => Err(Error::during("mounting")(errno).on(what.at)),
    }
}

/// File systems that a medium may have, in the order they are tried.
const MEDIUM_KINDS: [&str; 2] = ["vfat", "iso9660"];

/// Mounts the block device `device` read-only at `at` (made where missing) and says as what.
///
/// # Errors
/// ENXIO or ENOMEDIUM for an empty drive, EIO for an unreadable one, EINVAL where it holds neither FAT
/// nor ISO 9660, EBUSY where something is mounted at `at`.
pub fn mount_medium(device: &Path, at: &Path) -> Result<&'static str, Error> {
    make_directory(at)?;
    let flags = QUIET | MsFlags::MS_RDONLY;
    let mut last = Errno::EINVAL;
    for kind in MEDIUM_KINDS {
        match mount(Some(device), at, Some(kind), flags, None::<&str>) {
            Ok(()) => return Ok(kind),
            // Not this one (or not in this kernel); whatever else it says holds for all of them.
            Err(Errno::EINVAL | Errno::ENODEV) => {}
            Err(errno) => {
                last = errno;
                break;
            }
        }
    }
    Err(Error::during("mounting")(last).on(device.display()))
}

/// Unmounts what is at `at`, at once; whoever still reads there is cut off when done.
///
/// # Errors
/// EINVAL where nothing is mounted.
pub fn unmount(at: &Path) -> Result<(), Error> {
    umount2(at, MntFlags::MNT_DETACH)
        .map_err(Error::during("unmounting"))
        .map_err(|error| error.on(at.display()))
}

fn make_directory(at: &Path) -> Result<(), Error> {
    fs::create_dir_all(at)
        .map_err(Error::io("making directory"))
        .map_err(|error| error.on(at.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use nix::sched::{CloneFlags, unshare};

    /// On a thread with mounts of its own; nothing of it reaches the host.
    fn in_own_mounts(name: &str, test: impl FnOnce(&'static str) + Send + 'static) {
        let at = format!("pollux-mount-{name}-{}", std::process::id());
        let thread = std::thread::spawn(|| {
            let at = std::env::temp_dir().join(at);
            if let Err(errno) = unshare(CloneFlags::CLONE_NEWNS) {
                crate::testing::skip(&format!("a mount namespace wants root ({errno})"));
                return;
            }
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
            test(Box::leak(
                at.to_string_lossy().into_owned().into_boxed_str(),
            ));
            let _ = fs::remove_dir(&at);
        });
        thread.join().unwrap();
    }

    #[test]
    fn what_is_mounted_is_there_and_goes() {
        in_own_mounts("virtual", |at| {
            let run = AT_BOOT.iter().find(|what| what.at == "/run").unwrap();
            mount_virtual(&Virtual { at, ..*run }).unwrap();
            let mounts = || fs::read_to_string("/proc/thread-self/mounts").unwrap();
            let line = format!("tmpfs {at} tmpfs rw,nosuid,nodev,noexec");
            assert!(mounts().contains(&line));
            unmount(Path::new(at)).unwrap();
            assert!(!mounts().contains(&line));
            assert!(
                unmount(Path::new(at))
                    .unwrap_err()
                    .to_string()
                    .contains("EINVAL")
            );
        });
    }

    #[test]
    fn what_is_no_medium_is_named() {
        in_own_mounts("medium", |at| {
            let error = mount_medium(Path::new("/dev/nothing"), Path::new(at)).unwrap_err();
            // ENOENT, or EINVAL where the kernel of the tests knows neither file system.
            assert!(
                error.to_string().starts_with("mounting /dev/nothing: E"),
                "{error}"
            );
        });
    }
}
