//! The config as a medium holds it. Every byte may be hostile or torn: `decode` answers with a reason and
//! never panics, and what it returns has passed `validate`. All integers are little-endian.
//!
//! ```text
//!  0  magic           8  "PLXCONF\n"
//!  8  format version  2
//! 10  zero            2
//! 12  payload length  4  bytes
//! 16  generation      8  the higher one is the newer one
//! 24  payload            postcard of `Config`
//!     CRC32C          4  of everything before it (RFC 3720, B.4)
//! ```
//! A slot may be longer than its image; what follows the CRC is not looked at. How long the slots of a medium are
//! is settled when it is made.

use crate::config::Config;
use crate::validate::{Problem, validate};
use alloc::vec::Vec;
use core::fmt;
use crc::{CRC_32_ISCSI, Crc};
use sha2::{Digest, Sha256};

/// Most bytes of an image, and of a slot on a medium: 250,000 addresses and 20,000 rules fit.
pub const IMAGE_BYTES_MAX: usize = 4 << 20;
/// The size of a slot on a medium whose config needs no more.
pub const SLOT_BYTES_MIN: usize = 64 << 10;
/// The format version that is written and read. 1 had no `Config::virtual_mac`, 2 no `Config::firewall`.
pub const FORMAT_VERSION: u16 = 3;

const MAGIC: [u8; 8] = *b"PLXCONF\n";
const HEADER_BYTES: usize = 24;
const CRC_BYTES: usize = 4;
const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// A decoded image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The higher one is the newer one.
    pub generation: u64,
    /// First eight bytes of the payload's SHA-256, big-endian: the same config has the same digest, whatever
    /// its generation.
    pub digest: u64,
    /// Valid: `validate` has accepted it.
    pub config: Config,
}

/// Why bytes are no image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageError {
    /// There is nothing but zeros (or nothing at all).
    Empty,
    /// The first bytes are not ours.
    Magic,
    /// Made by another version of Pollux.
    Version {
        /// Version found.
        found: u16,
    },
    /// The bytes end before the image does, or it claims to be larger than any image.
    Length {
        /// Bytes the header asks for, header and CRC included.
        expected_bytes: usize,
        /// Bytes there are.
        found_bytes: usize,
    },
    /// Torn or altered.
    Crc {
        /// As computed.
        expected: u32,
        /// As found.
        found: u32,
    },
    /// The CRC holds but the payload is no config: a fault of the writer.
    Payload,
    /// A config, but one that cannot work; the first problem.
    Invalid(Problem),
    /// The config is too large.
    TooLarge {
        /// Bytes of its image.
        image_bytes: usize,
    },
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the slot is empty"),
            Self::Magic => write!(
                f,
                "not a Pollux config image: write it with `polluxctl media`"
            ),
            Self::Version { found } => write!(
                f,
                "the image has format version {found}, this firmware reads {FORMAT_VERSION}: write it with the polluxctl of this release"
            ),
            Self::Length {
                expected_bytes,
                found_bytes,
            } => write!(
                f,
                "the image is cut short: {found_bytes} bytes of {expected_bytes} (at most {IMAGE_BYTES_MAX}): write it again"
            ),
            Self::Crc { expected, found } => write!(
                f,
                "the image is damaged: CRC32C {found:08x} where {expected:08x} is right: write it again"
            ),
            Self::Payload => write!(
                f,
                "the image holds no config although its CRC is right: write it again"
            ),
            Self::Invalid(problem) => write!(f, "the config cannot work: {problem}"),
            Self::TooLarge { image_bytes } => write!(
                f,
                "the config takes {image_bytes} bytes, an image has {IMAGE_BYTES_MAX} at most: use fewer services, addresses or rules"
            ),
        }
    }
}

impl core::error::Error for ImageError {}

/// Digest of a config, as in `Image::digest`.
#[must_use]
pub fn digest(config: &Config) -> u64 {
    // Serializing to memory cannot fail; an empty payload would only make the digest differ.
    payload_digest(&postcard::to_allocvec(config).unwrap_or_default())
}

