//! A process's last act before it listens to strangers: it gives up what it will not need again.
//! Capabilities first (capabilities(7)), then the system calls that are not on a list (seccomp(2)).

mod capabilities;
mod filter;

pub use capabilities::{Capability, keep};
pub use filter::{HEALTH, Syscalls, confine};

#[cfg(test)]
mod tests;
