//! Why the kernel did not do or say what was asked: what was attempted comes from the request itself.

use netlink::nftables::{Refusal, Unsayable};
use netlink::{DecodeError, EncodeError, KernelError};
use nix::libc;
use std::fmt;

/// Why the kernel did not do or say what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The request can't be written.
    Encode(EncodeError),
    /// The answer can't be read.
    Decode(&'static str, DecodeError),
    /// The kernel refused, for this reason.
    Refused(&'static str, KernelError),
    /// The ruleset is not consistent.
    Unsayable(Unsayable),
    /// The kernel refused a ruleset, for the first of these reasons; it still holds what it held.
    RulesetRefused(Refusal),
    /// The table kept changing while it was read; ask again later.
    Unsteady(&'static str),
    /// Nothing of the kind asked for was in the answer.
    NoAnswer(&'static str),
    /// The socket itself failed.
    Socket(crate::Error),
}

impl Error {
    /// The kernel's errno where it refused.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::Refused(_, error) => Some(error.errno),
            Error::RulesetRefused(refusal) => Some(refusal.error.errno),
            _ => None,
        }
    }

    /// It was asked to delete or change what is not there; the families differ in how they say so.
    #[must_use]
    pub fn is_not_there(&self) -> bool {
        // ENXIO: the device has no IPv6 (any more), and so none of its addresses.
        let said = [
            libc::ENOENT,
            libc::ESRCH,
            libc::EADDRNOTAVAIL,
            libc::ENODEV,
            libc::ENXIO,
        ];
        self.errno().is_some_and(|errno| said.contains(&errno))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Encode(error) => error.fmt(f),
            Error::Decode(attempt, error) => write!(f, "{attempt}: {error}"),
            Error::Refused(attempt, error) => write!(f, "{attempt}: {error}"),
            Error::Unsayable(error) => error.fmt(f),
            Error::RulesetRefused(refusal) => write!(f, "loading the ruleset: {refusal}"),
            Error::Unsteady(attempt) => write!(f, "{attempt}: it changes all the time; try again"),
            Error::NoAnswer(attempt) => write!(f, "{attempt}: the kernel did not answer"),
            Error::Socket(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        Error::Encode(error)
    }
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        Error::Socket(error)
    }
}
