//! The end of a box: reboot(2). Only PID 1 may, and it has flushed and unmounted before.

use crate::Error;
use nix::sys::reboot::{RebootMode, reboot, set_cad_enabled};

/// Restarts the machine; returns only on failure.
///
/// # Errors
/// EPERM without CAP_SYS_BOOT.
pub fn restart() -> Result<(), Error> {
    reboot(RebootMode::RB_AUTOBOOT)
        .map(|_| ())
        .map_err(Error::during("rebooting"))
}

/// Powers the machine off; returns only on failure. Where the hardware can't, it halts.
///
/// # Errors
/// EPERM without CAP_SYS_BOOT.
pub fn power_off() -> Result<(), Error> {
    reboot(RebootMode::RB_POWER_OFF)
        .map(|_| ())
        .map_err(Error::during("powering off"))
}

/// Makes ctrl-alt-del a SIGINT to PID 1 instead of a reboot on the spot.
///
/// # Errors
/// EPERM without CAP_SYS_BOOT.
pub fn ctrl_alt_del_to_signal() -> Result<(), Error> {
    set_cad_enabled(false).map_err(Error::during("taking over ctrl-alt-del"))
}

/// Writes what is dirty to its media.
pub fn sync() {
    nix::unistd::sync();
}
