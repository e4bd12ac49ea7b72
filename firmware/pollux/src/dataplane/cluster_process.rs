//! The cluster worker's process, as the dataplane follows it: its end is known at once, before any silence
//! of it means anything.

use std::os::fd::{AsFd, BorrowedFd};
use sys::pidfd::PidFd;

/// What is known of the process.
#[derive(Debug)]
pub enum ClusterProcess {
    /// There is none.
    Gone,
    /// It runs.
    Followed(PidFd),
    /// This kernel can't tell; only silence does.
    Unseen,
}

impl ClusterProcess {
    /// The one that says to have this number.
    pub fn of(pid: u32) -> Self {
        match PidFd::open(pid) {
            Ok(Some(process)) => ClusterProcess::Followed(process),
            Ok(None) => ClusterProcess::Gone,
            Err(error) => {
                log::warn!("{error}: going by what the cluster worker says");
                ClusterProcess::Unseen
            }
        }
    }

    /// Whether it has ended.
    pub fn is_gone(&mut self) -> bool {
        if let ClusterProcess::Followed(process) = self
            && process.has_ended()
        {
            *self = ClusterProcess::Gone;
        }
        matches!(self, ClusterProcess::Gone)
    }

    /// Readable once it has ended; `None`: that can't be or is known.
    pub fn end(&self) -> Option<BorrowedFd<'_>> {
        match self {
            ClusterProcess::Followed(process) => Some(process.as_fd()),
            ClusterProcess::Gone | ClusterProcess::Unseen => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_one_runs_and_none_has_the_largest_number() {
        let mut own = ClusterProcess::of(std::process::id());
        assert!(!own.is_gone() && own.end().is_some());
        // Above every pid_max.
        let mut none = ClusterProcess::of(1 << 30);
        assert!(none.is_gone() && none.end().is_none());
    }
}
