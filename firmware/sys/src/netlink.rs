//! Netlink sockets, on neli's: requests that wait for their answer, many at once that do not, and
//! notifications that never block.
//! Sequence numbers are checked, dumps that the kernel calls inconsistent are asked again, and a full
//! socket is an outcome with a name, since it means that what we know is no longer what is.

mod bulk;
mod error;
mod notifications;
mod piecemeal;
mod ruleset;

pub use bulk::{Bulk, REQUESTS_MAX};
pub use error::Error;
pub use notifications::{Notifications, Received};
pub use piecemeal::Piecemeal;

use core::ops::ControlFlow;
use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;
use netlink::{DecodeError, Message, Outcome, Request, messages};
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Kernels fill at most this much of a dump at once (netlink_dump in net/netlink/af_netlink.c).
const RECEIVE_BYTES: usize = 32 * 1024;

/// The kernel answers within the system call; longer means that the answer was lost.
const ANSWER_TIMEOUT_S: i64 = 2;

/// How often a dump that changes under our hands is asked again.
const DUMP_ATTEMPTS: usize = 8;

/// A netlink protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Links, addresses, routes.
    Route,
    /// IPVS.
    Generic,
    /// nf_tables and connection tracking.
    Netfilter,
}

/// A codec's reader: `None` for messages that are none of its business.
pub type Decode<T> = fn(&Message<'_>) -> Result<Option<T>, DecodeError>;

/// A socket for requests, one at a time.
pub struct Netlink {
    socket: NlSocket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// Opens a socket with extended errors and, for rtnetlink, strict checks of what we ask.
    ///
    /// # Errors
    /// EMFILE; EPROTONOSUPPORT where the kernel has no such protocol.
    pub fn open(protocol: Protocol) -> Result<Self, Error> {
        let socket = open(protocol, &[])?;
        let failed = crate::Error::io("preparing a netlink socket");
        if protocol == Protocol::Route {
            socket.enable_strict_checking(true).map_err(failed)?;
        }
        let timeout = TimeVal::seconds(ANSWER_TIMEOUT_S);
        setsockopt(&borrow(&socket), sockopt::ReceiveTimeout, &timeout)
            .map_err(crate::Error::during("preparing a netlink socket"))?;
        Ok(Netlink {
            socket,
            sequence: 0,
            buffer: vec![0; RECEIVE_BYTES],
        })
    }

    /// Has a request carried out.
    ///
    /// # Errors
    /// The kernel's refusal, or a socket that fails.
    pub fn execute(&mut self, request: &Request) -> Result<(), Error> {
        self.ask(request, &mut |_| Ok(()))
    }

    /// The one object that a request asks for.
    ///
    /// # Errors
    /// As `execute`; `NoAnswer` where `decode` found nothing.
    pub fn get<T>(&mut self, request: &Request, decode: Decode<T>) -> Result<T, Error> {
        let mut found = None;
        self.ask(request, &mut |message| {
            found = decode(message)?.or(found.take());
            Ok(())
        })?;
        found.ok_or(Error::NoAnswer(request.attempt))
    }

    /// All objects that a dump request asks for, as they are at one moment. `decode` may look at what
    /// it captures (`|message| family.decode_service(message)`).
    ///
    /// # Errors
    /// As `execute`; `Unsteady` where the table changed during each of several readings.
    pub fn dump<T>(
        &mut self,
        request: &Request,
        decode: impl Fn(&Message<'_>) -> Result<Option<T>, DecodeError>,
    ) -> Result<Vec<T>, Error> {
        for _ in 0..DUMP_ATTEMPTS {
            let mut found = Vec::new();
            let asked = self.ask(request, &mut |message| {
                found.extend(decode(message)?);
                Ok(())
            });
            match asked {
                Err(Error::Unsteady(_)) => {}
                asked => return asked.map(|()| found),
            }
        }
        Err(Error::Unsteady(request.attempt))
    }

    /// Sends a request and hands each object of the answer to `each`, until acknowledgement or end.
    fn ask(&mut self, request: &Request, each: &mut Each<'_>) -> Result<(), Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let failed = crate::Error::io(request.attempt);
        self.socket
            .send(request.to_bytes(self.sequence), Msg::empty())
            .map_err(failed)?;
        let mut is_steady = true;
        loop {
            let length = receive(&self.socket, &mut self.buffer, request.attempt)?;
            let datagram = self.buffer.get(..length).unwrap_or_default();
            match read(datagram, self.sequence, request.attempt, each)? {
                Progress::More => {}
                Progress::Unsteady => is_steady = false,
                Progress::End if is_steady => return Ok(()),
                Progress::End | Progress::UnsteadyEnd => {
                    return Err(Error::Unsteady(request.attempt));
                }
            }
        }
    }
}

type Each<'a> = dyn FnMut(&Message<'_>) -> Result<(), DecodeError> + 'a;

/// What a datagram says of the answer that it belongs to.
enum Progress {
    More,
    /// It goes on, but what came so far does not fit together.
    Unsteady,
    End,
    UnsteadyEnd,
}

fn read(
    datagram: &[u8],
    sequence: u32,
    attempt: &'static str,
    each: &mut Each<'_>,
) -> Result<Progress, Error> {
    let decode = |error| Error::Decode(attempt, error);
    let mut is_steady = true;
    for message in messages(datagram) {
        let message = message.map_err(decode)?;
        // Left over from a request that was given up.
        if message.sequence != sequence {
            continue;
        }
        is_steady &= !message.is_inconsistent();
        match message.outcome().map_err(decode)? {
            Outcome::Data => each(&message).map_err(decode)?,
            Outcome::Refused(error) => return Err(Error::Refused(attempt, error)),
            Outcome::End if is_steady => return Ok(Progress::End),
            Outcome::End => return Ok(Progress::UnsteadyEnd),
            Outcome::Nothing => {}
        }
    }
    Ok(if is_steady {
        Progress::More
    } else {
        Progress::Unsteady
    })
}

pub(crate) fn open(protocol: Protocol, groups: &[u32]) -> Result<NlSocket, Error> {
    let family = match protocol {
        Protocol::Route => NlFamily::Route,
        Protocol::Generic => NlFamily::Generic,
        Protocol::Netfilter => NlFamily::Netfilter,
    };
    let socket = NlSocket::connect(family, None, Groups::new_groups(groups))
        .map_err(crate::Error::io("opening a netlink socket"))?;
    socket
        .enable_ext_ack(true)
        .map_err(crate::Error::io("preparing a netlink socket"))?;
    Ok(socket)
}

/// One datagram; its length.
pub(crate) fn receive(
    socket: &NlSocket,
    buffer: &mut [u8],
    attempt: &'static str,
) -> Result<usize, Error> {
    loop {
        match socket.recv(&mut *buffer, Msg::TRUNC) {
            Ok((length, _)) if length <= buffer.len() => return Ok(length),
            Ok(_) => return Err(crate::Error::new(attempt, libc::EMSGSIZE).into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(Error::NoAnswer(attempt));
            }
            Err(error) => return Err(crate::Error::io(attempt)(error).into()),
        }
    }
}

/// The datagram that waits in a socket that never blocks, as its length; else why there is none to be had.
pub(crate) fn receive_waiting(
    socket: &NlSocket,
    buffer: &mut [u8],
    attempt: &'static str,
) -> Result<ControlFlow<Received, usize>, Error> {
    loop {
        match socket.recv(&mut *buffer, Msg::TRUNC) {
            Ok((length, _)) if length <= buffer.len() => return Ok(ControlFlow::Continue(length)),
            // One that was cut off is one that is lost.
            Ok(_) => return Ok(ControlFlow::Break(Received::Overrun)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(ControlFlow::Break(Received::All));
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                return Ok(ControlFlow::Break(Received::Overrun));
            }
            Err(error) => return Err(crate::Error::io(attempt)(error).into()),
        }
    }
}

pub(crate) fn borrow(socket: &NlSocket) -> BorrowedFd<'_> {
    // SAFETY: the socket closes its descriptor when dropped, and the borrow keeps it from that.
    unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) }
}

#[cfg(test)]
mod tests;
