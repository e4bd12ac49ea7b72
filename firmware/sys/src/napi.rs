//! Threaded NAPI (the kernel's Documentation/networking/napi.rst): packets of a card are taken in by threads of the
//! kernel, one for each of its queues, that the scheduler weighs like any other. Otherwise softirqs take them in, before
//! every process.

use crate::Error;
use nix::libc;
use std::fs;

/// How much of the processor a card's threads have where all want it, as a nice value of sched(7): ten less is nine times
/// as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Nine times that of an ordinary process: with the weight of one they let a busy address wait for up to 90 ms at a
    /// handover.
    Packets = -10,
    /// The most that there is.
    Heartbeats = -20,
}

/// Has threads take in what card `device` receives.
///
/// # Errors
/// EOPNOTSUPP: the device, or its driver, knows no NAPI; ENOENT: there is no such device.
pub fn thread(device: &str) -> Result<(), Error> {
    let switch = format!("/sys/class/net/{device}/threaded");
    fs::write(&switch, "1").map_err(|error| Error::io("writing")(error).on(&switch))
}

/// Gives the threads of card `device` that weight; says how many there are.
///
/// # Errors
/// EPERM without CAP_SYS_NICE.
pub fn weigh(device: &str, weight: Weight) -> Result<usize, Error> {
    let name = format!("napi/{device}-");
    let processes = fs::read_dir("/proc").map_err(Error::io("reading /proc"))?;
    let mut count = 0;
    for process in processes.filter_map(Result::ok) {
        let number = process.file_name().to_str().and_then(|it| it.parse().ok());
        let comm = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        if let Some(number) = number.filter(|_| comm.starts_with(&name)) {
            set_nice(number, weight)?;
            count += 1;
        }
    }
    Ok(count)
}

fn set_nice(process: libc::id_t, weight: Weight) -> Result<(), Error> {
    let nice = weight as libc::c_int;
    // SAFETY: no pointers.
    match unsafe { libc::setpriority(libc::PRIO_PROCESS, process, nice) } {
        0 => Ok(()),
        _ => Err(Error::last("setting a nice value")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_is_not_there_is_named() {
        let error = thread("no-such-card").unwrap_err();
        assert_eq!(
            error.to_string(),
            "writing /sys/class/net/no-such-card/threaded: ENOENT: No such file or directory"
        );
        assert_eq!(weigh("no-such-card", Weight::Packets), Ok(0));
    }
}
