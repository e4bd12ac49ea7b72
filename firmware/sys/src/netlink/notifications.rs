//! A socket that the kernel tells of its changes, and that never blocks.

use super::{Decode, Error, Protocol, RECEIVE_BYTES, borrow, open, receive_waiting};
use core::ops::ControlFlow;
use neli::socket::NlSocket;
use netlink::messages;
use nix::sys::socket::{setsockopt, sockopt};
use std::os::fd::{AsFd, BorrowedFd};

/// Room for notifications while we are busy: some thousand of them.
const SOCKET_BUFFER_BYTES: usize = 1 << 20;

/// A socket for notifications.
pub struct Notifications {
    socket: NlSocket,
    buffer: Vec<u8>,
}

/// How receiving notifications ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// None waits any more.
    All,
    /// The socket was full and some are lost: dump what they tell of.
    Overrun,
}

impl Notifications {
    /// Listens to `groups` (`netlink::event::GROUPS`) from now on.
    ///
    /// # Errors
    /// EMFILE; EINVAL for a group that does not exist.
    pub fn open(protocol: Protocol, groups: &[u32]) -> Result<Self, Error> {
        let socket = open(protocol, groups)?;
        // Above the limit only root may go; the default does for others.
        let _ = setsockopt(&borrow(&socket), sockopt::RcvBufForce, &SOCKET_BUFFER_BYTES);
        socket
            .nonblock()
            .map_err(crate::Error::io("preparing a netlink socket"))?;
        Ok(Notifications {
            socket,
            buffer: vec![0; RECEIVE_BYTES],
        })
    }

    /// Hands every notification that waits to `each`.
    ///
    /// # Errors
    /// A socket that fails, a message that is none; what was handed over stands.
    pub fn receive<T>(
        &mut self,
        decode: Decode<T>,
        mut each: impl FnMut(T),
    ) -> Result<Received, Error> {
        const ATTEMPT: &str = "reading notifications";
        loop {
            let length = match receive_waiting(&self.socket, &mut self.buffer, ATTEMPT)? {
                ControlFlow::Continue(length) => length,
                ControlFlow::Break(ended) => return Ok(ended),
            };
            for message in messages(self.buffer.get(..length).unwrap_or_default()) {
                let found = message.and_then(|message| decode(&message));
                found
                    .map_err(|error| Error::Decode(ATTEMPT, error))?
                    .map(&mut each);
            }
        }
    }
}

impl AsFd for Notifications {
    fn as_fd(&self) -> BorrowedFd<'_> {
        borrow(&self.socket)
    }
}
