//! Where the two boxes of a trial are, and what is done there: with `cable` namespaces of one kernel, with `machines` each a
//! machine with a kernel of its own. The trials know neither.

use super::subjects::Subject;
use super::usage::Usage;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::thread;
use std::time::{Duration, Instant};

/// When no more flows come for so long, none will.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Two boxes, joined; gone when dropped.
pub(super) trait Place {
    /// Starts a subject's side at a box.
    fn start(&mut self, subject: &Subject, node: usize) -> Result<Box<dyn Side>>;

    /// Switches the twin's box on again, whose side was killed: its kernel knows nothing any more. Gives the moment from which
    /// on its side's return counts.
    fn renew_twin(&mut self) -> Result<Instant>;
}

/// A subject at work at one box.
pub(super) trait Side: Send + Sync {
    /// Gives an order, as a line for the shell, and returns what that says.
    fn order(&self, order: &str) -> Result<String>;

    /// What the subject's processes have used.
    fn usage(&self) -> Result<Usage>;

    /// Makes the first `count` flows.
    fn load(&self, count: u32) -> Result<Load<'_>>;

    /// Waits until the kernel holds `count` flows, or no more come.
    fn watch(&self, count: u32) -> Result<Sight>;

    /// How many of the first `count` flows the kernel does not hold.
    fn missing(&self, count: u32) -> Result<u32>;

    /// Kills it at one stroke, as a power cut does.
    fn kill(&mut self);
}

/// Puts flows that are made already into the kernel, as fast as that takes them.
pub(super) type Load<'a> = Box<dyn FnOnce() -> Result<()> + Send + 'a>;

/// Flows that were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sight {
    pub(super) count: u32,
    /// How long ago the last one came.
    pub(super) ago: Duration,
}

/// Looks again and again until there are `count` flows, or none has come for `patience`.
pub(super) fn watch(
    count: u32,
    interval: Duration,
    patience: Duration,
    mut look: impl FnMut() -> Result<u32>,
) -> Result<Sight> {
    let (mut most, mut most_at) = (0, Instant::now());
    loop {
        let found = look()?;
        if found > most {
            (most, most_at) = (found, Instant::now());
        }
        if most >= count || most_at.elapsed() > patience {
            return Ok(Sight {
                count: most.min(count),
                ago: most_at.elapsed(),
            });
        }
        thread::sleep(interval);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(1);

    #[test]
    fn it_looks_until_all_have_come() {
        let mut found = 0;
        let look = || {
            found += 3;
            Ok(found)
        };
        let sight = watch(8, INTERVAL, PATIENCE, look).unwrap();
        assert_eq!((sight.count, found), (8, 9));
    }

    #[test]
    fn it_ends_when_no_more_come() {
        let patience = Duration::from_millis(5);
        let sight = watch(8, INTERVAL, patience, || Ok(7)).unwrap();
        assert!(sight.count == 7 && sight.ago > patience);
    }
}
