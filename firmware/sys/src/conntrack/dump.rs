//! The whole table, piece by piece: the kernel goes on with a dump only when what it gave is read, so a loop that has
//! other things to do reads a piece each turn.

use crate::netlink::{Error, Protocol, open, receive};
use neli::consts::socket::Msg;
use neli::socket::NlSocket;
use netlink::conntrack::{Event, Kind, decode, dump};
use netlink::{Outcome, messages};

/// The kernel gives at most so much at once (`netlink_dump` in net/netlink/af_netlink.c): some hundred flows.
const PIECE_BYTES: usize = 32 * 1024;

/// Each dump has a socket of its own.
const SEQUENCE: u32 = 1;

const ATTEMPT: &str = "listing connections";

/// A dump that goes on.
pub struct Dump {
    socket: NlSocket,
    buffer: Box<[u8]>,
}

/// How far a dump has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Step on.
    More,
    /// That was all.
    Done,
}

impl Dump {
    /// Begins one. A flow that comes or goes while it lasts may be in it or not, once or twice.
    ///
    /// # Errors
    /// EMFILE; EPROTONOSUPPORT in a kernel without netfilter.
    pub fn begin(kind: Kind) -> Result<Self, Error> {
        let socket = open(Protocol::Netfilter, &[])?;
        socket.nonblock().map_err(crate::Error::io(ATTEMPT))?;
        socket
            .send(dump(kind, SEQUENCE).as_slice(), Msg::empty())
            .map_err(crate::Error::io(ATTEMPT))?;
        Ok(Dump {
            socket,
            buffer: vec![0; PIECE_BYTES].into_boxed_slice(),
        })
    }

    /// Hands the next piece to `each`: up to some hundred flows, within some 0.1 ms. It never waits.
    ///
    /// # Errors
    /// The kernel's refusal, a socket that fails, a piece that can't be read; begin anew.
    pub fn step(&mut self, mut each: impl FnMut(&Event<'_>)) -> Result<Progress, Error> {
        let length = receive(&self.socket, &mut self.buffer, ATTEMPT)?;
        let failed = |error| Error::Decode(ATTEMPT, error);
        for message in messages(self.buffer.get(..length).unwrap_or_default()) {
            let message = message.map_err(failed)?;
            match message.outcome().map_err(failed)? {
                Outcome::Data => {
                    if let Some(event) = decode(&message).map_err(failed)? {
                        each(&event);
                    }
                }
                Outcome::End => return Ok(Progress::Done),
                Outcome::Refused(error) => return Err(Error::Refused(ATTEMPT, error)),
                Outcome::Nothing => {}
            }
        }
        Ok(Progress::More)
    }
}
