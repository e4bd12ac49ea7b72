//! Keeps workers from acting while a newer config may still be found. Each has the gate as its standard
//! input and reads that to its end before it does anything: so it is started, and has read its config,
//! by the time the slowest drive has answered, and can be dismissed without a trace if that one knows better.

use super::failure::Failure;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};

/// A pipe that nothing is ever written to; open once its writing end is closed.
pub struct Gate {
    reader: PipeReader,
    writer: Option<PipeWriter>,
}

impl Gate {
    /// Closed.
    pub fn closed() -> Result<Self, Failure> {
        let (reader, writer) = std::io::pipe().map_err(Failure::during("making a gate"))?;
        Ok(Gate {
            reader,
            writer: Some(writer),
        })
    }

    /// Lets all pass from now on, also those that are started later.
    pub fn open(&mut self) {
        self.writer = None;
    }

    /// Whether a worker may act.
    pub fn is_open(&self) -> bool {
        self.writer.is_none()
    }
}

impl AsFd for Gate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sys::poll::{readable, until};

    #[test]
    fn nobody_passes_before_it_opens_and_everybody_after() {
        let mut gate = Gate::closed().unwrap();
        let passes = |gate: &Gate| until(&mut [readable(gate.as_fd())], Some(0)).unwrap() > 0;
        assert!(!passes(&gate) && !gate.is_open());
        gate.open();
        assert!(passes(&gate) && passes(&gate) && gate.is_open());
    }
}
