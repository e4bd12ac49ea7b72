//! A null-modem line: raw 8N1 without flow control, never blocking. What was in the line before it was
//! opened is thrown away; what comes after is bytes, and framing them is `proto::serial`'s business.

use crate::Error;
use embedded_io::{ErrorType, Read, Write};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::unistd;
use serialport::{ClearBuffer, DataBits, FlowControl, Parity, SerialPort, StopBits, TTYPort};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

/// An open line.
#[derive(Debug)]
pub struct Serial {
    port: TTYPort,
}

impl Serial {
    /// Opens `path` at `baud` bits a second, for this process alone.
    ///
    /// # Errors
    /// ENOENT, EIO or ENXIO where there is no such hardware; EBUSY where another process holds it;
    /// EINVAL for a speed it can't do.
    pub fn open(path: &Path, baud: u32) -> Result<Self, Error> {
        let at = |error: serialport::Error| of_serialport(&error, "opening").on(path.display());
        let settings = serialport::new(path.to_string_lossy(), baud)
            .data_bits(DataBits::Eight)
            .parity(Parity::None)
            .stop_bits(StopBits::One)
            .flow_control(FlowControl::None)
            .dtr_on_open(true);
        let port = TTYPort::open(&settings).map_err(at)?;
        port.clear(ClearBuffer::All).map_err(at)?;
        let serial = Serial { port };
        fcntl(&serial, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
            .map_err(Error::during("opening"))
            .map_err(|error| error.on(path.display()))?;
        Ok(serial)
    }

    /// Reads what waits into `bytes`; 0 where nothing does.
    ///
    /// # Errors
    /// EIO where the hardware is gone.
    pub fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
        loop {
            match unistd::read(&*self, bytes) {
                Ok(length) => return Ok(length),
                Err(Errno::EAGAIN) => return Ok(0),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::during("reading a serial line")(errno)),
            }
        }
    }

    /// Hands as much of `bytes` to the driver as it takes now, and says how much; the rest is the
    /// caller's to send once the line is writable.
    ///
    /// # Errors
    /// EIO where the hardware is gone.
    pub fn send(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        loop {
            match unistd::write(&*self, bytes) {
                Ok(length) => return Ok(length),
                Err(Errno::EAGAIN) => return Ok(0),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::during("writing a serial line")(errno)),
            }
        }
    }

    /// Bytes that the driver holds and the line has not carried yet (TIOCOUTQ); a beat that would wait
    /// behind older ones is better not sent.
    #[must_use]
    pub fn unsent_bytes(&self) -> u32 {
        self.port.bytes_to_write().unwrap_or(0)
    }
}

impl AsFd for Serial {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the port closes its descriptor when dropped, and the borrow keeps it from that.
        unsafe { BorrowedFd::borrow_raw(self.port.as_raw_fd()) }
    }
}

impl ErrorType for Serial {
    type Error = Error;
}

/// As embedded-io has it `Ok(0)` is the end of a stream; a line with nothing to read is EAGAIN, of kind
/// `TimedOut`.
impl Read for Serial {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
        match self.receive(bytes)? {
            0 if !bytes.is_empty() => Err(Error::new("reading a serial line", libc::EAGAIN)),
            length => Ok(length),
        }
    }
}

impl Write for Serial {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        match self.send(bytes)? {
            0 if !bytes.is_empty() => Err(Error::new("writing a serial line", libc::EAGAIN)),
            length => Ok(length),
        }
    }

    /// Nothing is held here; the driver sends by itself.
    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

fn of_serialport(error: &serialport::Error, attempt: &'static str) -> Error {
    let errno = match error.kind() {
        serialport::ErrorKind::NoDevice => libc::ENXIO,
        serialport::ErrorKind::InvalidInput => libc::EINVAL,
        serialport::ErrorKind::Unknown => 0,
        // serialport keeps the kind of an OS error only.
        serialport::ErrorKind::Io(kind) => match kind {
            std::io::ErrorKind::NotFound => libc::ENOENT,
            std::io::ErrorKind::PermissionDenied => libc::EACCES,
            std::io::ErrorKind::ResourceBusy => libc::EBUSY,
            _ => libc::EIO,
        },
    };
    Error::new(attempt, errno)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::poll;
    use nix::pty::openpty;
    use nix::unistd::ttyname;

    fn line() -> (std::os::fd::OwnedFd, Serial) {
        let pty = openpty(None, None).unwrap();
        let serial = Serial::open(&ttyname(&pty.slave).unwrap(), 19_200).unwrap();
        (pty.master, serial)
    }

    #[test]
    fn bytes_pass_unchanged_and_nothing_blocks() {
        let (far, mut near) = line();
        let mut bytes = [0; 8];
        assert_eq!(near.receive(&mut bytes), Ok(0));
        let error = Read::read(&mut near, &mut bytes).unwrap_err();
        assert_eq!(
            embedded_io::Error::kind(&error),
            embedded_io::ErrorKind::TimedOut
        );
        // What a tty in its ordinary mode would turn into something else.
        unistd::write(&far, b"\x03\r\n\x11\0\xff").unwrap();
        poll::until(&mut [poll::readable(near.as_fd())], None).unwrap();
        assert_eq!(near.receive(&mut bytes), Ok(6));
        assert_eq!(&bytes[..6], b"\x03\r\n\x11\0\xff");
        assert_eq!(near.send(b"\n\x04"), Ok(2));
        assert_eq!(unistd::read(&far, &mut bytes), Ok(2));
        assert_eq!(&bytes[..2], b"\n\x04");
    }

    #[test]
    fn a_full_line_takes_what_it_can() {
        let (_far, mut near) = line();
        let mut total = 0;
        while let Ok(sent @ 1..) = near.send(&[0; 1024]) {
            total += sent;
        }
        assert!(total > 0);
        assert_eq!(near.send(&[0; 1024]), Ok(0));
    }

    #[test]
    fn missing_hardware_has_a_name() {
        let error = Serial::open(Path::new("/dev/ttyS99x"), 19_200).unwrap_err();
        assert!(
            error.to_string().starts_with("opening /dev/ttyS99x: EN"),
            "{error}"
        );
    }
}
