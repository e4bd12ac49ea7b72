//! What flows carry: endless bytes that are the same in each run, and different for each flow and direction, so that
//! a byte that was lost, doubled, altered or delivered to the wrong flow shows at once. The first bytes that a client
//! sends say which flow it is: a server behind a balancer could not know it otherwise.

/// Bytes that name a flow at its beginning.
pub const NAME_BYTES: usize = 8;
const MAGIC: [u8; 4] = *b"flow";
const BLOCK_BYTES: u64 = 8;

/// The bytes of one flow in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// Number of the flow.
    pub flow: u32,
    /// From the client to the server.
    pub is_upward: bool,
}

impl Stream {
    /// Fills `bytes` with what stands from `offset` on.
    pub fn fill(self, offset: u64, bytes: &mut [u8]) {
        for (byte, right) in bytes.iter_mut().zip(self.from(offset)) {
            *byte = right;
        }
    }

    /// How many of `bytes`, which came as those from `offset` on, are right before the first wrong one.
    pub fn right_bytes(self, offset: u64, bytes: &[u8]) -> usize {
        let pairs = bytes.iter().zip(self.from(offset));
        pairs.take_while(|(byte, right)| **byte == *right).count()
    }

    fn from(self, offset: u64) -> impl Iterator<Item = u8> {
        // 2^61 blocks: nobody sees their end.
        let blocks = (offset / BLOCK_BYTES..).flat_map(move |number| self.block(number));
        blocks.skip(usize::try_from(offset % BLOCK_BYTES).unwrap_or_default())
    }

    fn block(self, number: u64) -> [u8; 8] {
        if self.is_upward && number == 0 {
            let [a, b, c, d] = self.flow.to_be_bytes();
            let [m, a0, g, i] = MAGIC;
            return [m, a0, g, i, a, b, c, d];
        }
        let lane = u64::from(self.flow) * 2 + u64::from(self.is_upward);
        mixed(mixed(lane) ^ number).to_le_bytes()
    }
}

/// Which flow names itself so.
pub fn named(bytes: &[u8]) -> Option<u32> {
    let number = bytes.strip_prefix(&MAGIC)?.first_chunk()?;
    Some(u32::from_be_bytes(*number))
}

/// SplitMix64 (Steele, Lea, Flood 2014): each bit of the result hangs on each bit of `value`.
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    const UP: Stream = Stream {
        flow: 7,
        is_upward: true,
    };

    fn bytes(stream: Stream, offset: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        stream.fill(offset, &mut bytes);
        bytes
    }

    #[test]
    fn a_piece_from_the_middle_is_the_same_as_in_the_whole() {
        let whole = bytes(UP, 0, 100);
        for (place, offset) in (0..20).enumerate() {
            assert_eq!(bytes(UP, offset, 50), whole[place..][..50]);
        }
    }

    #[test]
    fn the_beginning_names_the_flow() {
        assert_eq!(named(&bytes(UP, 0, NAME_BYTES)), Some(7));
        assert_eq!(named(&bytes(UP, 8, NAME_BYTES)), None);
        assert_eq!(named(b"flow"), None);
    }

    #[test]
    fn every_fault_is_seen_where_it_is() {
        let sent = bytes(UP, 1000, 64);
        assert_eq!(UP.right_bytes(1000, &sent), 64);
        let mut altered = sent.clone();
        altered[20] ^= 1;
        assert_eq!(UP.right_bytes(1000, &altered), 20);
        // Lost or doubled bytes, and those of another flow or direction, agree by luck at most.
        assert!(UP.right_bytes(1001, &sent) < 4);
        assert!(UP.right_bytes(936, &sent) < 4);
        let others = [(8, true), (7, false)].map(|(flow, is_upward)| Stream { flow, is_upward });
        for other in others {
            assert!(other.right_bytes(1000, &sent) < 4);
        }
    }
}
