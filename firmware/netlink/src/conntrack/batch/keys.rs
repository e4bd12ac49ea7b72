//! Which keys a batch holds. Almost always a key is not among them, and one look at a few bits says so: the search
//! through all of them is for the rest.

/// Bits, for 128 keys at most: 3 % of those that are not there need the search.
const BITS: usize = 4096;
const WORDS: usize = BITS / 64;

/// One bit for each key that was added, by its hash.
#[derive(Debug)]
pub(super) struct Keys([u64; WORDS]);

impl Default for Keys {
    fn default() -> Self {
        Keys([0; WORDS])
    }
}

impl Keys {
    pub(super) fn add(&mut self, key: &[u8]) {
        let (word, bit) = place(key);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    /// `false`: it surely was not added.
    pub(super) fn may_hold(&self, key: &[u8]) -> bool {
        let (word, bit) = place(key);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    pub(super) fn clear(&mut self) {
        self.0.fill(0);
    }
}

/// By FNV-1a: whoever finds keys of one hash makes the search longer, by no more than a batch is long.
fn place(key: &[u8]) -> (usize, u64) {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325, mix);
    // Its bits depend little on the last bytes; those of the product do.
    let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let bit = usize::try_from(mixed).unwrap_or_default() % BITS;
    (bit / 64, 1 << (bit % 64))
}
