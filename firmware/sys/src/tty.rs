//! Terminals that people sit at: open, raw mode for line editing, window size, and a session of their
//! own so that a hang-up reaches the process that serves them.

use crate::Error;
use nix::errno::Errno;
use nix::libc;
use nix::sys::termios::{self, BaudRate, InputFlags, LocalFlags, OutputFlags, SetArg, Termios};
use nix::unistd::setsid;
use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The speeds that consoles are set to, in bits per second.
const SPEEDS: [(BaudRate, u32); 10] = [
    (BaudRate::B1200, 1200),
    (BaudRate::B2400, 2400),
    (BaudRate::B4800, 4800),
    (BaudRate::B9600, 9600),
    (BaudRate::B19200, 19200),
    (BaudRate::B38400, 38400),
    (BaudRate::B57600, 57600),
    (BaudRate::B115200, 115_200),
    (BaudRate::B230400, 230_400),
    (BaudRate::B460800, 460_800),
];

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

/// Bits per second on the line as the terminal is set; `None` where it has no line or hangs up.
/// A terminal without wires, such as a screen, names some speed, too.
#[must_use]
pub fn speed_baud(tty: &impl AsFd) -> Option<u32> {
    let mode = termios::tcgetattr(tty).ok()?;
    let named = termios::cfgetospeed(&mode);
    let found = SPEEDS.iter().find(|(rate, _)| *rate == named);
    found.map(|(_, baud)| *baud)
}

/// Bytes written that the terminal's driver has not sent yet (TIOCOUTQ); 0 where it does not say.
#[must_use]
pub fn unsent_bytes(tty: &impl AsFd) -> usize {
    let mut count: libc::c_int = 0;
    let fd = tty.as_fd().as_raw_fd();
    // SAFETY: TIOCOUTQ writes one int, which outlives the call.
    let known = unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &raw mut count) } == 0;
    usize::try_from(count).ok().filter(|_| known).unwrap_or(0)
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
    fn a_line_tells_its_speed_and_what_waits_in_it() {
        let pty = openpty(None, None).unwrap();
        let mut mode = termios::tcgetattr(&pty.slave).unwrap();
        termios::cfsetspeed(&mut mode, BaudRate::B9600).unwrap();
        termios::tcsetattr(&pty.slave, SetArg::TCSANOW, &mode).unwrap();
        assert_eq!(speed_baud(&pty.slave), Some(9600));
        assert_eq!(unsent_bytes(&pty.slave), 0);
        assert_eq!(speed_baud(&File::open("/dev/null").unwrap()), None);
    }

    #[test]
    fn what_is_no_terminal_is_refused() {
        let error = Raw::enter(File::open("/dev/null").unwrap()).unwrap_err();
        assert!(error.to_string().contains("ENOTTY"));
    }
}
