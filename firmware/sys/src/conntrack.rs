//! Sockets to the kernel's connection tracking: events as they come, the table in a dump that can be read piece by
//! piece, and a way to put flows into it, many per system call. What is sent and read is `netlink::conntrack`'s.

mod dump;
mod events;
mod many;
mod table;

pub use dump::{Dump, Progress};
pub use events::{Events, Heard};
pub use table::Table;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use std::os::fd::{AsFd, AsRawFd};

/// Room for what the kernel sends: above the system's limit where we may, else up to it.
fn give_room(socket: &impl AsFd, bytes: usize) {
    if setsockopt(socket, sockopt::RcvBufForce, &bytes).is_err() {
        // Without CAP_NET_ADMIN; the kernel cuts it to what is allowed, so nothing can fail here.
        let _ = setsockopt(socket, sockopt::RcvBuf, &bytes);
    }
}

/// Sets a socket option of netlink's or of sockets in general.
fn set_option<T>(socket: &impl AsFd, level: i32, option: i32, value: &T) -> Result<(), Errno> {
    // SAFETY: pointer and length describe `value`, which outlives the call; the kernel copies it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            (&raw const *value).cast(),
            crate::length_of::<T>(),
        )
    };
    Errno::result(result).map(|_| ())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
