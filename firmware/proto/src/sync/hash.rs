//! SipHash-1-3 (Aumasson and Bernstein 2012) under keys of the pair. Whoever opens connections through the
//! boxes chooses their addresses and ports, so an unkeyed hash would let him fill one bucket. Both boxes use
//! the same keys, so that digests of their tables can be compared.

/// What hash tables and digests of one pair are keyed with.
#[derive(Clone, Copy)]
pub(super) struct Hasher {
    key: [u64; 2],
}

impl Hasher {
    /// Keyed with the first half of `key`.
    pub(super) fn of_key(key: &[u8; 32]) -> Self {
        let (words, _) = key.as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        Self {
            key: [(); 2].map(|()| words.next().unwrap_or_default()),
        }
    }

    /// The hash of some bytes; other domains have other hashes.
    pub(super) fn hash(&self, domain: u8, bytes: &[u8]) -> u64 {
        let mut state = State::new(self.key, domain);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            state.take(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        let length = (bytes.len() as u64) << 56; // the reference keeps the lowest byte
        state.take(u64::from_le_bytes(last) | length);
        state.finish()
    }
}

struct State([u64; 4]);

impl State {
    fn new([low, high]: [u64; 2], domain: u8) -> Self {
        Self([
            low ^ 0x736f_6d65_7073_6575,
            high ^ 0x646f_7261_6e64_6f6d ^ u64::from(domain),
            low ^ 0x6c79_6765_6e65_7261,
            high ^ 0x7465_6462_7974_6573,
        ])
    }

    fn take(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.0[0] ^= word;
    }

    fn finish(mut self) -> u64 {
        self.0[2] ^= 0xff;
        for _ in 0..3 {
            self.round();
        }
        let [a, b, c, d] = self.0;
        a ^ b ^ c ^ d
    }

    #[inline]
    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.0;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.0 = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::hash::{DefaultHasher, Hasher as _};

    proptest! {
        /// The standard library's is the same function under the key 0.
        #[test]
        fn it_is_siphash_1_3(bytes: std::vec::Vec<u8>) {
            let mut reference = DefaultHasher::new();
            reference.write(&bytes);
            prop_assert_eq!(Hasher { key: [0; 2] }.hash(0, &bytes), reference.finish());
        }
    }

    #[test]
    fn keys_and_domains_tell_apart() {
        let hasher = Hasher { key: [1, 2] };
        assert_ne!(hasher.hash(0, b"flow"), hasher.hash(1, b"flow"));
        assert_ne!(
            hasher.hash(0, b"flow"),
            Hasher { key: [2, 1] }.hash(0, b"flow")
        );
    }
}
