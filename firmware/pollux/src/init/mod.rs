//! PID 1.
pub mod backoff;
pub mod ring;
