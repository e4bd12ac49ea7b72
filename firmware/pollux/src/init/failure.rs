//! What ends PID 1's work: a sentence for the one failure funnel.

use core::fmt;

/// What was attempted and what came of it.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// `map_err(Failure::during("mounting"))`.
    pub fn during<E: fmt::Display>(attempt: &'static str) -> impl FnOnce(E) -> Failure {
        move |error| Failure(format!("{attempt}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<sys::Error> for Failure {
    fn from(error: sys::Error) -> Self {
        Failure(error.to_string())
    }
}
