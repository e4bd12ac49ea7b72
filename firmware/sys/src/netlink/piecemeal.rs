//! A dump that is read piece by piece: the kernel goes on with it only when what it gave is read, so a loop that has
//! other things to do reads a few pieces each turn.

use super::{Error, Progress, Protocol, RECEIVE_BYTES, open, read, receive};
use neli::consts::socket::Msg;
use neli::socket::NlSocket;
use netlink::{DecodeError, Message, Request};

/// Each dump has a socket of its own.
const SEQUENCE: u32 = 1;

/// A dump that goes on.
pub struct Piecemeal {
    socket: NlSocket,
    attempt: &'static str,
    buffer: Vec<u8>,
}

impl Piecemeal {
    /// Begins one.
    ///
    /// # Errors
    /// EMFILE; EPROTONOSUPPORT where the kernel has no such protocol.
    pub fn begin(protocol: Protocol, request: &Request) -> Result<Self, Error> {
        let attempt = request.attempt;
        let socket = open(protocol, &[])?;
        socket.nonblock().map_err(crate::Error::io(attempt))?;
        socket
            .send(request.to_bytes(SEQUENCE), Msg::empty())
            .map_err(crate::Error::io(attempt))?;
        Ok(Piecemeal {
            socket,
            attempt,
            buffer: vec![0; RECEIVE_BYTES],
        })
    }

    /// Hands the objects of the next piece to `each`, some hundred, within some 0.1 ms. It never waits. Returns
    /// whether there is more.
    ///
    /// # Errors
    /// The kernel's refusal, a socket that fails; `Unsteady` where the table changed meanwhile: begin anew.
    pub fn step(
        &mut self,
        each: &mut dyn FnMut(&Message<'_>) -> Result<(), DecodeError>,
    ) -> Result<bool, Error> {
        let length = receive(&self.socket, &mut self.buffer, self.attempt)?;
        let datagram = self.buffer.get(..length).unwrap_or_default();
        match read(datagram, SEQUENCE, self.attempt, each)? {
            Progress::More => Ok(true),
            Progress::End => Ok(false),
            Progress::Unsteady | Progress::UnsteadyEnd => Err(Error::Unsteady(self.attempt)),
        }
    }
}
