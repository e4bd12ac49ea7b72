//! Random bytes from the kernel (getrandom(2)), at once: fit to tell one start from another, not for keys.

use crate::Error;
use nix::errno::Errno;
use nix::libc;

/// Fills `bytes` without waiting until the kernel trusts its own pool (GRND_INSECURE), which takes more than
/// a second of every boot on machines without RDRAND.
///
/// # Errors
/// Only where the kernel has no getrandom or a sandbox forbids it.
pub fn fill(mut bytes: &mut [u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        // The raw call: std refers to libc's getrandom weakly, and in a static binary with LTO that leaves a
        // null pointer for all.
        // SAFETY: the pointer and length describe `bytes`, which outlives the call.
        let got = unsafe {
            libc::syscall(
                libc::SYS_getrandom,
                bytes.as_mut_ptr(),
                bytes.len(),
                libc::GRND_INSECURE,
            )
        };
        match usize::try_from(got) {
            Ok(got) => bytes = bytes.get_mut(got..).unwrap_or_default(),
            Err(_) if Errno::last() == Errno::EINTR => {}
            Err(_) => return Err(Error::last("drawing random bytes")),
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[test]
    fn two_draws_differ() {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        super::fill(&mut a).unwrap();
        super::fill(&mut b).unwrap();
        assert_ne!(a, b);
    }
}
