//! Sync messages as Ethernet frames of their own small network: IPv4 and UDP to the group that a backup daemon
//! has joined. Its kernel takes a frame without a source address where the destination is a local group
//! (`ip_mc_validate_source` of net/ipv4/route.c), so that no check of sources stands in the way.

use super::bytes::{Pen, Scan};
use super::{Entry, begin, finish, push};
use crate::claim::Instruction;
use std::net::Ipv4Addr;

/// IP_VS_SYNC_GROUP and IP_VS_SYNC_PORT.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 81);
/// UDP port of sync daemons.
pub const PORT: u16 = 8848;

/// The Ethernet address of `GROUP` (RFC 1112 section 6.4).
const GROUP_MAC: [u8; 6] = [0x01, 0x00, 0x5e, 0, 0, 81];

/// Of ethertype 0x0800.
pub const ETHERTYPE: u16 = 0x0800;

pub(super) const ETHERNET_BYTES: usize = 14;
pub(super) const IPV4_BYTES: usize = 20;
const UDP_BYTES: usize = 8;

/// Before the message.
const HEADERS_BYTES: usize = ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES;

/// A frame on a device of MTU 1500: its backup daemon reads messages of up to 1472 bytes.
pub const FRAME_BYTES_MAX: usize = ETHERNET_BYTES + 1500;

const IPPROTO_UDP: u8 = 17;

/// Entries on their way to a backup daemon, in one frame.
pub struct Batch {
    frame: [u8; FRAME_BYTES_MAX],
    /// Of the message, header and all.
    length: usize,
    count: u8,
}

impl Default for Batch {
    fn default() -> Self {
        Batch::new()
    }
}

impl Batch {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        let mut batch = Batch {
            frame: [0; FRAME_BYTES_MAX],
            length: 0,
            count: 0,
        };
        batch.clear();
        batch
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.count = 0;
        self.length = self.message().and_then(begin).unwrap_or(0);
    }

    /// Puts an entry in; `false` where there is no room for it.
    pub fn push(&mut self, entry: &Entry<'_>) -> bool {
        let (length, count) = (self.length, self.count.checked_add(1));
        let pushed = self
            .message()
            .and_then(|message| push(message, length, entry));
        match (pushed, count) {
            (Some(length), Some(count)) => {
                (self.length, self.count) = (length, count);
                true
            }
            _ => false,
        }
    }

    /// The frame as a backup daemon with `sync_id` hears it.
    pub fn frame(&mut self, sync_id: u8) -> &[u8] {
        let (length, count) = (self.length, self.count);
        let done = self
            .message()
            .and_then(|message| finish(message, length, count, sync_id));
        let done = done.and_then(|()| {
            let mut pen = Pen::new(&mut self.frame, 0);
            put_ipv4(&mut pen, GROUP_MAC, IPPROTO_UDP, UDP_BYTES + length)?;
            let udp_bytes = u16::try_from(UDP_BYTES + length).ok()?;
            // No checksum: it never leaves this box.
            for field in [PORT, PORT, udp_bytes, 0] {
                pen.put(&field.to_be_bytes())?;
            }
            Some(pen.at + length)
        });
        let bytes = done.unwrap_or(0);
        self.frame.get(..bytes).unwrap_or_default()
    }

    fn message(&mut self) -> Option<&mut [u8]> {
        self.frame.get_mut(HEADERS_BYTES..)
    }
}

/// Ethernet and IPv4 headers of a packet from nobody to `GROUP`, with `payload_bytes` behind them.
pub(super) fn put_ipv4(
    pen: &mut Pen<'_>,
    to: [u8; 6],
    protocol: u8,
    payload_bytes: usize,
) -> Option<()> {
    /// Locally administered, and nobody's.
    const FROM: [u8; 6] = [2, 0, 0, 0, 0, 81];
    /// Version 4, five words; no service class.
    const VERSION: [u8; 2] = [0x45, 0];
    /// Identification 0, not to be fragmented, TTL 1.
    const MIDDLE: [u8; 5] = [0, 0, 0x40, 0, 1];
    let total = u16::try_from(IPV4_BYTES + payload_bytes)
        .ok()?
        .to_be_bytes();
    let group = GROUP.octets();
    let words = [
        VERSION,
        total,
        [0, 0],
        [0x40, 0],
        [1, protocol],
        [group[0], group[1]],
        [group[2], group[3]],
    ];
    pen.put(&to)?;
    pen.put(&FROM)?;
    pen.put(&ETHERTYPE.to_be_bytes())?;
    pen.put(&VERSION)?;
    pen.put(&total)?;
    pen.put(&MIDDLE)?;
    pen.put(&[protocol])?;
    pen.put(&checksum(words))?;
    pen.put(&[0; 4])?;
    pen.put(&group)
}

/// The Internet checksum (RFC 1071).
pub(super) fn checksum(words: impl IntoIterator<Item = [u8; 2]>) -> [u8; 2] {
    let sum = words.into_iter().fold(0_u16, |sum, word| {
        let (sum, carry) = sum.overflowing_add(u16::from_be_bytes(word));
        sum + u16::from(carry)
    });
    (!sum).to_be_bytes()
}

/// Passes what daemons send to `GROUP` and `PORT`, in whole packets of IPv4 without options, as the kernel makes
/// them.
#[must_use]
pub fn filter() -> [Instruction; 6] {
    /// BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET | BPF_K.
    const LOAD_WORD: u16 = 0x20;
    const LOAD_HALF: u16 = 0x28;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    /// Where the destination's address and port stand.
    const ADDRESS_AT: u32 = 14 + 16;
    const PORT_AT: u32 = 14 + 20 + 2;
    let instruction = |code, jump_false, operand| Instruction {
        code,
        jump_true: 0,
        jump_false,
        operand,
    };
    [
        instruction(LOAD_WORD, 0, ADDRESS_AT),
        instruction(JUMP_EQUAL, 3, GROUP.to_bits()),
        instruction(LOAD_HALF, 0, PORT_AT),
        instruction(JUMP_EQUAL, 1, PORT.into()),
        instruction(RETURN, 0, u32::MAX),
        instruction(RETURN, 0, 0),
    ]
}

/// The message in a frame that a daemon sent; `None` for any other frame and for a part of a packet.
#[must_use]
pub fn message(frame: &[u8]) -> Option<&[u8]> {
    let mut scan = Scan(frame);
    scan.slice(ETHERNET_BYTES - 2)?;
    if scan.u16()? != ETHERTYPE {
        return None;
    }
    let version = scan.byte()?;
    scan.slice(1)?;
    let total = usize::from(scan.u16()?);
    scan.slice(2)?;
    // More fragments, or not the first one.
    let is_part = scan.u16()? & 0x3fff != 0;
    scan.slice(1)?;
    let protocol = scan.byte()?;
    scan.slice(2 + 4)?;
    let to = scan.take::<4>()?;
    let is_ours = version == 0x45 && protocol == IPPROTO_UDP && to == GROUP.octets();
    // An Ethernet frame may be longer than its packet.
    let mut scan = Scan(scan.slice(total.checked_sub(IPV4_BYTES)?)?);
    let [_, port, length, _] = [scan.u16()?, scan.u16()?, scan.u16()?, scan.u16()?];
    let message = scan.slice(usize::from(length).checked_sub(UDP_BYTES)?)?;
    (is_ours && !is_part && port == PORT).then_some(message)
}
