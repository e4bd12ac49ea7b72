//! Fuzz targets: one per decoder of bytes that come from a wire, a medium, the kernel, another process or
//! a keyboard. A target takes any bytes, and asserts what must hold whatever they are; what a target finds
//! becomes a test beside the decoder, and a line of `corpus/NAME-broke.hex`. `run` feeds them, guided by coverage.

mod bpf;
mod corpus;
mod targets;

// polluxctl's readers: of config files, for the way from an image to its text and back; of media and CDs.
#[path = "../../../board/src/diagnostic.rs"]
mod diagnostic;
#[path = "../../../board/src/"]
mod polluxctl {
    pub(crate) mod cd;
    pub(crate) mod fat;
    pub(crate) mod medium;
    pub(crate) mod read;
}

pub use corpus::{keep, starters};
pub use targets::TARGETS;

/// A decoder under test.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// As on the command line.
    pub name: &'static str,
    /// What it takes bytes for.
    pub about: &'static str,
    /// Takes any bytes; panics where something does not hold.
    pub run: fn(&[u8]),
    /// Bytes to begin with, made by our own encoders or captured.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
