//! What root may do, in pieces: a worker keeps the few it works with, for good.

use crate::Error;
use nix::libc;
use nix::sys::prctl;

/// A capability, by its number in linux/capability.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Capability {
    /// Signals to processes of other users.
    Kill = 5,
    /// Ports below 1024: heartbeats.
    NetBindService = 10,
    /// Links, addresses, routes, IPVS.
    NetAdmin = 12,
    /// Packet sockets, SO_BINDTODEVICE.
    NetRaw = 13,
    /// mlockall(2).
    IpcLock = 14,
    /// Real-time priority.
    SysNice = 23,
}

/// `struct __user_cap_header_struct`.
#[repr(C)]
struct Header {
    version: u32,
    pid: libc::c_int,
}

/// `struct __user_cap_data_struct`; two of them, low half first.
#[repr(C)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// _LINUX_CAPABILITY_VERSION_3.
const VERSION: u32 = 0x2008_0522;

/// More than any kernel has; those it does not know answer EINVAL.
const LAST: u32 = 63;

/// Keeps these capabilities and gives up all others, for itself and for whatever it may start. Also
/// takes away the way back: no new privileges, and an empty bounding set but for `kept`.
///
/// # Errors
/// EPERM where one of `kept` is not held.
pub fn keep(kept: &[Capability]) -> Result<(), Error> {
    let failed = "giving up capabilities";
    prctl::set_no_new_privs().map_err(Error::during(failed))?;
    let mask = kept
        .iter()
        .fold(0_u32, |mask, capability| mask | 1 << (*capability as u32));
    drop_from_bounding_set(mask);
    let header = Header {
        version: VERSION,
        pid: 0,
    };
    // All that we know lie in the low half.
    let data = [mask, 0].map(|bits| Data {
        effective: bits,
        permitted: bits,
        inheritable: 0,
    });
    // SAFETY: both structures are as linux/capability.h has them and outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    if result == 0 {
        Ok(())
    } else {
        Err(Error::last(failed))
    }
}

/// Best effort: it wants CAP_SETPCAP, and without that there is nothing to gain from the set either,
/// since no new privileges come by execve(2).
fn drop_from_bounding_set(kept: u32) {
    let is_kept = |number: &u32| kept & 1_u32.checked_shl(*number).unwrap_or(0) != 0;
    for number in (0..=LAST).filter(|number| !is_kept(number)) {
        // SAFETY: takes integers only.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) };
    }
}
