//! A box whose emulated processor goes before whatever else runs on the host, as one of its own would: what is judged
//! then is the box and not who else is busy.

use crate::ns;
use anyhow::Result;

/// Waits its turn again when this is dropped.
#[derive(Debug)]
pub struct Preferred(String);

impl Preferred {
    /// Prefers all threads of a process, which must outlive this. `None`: this host allows nobody to do so.
    pub fn start(process: u32) -> Result<Option<Self>> {
        let process = process.to_string();
        match ns::run("chrt", ["-a", "-f", "-p", "1", &process]) {
            Ok(()) => Ok(Some(Self(process))),
            Err(error) if format!("{error:#}").contains("not permitted") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Preferred {
    fn drop(&mut self) {
        // A process that is gone needs no priority.
        let _ = ns::run("chrt", ["-a", "-o", "-p", "0", &self.0]);
    }
}
