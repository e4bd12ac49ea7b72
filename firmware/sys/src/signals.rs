//! Signals as events: blocked for the process and read from a descriptor (signalfd(2)), so no handler
//! ever runs. PID 1 lives on SIGCHLD, SIGINT (ctrl-alt-del) and SIGTERM, a daemon on those of its terminal, too.

use crate::Error;
use core::mem::MaybeUninit;
use nix::libc;
use nix::sys::signal::SigSet;
pub use nix::sys::signal::Signal;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::{AsFd, BorrowedFd};

/// A set of signals that arrive here and nowhere else.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks `signals` in this thread (call it before any other is started) and opens the descriptor. Those
    /// that whoever started this process has it ignore stay so (nohup(1), background jobs of scripts).
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub fn open(signals: &[Signal]) -> Result<Self, Error> {
        let signals = signals.iter().copied();
        let set: SigSet = signals.filter(|signal| !is_ignored(*signal)).collect();
        set.thread_block()
            .map_err(Error::during("blocking signals"))?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        SignalFd::with_flags(&set, flags)
            .map(Signals)
            .map_err(Error::during("opening a signalfd"))
    }
}

/// Who sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// For the keyboard, a terminal that is gone, a child that has ended.
    Kernel,
    /// Somebody with kill(2) and its like.
    Process,
}

/// Signals that wait, each with its sender, until there is none.
impl Iterator for Signals {
    type Item = (Signal, Sender);

    fn next(&mut self) -> Option<Self::Item> {
        let info = self.0.read_signal().ok().flatten()?;
        let signal = Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()?;
        // SI_FROMUSER in asm-generic/siginfo.h. The PID would not tell: it is 0 from another PID namespace, too.
        let sender = match info.ssi_code {
            ..=0 => Sender::Process,
            1.. => Sender::Kernel,
        };
        Some((signal, sender))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn is_ignored(signal: Signal) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: changes nothing, and fills in `action` where it succeeds.
    let answer = unsafe {
        libc::sigaction(
            signal as libc::c_int,
            core::ptr::null(),
            action.as_mut_ptr(),
        )
    };
    // SAFETY: it succeeded.
    answer == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::poll;
    use nix::sys::signal::{SigHandler, signal};

    #[test]
    fn a_raised_signal_is_read() {
        let mut signals = Signals::open(&[Signal::SIGUSR2]).unwrap();
        assert_eq!(signals.next(), None);
        nix::sys::signal::raise(Signal::SIGUSR2).unwrap();
        poll::until(&mut [poll::readable(signals.as_fd())], None).unwrap();
        assert_eq!(signals.next(), Some((Signal::SIGUSR2, Sender::Process)));
    }

    #[test]
    fn what_is_ignored_stays_so() {
        // SAFETY: ignoring runs no handler.
        unsafe { signal(Signal::SIGUSR1, SigHandler::SigIgn) }.unwrap();
        let mut signals = Signals::open(&[Signal::SIGUSR1]).unwrap();
        nix::sys::signal::raise(Signal::SIGUSR1).unwrap();
        assert_eq!(signals.next(), None);
    }
}
