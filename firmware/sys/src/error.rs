//! The one error of this crate: what was attempted, on what, and the kernel's answer. What to do about
//! it stands in the words of the attempt where the caller can do anything.

use core::fmt;
use nix::errno::Errno;
use std::io;

/// A system call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    attempt: &'static str,
    subject: Option<Box<str>>,
    errno: i32,
}

impl Error {
    /// `attempt` as a participle (`mounting`), `errno` as in errno(3).
    #[must_use]
    pub fn new(attempt: &'static str, errno: i32) -> Self {
        Error {
            attempt,
            subject: None,
            errno,
        }
    }

    /// Names what it was attempted on (`/dev/sr0`).
    #[must_use]
    pub fn on(mut self, subject: impl fmt::Display) -> Self {
        self.subject = Some(subject.to_string().into_boxed_str());
        self
    }

    /// As in errno(3); 0 where the kernel gave none.
    #[must_use]
    pub fn errno(&self) -> i32 {
        self.errno
    }

    /// `map_err(Error::during("mounting"))`, for nix.
    pub(crate) fn during(attempt: &'static str) -> impl FnOnce(Errno) -> Self {
        // `Errno` is a C int by representation.
        move |errno| Error::new(attempt, errno as i32)
    }

    /// `map_err(Error::io("reading"))`, for std.
    pub(crate) fn io(attempt: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Error::new(attempt, error.raw_os_error().unwrap_or(0))
    }

    /// The last error of a raw system call.
    pub(crate) fn last(attempt: &'static str) -> Self {
        Error::new(attempt, Errno::last_raw())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.attempt)?;
        if let Some(subject) = &self.subject {
            write!(f, " {subject}")?;
        }
        match self.errno {
            0 => f.write_str(": unexpected answer"),
            // "ENODEV: No such device".
            errno => write!(f, ": {}", Errno::from_raw(errno)),
        }
    }
}

impl std::error::Error for Error {}

impl embedded_io::Error for Error {
    fn kind(&self) -> embedded_io::ErrorKind {
        use embedded_io::ErrorKind;
        match Errno::from_raw(self.errno) {
            Errno::EAGAIN => ErrorKind::TimedOut,
            Errno::EINTR => ErrorKind::Interrupted,
            Errno::ENXIO | Errno::ENODEV | Errno::ENOENT => ErrorKind::NotFound,
            _ => ErrorKind::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_on_what_and_why() {
        let error = Error::new("mounting", Errno::ENXIO as i32).on("/dev/fd0");
        assert_eq!(
            error.to_string(),
            "mounting /dev/fd0: ENXIO: No such device or address"
        );
        assert_eq!(
            Error::new("asking", 0).to_string(),
            "asking: unexpected answer"
        );
    }
}
