//! One end of a wire: typed postcard messages over a SOCK_SEQPACKET socket, one per datagram. It never
//! blocks and never allocates in sending; receiving allocates only what the message itself holds.
//! The queue is the socket's buffer; a message that does not fit is dropped, counted and reported to
//! the sender, who alone knows whether it may be repeated.

use core::fmt;
use core::marker::PhantomData;
use serde::{Serialize, de::DeserializeOwned};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use sys::poll::{is_hung_up, readable, until};

/// Longest message in bytes: a config slot with room around it. Whoever fills a page of a list stops
/// well before.
pub const MESSAGE_BYTES_MAX: usize = 72 * 1024;

/// Messages passed over in one call of `receive`: a sender of garbage keeps nobody in it.
const GARBAGE_MAX: u32 = 64;

/// A wire's end that sends `Tx` and receives `Rx`.
pub struct Channel<Tx, Rx> {
    socket: UnixDatagram,
    /// Shared by both directions: no message outlives the call.
    buffer: Vec<u8>,
    dropped: u32,
    messages: PhantomData<fn(Tx) -> Rx>,
}

/// Why a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// The other side does not read fast enough; send again later or do without.
    Full,
    /// The message is longer than `MESSAGE_BYTES_MAX`; send less at once.
    TooLong,
    /// The other side is gone; errno.
    Closed(i32),
}

/// Why nothing more can be received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiveError {
    /// The other side is gone; errno, 0 where it closed in order.
    Closed(i32),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::Full => write!(f, "sending: the receiver does not keep up"),
            SendError::TooLong => {
                write!(
                    f,
                    "sending: message above {MESSAGE_BYTES_MAX} bytes; send less at once"
                )
            }
            SendError::Closed(errno) => {
                write!(f, "sending: the other side is gone (errno {errno})")
            }
        }
    }
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReceiveError::Closed(errno) = self;
        write!(f, "receiving: the other side is gone (errno {errno})")
    }
}

impl<Tx: Serialize, Rx: DeserializeOwned> Channel<Tx, Rx> {
    /// Takes a connected SOCK_SEQPACKET socket and makes it non-blocking.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let socket = UnixDatagram::from(socket);
        socket.set_nonblocking(true)?;
        Ok(Channel {
            socket,
            buffer: vec![0; MESSAGE_BYTES_MAX],
            dropped: 0,
            messages: PhantomData,
        })
    }

    /// The same end once more, for a part of the process that sends for itself.
    pub fn another_end(&self) -> io::Result<Self> {
        Channel::new(self.socket.as_fd().try_clone_to_owned()?)
    }

    /// Sends one message, or says why not; a message that found no room is counted.
    pub fn send(&mut self, message: &Tx) -> Result<(), SendError> {
        let bytes =
            postcard::to_slice(message, &mut self.buffer).map_err(|_| SendError::TooLong)?;
        match self.socket.send(bytes) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.dropped = self.dropped.saturating_add(1);
                Err(SendError::Full)
            }
            Err(error) => Err(SendError::Closed(error.raw_os_error().unwrap_or(0))),
        }
    }

    /// The next message that waits, `None` where none does. Garbage is counted and passed over; behind
    /// a lot of it `None` may come although more waits, so whoever waits for the wire comes back.
    pub fn receive(&mut self) -> Result<Option<Rx>, ReceiveError> {
        for _ in 0..GARBAGE_MAX {
            let length = match self.socket.recv(&mut self.buffer) {
                // An empty message looks like the end, and must not pass for it.
                Ok(0) if self.is_closed() => return Err(ReceiveError::Closed(0)),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(ReceiveError::Closed(error.raw_os_error().unwrap_or(0)));
                }
            };
            let message = self.buffer.get(..length).map(postcard::from_bytes);
            if let Some(Ok(message)) = message {
                return Ok(Some(message));
            }
            self.refuse();
        }
        Ok(None)
    }

    /// Counts a message that was not its sender's to send.
    pub fn refuse(&mut self) {
        self.dropped = self.dropped.saturating_add(1);
    }

    fn is_closed(&self) -> bool {
        let mut fds = [readable(self.socket.as_fd())];
        until(&mut fds, Some(0)).is_err() || fds.iter().any(is_hung_up)
    }

    /// Messages dropped so far: for want of room, because they were none of this wire, or not the
    /// sender's to send.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }
}

impl<Tx, Rx> AsFd for Channel<Tx, Rx> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pair() -> (Channel<u32, String>, Channel<String, u32>) {
        let (a, b) = UnixDatagram::pair().unwrap();
        (
            Channel::new(a.into()).unwrap(),
            Channel::new(b.into()).unwrap(),
        )
    }

    #[test]
    fn messages_arrive_in_order_both_ways() {
        let (mut a, mut b) = pair();
        a.send(&1).unwrap();
        a.send(&2).unwrap();
        b.send(&"castor".into()).unwrap();
        assert_eq!(b.receive(), Ok(Some(1)));
        assert_eq!(b.receive(), Ok(Some(2)));
        assert_eq!(b.receive(), Ok(None));
        assert_eq!(a.receive(), Ok(Some("castor".into())));
    }

    #[test]
    fn a_full_wire_drops_the_newest_and_counts_it() {
        let (mut a, _b) = pair();
        let sent = (0..1_000_000).take_while(|n| a.send(n).is_ok()).count();
        assert!(sent > 0);
        assert_eq!(a.dropped(), 1);
    }

    #[test]
    fn garbage_is_counted_and_passed_over() {
        let (raw, end) = UnixDatagram::pair().unwrap();
        let mut end = Channel::<u32, String>::new(end.into()).unwrap();
        raw.send(&[0xff; 3]).unwrap();
        raw.send(&[1, b'x']).unwrap();
        assert_eq!(end.receive(), Ok(Some("x".into())));
        assert_eq!(end.dropped(), 1);
    }

    #[test]
    fn an_empty_message_is_not_the_end_of_the_wire() {
        let (raw, end) = sys::socket::pair().unwrap();
        let raw = UnixDatagram::from(raw);
        let mut end = Channel::<u32, String>::new(end).unwrap();
        raw.send(&[]).unwrap();
        raw.send(&[1, b'x']).unwrap();
        assert_eq!(end.receive(), Ok(Some("x".into())));
        assert_eq!((end.receive(), end.dropped()), (Ok(None), 1));
        drop(raw);
        assert_eq!(end.receive(), Err(ReceiveError::Closed(0)));
    }

    #[test]
    fn a_flood_of_garbage_lets_the_reader_go() {
        let (raw, end) = UnixDatagram::pair().unwrap();
        raw.set_nonblocking(true).unwrap();
        let mut end = Channel::<u32, String>::new(end.into()).unwrap();
        let sent = (0..1000)
            .take_while(|_| raw.send(&[0xff; 3]).is_ok())
            .count();
        assert!(sent > 64, "{sent}");
        assert_eq!((end.receive(), end.dropped()), (Ok(None), GARBAGE_MAX));
    }

    #[test]
    fn too_long_a_message_is_refused() {
        let (mut _a, mut b) = pair();
        assert_eq!(
            b.send(&"x".repeat(MESSAGE_BYTES_MAX)),
            Err(SendError::TooLong)
        );
    }
}
