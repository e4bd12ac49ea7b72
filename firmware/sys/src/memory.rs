//! Memory of processes: a file without a name that two of them share, and a bound on what one may take.

use crate::Error;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, setrlimit};
use std::fs::File;

/// A file in memory, gone with its last descriptor. Whoever inherits one writes, the other reads.
///
/// # Errors
/// EMFILE, ENOMEM.
pub fn shared_file() -> Result<File, Error> {
    memfd_create(c"pollux", MFdFlags::MFD_CLOEXEC)
        .map(File::from)
        .map_err(Error::during("making a file in memory"))
}

/// Bounds what this process may take from now on, all it has counted in: asking for more ends it.
///
/// # Errors
/// None in practice: less is always allowed.
pub fn bound(bytes: u64) -> Result<(), Error> {
    setrlimit(Resource::RLIMIT_AS, bytes, bytes).map_err(Error::during("bounding memory"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};

    #[test]
    fn what_one_writes_the_other_reads() {
        let mut ours = shared_file().unwrap();
        let mut theirs = ours.try_clone().unwrap();
        theirs.write_all(b"castor").unwrap();
        ours.rewind().unwrap();
        let mut text = String::new();
        ours.read_to_string(&mut text).unwrap();
        assert_eq!(text, "castor");
    }
}
