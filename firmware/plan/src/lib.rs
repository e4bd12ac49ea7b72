//! Config of the pair (schema, image, validation) and the way from it to a kernel that holds what it
//! says: config + role + health -> `desired`; `diff` with what is observed -> ordered steps.
//! Pure: no sockets, clocks, files or threads; the compiler keeps them out.
#![no_std]

extern crate alloc;

pub mod address;
pub mod config;
pub mod desired;
pub mod diff;
pub mod firewall;
pub mod image;
pub mod kernel;
pub mod live;
pub mod medium;
pub mod names;
pub mod password;
pub mod paths;
pub mod ruleset;
pub mod sysctl;
pub mod text;
pub mod validate;
pub mod virtual_mac;

pub use desired::{Health, desired, desired_but_ruleset, device_of, virtual_addresses};
pub use diff::diff;
pub use image::Image;
pub use validate::{Problem, validate};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod samples;
#[cfg(test)]
extern crate std;
