//! A stream of numbered datagrams: the asking end, and the servers that send each back as it came.

use super::stream::Stream;
use super::table::{Datagrams, Table};
use std::net::UdpSocket;
use std::time::Instant;

/// Number of the stream, number of the datagram, and filling.
const DATAGRAM_BYTES: usize = 64;
const STREAM_BYTES: usize = 4;
const HEAD_BYTES: usize = 12;

/// The end that asks.
pub struct Asker {
    socket: UdpSocket,
    /// Which stream.
    pub stream: usize,
}

impl Asker {
    /// `socket` is connected and does not block.
    pub fn new(socket: UdpSocket, stream: usize) -> Self {
        Asker { socket, stream }
    }

    /// Sends the next datagram.
    pub fn send(&self, table: &mut Table) {
        if let Some(entry) = table.datagrams.get_mut(self.stream) {
            // Unreachable is a loss like any other: the echo is what is missed.
            let _ = self.socket.send(&datagram(self.stream, entry.sent));
            entry.sent += 1;
        }
    }

    /// Takes the echoes that came.
    pub fn receive(&self, table: &mut Table) {
        let Some(entry) = table.datagrams.get_mut(self.stream) else {
            return;
        };
        let mut bytes = [0; DATAGRAM_BYTES];
        // An error is the end of what came, or an ICMP answer to an earlier datagram, which is a loss like any other.
        while let Ok(count) = self.socket.recv(&mut bytes) {
            match read(bytes.get(..count).unwrap_or_default()) {
                Some((stream, number)) if stream == self.stream => {
                    entry.note_answer(number, Instant::now());
                }
                _ => entry.corrupt += 1,
            }
        }
    }
}

/// The end that answers.
pub struct Echo {
    /// Does not block.
    pub socket: UdpSocket,
}

impl Echo {
    /// `socket` is bound and does not block.
    pub fn new(socket: UdpSocket) -> Self {
        Echo { socket }
    }

    /// Sends back what came; `server` is this one's number.
    pub fn answer(&self, server: usize, table: &mut Table) {
        let mut bytes = [0; DATAGRAM_BYTES];
        while let Ok((count, client)) = self.socket.recv_from(&mut bytes) {
            let datagram = bytes.get(..count).unwrap_or_default();
            if let Some(entry) = read(datagram).and_then(|(stream, _)| entry(table, stream)) {
                entry.note_seen(server, client);
            }
            // What can't be sent is missed where it should come.
            let _ = self.socket.send_to(datagram, client);
        }
    }
}

fn entry(table: &mut Table, stream: usize) -> Option<&mut Datagrams> {
    table.datagrams.get_mut(stream)
}

fn datagram(stream: usize, number: u64) -> [u8; DATAGRAM_BYTES] {
    let mut bytes = [0; DATAGRAM_BYTES];
    let stream = u32::try_from(stream).unwrap_or(u32::MAX);
    let (head, body) = bytes.split_at_mut(HEAD_BYTES);
    let (name, count) = head.split_at_mut(STREAM_BYTES);
    name.copy_from_slice(&stream.to_be_bytes());
    count.copy_from_slice(&number.to_be_bytes());
    let filling = Stream {
        flow: stream,
        is_upward: false,
    };
    // Another place for each number, whichever bits it has.
    filling.fill(number.rotate_left(6), body);
    bytes
}

/// Stream and number of a datagram that is what was sent, to the last byte.
fn read(bytes: &[u8]) -> Option<(usize, u64)> {
    let (name, rest) = bytes.split_first_chunk::<STREAM_BYTES>()?;
    let stream = usize::try_from(u32::from_be_bytes(*name)).ok()?;
    let number = u64::from_be_bytes(*rest.first_chunk()?);
    (datagram(stream, number) == bytes).then_some((stream, number))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sent_is_read() {
        let sent = datagram(3, 1_000_000);
        assert_eq!(read(&sent), Some((3, 1_000_000)));
        for place in 0..DATAGRAM_BYTES {
            let mut altered = sent;
            altered[place] ^= 0x10;
            assert_eq!(read(&altered), None, "{place}");
            assert_eq!(read(&sent[..place]), None, "{place}");
        }
    }
}
