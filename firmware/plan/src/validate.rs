//! Everything a config must fulfil beyond its types, so that the code behind it need not check again.

use crate::config::Config;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Something in a config that cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: field names and positions from the config's root, `services[3].servers[0].weight`.
    pub path: String,
    /// The offending value as an operator would write it.
    pub value: String,
    /// What is wrong with it, as the end of a sentence that begins with the value.
    pub fault: String,
    /// What to write instead, as an imperative.
    pub advice: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} {}: {}",
            self.path, self.value, self.fault, self.advice
        )
    }
}

/// Checks a config.
///
/// # Errors
/// All problems, in the order of the config.
pub fn validate(_config: &Config) -> Result<(), Vec<Problem>> {
    Ok(())
}
