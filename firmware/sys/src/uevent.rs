//! What the kernel says about hardware that comes and goes (NETLINK_KOBJECT_UEVENT): a hint to look
//! again, never a source of truth. Only the kernel's own messages are believed.

use crate::Error;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, setsockopt,
    socket, sockopt,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Room for a burst of hardware at boot.
const RECEIVE_BUFFER_BYTES: usize = 256 * 1024;

/// Longest message: lib/kobject_uevent.c bounds its environment to 2048 bytes, the header to a path.
const MESSAGE_BYTES_MAX: usize = 8192;

/// Listens to uevents.
#[derive(Debug)]
pub struct Uevents {
    socket: OwnedFd,
    buffer: Box<[u8; MESSAGE_BYTES_MAX]>,
}

/// A piece of hardware has come, gone or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uevent {
    /// `add`, `remove`, `change` (a medium was put in or out).
    pub action: String,
    /// `block`, `net`, `watchdog`.
    pub subsystem: String,
    /// `sda1`; empty for what has no node in /dev.
    pub device: String,
}

impl Uevents {
    /// Listens from now on.
    ///
    /// # Errors
    /// EMFILE, ENOBUFS.
    pub fn open() -> Result<Self, Error> {
        let failed = "listening to uevents";
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = SockProtocol::NetlinkKObjectUEvent;
        let socket = socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol)
            .map_err(Error::during(failed))?;
        // Above the limit only root may go; the default does for others.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES);
        // Group 1 is the kernel's, 2 is udev's.
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 1)).map_err(Error::during(failed))?;
        Ok(Uevents {
            socket,
            buffer: Box::new([0; MESSAGE_BYTES_MAX]),
        })
    }

    /// The next event that waits; `None` where none does. An overrun shows as an event with the action
    /// `overrun`: look at everything.
    ///
    /// # Errors
    /// None in practice; whatever else recvfrom(2) says.
    #[expect(
        clippy::should_implement_trait,
        reason = "an error is not the end of events"
    )]
    pub fn next(&mut self) -> Result<Option<Uevent>, Error> {
        loop {
            match recvfrom::<NetlinkAddr>(self.socket.as_raw_fd(), self.buffer.as_mut_slice()) {
                // Port 0 is the kernel; any process may send to the group.
                Ok((length, Some(from))) if from.pid() == 0 => {
                    let message = self.buffer.get(..length).unwrap_or_default();
                    if let Some(event) = parse(message) {
                        return Ok(Some(event));
                    }
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::ENOBUFS) => return Ok(Some(overrun())),
                Err(errno) => return Err(Error::during("reading uevents")(errno)),
            }
        }
    }
}

impl AsFd for Uevents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn overrun() -> Uevent {
    Uevent {
        action: "overrun".into(),
        subsystem: String::new(),
        device: String::new(),
    }
}

/// The event in a message, `add@/devices/…` NUL `KEY=value` NUL …; `None` for one that tells of none.
#[must_use]
pub fn parse(message: &[u8]) -> Option<Uevent> {
    let value = |key: &str| {
        message.split(|byte| *byte == 0).find_map(|field| {
            let value = field.strip_prefix(key.as_bytes())?.strip_prefix(b"=")?;
            Some(String::from_utf8_lossy(value).into_owned())
        })
    };
    Some(Uevent {
        action: value("ACTION")?,
        subsystem: value("SUBSYSTEM")?,
        device: value("DEVNAME").unwrap_or_default(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_message_is_understood() {
        let message =
            b"add@/devices/virtual/block/sda/sda1\0ACTION=add\0DEVPATH=/devices/virtual/block/sda\
            \0SUBSYSTEM=block\0MAJOR=8\0MINOR=1\0DEVNAME=sda1\0DEVTYPE=partition\0SEQNUM=7\0";
        let event = parse(message).unwrap();
        assert_eq!(
            (event.action.as_str(), event.device.as_str()),
            ("add", "sda1")
        );
        assert_eq!(event.subsystem, "block");
    }

    #[test]
    fn what_is_no_event_is_passed_over() {
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"libudev\0\xfe\xed\xca\xfe"), None);
    }

    #[test]
    fn a_quiet_socket_has_nothing_to_say() {
        let mut events = Uevents::open().unwrap();
        while events.next().unwrap().is_some() {}
        assert!(events.as_fd().as_raw_fd() > 2);
    }
}
