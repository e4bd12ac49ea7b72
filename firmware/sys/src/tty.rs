//! Terminals that people sit at: open, raw mode for line editing, window size, and a session of their
//! own so that a hang-up reaches the process that serves them.

use crate::Error;
use nix::errno::Errno;
use nix::libc;
use nix::sys::termios::{self, InputFlags, LocalFlags, OutputFlags, SetArg, Termios};
use nix::unistd::setsid;
use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Columns and rows of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// Opens a terminal without waiting for carrier and without making it this process's own.
///
/// # Errors
/// ENOENT, EIO or ENXIO where there is no such hardware.
pub fn open(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)
        .map_err(Error::io("opening"))
        .map_err(|error| error.on(path.display()))
}

/// A terminal in raw mode; the mode it had comes back on drop.
#[derive(Debug)]
pub struct Raw<Tty: AsFd> {
    tty: Tty,
    before: Termios,
}

impl<Tty: AsFd> Raw<Tty> {
    /// Bytes come at once, unechoed and unchanged, ctrl-C included; output still turns `\n` into CR LF,
    /// so log lines printed beside the editor look right.
    ///
    /// # Errors
    /// ENOTTY, EIO after a hang-up.
    pub fn enter(tty: Tty) -> Result<Self, Error> {
        let before =
            termios::tcgetattr(&tty).map_err(Error::during("reading a terminal's mode"))?;
        let mut raw = before.clone();
        raw.local_flags -=
            LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG | LocalFlags::IEXTEN;
        raw.input_flags -=
            InputFlags::ICRNL | InputFlags::INLCR | InputFlags::IGNCR | InputFlags::IXON;
        raw.input_flags -= InputFlags::ISTRIP | InputFlags::BRKINT;
        raw.output_flags |= OutputFlags::OPOST | OutputFlags::ONLCR;
        termios::tcsetattr(&tty, SetArg::TCSADRAIN, &raw)
            .map_err(Error::during("setting a terminal's mode"))?;
        Ok(Raw { tty, before })
    }

    /// The terminal itself.
    pub fn tty(&self) -> &Tty {
        &self.tty
    }
}

impl<Tty: AsFd> Drop for Raw<Tty> {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(&self.tty, SetArg::TCSANOW, &self.before);
    }
}

/// The window's size; `None` where the terminal does not know it (a serial line).
#[must_use]
pub fn size(tty: &impl AsFd) -> Option<Size> {
    let mut window = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let fd = tty.as_fd().as_raw_fd();
    // SAFETY: TIOCGWINSZ fills the struct, which outlives the call.
    let known = unsafe { libc::ioctl(fd, libc::TIOCGWINSZ, &raw mut window) } == 0;
    let size = Size {
        columns: window.ws_col,
        rows: window.ws_row,
    };
    (known && size.columns > 0 && size.rows > 0).then_some(size)
}

/// Leads a new session on the terminal at stdin: its hang-up is a SIGHUP to us. Async-signal-safe.
pub(crate) fn lead_session() -> Result<(), Errno> {
    setsid()?;
    // 1: take it also from a session that still holds it (root only), else 0 by EPERM.
    for steal in [1, 0] {
        // SAFETY: TIOCSCTTY takes an int, no pointer.
        if unsafe { libc::ioctl(0, libc::TIOCSCTTY, steal) } == 0 {
            return Ok(());
        }
    }
    Err(Errno::last())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use nix::pty::{Winsize, openpty};

    #[test]
    fn raw_mode_comes_and_goes() {
        let pty = openpty(None, None).unwrap();
        let echo = || {
            let mode = termios::tcgetattr(&pty.slave).unwrap();
            mode.local_flags.contains(LocalFlags::ECHO)
        };
        let raw = Raw::enter(&pty.slave).unwrap();
        assert!(!echo());
        assert_eq!(raw.tty().as_raw_fd(), pty.slave.as_raw_fd());
        drop(raw);
        assert!(echo());
    }

    #[test]
    fn size_is_known_or_not() {
        let window = Winsize {
            ws_row: 25,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(&window, None).unwrap();
        assert_eq!(
            size(&pty.slave),
            Some(Size {
                columns: 80,
                rows: 25
            })
        );
        assert_eq!(size(&openpty(None, None).unwrap().slave), None);
    }

    #[test]
    fn what_is_no_terminal_is_refused() {
        let error = Raw::enter(File::open("/dev/null").unwrap()).unwrap_err();
        assert!(error.to_string().contains("ENOTTY"));
    }
}
