//! What makes a master daemon speak at once. Entries wait in its buffer until the next one does not fit, or for two
//! to three seconds (`next_sync_buff` of ip_vs_sync.c); a connection that was set up just before its box lost power
//! would be lost with it. So there is a connection of nobody's, put in by the backup daemon and delivered to the box
//! itself, where no socket wants it: each of two segments ends it in another state, of which the master must tell.
//! Two such entries fill the buffer of a master whose messages have no more than `MESSAGE_BYTES_MAX` bytes.

use super::bytes::Pen;
use super::entry::SEQUENCES;
use super::frame::{ETHERNET_BYTES, GROUP, IPV4_BYTES, checksum, put_ipv4};
use super::{Addresses, Entry};
use std::net::Ipv4Addr;

/// Room for four entries of IPv4, of 36 bytes. Each nudge has 64, so after one entry or more the second finds none.
pub const MESSAGE_BYTES_MAX: u16 = 8 + 4 * 36;

/// The port on both sides; no daemon's.
const PORT: u16 = 8847;

/// It goes when nobody nudges any more.
const TIMEOUT_S: u32 = 10;

const TCP: u8 = 6;
const TCP_BYTES: usize = 20;
const FINISH: u8 = 1;
const RESET: u8 = 4;

/// IP_VS_CONN_F_LOCALNODE: packets stay as they are, and here.
const LOCAL: u32 = 1;

/// IP_VS_TCP_S_ESTABLISHED; FIN takes it to CLOSE_WAIT, RST to CLOSE.
const ESTABLISHED: u16 = 1;

/// Ethernet, IPv4 and TCP headers.
pub type Segment = [u8; ETHERNET_BYTES + IPV4_BYTES + TCP_BYTES];

/// The connection, anew or as it was before the segments. It has sequence numbers so as to be long.
#[must_use]
pub fn entry() -> Entry<'static> {
    Entry {
        protocol: TCP,
        flags: LOCAL | SEQUENCES,
        state: ESTABLISHED,
        client_port: PORT,
        service_port: PORT,
        server_port: PORT,
        mark: 0,
        timeout_s: TIMEOUT_S,
        addresses: Addresses::V4 {
            client: Ipv4Addr::UNSPECIFIED,
            service: GROUP,
            server: GROUP,
        },
        sequences: Some([0; 24]),
        engine: None,
    }
}

/// Whether an entry tells of that connection, and so of nobody's.
#[must_use]
pub fn is_told_of(entry: &Entry<'_>) -> bool {
    matches!(entry.addresses, Addresses::V4 { service, .. } if service == GROUP)
}

/// FIN, then RST, to the device with the hardware address `to`: addressed to it alone, since IPVS passes over
/// what was sent to many.
#[must_use]
pub fn segments(to: [u8; 6]) -> [Segment; 2] {
    [FINISH, RESET].map(|flag| segment(to, flag))
}

fn segment(to: [u8; 6], flag: u8) -> Segment {
    let mut frame = [0; ETHERNET_BYTES + IPV4_BYTES + TCP_BYTES];
    let mut pen = Pen::new(&mut frame, 0);
    let port = PORT.to_be_bytes();
    // Five words of header.
    let offset_and_flag = [0x50, flag];
    let [a, b, c, d] = GROUP.octets();
    let pseudo_header = [[a, b], [c, d], [0, TCP], [0, 20]];
    let words = [port, port, offset_and_flag];
    let checksum = checksum(pseudo_header.into_iter().chain(words));
    let parts: [&[u8]; 7] = [
        &port,
        &port,
        &[0; 8],
        &offset_and_flag,
        &[0; 2],
        &checksum,
        &[0; 2],
    ];
    let written = put_ipv4(&mut pen, to, TCP, TCP_BYTES)
        .and_then(|()| parts.into_iter().try_for_each(|part| pen.put(part)));
    debug_assert!(written.is_some(), "the sum of what is written");
    frame
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::HEADER_BYTES;
    use super::super::frame::{Batch, message};
    use super::*;

    #[test]
    fn segments_are_whole_packets_of_tcp() {
        let sum = |words: &[u8]| {
            words.chunks(2).fold(0_u32, |sum, word| {
                let word = u16::from_be_bytes(word.try_into().unwrap());
                let sum = sum + u32::from(word);
                (sum & 0xffff) + (sum >> 16)
            })
        };
        for (segment, flag) in segments([2; 6]).iter().zip([FINISH, RESET]) {
            let (_, packet) = segment.split_at(14);
            let (header, tcp) = packet.split_at(20);
            assert_eq!((header.first(), tcp.get(13)), (Some(&0x45), Some(&flag)));
            assert_eq!(sum(header), 0xffff);
            let pseudo = [&[0; 4], &GROUP.octets()[..], &[0, 6, 0, 20]].concat();
            assert_eq!(sum(&[&pseudo, tcp].concat()), 0xffff);
            assert_eq!(message(segment), None);
        }
    }

    #[test]
    fn two_of_them_leave_no_room_behind_any_entry() {
        let mut batch = Batch::new();
        assert!(batch.push(&entry()));
        let nudge_bytes =
            (message(batch.frame(1)).unwrap().len() - HEADER_BYTES).next_multiple_of(4);
        let room_bytes = usize::from(MESSAGE_BYTES_MAX) - HEADER_BYTES;
        assert!(36 + 2 * nudge_bytes > room_bytes);
        assert!(is_told_of(&entry()));
    }
}
