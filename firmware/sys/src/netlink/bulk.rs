//! Many requests at once, their answers as they come. Nothing here waits for an answer: the caller keeps
//! count of what it asked, and asks no more at once than `REQUESTS_MAX`, so that the answers find room.

use super::{Error, Protocol, RECEIVE_BYTES, Received, borrow, open, receive_waiting};
use core::ops::ControlFlow;
use neli::consts::socket::Msg;
use neli::socket::NlSocket;
use netlink::{KernelError, Outcome, messages};
use std::os::fd::{AsFd, BorrowedFd};

/// Requests that may be unanswered: an answer takes about 1 kB of a receive buffer that has 200 kB by default.
pub const REQUESTS_MAX: usize = 64;

/// A socket for many requests at once.
pub struct Bulk {
    socket: NlSocket,
    buffer: Vec<u8>,
}

impl Bulk {
    /// Opens a socket with extended errors.
    ///
    /// # Errors
    /// EMFILE; EPROTONOSUPPORT where the kernel has no such protocol.
    pub fn open(protocol: Protocol) -> Result<Self, Error> {
        let socket = open(protocol, &[])?;
        socket
            .nonblock()
            .map_err(crate::Error::io("preparing a netlink socket"))?;
        Ok(Bulk {
            socket,
            buffer: vec![0; RECEIVE_BYTES],
        })
    }

    /// Sends `requests`, one whole message behind the other (`Request::append_to`), in one datagram. The
    /// kernel carries out rtnetlink requests before this returns, each for itself: one that it refuses does
    /// not keep it from the next.
    ///
    /// # Errors
    /// ENOBUFS, EMSGSIZE: nothing was carried out.
    pub fn send(&self, attempt: &'static str, requests: &[u8]) -> Result<(), Error> {
        match self.socket.send(requests, Msg::empty()) {
            Ok(_) => Ok(()),
            Err(error) => Err(crate::Error::io(attempt)(error).into()),
        }
    }

    /// Hands every answer that waits to `each`: the request's sequence number and what came of it.
    ///
    /// # Errors
    /// A socket that fails, an answer that is none; what was handed over stands.
    pub fn receive(
        &mut self,
        mut each: impl FnMut(u32, Result<(), KernelError>),
    ) -> Result<Received, Error> {
        const ATTEMPT: &str = "reading answers";
        loop {
            let length = match receive_waiting(&self.socket, &mut self.buffer, ATTEMPT)? {
                ControlFlow::Continue(length) => length,
                ControlFlow::Break(ended) => return Ok(ended),
            };
            for message in messages(self.buffer.get(..length).unwrap_or_default()) {
                let decode = |error| Error::Decode(ATTEMPT, error);
                let message = message.map_err(decode)?;
                match message.outcome().map_err(decode)? {
                    Outcome::End => each(message.sequence, Ok(())),
                    Outcome::Refused(error) => each(message.sequence, Err(error)),
                    Outcome::Data | Outcome::Nothing => {}
                }
            }
        }
    }
}

/// Readable when an answer waits.
impl AsFd for Bulk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        borrow(&self.socket)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::testing::{in_own_network, ip_prints};
    use nix::libc;
    use plan::config::Prefix;
    use plan::kernel::Address;

    /// `lo` is 1 everywhere; device 99 is nowhere.
    fn address(index: u32, last: u8) -> Address {
        let prefix = Prefix {
            address: [192, 0, 2, last].into(),
            length: 32,
        };
        Address { index, prefix }
    }

    fn answers(bulk: &mut Bulk) -> Vec<(u32, Option<i32>)> {
        let mut answers = Vec::new();
        let received = bulk.receive(|sequence, outcome| {
            answers.push((sequence, outcome.err().map(|error| error.errno)));
        });
        assert_eq!(received, Ok(Received::All));
        answers
    }

    #[test]
    fn one_datagram_carries_many_and_a_refusal_stops_none() {
        in_own_network(&["link set lo up"], || {
            let mut bulk = Bulk::open(Protocol::Route).unwrap();
            let mut bytes = Vec::new();
            for (sequence, index) in [(7, 1), (8, 99), (9, 1)] {
                let last = u8::try_from(sequence).unwrap();
                let request = netlink::address::add(&address(index, last)).unwrap();
                request.append_to(&mut bytes, sequence);
            }
            bulk.send("adding addresses", &bytes).unwrap();
            assert_eq!(
                answers(&mut bulk),
                [(7, None), (8, Some(libc::ENODEV)), (9, None)]
            );
            let listed = ip_prints("-o address show dev lo");
            assert!(listed.contains("192.0.2.7/32") && listed.contains("192.0.2.9/32"));
        });
    }

    #[test]
    fn as_many_as_allowed_lose_no_answer() {
        in_own_network(&["link set lo up"], || {
            let mut bulk = Bulk::open(Protocol::Route).unwrap();
            let mut bytes = Vec::new();
            for last in 0..REQUESTS_MAX {
                let last = u8::try_from(last).unwrap();
                let request = netlink::address::add(&address(99, last)).unwrap();
                request.append_to(&mut bytes, last.into());
            }
            bulk.send("adding addresses", &bytes).unwrap();
            let answers = answers(&mut bulk);
            assert_eq!(answers.len(), REQUESTS_MAX);
            assert!(answers.iter().all(|(_, errno)| errno.is_some()));
        });
    }
}