/// The image of a config.
///
/// # Errors
/// `TooLarge` when it would not fit the largest slot.
pub fn encode(config: &Config, generation: u64) -> Result<Vec<u8>, ImageError> {
    let payload = postcard::to_allocvec(config).map_err(|_| ImageError::Payload)?;
    let image_bytes = HEADER_BYTES + payload.len() + CRC_BYTES;
    let payload_bytes =
        u32::try_from(payload.len()).map_err(|_| ImageError::TooLarge { image_bytes })?;
    if image_bytes > IMAGE_BYTES_MAX {
        return Err(ImageError::TooLarge { image_bytes });
    }
    let mut image = Vec::with_capacity(image_bytes);
    image.extend_from_slice(&MAGIC);
    image.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    image.extend_from_slice(&[0; 2]);
    image.extend_from_slice(&payload_bytes.to_le_bytes());
    image.extend_from_slice(&generation.to_le_bytes());
    image.extend_from_slice(&payload);
    image.extend_from_slice(&CRC32C.checksum(&image).to_le_bytes());
    Ok(image)
}

/// The size of slots that leave an image of this length room to grow by half: a power of two.
#[must_use]
pub const fn slot_bytes(image_bytes: usize) -> usize {
    let wanted = image_bytes.saturating_add(image_bytes / 2);
    if wanted <= SLOT_BYTES_MIN {
        SLOT_BYTES_MIN
    } else if wanted >= IMAGE_BYTES_MAX {
        IMAGE_BYTES_MAX
    } else {
        wanted.next_power_of_two()
    }
}

/// How long the image in a slot says it is, by its first bytes: more of the slot need not be read. `None` where
/// there is none, or one longer than any.
#[must_use]
pub fn claimed_bytes(head: &[u8]) -> Option<usize> {
    let (head, _) = head.split_first_chunk::<HEADER_BYTES>()?;
    let length = head.get(12..)?.first_chunk()?;
    let payload_bytes = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let image_bytes = payload_bytes.checked_add(HEADER_BYTES + CRC_BYTES)?;
    (head.starts_with(&MAGIC) && image_bytes <= IMAGE_BYTES_MAX).then_some(image_bytes)
}

/// Reads an image.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn decode(slot: &[u8]) -> Result<Image, ImageError> {
    if slot.iter().all(|&byte| byte == 0) {
        return Err(ImageError::Empty);
    }
    let short = |expected_bytes| ImageError::Length {
        expected_bytes,
        found_bytes: slot.len(),
    };
    let (magic, rest) = slot.split_first_chunk::<8>().ok_or(short(HEADER_BYTES))?;
    if *magic != MAGIC {
        return Err(ImageError::Magic);
    }
    let (version, rest) = rest.split_first_chunk::<2>().ok_or(short(HEADER_BYTES))?;
    let found = u16::from_le_bytes(*version);
    if found != FORMAT_VERSION {
        return Err(ImageError::Version { found });
    }
    let (_zero, rest) = rest.split_first_chunk::<2>().ok_or(short(HEADER_BYTES))?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(short(HEADER_BYTES))?;
    let (generation, rest) = rest.split_first_chunk::<8>().ok_or(short(HEADER_BYTES))?;

    let payload_bytes = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let image_bytes = payload_bytes.saturating_add(HEADER_BYTES + CRC_BYTES);
    if image_bytes > IMAGE_BYTES_MAX {
        return Err(short(image_bytes));
    }
    let (payload, rest) = rest
        .split_at_checked(payload_bytes)
        .ok_or(short(image_bytes))?;
    let (crc, _padding) = rest
        .split_first_chunk::<CRC_BYTES>()
        .ok_or(short(image_bytes))?;
    let covered = slot
        .get(..HEADER_BYTES + payload_bytes)
        .ok_or(short(image_bytes))?;
    let (expected, found) = (CRC32C.checksum(covered), u32::from_le_bytes(*crc));
    if expected != found {
        return Err(ImageError::Crc { expected, found });
    }
    let config = decode_payload(payload)?;
    Ok(Image {
        generation: u64::from_le_bytes(*generation),
        digest: payload_digest(payload),
        config,
    })
}

fn decode_payload(payload: &[u8]) -> Result<Config, ImageError> {
    let (config, rest) = postcard::take_from_bytes(payload).map_err(|_| ImageError::Payload)?;
    if !rest.is_empty() {
        return Err(ImageError::Payload);
    }
    match validate(&config) {
        Ok(()) => Ok(config),
        Err(problems) => Err(problems
            .into_iter()
            .next()
            .map_or(ImageError::Payload, ImageError::Invalid)),
    }
}

