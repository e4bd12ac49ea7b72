//! What makes a process answer in time: real-time priority (sched(7)) and memory that is never paged
//! (mlockall(2)).

use crate::Error;
use nix::libc;
use nix::sys::mman::{MlockAllFlags, mlockall};

/// `struct sched_param` of linux/sched/types.h; musl's own has more fields than the kernel reads.
#[repr(C)]
struct Parameter {
    priority: libc::c_int,
}

/// Runs this thread under SCHED_FIFO at `priority` (1 to 99); its children start as ordinary ones.
///
/// # Errors
/// EPERM without CAP_SYS_NICE.
pub fn set_fifo(priority: u8) -> Result<(), Error> {
    let parameter = Parameter {
        priority: i32::from(priority),
    };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // The raw call: musl's own sched_setscheduler only ever answers ENOSYS.
    // SAFETY: `parameter` is as the kernel has it and outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            0,
            policy,
            &raw const parameter,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(Error::last("setting SCHED_FIFO"))
    }
}

/// Keeps all memory of this process in RAM, present and future.
///
/// # Errors
/// EPERM or ENOMEM without CAP_IPC_LOCK.
pub fn lock_memory() -> Result<(), Error> {
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)
        .map_err(Error::during("locking memory"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn fifo_is_set_or_refused_with_a_reason() {
        let seen = std::thread::spawn(|| match set_fifo(1) {
            // SAFETY: asks for the policy of the calling thread; no pointers.
            Ok(()) => unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) },
            Err(error) => {
                assert_eq!(
                    error.to_string(),
                    "setting SCHED_FIFO: EPERM: Operation not permitted"
                );
                i64::from(libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK)
            }
        });
        assert_eq!(
            seen.join().unwrap(),
            i64::from(libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK)
        );
    }
}
