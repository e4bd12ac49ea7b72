//! The operating system at arm's length: sockets, ttys, the clock, mounts, the watchdog, processes and
//! their sandbox. The only crate that may say `unsafe`; each block gives its reason. It decides nothing:
//! what to send, mount or start is told by the caller.

pub mod block;
pub mod clock;
pub mod conntrack;
pub mod error;
pub mod memory;
pub mod mount;
pub mod napi;
pub mod netlink;
pub mod packet;
pub mod pidfd;
pub mod poll;
pub mod power;
pub mod process;
pub mod random;
pub mod realtime;
pub mod sandbox;
pub mod serial;
pub mod signals;
pub mod socket;
pub mod tcp;
pub mod tty;
pub mod udp;
pub mod uevent;
pub mod watchdog;

pub use error::Error;

/// Bytes of a struct, as socket calls want them.
#[expect(
    clippy::cast_possible_truncation,
    reason = "structs of the kernel have some ten bytes"
)]
const fn length_of<T>() -> nix::libc::socklen_t {
    size_of::<T>() as nix::libc::socklen_t
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod testing;