fn payload_digest(payload: &[u8]) -> u64 {
    let hash: [u8; 32] = Sha256::digest(payload).into();
    hash.first_chunk()
        .map_or(0, |head| u64::from_be_bytes(*head))
}

/// What a medium's slots hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Position and image of the valid slot of the highest generation; of two alike, the first.
    pub newest: Option<(usize, Image)>,
    /// Positions of slots that hold no valid image, and why.
    pub rejected: Vec<(usize, ImageError)>,
}

/// Chooses among a medium's slots.
#[must_use]
pub fn newest(slots: &[&[u8]]) -> Choice {
    let mut choice = Choice {
        newest: None,
        rejected: Vec::new(),
    };
    for (position, slot) in slots.iter().enumerate() {
        match decode(slot) {
            Ok(image)
                if choice
                    .newest
                    .as_ref()
                    .is_none_or(|(_, best)| image.generation > best.generation) =>
            {
                choice.newest = Some((position, image));
            }
            Ok(_) => {}
            Err(error) => choice.rejected.push((position, error)),
        }
    }
    choice
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::samples::{configs, guarding, large, pair};
    use proptest::prelude::*;

    #[test]
    fn header_stands_as_documented() {
        let image = encode(&pair(), 0x0102_0304).unwrap();
        assert_eq!(&image[..12], b"PLXCONF\n\x03\0\0\0");
        assert_eq!(
            usize::try_from(u32::from_le_bytes(image[12..16].try_into().unwrap())).unwrap(),
            image.len() - 28
        );
        assert_eq!(image[16..24], [4, 3, 2, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn a_hundred_services_of_ten_servers_fit_the_smallest_slot() {
        let image = encode(&large(100, 10), 1).unwrap();
        std::println!("image of 100 services x 10 servers: {} bytes", image.len());
        assert_eq!(slot_bytes(image.len()), SLOT_BYTES_MIN);
    }

    #[test]
    fn a_hundred_thousand_addresses_and_ten_thousand_rules_come_back() {
        let config = guarding(10_000, 100_000);
        let image = encode(&config, 1).unwrap();
        std::println!(
            "image of 10,000 rules and 100,000 addresses: {} bytes",
            image.len()
        );
        assert!(image.len() <= IMAGE_BYTES_MAX / 2, "{} bytes", image.len());
        let mut slot = image.clone();
        slot.resize(slot_bytes(image.len()), 0);
        assert_eq!(claimed_bytes(&slot[..512]), Some(image.len()));
        assert!(decode(&slot).unwrap().config == config);
    }

    #[test]
    fn what_no_slot_holds_is_neither_written_nor_read() {
        let mut config = pair();
        config.cluster.name = "n".repeat(IMAGE_BYTES_MAX);
        assert!(matches!(
            encode(&config, 1),
            Err(ImageError::TooLarge { .. })
        ));
        let mut image = encode(&pair(), 1).unwrap();
        let claimed = u32::try_from(IMAGE_BYTES_MAX - HEADER_BYTES - CRC_BYTES + 1).unwrap();
        image[12..16].copy_from_slice(&claimed.to_le_bytes());
        image.resize(IMAGE_BYTES_MAX + 1, 0);
        assert_eq!(claimed_bytes(&image), None);
        assert!(matches!(
            decode(&image),
            Err(ImageError::Length { expected_bytes, .. }) if expected_bytes == IMAGE_BYTES_MAX + 1
        ));
    }

    #[test]
    fn slots_leave_room_to_grow_by_half() {
        let (kib, mib) = (1 << 10, 1 << 20);
        for (image_bytes, expected) in [
            (0, 64 * kib),
            (42 * kib, 64 * kib),
            (43 * kib, 128 * kib),
            (700 * kib, 2 * mib),
            (3 * mib, 4 * mib),
            (IMAGE_BYTES_MAX, 4 * mib),
        ] {
            assert_eq!(slot_bytes(image_bytes), expected, "{image_bytes} bytes");
        }
    }

    #[test]
    fn each_kind_of_damage_has_its_reason() {
        let image = encode(&pair(), 7).unwrap();
        for none in [&[][..], &[0; 512], &[0xff; 512], &image[..23]] {
            assert_eq!(claimed_bytes(none), None);
        }
        assert_eq!(decode(&[]), Err(ImageError::Empty));
        assert_eq!(decode(&[0; 512]), Err(ImageError::Empty));
        assert_eq!(decode(&[0xff; 512]), Err(ImageError::Magic));
        assert!(matches!(
            decode(&image[..3]),
            Err(ImageError::Length { found_bytes: 3, .. })
        ));
        assert!(matches!(
            decode(&image[..image.len() - 1]),
            Err(ImageError::Length { .. })
        ));
        let changed = |position: usize, byte: u8| {
            let mut image = image.clone();
            image[position] = byte;
            decode(&image).unwrap_err()
        };
        assert_eq!(changed(8, 9), ImageError::Version { found: 9 });
        assert!(matches!(changed(15, 9), ImageError::Length { .. }));
        assert!(matches!(changed(16, 9), ImageError::Crc { .. }));
        assert!(matches!(changed(40, 0xee), ImageError::Crc { .. }));
    }

    #[test]
    fn a_config_that_cannot_work_is_not_let_in() {
        let mut config = pair();
        config.nodes.pop();
        let reason = decode(&encode(&config, 1).unwrap()).unwrap_err();
        assert!(matches!(reason, ImageError::Invalid(problem) if problem.path == "nodes"));
    }

    #[test]
    fn the_newest_valid_slot_wins_and_the_others_say_why_not() {
        let (old, new) = (
            encode(&pair(), 4).unwrap(),
            encode(&large(1, 1), 5).unwrap(),
        );
        assert_eq!(newest(&[&old, &new]).newest.unwrap().0, 1);
        assert_eq!(newest(&[&new, &old]).newest.unwrap().0, 0);
        let torn = &new[..new.len() / 2];
        let choice = newest(&[&old, torn]);
        assert_eq!(choice.newest.unwrap().1.config, pair());
        assert!(matches!(
            choice.rejected[..],
            [(1, ImageError::Length { .. })]
        ));
        let choice = newest(&[torn, &[]]);
        assert!(choice.newest.is_none());
        assert_eq!(choice.rejected.len(), 2);
    }

    /// A slot is overwritten in place: up to some byte it is the new image, from there on the old one.
    #[test]
    fn a_slot_torn_at_any_byte_is_the_old_the_new_or_no_image() {
        let (old, new) = (
            encode(&pair(), 4).unwrap(),
            encode(&large(2, 2), 6).unwrap(),
        );
        let mut slot = alloc::vec![0; SLOT_BYTES_MIN];
        slot[..old.len()].copy_from_slice(&old);
        for (position, &byte) in new.iter().enumerate() {
            slot[position] = byte;
            if let Ok(image) = decode(&slot) {
                assert!(
                    position + 1 == new.len() || image.config == pair(),
                    "torn at byte {position}"
                );
            }
        }
        assert_eq!(decode(&slot).unwrap().generation, 6);
    }

    proptest! {
        #[test]
        fn images_give_back_their_config(config in configs(), generation: u64) {
            prop_assert_eq!(validate(&config), Ok(()));
            let image = decode(&encode(&config, generation).unwrap()).unwrap();
            prop_assert_eq!(image, Image { generation, digest: digest(&config), config });
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
            let _ = claimed_bytes(&bytes);
            let _ = decode_payload(&bytes);
        }

        #[test]
        fn no_payload_with_a_right_crc_makes_decoding_panic(flips in prop::collection::vec((24usize..400, any::<u8>()), 1..8)) {
            let mut image = encode(&pair(), 1).unwrap();
            let end = image.len() - CRC_BYTES;
            flips.iter().for_each(|&(position, byte)| image[position.min(end - 1)] = byte);
            let crc = CRC32C.checksum(&image[..end]).to_le_bytes();
            image[end..].copy_from_slice(&crc);
            if let Ok(image) = decode(&image) {
                prop_assert_eq!(validate(&image.config), Ok(()));
            }
        }

        #[test]
        fn a_single_flipped_bit_is_noticed(bit in 0usize..1600) {
            let mut image = encode(&pair(), 1).unwrap();
            image[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(decode(&image).is_err());
        }
    }
}
