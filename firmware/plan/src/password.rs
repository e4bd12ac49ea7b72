//! The console password: PBKDF2-HMAC-SHA256 (RFC 8018, section 5.2), one block. The rounds are moderate
//! because the box may be slow and the medium that holds the hash is as private as the box itself.

use crate::config::PasswordHash;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Rounds for new passwords: some 10 ms on a small box.
pub const ITERATIONS: u32 = 10_000;
/// Most rounds a config may ask for: a few seconds on a small box.
pub const ITERATIONS_MAX: u32 = 1_000_000;

/// Hashes a password.
#[must_use]
pub fn derive(password: &str, salt: [u8; 16], iterations: u32) -> PasswordHash {
    PasswordHash {
        salt,
        iterations,
        hash: pbkdf2(password.as_bytes(), &salt, iterations),
    }
}

/// Whether `password` is the one that was hashed; the comparison takes the same time wherever they differ.
#[must_use]
pub fn verify(expected: &PasswordHash, password: &str) -> bool {
    let actual = pbkdf2(
        password.as_bytes(),
        &expected.salt,
        expected.iterations.min(ITERATIONS_MAX),
    );
    let difference = actual
        .iter()
        .zip(&expected.hash)
        .fold(0, |difference, (a, b)| difference | (a ^ b));
    // HMAC fills its key with zeros, so to it a password is the same with NULs behind. Nobody types one.
    core::hint::black_box(difference) == 0 && !password.contains('\0')
}

fn pbkdf2(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    // HMAC takes keys of any length; the error type is for other MACs.
    let Ok(keyed) = Hmac::<Sha256>::new_from_slice(password) else {
        return [0; 32];
    };
    let round = |parts: [&[u8]; 2]| -> [u8; 32] {
        let mut mac = keyed.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    };
    let mut block = round([salt, &1u32.to_be_bytes()]);
    let mut key = block;
    for _ in 1..iterations {
        block = round([&block, &[]]);
        key.iter_mut()
            .zip(block)
            .for_each(|(key, block)| *key ^= block);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Python: hashlib.pbkdf2_hmac("sha256", b"password", b"salt", rounds).
    #[test]
    fn agrees_with_another_implementation() {
        assert_eq!(
            hex(&pbkdf2(b"password", b"salt", 1)),
            "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b"
        );
        assert_eq!(
            hex(&pbkdf2(b"password", b"salt", 4096)),
            "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a"
        );
    }

    #[test]
    fn verifies_the_password_and_nothing_else() {
        let hash = derive("geminis", [7; 16], 3);
        assert!(verify(&hash, "geminis"));
        assert!(!verify(&hash, "gemini"));
        assert!(!verify(&hash, ""));
        // Found by fuzzing (target `control`).
        assert!(!verify(&hash, "geminis\0"));
    }

    fn hex(bytes: &[u8]) -> alloc::string::String {
        bytes
            .iter()
            .map(|byte| alloc::format!("{byte:02x}"))
            .collect()
    }
}
