//! The health worker.

use crate::worker::{WorkerContext, WorkerError};

/// Runs until PID 1 says stop or a failure that only a restart can mend.
pub fn run(_context: WorkerContext) -> Result<(), WorkerError> {
    Ok(())
}
